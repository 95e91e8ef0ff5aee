using NUnit.Framework;
using NUnit.Framework.Interfaces;

[assembly: Tcpcrypt.Host.Tests.Watchdog(seconds: 120)]
[assembly: Parallelizable(ParallelScope.None)]

namespace Tcpcrypt.Host.Tests;

/// <summary>A test that waits for something that never comes would stop the run for ever: it ends the process instead, with the test's name.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class WatchdogAttribute(int seconds) : TestActionAttribute, IDisposable
{
    private Timer? _timer;

    public int Seconds => seconds;

    public override ActionTargets Targets => ActionTargets.Test;

    public override void BeforeTest(ITest test) =>
        _timer = new Timer(_ => Environment.FailFast($"{test.FullName} did not end within {seconds} s."), null, TimeSpan.FromSeconds(seconds), Timeout.InfiniteTimeSpan);

    public override void AfterTest(ITest test) => Dispose();

    public void Dispose() => _timer?.Dispose();
}
