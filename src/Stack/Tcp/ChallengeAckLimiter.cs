using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>
/// The stack's budget of challenge ACKs (RFC 5961 §7). The count per second is drawn anew each time between half and one and a half of the setting, so
/// that an attacker cannot learn from his own connection how many were spent on another (CVE-2016-5696).
/// </summary>
internal sealed class ChallengeAckLimiter(IRandomSource random, int perSecond)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);
    private TcpInstant _until;
    private uint _left;

    public bool TryTake(TcpInstant now)
    {
        if (now >= _until)
        {
            _until = now + s_interval;
            _left = (uint)(perSecond / 2) + (random.NextUInt32() % (uint)Math.Max(perSecond, 1));
        }

        if (_left == 0)
        {
            return false;
        }

        _left--;
        return true;
    }
}

/// <summary>A token bucket of one connection: <c>burst</c> at once, one more per <c>refill</c> (whole milliseconds). Every connection has some, so it is small.</summary>
internal struct TokenBucket(ushort burst, TimeSpan refill)
{
    private readonly ushort _burst = burst;
    private readonly ushort _refillMs = (ushort)refill.TotalMilliseconds;
    private long _emptyAtNs = long.MinValue;

    public bool TryTake(TcpInstant now)
    {
        // Virtual scheduling: _emptyAtNs is when the bucket would be full again, less the tokens taken.
        long refillNs = _refillMs * 1_000_000L;
        long at = Math.Max(_emptyAtNs, now.Nanoseconds - (_burst * refillNs));
        if (at > now.Nanoseconds - refillNs)
        {
            return false;
        }

        _emptyAtNs = at + refillNs;
        return true;
    }
}
