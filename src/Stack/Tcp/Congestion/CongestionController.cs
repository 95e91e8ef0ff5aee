using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Congestion;

/// <summary>What an ACK told the sender, for the window's growth.</summary>
/// <param name="Now">When it came.</param>
/// <param name="Acked">Octets that it was the first to tell of.</param>
/// <param name="Rtt">The round trip of the latest of them; zero where it is not known.</param>
/// <param name="Srtt">The smoothed round-trip time.</param>
/// <param name="MinRtt">The least round-trip time of late.</param>
/// <param name="Una">SND.UNA, this ACK included.</param>
/// <param name="Nxt">SND.NXT.</param>
internal readonly record struct AckSample(TcpInstant Now, long Acked, TimeSpan Rtt, TimeSpan Srtt, TimeSpan MinRtt, Seq<Local> Una, Seq<Local> Nxt);

/// <summary>
/// Decides on cwnd and ssthresh (octets). Told of acknowledgments, congestion and time-outs; knows no segments. While a recovery lasts the window follows
/// PRR, which is the loss recovery's and writes <see cref="Cwnd"/> from there.
/// </summary>
internal abstract class CongestionController
{
    /// <summary>The congestion window, in octets.</summary>
    public long Cwnd { get; set; }

    /// <summary>The slow-start threshold, in octets; arbitrarily high at first (RFC 5681 §3.1).</summary>
    public long Ssthresh { get; set; } = long.MaxValue;

    /// <summary>The sender's maximum segment size, in octets.</summary>
    public int Smss
    {
        get;
        set
        {
            // The path may take larger segments than when the windows were reduced: one of them fits at least, two for ssthresh (RFC 5681 eq. 4).
            field = value;
            Cwnd = Cwnd == 0 ? 0 : Math.Max(Cwnd, value);
            Ssthresh = Math.Max(Ssthresh, 2L * value);
        }
    } = 536;

    public abstract string Name { get; }

    /// <summary>New data was delivered outside of recovery, while the window was what limited the sender.</summary>
    public abstract void OnAck(in AckSample ack);

    /// <summary>A loss, or a mark: sets ssthresh (RFC 5681 eq. 4, RFC 9438 §4.6).</summary>
    public abstract void OnCongestion(TcpInstant now, long flightSize);

    /// <summary>The retransmission timer expired for the first time for this data: sets ssthresh; cwnd becomes one segment in any case (RFC 5681 §3.1).</summary>
    public virtual void OnTimeout(TcpInstant now, long flightSize) => OnCongestion(now, flightSize);

    /// <summary>The last reduction was for nothing (RFC 4015).</summary>
    public virtual void OnUndo(long priorCwnd, long priorSsthresh)
    {
        Cwnd = Math.Max(Cwnd, priorCwnd);
        Ssthresh = Math.Max(Ssthresh, priorSsthresh);
    }

    /// <summary>Sending goes on after a pause in which nothing was in flight.</summary>
    public virtual void OnIdle(TimeSpan pause)
    {
    }

    public abstract CongestionControl Kind { get; }

    /// <summary>The controller of that kind: the one there is, or a new one that goes on from its window and threshold.</summary>
    public static CongestionController Create(CongestionControl kind, CongestionController? current)
    {
        if (current?.Kind == kind)
        {
            return current;
        }

        CongestionController controller = kind switch
        {
            CongestionControl.Cubic => new Cubic(),
            CongestionControl.NewReno => new NewReno(),
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Unknown congestion control."),
        };
        if (current is not null)
        {
            controller.Cwnd = current.Cwnd;
            controller.Ssthresh = current.Ssthresh;
            controller.Smss = current.Smss;
        }

        return controller;
    }

    /// <summary>
    /// Slow start (RFC 5681 §3.1); returns the octets that are left for congestion avoidance. Deviation from min(N, SMSS): by octets delivered, as Linux does, because
    /// receivers behind GRO acknowledge dozens of segments at once (RFC 3465 in spirit). ACK division gains nothing.
    /// </summary>
    protected long SlowStart(long acked)
    {
        long grown = Math.Min(Cwnd + acked, Math.Max(Ssthresh, Cwnd));
        acked -= grown - Cwnd;
        Cwnd = grown;
        return acked;
    }
}
