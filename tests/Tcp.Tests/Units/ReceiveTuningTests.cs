using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

public sealed class ReceiveTuningTests
{
    private const int Space = 10_000;

    private static TcpInstant At(double milliseconds) => new((long)(milliseconds * 1e6));

    [Test]
    public void The_window_measures_what_comes_from_behind_its_edge()
    {
        ReceiveTuning tuning = new(At(0), 0, Space, TimeSpan.Zero);
        tuning.OnText(At(0), new(1000), new(5000));
        tuning.OnText(At(1), new(5000), new(5000));
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.Zero), "what was announced before may have been on its way");
        tuning.OnText(At(30), new(5001), new(9000));
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(30)));
        tuning.OnText(At(80), new(9100), new(20_000));
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(30)), "longer says nothing: the peer may have had nothing to send");
        tuning.OnText(At(100), new(20_001), new(30_000));
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(20)));
    }

    [Test]
    public void What_the_handshake_took_is_the_first_measurement()
    {
        ReceiveTuning tuning = new(At(0), 0, Space, TimeSpan.FromMilliseconds(25));
        tuning.OnText(At(0), new(1000), new(5000));
        tuning.OnText(At(30), new(5001), new(9000));
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(25)));
        Assert.That(tuning.Wanted(At(25), 2 * Space, 1000), Is.GreaterThan(4 * Space));
    }

    [Test]
    public void Timestamps_measure_once_for_each_echo()
    {
        ReceiveTuning tuning = new(At(0), 0, Space, TimeSpan.Zero);
        tuning.OnEcho(1000, 1080);
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(80)));
        tuning.OnEcho(1000, 5000);
        tuning.OnEcho(6000, 5000);
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(80)), "the same again, and one from the future");
        tuning.OnEcho(5000, 5160);
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(90)));
    }

    [Test]
    public void A_round_that_takes_more_than_any_before_wants_more_than_twice_of_it()
    {
        ReceiveTuning tuning = new(At(0), 0, Space, TimeSpan.Zero);
        Assert.That(tuning.Wanted(At(500), 1_000_000, 1000), Is.Zero, "no round trip is known");
        tuning.OnEcho(0xFFFF_FFF0, 0x54);
        Assert.That(tuning.Rtt, Is.EqualTo(TimeSpan.FromMilliseconds(100)));
        Assert.That(tuning.Wanted(At(99), 1_000_000, 1000), Is.Zero, "not yet over");
        Assert.That(tuning.Wanted(At(100), Space, 1000), Is.Zero, "as much as before");
        Assert.That(tuning.Wanted(At(199), 1_000_000, 1000), Is.Zero, "a new round has begun");
        Assert.That(tuning.Wanted(At(200), Space + 20_000, 1000), Is.EqualTo(56_000 + (2 * 56_000)), "twice the 20,000 and 16 segments, and twice that for having doubled");
        Assert.That(tuning.Wanted(At(300), Space + 40_000, 1000), Is.Zero);
    }

    /// <summary>What a connection takes within hours, or a peer's clock that lies, must not overflow.</summary>
    [Test]
    public void Large_numbers_stay_positive()
    {
        ReceiveTuning tuning = new(At(0), 0, 1, TimeSpan.Zero);
        tuning.OnEcho(1, 2);
        Assert.That(tuning.Wanted(At(1e9), 1L << 60, 65_535), Is.GreaterThan(1L << 30));
        tuning.OnEcho(3, 0x8000_0002);
        Assert.That(tuning.Wanted(At(2e9), 1L << 61, 65_535), Is.Zero);
    }
}
