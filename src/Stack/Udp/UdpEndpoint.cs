using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt.Udp;

/// <summary>A bound UDP port in the core. Events: Readable, Notice (an ICMP error about what a connected one sent), Closed.</summary>
internal sealed class UdpEndpoint : CoreObject
{
    private readonly UdpLayer _layer;
    private readonly DatagramQueue _received = new();
    private int _error;

    internal UdpEndpoint(UdpLayer layer, Endpoint4 local)
    {
        _layer = layer;
        Local = local;
    }

    /// <summary>The bound end. The any address until <see cref="Connect"/> settles it.</summary>
    public Endpoint4 Local { get; internal set; }

    /// <summary>The only peer, when connected.</summary>
    public Endpoint4? Remote { get; internal set; }

    /// <summary>Of datagrams sent: 1 to 255.</summary>
    public byte TimeToLive { get; set; } = Ip.Ipv4Layer.DefaultTimeToLive;

    /// <summary>DSCP and ECN of datagrams sent.</summary>
    public byte TypeOfService { get; set; }

    /// <summary>Octets that may be queued, <see cref="DatagramQueue.Overhead"/> for each datagram included.</summary>
    public int ReceiveBufferSize { get; set; } = 256 * 1024;

    public int QueuedDatagrams => _received.Datagrams;

    /// <summary>Octets of payload queued.</summary>
    public int QueuedOctets => _received.Octets;

    public bool IsClosed { get; internal set; }

    /// <summary>Another endpoint with the same port and another local address.</summary>
    internal UdpEndpoint? NextOnPort { get; set; }

    /// <summary>Takes datagrams and ICMP errors from this peer only. A local any address becomes the one that the route gives. Connecting again changes the peer.</summary>
    public SocketError Connect(TcpInstant now, Endpoint4 remote) => _layer.Connect(this, remote);

    /// <summary>
    /// Sends a datagram, in fragments when it is longer than the path's MTU. Fails with MessageSize above 65,507 octets, NetworkUnreachable, AccessDenied
    /// (broadcast), InvalidArgument (port 0), NoBufferSpaceAvailable, OperationAborted (closed).
    /// </summary>
    public SocketError Send(TcpInstant now, ReadOnlySpan<byte> payload, Endpoint4 remote) =>
        IsClosed ? SocketError.OperationAborted : _layer.Send(now, Local, remote, payload, TimeToLive, TypeOfService);

    /// <summary>Takes the oldest datagram; what does not fit is lost. Thread-safe: needs no lock of the core's.</summary>
    public bool TryReceive(Span<byte> into, out UdpArrival arrival, bool peek = false) => _received.TryTake(into, out arrival, peek);

    /// <summary>The last ICMP error, cleared by reading it. Thread-safe.</summary>
    public SocketError TakeError() => (SocketError)Interlocked.Exchange(ref _error, 0);

    /// <summary>Gives the port back; what is queued is lost.</summary>
    public void Close(TcpInstant now) => _layer.Close(this);

    public override TcpInstant Deadline => TcpInstant.Never;

    public override void OnDeadline(TcpInstant now)
    {
    }

    internal bool TryQueue(ReadOnlySpan<byte> data, in UdpArrival about) => _received.TryAdd(data, about, ReceiveBufferSize);

    internal void SetError(SocketError error) => Volatile.Write(ref _error, (int)error);

    internal void Discard() => _received.Close();
}
