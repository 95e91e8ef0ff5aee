using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.Congestion;

/// <summary>CUBIC (RFC 9438): the window grows by the time since the last congestion, so that flows with long round trips get their share. Slow start ends by HyStart++ (RFC 9406).</summary>
internal sealed class Cubic : CongestionController
{
    /// <summary>C of RFC 9438 §4.1, segments per second cubed.</summary>
    private const double Aggressiveness = 0.4;

    /// <summary>β_cubic (§4.6).</summary>
    private const double Decrease = 0.7;

    /// <summary>α_cubic (§4.3): as fast as Reno would be with this decrease.</summary>
    private const double RenoIncrease = 3 * (1 - Decrease) / (1 + Decrease);

    /// <summary>An epoch of congestion avoidance (§4.2); windows in segments.</summary>
    private sealed record Epoch
    {
        public TcpInstant Start { get; set; } = TcpInstant.Never;
        public double WindowMax { get; set; }
        public double WindowPrior { get; set; }
        public double Reno { get; set; }

        /// <summary>K: seconds until the window is W_max again.</summary>
        public double K { get; set; }

        /// <summary>The growth that is not a whole octet yet.</summary>
        public double Fraction { get; set; }
    }

    // Most connections never get that far, so these take no memory before.
    private HyStart? _hyStart;
    private Epoch? _epoch;
    private Epoch? _undo;

    public override string Name => "cubic";

    public override CongestionControl Kind => CongestionControl.Cubic;

    public override void OnAck(in AckSample ack)
    {
        long acked = ack.Acked;
        if (Cwnd < Ssthresh)
        {
            acked = OnAckInSlowStart(ack);
            if (acked <= 0)
            {
                return;
            }
        }

        Avoid(ack, acked);
    }

    private long OnAckInSlowStart(in AckSample ack)
    {
        // RFC 9406 §4.3: only the first slow start, whose end is not known.
        if (Ssthresh != long.MaxValue)
        {
            return SlowStart(ack.Acked);
        }

        _hyStart ??= new HyStart();
        long grown = _hyStart.OnAck(ack);
        long rest = SlowStart(grown);
        if (_hyStart.IsOver)
        {
            Ssthresh = Cwnd;
            _hyStart = null;
        }

        return rest;
    }

    private void Avoid(in AckSample ack, long acked)
    {
        double window = (double)Cwnd / Smss;
        Epoch epoch = _epoch ??= new Epoch();
        if (epoch.Start.IsNever)
        {
            epoch.Start = ack.Now;
            epoch.Reno = window;
            epoch.Fraction = 0;
            if (window < epoch.WindowMax)
            {
                epoch.K = Math.Cbrt((epoch.WindowMax - window) / Aggressiveness);
            }
            else
            {
                // Congestion avoidance from slow start or a time-out (§4.8, §4.10): from here on up.
                epoch.K = 0;
                epoch.WindowMax = window;
            }
        }

        double elapsed = (ack.Now - epoch.Start).TotalSeconds;
        double segments = (double)acked / Smss;

        // §4.3: the Reno-friendly region. Beyond the window of the last congestion Reno's own increase would be 1.
        epoch.Reno += (epoch.Reno < epoch.WindowPrior ? RenoIncrease : 1) * segments / window;
        if (Curve(epoch, elapsed) < epoch.Reno)
        {
            Grow(epoch, Math.Max(epoch.Reno, window) - window);
            return;
        }

        // §4.4, §4.5.
        double target = Math.Clamp(Curve(epoch, elapsed + ack.Srtt.TotalSeconds), window, 1.5 * window);
        Grow(epoch, (target - window) / window * segments);
    }

    /// <summary>W_cubic(t), RFC 9438 §4.2.</summary>
    private static double Curve(Epoch epoch, double seconds)
    {
        double t = seconds - epoch.K;
        return (Aggressiveness * t * t * t) + epoch.WindowMax;
    }

    private void Grow(Epoch epoch, double segments)
    {
        double octets = (segments * Smss) + epoch.Fraction;
        long whole = (long)octets;
        epoch.Fraction = octets - whole;
        Cwnd += whole;
    }

    public override void OnCongestion(TcpInstant now, long flightSize)
    {
        // By cwnd, as §4.6 allows where the window is kept to what is used.
        double window = (double)Cwnd / Smss;
        double before = _epoch?.WindowMax ?? 0;
        _undo = _epoch;

        // §4.7, fast convergence: less than last time means that someone else wants a share.
        _epoch = new Epoch { WindowMax = window < before ? window * (1 + Decrease) / 2 : window, WindowPrior = window };
        Ssthresh = Math.Max((long)(Cwnd * Decrease), 2L * Smss);
    }

    public override void OnTimeout(TcpInstant now, long flightSize)
    {
        OnCongestion(now, flightSize);

        // §4.8: the first congestion avoidance after it starts where slow start has left the window; Reno's own increase is for beyond cwnd_prior all the same (§4.3).
        _epoch = new Epoch { WindowPrior = _epoch!.WindowPrior };
        _hyStart = null;
    }

    public override void OnUndo(long priorCwnd, long priorSsthresh)
    {
        base.OnUndo(priorCwnd, priorSsthresh);
        _epoch = _undo;
    }

    public override void OnIdle(TimeSpan pause)
    {
        if (_epoch is { Start.IsNever: false } epoch)
        {
            // §5.8: time in which nothing was sent does not count.
            epoch.Start += pause;
        }
    }
}
