using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>
/// What a receive buffer must hold so that it does not slow the sender down: twice what the application took in the last round trip, and more while that grows, since a
/// sender in slow start doubles. A reader that takes little never makes it large.
/// </summary>
internal sealed class ReceiveTuning(TcpInstant now, long taken, int space, TimeSpan rtt)
{
    private Seq<Remote> _windowEnd;
    private TcpInstant _windowAt = TcpInstant.Never;
    private uint _lastEcho;

    /// <summary>What was taken when the round began, when that was, and the most ever taken in a round.</summary>
    private long _taken = taken;
    private TcpInstant _takenAt = now;
    private long _space = space;

    /// <summary>The round-trip time as the receiver sees it, at first what the handshake took; zero while unknown.</summary>
    public TimeSpan Rtt { get; private set; } = rtt;

    /// <summary>By timestamps: how long ago the ACK left that made the peer send this. The clock ticks in milliseconds.</summary>
    public void OnEcho(uint echo, uint clock)
    {
        int elapsed = unchecked((int)(clock - echo));
        if (echo == _lastEcho || elapsed < 0)
        {
            return;
        }

        _lastEcho = echo;
        TimeSpan sample = TimeSpan.FromMilliseconds(Math.Max(elapsed, 1));
        Rtt = Rtt == TimeSpan.Zero ? sample : TimeSpan.FromTicks(((7 * Rtt.Ticks) + sample.Ticks) / 8);
    }

    /// <summary>
    /// By the window: what comes from behind the edge announced so far answers to an announcement still to be made, and so is not here sooner than in a round trip. (What is before the edge may
    /// be on its way already.) Often it takes longer, where the application reads slowly much longer, so that the least counts.
    /// </summary>
    public void OnText(TcpInstant now, Seq<Remote> next, Seq<Remote> edge)
    {
        if (!_windowAt.IsNever)
        {
            if (next <= _windowEnd)
            {
                return;
            }

            TimeSpan sample = now - _windowAt;
            if (sample > TimeSpan.Zero && (Rtt == TimeSpan.Zero || sample < Rtt))
            {
                Rtt = sample;
            }
        }

        _windowAt = now;
        _windowEnd = edge;
    }

    /// <summary>The buffer that is needed; zero when nothing is known yet, or nothing new.</summary>
    public long Wanted(TcpInstant now, long taken, int segmentSize)
    {
        if (Rtt == TimeSpan.Zero || now - _takenAt < Rtt)
        {
            return 0;
        }

        long wanted = 0;
        long count = Math.Min(taken - _taken, 1 << 30);
        if (count > _space)
        {
            wanted = (2 * count) + (16L * segmentSize);
            wanted += 2 * (long)((double)wanted * (count - _space) / _space);
            _space = count;
        }

        _taken = taken;
        _takenAt = now;
        return wanted;
    }
}
