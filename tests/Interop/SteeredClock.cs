namespace Tcpcrypt.Interop;

/// <summary>
/// The system's clock, which can be moved forward and held. A stack's initial sequence number is the sum of a clock that ticks every 4 us and a hash of the four-tuple (RFC 6528), so this
/// chooses it: look at one, move the clock by the difference to the wanted one, and hold it until the next was sent.
/// </summary>
internal sealed class SteeredClock : TimeProvider
{
    private readonly Lock _lock = new();
    private long _shift;
    private long? _held;

    public override long TimestampFrequency => System.TimestampFrequency;

    public override long GetTimestamp()
    {
        lock (_lock)
        {
            return _held ?? System.GetTimestamp() + _shift;
        }
    }

    /// <summary>Time stands still from now on.</summary>
    public void Hold()
    {
        lock (_lock)
        {
            _held ??= System.GetTimestamp() + _shift;
        }
    }

    /// <summary>Moves the time that stands still, so that numbers grow by so much.</summary>
    public void Advance(uint sequenceNumbers)
    {
        lock (_lock)
        {
            _held += (long)((Int128)sequenceNumbers * 4000 * TimestampFrequency / 1_000_000_000);
        }
    }

    /// <summary>Time goes on from where it stands.</summary>
    public void Release()
    {
        lock (_lock)
        {
            if (_held is { } held)
            {
                _shift = held - System.GetTimestamp();
                _held = null;
            }
        }
    }
}
