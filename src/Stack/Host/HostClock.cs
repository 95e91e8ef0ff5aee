using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>The stack's clock: nanoseconds of a <see cref="TimeProvider"/>'s monotonic time stamps.</summary>
internal sealed class HostClock
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    private readonly TimeProvider _provider;
    private readonly long _origin;
    private readonly long _frequency;

    public HostClock(TimeProvider provider)
    {
        _provider = provider;
        _frequency = provider.TimestampFrequency;
        _origin = provider.GetTimestamp();
    }

    /// <summary>The instant now. It starts at one second, so that <see cref="TcpInstant.Zero"/> is always in the past.</summary>
    public TcpInstant Now
    {
        get
        {
            long elapsed = _provider.GetTimestamp() - _origin;
            long nanoseconds = _frequency == NanosecondsPerSecond
                ? elapsed
                : (long)((Int128)elapsed * NanosecondsPerSecond / _frequency);
            return new TcpInstant(NanosecondsPerSecond + nanoseconds);
        }
    }

    /// <summary>True when a wait of the operating system and this clock run alike.</summary>
    public bool IsSystem => _provider == TimeProvider.System;
}
