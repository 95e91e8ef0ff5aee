using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

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

    /// <summary>The error's socket error: 0/5/11/12 NetworkUnreachable, 1 HostUnreachable, 2 ProtocolOption, 3 ConnectionRefused, others HostUnreachable.</summary>
    public SocketError SocketError => Type == IcmpType.DestinationUnreachable
        ? Code switch
        {
            UnreachableCode.Net or 6 or 9 or 11 => SocketError.NetworkUnreachable,
            UnreachableCode.Protocol => SocketError.ProtocolOption,
            UnreachableCode.Port => SocketError.ConnectionRefused,
            _ => SocketError.HostUnreachable,
        }
        : SocketError.HostUnreachable;
}
