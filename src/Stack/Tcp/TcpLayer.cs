using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>TCP as a whole: demultiplexing, listeners, SYN cache, TIME-WAIT, ports.</summary>
internal sealed class TcpLayer
{
    /// <summary>A segment for a local address arrived; the IP header has been checked, the TCP part has not.</summary>
    public void OnSegment(TcpInstant now, scoped in Ipv4Header ip, PacketSlot packet) => throw new NotImplementedException();

    /// <summary>An ICMP error whose quoted packet is a TCP segment from a local address.</summary>
    public void OnIcmpError(TcpInstant now, scoped in IcmpError error) => throw new NotImplementedException();

    /// <summary>Active OPEN. A null local end or port 0 is chosen (RFC 6056). Success means SYN-SENT; the result is an event.</summary>
    public SocketError Connect(TcpInstant now, Endpoint4? local, Endpoint4 remote, TcpEndpointOptions options, out TcpEndpoint? endpoint) => throw new NotImplementedException();

    /// <summary>Passive OPEN. Port 0 is chosen; the any address listens on every local one.</summary>
    public SocketError Listen(Endpoint4 local, TcpEndpointOptions options, int backlog, out TcpListener? listener) => throw new NotImplementedException();

    /// <summary>True when a destination address is taken by a <see cref="Forward"/> handler: such SYNs count as local.</summary>
    public bool IsMapped(Ipv4Address destination) => throw new NotImplementedException();

    /// <summary>Destinations of SYNs (address/prefix length) that <paramref name="handler"/> decides on. It is called inside the core: it queues and returns.</summary>
    public IDisposable Forward(Ipv4Address network, int prefixLength, int maxInFlight, int maxInFlightPerSource, Action<TcpForward> handler) => throw new NotImplementedException();

    /// <summary>All connections with a TCB.</summary>
    public IReadOnlyCollection<TcpEndpoint> Endpoints => throw new NotImplementedException();

    /// <summary>Connections in TIME-WAIT, by 4-tuple.</summary>
    public IEnumerable<FourTuple> TimeWaits => throw new NotImplementedException();

    /// <summary>Half-open connections, by 4-tuple.</summary>
    public IEnumerable<FourTuple> SynReceiveds => throw new NotImplementedException();
}
