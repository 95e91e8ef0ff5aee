using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests;

/// <summary>
/// A stack under attack: a listener on port 80, a bystander whose transfer goes on beside, and <see cref="Finish"/>, which checks what must hold after
/// every case: packets never throw (INV-1), the bystander's data is whole (INV-2), memory, tables and timers return to nothing (INV-3).
/// </summary>
internal sealed class Host
{
    public const ushort ListenPort = 80;
    public static readonly Ipv4Address Here = Ipv4Address.Parse("192.168.0.1");
    public static readonly Ipv4Address There = Ipv4Address.Parse("10.0.0.1");

    private readonly Dictionary<(Endpoint4 Remote, Endpoint4 Local), List<byte[]>> _sent = [];
    private readonly List<SteppedSocket> _sockets = [];
    private readonly List<byte> _bystanderSent = [];
    private readonly List<byte> _bystanderGot = [];
    private readonly List<byte> _bystanderWrote = [];
    private readonly SteppedSocket _listener;
    private readonly Peer _bystander;
    private readonly Random _random = new(1);
    private int _injected;
    private bool _isExchanging;
    private ushort _nextPort = 20_000;

    /// <param name="configure">Changes the stack's options.</param>
    /// <param name="iss">The stack's initial sequence number for the first connection of <see cref="Accept"/> (or <see cref="Open"/>), at the host's first instant.</param>
    /// <param name="isActive">The first connection will be opened by the stack.</param>
    public Host(Action<SteppedStackOptions>? configure = null, uint? iss = null, bool isActive = false)
    {
        Stack = new SteppedStack(MakeOptions(configure, iss is { } wanted ? (long)unchecked(wanted - ProbeIss(configure, isActive)) * 4000 : 0));
        _listener = Stack.Socket(tcp: true);
        Assert.That(_listener.Bind(new IPEndPoint(IPAddress.Any, ListenPort)), Is.EqualTo(SocketError.Success));
        Assert.That(_listener.Listen(128), Is.EqualTo(SocketError.Success));
        _bystander = Accept(new Endpoint4(Ipv4Address.Parse("10.0.0.99"), 9000), 77, timestamps: true);
        Exchange();
    }

    public SteppedStack Stack { get; }

    public SteppedSocket Listener => _listener;

    public StackCore Core => Stack.Core;

    public long Drops(DropReason reason) => Core.Counters[reason];

    public void Advance(double seconds) => Stack.RunUntil(Stack.NowNs + (long)(seconds * 1e9));

    /// <summary>Gives the stack a packet; now and then the bystander's transfer goes on.</summary>
    public void Inject(byte[] packet)
    {
        Stack.Inject(packet);
        if (!_isExchanging && ++_injected % 64 == 0)
        {
            Exchange();
        }
    }

    /// <summary>Packets sent by the stack from <paramref name="local"/> to <paramref name="remote"/>.</summary>
    public List<byte[]> TakeFor(Endpoint4 remote, Endpoint4 local)
    {
        Drain();
        return _sent.Remove((remote, local), out List<byte[]>? packets) ? packets : [];
    }

    /// <summary>How many packets the stack sent in all that nobody has taken; forgets them.</summary>
    public int TakeAll()
    {
        Drain();
        int count = _sent.Values.Sum(packets => packets.Count);
        _sent.Clear();
        return count;
    }

    /// <summary>Where new peers are.</summary>
    public Ipv4Address PeerAddress { get; set; } = There;

    /// <summary>A peer that has not said anything yet.</summary>
    public Peer NewPeer(uint isn = 0, Endpoint4? remote = null, ushort localPort = ListenPort) =>
        new(this, remote ?? new Endpoint4(PeerAddress, _nextPort++), new Endpoint4(Here, localPort), isn);

    /// <summary>The first peer: the one whose ISS the constructor settles.</summary>
    public static Endpoint4 FirstRemote => new(There, 4000);

    /// <summary>A peer opens a connection to the listener.</summary>
    public Peer Accept(uint isn = 0, bool timestamps = false, params byte[] options) => Accept(new Endpoint4(PeerAddress, _nextPort++), isn, timestamps, options);

    public Peer Accept(Endpoint4 remote, uint isn, bool timestamps = false, params byte[] options)
    {
        Peer peer = NewPeer(isn, remote);
        peer.HasTimestamps = timestamps;
        Seg synAck = peer.Ask(Seg.Syn(options.Length > 0 ? options : Opt.Mss(1460)));
        Assert.That(synAck.Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ack));
        peer.Expect0(Seg.Ack());
        Assert.That(_listener.Accept(out SteppedSocket? socket), Is.EqualTo(SocketError.Success));
        peer.Socket = Track(socket!);
        return peer;
    }

    /// <summary>The stack sends a SYN to a peer, which has not answered yet.</summary>
    public Peer Connecting(uint isn = 0, ushort localPort = 5000, Endpoint4? remote = null)
    {
        Peer peer = NewPeer(isn, remote ?? FirstRemote, localPort);
        peer.Socket = Track(Stack.Socket(tcp: true));
        Assert.That(peer.Socket.Bind(new IPEndPoint(Here.ToIPAddress(), localPort)), Is.EqualTo(SocketError.Success));
        Assert.That(peer.Socket.Connect(peer.Remote.ToIPEndPoint()), Is.EqualTo(SocketError.InProgress));
        List<Seg> syn = peer.Take();
        Assert.That(syn, Has.Count.EqualTo(1));
        Assert.That(syn[0].Flags, Is.EqualTo(TcpFlags.Syn));
        return peer;
    }

    /// <summary>A connection that the stack has opened.</summary>
    public Peer Open(uint isn = 0, ushort localPort = 5000, Endpoint4? remote = null)
    {
        Peer peer = Connecting(isn, localPort, remote);
        Assert.That(peer.Ask(Seg.SynAck(Opt.Mss(1460))).Flags, Is.EqualTo(TcpFlags.Ack));
        return peer;
    }

    /// <summary>Takes over connections that wait in the accept queue.</summary>
    public List<SteppedSocket> AcceptAll()
    {
        List<SteppedSocket> accepted = [];
        while (_listener.Accept(out SteppedSocket? socket) == SocketError.Success)
        {
            accepted.Add(Track(socket!));
        }

        return accepted;
    }

    public SteppedSocket Track(SteppedSocket socket)
    {
        _sockets.Add(socket);
        return socket;
    }

    public static byte[] Read(SteppedSocket socket, int max = 1 << 20)
    {
        byte[] buffer = new byte[max];
        int total = 0;
        while (total < max && socket.Receive(buffer.AsSpan(total), out int count) == SocketError.Success && count > 0)
        {
            total += count;
        }

        return buffer[..total];
    }

    /// <summary>The bystander: some octets each way.</summary>
    public void Exchange()
    {
        _isExchanging = true;
        byte[] data = new byte[700];
        _random.NextBytes(data);
        _bystander.SendNext(data, int.MaxValue);
        _bystanderSent.AddRange(data);
        _bystanderGot.AddRange(Read(_bystander.Socket));
        _random.NextBytes(data);
        if (_bystander.Socket.Send(data, out int sent) == SocketError.Success)
        {
            _bystanderWrote.AddRange(data.AsSpan(0, sent));
        }

        _bystander.TakeAndAcknowledge();
        _isExchanging = false;
    }

    /// <summary>INV-1, INV-2, INV-3.</summary>
    public void Finish()
    {
        Exchange();
        Assert.That(_bystanderGot, Is.EqualTo(_bystanderSent), "INV-2: what the bystander sent");
        Assert.That(_bystander.Stream, Is.EqualTo(_bystanderWrote), "INV-2: what the bystander received");

        AcceptAll();
        PeerAddress = Ipv4Address.Parse("10.200.0.1");
        Peer fresh = Accept();
        fresh.SendNext([1, 2, 3]);
        Assert.That(Read(fresh.Socket), Is.EqualTo(new byte[] { 1, 2, 3 }), "INV-1: a fresh connection receives");
        fresh.Socket.Send([4, 5, 6], out _);
        fresh.TakeAndAcknowledge();
        Assert.That(fresh.Stream, Is.EqualTo(new byte[] { 4, 5, 6 }), "INV-1: a fresh connection sends");

        foreach (SteppedSocket socket in _sockets)
        {
            socket.SetOption(SteppedSocketOption.Linger, 0);
            socket.Close();
        }

        _listener.Close();
        Advance(2000);   // R2 of what was closed and never answered is about 15 minutes
        TakeAll();
        Assert.That(Core.Tcp.Endpoints, Is.Empty, "INV-3: connections");
        Assert.That(Core.Tcp.SynCache.Count, Is.Zero, "INV-3: half-open connections");
        Assert.That(Core.Tcp.TimeWait.Count, Is.Zero, "INV-3: TIME-WAIT");
        Assert.That(Core.Deadlines.Count, Is.Zero, "INV-3: timers");
        Assert.That(Core.Blocks.InUse, Is.Zero, "INV-3: buffer memory");
    }

    private void Drain()
    {
        while (Stack.TryTake(out _, out byte[] packet))
        {
            if (Ipv4Header.TryParse(packet, out Ipv4Header ip) == Ipv4ParseError.None && ip.Protocol == IpProtocol.Tcp && TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
            {
                (Endpoint4, Endpoint4) key = (new Endpoint4(ip.Destination, tcp.DestinationPort), new Endpoint4(ip.Source, tcp.SourcePort));
                if (!_sent.TryGetValue(key, out List<byte[]>? packets))
                {
                    _sent.Add(key, packets = []);
                }

                packets.Add(packet);
            }
        }
    }

    private static SteppedStackOptions MakeOptions(Action<SteppedStackOptions>? configure, long startNs)
    {
        SteppedStackOptions options = new() { Seed = 7, StartNs = startNs };
        configure?.Invoke(options);
        return options;
    }

    /// <summary>What the first connection's ISS would be at time zero: the rest is the 4 microsecond clock.</summary>
    private static uint ProbeIss(Action<SteppedStackOptions>? configure, bool isActive)
    {
        SteppedStack stack = new(MakeOptions(configure, 0));
        SteppedSocket socket = stack.Socket(tcp: true);
        if (isActive)
        {
            socket.Bind(new IPEndPoint(Here.ToIPAddress(), 5000));
            socket.Connect(FirstRemote.ToIPEndPoint());
        }
        else
        {
            socket.Bind(new IPEndPoint(IPAddress.Any, ListenPort));
            socket.Listen(1);
            stack.Inject(Seg.Syn().ToPacket(FirstRemote, new Endpoint4(Here, ListenPort), 0, 0));
        }

        Assert.That(stack.TryTake(out _, out byte[] packet), Is.True);
        Assert.That(TcpHeader.TryParse(packet.AsSpan(20), out TcpHeader tcp), Is.True);
        return tcp.Seq.Value;
    }
}
