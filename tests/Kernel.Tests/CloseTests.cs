using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>How connections with the kernel end.</summary>
public class CloseTests : KernelFixture
{
    [TestCase(true)]
    [TestCase(false)]
    [Spec("9293-3.6")]
    public async Task Kernel_half_closes_and_goes_on_reading(bool kernelIsClient)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await kernels.SendAsync("question"u8.ToArray());
        kernels.Shutdown(SocketShutdown.Send);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Assert.That(await ReadAllAsync(stream), Is.EqualTo("question"u8.ToArray()));
        Assert.That((ours.State, ours.ReadsClosed.IsCompletedSuccessfully), Is.EqualTo((TcpState.CloseWait, true)));

        byte[] answer = Pattern(3_000_000);
        Task<byte[]> reading = ReadAllAsync(kernels);
        await stream.WriteAsync(answer).AsTask().WaitAsync(Patience);
        Assert.That(ours.State, Is.EqualTo(TcpState.CloseWait));
        ours.CompleteWrites();
        Assert.That(Hash(await reading), Is.EqualTo(Hash(answer)));
        await ours.WritesClosed.WaitAsync(Patience);
        Assert.That(Stack.GetConnections(), Is.Empty, "who closes last has no TIME-WAIT");
    }

    [TestCase(true)]
    [TestCase(false)]
    [Spec("9293-3.6")]
    public async Task We_half_close_and_go_on_reading(bool kernelIsClient)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await stream.WriteAsync("question"u8.ToArray());
        ours.CompleteWrites();
        Assert.That(await ReadAllAsync(kernels), Is.EqualTo("question"u8.ToArray()));
        await ours.WritesClosed.WaitAsync(Patience);
        Assert.That((ours.State, ours.ReadsClosed.IsCompleted), Is.EqualTo((TcpState.FinWait2, false)));

        byte[] answer = Pattern(3_000_000);
        Task<byte[]> reading = ReadAllAsync(stream);
        await kernels.SendAsync(answer).WaitAsync(Patience);
        Assert.That(ours.State, Is.EqualTo(TcpState.FinWait2));
        kernels.Shutdown(SocketShutdown.Send);
        Assert.That(Hash(await reading), Is.EqualTo(Hash(answer)));
        await ours.ReadsClosed.WaitAsync(Patience);
        Assert.That(Stack.GetConnections().Select(c => c.State), Is.EqualTo(new[] { TcpState.TimeWait }), "who closes first");
    }

    [Test]
    public async Task Both_close_at_once()
    {
        await StartAsync();
        for (int i = 0; i < 20; i++)
        {
            (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: i % 2 == 0);
            using Barrier start = new(2);
            Task closing = Task.Run(() =>
            {
                start.SignalAndWait();
                kernels.Shutdown(SocketShutdown.Send);
            });
            start.SignalAndWait();
            ours.CompleteWrites();
            await Task.WhenAll(closing, ours.WritesClosed, ours.ReadsClosed).WaitAsync(Patience);
            Assert.That(await ReadAllAsync(kernels), Is.Empty);
            kernels.Dispose();
            await ours.DisposeAsync();
        }

        await Poll.UntilAsync(() => Stack.GetConnections().All(c => c.State == TcpState.TimeWait), "only TIME-WAIT is left");
    }

    [TestCase(true)]
    [TestCase(false)]
    [Spec("9293-3.5.3")]
    public async Task Reset_by_the_kernel_breaks_calls_under_way_and_later_ones(bool kernelIsClient)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Task<int> reading = stream.ReadAsync(new byte[10]).AsTask();
        kernels.LingerState = new LingerOption(true, 0);
        kernels.Dispose();
        AssertReset(await Assert.CatchAsync(() => reading.WaitAsync(Patience)));
        AssertReset(await Assert.CatchAsync(() => stream.WriteAsync(new byte[10]).AsTask().WaitAsync(Patience)));
        AssertReset(await Assert.CatchAsync(() => ours.ReadsClosed.WaitAsync(Patience)));
        AssertReset(await Assert.CatchAsync(() => ours.WritesClosed.WaitAsync(Patience)));
        Assert.That(ours.State, Is.EqualTo(TcpState.Closed));
        Assert.That(Stack.GetConnections(), Is.Empty);
    }

    [Test]
    public async Task Reset_by_the_kernel_breaks_a_write_that_waits_for_room()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Task writing = stream.WriteAsync(new byte[50_000_000]).AsTask();
        await Poll.UntilAsync(() => ours.GetInfo().PeerWindow == 0, "the kernel's window is closed");
        kernels.LingerState = new LingerOption(true, 0);
        kernels.Dispose();
        AssertReset(await Assert.CatchAsync(() => writing.WaitAsync(Patience)));
    }

    [Test]
    [Spec("9293-3.10.7.4")]
    public async Task Reset_by_the_kernel_flushes_what_was_not_read()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await kernels.SendAsync("last words"u8.ToArray());
        await Poll.UntilAsync(() => ours.GetInfo().Readable == 10, "the data is here");
        kernels.LingerState = new LingerOption(true, 0);
        kernels.Dispose();
        await Poll.UntilAsync(() => ours.State == TcpState.Closed, "the reset is here");
        await using Stream stream = ours.GetStream(ownsConnection: false);
        AssertReset(await Assert.CatchAsync(() => stream.ReadAsync(new byte[10]).AsTask().WaitAsync(Patience)));
    }

    [TestCase(true)]
    [TestCase(false)]
    [Spec("9293-3.10.5")]
    public async Task Abort_is_a_reset_for_the_kernel(bool kernelIsClient)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        Task<int> receiving = kernels.ReceiveAsync(new byte[10]);
        ours.Abort();
        SocketException error = (await Assert.CatchAsync<SocketException>(() => receiving.WaitAsync(Patience)))!;
        Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
    }

    [Test]
    public async Task Disposing_with_unread_data_is_a_reset_for_the_kernel()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await kernels.SendAsync(new byte[10]);
        await Poll.UntilAsync(() => ours.GetInfo().Readable == 10, "the data is here");
        await ours.DisposeAsync();
        SocketException error = (await Assert.CatchAsync<SocketException>(() => kernels.ReceiveAsync(new byte[10]).WaitAsync(Patience)))!;
        Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
    }

    [Test]
    public async Task Disposing_of_the_stack_ends_connections_with_what_was_written()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        byte[] data = Pattern(200_000);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
        Task<byte[]> reading = ReadAllAsync(kernels);
        Task disposing = Stack.DisposeAsync().AsTask();
        Assert.That(Hash(await reading), Is.EqualTo(Hash(data)));
        kernels.Dispose();
        await disposing.WaitAsync(Patience);
    }

    [Test]
    public async Task Connect_to_a_closed_port_is_refused_both_ways()
    {
        await StartAsync();
        SocketException ours = (await Assert.CatchAsync<SocketException>(() => Stack.ConnectAsync(new IPEndPoint(KernelIp, 9)).AsTask().WaitAsync(Patience)))!;
        Assert.That(ours.SocketErrorCode, Is.EqualTo(SocketError.ConnectionRefused));
        SocketException kernels = (await Assert.CatchAsync<SocketException>(() => KernelSocket(SocketType.Stream).ConnectAsync(new IPEndPoint(StackIp, 9)).WaitAsync(Patience)))!;
        Assert.That(kernels.SocketErrorCode, Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public async Task Connect_to_where_the_kernel_has_no_route_fails_with_what_icmp_said()
    {
        await StartAsync();
        AddNetworkBehindKernel();

        // An unreachable route: ICMP host unreachable. That is a soft error for a SYN (RFC 9293 §3.9.2.2), so that the connect goes on trying and the reason is told when its time is up.
        Namespace.Run("ip", "route", "add", "unreachable", "10.97.0.0/24");
        SocketException error = (await Assert.CatchAsync<SocketException>(
            () => Stack.ConnectAsync(new IPEndPoint(IPAddress.Parse("10.97.0.1"), 80), new TcpConnectOptions { Timeout = TimeSpan.FromSeconds(3) }).AsTask().WaitAsync(Patience)))!;
        Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.HostUnreachable).Or.EqualTo(SocketError.TimedOut));
        Assert.That(Stack.GetStatistics().IcmpInMsgs, Is.GreaterThan(0));
        Assert.That(Stack.GetConnections(), Is.Empty);
    }

    [Test]
    [Spec("9293-MUST-30")]
    public async Task Urgent_data_of_the_kernel_is_announced_and_in_its_place()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await kernels.SendAsync("abc"u8.ToArray());
        kernels.Send("d"u8, SocketFlags.OutOfBand);
        await Poll.UntilAsync(() => ours.UrgentOctetsAhead == 4, "urgent data is announced");
        await kernels.SendAsync("ef"u8.ToArray());
        kernels.Shutdown(SocketShutdown.Send);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Assert.That(await ReadAllAsync(stream), Is.EqualTo("abcdef"u8.ToArray()));
        Assert.That(ours.UrgentOctetsAhead, Is.Null);
    }

    [Test]
    [Spec("9293-MUST-30")]
    public async Task Urgent_data_of_ours_is_where_the_kernel_looks_for_it()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await stream.WriteAsync("abc"u8.ToArray());
        await ours.SendUrgentAsync("d"u8.ToArray());
        await stream.WriteAsync("ef"u8.ToArray());
        ours.CompleteWrites();
        await Poll.UntilAsync(() => kernels.Poll(0, SelectMode.SelectError), "the kernel signals urgent data");
        byte[] urgent = new byte[1];
        Assert.That((kernels.Receive(urgent, SocketFlags.OutOfBand), urgent[0]), Is.EqualTo((1, (byte)'d')));
        Assert.That(await ReadAllAsync(kernels), Is.EqualTo("abcef"u8.ToArray()), "the kernel keeps the octet out of the stream");
    }

    [TestCase(true)]
    [TestCase(false, Description = "Only sequence numbers tell the new connection from the old one.")]
    [Spec("9293-MAY-2")]
    public async Task Kernel_uses_a_port_again_that_is_in_our_TIME_WAIT(bool timestamps)
    {
        await StartAsync();
        SetKernel("net/ipv4/tcp_timestamps", timestamps ? "1" : "0");
        await ServeAsync(80, static async connection =>
        {
            await connection.Output.WriteAsync("bye"u8.ToArray());
            connection.CompleteWrites();
            await connection.ReadsClosed;
        });
        for (int i = 0; i < 10; i++)
        {
            using Socket kernels = Namespace.Invoke(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
            kernels.Bind(new IPEndPoint(KernelIp, 40_000));
            await kernels.ConnectAsync(new IPEndPoint(StackIp, 80)).WaitAsync(Patience);
            Assert.That(await ReadAllAsync(kernels), Is.EqualTo("bye"u8.ToArray()));
            kernels.Dispose();
            await Poll.UntilAsync(() => Stack.GetConnections().All(c => c.State == TcpState.TimeWait), "our end is in TIME-WAIT");
        }

        Assert.That(Stack.GetStatistics().TcpTimeWaits, Is.EqualTo(10));
    }

    [TestCase(true)]
    [TestCase(false, Description = "Only sequence numbers tell the new connection from the old one.")]
    public async Task We_use_a_port_again_that_is_in_the_kernels_TIME_WAIT(bool timestamps)
    {
        await StartAsync(configure: options => options.Tcp.Timestamps = timestamps);
        Socket listener = KernelSocket(SocketType.Stream);
        listener.Bind(new IPEndPoint(KernelIp, 80));
        listener.Listen();
        for (int i = 0; i < 10; i++)
        {
            Task<Socket> accepting = listener.AcceptAsync();
            await using TcpConnection ours = await Stack.ConnectAsync(
                new IPEndPoint(KernelIp, 80), new TcpConnectOptions { Local = new IPEndPoint(StackIp, 40_000) }).AsTask().WaitAsync(Patience);
            using Socket kernels = await accepting.WaitAsync(Patience);
            await kernels.SendAsync("bye"u8.ToArray());
            kernels.Shutdown(SocketShutdown.Send);
            await using Stream stream = ours.GetStream(ownsConnection: false);
            Assert.That(await ReadAllAsync(stream), Is.EqualTo("bye"u8.ToArray()));
            ours.CompleteWrites();
            await ours.WritesClosed.WaitAsync(Patience);
            Assert.That(Stack.GetConnections(), Is.Empty);
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Thousand_short_connections_come_and_go(bool kernelIsClient)
    {
        const int Count = 1000;
        await StartAsync();
        Socket listener = KernelSocket(SocketType.Stream);
        listener.Bind(new IPEndPoint(KernelIp, 80));
        listener.Listen(512);
        await ServeAsync(80, BulkTests.EchoAsync);
        Task serving = kernelIsClient ? Task.CompletedTask : Task.Run(async () =>
        {
            for (int i = 0; i < Count; i++)
            {
                using Socket accepted = await listener.AcceptAsync();
                await accepted.SendAsync(await ReadAllAsync(accepted));
            }
        });
        await Parallel.ForAsync(0, Count, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (number, _) =>
        {
            byte[] question = BitConverter.GetBytes(number);
            if (kernelIsClient)
            {
                using Socket client = Namespace.Invoke(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
                await client.ConnectAsync(new IPEndPoint(StackIp, 80)).WaitAsync(Patience, CancellationToken.None);
                await client.SendAsync(question);
                client.Shutdown(SocketShutdown.Send);
                Assert.That(await ReadAllAsync(client), Is.EqualTo(question));
            }
            else
            {
                await using TcpConnection client = await Stack.ConnectAsync(new IPEndPoint(KernelIp, 80), ct: CancellationToken.None);
                await using Stream stream = client.GetStream(ownsConnection: false);
                await stream.WriteAsync(question, CancellationToken.None);
                client.CompleteWrites();
                Assert.That(await ReadAllAsync(stream), Is.EqualTo(question));
            }
        }).WaitAsync(Patience);
        await serving.WaitAsync(Patience);
        await Poll.UntilAsync(() => Stack.GetConnections().All(c => c.State == TcpState.TimeWait), "all connections are closed");
        Assert.That(Stack.GetStatistics().TcpEstabResets, Is.Zero);
    }

    private static void AssertReset(Exception? error)
    {
        Assert.That(error, Is.TypeOf<IOException>());
        Assert.That((error!.InnerException as SocketException)?.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
    }
}
