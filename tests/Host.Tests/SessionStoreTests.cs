using System.Net;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

/// <summary>A store of the application's own may be anything: it costs the short handshake and never the connection, nor its encryption.</summary>
public sealed class SessionStoreTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public enum Fault
    {
        Throws,
        IsSlow,
        Hangs,

        /// <summary>Gives sessions whose secrets were wiped.</summary>
        GivesWiped,

        /// <summary>Gives the first session that it ever had, whatever was asked for, again and again.</summary>
        GivesTheFirst,
    }

    [Test]
    [Spec("TD-101"), Spec("TD-103")]
    public async Task Broken_store_never_costs_a_connection_or_its_encryption([Values] Fault fault, [Values] bool atServer)
    {
        using BrokenStore store = new(fault);
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            bool isServer = options.Addresses[0].Address.Equals(StackPair.ServerAddress);
            options.Tcpcrypt.SessionStore = isServer == atServer ? store : null;
            options.Tcpcrypt.Policy = TcpcryptPolicy.Required;
            options.Tcpcrypt.HandshakeWorkers = 1;
            options.Tcpcrypt.HandshakeQueueSize = 8;
        });
        for (int i = 0; i < 6; i++)
        {
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync().WaitAsync(s_patience);
            Assert.That((client.Tcpcrypt.IsEncrypted, server.Tcpcrypt.IsEncrypted), Is.EqualTo((true, true)));
            Assert.That(client.Tcpcrypt.SessionId.ToArray(), Is.EqualTo(server.Tcpcrypt.SessionId.ToArray()));
            await Transfer.BothWaysAsync(client, server, 1000).WaitAsync(s_patience);
            await client.DisposeAsync();
            await server.DisposeAsync();
        }

        IpStack stack = atServer ? pair.Server : pair.Client;
        bool isSeen = fault is not Fault.IsSlow && (fault != Fault.GivesTheFirst || atServer);
        Assert.That(stack.GetStatistics().CryptStoreFailures, isSeen ? Is.GreaterThan(0) : Is.Zero);
    }

    [Test]
    [Spec("TD-103")]
    public async Task Store_that_hangs_does_not_outlast_the_caller_s_patience()
    {
        using BrokenStore store = new(Fault.Hangs);
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.SessionStore = store);
        using CancellationTokenSource cancelled = new(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAsync<OperationCanceledException>(() => pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 9), ct: cancelled.Token).AsTask().WaitAsync(s_patience));
    }

    private sealed class BrokenStore(Fault fault) : ITcpcryptSessionStore, IDisposable
    {
        private readonly ManualResetEventSlim _end = new();
        private TcpcryptSession? _last;
        private byte[]? _first;

        public void Add(IPAddress peer, TcpcryptSession session)
        {
            _last = session;
            _first ??= session.Export();
        }

        public TcpcryptSession? TakeForPeer(IPAddress peer, TcpcryptRole roles) => Take();

        public TcpcryptSession? Take(ReadOnlySpan<byte> identifier, TcpcryptRole roles) => Take();

        public void Drop(TcpcryptSession session)
        {
            if (fault == Fault.Throws)
            {
                throw new InvalidOperationException("as always");
            }
        }

        public void RemovePeer(IPAddress peer)
        {
        }

        public void Dispose() => _end.Set();

        private TcpcryptSession? Take()
        {
            switch (fault)
            {
                case Fault.Throws:
                    throw new InvalidOperationException("as always");
                case Fault.IsSlow:
                    _end.Wait(200);
                    return null;
                case Fault.Hangs:
                    _end.Wait();
                    return null;
                case Fault.GivesWiped:
                    _last?.Dispose();
                    return _last;
                default:
                    return _first is null ? null : TcpcryptSession.Import(_first);
            }
        }
    }
}
