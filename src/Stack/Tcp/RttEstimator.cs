using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>SRTT, RTTVAR and RTO (RFC 6298).</summary>
internal struct RttEstimator(TimeSpan initialRto, TimeSpan minRto, TimeSpan maxRto)
{
    private readonly TimeSpan _minRto = minRto;
    private readonly TimeSpan _maxRto = maxRto;
    private TimeSpan _base = initialRto;

    public TimeSpan Srtt { get; private set; }

    public TimeSpan RttVar { get; private set; }

    /// <summary>The least sample of the last five to ten minutes (a path may get longer: RFC 8985 §6.2 step 1); zero before the first.</summary>
    public TimeSpan MinRtt { get; private set; }

    private static readonly TimeSpan s_minRttAge = TimeSpan.FromMinutes(5);

    private TimeSpan _nextMinRtt = TimeSpan.MaxValue;
    private TcpInstant _minRttSince;

    public bool HasSample { get; private set; }

    /// <summary>Doublings of the RTO since the last progress (RFC 6298 §5.5).</summary>
    public int Backoff { get; private set; }

    /// <summary>The retransmission time-out, back-off included.</summary>
    public readonly TimeSpan Rto
    {
        get
        {
            long ticks = _base.Ticks << Math.Min(Backoff, 20);
            return ticks > _maxRto.Ticks ? _maxRto : TimeSpan.FromTicks(ticks);
        }
    }

    /// <summary>RFC 6298 §2.2-2.3: a new measurement R'. Karn's rule is the caller's (§3).</summary>
    public void OnSample(TcpInstant now, TimeSpan sample)
    {
        // A clock that jumped, or a forged TSecr, must not poison the estimate: a sample is bounded by what the RTO can ever be.
        if (sample < TimeSpan.Zero)
        {
            return;
        }

        sample = sample > _maxRto ? _maxRto : sample;
        if (!HasSample)
        {
            HasSample = true;
            Srtt = sample;
            RttVar = sample / 2;
            MinRtt = sample;
            _minRttSince = now;
        }
        else
        {
            TimeSpan delta = (Srtt - sample).Duration();

            // A path that became faster is no reason for a longer RTO: then the gain is an eighth of the usual, as in Linux (in the spirit of the Eifel retransmission timer).
            int gain = sample < Srtt && delta > RttVar ? 32 : 4;
            RttVar = TimeSpan.FromTicks((((gain - 1) * RttVar.Ticks) + delta.Ticks) / gain);
            Srtt = TimeSpan.FromTicks(((7 * Srtt.Ticks) + sample.Ticks) / 8);
            MinRtt = sample < MinRtt ? sample : MinRtt;
            _nextMinRtt = sample < _nextMinRtt ? sample : _nextMinRtt;
            if (now - _minRttSince > s_minRttAge)
            {
                MinRtt = _nextMinRtt;
                _nextMinRtt = sample;
                _minRttSince = now;
            }
        }

        // RFC 6298 §2.4 rounds RTO up to 1 s. Deviation: the bound is the variance term's, as in Linux (rttvar >= 200 ms), so RTO = SRTT + at least 200 ms:
        // a bound on the sum would leave no room for a delayed ACK on paths whose SRTT comes near it.
        long variation = Math.Max(4 * RttVar.Ticks, _minRto.Ticks);
        _base = TimeSpan.FromTicks(Math.Min(Srtt.Ticks + variation, _maxRto.Ticks));
    }

    public void OnTimeout() => Backoff++;

    public void OnProgress() => Backoff = 0;

    /// <summary>RFC 6298 §5.7: the SYN's timer expired, so data starts with at least 3 s unless a sample comes first.</summary>
    public void OnSynTimeout(TimeSpan least)
    {
        if (!HasSample && _base < least)
        {
            _base = least;
        }
    }
}
