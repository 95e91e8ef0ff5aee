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
}
