using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>A segment that a stack under test has sent, as the hand-made peer understands it.</summary>
internal sealed record Heard(Seg Seg)
{
    /// <summary>The content of the CRYPT option; null without one.</summary>
    public byte[]? Crypt { get; init; }

    public bool HasMac { get; init; }

    /// <summary>The tag is right under the peer's keys; the data is decrypted then.</summary>
    public bool IsAuthentic { get; init; }

    /// <summary>The generation of the keys that opened it.</summary>
    public long Generation { get; init; }

    /// <summary>Of the whole IPv4 packet.</summary>
    public int PacketLength { get; init; }

    public byte[] Data => Seg.Data;

    public bool IsInit => Crypt is { Length: > 0 } && Crypt[^1] is Opcode.Init1 or Opcode.Init2;

    /// <summary>What there is of a suboption with a fixed content; null without it.</summary>
    public byte[]? Find(byte opcode)
    {
        for (int at = 0; Crypt is not null && at < Crypt.Length;)
        {
            byte found = Crypt[at];
            int length = found < Opcode.FirstVariable ? 1
                : found < Opcode.FirstFixed ? Crypt[at + 1]
                : found is Opcode.SyncRequest or Opcode.SyncOk ? 5
                : found == Opcode.Rekey ? 2
                : Crypt.Length - at;
            if (found == opcode)
            {
                return Crypt[(at + 1)..(at + length)];
            }

            at += length;
        }

        return null;
    }

    public override string ToString() => $"{Seg}{(Crypt is null ? "" : " CRYPT " + Convert.ToHexString(Crypt))}{(HasMac ? IsAuthentic ? " MAC" : " MAC(wrong)" : "")}";
}
