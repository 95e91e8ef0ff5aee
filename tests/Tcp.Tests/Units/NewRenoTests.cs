using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 5681.</summary>
public sealed class NewRenoTests
{
    private const int Smss = 1000;

    private static NewReno New(long cwnd) => new() { Smss = Smss, Cwnd = cwnd };

    [Test]
    [Spec("5681-4")]
    public void Slow_start_grows_by_what_was_acknowledged()
    {
        NewReno reno = New(10 * Smss);
        reno.OnAck(new AckSample { Acked = Smss });
        Assert.That(reno.Cwnd, Is.EqualTo(11 * Smss));
        reno.OnAck(new AckSample { Acked = 1 });
        Assert.That(reno.Cwnd, Is.EqualTo((11 * Smss) + 1), "ACK division gains nothing");
    }

    [Test]
    [Spec("5681-5")]
    public void Avoidance_grows_by_one_segment_per_window()
    {
        NewReno reno = New(10 * Smss);
        reno.Cwnd = 20 * Smss;
        reno.OnCongestion(TcpInstant.Zero, 20 * Smss);
        reno.Cwnd = 10 * Smss;
        Assert.That(reno.Ssthresh, Is.EqualTo(10 * Smss));
        for (int i = 0; i < 10; i++)
        {
            reno.OnAck(new AckSample { Acked = Smss });
        }

        Assert.That(reno.Cwnd, Is.EqualTo(11 * Smss));
        for (int i = 0; i < 10; i++)
        {
            reno.OnAck(new AckSample { Acked = Smss });
        }

        Assert.That(reno.Cwnd, Is.EqualTo(11 * Smss), "the next step needs eleven");
        reno.OnAck(new AckSample { Acked = Smss });
        Assert.That(reno.Cwnd, Is.EqualTo(12 * Smss));
    }

    [Test]
    public void Windows_hold_whole_segments_when_the_path_takes_larger_ones()
    {
        NewReno reno = New(Smss);
        reno.OnTimeout(TcpInstant.Zero, Smss);
        reno.Smss = 1400;
        Assert.That((reno.Cwnd, reno.Ssthresh), Is.EqualTo((1400L, 2800L)));
        reno.Smss = 500;
        Assert.That((reno.Cwnd, reno.Ssthresh), Is.EqualTo((1400L, 2800L)), "smaller ones take nothing away");
    }

    [Test]
    [Spec("5681-6")]
    public void Loss_halves_the_flight_but_leaves_two_segments()
    {
        NewReno reno = New(10 * Smss);
        reno.OnCongestion(TcpInstant.Zero, 10 * Smss);
        Assert.That(reno.Ssthresh, Is.EqualTo(5 * Smss));
        reno.OnCongestion(TcpInstant.Zero, Smss);
        Assert.That(reno.Ssthresh, Is.EqualTo(2 * Smss));
        reno.OnTimeout(TcpInstant.Zero, 8 * Smss);
        Assert.That(reno.Ssthresh, Is.EqualTo(4 * Smss));
    }

    [Test]
    public void Slow_start_ends_at_ssthresh_exactly()
    {
        NewReno reno = New(10 * Smss);
        reno.OnCongestion(TcpInstant.Zero, 10 * Smss);
        reno.Cwnd = Smss;
        reno.OnAck(new AckSample { Acked = 100 * Smss });
        Assert.That(reno.Cwnd, Is.InRange(5 * Smss, 6 * Smss), "a huge ACK does not overshoot");
    }
}
