using System.Diagnostics;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Every flag octet in every state, floods, and mutated packets (hostile-input catalogue, OPT_07 and SYS).</summary>
public sealed class SystemTests
{
    private static readonly TcpState[] s_states =
    [
        TcpState.Listen, TcpState.SynSent, TcpState.SynReceived, TcpState.Established, TcpState.FinWait1, TcpState.FinWait2,
        TcpState.CloseWait, TcpState.Closing, TcpState.LastAck, TcpState.TimeWait, TcpState.Closed,
    ];

    [TestCaseSource(nameof(s_states))]
    public void HI_OPT_07_every_flag_octet_in_state(TcpState state)
    {
        Host host = new();
        Assert.That(host.Listener.Listen(1000), Is.EqualTo(SocketError.Success));
        for (int flags = 0; flags < 256; flags++)
        {
            for (int variant = 0; variant < 3; variant++)
            {
                Peer peer = Bring(host, state);
                Seg seg = new()
                {
                    Flags = (TcpFlags)flags,
                    AckNo = variant == 1 ? 0x5555_5555 : state is TcpState.Listen or TcpState.Closed ? 0 : null,
                    Seq = variant == 2 ? peer.Nxt + 1000 : state is TcpState.SynSent or TcpState.Listen ? 0 : peer.Nxt,
                    Data = flags % 2 == 0 ? "data"u8.ToArray() : [],
                    Urg = (ushort)(flags * 257),
                };
                TcpState before = peer.Socket?.State ?? state;
                List<Seg> replies = peer.Send(seg, 2);
                TcpState after = peer.Socket?.State ?? state;
                CheckTable(seg, before, after, replies);
                if (peer.Socket is { } socket)
                {
                    socket.SetOption(SteppedSocketOption.Linger, 0);
                    socket.Close();
                }
                else
                {
                    peer.Send(Seg.Rst(1), int.MaxValue);
                }
            }
        }

        host.TakeAll();
        host.Finish();
    }

    /// <summary>What holds for any flags: see RFC 9293 §3.10.7 and RFC 5961.</summary>
    private static void CheckTable(Seg seg, TcpState before, TcpState after, List<Seg> replies)
    {
        bool isSynchronized = before is not (TcpState.Listen or TcpState.SynSent or TcpState.Closed);
        if (seg.IsRst)
        {
            Assert.That(replies, Has.None.Matches<Seg>(reply => reply!.IsRst), $"{before}: never a RST for a RST, {seg}");
        }

        // TIME-WAIT gives way to a SYN that opens a new connection (RFC 6191), and to no other.
        bool isReuse = before == TcpState.TimeWait && seg.IsSyn && !seg.IsAck && !seg.IsFin;
        if (isSynchronized && before != TcpState.SynReceived && seg.IsSyn && !seg.IsRst && !isReuse)
        {
            Assert.That(after, Is.EqualTo(before), $"{before}: a SYN changes no synchronized state, {seg}");
        }

        if (isSynchronized && before != TcpState.SynReceived && !seg.IsRst && !seg.IsAck && !isReuse)
        {
            Assert.That(after, Is.EqualTo(before), $"{before}: nothing without ACK counts, {seg}");
        }

        if (before == TcpState.TimeWait && !seg.IsSyn)
        {
            Assert.That(after, Is.EqualTo(before), $"TIME-WAIT ends by time only, {seg}");
        }

        if (before is TcpState.Closed && !seg.IsRst)
        {
            Assert.That(replies, Has.Count.EqualTo(1).And.All.Matches<Seg>(reply => reply!.IsRst), $"CLOSED: RST, {seg}");
        }

        if (before == TcpState.Listen && seg.IsSyn && !seg.IsRst && !seg.IsAck)
        {
            Assert.That(replies.Exists(reply => reply.IsSyn), Is.EqualTo(!seg.IsFin), $"LISTEN: SYN,ACK unless FIN, {seg}");
        }
    }

    private static Peer Bring(Host host, TcpState state)
    {
        switch (state)
        {
            case TcpState.Listen:
                return host.NewPeer(100);
            case TcpState.Closed:
                return host.NewPeer(100, localPort: 9);
            case TcpState.SynSent:
                Peer connecting = host.NewPeer(100, localPort: 0);
                return Connect(host, connecting.Remote);
            case TcpState.SynReceived:
                Peer halfOpen = host.NewPeer(100);
                halfOpen.Ask(Seg.Syn(Opt.Mss(1460)));
                return halfOpen;
            default:
                break;
        }

        Peer peer = host.Accept(100);
        if (state is TcpState.CloseWait or TcpState.LastAck)
        {
            peer.Ask(Seg.Fin());
            peer.Nxt = 2;
        }

        if (state is not (TcpState.Established or TcpState.CloseWait))
        {
            peer.Socket.Shutdown(SocketShutdown.Send);
            peer.Take();
        }

        switch (state)
        {
            case TcpState.FinWait2:
                peer.Send(Seg.Ack(2));
                break;
            case TcpState.Closing:
                peer.Ask(Seg.Fin() with { AckNo = 1 });
                peer.Nxt = 2;
                break;
            case TcpState.TimeWait:
                peer.Ask(Seg.Fin() with { AckNo = 2 });
                peer.Nxt = 2;
                break;
            default:
                break;
        }

        Assert.That(peer.Socket.State, Is.EqualTo(state));
        return peer;
    }

    private static Peer Connect(Host host, Endpoint4 remote)
    {
        SteppedSocket socket = host.Track(host.Stack.Socket(tcp: true));
        Assert.That(socket.Connect(remote.ToIPEndPoint()), Is.EqualTo(SocketError.InProgress));
        Peer peer = host.NewPeer(100, remote, (ushort)socket.LocalEndPoint.Port);
        peer.Socket = socket;
        Assert.That(peer.Take(), Has.Count.EqualTo(1));
        return peer;
    }

    [Test]
    public void HI_SYS_01_a_flood_on_one_connection_does_not_stop_the_others()
    {
        Host host = new();
        Peer flooded = host.Accept();
        Peer waiting = host.Accept();
        waiting.Socket.Send("needs a timer"u8, out _);
        waiting.Take();
        byte[] duplicate = flooded.ToPacket(Seg.Text("x", 0xFFFF_0000));
        for (int i = 0; i < 30_000; i++)
        {
            host.Inject(duplicate);
            if (i % 1000 == 0)
            {
                host.Advance(0.02);
                Assert.That(flooded.Take(), Has.Count.LessThanOrEqualTo(1001));
            }
        }

        Assert.That(waiting.Take(), Has.Count.GreaterThanOrEqualTo(1), "its retransmission timer has run");
        host.Finish();
    }

    [Test]
    public void HI_SYS_01_hostile_packets_cost_no_more_than_ordinary_ones()
    {
        Host host = new();
        Peer peer = host.Accept();
        Measure(host, peer.ToPacket(Seg.Ack()), 5000);
        TimeSpan ordinary = Measure(host, peer.ToPacket(Seg.Ack()), 5000);
        foreach (Seg hostile in (Seg[])[Seg.Rst(100), Seg.Syn() with { Seq = 100 }, Seg.Text("x", 500_000_000), Seg.Ack(0x4000_0000), Seg.Text("gap", 1000) with { Options = new byte[40] }])
        {
            Assert.That(Measure(host, peer.ToPacket(hostile), 5000), Is.LessThan((20 * ordinary) + TimeSpan.FromSeconds(1)), $"INV-5: {hostile}");
        }

        host.Finish();

        static TimeSpan Measure(Host host, byte[] packet, int count)
        {
            Stopwatch watch = Stopwatch.StartNew();
            for (int i = 0; i < count; i++)
            {
                host.Inject(packet);
                if (i % 1000 == 0)
                {
                    host.TakeAll();
                }
            }

            host.TakeAll();
            return watch.Elapsed;
        }
    }

    [Test]
    public void HI_SYS_02_an_application_that_never_reads_or_accepts_bounds_what_is_held()
    {
        Host host = new(options => options.ReceiveWindow = 50_000);
        Peer peer = host.Accept();
        for (int i = 0; i < 200; i++)
        {
            peer.SendNext(new byte[1000], 2);
        }

        Assert.That(peer.Socket.Readable, Is.EqualTo(50_000));
        Assert.That(host.Core.Blocks.InUse, Is.LessThan(50_000 + (4 * BlockPool.LargeSize)));
        host.Listener.Listen(5);
        for (int i = 0; i < 100; i++)
        {
            Peer stranger = host.NewPeer();
            stranger.Send(Seg.Syn());
            stranger.Send(Seg.Text("never read"));
        }

        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(2 + 5 + 1), "the backlog, and the one that Linux adds to it");
        host.Finish();
    }

    [Test]
    public void HI_SYS_05_tuples_chosen_to_collide_find_a_keyed_hash()
    {
        // Tuples whose fields xor to the same value, the weakness of unkeyed hashes: they spread like any others.
        SipHash hash = new(new SeededRandom(1));
        SipHash other = new(new SeededRandom(2));
        int[] buckets = new int[64];
        int same = 0;
        for (uint i = 0; i < 6400; i++)
        {
            FourTuple tuple = new(Host.Here, (ushort)(i & 0xFFFF), new Ipv4Address(0x0A00_0000 ^ i), (ushort)i);
            buckets[hash.Compute(tuple) & 63]++;
            same += hash.Compute(tuple) == other.Compute(tuple) ? 1 : 0;
        }

        Assert.That(buckets, Has.All.InRange(50, 150));
        Assert.That(same, Is.Zero, "another key, another hash");
    }

    [Test]
    [Category("Long")] // half a million packets; run it after changes to what segments do
    public void HI_SYS_06_mutated_packets_at_length([Range(100, 199)] int seed) => HI_SYS_06_mutated_packets(seed);

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [TestCase(4)]
    public void HI_SYS_06_mutated_packets(int seed)
    {
        const int Packets = 5000;
        Host host = new(options => options.Tcp.SynCacheSize = 64);
        host.Listener.Listen(1000);
        Random random = new(seed);
        List<Peer> peers = [];
        for (int i = 0; i < Packets; i++)
        {
            if (peers.Count == 0 || i % 50 == 0)
            {
                // Mutated packets have opened connections that nobody asked for; the new peer is where none of them is.
                host.AcceptAll();
                host.PeerAddress = new Ipv4Address(0x0A4D_0000 + (uint)(i * 13));
                peers.Add(Bring(host, s_states[random.Next(s_states.Length)]));
            }

            Peer peer = peers[random.Next(peers.Count)];
            byte[] packet = Mutate(random, peer.ToPacket(Template(random, peer)));
            host.Inject(packet);
            if (random.Next(8) == 0 && peer.Socket is { } socket)
            {
                Use(random, socket);
            }

            if (random.Next(16) == 0)
            {
                host.Stack.RunNextTimer();
            }

            if (random.Next(4) == 0)
            {
                peer.Take();
            }

            if (i % 500 == 0)
            {
                host.TakeAll();
            }
        }

        host.TakeAll();
        host.Finish();
    }

    private static Seg Template(Random random, Peer peer) => random.Next(9) switch
    {
        0 => Seg.Ack(),
        1 => Seg.Bytes(new byte[random.Next(1, 1400)]),
        2 => Seg.Bytes(new byte[random.Next(1, 200)], peer.Nxt + (uint)random.Next(5000)),
        3 => Seg.Fin(),
        4 => Seg.Syn([.. Opt.Mss(random.Next(65_536)), .. Opt.Scale(random.Next(256)), 1, .. Opt.SackOk, .. Opt.Ts(1, 2)]),
        5 => Seg.SynAck(Opt.Mss(random.Next(65_536))),
        6 => Seg.Rst(peer.Nxt + (uint)random.Next(3)),
        7 => Seg.Ack() with { Options = Opt.Sack(((uint)random.Next(), (uint)random.Next())), Wnd = (ushort)random.Next(65_536) },
        _ => Seg.Text("urgent") with { Flags = (TcpFlags)random.Next(256), Urg = (ushort)random.Next(65_536) },
    };

    /// <summary>Turns over bits and cuts; most of the time the checksums are made right again, or nothing would get past them.</summary>
    private static byte[] Mutate(Random random, byte[] packet)
    {
        for (int changes = random.Next(4); changes > 0; changes--)
        {
            // Header octets, the interesting ones, most of the time.
            int at = random.Next(random.Next(4) == 0 ? packet.Length : Math.Min(packet.Length, 60));
            packet[at] = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)(packet[at] ^ (1 << random.Next(8)));
        }

        if (random.Next(20) == 0)
        {
            packet = packet[..random.Next(20, packet.Length + 1)];
            packet[2] = (byte)(packet.Length >> 8);
            packet[3] = (byte)packet.Length;
        }

        if (random.Next(20) != 0)
        {
            Seg.FixChecksums(packet);
        }

        return packet;
    }

    private static void Use(Random random, SteppedSocket socket)
    {
        switch (random.Next(8))
        {
            case 0:
                socket.Shutdown(SocketShutdown.Send);
                break;
            case 1:
                socket.Close();
                break;
            case 2:
                Host.Read(socket, random.Next(1, 4000));
                break;
            default:
                socket.Send(new byte[random.Next(1, 3000)], out _);
                break;
        }
    }
}
