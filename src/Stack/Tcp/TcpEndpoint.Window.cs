using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// A congestion window that was not used proves nothing: it does not grow, and it decays (RFC 7661, RFC 2861, RFC 5681 §4.1).
internal sealed partial class TcpEndpoint
{
    /// <summary>In the last round trip the window was what held the sender back.</summary>
    private bool _wasCwndLimited;

    /// <summary>The most in flight in that round trip, and where it ends.</summary>
    private long _mostFlight;
    private Seq<Local> _usageEnd;

    /// <summary>The most in flight since the window was last used up, or last decayed, and when that was.</summary>
    private long _cwndUsed;
    private TcpInstant _cwndUsedAt;

    /// <summary>The window may grow. In slow start using half of it is enough, since it doubles in a round trip.</summary>
    private bool IsCwndLimited => _congestion.Cwnd < _congestion.Ssthresh ? _congestion.Cwnd < 2 * _mostFlight : _wasCwndLimited;

    /// <summary>After sending, and when the window stops the sender.</summary>
    private void ValidateCwnd(TcpInstant now, bool isLimited)
    {
        long flight = FlightSize;
        if (_snd.Una >= _usageEnd || isLimited || (!_wasCwndLimited && flight > _mostFlight))
        {
            _wasCwndLimited = isLimited;
            _mostFlight = flight;
            _usageEnd = _snd.Nxt;
        }

        if (IsCwndLimited)
        {
            _cwndUsed = 0;
            _cwndUsedAt = now;
            return;
        }

        _cwndUsed = Math.Max(_cwndUsed, flight);
        if (now - _cwndUsedAt >= _rtt.Rto)
        {
            Decay(now);
        }
    }

    /// <summary>The application leaves the window unused for an RTO: halfway down to what was used (RFC 2861 §3.1).</summary>
    private void Decay(TcpInstant now)
    {
        if (_lossState == LossState.Open && _core.Options.Tcp.WindowDecay)
        {
            long used = Math.Max(_cwndUsed, InitialWindow);
            if (used < _congestion.Cwnd)
            {
                _congestion.Ssthresh = CurrentSsthresh;
                _congestion.Cwnd = (_congestion.Cwnd + used) >> 1;
            }
        }

        _cwndUsed = 0;
        _cwndUsedAt = now;
    }

    /// <summary>The window at the end of a pause: half of it for each RTO beyond the first, down to the initial one (RFC 2861 §3.1; RFC 5681 §4.1 would go there at once).</summary>
    private long CwndAfterPause(TcpInstant now)
    {
        long cwnd = _congestion.Cwnd;
        if (FlightSize > 0 || _lastSentAt == default || !_core.Options.Tcp.WindowDecay)
        {
            return cwnd;
        }

        long least = Math.Min(InitialWindow, cwnd);
        TimeSpan rto = _rtt.Rto;
        for (TimeSpan pause = now - _lastSentAt - rto; pause > TimeSpan.Zero && cwnd > least; pause -= rto)
        {
            cwnd >>= 1;
        }

        return Math.Max(cwnd, least);
    }

    private void RestartAfterPause(TcpInstant now)
    {
        if (_lastSentAt == default || now - _lastSentAt <= _rtt.Rto)
        {
            return;
        }

        long cwnd = CwndAfterPause(now);
        _congestion.Ssthresh = _congestion.Cwnd == cwnd ? _congestion.Ssthresh : CurrentSsthresh;
        _congestion.Cwnd = cwnd;
        _congestion.OnIdle(now - _lastSentAt);
        _cwndUsed = 0;
        _cwndUsedAt = now;
    }

    /// <summary>IW (RFC 6928 §2).</summary>
    private long InitialWindow
    {
        get
        {
            int segments = _core.Options.Tcp.InitialWindowSegments;
            return segments == 10 ? Math.Min(10L * EffectiveMss, Math.Max(2L * EffectiveMss, 14_600)) : (long)segments * EffectiveMss;
        }
    }
}
