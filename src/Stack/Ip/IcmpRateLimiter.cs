using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>
/// How many ICMP errors may leave (RFC 1812 §4.3.2.8): a token bucket for each destination, hashed with a key into a fixed table, and one for all.
/// The depth of the latter is drawn anew for each decision: a stranger cannot learn from it how many errors went to others (SAD DNS, CVE-2020-25705).
/// </summary>
internal sealed class IcmpRateLimiter
{
    /// <summary>Errors to one destination at once.</summary>
    public const int DestinationBurst = 10;

    /// <summary>Errors to one destination in the long run.</summary>
    public const int DestinationPerSecond = 10;

    private const long DestinationInterval = 1_000_000_000 / DestinationPerSecond;

    private readonly SipHash _hash;
    private readonly int _perSecond;

    // A bucket is the instant at which it would be full again, in nanoseconds (the generic cell rate algorithm): no counting down.
    private readonly long[] _destinations = new long[1024];
    private long _all;
    private ulong _decisions;

    public IcmpRateLimiter(int perSecond, IRandomSource random)
    {
        _perSecond = perSecond;
        _hash = new SipHash(random);
        Array.Fill(_destinations, long.MinValue / 2);
        _all = long.MinValue / 2;
    }

    /// <summary>True when an error may be sent to <paramref name="destination"/> now; then it counts.</summary>
    public bool TryTake(TcpInstant now, Ipv4Address destination)
    {
        if (_perSecond <= 0)
        {
            return false;
        }

        ref long bucket = ref _destinations[(int)(_hash.Compute(destination.Value, 0) & 1023)];
        long interval = 1_000_000_000L / _perSecond;
        int burst = Math.Clamp(_perSecond / 20, 2, 50);
        int depth = burst - (int)(_hash.Compute(_decisions++, 1) % (ulong)(burst / 2));
        if (!HasRoom(bucket, now, DestinationInterval, DestinationBurst) || !HasRoom(_all, now, interval, depth))
        {
            return false;
        }

        bucket = Math.Max(bucket, now.Nanoseconds) + DestinationInterval;
        _all = Math.Max(_all, now.Nanoseconds) + interval;
        return true;
    }

    private static bool HasRoom(long fullAt, TcpInstant now, long interval, int depth) => fullAt - now.Nanoseconds <= (depth - 1) * interval;
}
