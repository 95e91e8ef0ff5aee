using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt.Udp;

/// <summary>Datagrams between one source and one mapped destination, whose place the stack takes (<see cref="UdpLayer.Forward"/>). Events: Readable; Closed, also when idle for too long.</summary>
internal sealed class UdpFlowEndpoint : CoreObject
{
    /// <summary>Octets that a flow may queue; a budget bounds all flows together.</summary>
    private const int QueueLimit = 128 * 1024;

    private readonly UdpLayer _layer;
    private readonly DatagramQueue _received;
    private TcpInstant _lastUse;

    internal UdpFlowEndpoint(UdpLayer layer, UdpMapping mapping, FourTuple tuple, OctetBudget budget, TcpInstant now)
    {
        _layer = layer;
        Mapping = mapping;
        Tuple = tuple;
        _received = new DatagramQueue(budget);
        _lastUse = now;
    }

    /// <summary>Who sends.</summary>
    public Endpoint4 Source => Tuple.Remote;

    /// <summary>Where it wants to go: the source of replies.</summary>
    public Endpoint4 Destination => Tuple.Local;

    public bool IsClosed { get; internal set; }

    internal UdpMapping Mapping { get; }

    internal FourTuple Tuple { get; }

    /// <summary>Takes the oldest datagram; what does not fit is lost. Thread-safe: needs no lock of the core's.</summary>
    public bool TryReceive(Span<byte> into, out int count)
    {
        bool isTaken = _received.TryTake(into, out UdpArrival arrival, peek: false);
        count = arrival.Count;
        return isTaken;
    }

    /// <summary>Sends a datagram from the destination to the source. Errors as <see cref="UdpEndpoint.Send"/>.</summary>
    public SocketError Reply(TcpInstant now, ReadOnlySpan<byte> payload)
    {
        if (IsClosed)
        {
            return SocketError.OperationAborted;
        }

        _lastUse = now;
        return _layer.Send(now, Destination, Source, payload, Ip.Ipv4Layer.DefaultTimeToLive, typeOfService: 0);
    }

    /// <summary>Forgets the flow: the next datagram starts a new one.</summary>
    public void Close(TcpInstant now) => _layer.Close(this);

    public override TcpInstant Deadline => IsClosed ? TcpInstant.Never : _lastUse + Mapping.IdleTimeout;

    public override void OnDeadline(TcpInstant now)
    {
        if (Deadline <= now)
        {
            _layer.Close(this);
        }
    }

    internal bool TryQueue(TcpInstant now, ReadOnlySpan<byte> data, in UdpArrival about)
    {
        _lastUse = now;
        return _received.TryAdd(data, about, QueueLimit);
    }

    internal void Discard() => _received.Close();
}
