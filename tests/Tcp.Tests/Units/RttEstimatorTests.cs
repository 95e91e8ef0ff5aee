using Tcpcrypt.Core;
namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 6298.</summary>
public sealed class RttEstimatorTests
{
    private static RttEstimator New() => new(Ms(1000), Ms(200), TimeSpan.FromSeconds(60));

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    [Test]
    [Spec("6298-1")]
    public void Before_a_sample_the_rto_is_one_second() => Assert.That(New().Rto, Is.EqualTo(Ms(1000)));

    [Test]
    [Spec("6298-1")]
    public void Worked_numbers()
    {
        RttEstimator rtt = New();
        rtt.OnSample(TcpInstant.Zero, Ms(400));
        Assert.That((rtt.Srtt, rtt.RttVar, rtt.Rto), Is.EqualTo((Ms(400), Ms(200), Ms(1200))), "SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR");
        rtt.OnSample(TcpInstant.Zero, Ms(800));
        Assert.That((rtt.Srtt, rtt.RttVar), Is.EqualTo((Ms(450), Ms(250))), "RTTVAR = 3/4 * 200 + 1/4 * |400 - 800|, with the old SRTT; SRTT = 7/8 * 400 + 1/8 * 800");
        Assert.That(rtt.Rto, Is.EqualTo(Ms(1450)));
        Assert.That(rtt.MinRtt, Is.EqualTo(Ms(400)));
    }

    [Test]
    [Spec("6298-2")]
    public void A_path_that_became_faster_hardly_raises_the_variance()
    {
        RttEstimator rtt = New();
        rtt.OnSample(TcpInstant.Zero, Ms(400));
        rtt.OnSample(TcpInstant.Zero, Ms(0));
        Assert.That(rtt.RttVar, Is.EqualTo(Ms(206.25)), "200 + (400 - 200) / 32");
        Assert.That(rtt.Srtt, Is.EqualTo(Ms(350)));
        rtt.OnSample(TcpInstant.Zero, Ms(300));
        Assert.That(rtt.RttVar, Is.EqualTo(Ms(167.1875)), "a deviation below RTTVAR counts as ever: 3/4 * 206.25 + 1/4 * 50");
    }

    [Test]
    public void The_variance_term_has_a_floor_of_200_ms()
    {
        RttEstimator rtt = New();
        for (int i = 0; i < 100; i++)
        {
            rtt.OnSample(TcpInstant.Zero, Ms(10));
        }

        Assert.That(rtt.Rto, Is.EqualTo(Ms(210)));
        for (int i = 0; i < 100; i++)
        {
            rtt.OnSample(TcpInstant.Zero, Ms(500));
        }

        Assert.That(rtt.Rto, Is.GreaterThan(Ms(690)), "a delayed ACK still fits when SRTT is near the floor");
    }

    [Test]
    [Spec("6298-4")]
    public void A_timeout_doubles_and_progress_ends_it()
    {
        RttEstimator rtt = New();
        rtt.OnSample(TcpInstant.Zero, Ms(100));
        TimeSpan first = rtt.Rto;
        rtt.OnTimeout();
        Assert.That(rtt.Rto, Is.EqualTo(2 * first));
        rtt.OnTimeout();
        Assert.That(rtt.Rto, Is.EqualTo(4 * first));
        for (int i = 0; i < 1000; i++)
        {
            rtt.OnTimeout();
        }

        Assert.That(rtt.Rto, Is.EqualTo(TimeSpan.FromSeconds(60)), "no overflow, whatever the count");
        rtt.OnProgress();
        Assert.That(rtt.Rto, Is.EqualTo(first));
    }

    [Test]
    [Spec("6298-5")]
    public void A_lost_syn_gives_three_seconds_until_a_sample_comes()
    {
        RttEstimator rtt = New();
        rtt.OnSynTimeout(TimeSpan.FromSeconds(3));
        Assert.That(rtt.Rto, Is.EqualTo(TimeSpan.FromSeconds(3)));
        rtt.OnSample(TcpInstant.Zero, Ms(100));
        Assert.That(rtt.Rto, Is.LessThan(TimeSpan.FromSeconds(1)));
        rtt.OnSynTimeout(TimeSpan.FromSeconds(3));
        Assert.That(rtt.Rto, Is.LessThan(TimeSpan.FromSeconds(1)));
    }

    [Test]
    public void HI_SEQ_18_extreme_samples_leave_the_rto_in_its_range([Values(0L, 1L, -1L, long.MinValue, long.MaxValue, (1L << 31) * TimeSpan.TicksPerMillisecond)] long ticks)
    {
        RttEstimator rtt = New();
        for (int i = 0; i < 20; i++)
        {
            rtt.OnSample(TcpInstant.Zero, TimeSpan.FromTicks(ticks));
            Assert.That(rtt.Rto, Is.InRange(Ms(200), TimeSpan.FromSeconds(60)));
        }

        rtt.OnSample(TcpInstant.Zero, Ms(10));
        Assert.That(rtt.Rto, Is.InRange(Ms(200), TimeSpan.FromSeconds(60)));
    }
}
