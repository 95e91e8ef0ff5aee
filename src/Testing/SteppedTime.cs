namespace Tcpcrypt.Testing;

/// <summary>The virtual clock of a stack, for what wants a <see cref="TimeProvider"/>.</summary>
internal sealed class SteppedTime(SteppedStack stack) : TimeProvider
{
    public override long TimestampFrequency => 1_000_000_000;

    public override long GetTimestamp() => stack.NowNs;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch + TimeSpan.FromTicks(stack.NowNs / 100);
}
