using System.Buffers.Binary;
using Tcpcrypt.Core;

namespace Tcpcrypt.Wire;

/// <summary>Read-only view of a UDP datagram in place (RFC 768), trimmed to its length.</summary>
internal readonly ref struct UdpHeader
{
    public const int Length = 8;
    public const int ChecksumOffset = 6;

    private readonly ReadOnlySpan<byte> _octets;

    private UdpHeader(ReadOnlySpan<byte> octets) => _octets = octets;

    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_octets);
    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_octets[2..]);

    /// <summary>The checksum field; 0 = the sender computed none.</summary>
    public ushort Checksum => BinaryPrimitives.ReadUInt16BigEndian(_octets[6..]);
    public ReadOnlySpan<byte> Payload => _octets[Length..];
    public ReadOnlySpan<byte> Octets => _octets;

    /// <summary>The only way in. False when the length field is below 8 or beyond the IP payload; a longer IP payload is trimmed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, out UdpHeader header)
    {
        header = default;
        if (payload.Length < Length)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadUInt16BigEndian(payload[4..]);
        if (length < Length || length > payload.Length)
        {
            return false;
        }

        header = new UdpHeader(payload[..length]);
        return true;
    }

    /// <summary>Writes header and checksum; the payload is already behind the header. A computed 0 is sent as 0xFFFF.</summary>
    public static void Write(Span<byte> datagram, Endpoint4 source, Endpoint4 destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(datagram, source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[2..], destination.Port);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[4..], (ushort)datagram.Length);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], 0);
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(datagram, InternetChecksum.PseudoHeader(source.Address, destination.Address, IpProtocol.Udp, datagram.Length)));
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], checksum == 0 ? (ushort)0xFFFF : checksum);
    }
}
