using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Two stacks on one link.</summary>
internal sealed class Pair
{
    public static readonly IPEndPoint ServerEnd = new(IPAddress.Parse("10.0.0.2"), 80);

    public Pair(LinkDirection? link = null, ulong seed = 1, Action<SteppedStackOptions>? client = null, Action<SteppedStackOptions>? server = null, LinkOptions? options = null)
    {
        Client = New("10.0.0.1", 11, client);
        Server = New("10.0.0.2", 22, server);
        Link = SteppedStack.Join(Client, Server, options ?? LinkOptions.Symmetric(link ?? new LinkDirection { Delay = TimeSpan.FromMilliseconds(10) }), seed);
        Listener = Server.Socket(tcp: true);
        Assert.That(Listener.Bind(ServerEnd), Is.EqualTo(SocketError.Success));
        Assert.That(Listener.Listen(4096), Is.EqualTo(SocketError.Success));
    }

    public SteppedStack Client { get; }

    public SteppedStack Server { get; }

    public SteppedLink Link { get; }

    public SteppedSocket Listener { get; }

    public (SteppedSocket Client, SteppedSocket Server) Connect(Action<SteppedSocket>? configure = null)
    {
        SteppedSocket client = Client.Socket(tcp: true);
        configure?.Invoke(client);
        Assert.That(client.Connect(ServerEnd), Is.EqualTo(SocketError.InProgress));
        SteppedSocket? server = null;
        Assert.That(Link.Run(() => Listener.Accept(out server) == SocketError.Success), Is.True, "accepted");

        // With tcpcrypt the listener is ready first.
        Assert.That(Link.Run(() => client.Poll().HasFlag(SteppedPollFlags.Out)), Is.True, "connected");
        return (client, server!);
    }

    /// <summary>A connection that the server opens.</summary>
    public (SteppedSocket Server, SteppedSocket Client) ConnectBack()
    {
        IPEndPoint end = new(IPAddress.Parse("10.0.0.1"), 81);
        SteppedSocket listener = Client.Socket(tcp: true);
        Assert.That(listener.Bind(end), Is.EqualTo(SocketError.Success));
        Assert.That(listener.Listen(16), Is.EqualTo(SocketError.Success));
        SteppedSocket opener = Server.Socket(tcp: true);
        Assert.That(opener.Connect(end), Is.EqualTo(SocketError.InProgress));
        SteppedSocket? accepted = null;
        Assert.That(Link.Run(() => listener.Accept(out accepted) == SocketError.Success), Is.True, "accepted");
        Assert.That(Link.Run(() => opener.Poll().HasFlag(SteppedPollFlags.Out)), Is.True, "connected");
        listener.Close();
        return (opener, accepted!);
    }

    /// <summary>Sends octets both ways at once, closes both sides, and compares hashes.</summary>
    public void Transfer(SteppedSocket a, SteppedSocket b, int octets, int readSize = 65_536, double minutes = 60)
    {
        Flow forth = new(a, b, octets, 1, readSize);
        Flow back = new(b, a, octets, 2, readSize);
        long limit = Link.NowNs + (long)(minutes * 60e9);
        bool done = Link.Run(
            () =>
            {
                forth.Pump();
                back.Pump();
                return forth.IsDone && back.IsDone;
            },
            limit,
            maxSteps: 20_000_000);
        Assert.That(done, Is.True, $"received {forth.Received} and {back.Received} of {octets} in {Link.NowNs / 1e9:F1} s; client {a.GetInfo().RecoveryState}/{a.State}, server {b.GetInfo().RecoveryState}/{b.State}; RTO {a.GetInfo().RetransmissionTimeout} and {b.GetInfo().RetransmissionTimeout}, SRTT {a.GetInfo().SmoothedRtt} and {b.GetInfo().SmoothedRtt}");
        Assert.That(forth.HashReceived, Is.EqualTo(forth.HashSent));
        Assert.That(back.HashReceived, Is.EqualTo(back.HashSent));
    }

    /// <summary>Closes everything and checks that both stacks are as empty as when they were new.</summary>
    public void Finish(params SteppedSocket[] sockets)
    {
        foreach (SteppedSocket socket in sockets)
        {
            socket.Close();
        }

        Listener.Close();
        Assert.That(Link.RunUntilIdle(), Is.True);
        foreach (SteppedStack stack in (SteppedStack[])[Client, Server])
        {
            Assert.That(stack.Core.Tcp.Endpoints, Is.Empty);
            Assert.That(stack.Core.Tcp.SynCache.Count, Is.Zero);
            Assert.That(stack.Core.Tcp.TimeWait.Count, Is.Zero);
            Assert.That(stack.Core.Deadlines.Count, Is.Zero);
            Assert.That(stack.Core.Blocks.InUse, Is.Zero);
            Assert.That(stack.Core.Counters.TcpCurrEstab, Is.Zero);
        }
    }

    private static SteppedStack New(string address, ulong seed, Action<SteppedStackOptions>? configure)
    {
        SteppedStackOptions options = new() { Seed = seed };
        options.Addresses.Add(IPPrefixAddress.Parse(address + "/24"));
        configure?.Invoke(options);
        return new SteppedStack(options);
    }

    private sealed class Flow(SteppedSocket from, SteppedSocket to, int octets, int seed, int readSize)
    {
        private readonly Random _random = new(seed);
        private readonly IncrementalHash _sent = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly IncrementalHash _received = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        private readonly byte[] _buffer = new byte[readSize];
        private byte[] _chunk = [];
        private int _at;
        private int _written;
        private bool _isShut;

        public long Received { get; private set; }

        public bool IsDone { get; private set; }

        public string HashSent => Convert.ToHexString(_sent.GetCurrentHash());

        public string HashReceived => Convert.ToHexString(_received.GetCurrentHash());

        public void Pump()
        {
            while (_written < octets)
            {
                if (_at == _chunk.Length)
                {
                    _chunk = new byte[Math.Min(octets - _written, _random.Next(1, 50_000))];
                    _random.NextBytes(_chunk);
                    _at = 0;
                }

                SocketError error = from.Send(_chunk.AsSpan(_at), out int sent);
                if (error == SocketError.WouldBlock)
                {
                    break;
                }

                Assert.That(error, Is.EqualTo(SocketError.Success));
                _sent.AppendData(_chunk, _at, sent);
                _at += sent;
                _written += sent;
            }

            if (_written == octets && !_isShut)
            {
                _isShut = true;
                Assert.That(from.Shutdown(SocketShutdown.Send), Is.EqualTo(SocketError.Success));
            }

            while (!IsDone)
            {
                SocketError error = to.Receive(_buffer, out int count);
                if (error == SocketError.WouldBlock)
                {
                    break;
                }

                Assert.That(error, Is.EqualTo(SocketError.Success));
                _received.AppendData(_buffer, 0, count);
                Received += count;
                IsDone = count == 0;
            }
        }
    }
}
