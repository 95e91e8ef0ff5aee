using System.Buffers.Binary;

namespace Tcpcrypt.Wire;

/// <summary>The control bits of octet 13 (RFC 9293 §3.1, RFC 3168).</summary>
[Flags]
internal enum TcpFlags : byte
{
    None = 0,
    Fin = 0x01,
    Syn = 0x02,
    Rst = 0x04,
    Psh = 0x08,
    Ack = 0x10,
    Urg = 0x20,
    Ece = 0x40,
    Cwr = 0x80,
}

/// <summary>Read-only view of a TCP segment in place (RFC 9293 §3.1).</summary>
internal readonly ref struct TcpHeader
{
    public const int MinLength = 20;
    public const int MaxOptionsLength = 40;
    public const int ChecksumOffset = 16;

    private readonly ReadOnlySpan<byte> _octets;

    private TcpHeader(ReadOnlySpan<byte> octets) => _octets = octets;

    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_octets);
    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_octets[2..]);
    public Seq<Remote> Seq => new(BinaryPrimitives.ReadUInt32BigEndian(_octets[4..]));
    public Seq<Local> Ack => new(BinaryPrimitives.ReadUInt32BigEndian(_octets[8..]));
    public int HeaderLength => (_octets[12] >> 4) * 4;
    public TcpFlags Flags => (TcpFlags)_octets[13];
    public ushort Window => BinaryPrimitives.ReadUInt16BigEndian(_octets[14..]);
    public ushort Checksum => BinaryPrimitives.ReadUInt16BigEndian(_octets[16..]);
    public ushort UrgentPointer => BinaryPrimitives.ReadUInt16BigEndian(_octets[18..]);
    public ReadOnlySpan<byte> Options => _octets[MinLength..HeaderLength];
    public ReadOnlySpan<byte> Payload => _octets[HeaderLength..];
    public ReadOnlySpan<byte> Octets => _octets;

    /// <summary>The only way in: after true, no accessor can fail. A data offset below 5 or beyond the segment is refused.</summary>
    public static bool TryParse(ReadOnlySpan<byte> segment, out TcpHeader header)
    {
        if (segment.Length < MinLength || segment[12] >> 4 < 5 || (segment[12] >> 4) * 4 > segment.Length)
        {
            header = default;
            return false;
        }

        header = new TcpHeader(segment);
        return true;
    }
}
