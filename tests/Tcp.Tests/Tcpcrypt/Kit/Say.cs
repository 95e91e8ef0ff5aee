using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>CRYPT options, octet by octet.</summary>
internal static class Say
{
    public static readonly byte[] P256 = [0, 2, 0];
    public static readonly byte[] P521 = [0, 2, 1];
    public static readonly byte[] Rsa = [0, 1, 0];
    public static readonly byte[] Marker = [0, 0xf0, 4];

    /// <summary>What a stack of ours answers with when nobody has changed its settings.</summary>
    public static readonly byte[] OurPkConf = [0x41, 14, .. P256, .. P521, .. Rsa, .. Marker];

    public static readonly byte[] Hello = [Opcode.Hello];
    public static readonly byte[] Decline = [Opcode.Decline];

    /// <summary>DECLINE with UNKNOWN that names one opcode ([TD-46..48]).</summary>
    public static byte[] DeclineUnknown(byte opcode) => [Opcode.Decline, Opcode.Unknown, 3, opcode];

    public static byte[] PkConf(params byte[][] entries) => PkConfAs(Opcode.PkConf, entries);

    public static byte[] PkConfAs(byte opcode, params byte[][] entries)
    {
        byte[] list = [.. entries.SelectMany(static entry => entry)];
        return [opcode, (byte)(2 + list.Length), .. list];
    }

    public static byte[] NextK1(ReadOnlySpan<byte> identifier, byte opcode = Opcode.NextK1) => [opcode, .. identifier];

    public static byte[] Clock(byte opcode, uint clock) => [opcode, (byte)(clock >> 24), (byte)(clock >> 16), (byte)(clock >> 8), (byte)clock];

    /// <summary>The option of its own around suboptions.</summary>
    public static byte[] Option(params byte[] suboptions) => [69, (byte)(2 + suboptions.Length), .. suboptions];
}
