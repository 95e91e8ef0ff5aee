namespace Tcpcrypt;

public sealed partial class IpStack
{
    private string DeviceName => Host.DeviceName;

    /// <summary>The stack's instruments; null before <see cref="StartMetrics"/>.</summary>
    internal StackMetrics? Metrics { get; private set; }

    /// <summary>Begins to publish metrics. Called once, when the host runs.</summary>
    internal void StartMetrics() => Metrics = new StackMetrics(Host, ForwardCounters, Options.MeterFactory, DeviceName);
}
