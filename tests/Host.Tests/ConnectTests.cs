using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

public sealed class ConnectTests
{
    private static readonly IPEndPoint s_nobody = new(IPAddress.Parse("10.0.0.77"), 80);

    [Test]
    public async Task Connect_to_a_closed_port_is_refused()
    {
        await using StackPair pair = await StackPair.StartAsync();
        Assert.That(
            async () => await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 81)),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.ConnectionRefused).And.Message.Contains("10.0.0.2:81"));
        await AssertNothingLeftAsync(pair.Client);
    }

    [Test]
    public async Task Connect_gives_up_at_the_options_time_out_and_leaves_nothing()
    {
        FakeTimeProvider time = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.TimeProvider = time);
        Task connecting = pair.Client.ConnectAsync(s_nobody, new TcpConnectOptions { Timeout = TimeSpan.FromMilliseconds(300) }).AsTask();
        time.Advance(TimeSpan.FromMilliseconds(299));
        await pair.Client.Host.InvokeAsync(0, static (_, _, _) => 0);
        Assert.That(connecting.IsCompleted, Is.False);
        time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.That(async () => await connecting, Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.TimedOut));
        await AssertNothingLeftAsync(pair.Client);
    }

    [Test]
    public async Task Cancelled_connect_leaves_no_tcb([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        using CancellationTokenSource cancellation = new();
        ValueTask<TcpConnection> connecting = pair.Client.ConnectAsync(s_nobody, ct: cancellation.Token);
        Assert.That(await pair.Client.Host.InvokeAsync(0, static (_, core, _) => core.Tcp.Endpoints.Count), Is.EqualTo(1));
        await cancellation.CancelAsync();
        OperationCanceledException? exception = await Assert.CatchAsync<OperationCanceledException>(async () => await connecting);
        Assert.That(exception!.CancellationToken, Is.EqualTo(cancellation.Token));
        await AssertNothingLeftAsync(pair.Client);
        Assert.That(async () => await pair.Client.ConnectAsync(s_nobody, ct: new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public async Task Stack_that_is_disposed_of_ends_a_pending_connect()
    {
        StackPair pair = await StackPair.StartAsync();
        ValueTask<TcpConnection> connecting = pair.Client.ConnectAsync(s_nobody);
        await pair.DisposeAsync();
        Assert.That(async () => await connecting, Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Connect_by_name_tries_each_address_in_turn()
    {
        List<string> asked = [];
        await using StackPair pair = await StackPair.StartAsync(options => options.Resolver = (host, _) =>
        {
            asked.Add(host);
            return ValueTask.FromResult<IPAddress[]>(host == "nowhere" ? [IPAddress.IPv6Loopback] : [IPAddress.IPv6Loopback, StackPair.ClientAddress, StackPair.ServerAddress]);
        });
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        ValueTask<TcpConnection> accepting = listener.AcceptAsync();

        // 10.0.0.1 is the client itself: refused.
        await using TcpConnection connection = await pair.Client.ConnectAsync("server.test", 80);
        Assert.That(connection.RemoteEndPoint, Is.EqualTo(new IPEndPoint(StackPair.ServerAddress, 80)));
        await (await accepting).DisposeAsync();

        Assert.That(
            async () => await pair.Client.ConnectAsync("server.test", 81),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.ConnectionRefused));
        Assert.That(
            async () => await pair.Client.ConnectAsync("nowhere", 80),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.HostNotFound));
        Assert.That(asked, Is.EqualTo(new[] { "server.test", "server.test", "nowhere" }));
        Assert.That(async () => await pair.Client.ConnectAsync("10.0.0.2", 82), Throws.InstanceOf<SocketException>());
        Assert.That(asked, Has.Count.EqualTo(3), "an address in text needs no resolver");
    }

    [TestCase(true, null)]
    [TestCase(false, TcpcryptOutcome.PeerDeclined)]
    public async Task Connect_by_name_goes_on_where_an_address_cannot_encrypt(bool secondEncrypts, TcpcryptOutcome? outcome)
    {
        // Two addresses, the first of which declines; the last is dead for either.
        IPAddress other = IPAddress.Parse("10.0.0.3");
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            options.Resolver = (_, _) => ValueTask.FromResult<IPAddress[]>([StackPair.ServerAddress, other, StackPair.ClientAddress]);
            if (options.Addresses[0].Address.Equals(StackPair.ServerAddress))
            {
                options.Addresses.Add(new(other, 24));
            }
        });
        await using TcpConnectionListener plain = await pair.Server.ListenAsync(new IPEndPoint(StackPair.ServerAddress, 80), new TcpListenOptions { Policy = TcpcryptPolicy.Disabled });
        await using TcpConnectionListener encrypting = await pair.Server.ListenAsync(new IPEndPoint(other, 80), new TcpListenOptions { Policy = secondEncrypts ? null : TcpcryptPolicy.Disabled });
        TcpConnectOptions required = new() { Policy = TcpcryptPolicy.Required };
        if (outcome is null)
        {
            await using TcpConnection connection = await pair.Client.ConnectAsync("server.test", 80, required);
            Assert.That((connection.RemoteEndPoint.Address, connection.Tcpcrypt.IsEncrypted), Is.EqualTo((other, true)));
        }
        else
        {
            // That an address tried later refuses says less.
            TcpcryptException? error = await Assert.ThrowsAsync<TcpcryptException>(() => pair.Client.ConnectAsync("server.test", 80, required).AsTask());
            Assert.That((error!.Outcome, error.Message.Contains("10.0.0.3", StringComparison.Ordinal)), Is.EqualTo((outcome, true)));
            await AssertNothingLeftAsync(pair.Client);
        }
    }

    [Test]
    public async Task Name_that_the_kernel_cannot_resolve_is_named()
    {
        await using StackPair pair = await StackPair.StartAsync();
        Assert.That(async () => await pair.Client.ConnectAsync("no such name", 80), Throws.InstanceOf<SocketException>().With.Message.Contain("no such name"));
    }

    [Test]
    public async Task Time_out_covers_the_resolver()
    {
        FakeTimeProvider time = new();
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            options.TimeProvider = time;
            options.Resolver = async (_, token) =>
            {
                await Task.Delay(Timeout.Infinite, token);
                return [];
            };
        });
        Task connecting = pair.Client.ConnectAsync("slow.test", 80, new TcpConnectOptions { Timeout = TimeSpan.FromMilliseconds(50) }).AsTask();
        Assert.That(connecting.IsCompleted, Is.False);
        time.Advance(TimeSpan.FromMilliseconds(50));
        Assert.That(async () => await connecting, Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.TimedOut));
    }

    [Test]
    public async Task Local_end_is_used_and_checked()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        await using TcpConnection connection = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80), new TcpConnectOptions { Local = new IPEndPoint(IPAddress.Any, 4567) });
        Assert.That(connection.LocalEndPoint, Is.EqualTo(new IPEndPoint(StackPair.ClientAddress, 4567)));
        Assert.That(
            async () => await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80), new TcpConnectOptions { Local = new IPEndPoint(IPAddress.Parse("10.9.9.9"), 0) }),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.AddressNotAvailable));
        Assert.That(
            async () => await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80), new TcpConnectOptions { Local = new IPEndPoint(IPAddress.Any, 4567) }),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.AddressAlreadyInUse));
    }

    [Test]
    public async Task Bad_arguments_are_named()
    {
        await using StackPair pair = await StackPair.StartAsync();
        Assert.That(async () => await pair.Client.ConnectAsync(new IPEndPoint(IPAddress.IPv6Loopback, 80)), Throws.ArgumentException.With.Message.Contains("IPv4"));
        Assert.That(async () => await pair.Client.ConnectAsync("x", 0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(async () => await pair.Client.ConnectAsync(s_nobody, new TcpConnectOptions { Timeout = TimeSpan.Zero }), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Timeout"));
        Assert.That(async () => await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 80), new TcpListenOptions { Backlog = 0 }), Throws.InstanceOf<ArgumentException>().With.Message.Contains("Backlog"));
        await AssertNothingLeftAsync(pair.Client);
    }

    [TestCase(nameof(IpStackOptions.Addresses))]
    [TestCase(nameof(IpStackOptions.MemoryLimit))]
    [TestCase(nameof(IpStackOptions.SpinMicroseconds))]
    [TestCase("Tcp.DelayedAck")]
    [TestCase("Tcp.ReceiveBufferSize")]
    [TestCase("Tcp.EphemeralPortLast")]
    [TestCase("Tcp.SynCacheSize")]
    [TestCase("Tcp.TimeWaitLimit")]
    [TestCase("Tcp.OrphanLimit")]
    [TestCase("Tcp.OrphanRetransmissions")]
    [TestCase("Tcp.StalledTimeout")]
    public async Task Stack_options_out_of_range_are_named(string property)
    {
        IpStackOptions options = new() { Addresses = [new(StackPair.ClientAddress, 24)] };
        switch (property)
        {
            case nameof(IpStackOptions.Addresses): options.Addresses.Clear(); break;
            case nameof(IpStackOptions.MemoryLimit): options.MemoryLimit = 1; break;
            case nameof(IpStackOptions.SpinMicroseconds): options.SpinMicroseconds = -1; break;
            case "Tcp.DelayedAck": options.Tcp.DelayedAck = TimeSpan.FromSeconds(0.5); break;
            case "Tcp.ReceiveBufferSize": options.Tcp.ReceiveBufferSize = 0; break;
            case "Tcp.EphemeralPortLast": options.Tcp.EphemeralPortLast = 1; break;
            case "Tcp.SynCacheSize": options.Tcp.SynCacheSize = 0; break;
            case "Tcp.TimeWaitLimit": options.Tcp.TimeWaitLimit = -1; break;
            case "Tcp.OrphanLimit": options.Tcp.OrphanLimit = -1; break;
            case "Tcp.OrphanRetransmissions": options.Tcp.OrphanRetransmissions = 0; break;
            case "Tcp.StalledTimeout": options.Tcp.StalledTimeout = TimeSpan.Zero; break;
        }

        PacketDevice device = MemoryLink.CreatePair().First;
        await using PacketDevice _ = device;
        Assert.That(async () => await IpStack.StartAsync(device, options), Throws.ArgumentException.With.Message.Contains(property));
    }

    [TestCase("127.0.0.1")]
    [TestCase("224.0.0.1")]
    [TestCase("255.255.255.255")]
    [TestCase("0.0.0.0")]
    public async Task Addresses_that_no_host_can_have_are_refused(string address)
    {
        PacketDevice device = MemoryLink.CreatePair().First;
        await using PacketDevice _ = device;
        Assert.That(async () => await IpStack.StartAsync(device, new IpStackOptions { Addresses = [new(IPAddress.Parse(address), 24)] }), Throws.ArgumentException.With.Message.Contains("Addresses"));
    }

    // ---- Listeners ----

    [Test]
    public async Task Congestion_control_and_pace_are_chosen_per_connection_and_may_change()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80), new TcpListenOptions { CongestionControl = CongestionControl.NewReno, MaxPacingRate = 5_000_000 });
        ValueTask<TcpConnection> accepting = listener.AcceptAsync();
        await using TcpConnection client = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80), new TcpConnectOptions { Pacing = true });
        await using TcpConnection server = await accepting;
        Assert.That((server.CongestionControl, server.MaxPacingRate, server.GetInfo().CongestionControl, server.GetInfo().PacingRate), Is.EqualTo((CongestionControl.NewReno, 5_000_000L, "reno", 5_000_000L)));
        Assert.That((client.CongestionControl, client.MaxPacingRate), Is.EqualTo((CongestionControl.Cubic, (long?)null)));

        client.CongestionControl = CongestionControl.NewReno;
        client.MaxPacingRate = 1_000_000;
        byte[] octets = new byte[100_000];
        new Random(1).NextBytes(octets);
        Task<byte[]> reading = server.ReadExactlyAsync(octets.Length);
        await client.WriteAsync(octets);
        Assert.That(await reading, Is.EqualTo(octets));
        Assert.That(client.GetInfo().CongestionControl, Is.EqualTo("reno"));
        Assert.That(client.GetInfo().PacingRate, Is.InRange(1, 1_000_000));

        Assert.That(() => client.MaxPacingRate = 0, Throws.InstanceOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo("MaxPacingRate"));
        Assert.That(() => client.CongestionControl = (CongestionControl)99, Throws.InstanceOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo("CongestionControl"));
        Assert.That(
            async () => await pair.Client.ConnectAsync(s_nobody, new TcpConnectOptions { MaxPacingRate = -1 }),
            Throws.InstanceOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo("MaxPacingRate"));
    }

    [Test]
    public async Task Port_in_use_is_refused_and_free_after_dispose()
    {
        await using StackPair pair = await StackPair.StartAsync();
        TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        Assert.That(
            async () => await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80)),
            Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.AddressAlreadyInUse));
        await listener.DisposeAsync();
        await listener.DisposeAsync();
        await using TcpConnectionListener again = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        Assert.That(async () => await listener.AcceptAsync(), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Cancelled_accept_loses_no_connection()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        using CancellationTokenSource cancellation = new();
        ValueTask<TcpConnection> accepting = listener.AcceptAsync(cancellation.Token);
        await cancellation.CancelAsync();
        Assert.That(async () => await accepting, Throws.InstanceOf<OperationCanceledException>());

        await using TcpConnection client = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80));
        await using TcpConnection server = await listener.AcceptAsync();
        Assert.That(server.RemoteEndPoint, Is.EqualTo(client.LocalEndPoint));
    }

    [Test]
    public async Task Several_accepts_wait_at_once_and_each_gets_one([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80), new TcpListenOptions { Scheduling = scheduling });
        Task<TcpConnection>[] accepting = [.. Enumerable.Range(0, 10).Select(_ => listener.AcceptAsync().AsTask())];
        TcpConnection[] clients = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80)).AsTask()));
        TcpConnection[] servers = await Task.WhenAll(accepting);
        Assert.That(servers.Select(connection => connection.RemoteEndPoint.Port), Is.EquivalentTo(clients.Select(connection => connection.LocalEndPoint.Port)));
        foreach (TcpConnection connection in clients.Concat(servers))
        {
            await connection.DisposeAsync();
        }
    }

    [Test]
    public async Task AcceptAll_ends_when_the_listener_is_disposed_of_and_unaccepted_connections_are_reset()
    {
        await using StackPair pair = await StackPair.StartAsync();
        TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        int count = 0;
        Task accepting = Task.Run(async () =>
        {
            await foreach (TcpConnection connection in listener.AcceptAllAsync())
            {
                count++;
                await connection.DisposeAsync();
            }
        });
        await (await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80))).DisposeAsync();
        await Poll.UntilAsync(() => count == 1);
        await listener.DisposeAsync();
        await accepting;

        TcpConnectionListener idle = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 81));
        await using TcpConnection waiting = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 81));
        await idle.DisposeAsync();
        Assert.That(async () => await waiting.GetStream(false).ReadAsync(new byte[1]), Throws.InstanceOf<IOException>());
    }

    private static async Task AssertNothingLeftAsync(IpStack stack)
    {
        Assert.That(await stack.Host.InvokeAsync(0, static (_, core, _) => core.Tcp.Endpoints.Count), Is.Zero);
        Assert.That(stack.Host.GetClients().OfType<ConnectionLink>(), Is.Empty);
    }
}
