using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Congestion;

/// <summary>HyStart++ (RFC 9406): slow start is left when the round trip grows, before the queue overflows; conservative slow start first makes sure.</summary>
internal sealed class HyStart
{
    private static readonly TimeSpan s_minThreshold = TimeSpan.FromMilliseconds(4);
    private static readonly TimeSpan s_maxThreshold = TimeSpan.FromMilliseconds(16);

    private const int RttDivisor = 8;
    private const int SamplesPerRound = 8;
    private const int GrowthDivisor = 4;
    private const int ConservativeRounds = 5;

    private Seq<Local> _windowEnd;
    private bool _hasRound;
    private TimeSpan _lastRoundMin = TimeSpan.MaxValue;
    private TimeSpan _roundMin = TimeSpan.MaxValue;
    private TimeSpan _baseline = TimeSpan.MaxValue;
    private int _samples;
    private int _conservativeRounds;

    /// <summary>In conservative slow start (CSS).</summary>
    public bool IsConservative { get; private set; }

    /// <summary>Slow start has come to its end: ssthresh is the window.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Returns by how much the window may grow (§4.2).</summary>
    public long OnAck(in AckSample ack)
    {
        if (!_hasRound || ack.Una > _windowEnd)
        {
            BeginRound(ack.Nxt);
        }

        if (ack.Rtt > TimeSpan.Zero)
        {
            _samples++;
            _roundMin = ack.Rtt < _roundMin ? ack.Rtt : _roundMin;
        }

        // The window grows before the round trip is looked at.
        long growth = IsConservative ? Math.Max(ack.Acked / GrowthDivisor, 1) : ack.Acked;
        if (_samples >= SamplesPerRound && _roundMin != TimeSpan.MaxValue && _lastRoundMin != TimeSpan.MaxValue)
        {
            Decide();
        }

        return growth;
    }

    private void Decide()
    {
        if (IsConservative)
        {
            if (_roundMin < _baseline)
            {
                // Jitter it was: back to slow start.
                _baseline = TimeSpan.MaxValue;
                IsConservative = false;
            }

            return;
        }

        TimeSpan threshold = TimeSpan.FromTicks(Math.Clamp(_lastRoundMin.Ticks / RttDivisor, s_minThreshold.Ticks, s_maxThreshold.Ticks));
        if (_roundMin >= _lastRoundMin + threshold)
        {
            _baseline = _roundMin;
            IsConservative = true;
            _conservativeRounds = 0;
        }
    }

    private void BeginRound(Seq<Local> nxt)
    {
        _hasRound = true;
        _windowEnd = nxt;
        _lastRoundMin = _roundMin;
        _roundMin = TimeSpan.MaxValue;
        _samples = 0;
        IsOver = IsConservative && ++_conservativeRounds >= ConservativeRounds;
    }
}
