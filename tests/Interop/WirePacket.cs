using System.Buffers.Binary;
using System.Net;

namespace Tcpcrypt.Interop;

/// <summary>A direction on a <see cref="Wire"/>.</summary>
internal enum Heading
{
    ToRight,
    ToLeft,
}

/// <summary>An IPv4 packet with a TCP segment, as somebody on the path sees it and can change it. Nothing here knows a key.</summary>
internal sealed class WirePacket
{
    public const byte Fin = 0x01;
    public const byte Syn = 0x02;
    public const byte Rst = 0x04;
    public const byte Psh = 0x08;
    public const byte Ack = 0x10;

    private const byte CryptKind = 69;
    private const byte MacKind = 70;

    public WirePacket(Heading heading, ReadOnlySpan<byte> octets)
    {
        Heading = heading;
        Octets = octets.ToArray();
    }

    /// <summary>Where it goes.</summary>
    public Heading Heading { get; }

    /// <summary>The whole packet.</summary>
    public byte[] Octets { get; private set; }

    public IPAddress Source => new(Octets.AsSpan(12, 4));

    public IPAddress Destination => new(Octets.AsSpan(16, 4));

    public byte Flags
    {
        get => Tcp[13];
        set => Tcp[13] = value;
    }

    public uint Seq
    {
        get => BinaryPrimitives.ReadUInt32BigEndian(Tcp[4..]);
        set => BinaryPrimitives.WriteUInt32BigEndian(Tcp[4..], value);
    }

    public uint AckNumber
    {
        get => BinaryPrimitives.ReadUInt32BigEndian(Tcp[8..]);
        set => BinaryPrimitives.WriteUInt32BigEndian(Tcp[8..], value);
    }

    public ushort Window
    {
        get => BinaryPrimitives.ReadUInt16BigEndian(Tcp[14..]);
        set => BinaryPrimitives.WriteUInt16BigEndian(Tcp[14..], value);
    }

    public Span<byte> Options => Tcp[20..HeaderLength];

    public Span<byte> Payload => Tcp[HeaderLength..];

    /// <summary>A SYN, without ACK.</summary>
    public bool IsSyn => (Flags & (Syn | Ack)) == Syn;

    public bool IsSynAck => (Flags & (Syn | Ack)) == (Syn | Ack);

    /// <summary>It has a MAC option.</summary>
    public bool HasMac => FindOption(MacKind) is not null;

    /// <summary>It is protected and has data.</summary>
    public bool IsProtectedData => HasMac && Payload.Length > 0;

    /// <summary>The suboptions of its CRYPT option, head aside; null without one.</summary>
    public byte[]? Crypt => FindOption(CryptKind) is { } at ? Options.Slice(at + 2, Options[at + 1] - 2).ToArray() : null;

    /// <summary>It announces the message INIT1 in its data.</summary>
    public bool IsInit1 => !HasMac && Crypt is [.., 0x07];

    /// <summary>It announces the message INIT2 in its data.</summary>
    public bool IsInit2 => !HasMac && Crypt is [.., 0x08];

    private int IpHeaderLength => (Octets[0] & 15) * 4;

    private Span<byte> Tcp => Octets.AsSpan(IpHeaderLength);

    private int HeaderLength => (Tcp[12] >> 4) * 4;

    /// <summary>Whether these octets are a whole IPv4 packet with a whole TCP header.</summary>
    public static bool IsTcp(ReadOnlySpan<byte> octets)
    {
        if (octets.Length < 40 || octets[0] >> 4 != 4 || octets[9] != 6)
        {
            return false;
        }

        int ip = (octets[0] & 15) * 4;
        return octets.Length >= ip + 20 && octets.Length >= ip + (octets[ip + 12] >> 4) * 4;
    }

    /// <summary>Forges a segment without data.</summary>
    /// <param name="heading">Where it goes.</param>
    /// <param name="source">Who seems to send it.</param>
    /// <param name="destination">To whom.</param>
    /// <param name="flags">Its flags.</param>
    /// <param name="seq">Its sequence number.</param>
    /// <param name="ack">Its acknowledgment number.</param>
    /// <param name="options">Its options, a multiple of four octets.</param>
    public static WirePacket Make(Heading heading, IPEndPoint source, IPEndPoint destination, byte flags, uint seq, uint ack, params ReadOnlySpan<byte> options)
    {
        byte[] octets = new byte[40 + options.Length];
        (octets[0], octets[3], octets[8], octets[9], octets[32]) = (0x45, (byte)octets.Length, 64, 6, (byte)((20 + options.Length) / 4 << 4));
        source.Address.TryWriteBytes(octets.AsSpan(12), out _);
        destination.Address.TryWriteBytes(octets.AsSpan(16), out _);
        BinaryPrimitives.WriteUInt16BigEndian(octets.AsSpan(20), (ushort)source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(octets.AsSpan(22), (ushort)destination.Port);
        options.CopyTo(octets.AsSpan(40));
        WirePacket made = new(heading, octets) { Flags = flags, Seq = seq, AckNumber = ack, Window = 64_000 };
        made.FixChecksums();
        return made;
    }

    public WirePacket Clone() => new(Heading, Octets);

    /// <summary>Replaces an option by NOPs: what a middlebox does that knows no better.</summary>
    public void StripCrypt() => Strip(CryptKind);

    /// <inheritdoc cref="StripCrypt"/>
    public void StripMac() => Strip(MacKind);

    /// <summary>Gives the segment other data.</summary>
    public void SetPayload(ReadOnlySpan<byte> data)
    {
        byte[] changed = [.. Octets.AsSpan(0, IpHeaderLength + HeaderLength), .. data];
        BinaryPrimitives.WriteUInt16BigEndian(changed.AsSpan(2), (ushort)changed.Length);
        Octets = changed;
    }

    /// <summary>Makes both checksums right again. What is forged must not be dropped for another reason than the one that is tested.</summary>
    public void FixChecksums()
    {
        Span<byte> ip = Octets.AsSpan(0, IpHeaderLength);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], Fold(Sum(ip)));
        Span<byte> tcp = Tcp;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], Fold(Sum(ip[12..20]) + 6 + (uint)tcp.Length + Sum(tcp)));
    }

    public override string ToString()
    {
        string flags = string.Concat("FSRPAUEC".Where((_, bit) => (Flags & (1 << bit)) != 0));
        return $"{(Heading == Heading.ToRight ? '>' : '<')} {Source} {flags} {Seq:x8} ack {AckNumber:x8} win {Window}, {Payload.Length} octets"
            + (Crypt is { } crypt ? $", CRYPT {Convert.ToHexStringLower(crypt)}" : "") + (HasMac ? ", MAC" : "");
    }

    private void Strip(byte kind)
    {
        if (FindOption(kind) is { } at)
        {
            Options.Slice(at, Options[at + 1]).Fill(1);
        }
    }

    private int? FindOption(byte kind)
    {
        Span<byte> options = Options;
        for (int at = 0; at < options.Length && options[at] != 0;)
        {
            int length = options[at] == 1 ? 1 : at + 1 < options.Length ? options[at + 1] : 0;
            if (length == 0 || at + length > options.Length || (options[at] != 1 && length < 2))
            {
                return null;
            }

            if (options[at] == kind)
            {
                return at;
            }

            at += length;
        }

        return null;
    }

    private static uint Sum(ReadOnlySpan<byte> octets)
    {
        uint sum = 0;
        for (int i = 0; i < octets.Length; i += 2)
        {
            sum += (uint)(octets[i] << 8) + (i + 1 < octets.Length ? octets[i + 1] : 0u);
        }

        return sum;
    }

    private static ushort Fold(uint sum)
    {
        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }

        return (ushort)~sum;
    }
}
