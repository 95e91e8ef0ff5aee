using System.Buffers.Binary;
using Tcpcrypt.Core;

namespace Tcpcrypt.Wire;

/// <summary>IP protocol numbers.</summary>
internal static class IpProtocol
{
    public const byte Icmp = 1;
    public const byte Tcp = 6;
    public const byte Udp = 17;
}

/// <summary>The explicit congestion notification field (RFC 3168 §5).</summary>
internal enum Ecn : byte
{
    NotEct = 0,
    Ect1 = 1,
    Ect0 = 2,
    Ce = 3,
}

/// <summary>Why a header was refused.</summary>
internal enum Ipv4ParseError
{
    None,
    TooShort,
    NotVersion4,
    BadHeaderLength,
    BadTotalLength,
    BadChecksum,
}

/// <summary>Read-only view of an IPv4 packet in place (RFC 791 §3.1), trimmed to its total length.</summary>
internal readonly ref struct Ipv4Header
{
    public const int MinLength = 20;
    public const ushort DontFragment = 0x4000;
    public const ushort MoreFragments = 0x2000;

    private readonly ReadOnlySpan<byte> _octets;

    private Ipv4Header(ReadOnlySpan<byte> octets) => _octets = octets;

    public int HeaderLength => (_octets[0] & 15) * 4;
    public byte TypeOfService => _octets[1];
    public Ecn Ecn => (Ecn)(_octets[1] & 3);
    public int TotalLength => _octets.Length;
    public ushort Identification => BinaryPrimitives.ReadUInt16BigEndian(_octets[4..]);
    public bool IsDontFragment => (_octets[6] & 0x40) != 0;
    public bool HasMoreFragments => (_octets[6] & 0x20) != 0;

    /// <summary>Where this fragment's data starts in the datagram, in octets.</summary>
    public int FragmentOffset => (BinaryPrimitives.ReadUInt16BigEndian(_octets[6..]) & 0x1FFF) * 8;
    public bool IsFragment => (BinaryPrimitives.ReadUInt16BigEndian(_octets[6..]) & 0x3FFF) != 0;
    public byte TimeToLive => _octets[8];
    public byte Protocol => _octets[9];
    public Ipv4Address Source => Ipv4Address.Read(_octets[12..]);
    public Ipv4Address Destination => Ipv4Address.Read(_octets[16..]);
    public ReadOnlySpan<byte> Options => _octets[MinLength..HeaderLength];
    public ReadOnlySpan<byte> Payload => _octets[HeaderLength..];

    /// <summary>The whole packet, without what the link added behind it.</summary>
    public ReadOnlySpan<byte> Octets => _octets;

    /// <summary>The only way in: after <see cref="Ipv4ParseError.None"/> no accessor can fail. A packet longer than its total length is trimmed.</summary>
    /// <remarks>A TSO super-segment may have a total length that the device left inconsistent; its length is the buffer's.</remarks>
    public static Ipv4ParseError TryParse(ReadOnlySpan<byte> packet, out Ipv4Header header, bool verifyChecksum = true, bool isSuperSegment = false)
    {
        header = default;
        if (packet.Length < MinLength)
        {
            return packet.Length > 0 && packet[0] >> 4 != 4 ? Ipv4ParseError.NotVersion4 : Ipv4ParseError.TooShort;
        }

        if (packet[0] >> 4 != 4)
        {
            return Ipv4ParseError.NotVersion4;
        }

        int headerLength = (packet[0] & 15) * 4;
        if (headerLength < MinLength || headerLength > packet.Length)
        {
            return Ipv4ParseError.BadHeaderLength;
        }

        int totalLength = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        if (isSuperSegment)
        {
            totalLength = packet.Length;
        }

        if (totalLength < headerLength || totalLength > packet.Length)
        {
            return Ipv4ParseError.BadTotalLength;
        }

        if (verifyChecksum && !InternetChecksum.IsValid(packet[..headerLength]))
        {
            return Ipv4ParseError.BadChecksum;
        }

        header = new Ipv4Header(packet[..totalLength]);
        return Ipv4ParseError.None;
    }

    /// <summary>Writes a 20-octet header with its checksum at the start of <paramref name="packet"/>, whose length becomes the total length.</summary>
    public static void Write(Span<byte> packet, byte protocol, Ipv4Address source, Ipv4Address destination, ushort identification, byte timeToLive = 64, byte typeOfService = 0, ushort flagsAndOffset = DontFragment)
    {
        packet[0] = 0x45;
        packet[1] = typeOfService;
        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)packet.Length);
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], identification);
        BinaryPrimitives.WriteUInt16BigEndian(packet[6..], flagsAndOffset);
        packet[8] = timeToLive;
        packet[9] = protocol;
        packet[10] = 0;
        packet[11] = 0;
        source.Write(packet[12..]);
        destination.Write(packet[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], InternetChecksum.Finish(InternetChecksum.Sum(packet[..MinLength])));
    }
}
