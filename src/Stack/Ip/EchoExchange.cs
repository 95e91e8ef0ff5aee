using System.Net.NetworkInformation;
using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>An echo request of ours and what became of it (RFC 792). Raises Closed once, with the result set.</summary>
internal sealed class EchoExchange : CoreObject
{
    private readonly IcmpLayer _layer;
    private readonly TcpInstant _sent;
    private readonly TcpInstant _deadline;

    internal EchoExchange(IcmpLayer layer, uint key, Ipv4Address target, int dataLength, TcpInstant sent, TimeSpan timeout)
    {
        _layer = layer;
        Key = key;
        Target = target;
        DataLength = dataLength;
        _sent = sent;
        _deadline = sent + timeout;
    }

    /// <summary>Identifier and sequence number, both unpredictable.</summary>
    public uint Key { get; }

    public Ipv4Address Target { get; }

    public int DataLength { get; }

    /// <summary>Unknown until the exchange has ended.</summary>
    public IPStatus Status { get; private set; } = IPStatus.Unknown;

    /// <summary>Who answered or reported; the any address after a time-out.</summary>
    public Ipv4Address From { get; private set; }

    public TimeSpan RoundTrip { get; private set; }

    /// <summary>The reply's time to live when it arrived.</summary>
    public byte TimeToLive { get; private set; }

    /// <summary>With PacketTooBig: the next hop's MTU, in octets; else 0.</summary>
    public int PathMtu { get; private set; }

    public bool IsEnded => Status != IPStatus.Unknown;

    public override TcpInstant Deadline => IsEnded ? TcpInstant.Never : _deadline;

    /// <summary>Nobody waits any longer: the exchange is forgotten, without an event. Harmless when it has ended.</summary>
    public void Cancel() => _layer.Forget(this);

    public override void OnDeadline(TcpInstant now) => _layer.End(now, this, IPStatus.TimedOut, Ipv4Address.Any, 0, 0);

    internal void SetResult(TcpInstant now, IPStatus status, Ipv4Address from, byte timeToLive, int pathMtu)
    {
        Status = status;
        From = from;
        RoundTrip = now - _sent;
        TimeToLive = timeToLive;
        PathMtu = pathMtu;
    }
}
