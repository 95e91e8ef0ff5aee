using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

/// <summary>How a destination is reached.</summary>
internal readonly record struct Ipv4Route(Ipv4Address Source, int Mtu);

/// <summary>An ICMP error about a packet of ours, its quote parsed (RFC 1122 §3.2.2, RFC 5927).</summary>
internal readonly ref struct IcmpError
{
    public required byte Type { get; init; }
    public required byte Code { get; init; }

    /// <summary>Who reports.</summary>
    public required Ipv4Address Reporter { get; init; }

    /// <summary>Our packet: Local = its source, Remote = its destination.</summary>
    public required FourTuple Tuple { get; init; }

    /// <summary>TCP: the quoted sequence number.</summary>
    public required Seq<Local> Sequence { get; init; }

    /// <summary>The quoted packet's total length, in octets.</summary>
    public required int QuotedLength { get; init; }

    /// <summary>Fragmentation needed: the next hop's MTU, already replaced by a plateau (RFC 1191 §7) when the router sent 0; else 0.</summary>
    public required int NextHopMtu { get; init; }

    public bool IsFragmentationNeeded => Type == IcmpType.DestinationUnreachable && Code == UnreachableCode.FragmentationNeeded;

    /// <summary>The error's socket error: 0/5/11/12 NetworkUnreachable, 1 HostUnreachable, 2/3 ConnectionRefused, others HostUnreachable.</summary>
    public SocketError SocketError => Type == IcmpType.DestinationUnreachable
        ? Code switch
        {
            UnreachableCode.Net or 6 or 9 or 11 => SocketError.NetworkUnreachable,
            UnreachableCode.Protocol or UnreachableCode.Port => SocketError.ConnectionRefused,
            _ => SocketError.HostUnreachable,
        }
        : SocketError.HostUnreachable;
}

/// <summary>IPv4 of one stack: addresses, routes, input validation, reassembly, output.</summary>
internal sealed class Ipv4Layer
{
    public Ipv4Layer(StackCore core) => _ = core;

    /// <summary>A packet arrived from the link (or was looped back).</summary>
    public void OnPacket(TcpInstant now, PacketSlot packet) => throw new NotImplementedException();

    /// <summary>True for an address of the stack's own.</summary>
    public bool IsLocalAddress(Ipv4Address address) => throw new NotImplementedException();

    /// <summary>True when the address can be the far end of a connection: a unicast host, not a connected subnet's broadcast address.</summary>
    public bool IsValidRemote(Ipv4Address address) => throw new NotImplementedException();

    /// <summary>Finds the route to a destination; false = network unreachable.</summary>
    public bool TryRoute(Ipv4Address destination, out Ipv4Route route) => throw new NotImplementedException();

    /// <summary>The MTU of the path to a destination, in octets: the route's, or less where ICMP said so.</summary>
    public int PathMtu(TcpInstant now, Ipv4Address destination) => throw new NotImplementedException();

    /// <summary>Lowers the path MTU (RFC 1191 §3); the caller has checked the hint (RFC 5927 §7).</summary>
    public void OnPathMtu(TcpInstant now, Ipv4Address destination, int mtu) => throw new NotImplementedException();

    /// <summary>The identification for the next packet (RFC 6864, RFC 7739: per destination and keyed; no global counter).</summary>
    public ushort NextIdentification(Ipv4Address source, Ipv4Address destination, byte protocol) => throw new NotImplementedException();

    /// <summary>Sends an ICMP destination unreachable about a packet, rate-limited and only where RFC 1122 §3.2.2 allows it.</summary>
    public void SendUnreachable(TcpInstant now, scoped in Ipv4Header about, byte code, int nextHopMtu = 0) => throw new NotImplementedException();
}
