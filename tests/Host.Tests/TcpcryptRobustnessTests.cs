using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

/// <summary>Handshakes that are cut short, too many at once, or in the way of a stack's end.</summary>
public sealed class TcpcryptRobustnessTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Test]
    [Repeat(25)]
    public async Task Stack_ends_while_its_handshakes_stand_still([Values] bool client, [Values] ContinuationScheduling scheduling)
    {
        // Inline the caller learns of the abort before the loop has ended.
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        HeldWorkers workers = new();
        pair.Server.Host.Core.Crypt!.Workers = workers;
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0));
        Task<TcpConnection>[] connecting = Connect(pair, listening, 20);
        ValueTask<TcpConnection> accepting = listening.AcceptAsync();
        await Poll.UntilAsync(() => workers.Count == 20, "INIT1 is there");

        // At once: there is nothing to be drained.
        await (client ? pair.Client : pair.Server).DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(4));
        foreach (Task<TcpConnection> connect in connecting)
        {
            Exception? error = await Assert.CatchAsync(() => connect.WaitAsync(s_patience));
            Assert.That(error, client ? Is.InstanceOf<ObjectDisposedException>() : Is.InstanceOf<TcpcryptException>().With.Property("Outcome").EqualTo(TcpcryptOutcome.HandshakeFailed));
        }

        if (client)
        {
            // The resets have reached the server.
            await Poll.UntilAsync(() => pair.Server.GetConnections().Count == 0, "nothing is left");
            Assert.That(accepting.IsCompleted, Is.False);
            await pair.Server.DisposeAsync();
        }

        Assert.That(async () => await accepting, Throws.InstanceOf<ObjectDisposedException>());
        await pair.Server.Completion;
    }

    [TestCase(TcpcryptKeyExchange.EcdheP256)]
    [TestCase(TcpcryptKeyExchange.EcdheP521)]
    [TestCase(TcpcryptKeyExchange.OaepRsa)]
    public async Task Stacks_end_while_the_workers_work(TcpcryptKeyExchange keyExchange)
    {
        for (int round = 0; round < 3; round++)
        {
            StackPair pair = await StackPair.StartAsync(options =>
            {
                options.Tcpcrypt.KeyExchanges = [keyExchange];
                options.Tcpcrypt.RsaKeySize = 2048;
                options.Tcpcrypt.PrepareRsaKey = keyExchange == TcpcryptKeyExchange.OaepRsa;
            });
            TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0));
            Task<TcpConnection>[] connecting = Connect(pair, listening, 200);
            await Poll.UntilAsync(() => pair.Server.GetStatistics().CryptHandshakes >= 10 * round);
            await pair.DisposeAsync().AsTask().WaitAsync(s_patience);
            foreach (Task<TcpConnection> connect in connecting)
            {
                try
                {
                    await connect.WaitAsync(s_patience);
                }
                catch (Exception error) when (error is ObjectDisposedException or TcpcryptException or SocketException)
                {
                    // One of them was quicker.
                }
            }

            await pair.Client.Completion;
            await pair.Server.Completion;
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Cancelled_connect_leaves_nothing_of_its_handshake(bool inOwnWork)
    {
        await using StackPair pair = await StackPair.StartAsync();
        HeldWorkers workers = new();
        Tcp.Crypt.CryptLayer layer = (inOwnWork ? pair.Client : pair.Server).Host.Core.Crypt!;
        Core.HandshakeWorkers pool = layer.Workers;
        layer.Workers = workers;
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0));
        using CancellationTokenSource cancellation = new();
        Task connecting = pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, listening.LocalEndPoint.Port), null, cancellation.Token).AsTask();
        await Poll.UntilAsync(() => workers.Count == 1, "the handshake is under way");
        await cancellation.CancelAsync();

        Assert.That(async () => await connecting.WaitAsync(s_patience), Throws.InstanceOf<OperationCanceledException>().With.Property("CancellationToken").EqualTo(cancellation.Token));
        Assert.That(pair.Client.GetConnections(), Is.Empty);
        await Poll.UntilAsync(() => pair.Server.GetConnections().Count == 0, "the reset has reached the server");
        Assert.That(pair.Client.GetStatistics().CryptFailures, Is.Zero);

        // The destination is not remembered: nothing was wrong with it.
        layer.Workers = pool;
        await using TcpConnection next = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, listening.LocalEndPoint.Port)).AsTask().WaitAsync(s_patience);
        Assert.That(next.Tcpcrypt.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
    }

    [Test]
    [Spec("TD-122")]
    public async Task Two_thousand_connects_at_once_all_get_in_past_a_small_queue([Values] TcpcryptPolicy policy)
    {
        const int Count = 2000;
        await using StackPair pair = await StackPair.StartAsync(
            options =>
            {
                options.Tcpcrypt.HandshakeQueueSize = options.Addresses[0].Address.Equals(StackPair.ServerAddress) ? 256 : 10_000;
                options.Tcpcrypt.AllowResumption = false;
                options.Tcpcrypt.Policy = policy;
            },
            queueLength: 4 * Count);
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0), new TcpListenOptions { Backlog = Count });
        Task<TcpConnection>[] connecting = Connect(pair, listening, Count);
        TcpConnection[] connections = await Task.WhenAll(connecting).WaitAsync(TimeSpan.FromSeconds(90));
        IpStackStatistics server = pair.Server.GetStatistics();
        int encrypted = connections.Count(static connection => connection.Tcpcrypt.IsEncrypted);
        TestContext.Out.WriteLine($"{encrypted} encrypted, {server.Drops["CryptQueueFull"]} SYNs and INIT1 dropped");

        using (Assert.EnterMultipleScope())
        {
            Assert.That(encrypted, policy switch
            {
                TcpcryptPolicy.Disabled => Is.Zero,
                TcpcryptPolicy.Required => Is.EqualTo(Count),
                _ => Is.Positive,
            });
            Assert.That(connections.Select(static connection => connection.Tcpcrypt.Outcome).Distinct(), Is.SubsetOf(policy == TcpcryptPolicy.Disabled
                ? [TcpcryptOutcome.DisabledHere]
                : new[] { TcpcryptOutcome.Encrypted, TcpcryptOutcome.SynUnanswered }));
            Assert.That(server.Drops["CryptQueueFull"], policy == TcpcryptPolicy.Disabled ? Is.Zero : Is.Positive);
            Assert.That(server.CryptFailures, Is.Zero);
        }
    }

    [Test]
    public async Task Rekeying_a_connection_that_has_ended_is_an_error_like_any_other()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        client.Abort();
        Assert.That(async () => await client.RekeyAsync().AsTask().WaitAsync(s_patience), Throws.InstanceOf<IOException>(), "aborted here");
        await Poll.UntilAsync(() => pair.Server.GetConnections().Count == 0, "the reset has arrived");
        Assert.That(async () => await server.RekeyAsync().AsTask().WaitAsync(s_patience), Throws.InstanceOf<IOException>(), "reset by the peer");
        await server.DisposeAsync();
        Assert.That(async () => await server.RekeyAsync().AsTask().WaitAsync(s_patience), Throws.InstanceOf<ObjectDisposedException>().Or.InstanceOf<IOException>(), "disposed of");

        (client, server) = await pair.ConnectAsync();
        using CancellationTokenSource cancellation = new();
        await client.RekeyAsync().AsTask().WaitAsync(s_patience);
        Task second = client.RekeyAsync(cancellation.Token).AsTask();   // not before a minute
        Assert.That(second.IsCompleted, Is.False);
        await cancellation.CancelAsync();
        Assert.That(async () => await second.WaitAsync(s_patience), Throws.InstanceOf<OperationCanceledException>());
        Task third = client.RekeyAsync().AsTask();
        server.Abort();
        Assert.That(async () => await third.WaitAsync(s_patience), Throws.InstanceOf<IOException>(), "the connection breaks while it waits");
        client.FlushTcpcryptSession();  // too late, and harmless
        await pair.Client.DisposeAsync();
        Assert.That(async () => await client.RekeyAsync(), Throws.InstanceOf<ObjectDisposedException>().Or.InstanceOf<IOException>());
        Assert.That(client.FlushTcpcryptSession, Throws.Nothing);
    }

    [Test]
    [Platform("Linux")]
    public async Task Key_log_that_cannot_be_written_does_not_hurt_the_stack()
    {
        RecordingLogger log = new();
        StackPair pair = await StackPair.StartAsync(options =>
        {
            if (options.Addresses[0].Address.Equals(StackPair.ServerAddress))
            {
                options.Tcpcrypt.KeyLogPath = "/dev/full";
                options.LoggerFactory = log;
            }
        });
        for (int i = 0; i < 3; i++)
        {
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
            Assert.That(server.Tcpcrypt.IsEncrypted, Is.True);
            await Transfer.BothWaysAsync(client, server, 10_000).WaitAsync(s_patience);
        }

        await Poll.UntilAsync(() => log.Warnings.Contains(4004), "it is said");
        await pair.DisposeAsync();
        Assert.That(log.Warnings, Is.EqualTo(new[] { 4000, 4004 }), "once");
        await pair.Server.Completion;
    }

    [Test]
    public async Task Key_log_that_cannot_be_opened_prevents_the_start()
    {
        (PacketDevice device, PacketDevice other) = MemoryLink.CreatePair();
        await using PacketDevice _ = device;
        await using PacketDevice __ = other;
        IpStackOptions options = new() { Addresses = [new(StackPair.ClientAddress, 24)], Tcpcrypt = { KeyLogPath = Path.Combine(Path.GetTempPath(), "no such directory", "keys") } };
        Assert.That(async () => await IpStack.StartAsync(device, options), Throws.InstanceOf<IOException>().With.Message.Contain("no such directory"));

        // And leaves the device free.
        options.Tcpcrypt.KeyLogPath = null;
        await (await IpStack.StartAsync(device, options)).DisposeAsync();
    }

    private static Task<TcpConnection>[] Connect(StackPair pair, TcpConnectionListener listening, int count)
    {
        IPEndPoint end = new(StackPair.ServerAddress, listening.LocalEndPoint.Port);
        return [.. Enumerable.Range(0, count).Select(_ => pair.Client.ConnectAsync(end, new TcpConnectOptions { Timeout = TimeSpan.FromSeconds(80) }).AsTask())];
    }

    private sealed class RecordingLogger : ILoggerFactory, ILogger
    {
        private readonly List<int> _warnings = [];

        public int[] Warnings
        {
            get
            {
                lock (_warnings)
                {
                    return [.. _warnings];
                }
            }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel >= LogLevel.Warning)
            {
                lock (_warnings)
                {
                    _warnings.Add(eventId.Id);
                }
            }
        }

        public void Dispose()
        {
        }
    }
}
