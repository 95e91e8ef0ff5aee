using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 8985 §6.2.</summary>
public sealed class RackTests
{
    private const int Smss = 1000;

    private static TcpInstant At(double milliseconds) => TcpInstant.Zero + TimeSpan.FromMilliseconds(milliseconds);

    private static RttEstimator Rtt(params int[] samples)
    {
        RttEstimator rtt = new(TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(120));
        foreach (int sample in samples)
        {
            rtt.OnSample(TcpInstant.Zero, TimeSpan.FromMilliseconds(sample));
        }

        return rtt;
    }

    private static double Window(in Rack rack, bool isRecovering = false, bool isThresholdReached = false, params int[] samples) =>
        rack.ReorderingWindow(isRecovering, isThresholdReached, Rtt(samples.Length == 0 ? [100] : samples)).TotalMilliseconds;

    [Test]
    [Spec("8985-1")]
    public void The_latest_transmission_delivered_counts([Values(100u, uint.MaxValue - 500)] uint start)
    {
        Seq<Local> seq = new(start);
        Rack rack = new();
        rack.OnDelivered(TimeSpan.FromMilliseconds(100), new Transmission(At(0), 0, seq + 1000));
        rack.OnDelivered(TimeSpan.FromMilliseconds(110), new Transmission(At(0), 0, seq));
        Assert.That((rack.Latest, rack.Rtt), Is.EqualTo((new Transmission(At(0), 0, seq + 1000), TimeSpan.FromMilliseconds(110))), "sent together: the higher number was sent last");
        rack.OnDelivered(TimeSpan.FromMilliseconds(115), new Transmission(At(5), 0, seq + 500));
        Assert.That((rack.Latest, rack.Rtt), Is.EqualTo((new Transmission(At(5), 0, seq + 500), TimeSpan.FromMilliseconds(115))));
        rack.OnDelivered(TimeSpan.FromMilliseconds(129), new Transmission(At(1), 0, seq + 900));
        Assert.That(rack.Latest, Is.EqualTo(new Transmission(At(5), 0, seq + 500)), "an older one does not take it back");
    }

    [Test]
    [Spec("8985-3")]
    public void Window_is_a_quarter_of_min_rtt_and_none_in_recovery_before_reordering_is_seen()
    {
        Rack rack = new();
        Assert.That(Window(rack), Is.EqualTo(25));
        Assert.That(Window(rack, samples: [100, 40]), Is.EqualTo(10));
        Assert.That(Window(rack, samples: [0]), Is.EqualTo(1), "one segment shown behind another at once is not yet a loss, however short the round trip");
        Assert.That(Window(rack, isRecovering: true), Is.Zero);
        Assert.That(Window(rack, isThresholdReached: true), Is.Zero);
        rack.OnReordering(0, Smss);
        Assert.That(rack.IsReorderingSeen, Is.False, "no distance, no reordering");
        rack.OnReordering(1, Smss);
        Assert.That(Window(rack, isRecovering: true, isThresholdReached: true), Is.EqualTo(25));
    }

    [Test]
    [Spec("8985-3")]
    public void Duplicates_grow_it_once_a_round_up_to_the_rtt([Values(1u, uint.MaxValue - 1500)] uint start)
    {
        Seq<Local> una = new(start);
        Rack rack = new();
        rack.OnDuplicateSack(una, una + 1000);
        Assert.That(Window(rack), Is.EqualTo(50));
        rack.OnDuplicateSack(una + 999, una + 2000);
        Assert.That(Window(rack), Is.EqualTo(50), "the same round");
        rack.OnDuplicateSack(una + 1000, una + 2000);
        Assert.That(Window(rack), Is.EqualTo(75));
        rack.OnDuplicateSack(una + 2000, una + 3000);
        rack.OnDuplicateSack(una + 3000, una + 4000);
        Assert.That(Window(rack), Is.EqualTo(100), "SRTT at most");
    }

    [Test]
    [Spec("8985-3")]
    public void Sixteen_recoveries_without_a_duplicate_bring_it_back()
    {
        Rack rack = new();
        rack.OnDuplicateSack(new(1), new(1000));
        for (int i = 0; i < 15; i++)
        {
            rack.OnRecoveryOver();
        }

        Assert.That(Window(rack), Is.EqualTo(50));
        rack.OnRecoveryOver();
        Assert.That(Window(rack), Is.EqualTo(25));
    }

    [Test]
    public void Reordering_is_counted_in_whole_segments_between_3_and_300()
    {
        Rack rack = new();
        rack.OnReordering(Smss, Smss);
        Assert.That(rack.ReorderingSegments, Is.EqualTo(3));
        rack.OnReordering((4 * Smss) + 1, Smss);
        Assert.That(rack.ReorderingSegments, Is.EqualTo(5));
        rack.OnReordering(Smss, Smss);
        Assert.That(rack.ReorderingSegments, Is.EqualTo(5), "it does not shrink by itself");
        rack.OnReordering(int.MaxValue - Smss, Smss);
        Assert.That(rack.ReorderingSegments, Is.EqualTo(300));
        rack.ForgetReordering();
        Assert.That(rack.ReorderingSegments, Is.EqualTo(3));
    }

    [Test]
    [Spec("8985-4")]
    public void Order_of_transmission_is_time_and_then_number([Values(1u, uint.MaxValue - 5)] uint start)
    {
        Seq<Local> seq = new(start);
        SentSegment run = new() { Start = seq, End = seq + 10, SentAt = At(1) };
        Assert.That(run.IsSentBefore(new Transmission(At(2), 0, seq)), Is.True);
        Assert.That(run.IsSentBefore(new Transmission(At(1), 0, seq + 11)), Is.True);
        Assert.That(run.IsSentBefore(new Transmission(At(1), 0, seq + 10)), Is.False, "itself");
        Assert.That(run.IsSentBefore(new Transmission(At(0), 0, seq + 100)), Is.False);

        Assert.That(run.IsSentBefore(new Transmission(At(1), 1, seq + 11)), Is.True);
        Assert.That(run.IsSentBefore(new Transmission(At(1), ushort.MaxValue, seq + 11)), Is.False, "it was sent behind an ACK that came after the other; the count wraps");
        Assert.That(run.IsSentBefore(new Transmission(At(2), ushort.MaxValue, seq)), Is.True, "time decides first");
    }
}
