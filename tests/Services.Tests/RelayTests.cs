using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

/// <summary>A client on the first stack, a relay on the second, a server in the kernel on the loopback interface.</summary>
[CancelAfter(60_000)]
public class RelayTests
{
    private static readonly IPEndPoint s_destination = new(Foreign, 80);

    [Test]
    public async Task Data_and_half_close_pass_both_ways([Values] ContinuationScheduling scheduling)
    {
        await using Bench bench = await Bench.StartAsync(scheduling);
        await using TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
        using Socket server = await bench.Server.AcceptAsync();

        // The client half-closes; the server answers only then, with more than any buffer holds.
        Stream stream = client.GetStream(ownsConnection: false);
        await stream.WriteAsync("request"u8.ToArray());
        client.CompleteWrites();
        using NetworkStream serverStream = new(server);
        Assert.That(await new StreamReader(serverStream).ReadToEndAsync(), Is.EqualTo("request"));

        byte[] answer = new byte[5_000_000];
        new Random(1).NextBytes(answer);
        Task sending = SendAsync();
        using MemoryStream received = new();
        await stream.CopyToAsync(received);
        await sending;
        Assert.That(SHA256.HashData(received.ToArray()), Is.EqualTo(SHA256.HashData(answer)));
        await Poll.UntilAsync(() => bench.Relay.Active == 0, "the relay ends");
        Assert.That(bench.Outcomes, Is.EqualTo(new[] { "Completed" }));

        async Task SendAsync()
        {
            await serverStream.WriteAsync(answer);
            server.Shutdown(SocketShutdown.Send);
        }
    }

    [Test]
    public async Task Server_may_half_close_first()
    {
        await using Bench bench = await Bench.StartAsync();
        await using TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
        using Socket server = await bench.Server.AcceptAsync();
        using NetworkStream serverStream = new(server);
        server.Shutdown(SocketShutdown.Send);
        Stream stream = client.GetStream(ownsConnection: false);
        Assert.That(await stream.ReadAsync(new byte[1]), Is.Zero);
        byte[] sent = new byte[3_000_000];
        new Random(2).NextBytes(sent);
        Task sending = stream.WriteAsync(sent).AsTask().ContinueWith(_ => client.CompleteWrites(), TaskScheduler.Default);
        using MemoryStream received = new();
        await serverStream.CopyToAsync(received);
        await sending;
        Assert.That(SHA256.HashData(received.ToArray()), Is.EqualTo(SHA256.HashData(sent)));
    }

    [Test]
    public async Task Reset_of_the_server_resets_the_client()
    {
        await using Bench bench = await Bench.StartAsync();
        await using TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
        Socket server = await bench.Server.AcceptAsync();
        server.LingerState = new LingerOption(true, 0);
        server.Dispose();
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await client.GetStream().ReadExactlyAsync(new byte[1]))), Is.EqualTo(SocketError.ConnectionReset));
        await Poll.UntilAsync(() => bench.Outcomes.Contains("KernelFailed"), "the relay names the side");
    }

    [Test]
    public async Task Reset_of_the_client_resets_the_server([Values] bool afterHalfClose)
    {
        await using Bench bench = await Bench.StartAsync();
        TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
        using Socket server = await bench.Server.AcceptAsync();
        if (afterHalfClose)
        {
            // Nobody reads or writes on the client's side any more: only the connection itself knows of the reset.
            client.CompleteWrites();
            Assert.That(await server.ReceiveAsync(new byte[1]), Is.Zero);
        }

        client.Abort();
        if (afterHalfClose)
        {
            await Poll.UntilAsync(() => bench.Relay.Active == 0, "the relay ends");
            Assert.That(ErrorOf(Assert.Catch(() => { server.Send(new byte[1]); server.Send(new byte[1]); })), Is.EqualTo(SocketError.ConnectionReset).Or.EqualTo(SocketError.Shutdown));
        }
        else
        {
            Assert.That(ErrorOf(await Assert.CatchAsync(async () => await server.ReceiveAsync(new byte[1]))), Is.EqualTo(SocketError.ConnectionReset));
        }

        await Poll.UntilAsync(() => bench.Outcomes.Contains("StackFailed"), "the relay names the side");
        await client.DisposeAsync();
    }

    [Test]
    public async Task Refused_stays_refused()
    {
        await using Bench bench = await Bench.StartAsync();
        bench.Server.Dispose();
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await bench.Pair.First.ConnectAsync(s_destination))), Is.EqualTo(SocketError.ConnectionRefused));
        await Poll.UntilAsync(() => bench.Relay.Active == 0, "nothing is left");
    }

    [Test]
    public async Task Dial_that_would_loop_is_refused_and_logged()
    {
        // The kernel reaches 127.0.0.2 from 127.0.0.1 as it would a remote host from the link's own address.
        RecordingLoggerFactory log = new();
        await using StackPair pair = await StackPair.StartAsync();
        Relay relay = new(new RelayOptions { Target = static _ => new IPEndPoint(IPAddress.Parse("127.0.0.2"), 9), LinkAddresses = [IPAddress.Loopback], LoggerFactory = log });
        using IDisposable tcp = pair.Second.MapTcp(Everything, relay.ForwardAsync);
        using IDisposable udp = pair.Second.MapUdp(Everything, relay.ForwardAsync);
        Assert.That(async () => await pair.First.ConnectAsync(s_destination, new TcpConnectOptions { Timeout = TimeSpan.FromMilliseconds(500) }), Throws.InstanceOf<SocketException>());
        Assert.That(log.Entries.Select(static entry => entry.Id), Does.Contain(5011));
        Assert.That(pair.Second.GetStatistics().ForwardAccepted, Is.Zero);
        await using StackUdpSocket client = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        await client.SendToAsync(new byte[1], new IPEndPoint(Foreign, 53));
        await Poll.UntilAsync(() => log.Entries.Count(static entry => entry.Id == 5011) >= 2, "UDP as well");
        Assert.That(relay.Active, Is.Zero);
    }

    [Test]
    public async Task Relay_at_its_limit_refuses()
    {
        await using Bench bench = await Bench.StartAsync(maxActive: 1);
        await using TcpConnection first = await bench.Pair.First.ConnectAsync(s_destination);
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await bench.Pair.First.ConnectAsync(s_destination))), Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public async Task Target_may_refuse()
    {
        await using StackPair pair = await StackPair.StartAsync();
        Relay relay = new(new RelayOptions { Target = static _ => null });
        using IDisposable mapping = pair.Second.MapTcp(Everything, relay.ForwardAsync);
        Assert.That(async () => await pair.First.ConnectAsync(s_destination, new TcpConnectOptions { Timeout = TimeSpan.FromMilliseconds(500) }), Throws.InstanceOf<SocketException>());
        Assert.That(pair.Second.GetStatistics().ForwardRejected, Is.GreaterThan(0));
    }

    [Test]
    public async Task Stop_of_the_stack_resets_the_server()
    {
        await using Bench bench = await Bench.StartAsync();
        await using TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
        using Socket server = await bench.Server.AcceptAsync();
        using CancellationTokenSource now = new();
        await now.CancelAsync();
        await bench.Pair.Second.StopAsync(now.Token);
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await server.ReceiveAsync(new byte[1]))), Is.EqualTo(SocketError.ConnectionReset));
    }

    [Test]
    public async Task Many_connections_at_once()
    {
        await using Bench bench = await Bench.StartAsync();
        Task serving = ServeAsync();
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            await using TcpConnection client = await bench.Pair.First.ConnectAsync(s_destination);
            string text = new((char)('a' + (i % 26)), 1000 + i);
            Assert.That(await ForwardTests.ExchangeAsync(client, text), Is.EqualTo(text));
            client.CompleteWrites();
            Assert.That(await client.GetStream().ReadAsync(new byte[1]), Is.Zero);
        }));
        await serving;
        await Poll.UntilAsync(() => bench.Relay.Active == 0, "all relays end");
        Assert.That(bench.Outcomes, Is.EqualTo(Enumerable.Repeat("Completed", 50)));

        async Task ServeAsync()
        {
            for (int i = 0; i < 50; i++)
            {
                Socket socket = await bench.Server.AcceptAsync();
                _ = Task.Run(async () =>
                {
                    using NetworkStream stream = new(socket, ownsSocket: true);
                    await stream.CopyToAsync(stream);
                });
            }
        }
    }

    [Test]
    public async Task Datagrams_pass_both_ways()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using Socket server = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        Relay relay = new(new RelayOptions { Target = _ => (IPEndPoint)server.LocalEndPoint! });
        using IDisposable mapping = pair.Second.MapUdp(Everything, relay.ForwardAsync);
        await using StackUdpSocket client = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        byte[] buffer = new byte[2000];
        foreach (int length in new[] { 1, 0, 1400 })
        {
            await client.SendToAsync(new byte[length], new IPEndPoint(Foreign, 53));
            SocketReceiveFromResult arrived = await server.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
            Assert.That(arrived.ReceivedBytes, Is.EqualTo(length));
            await server.SendToAsync(buffer.AsMemory(0, length), arrived.RemoteEndPoint);
            UdpReceive back = await client.ReceiveFromAsync(buffer);
            Assert.That((back.Count, back.Remote), Is.EqualTo((length, new IPEndPoint(Foreign, 53))));
        }

        Assert.That(relay.Active, Is.EqualTo(1));
    }

    /// <summary>A server in the kernel, and the way to it.</summary>
    private sealed class Bench : IAsyncDisposable
    {
        private readonly RecordingLoggerFactory _log = new();

        private Bench(StackPair pair, int maxActive)
        {
            Pair = pair;
            Server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            Server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            Server.Listen(100);
            IPEndPoint target = (IPEndPoint)Server.LocalEndPoint!;
            Relay = new Relay(new RelayOptions { Target = _ => target, MaxActive = maxActive, LoggerFactory = _log });
            pair.Second.MapTcp(Everything, Relay.ForwardAsync);
        }

        public StackPair Pair { get; }

        public Socket Server { get; }

        public Relay Relay { get; }

        public IEnumerable<string> Outcomes => _log.Entries.Where(static entry => entry.Id == 5013).Select(static entry => entry.Text[(entry.Text.LastIndexOf(' ') + 1)..]);

        public static async Task<Bench> StartAsync(ContinuationScheduling scheduling = ContinuationScheduling.ThreadPool, int maxActive = 100) =>
            new(await StackPair.StartAsync(options => options.Scheduling = scheduling), maxActive);

        public async ValueTask DisposeAsync()
        {
            Server.Dispose();
            await Pair.DisposeAsync();
        }
    }
}
