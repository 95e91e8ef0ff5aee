using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.Congestion;

/// <summary>
/// Decides on cwnd and ssthresh (octets). Told of acknowledgments, losses and time-outs; knows no segments. Recovery's own arithmetic (inflation by
/// duplicate ACKs, deflation by partial ones) belongs to the loss detection and is done on <see cref="Cwnd"/> from there.
/// </summary>
internal abstract class CongestionController
{
    /// <summary>The congestion window, in octets.</summary>
    public long Cwnd { get; set; }

    /// <summary>The slow-start threshold, in octets; arbitrarily high at first (RFC 5681 §3.1).</summary>
    public long Ssthresh { get; protected set; } = long.MaxValue;

    /// <summary>The sender's maximum segment size, in octets.</summary>
    public int Smss { get; set; } = 536;

    public abstract string Name { get; }

    /// <summary>New data was acknowledged outside of recovery, while the window was what limited the sender.</summary>
    public abstract void OnAck(TcpInstant now, long acked, TimeSpan srtt);

    /// <summary>Loss was found by duplicate ACKs: sets ssthresh (RFC 5681 eq. 4).</summary>
    public abstract void OnLoss(TcpInstant now, long flightSize);

    /// <summary>The retransmission timer expired for the first time for this data; cwnd becomes one segment in any case (RFC 5681 §3.1).</summary>
    public abstract void OnTimeout(TcpInstant now, long flightSize);

    public static CongestionController Create(CongestionControl kind) => kind switch
    {
        CongestionControl.NewReno => new NewReno(),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "Unknown congestion control."),
    };
}

/// <summary>Slow start and congestion avoidance of RFC 5681, for NewReno recovery (RFC 6582).</summary>
internal sealed class NewReno : CongestionController
{
    private long _ackedInAvoidance;

    public override string Name => "reno";

    public override void OnAck(TcpInstant now, long acked, TimeSpan srtt)
    {
        if (Cwnd < Ssthresh)
        {
            // Deviation from RFC 5681's min(N, SMSS): by octets acknowledged, as Linux does, because receivers behind GRO acknowledge dozens of
            // segments at once (RFC 3465 in spirit). ACK division gains nothing.
            long grown = Math.Min(Cwnd + acked, Math.Max(Ssthresh, Cwnd));
            acked -= grown - Cwnd;
            Cwnd = grown;
            if (acked <= 0)
            {
                return;
            }
        }

        // RFC 5681 §3.1, the recommended way: one SMSS when cwnd octets were acknowledged.
        _ackedInAvoidance += acked;
        if (_ackedInAvoidance >= Cwnd)
        {
            _ackedInAvoidance -= Cwnd;
            Cwnd += Smss;
        }
    }

    public override void OnLoss(TcpInstant now, long flightSize)
    {
        Ssthresh = Math.Max(flightSize / 2, 2L * Smss);
        _ackedInAvoidance = 0;
    }

    public override void OnTimeout(TcpInstant now, long flightSize) => OnLoss(now, flightSize);
}
