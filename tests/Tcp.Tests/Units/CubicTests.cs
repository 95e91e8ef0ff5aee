using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 9438.</summary>
public sealed class CubicTests
{
    private const int Smss = 1000;

    private static Cubic New(long cwnd) => new() { Smss = Smss, Cwnd = cwnd * Smss };

    private static TcpInstant At(double seconds) => TcpInstant.Zero + TimeSpan.FromSeconds(seconds);

    private static double Window(Cubic cubic) => (double)cubic.Cwnd / Smss;

    private static void Lose(Cubic cubic, double at)
    {
        cubic.OnCongestion(At(at), cubic.Cwnd);
        cubic.Cwnd = cubic.Ssthresh;
    }

    /// <summary>A round trip in which each segment of the window is acknowledged, evenly.</summary>
    private static void Round(Cubic cubic, double start, double rtt)
    {
        long count = cubic.Cwnd / Smss;
        for (long i = 0; i < count; i++)
        {
            cubic.OnAck(new AckSample { Now = At(start + (rtt * i / count)), Acked = Smss, Srtt = TimeSpan.FromSeconds(rtt) });
        }
    }

    [Test]
    [Spec("9293-MAY-18")]
    [Spec("9438-4")]
    public void Loss_takes_three_tenths_and_leaves_two_segments()
    {
        Cubic cubic = New(100);
        cubic.OnCongestion(At(0), 1);
        Assert.That(cubic.Ssthresh, Is.EqualTo(70 * Smss));
        cubic.Cwnd = 2 * Smss;
        cubic.OnCongestion(At(0), 1);
        Assert.That(cubic.Ssthresh, Is.EqualTo(2 * Smss));
    }

    [Test]
    [Spec("9438-1")]
    [Spec("9438-2")]
    public void Growth_is_back_at_the_old_window_after_K()
    {
        Cubic cubic = New(1000);
        Lose(cubic, 0);

        // K = cbrt(300 / 0.4) = 9.086 s.
        const double Rtt = 0.1;
        double before = 0;
        for (int i = 0; i < 180; i++)
        {
            double t = i * Rtt;
            Round(cubic, t, Rtt);

            // At the end of the round the last ACKs aimed at W_cubic(t + 2 RTT) at most.
            double low = 1000 + (0.4 * Math.Pow(t - Rtt - 9.086, 3));
            double high = 1000 + (0.4 * Math.Pow(t + (2 * Rtt) - 9.086, 3));
            Assert.That(Window(cubic), Is.InRange(Math.Max(low, 700) - 2, high + 2), $"at {t}");
            Assert.That(Window(cubic), Is.GreaterThanOrEqualTo(before));
            before = Window(cubic);
        }
    }

    [Test]
    [Spec("9438-2")]
    public void A_round_trip_grows_by_half_at_most()
    {
        Cubic cubic = New(100);
        Lose(cubic, 0);
        Round(cubic, 0, 0.1);
        double before = Window(cubic);

        // A minute later the curve is at W_max + 0.4 * 56^3.
        for (int i = 0; i < (int)before; i++)
        {
            cubic.OnAck(new AckSample { Now = At(60), Acked = Smss, Srtt = TimeSpan.FromSeconds(0.1) });
        }

        Assert.That(Window(cubic), Is.InRange(before * 1.45, before * 1.51), "half a segment for each");
    }

    [Test]
    [Spec("9438-3")]
    public void On_short_paths_it_grows_as_Reno_would()
    {
        Cubic cubic = New(20);
        Lose(cubic, 0);
        double start = Window(cubic);
        for (int i = 0; i < 8; i++)
        {
            Round(cubic, i * 0.001, 0.001);
        }

        Assert.That(Window(cubic) - start, Is.EqualTo(8 * 0.529).Within(0.3), "3 (1 - 0.7) / (1 + 0.7) segments per round trip");
        int rounds = 8;
        for (; Window(cubic) < 21; rounds++)
        {
            Round(cubic, rounds * 0.001, 0.001);
        }

        double before = Window(cubic);
        for (int i = 0; i < 5; i++, rounds++)
        {
            Round(cubic, rounds * 0.001, 0.001);
        }

        Assert.That(Window(cubic) - before, Is.EqualTo(5).Within(0.3), "beyond the window of the loss by one");
    }

    /// <summary>§4.7: W_max is where the plateau of the curve is.</summary>
    [Test]
    [Spec("9438-4")]
    public void A_smaller_window_than_last_time_gives_way()
    {
        Cubic cubic = New(1000);
        Lose(cubic, 0);
        Lose(cubic, 0);
        Assert.That(Window(cubic), Is.EqualTo(490).Within(0.01));

        // W_max = 700 * 0.85 = 595; K = cbrt(105 / 0.4) = 6.4 s. Without fast convergence it would be 700, and 8.07 s.
        for (int i = 0; i < 64; i++)
        {
            Round(cubic, i * 0.1, 0.1);
        }

        Assert.That(Window(cubic), Is.EqualTo(595).Within(3));
    }

    [Test]
    [Spec("9438-3")]
    [Spec("9438-5")]
    public void After_a_timeout_growth_starts_where_slow_start_ended()
    {
        Cubic cubic = New(100);
        cubic.OnTimeout(At(0), 100 * Smss);
        Assert.That(cubic.Ssthresh, Is.EqualTo(70 * Smss));
        cubic.Cwnd = Smss;
        cubic.OnAck(new AckSample { Now = At(1), Acked = 69 * Smss, Srtt = TimeSpan.FromSeconds(0.1) });
        Assert.That(Window(cubic), Is.EqualTo(70));
        for (int i = 0; i < 10; i++)
        {
            Round(cubic, 1 + (i * 0.1), 0.1);
        }

        // K = 0, W_max = 70: after a second W_cubic is 70.4. Reno's part is 0.53 per round trip below the window of the time-out, and 1 beyond it.
        Assert.That(Window(cubic), Is.EqualTo(75.3).Within(0.5));
        cubic = New(10);
        cubic.OnTimeout(At(0), 10 * Smss);
        cubic.Cwnd = 7 * Smss;
        for (int i = 0; i < 6; i++)
        {
            Round(cubic, 1 + (i * 0.01), 0.01);
        }

        Assert.That(Window(cubic), Is.InRange(9.5, 10.3));
        double before = Window(cubic);
        for (int i = 6; i < 10; i++)
        {
            Round(cubic, 1 + (i * 0.01), 0.01);
        }

        Assert.That(Window(cubic) - before, Is.EqualTo(4).Within(0.5));
    }

    [Test]
    public void An_undo_brings_the_curve_back()
    {
        Cubic plain = New(1000);
        Cubic undone = New(1000);
        foreach (Cubic cubic in (Cubic[])[plain, undone])
        {
            Lose(cubic, 0);
            Round(cubic, 0, 0.1);
        }

        long cwnd = undone.Cwnd;
        long ssthresh = undone.Ssthresh;
        Lose(undone, 0.1);
        Assert.That(undone.Cwnd, Is.LessThan(cwnd));
        undone.OnUndo(cwnd, ssthresh);
        Assert.That((undone.Cwnd, undone.Ssthresh), Is.EqualTo((cwnd, ssthresh)));
        for (int i = 1; i < 60; i++)
        {
            Round(plain, i * 0.1, 0.1);
            Round(undone, i * 0.1, 0.1);
        }

        Assert.That(undone.Cwnd, Is.EqualTo(plain.Cwnd));
    }

    [Test]
    [Spec("9438-5")]
    public void A_pause_is_no_time()
    {
        Cubic steady = New(1000);
        Cubic paused = New(1000);
        foreach (Cubic cubic in (Cubic[])[steady, paused])
        {
            Lose(cubic, 0);
            Round(cubic, 0, 0.1);
        }

        paused.OnIdle(TimeSpan.FromSeconds(30));
        for (int i = 1; i < 40; i++)
        {
            Round(steady, i * 0.1, 0.1);
            Round(paused, 30 + (i * 0.1), 0.1);
        }

        Assert.That(paused.Cwnd, Is.EqualTo(steady.Cwnd).Within(Smss));
    }

    [Test]
    [Spec("5681-4")]
    public void Slow_start_ends_at_ssthresh_and_the_rest_counts_for_avoidance()
    {
        Cubic cubic = New(10);
        cubic.OnTimeout(At(0), 0);
        cubic.Cwnd = 6 * Smss;
        cubic.OnAck(new AckSample { Now = At(1), Acked = 3 * Smss, Srtt = TimeSpan.FromSeconds(0.1) });
        Assert.That(cubic.Cwnd, Is.InRange(7 * Smss, (7 * Smss) + (Smss / 2)));
    }
}
