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

    private HyStart _hyStart = new();

    // An epoch of congestion avoidance (§4.2); windows in segments.
    private TcpInstant _epochStart = TcpInstant.Never;
    private double _windowMax;
    private double _windowPrior;
    private double _reno;

    /// <summary>K: seconds until the window is W_max again.</summary>
    private double _k;

    /// <summary>The growth that is not a whole octet yet.</summary>
    private double _fraction;

    private (TcpInstant EpochStart, double Max, double Prior, double Reno, double K) _undo = (TcpInstant.Never, 0, 0, 0, 0);

    public override string Name => "cubic";

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

        long grown = _hyStart.OnAck(ack);
        long rest = SlowStart(grown);
        if (_hyStart.IsOver)
        {
            Ssthresh = Cwnd;
            _hyStart = new HyStart();
        }

        return rest;
    }

    private void Avoid(in AckSample ack, long acked)
    {
        double window = (double)Cwnd / Smss;
        if (_epochStart.IsNever)
        {
            _epochStart = ack.Now;
            _reno = window;
            _fraction = 0;
            if (window < _windowMax)
            {
                _k = Math.Cbrt((_windowMax - window) / Aggressiveness);
            }
            else
            {
                // Congestion avoidance from slow start or a time-out (§4.8, §4.10): from here on up.
                _k = 0;
                _windowMax = window;
                _windowPrior = 0;
            }
        }

        double elapsed = (ack.Now - _epochStart).TotalSeconds;
        double segments = (double)acked / Smss;

        // §4.3: the Reno-friendly region. Beyond the window of the last congestion Reno's own increase would be 1.
        _reno += (_reno < _windowPrior ? RenoIncrease : 1) * segments / window;
        if (Curve(elapsed) < _reno)
        {
            Grow(Math.Max(_reno, window) - window);
            return;
        }

        // §4.4, §4.5.
        double target = Math.Clamp(Curve(elapsed + ack.Srtt.TotalSeconds), window, 1.5 * window);
        Grow((target - window) / window * segments);
    }

    /// <summary>W_cubic(t), RFC 9438 §4.2.</summary>
    private double Curve(double seconds)
    {
        double t = seconds - _k;
        return (Aggressiveness * t * t * t) + _windowMax;
    }

    private void Grow(double segments)
    {
        double octets = (segments * Smss) + _fraction;
        long whole = (long)octets;
        _fraction = octets - whole;
        Cwnd += whole;
    }

    public override void OnCongestion(TcpInstant now, long flightSize)
    {
        // By cwnd, as §4.6 allows where the window is kept to what is used.
        Remember();
        double window = (double)Cwnd / Smss;

        // §4.7, fast convergence: less than last time means that someone else wants a share.
        _windowMax = window < _windowMax ? window * (1 + Decrease) / 2 : window;
        _windowPrior = window;
        _epochStart = TcpInstant.Never;
        Ssthresh = Math.Max((long)(Cwnd * Decrease), 2L * Smss);
    }

    public override void OnTimeout(TcpInstant now, long flightSize)
    {
        OnCongestion(now, flightSize);

        // §4.8: the first congestion avoidance after it starts its own epoch.
        _windowMax = 0;
        _hyStart = new HyStart();
    }

    public override void OnUndo(long priorCwnd, long priorSsthresh)
    {
        base.OnUndo(priorCwnd, priorSsthresh);
        (_epochStart, _windowMax, _windowPrior, _reno, _k) = _undo;
    }

    public override void OnIdle(TimeSpan pause)
    {
        if (!_epochStart.IsNever)
        {
            // §5.8: time in which nothing was sent does not count.
            _epochStart += pause;
        }
    }

    private void Remember() => _undo = (_epochStart, _windowMax, _windowPrior, _reno, _k);
}
