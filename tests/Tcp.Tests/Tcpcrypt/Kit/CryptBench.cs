using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>One stack with tcpcrypt and a listener on port 80, and hand-made peers.</summary>
internal sealed class CryptBench
{
    public const ushort ListenPort = 80;
    public static readonly Ipv4Address Here = Ipv4Address.Parse("192.168.0.1");
    public static readonly Ipv4Address There = Ipv4Address.Parse("10.0.0.1");

    private readonly List<(Endpoint4 Remote, Endpoint4 Local, byte[] Packet)> _sent = [];
    private ushort _nextPort = 4000;

    /// <param name="crypt">Changes tcpcrypt's options.</param>
    /// <param name="configure">Changes the stack's options.</param>
    /// <param name="iss">The stack's initial sequence number for the first connection, which peers from port 4000 open, or which is opened to there from port 5000.</param>
    /// <param name="isActive">The stack opens the first connection.</param>
    public CryptBench(Action<TcpcryptOptions>? crypt = null, Action<SteppedStackOptions>? configure = null, uint? iss = null, bool isActive = false)
    {
        Stack = Make(crypt, configure, iss is { } wanted ? (long)unchecked(wanted - ProbeIss(crypt, configure, isActive)) * 4000 : 0);
        Listener = Listen(Stack);
    }

    public SteppedStack Stack { get; }

    public SteppedSocket Listener { get; }

    public ulong StartOffset { get; set; }

    public long Drops(DropReason reason) => Stack.Core.Counters[reason];

    public void Advance(double seconds) => Stack.RunUntil(Stack.NowNs + (long)(seconds * 1e9));

    /// <summary>A peer that has not said anything yet.</summary>
    public CryptPeer NewPeer(uint isn = 1000, ushort localPort = ListenPort) => new(this, new Endpoint4(There, _nextPort++), new Endpoint4(Here, localPort), isn);

    /// <summary>The stack opens a connection to a new peer, which has its SYN before it.</summary>
    public CryptPeer Connect(out Heard syn, uint isn = 1000, ushort localPort = 5000, ushort? remotePort = null, Action<SteppedSocket>? configure = null)
    {
        CryptPeer peer = new(this, new Endpoint4(There, remotePort ?? _nextPort++), new Endpoint4(Here, localPort), isn) { Socket = Stack.Socket(tcp: true) };
        configure?.Invoke(peer.Socket);
        Assert.That(peer.Socket.Bind(peer.Local.ToIPEndPoint()), Is.EqualTo(SocketError.Success));
        Assert.That(peer.Socket.Connect(peer.Remote.ToIPEndPoint()), Is.EqualTo(SocketError.InProgress));
        List<Heard> heard = peer.Take();
        Assert.That(heard, Has.Count.EqualTo(1));
        Assert.That(heard[0].Seg.Flags, Is.EqualTo(TcpFlags.Syn));
        syn = heard[0];
        return peer;
    }

    public SteppedSocket Accept()
    {
        Assert.That(Listener.Accept(out SteppedSocket? socket), Is.EqualTo(SocketError.Success), "a connection to accept");
        return socket!;
    }

    /// <summary>One more listener, whose tcpcrypt settings differ from the stack's.</summary>
    public void Listen(ushort port, Func<CryptSettings, CryptSettings> change)
    {
        TcpEndpointOptions options = TcpEndpointOptions.From(Stack.Core.Options.Tcp);
        options.Crypt = change(Stack.Core.Crypt!.Settings);
        Assert.That(Stack.Core.Tcp.Listen(new Endpoint4(default, port), options, 16, out _), Is.EqualTo(SocketError.Success));
    }

    public void AssertNothingToAccept() => Assert.That(Listener.Accept(out _), Is.EqualTo(SocketError.WouldBlock), "nothing to accept");

    public List<byte[]> TakeFor(Endpoint4 remote, Endpoint4 local)
    {
        while (Stack.TryTake(out _, out byte[] packet))
        {
            if (Ipv4Header.TryParse(packet, out Ipv4Header ip) == Ipv4ParseError.None && ip.Protocol == IpProtocol.Tcp && TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
            {
                _sent.Add((new Endpoint4(ip.Destination, tcp.DestinationPort), new Endpoint4(ip.Source, tcp.SourcePort), packet));
            }
        }

        List<byte[]> packets = [.. _sent.Where(sent => sent.Remote == remote && sent.Local == local).Select(static sent => sent.Packet)];
        _sent.RemoveAll(sent => sent.Remote == remote && sent.Local == local);
        return packets;
    }

    /// <summary>All is let go of: nothing of any connection may be left after a while.</summary>
    public void Finish(params SteppedSocket[] sockets)
    {
        foreach (SteppedSocket socket in sockets)
        {
            socket.SetOption(SteppedSocketOption.Linger, 0);
            socket.Close();
        }

        Listener.Close();
        Advance(4000);
        AssertEmpty();
    }

    public void AssertEmpty()
    {
        Assert.That(Stack.Core.Tcp.Endpoints, Is.Empty, "connections");
        Assert.That(Stack.Core.Tcp.SynCache.Count, Is.Zero, "half-open connections");
        Assert.That(Stack.Core.Tcp.TimeWait.Count, Is.Zero, "TIME-WAIT");
        Assert.That(Stack.Core.Deadlines.Count, Is.Zero, "timers");
        Assert.That(Stack.Core.Blocks.InUse, Is.Zero, "buffer memory");
    }

    private static SteppedStack Make(Action<TcpcryptOptions>? crypt, Action<SteppedStackOptions>? configure, long startNs)
    {
        SteppedStackOptions options = new() { Seed = 7, StartNs = startNs, Tcpcrypt = true };
        crypt?.Invoke(options.TcpcryptOptions);
        configure?.Invoke(options);
        return new SteppedStack(options);
    }

    private static SteppedSocket Listen(SteppedStack stack)
    {
        SteppedSocket listener = stack.Socket(tcp: true);
        Assert.That(listener.Bind(new IPEndPoint(IPAddress.Any, ListenPort)), Is.EqualTo(SocketError.Success));
        Assert.That(listener.Listen(16), Is.EqualTo(SocketError.Success));
        return listener;
    }

    /// <summary>What the first connection's ISS would be at time zero: the rest is the 4 microsecond clock.</summary>
    private static uint ProbeIss(Action<TcpcryptOptions>? crypt, Action<SteppedStackOptions>? configure, bool isActive)
    {
        SteppedStack stack = Make(crypt, configure, 0);
        Endpoint4 remote = new(There, 4000);
        if (isActive)
        {
            SteppedSocket socket = stack.Socket(tcp: true);
            socket.Bind(new IPEndPoint(Here.ToIPAddress(), 5000));
            socket.Connect(remote.ToIPEndPoint());
        }
        else
        {
            Listen(stack);
            stack.Inject(Seg.Syn().ToPacket(remote, new Endpoint4(Here, ListenPort), 0, 0));
        }

        Assert.That(stack.TryTake(out _, out byte[] packet), Is.True);
        Assert.That(TcpHeader.TryParse(packet.AsSpan(20), out TcpHeader tcp), Is.True);
        return tcp.Seq.Value;
    }
}
