using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>What a step does; the first octet of its record, modulo their number.</summary>
internal enum Op : byte
{
    OpenPassive, OpenActive, Segment, Data, AckAll, PartialAck, Sack, AppSend, AppReceive, AppShutdown, AppClose, SetOption, Wait, NextTimer, Icmp, Replay, Reflect, Fragmented, Raw, Udp,
    SuperSegment, Fin, Rst, Syn, SynAck, Rekey, Suboptions, Talk, Info, PeerWindow, Loopback, Corrupt, Forward, Decide, Host,
    Count,
}

/// <summary>
/// One stack with a listener, a bound UDP port and a few peers. Steps name what matters relative to the connection (the next octet, the edge of the window, what is outstanding), so that changed and joined scripts still reach deep
/// states. Between steps everything that must hold is looked at; in the end a new connection must work, and nothing may be left.
/// </summary>
internal sealed partial class Machine : IDisposable
{
    public const int RecordLength = 8;

    private const int MaxPeers = 6;
    private const ushort ListenPort = 80;

    /// <summary>The list of key exchanges that a peer answers with as S.</summary>
    public static readonly byte[] PkConf = [0, 2, 0, 0, 0xF0, 4];

    private readonly List<RemotePeer> _peers = [];
    private readonly List<SteppedSocket> _sockets = [];
    private readonly SteppedWorkers _keys = new(new SeededRandom(11));
    private readonly SteppedStack _stack;
    private readonly SteppedSocket _listener;
    private readonly SteppedSocket _datagrams;
    private readonly bool _isEncrypted;
    private readonly byte[] _buffer = new byte[70_000];
    private RemotePeer? _fresh;
    private byte[] _lastEcho = [];
    private int _heard;

    /// <summary>Told of every step and packet, where somebody wants to know.</summary>
    public static Action<string>? Trace { get; set; }

    public Machine(ReadOnlySpan<byte> settings, bool isEncrypted)
    {
        _isEncrypted = isEncrypted;
        SteppedStackOptions options = new()
        {
            Tcpcrypt = isEncrypted,
            Mtu = (settings[0] & 3) switch { 0 => 1500, 1 => 576, 2 => 9000, _ => 1280 },
            MemoryLimit = (settings[0] & 4) != 0 ? 300_000 : 64 * 1024 * 1024,
            DelayedAck = (settings[0] & 8) != 0 ? TimeSpan.Zero : null,
            StartNs = settings[5] * 17_000_000_000L * 4000,
            Seed = 5,
        };
        options.Tcp = new TcpStackOptions
        {
            WindowScaling = (settings[1] & 1) == 0,
            Timestamps = (settings[1] & 2) == 0,
            SelectiveAcknowledgments = (settings[1] & 4) == 0,
            TailLossProbe = (settings[1] & 8) == 0,
            CongestionControl = (settings[1] & 16) == 0 ? CongestionControl.Cubic : CongestionControl.NewReno,
            ExplicitCongestionNotification = (settings[1] & 32) == 0 ? null : true,
            InitialWindowSegments = (settings[1] & 64) == 0 ? 10 : 1,
            QuickAck = (settings[1] & 128) == 0,
            ReceiveBufferSize = (settings[2] & 3) switch { 0 => 1024 * 1024, 1 => 3000, 2 => 65_536, _ => 20_000 },
            SendBufferSize = (settings[2] & 4) == 0 ? 256 * 1024 : 4000,
            SynCacheSize = (settings[2] & 8) == 0 ? 4096 : 1,
            Pacing = (settings[2] & 64) != 0,
            TimeWait = TimeSpan.FromSeconds((settings[2] & 16) == 0 ? 60 : 1),
            ChallengeAcksPerSecond = (settings[2] & 32) == 0 ? 1000 : 1,
        };
        options.TcpcryptOptions.EarlyData = (settings[3] & 1) == 0;
        options.TcpcryptOptions.UnauthenticatedReset = (settings[3] & 2) == 0 ? UnauthenticatedReset.Verify : UnauthenticatedReset.Ignore;
        options.TcpcryptOptions.AllowResumption = (settings[3] & 4) == 0;
        options.TcpcryptOptions.KeyExchanges = [TcpcryptKeyExchange.EcdheP256];
        _stack = new SteppedStack(options);
        _listener = Open(tcp: true);
        Expect(_listener.Bind(new IPEndPoint(IPAddress.Any, ListenPort)) == SocketError.Success && _listener.Listen(64) == SocketError.Success, "the listener listens");
        _datagrams = Open(tcp: false);
        Expect(_datagrams.Bind(new IPEndPoint(IPAddress.Any, 53)) == SocketError.Success, "the UDP socket is bound");
        _mappings = [_stack.Core.Tcp.Forward(s_mapped, 24, 4, 2, _forwards.Enqueue), _stack.Core.Udp.Forward(s_mapped, 24, 4, TimeSpan.FromSeconds(30), _flows.Add)];
    }

    /// <summary>One step; <paramref name="rest"/> is what follows it, of which a raw packet takes its octets.</summary>
    public void Do(ReadOnlySpan<byte> step, ref ReadOnlySpan<byte> rest)
    {
        Op op = (Op)(step[0] % (int)Op.Count);
        byte mode = step[1];
        ReadOnlySpan<byte> operands = step[2..];
        Trace?.Invoke($"{op} {Convert.ToHexStringLower(step[1..])}");
        switch (op)
        {
            case Op.OpenPassive:
                OpenPassive(operands);
                return;
            case Op.OpenActive:
                OpenActive(operands);
                return;
            case Op.Wait:
                Wait(operands);
                return;
            case Op.NextTimer:
                for (int i = 0; i <= (operands[0] & 15) && _stack.RunNextTimer(); i++)
                {
                    Hear();
                }

                return;
            case Op.Raw:
                Raw(operands, ref rest);
                return;
            case Op.Udp:
                Udp(operands);
                return;
            case Op.Loopback:
                Loopback();
                return;
            case Op.Forward:
                Forward(operands);
                return;
            case Op.Decide:
                Decide(operands);
                return;
            case Op.Host:
                Host(operands);
                return;
            default:
                if (_peers.Count > 0)
                {
                    DoWith(op, _peers[(mode & 7) % _peers.Count], mode, operands);
                }

                return;
        }
    }

    /// <summary>What holds between any two steps.</summary>
    public void Audit()
    {
        foreach (TcpEndpoint endpoint in _stack.Core.Tcp.Endpoints)
        {
            if (endpoint.FindInconsistency() is { } what)
            {
                throw new FuzzException($"inconsistent: {what}; {endpoint.Tuple}");
            }
        }

        // A limit is looked at before something is taken: one packet on each connection may go over it.
        long slack = (_stack.Core.Tcp.Endpoints.Count + 2) * 4L * BlockPool.LargeSize;
        Expect(_stack.Core.Blocks.InUse <= _stack.Core.Blocks.Limit + slack, $"{_stack.Core.Blocks.InUse} octets of buffers with a limit of {_stack.Core.Blocks.Limit}");
        Expect(_stack.Core.Ip.ReassemblyOctets <= _stack.Core.Options.ReassemblyMemory, "fragments are within their limit");
    }

    /// <summary>Somebody else can still open a connection and talk.</summary>
    public void ExpectAlive()
    {
        AcceptAll();
        if (_stack.Core.Blocks.IsExhausted || _stack.Core.Tcp.SynCache.Count >= _stack.Core.Options.Tcp.SynCacheSize)
        {
            return;
        }

        RemotePeer peer = _fresh = new RemotePeer(99, new Endpoint4(Ipv4Address.Parse("10.9.9.9"), 999), new Endpoint4(Packets.Us, ListenPort), 5_000);
        Inject(peer.Segment(TcpFlags.Syn, 0, 0, default, [2, 4, 5, 0xB4]));
        Expect(peer.HasIss, "a new SYN is answered");
        Inject(peer.Segment(TcpFlags.Ack, 1, 1, default));
        Inject(peer.Segment(TcpFlags.Ack | TcpFlags.Psh, 1, 1, peer.Data(1, 100)));
        AcceptAll();
        Expect(peer.Socket is not null, "a new connection can be accepted");
        Expect(peer.Socket!.Receive(_buffer, out int received) == SocketError.Success && received == 100, "what is sent on a new connection arrives");
        peer.OnRead(_buffer.AsSpan(0, received));
        Expect(peer.Socket.Send(peer.Outbound(100), out int sent) == SocketError.Success && sent == 100, "a new connection takes data");
        peer.Written += sent;
        Hear();
        Expect(peer.RcvNxt == 101, "a new connection sends data");
    }

    /// <summary>Everybody lets go: nothing is left.</summary>
    public void Finish()
    {
        foreach (SteppedSocket socket in _sockets)
        {
            socket.SetOption(SteppedSocketOption.Linger, 0);
            socket.Close();
        }

        EndForwarding();
        Hear();
        long end = _stack.NowNs + 5_000_000_000_000;
        for (int timers = 0; _stack.NextDeadlineNs is { } next && next <= end; timers++)
        {
            _stack.RunNextTimer();
            Hear();
            Expect(timers < 10_000, "the stack comes to rest");
        }

        _stack.RunUntil(end);
        Hear();
        StackCore core = _stack.Core;
        Expect(core.Tcp.Endpoints.Count == 0 && core.Counters.TcpCurrEstab == 0, $"{core.Tcp.Endpoints.Count} connections are left, {core.Counters.TcpCurrEstab} are counted");
        Expect(core.Tcp.SynCache.Count == 0 && core.Tcp.TimeWait.Count == 0, $"{core.Tcp.SynCache.Count} half-open connections and {core.Tcp.TimeWait.Count} in TIME-WAIT are left");
        Expect(core.Blocks.InUse == 0, $"{core.Blocks.InUse} octets of buffers are left");
        Expect(core.Ip.ReassemblyOctets == 0 && core.Deadlines.Count == 0, $"{core.Ip.ReassemblyOctets} octets of fragments and {core.Deadlines.Count} timers are left");
    }

    public void Dispose()
    {
        foreach (RemotePeer peer in _peers)
        {
            peer.Dispose();
        }

        _fresh?.Dispose();
    }

    private static void Expect(bool condition, string what)
    {
        if (!condition)
        {
            throw new FuzzException(what);
        }
    }

    private SteppedSocket Open(bool tcp)
    {
        SteppedSocket socket = _stack.Socket(tcp);
        _sockets.Add(socket);
        return socket;
    }

    private void AcceptAll()
    {
        while (_listener.Accept(out SteppedSocket? accepted) == SocketError.Success)
        {
            _sockets.Add(accepted!);
            IPEndPoint remote = accepted!.RemoteEndPoint!;
            RemotePeer? peer = _fresh?.Remote.Port == remote.Port ? _fresh : _peers.Find(peer => peer.Remote.Port == remote.Port && Equals(peer.Remote.Address.ToIPAddress(), remote.Address));
            if (peer is not null)
            {
                // A second one with the same ports is another connection.
                peer.IsTainted |= peer.Socket is not null;
                peer.Socket = accepted;
            }
        }
    }

    /// <summary>A packet arrives; what the stack says to it at once is not much.</summary>
    private void Inject(ReadOnlySpan<byte> packet)
    {
        Hear();
        _heard = 0;
        TracePacket(_stack.NowNs, "<", packet);
        _stack.Inject(packet);
        Hear();
        Expect(_heard <= 4, $"{_heard} packets without data in answer to one");
    }

    /// <summary>Takes and checks everything that the stack has sent.</summary>
    private void Hear()
    {
        while (_stack.TryTake(out long at, out byte[] packet))
        {
            TracePacket(at, ">", packet);
            Expect(Ipv4Header.TryParse(packet, out Ipv4Header ip) == Ipv4ParseError.None && ip.TotalLength == packet.Length, "what is sent can be read");
            if (ip.IsFragment || ip.Protocol != IpProtocol.Tcp)
            {
                _lastEcho = ip.Protocol == IpProtocol.Icmp ? packet : _lastEcho;
                _heard++;
                continue;
            }

            Expect(InternetChecksum.IsValid(ip.Payload, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Tcp, ip.Payload.Length)), "what is sent has the right checksum");
            Expect(TcpHeader.TryParse(packet.AsSpan(ip.HeaderLength), out TcpHeader tcp), "what is sent is TCP");
            CheckOptions(tcp.Options);
            _heard += tcp.Payload.Length == 0 ? 1 : 0;
            (Ipv4Address to, ushort port, ushort from) = (ip.Destination, tcp.DestinationPort, tcp.SourcePort);
            bool Hears(RemotePeer peer) => peer.Remote.Port == port && peer.Remote.Address == to && peer.Local.Port == from;
            (_fresh is { } fresh && Hears(fresh) ? fresh : _peers.Find(Hears))?.Hear(packet, tcp, _keys);
        }
    }

    private static void TracePacket(long timeNs, string direction, ReadOnlySpan<byte> packet)
    {
        if (Trace is { } trace)
        {
            trace($"    {timeNs / 1e9:0.000000} {direction} {PacketPrinter.Format(packet)}");
        }
    }

    private static void CheckOptions(ReadOnlySpan<byte> options)
    {
        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
        }

        Expect(!reader.IsMalformed, "the options that are sent are well-formed");
    }
}
