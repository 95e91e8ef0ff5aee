using System.Diagnostics;
using NUnit.Framework;

namespace Tcpcrypt.Tun.Tests;

/// <summary>Waiting and waking, closing and losing a device.</summary>
public class TunQueueTests : TunFixture
{
    private static readonly TimeSpan s_forever = Timeout.InfiniteTimeSpan;

    [Test]
    public void Read_of_an_empty_queue_gives_nothing_at_once() => Assert.That(Quiet().Read(new[] { new PacketSlot() }), Is.Zero);

    [Test]
    public void Wake_before_wait_is_not_lost_and_counts_once()
    {
        PacketQueue queue = Quiet();
        queue.Wake();
        queue.Wake();
        AssertReturns(() => queue.Wait(s_forever));
        Stopwatch watch = Stopwatch.StartNew();
        queue.Wait(TimeSpan.FromMilliseconds(50));
        Assert.That(watch.ElapsedMilliseconds, Is.GreaterThanOrEqualTo(49), "the second wake-up of the two must not be left over");
    }

    [Test]
    public void Wake_ends_a_wait_under_way()
    {
        PacketQueue queue = Quiet();
        using WaitingThread waiting = new(() => queue.Wait(s_forever));
        waiting.UntilAsleep();
        queue.Wake();
        Assert.That(waiting.Ends, Is.True);
        Stopwatch watch = Stopwatch.StartNew();
        queue.Wait(TimeSpan.FromMilliseconds(50));
        Assert.That(watch.ElapsedMilliseconds, Is.GreaterThanOrEqualTo(49), "a wake-up ends one wait");
    }

    [TestCase(0)]
    [TestCase(3)]
    [TestCase(30)]
    public void Wait_ends_when_the_time_has_passed_and_not_before(int milliseconds)
    {
        PacketQueue queue = Quiet();
        Stopwatch watch = Stopwatch.StartNew();
        queue.Wait(TimeSpan.FromMilliseconds(milliseconds));
        Assert.That(watch.Elapsed, Is.GreaterThanOrEqualTo(TimeSpan.FromMilliseconds(milliseconds)).And.LessThan(Patience));
    }

    [Test]
    public void Negative_time_is_refused() => Assert.That(() => Quiet().Wait(TimeSpan.FromSeconds(-3)), Throws.InstanceOf<ArgumentOutOfRangeException>());

    [Test]
    public void No_wake_is_lost_between_two_threads()
    {
        // Each side raises the other's flag and wakes it; a lost wake-up stops the exchange for good.
        PacketQueue ping = Quiet("tun0");
        PacketQueue pong = Quiet("tun1");
        const int rounds = 50_000;
        int atPing = 0;
        int atPong = 0;
        using WaitingThread other = new(() =>
        {
            for (int round = 1; round <= rounds; round++)
            {
                while (Volatile.Read(ref atPong) < round)
                {
                    pong.Wait(s_forever);
                }

                Volatile.Write(ref atPing, round);
                ping.Wake();
            }
        });
        using WaitingThread one = new(() =>
        {
            for (int round = 1; round <= rounds; round++)
            {
                Volatile.Write(ref atPong, round);
                pong.Wake();
                while (Volatile.Read(ref atPing) < round)
                {
                    ping.Wait(s_forever);
                }
            }
        });
        Assert.That(one.EndsWithin(TimeSpan.FromSeconds(60)), Is.True, $"stuck at {Volatile.Read(ref atPing)} of {rounds}");
    }

    [Test]
    public void Packet_ends_a_wait()
    {
        TunDevice device = Open();
        Drain(device.Queues[0]);
        using WaitingThread waiting = new(() => device.Queues[0].Wait(s_forever));
        waiting.UntilAsleep();
        Namespace.TryRun("ping", "-c", "1", "-W", "0.01", StackIp.ToString());
        Assert.That(waiting.Ends, Is.True);
    }

    [Test]
    public async Task Dispose_ends_a_wait_and_then_the_interface_is_gone()
    {
        TunDevice device = Open();
        Drain(device.Queues[0]);
        using WaitingThread waiting = new(() =>
        {
            device.Queues[0].Wait(s_forever);
        });
        waiting.UntilAsleep();
        await device.DisposeAsync().AsTask().WaitAsync(Patience);
        Assert.That(waiting.Ends, Is.True);
        Assert.That(Exists("tun0"), Is.False);
        Assert.That(() => device.Queues[0].Read([new PacketSlot()]), Throws.InstanceOf<IOException>().With.Message.Contains("closed"));
        Assert.That(() => device.Queues[0].Write([new PacketSlot()]), Throws.InstanceOf<IOException>());
        Assert.That(() => device.Queues[0].Wait(s_forever), Throws.InstanceOf<IOException>());
        Assert.That(() => device.Queues[0].Wake(), Throws.Nothing);
    }

    [Test]
    public async Task Dispose_races_with_a_busy_queue()
    {
        for (int round = 0; round < 50; round++)
        {
            TunDevice device = Open(name: "race0");
            PacketQueue queue = device.Queues[0];
            using WaitingThread busy = new(() =>
            {
                PacketSlot[] batch = [new PacketSlot(2048)];
                try
                {
                    while (true)
                    {
                        queue.Read(batch);
                        queue.Wake();
                        queue.Wait(s_forever);
                        queue.Wait(TimeSpan.FromMilliseconds(1));
                    }
                }
                catch (IOException)
                {
                    // The only way out.
                }
            });
            await Task.Yield();
            await device.DisposeAsync().AsTask().WaitAsync(Patience);
            Assert.That(busy.Ends, Is.True);
        }
    }

    [Test]
    public void Interface_deleted_under_a_wait_is_an_io_error()
    {
        TunDevice device = Open();
        PacketQueue queue = device.Queues[0];
        Drain(queue);
        IOException? gone = null;
        using WaitingThread waiting = new(() => gone = Assert.Throws<IOException>(() => WaitForGood(queue)));
        waiting.UntilAsleep();
        Namespace.Run("ip", "link", "del", "tun0");
        Assert.That(waiting.Ends, Is.True);
        Assert.That(gone?.Message, Does.Contain("tun0 is gone"));
        Assert.That(() => queue.Read([new PacketSlot()]), Throws.InstanceOf<IOException>().With.Message.Contains("gone").And.Message.Contains("EBADFD"));
        Assert.That(() => queue.Write([Slot(Udp(StackIp, HostIp, 1, 2, []))]), Throws.InstanceOf<IOException>().With.Message.Contains("gone"));
    }

    [Test]
    public void Interface_that_is_down_is_not_gone()
    {
        TunDevice device = Open();
        PacketQueue queue = device.Queues[0];
        Namespace.Run("ip", "link", "set", "tun0", "down");
        Drain(queue);
        PacketSlot[] packets = [Slot(Udp(StackIp, HostIp, 1, 2, [1])), Slot(Udp(StackIp, HostIp, 1, 2, [2]))];
        Assert.That(queue.Write(packets), Is.EqualTo(2));
        Assert.That(device.PacketsDroppedOnWrite, Is.EqualTo(2));
        queue.Wait(TimeSpan.FromMilliseconds(5));
        Assert.That(queue.Read([new PacketSlot()]), Is.Zero);
        Namespace.Run("ip", "link", "set", "tun0", "up");
        Assert.That(queue.Write(packets), Is.EqualTo(2));
        Assert.That(device.PacketsDroppedOnWrite, Is.EqualTo(2));
    }

    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public void Packet_that_the_kernel_refuses_is_counted_and_the_rest_goes_on(OffloadMode offload)
    {
        TunDevice device = Open(offload);
        PacketSlot garbage = new();
        garbage.CopyFrom((ReadOnlySpan<byte>)[0xF0, 1, 2, 3]);
        PacketSlot empty = new();
        Assert.That(device.Queues[0].Write([garbage, empty, Slot(Udp(StackIp, HostIp, 1, 2, [1]))]), Is.EqualTo(3));
        Assert.That(device.PacketsDroppedOnWrite, Is.InRange(1, 2));
        Assert.That(RxPackets("tun0"), Is.EqualTo(1));
    }

    [Test]
    public void Work_for_the_device_needs_its_offload()
    {
        TunDevice device = Open(OffloadMode.Off);
        PacketSlot slot = Slot(Udp(StackIp, HostIp, 1, 2, [1]));
        MakePartial(slot);
        Assert.That(() => device.Queues[0].Write([slot]), Throws.ArgumentException.With.Message.Contains("Checksum"));
    }

    [Test]
    public void Waking_and_reading_allocate_nothing()
    {
        TunDevice device = Open();
        PacketQueue queue = device.Queues[0];
        PacketSlot[] batch = [new PacketSlot()];
        PacketSlot packet = Slot(Udp(StackIp, HostIp, 1, 2, [1]));
        MakePartial(packet);
        PacketSlot[] packets = [packet];
        Turn();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            Turn();
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1000));

        void Turn()
        {
            queue.Write(packets);
            queue.Wake();
            queue.Wait(s_forever);
            queue.Wait(TimeSpan.FromMicroseconds(1));
            queue.Read(batch);
        }
    }

    private static void WaitForGood(PacketQueue queue)
    {
        PacketSlot[] batch = [new PacketSlot()];
        while (true)
        {
            queue.Wait(s_forever);
            queue.Read(batch);
        }
    }

    private long RxPackets(string name)
    {
        using System.Text.Json.JsonDocument link = System.Text.Json.JsonDocument.Parse(Namespace.Run("ip", "-j", "-s", "link", "show", "dev", name));
        return link.RootElement[0].GetProperty("stats64").GetProperty("rx").GetProperty("packets").GetInt64();
    }

    // A queue whose interface is up and has said all that it says by itself.
    private PacketQueue Quiet(string name = "tun0")
    {
        PacketQueue queue = Open(new TunDeviceOptions { Name = name }).Queues[0];
        Namespace.Run("ip", "link", "set", name, "down");
        Drain(queue);
        return queue;
    }

    private static void Drain(PacketQueue queue)
    {
        PacketSlot[] batch = [new PacketSlot()];
        while (queue.Read(batch) > 0)
        {
        }
    }

    private static void AssertReturns(Action action)
    {
        using WaitingThread thread = new(action);
        Assert.That(thread.Ends, Is.True);
    }

    /// <summary>A thread under test, and whether it comes back.</summary>
    private sealed class WaitingThread : IDisposable
    {
        private readonly Thread _thread;
        private Exception? _failure;

        public WaitingThread(Action action)
        {
            _thread = new Thread(() =>
            {
                try
                {
                    action();
                }
                catch (Exception exception)
                {
                    _failure = exception;
                }
            })
            { IsBackground = true };
            _thread.Start();
        }

        public bool Ends => EndsWithin(Patience);

        public bool EndsWithin(TimeSpan time)
        {
            bool ended = _thread.Join(time);
            return _failure is null ? ended : throw new AssertionException($"The thread failed: {_failure}");
        }

        // There is no event for "is inside poll"; a thread that is still running is awaited in steps, with a grace for the few instructions before the call.
        public void UntilAsleep()
        {
            long start = Stopwatch.GetTimestamp();
            while ((_thread.ThreadState & System.Threading.ThreadState.Unstarted) != 0 && Stopwatch.GetElapsedTime(start) < Patience)
            {
                Thread.Yield();
            }

            Thread.Sleep(50);
        }

        public void Dispose() => _thread.Join(TimeSpan.FromSeconds(1));
    }
}
