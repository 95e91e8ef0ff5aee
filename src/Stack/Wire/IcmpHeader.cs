using System.Buffers.Binary;

namespace Tcpcrypt.Wire;

/// <summary>ICMP message types (RFC 792).</summary>
internal static class IcmpType
{
    public const byte EchoReply = 0;
    public const byte DestinationUnreachable = 3;
    public const byte SourceQuench = 4;
    public const byte Redirect = 5;
    public const byte Echo = 8;
    public const byte TimeExceeded = 11;
    public const byte ParameterProblem = 12;
}

/// <summary>Codes of destination unreachable (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).</summary>
internal static class UnreachableCode
{
    public const byte Net = 0;
    public const byte Host = 1;
    public const byte Protocol = 2;
    public const byte Port = 3;
    public const byte FragmentationNeeded = 4;
    public const byte SourceRouteFailed = 5;
    public const byte AdministrativelyProhibited = 13;
}

/// <summary>Read-only view of an ICMP message in place: type, code, checksum, four octets whose meaning goes by type, body.</summary>
internal readonly ref struct IcmpHeader
{
    public const int Length = 8;

    private readonly ReadOnlySpan<byte> _octets;

    private IcmpHeader(ReadOnlySpan<byte> octets) => _octets = octets;

    public byte Type => _octets[0];
    public byte Code => _octets[1];

    /// <summary>Echo: the identifier.</summary>
    public ushort Identifier => BinaryPrimitives.ReadUInt16BigEndian(_octets[4..]);

    /// <summary>Echo: the sequence number.</summary>
    public ushort SequenceNumber => BinaryPrimitives.ReadUInt16BigEndian(_octets[6..]);

    /// <summary>Fragmentation needed: the next hop's MTU in octets, 0 from routers older than RFC 1191.</summary>
    public ushort NextHopMtu => BinaryPrimitives.ReadUInt16BigEndian(_octets[6..]);

    /// <summary>Parameter problem: index of the octet found wrong.</summary>
    public byte Pointer => _octets[4];

    /// <summary>Echo: the data; errors: the quoted packet.</summary>
    public ReadOnlySpan<byte> Body => _octets[Length..];
    public ReadOnlySpan<byte> Octets => _octets;

    public bool IsError => Type is IcmpType.DestinationUnreachable or IcmpType.SourceQuench or IcmpType.Redirect or IcmpType.TimeExceeded or IcmpType.ParameterProblem;

    public static bool TryParse(ReadOnlySpan<byte> message, out IcmpHeader header)
    {
        if (message.Length < Length)
        {
            header = default;
            return false;
        }

        header = new IcmpHeader(message);
        return true;
    }

    /// <summary>Writes type, code, the four octets and the checksum; the body is already behind the header.</summary>
    public static void Write(Span<byte> message, byte type, byte code, uint rest)
    {
        message[0] = type;
        message[1] = code;
        message[2] = 0;
        message[3] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], rest);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Finish(InternetChecksum.Sum(message)));
    }
}
