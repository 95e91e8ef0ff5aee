using System.Net;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Tcpcrypt.Core;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

public sealed class DeviceTests
{
    [Test]
    [Spec("HI_SYS_03")]
    public async Task When_the_device_dies_completion_faults_and_every_pending_call_fails_with_a_clear_IOException([Values] ContinuationScheduling scheduling)
    {
        StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        client.SendBufferSize = 1000;
        TcpConnectionListener listener = await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        Task[] pending =
        [
            client.GetStream(false).ReadAsync(new byte[1]).AsTask(),
            client.WriteAsync(new byte[10_000_000]).AsTask(),
            listener.AcceptAsync().AsTask(),
            pair.Client.ConnectAsync(new IPEndPoint(IPAddress.Parse("10.0.0.99"), 1)).AsTask(),
            client.ReadsClosed,
            client.WritesClosed,
        ];
        Task blocked = Task.Factory.StartNew(() => server.GetStream(false).ReadByte(), TaskCreationOptions.LongRunning);
        await pair.ClientDevice.DisposeAsync();

        foreach (Task task in pending.Append(pair.Client.Completion))
        {
            await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Assert.That(task.Exception?.InnerException, Is.InstanceOf<IOException>().With.Message.Contains("memory0"));
        }

        Assert.That(async () => await client.GetStream(false).ReadAsync(new byte[1]), Throws.InstanceOf<IOException>());
        Assert.That(async () => await client.WriteAsync([1]), Throws.InstanceOf<IOException>());
        Assert.That(async () => await listener.AcceptAsync(), Throws.InstanceOf<IOException>());
        Assert.That(async () => await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 1)), Throws.InstanceOf<IOException>());
        Assert.That(async () => await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 81)), Throws.InstanceOf<IOException>());
        Assert.That(() => client.GetInfo(), Throws.InstanceOf<IOException>());

        // Clean-up works all the same.
        await client.DisposeAsync();
        await listener.DisposeAsync();
        await pair.Client.DisposeAsync();
        await server.DisposeAsync();
        await blocked.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await pair.DisposeAsync();
    }

    [Test]
    [Spec("HI_SYS_03")]
    public async Task Device_that_fails_in_a_users_write_fails_the_stack()
    {
        BrokenDevice device = new();
        IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [new(StackPair.ClientAddress, 24)] });
        device.FailsWrites = true;
        Assert.That(async () => await stack.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80)), Throws.InstanceOf<IOException>().With.Message.Contains("pulled"));
        Assert.That(async () => await stack.Completion, Throws.InstanceOf<IOException>().With.Message.Contains("broken0"));
        await stack.DisposeAsync();
    }

    [Test]
    [Spec("HI_SYS_03")]
    public async Task A_full_device_is_tried_again_and_nothing_is_lost()
    {
        BrokenDevice device = new() { IsFull = true };
        await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [new(StackPair.ClientAddress, 24)] });
        using CancellationTokenSource cancellation = new();
        ValueTask<TcpConnection> connecting = stack.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80), ct: cancellation.Token);
        await Poll.UntilAsync(() => device.Refused > 3);
        Assert.That(device.Written, Is.Zero);
        device.IsFull = false;
        await Poll.UntilAsync(() => device.Written == 1);
        await cancellation.CancelAsync();
        Assert.That(async () => await connecting, Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task What_was_asked_before_a_packet_is_read_is_done_before_the_packet_although_the_loop_holds_the_lock()
    {
        BrokenDevice device = new();
        await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [new(StackPair.ClientAddress, 24)] });
        using MemoryStream file = new();
        TaskCompletionSource<PacketCapture> capture = new(TaskCreationOptions.RunContinuationsAsynchronously);
        device.NextRead = slot =>
        {
            capture.SetResult(stack.StartCapture(file));
            slot.Room.Span[..20].Clear();
            slot.Length = 20;
        };
        device.Queues[0].Wake();
        await Poll.UntilAsync(() => capture.Task.IsCompletedSuccessfully && capture.Task.Result.PacketsWritten == 1);
        await capture.Task.Result.DisposeAsync();
    }

    [Test]
    public async Task Timers_follow_the_time_provider()
    {
        FakeTimeProvider time = new();
        BrokenDevice device = new();
        IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [new(StackPair.ClientAddress, 24)], TimeProvider = time });
        ValueTask<TcpConnection> connecting = stack.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80));
        await Poll.UntilAsync(() => device.Written == 1);

        // The SYN again after 1 s, 2 s more, 4 s more; time stands still in between.
        int written = 1;
        foreach (int seconds in (int[])[1, 2, 4])
        {
            time.Advance(TimeSpan.FromSeconds(seconds) - TimeSpan.FromMilliseconds(10));

            // Two turns of the loop: what was due would have been sent by now.
            await stack.Host.InvokeAsync(0, static (_, _, _) => 0);
            await stack.Host.InvokeAsync(0, static (_, _, _) => 0);
            Assert.That(device.Written, Is.EqualTo(written));
            time.Advance(TimeSpan.FromMilliseconds(20));
            await Poll.UntilAsync(() => device.Written == written + 1);
            written++;
        }

        time.Advance(TimeSpan.FromSeconds(30));
        Assert.That(async () => await connecting, Throws.InstanceOf<System.Net.Sockets.SocketException>().With.Message.Contains("30 s"));
        await stack.DisposeAsync();
    }

    [Test]
    public async Task Inline_continuations_run_on_the_loop_thread_one_at_a_time_and_never_inside_another()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (PacketDevice device, PacketDevice other) = MemoryLink.CreatePair();
        await using StackHost host = new(device, new StackCoreOptions { Addresses = [new(StackPair.ClientAddress, 24)] }, new StackHostOptions
        {
            Scheduling = ContinuationScheduling.Inline,
            Logger = Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance,
        });
        host.Start();
        int depth = 0;
        int deepest = 0;
        int done = 0;
        int elsewhere = 0;
        Parallel.For(0, 100, _ => host.Schedule(new WorkItem(() => Body(2))));
        await Poll.UntilAsync(() => done == 100 * 7);
        Assert.That((deepest, elsewhere), Is.EqualTo((1, 0)));

        await host.DisposeAsync();
        TaskCompletionSource late = new(TaskCreationOptions.RunContinuationsAsynchronously);
        host.Schedule(new WorkItem(late.SetResult));
        await late.Task;
        await device.DisposeAsync();
        await other.DisposeAsync();

        void Body(int children)
        {
            deepest = Math.Max(deepest, ++depth);
            elsewhere += host.IsLoopThread ? 0 : 1;
            for (int i = 0; i < 2 && children > 0; i++)
            {
                host.Schedule(new WorkItem(() => Body(children - 1)));
            }

            done++;
            depth--;
        }
    }

    [Test]
    public async Task Commands_of_many_threads_run_each_once_and_in_the_order_of_their_thread()
    {
        (PacketDevice device, PacketDevice other) = MemoryLink.CreatePair();
        await using StackHost host = new(device, new StackCoreOptions { Addresses = [new(StackPair.ClientAddress, 24)] }, new StackHostOptions { Logger = Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance });
        host.Start();
        List<int>[] seen = [.. Enumerable.Range(0, 8).Select(_ => new List<int>())];
        int inside = 0;
        int overlaps = 0;
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(thread => new Thread(() =>
        {
            for (int i = 0; i < 20_000; i++)
            {
                host.Post((thread, i), (state, _, _) =>
                {
                    overlaps += Interlocked.Increment(ref inside) == 1 ? 0 : 1;
                    seen[state.thread].Add(state.i);
                    Interlocked.Decrement(ref inside);
                });
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        int total = await host.InvokeAsync(0, (_, _, _) => seen.Sum(list => list.Count));
        Assert.That((total, overlaps), Is.EqualTo((160_000, 0)));
        foreach (List<int> list in seen)
        {
            Assert.That(list, Is.Ordered);
        }

        Assert.That(async () => await host.InvokeAsync<int, int>(0, (_, _, _) => throw new InvalidDataException()), Throws.InstanceOf<InvalidDataException>());
        Assert.That(await host.InvokeAsync(3, (state, _, _) => state + 1), Is.EqualTo(4));
        await host.DisposeAsync();
        Assert.That(async () => await host.InvokeAsync(3, (state, _, _) => state + 1), Throws.InstanceOf<ObjectDisposedException>());
        host.Post(0, (_, _, _) => overlaps++);
        Assert.That(overlaps, Is.Zero);
        await device.DisposeAsync();
        await other.DisposeAsync();
    }

    [Test]
    public async Task Broken_invariant_of_the_core_stops_the_stack_with_its_message()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        ValueTask<int> reading = client.GetStream(false).ReadAsync(new byte[1]);
        Assert.That(async () => await pair.Client.Host.InvokeAsync<int, int>(0, (_, _, _) => throw new System.Diagnostics.UnreachableException("SND.UNA <= SND.NXT")), Throws.InstanceOf<IOException>());
        Assert.That(async () => await pair.Client.Completion, Throws.InstanceOf<IOException>().With.Message.Contains("SND.UNA <= SND.NXT"));
        Assert.That(async () => await reading, Throws.InstanceOf<IOException>());
        await client.DisposeAsync();
        server.Abort();     // its peer is gone
    }

    [Test]
    public async Task Spinning_changes_nothing_but_time()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.SpinMicroseconds = 20);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        for (int i = 0; i < 500; i++)
        {
            await client.WriteAsync([(byte)i]);
            Assert.That(await server.ReadExactlyAsync(1), Is.EqualTo(new[] { (byte)i }));
            await server.WriteAsync([(byte)i]);
            await client.ReadExactlyAsync(1);
        }

        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    private sealed class WorkItem(Action action) : IThreadPoolWorkItem
    {
        public void Execute() => action();
    }

    /// <summary>A device that nothing is behind.</summary>
    private sealed class BrokenDevice : PacketDevice
    {
        private readonly BrokenQueue _queue;

        public BrokenDevice() => _queue = new BrokenQueue(this);

        public bool FailsWrites { get; set; }

        public bool IsFull { get; set; }

        /// <summary>Fills the slot of the next read.</summary>
        public Action<PacketSlot>? NextRead { get; set; }

        public int Refused { get; private set; }

        public int Written { get; private set; }

        public override string Name => "broken0";

        public override int Mtu => 1500;

        public override IReadOnlyList<PacketQueue> Queues => [_queue];

        public override ValueTask DisposeAsync()
        {
            _queue.Dispose();
            return ValueTask.CompletedTask;
        }

        private sealed class BrokenQueue(BrokenDevice device) : PacketQueue, IDisposable
        {
            private readonly SemaphoreSlim _wakes = new(0);

            public override int Read(ReadOnlySpan<PacketSlot> batch)
            {
                Action<PacketSlot>? read = device.NextRead;
                device.NextRead = null;
                read?.Invoke(batch[0]);
                return read is null ? 0 : 1;
            }

            public override int Write(ReadOnlySpan<PacketSlot> batch)
            {
                if (device.FailsWrites)
                {
                    throw new IOException("The plug was pulled.");
                }

                if (device.IsFull)
                {
                    device.Refused++;
                    return 0;
                }

                device.Written += batch.Length;
                return batch.Length;
            }

            public override void Wait(TimeSpan timeout) => _wakes.Wait(timeout);

            public override void Wake() => _wakes.Release();

            public void Dispose() => _wakes.Dispose();
        }
    }
}
