using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

/// <summary>tcpcrypt through the public API, with the workers' threads.</summary>
public sealed class TcpcryptTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Test]
    [Spec("TD-15"), Spec("TD-70")]
    public async Task Connections_are_encrypted_without_being_asked()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(client.Tcpcrypt.IsEncrypted, Is.True);
            Assert.That(client.Tcpcrypt.SessionId.ToArray(), Is.EqualTo(server.Tcpcrypt.SessionId.ToArray()).And.Not.Empty);
            Assert.That(client.Tcpcrypt.LocalPublicKey!.Value.ToArray(), Is.EqualTo(server.Tcpcrypt.RemotePublicKey!.Value.ToArray()));
            Assert.That(pair.Server.GetStatistics().CryptHandshakes, Is.EqualTo(1));
        }

        await Transfer.BothWaysAsync(client, server, 2_000_000).WaitAsync(s_patience);
    }

    [TestCase(TcpcryptPolicy.Disabled, TcpcryptPolicy.Opportunistic, TcpcryptOutcome.DisabledHere)]
    [TestCase(TcpcryptPolicy.Opportunistic, TcpcryptPolicy.Disabled, TcpcryptOutcome.PeerDeclined)]
    [Spec("TD-39")]
    public async Task Plain_where_one_side_does_not_want_it(TcpcryptPolicy opener, TcpcryptPolicy listener, TcpcryptOutcome outcome)
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0), new TcpListenOptions { Policy = listener });
        ValueTask<TcpConnection> accepting = listening.AcceptAsync();
        TcpConnection client = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, listening.LocalEndPoint.Port), new TcpConnectOptions { Policy = opener });
        TcpConnection server = await accepting;

        Assert.That(client.Tcpcrypt.Outcome, Is.EqualTo(outcome));
        Assert.That(client.Tcpcrypt.SessionId.Length, Is.Zero);
        await Transfer.BothWaysAsync(client, server, 100_000).WaitAsync(s_patience);
    }

    [Test]
    [Spec("TD-117")]
    public async Task Required_fails_with_the_reason()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0), new TcpListenOptions { Policy = TcpcryptPolicy.Disabled });
        IPEndPoint end = new(StackPair.ServerAddress, listening.LocalEndPoint.Port);

        TcpcryptException? error = await Assert.ThrowsAsync<TcpcryptException>(() => pair.Client.ConnectAsync(end, new TcpConnectOptions { Policy = TcpcryptPolicy.Required }).AsTask());
        Assert.That(error!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDeclined));
        Assert.That(error.InnerException, Is.InstanceOf<SocketException>());
        Assert.That(pair.Client.GetConnections(), Is.Empty);
    }

    [Test]
    public async Task Required_listener_refuses_a_plain_opener()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0), new TcpListenOptions { Policy = TcpcryptPolicy.Required });
        IPEndPoint end = new(StackPair.ServerAddress, listening.LocalEndPoint.Port);

        SocketException? error = await Assert.ThrowsAsync<SocketException>(() => pair.Client.ConnectAsync(end, new TcpConnectOptions { Policy = TcpcryptPolicy.Disabled }).AsTask());
        Assert.That(error!.SocketErrorCode, Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    [Spec("TD-91"), Spec("TD-96")]
    public async Task Keys_are_replaced_on_an_idle_connection()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await Transfer.BothWaysAsync(client, server, 10_000).WaitAsync(s_patience);

        await client.RekeyAsync().AsTask().WaitAsync(s_patience);
        Assert.That((client.Tcpcrypt.RekeyCount, server.Tcpcrypt.RekeyCount), Is.EqualTo((1L, 1L)));
        await Transfer.BothWaysAsync(client, server, 100_000).WaitAsync(s_patience);
    }

    [Test]
    [Spec("REF-13")]
    public async Task Limit_of_the_legacy_cipher_ends_the_connection_and_says_why([Values] bool throughPipe, [Values] bool isReaders)
    {
        const int limit = 300_000;
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            bool isServer = options.Addresses[0].Address.Equals(StackPair.ServerAddress);
            options.Tcpcrypt.LegacyCipherByteLimit = isServer == isReaders ? limit : null;
        });
        await pair.Server.Host.InvokeAsync(0, static (_, core, _) =>
        {
            core.Crypt!.Settings = core.Crypt.Settings with { SendsMarker = false };
            return true;
        });
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Assert.That(client.Tcpcrypt.Dialect, Is.EqualTo(TcpcryptDialect.Reference));

        long received = 0;
        Task reading = Task.Run(async () =>
        {
            byte[] buffer = new byte[65_536];
            while (await server.GetStream().ReadAsync(buffer) is > 0 and int count)
            {
                received += count;
            }
        });
        byte[] data = new byte[10_000];
        Task writing = Task.Run(async () =>
        {
            while (true)
            {
                if (throughPipe)
                {
                    await client.Output.WriteAsync(data);
                }
                else
                {
                    await client.GetStream().WriteAsync(data);
                }
            }
        });

        TcpcryptException? error = await Assert.ThrowsAsync<TcpcryptException>(() => (isReaders ? reading : writing).WaitAsync(s_patience));
        Assert.That(error!.Outcome, Is.EqualTo(TcpcryptOutcome.CipherSpent));
        Assert.That(error.Message, Does.Contain("LegacyCipherByteLimit"));
        if (isReaders)
        {
            // The peer does not know the limit: it hears our FIN, and is reset in the end.
            Assert.That(received, Is.InRange(limit + 1, limit + 65_536));
            Assert.That(await client.GetStream().ReadAsync(data).AsTask().WaitAsync(s_patience), Is.Zero);
            await server.DisposeAsync();
            await Assert.ThrowsAsync<IOException>(() => writing.WaitAsync(s_patience));
        }
        else
        {
            await reading.WaitAsync(s_patience);
            Assert.That(received, Is.EqualTo(limit));
            Assert.That(client.Tcpcrypt.IsEncrypted, Is.True);
        }
    }

    [Test]
    public async Task Plain_connections_have_no_keys_to_replace()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.Policy = TcpcryptPolicy.Disabled);
        (TcpConnection client, _) = await pair.ConnectAsync();
        await Assert.ThrowsAsync<NotSupportedException>(() => client.RekeyAsync().AsTask());
    }

    [Test]
    [Spec("TD-102"), Spec("TD-105")]
    public async Task Sessions_are_resumed_until_they_are_flushed()
    {
        await using StackPair pair = await StackPair.StartAsync();
        bool[] resumed = new bool[4];
        for (int i = 0; i < resumed.Length; i++)
        {
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
            resumed[i] = client.Tcpcrypt.IsResumed && server.Tcpcrypt.IsResumed;
            await Transfer.BothWaysAsync(client, server, 1000).WaitAsync(s_patience);
            if (i == 2)
            {
                client.FlushTcpcryptSession();
            }

            await client.DisposeAsync();
            await server.DisposeAsync();
        }

        Assert.That(resumed, Is.EqualTo(new[] { false, true, true, false }));
    }

    [Test]
    [Spec("TD-101"), Spec("TD-103")]
    public async Task Sessions_are_kept_where_the_application_says()
    {
        Store store = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.SessionStore = options.Addresses[0].Address.Equals(StackPair.ServerAddress) ? store : null);
        for (int i = 0; i < 3; i++)
        {
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
            Assert.That(server.Tcpcrypt.IsResumed, Is.EqualTo(i > 0));
            await Transfer.BothWaysAsync(client, server, 1000).WaitAsync(s_patience);
            await store.Added.WaitAsync(s_patience);
            store.HasFailed = i == 1;
            await client.DisposeAsync();
            await server.DisposeAsync();
            if (i == 1)
            {
                break;
            }
        }

        // A store that throws costs a full handshake and nothing else.
        (TcpConnection last, TcpConnection other) = await pair.ConnectAsync();
        Assert.That((last.Tcpcrypt.IsEncrypted, other.Tcpcrypt.IsResumed), Is.EqualTo((true, false)));
    }

    [Test]
    public async Task Key_log_has_a_line_per_encrypted_connection()
    {
        string path = Path.Combine(Path.GetTempPath(), $"tcpcrypt-keys-{Environment.ProcessId}-{TestContext.CurrentContext.Test.ID}.log");
        try
        {
            string sessionId;
            await using (StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.KeyLogPath = path + options.Addresses[0].Address))
            {
                (TcpConnection client, _) = await pair.ConnectAsync();
                sessionId = Convert.ToHexStringLower(client.Tcpcrypt.SessionId.Span);
            }

            string[] lines = [.. await File.ReadAllLinesAsync(path + StackPair.ClientAddress), .. await File.ReadAllLinesAsync(path + StackPair.ServerAddress)];
            Assert.That(lines, Has.Length.EqualTo(2).And.All.Match(@"^TCPCRYPT_SS Draft 00000100 00 10\.0\.0\.1:\d+ 10\.0\.0\.2:\d+ " + sessionId + " [0-9a-f]{64}$"));
            Assert.That(lines[0], Is.EqualTo(lines[1]), "both ends know the same");
            Assert.That(OperatingSystem.IsLinux() ? File.GetUnixFileMode(path + StackPair.ClientAddress) : default, Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        }
        finally
        {
            File.Delete(path + StackPair.ClientAddress);
            File.Delete(path + StackPair.ServerAddress);
        }
    }

    [Test]
    [Spec("TD-122")]
    public async Task Many_handshakes_at_once_all_end()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.HandshakeQueueSize = 32);
        await using TcpConnectionListener listening = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0));
        IPEndPoint end = new(StackPair.ServerAddress, listening.LocalEndPoint.Port);
        Task<TcpConnection>[] connecting = [.. Enumerable.Range(0, 100).Select(_ => pair.Client.ConnectAsync(end, new TcpConnectOptions { AllowResumption = false }).AsTask())];
        TcpConnection[] connections = await Task.WhenAll(connecting).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.That(connections.Select(connection => Convert.ToHexString(connection.Tcpcrypt.SessionId.Span)).Distinct().Count(id => id.Length > 0), Is.GreaterThan(0));
        Assert.That(connections.Where(connection => connection.Tcpcrypt.IsEncrypted).Select(connection => Convert.ToHexString(connection.Tcpcrypt.SessionId.Span)), Is.Unique);
    }

    /// <summary>A store as a server farm would have it: octets under keys.</summary>
    private sealed class Store : ITcpcryptSessionStore
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<string, byte[]> _byIdentifier = [];

        public SemaphoreSlim Added { get; } = new(0);

        public bool HasFailed { get; set; }

        public void Add(IPAddress peer, TcpcryptSession session)
        {
            lock (_lock)
            {
                byte[] octets = session.Export();
                foreach (ReadOnlyMemory<byte> identifier in session.GetIdentifiers())
                {
                    _byIdentifier[Convert.ToHexString(identifier.Span)] = octets;
                }
            }

            session.Dispose();
            Added.Release();
        }

        public TcpcryptSession? TakeForPeer(IPAddress peer, TcpcryptRole roles) => null;

        public TcpcryptSession? Take(ReadOnlySpan<byte> identifier, TcpcryptRole roles)
        {
            if (HasFailed)
            {
                throw new IOException("The store is out of order.");
            }

            lock (_lock)
            {
                if (!_byIdentifier.TryGetValue(Convert.ToHexString(identifier), out byte[]? octets))
                {
                    return null;
                }

                foreach (string key in _byIdentifier.Where(entry => entry.Value == octets).Select(entry => entry.Key).ToArray())
                {
                    _byIdentifier.Remove(key);
                }

                using TcpcryptSession session = TcpcryptSession.Import(octets);
                return session.Find(identifier);
            }
        }

        public void Drop(TcpcryptSession session)
        {
        }

        public void RemovePeer(IPAddress peer)
        {
        }
    }
}
