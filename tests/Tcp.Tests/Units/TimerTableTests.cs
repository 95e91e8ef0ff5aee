using CsCheck;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.Tests.Units;

public sealed class TimerTableTests
{
    [Test]
    public void A_new_table_has_no_deadline()
    {
        TimerTable timers = new();
        Assert.That(timers.Next.IsNever, Is.True);
        Assert.That(timers.TryTakeExpired(new TcpInstant(long.MaxValue - 1), out _), Is.False);
    }

    [Test]
    public void Arming_one_timer_never_loses_another()
    {
        TimerTable timers = new();
        for (TcpTimer timer = 0; timer < TcpTimer.Count; timer++)
        {
            timers.Set(timer, new TcpInstant(100 + (int)timer));
        }

        for (TcpTimer timer = 0; timer < TcpTimer.Count; timer++)
        {
            Assert.That(timers[timer].Nanoseconds, Is.EqualTo(100 + (int)timer));
        }

        Assert.That(timers.Next.Nanoseconds, Is.EqualTo(100));
    }

    [Test]
    public void Expired_timers_come_in_the_order_of_their_deadlines_and_once()
    {
        TimerTable timers = new();
        timers.Set(TcpTimer.Retransmit, new TcpInstant(30));
        timers.Set(TcpTimer.DelayedAck, new TcpInstant(10));
        timers.Set(TcpTimer.KeepAlive, new TcpInstant(20));
        timers.Set(TcpTimer.Persist, new TcpInstant(31));
        List<TcpTimer> taken = [];
        while (timers.TryTakeExpired(new TcpInstant(30), out TcpTimer timer))
        {
            taken.Add(timer);
        }

        Assert.That(taken, Is.EqualTo(new[] { TcpTimer.DelayedAck, TcpTimer.KeepAlive, TcpTimer.Retransmit }));
        Assert.That(timers.Next.Nanoseconds, Is.EqualTo(31));
    }

    [Test]
    public void Cancelled_timers_do_not_run()
    {
        TimerTable timers = new();
        timers.Set(TcpTimer.Cork, new TcpInstant(1));
        timers.Set(TcpTimer.FinWait2, new TcpInstant(2));
        timers.Cancel(TcpTimer.Cork);
        Assert.That((timers.IsSet(TcpTimer.Cork), timers.IsSet(TcpTimer.FinWait2)), Is.EqualTo((false, true)));
        timers.CancelAll();
        Assert.That(timers.Next.IsNever, Is.True);
    }

    /// <summary>Against a sorted list of deadlines.</summary>
    [Test]
    public void Random_operations_agree_with_a_sorted_list() =>
        Gen.Select(Gen.Int[0, 7], Gen.Int[0, (int)TcpTimer.Count - 1], Gen.Long[0, 60]).Array[0, 120].Sample(
            operations =>
            {
                TimerTable timers = new();
                List<(long At, TcpTimer Timer)> model = [];
                long now = 0;
                foreach ((int what, int which, long value) in operations)
                {
                    TcpTimer timer = (TcpTimer)which;
                    switch (what)
                    {
                        case < 4:
                            timers.Set(timer, new TcpInstant(now + value));
                            model.RemoveAll(set => set.Timer == timer);
                            model.Add((now + value, timer));
                            model.Sort();
                            break;
                        case 4:
                            timers.Cancel(timer);
                            model.RemoveAll(set => set.Timer == timer);
                            break;
                        case 5 when value == 0:
                            timers.CancelAll();
                            model.Clear();
                            break;
                        default:
                            now += value / 2;
                            while (timers.TryTakeExpired(new TcpInstant(now), out TcpTimer taken))
                            {
                                Assert.That(model[0], Is.EqualTo((model[0].At, taken)), "the earliest, and of several the first in the table");
                                Assert.That(model[0].At, Is.LessThanOrEqualTo(now));
                                model.RemoveAt(0);
                            }

                            Assert.That(model, Has.None.Matches<(long At, TcpTimer)>(left => left.At <= now));
                            break;
                    }

                    Assert.That(timers.Next, Is.EqualTo(model.Count == 0 ? TcpInstant.Never : new TcpInstant(model[0].At)));
                    for (TcpTimer each = 0; each < TcpTimer.Count; each++)
                    {
                        bool isSet = model.Exists(set => set.Timer == each);
                        Assert.That(timers.IsSet(each), Is.EqualTo(isSet));
                        Assert.That(!isSet || timers[each].Nanoseconds == model.Find(set => set.Timer == each).At);
                    }
                }
            },
            iter: 1000,
            seed: "0000KOIPe036");
}
