using System.Buffers.Binary;
using System.Net;

namespace Tcpcrypt.Core;

/// <summary>An IPv4 address as a number in host order; comparisons and prefix tests cost one instruction.</summary>
internal readonly record struct Ipv4Address(uint Value)
{
    public static readonly Ipv4Address Any;
    public static readonly Ipv4Address Broadcast = new(0xFFFF_FFFF);

    public bool IsAny => Value == 0;
    public bool IsMulticast => (Value >> 28) == 0xE;                 // 224/4
    public bool IsReserved => (Value >> 28) == 0xF;                  // 240/4, 255.255.255.255 included
    public bool IsLoopback => (Value >> 24) == 127;                  // 127/8
    public bool IsThisNetwork => (Value >> 24) == 0;                 // 0/8

    /// <summary>True when exactly one host can be meant (RFC 1122 §3.2.1.3): the only addresses that may be a source or get an ICMP error.</summary>
    public bool IsUnicast => !IsThisNetwork && !IsLoopback && !IsMulticast && !IsReserved;

    public static Ipv4Address Read(ReadOnlySpan<byte> octets) => new(BinaryPrimitives.ReadUInt32BigEndian(octets));

    public void Write(Span<byte> octets) => BinaryPrimitives.WriteUInt32BigEndian(octets, Value);

    /// <summary>Converts from the framework's type; false unless it is an IPv4 (or IPv4-mapped) address.</summary>
    public static bool TryFrom(IPAddress address, out Ipv4Address result)
    {
        if (address.IsIPv4MappedToIPv6)
        {
            address = address.MapToIPv4();
        }

        Span<byte> octets = stackalloc byte[16];
        if (address.TryWriteBytes(octets, out int written) && written == 4)
        {
            result = Read(octets);
            return true;
        }

        result = default;
        return false;
    }

    public IPAddress ToIPAddress()
    {
        Span<byte> octets = stackalloc byte[4];
        Write(octets);
        return new IPAddress(octets);
    }

    public static Ipv4Address Parse(string text) =>
        TryFrom(IPAddress.Parse(text), out Ipv4Address address) ? address : throw new FormatException("Not an IPv4 address: " + text);

    public override string ToString() => $"{Value >> 24}.{(Value >> 16) & 255}.{(Value >> 8) & 255}.{Value & 255}";
}

/// <summary>One end of a transport connection.</summary>
internal readonly record struct Endpoint4(Ipv4Address Address, ushort Port)
{
    public IPEndPoint ToIPEndPoint() => new(Address.ToIPAddress(), Port);

    public override string ToString() => $"{Address}:{Port}";
}

/// <summary>The 4-tuple that names a connection (RFC 9293 §3.3.1: a pair of sockets).</summary>
internal readonly record struct FourTuple(Endpoint4 Local, Endpoint4 Remote)
{
    public FourTuple(Ipv4Address localAddress, ushort localPort, Ipv4Address remoteAddress, ushort remotePort)
        : this(new Endpoint4(localAddress, localPort), new Endpoint4(remoteAddress, remotePort))
    {
    }

    public override string ToString() => $"{Local}-{Remote}";
}
