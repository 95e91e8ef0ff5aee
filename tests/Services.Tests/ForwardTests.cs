using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

[CancelAfter(60_000)]
public class ForwardTests
{
    private static readonly IPEndPoint s_destination = new(Foreign, 80);

    [Test]
    public async Task Accepted_request_is_a_connection_at_the_destination([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        TaskCompletionSource<(IPEndPoint Source, IPEndPoint Destination, IPEndPoint Local)> seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, async (request, ct) =>
        {
            await using TcpConnection connection = await request.AcceptAsync(ct);
            seen.SetResult((request.Source, request.Destination, connection.LocalEndPoint));
            Stream stream = connection.GetStream(ownsConnection: false);
            byte[] buffer = new byte[100];
            int count;
            while ((count = await stream.ReadAsync(buffer, ct)) > 0)
            {
                await stream.WriteAsync(buffer.AsMemory(0, count), ct);
            }
        });

        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That(await ExchangeAsync(client, "hello"), Is.EqualTo("hello"));
        Assert.That(await seen.Task, Is.EqualTo((client.LocalEndPoint, s_destination, s_destination)));
        await Poll.UntilAsync(() => pair.Second.GetStatistics() is { ForwardAccepted: 1, ForwardInFlight: 0 }, "the request is counted");
    }

    [TestCase(ForwardReject.Reset, SocketError.ConnectionRefused)]
    [TestCase(ForwardReject.HostUnreachable, SocketError.HostUnreachable)]
    [TestCase(ForwardReject.AdministrativelyProhibited, SocketError.HostUnreachable)]
    public async Task Rejected_request_fails_the_connect(ForwardReject reason, SocketError expected)
    {
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(Everything, (request, _) =>
        {
            request.Reject(reason);
            Assert.That(() => request.Reject(), Throws.InvalidOperationException);
            return Task.CompletedTask;
        });

        // An ICMP error is a hint, not a verdict, for a SYN (RFC 5927 §4): the connect fails when its own time is up, or at once where the stack takes the hint.
        Exception? error = await Assert.CatchAsync(async () => await pair.First.ConnectAsync(s_destination, new TcpConnectOptions { Timeout = TimeSpan.FromSeconds(2) }));
        Assert.That(ErrorOf(error), Is.EqualTo(expected).Or.EqualTo(reason == ForwardReject.Reset ? expected : SocketError.TimedOut));
        Assert.That(pair.Second.GetStatistics().ForwardRejected, Is.GreaterThanOrEqualTo(1));
    }

    [Test]
    public async Task Request_that_nobody_answers_is_reset_at_the_decision_time_out()
    {
        FakeTimeProvider time = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.TimeProvider = time);
        TaskCompletionSource<TcpForwardRequest> requested = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, (request, _) =>
        {
            requested.TrySetResult(request);
            return Task.CompletedTask;
        });

        Task<TcpConnection> connecting = pair.First.ConnectAsync(s_destination).AsTask();
        TcpForwardRequest request = await requested.Task;
        time.Advance(TimeSpan.FromSeconds(29));
        Assert.That(pair.Second.GetStatistics().ForwardInFlight, Is.EqualTo(1));
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.That(ErrorOf(await Assert.CatchAsync(() => connecting)), Is.EqualTo(SocketError.ConnectionRefused));

        // Late answers do no harm.
        request.Reject();
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await request.AcceptAsync())), Is.EqualTo(SocketError.ConnectionAborted));
        Assert.That(pair.Second.GetStatistics(), Has.Property("ForwardInFlight").EqualTo(0).And.Property("ForwardRejected").EqualTo(1));
        time.Advance(TimeSpan.FromSeconds(30));     // for the stop's own time-outs
    }

    [Test]
    public async Task Handler_that_throws_is_logged_and_its_request_reset()
    {
        RecordingLoggerFactory log = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.LoggerFactory = log);
        using IDisposable mapping = pair.Second.MapTcp(Everything, static (_, _) => throw new InvalidDataException("no good"));
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await pair.First.ConnectAsync(s_destination))), Is.EqualTo(SocketError.ConnectionRefused));
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await pair.First.ConnectAsync(s_destination))), Is.EqualTo(SocketError.ConnectionRefused));

        // The first one is a warning; the second, within the same second, is not.
        await Poll.UntilAsync(() => log.Entries.Count(static entry => entry.Id == 5003) == 2, "both are logged");
        Assert.That(log.Entries.Where(static entry => entry.Id == 5003).Select(static entry => entry.Level), Is.EqualTo(new[] { LogLevel.Warning, LogLevel.Debug }));
    }

    [Test]
    public async Task Handler_that_throws_resets_what_it_accepted()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(Everything, static async (request, ct) =>
        {
            await request.AcceptAsync(ct);
            throw new InvalidDataException("no good");
        });
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That(ErrorOf(await Assert.CatchAsync(async () => await client.GetStream().ReadExactlyAsync(new byte[1]))), Is.EqualTo(SocketError.ConnectionReset));
    }

    /// <summary>RFC 2923 §2.1: both directions keep to the clamp, whatever the devices take.</summary>
    [Test]
    [Spec("6691-1")]
    public async Task Clamped_segments_are_announced_and_sent()
    {
        await using StackPair pair = await StackPair.StartAsync();
        TaskCompletionSource<TcpInfo> accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(
            Everything,
            async (request, ct) =>
            {
                await using TcpConnection connection = await request.AcceptAsync(ct);
                accepted.SetResult(connection.GetInfo());
                await connection.GetStream(ownsConnection: false).CopyToAsync(Stream.Null, ct);
            },
            new TcpForwardOptions { MaximumSegmentSize = 1200, CongestionControl = CongestionControl.NewReno, MaxPacingRate = 1_000_000_000 });
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        TcpInfo server = await accepted.Task;
        Assert.That((server.AdvertisedMss, server.SendMss, server.CongestionControl), Is.EqualTo((1200, 1200 - 28, "reno")), "28: timestamps and MAC");
        Assert.That((client.GetInfo().PeerMss, client.GetInfo().SendMss, client.GetInfo().AdvertisedMss), Is.EqualTo((1200, 1200 - 28, 1460)));
    }

    /// <summary>What a route is configured to take is announced to whoever is behind it, without being told.</summary>
    [Test]
    [Spec("6691-1")]
    public async Task Announced_size_is_what_the_route_takes()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Routes = [new StackRoute(IPNetwork.Parse("10.0.0.0/25"), Mtu: 1300)]);
        using IDisposable mapping = pair.Second.MapTcp(Everything, EchoAsync);
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That((client.GetInfo().AdvertisedMss, client.GetInfo().PeerMss), Is.EqualTo((1460, 1260)));
        Assert.That(await ExchangeAsync(client, "a"), Is.EqualTo("a"));
    }

    [Test]
    public async Task Disposed_mapping_takes_no_more_requests_and_leaves_connections_alone()
    {
        await using StackPair pair = await StackPair.StartAsync();
        IDisposable mapping = pair.Second.MapTcp(Everything, EchoAsync);
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That(await ExchangeAsync(client, "a"), Is.EqualTo("a"));
        mapping.Dispose();
        mapping.Dispose();
        Assert.That(async () => await pair.First.ConnectAsync(new IPEndPoint(Foreign, 81), new TcpConnectOptions { Timeout = TimeSpan.FromMilliseconds(300) }), Throws.InstanceOf<SocketException>());
        Assert.That(await ExchangeAsync(client, "b"), Is.EqualTo("b"));
    }

    [Test]
    public async Task Requests_beyond_the_limit_of_a_source_are_dropped_and_counted()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(Everything, static (_, _) => Task.CompletedTask, new TcpForwardOptions { MaxInFlightPerSource = 3 });
        using CancellationTokenSource cancellation = new();
        Task[] connecting = [.. Enumerable.Range(1, 5).Select(port => pair.First.ConnectAsync(new IPEndPoint(Foreign, port), null, cancellation.Token).AsTask())];
        await Poll.UntilAsync(() => pair.Second.GetStatistics() is { ForwardInFlight: 3 } statistics && statistics.Drops["TcpForwardLimit"] >= 2, "two are dropped");
        await cancellation.CancelAsync();
        Assert.That(async () => await Task.WhenAll(connecting), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task Stop_cancels_handlers()
    {
        await using StackPair pair = await StackPair.StartAsync();
        TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        pair.Second.MapTcp(Everything, async (_, ct) =>
        {
            using CancellationTokenRegistration registration = ct.Register(() => ended.SetResult());
            started.SetResult();
            await Task.Delay(Timeout.Infinite, ct);
        });
        Task connecting = pair.First.ConnectAsync(s_destination).AsTask();
        await started.Task;
        await pair.Second.DisposeAsync();
        await ended.Task;
        await pair.First.DisposeAsync();
        Assert.That(async () => await connecting, Throws.Exception);
        Assert.That(() => pair.Second.MapTcp(Everything, EchoAsync), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Udp_flow_carries_datagrams_both_ways_and_ends_with_its_handler()
    {
        await using StackPair pair = await StackPair.StartAsync();
        List<IPEndPoint> flows = [];
        using IDisposable mapping = pair.Second.MapUdp(Everything, async (flow, ct) =>
        {
            lock (flows)
            {
                flows.Add(flow.Destination);
            }

            byte[] buffer = new byte[100];
            for (int i = 0; i < 3; i++)
            {
                UdpFlowReceive received = await flow.ReceiveAsync(buffer, ct);
                await flow.SendAsync(buffer.AsMemory(0, received.Count), ct);
            }
        });
        await using StackUdpSocket client = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        byte[] reply = new byte[100];
        for (int i = 0; i < 6; i++)
        {
            // After three the handler has ended, and the next datagram opens a new flow; while the old one is closing, one may be lost.
            if (i == 3)
            {
                await Poll.UntilAsync(() => pair.Second.GetStatistics().ForwardUdpFlows == 0, "the flow has ended");
            }

            await client.SendToAsync(new[] { (byte)i }, new IPEndPoint(Foreign, 53));
            UdpReceive received = await client.ReceiveFromAsync(reply);
            Assert.That((received.Count, reply[0], received.Remote), Is.EqualTo((1, (byte)i, new IPEndPoint(Foreign, 53))));
        }

        Assert.That(flows, Is.EqualTo(new[] { new IPEndPoint(Foreign, 53), new IPEndPoint(Foreign, 53) }));
    }

    [Test]
    public async Task Idle_udp_flow_is_completed()
    {
        FakeTimeProvider time = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.TimeProvider = time);
        TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource<UdpFlowReceive> last = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapUdp(Everything, async (flow, ct) =>
        {
            await flow.ReceiveAsync(new byte[100], ct);
            first.SetResult();
            last.SetResult(await flow.ReceiveAsync(new byte[100], ct));
        });
        await using StackUdpSocket client = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        await client.SendToAsync(new byte[1], new IPEndPoint(Foreign, 53));
        await first.Task;
        time.Advance(TimeSpan.FromSeconds(121));
        Assert.That(await last.Task, Is.EqualTo(new UdpFlowReceive(0, IsCompleted: true)));
        time.Advance(TimeSpan.FromSeconds(30));
    }

    internal static async Task EchoAsync(TcpForwardRequest request, CancellationToken ct)
    {
        await using TcpConnection connection = await request.AcceptAsync(ct);
        Stream stream = connection.GetStream(ownsConnection: false);
        await stream.CopyToAsync(stream, ct);
        connection.CompleteWrites();
    }

    internal static async Task<string> ExchangeAsync(TcpConnection client, string text)
    {
        Stream stream = client.GetStream(ownsConnection: false);
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(text));
        byte[] buffer = new byte[text.Length];
        await stream.ReadExactlyAsync(buffer);
        return System.Text.Encoding.ASCII.GetString(buffer);
    }
}
