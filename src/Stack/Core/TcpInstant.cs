namespace Tcpcrypt.Core;

/// <summary>A point on the stack's monotonic clock, in nanoseconds since an arbitrary origin. The core is told the time; it never reads a clock.</summary>
internal readonly record struct TcpInstant(long Nanoseconds) : IComparable<TcpInstant>
{
    public static readonly TcpInstant Zero;
    public static readonly TcpInstant Never = new(long.MaxValue);

    public bool IsNever => Nanoseconds == long.MaxValue;

    /// <summary>The clock in whole milliseconds: the granularity of the timestamps option (RFC 7323 §5.4).</summary>
    public uint Milliseconds => unchecked((uint)(Nanoseconds / 1_000_000));

    /// <summary>The distance from the origin.</summary>
    public TimeSpan SinceStart => TimeSpan.FromTicks(Nanoseconds / 100);

    public static TcpInstant operator +(TcpInstant instant, TimeSpan span)
    {
        // Saturates: an infinite time-out (TimeSpan.MaxValue) is "never", not the distant past.
        long ticks = span.Ticks;
        return ticks > (long.MaxValue - instant.Nanoseconds) / 100 ? Never : new(instant.Nanoseconds + (ticks * 100));
    }

    public static TimeSpan operator -(TcpInstant left, TcpInstant right) => TimeSpan.FromTicks((left.Nanoseconds - right.Nanoseconds) / 100);

    public static bool operator <(TcpInstant left, TcpInstant right) => left.Nanoseconds < right.Nanoseconds;
    public static bool operator >(TcpInstant left, TcpInstant right) => left.Nanoseconds > right.Nanoseconds;
    public static bool operator <=(TcpInstant left, TcpInstant right) => left.Nanoseconds <= right.Nanoseconds;
    public static bool operator >=(TcpInstant left, TcpInstant right) => left.Nanoseconds >= right.Nanoseconds;

    public static TcpInstant Min(TcpInstant left, TcpInstant right) => left < right ? left : right;

    public int CompareTo(TcpInstant other) => Nanoseconds.CompareTo(other.Nanoseconds);
}
