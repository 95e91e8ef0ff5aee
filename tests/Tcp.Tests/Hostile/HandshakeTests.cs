using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Attacks on opening (hostile-input catalogue, HS).</summary>
public sealed class HandshakeTests(uint isn) : IsnFixture(isn)
{
    [Test]
    public void HI_HS_02_segments_without_a_connection_get_a_reset_and_no_memory()
    {
        Host host = new(iss: Isn);
        int timers = host.Core.Deadlines.Count;
        for (uint i = 0; i < 5000; i++)
        {
            Peer stranger = host.NewPeer(Isn, new Endpoint4(new Ipv4Address(0x0B00_0000 + i), 1234));
            Seg reply = stranger.Ask((i % 2 == 0 ? Seg.Ack(i) : Seg.Text("data")) with { AckNo = i });
            Assert.That((reply.Flags, reply.Seq), Is.EqualTo((TcpFlags.Rst, i)), "SEQ = SEG.ACK");
        }

        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(1), "the bystander");
        Assert.That(host.Core.Deadlines.Count, Is.LessThanOrEqualTo(timers + 1));
        host.Finish();
    }

    [TestCase(0u, TestName = "HI_HS_03_syn_sent_refuses_an_ack_of_iss")]
    [TestCase(2u, TestName = "HI_HS_03_syn_sent_refuses_an_ack_of_iss_plus_2")]
    [TestCase(0xFFFF_FFFFu, TestName = "HI_HS_03_syn_sent_refuses_an_ack_of_iss_minus_1")]
    [TestCase(0x8000_0000u, TestName = "HI_HS_03_syn_sent_refuses_an_ack_half_the_space_away")]
    public void HI_HS_03(uint ack)
    {
        (Host host, Peer peer) = SynSent();
        foreach (Seg seg in (Seg[])[Seg.SynAck() with { AckNo = ack }, Seg.Ack(ack) with { Seq = 0 }])
        {
            Seg reply = peer.Ask(seg);
            Assert.That((reply.Flags, reply.Seq), Is.EqualTo((TcpFlags.Rst, (uint?)ack)));
            Assert.That(peer.Socket.State, Is.EqualTo(TcpState.SynSent));
        }

        peer.Expect0(Seg.Rst(0) with { Flags = TcpFlags.Rst | TcpFlags.Ack, AckNo = ack });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.SynSent));
        peer.Ask(Seg.SynAck());
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        host.Finish();
    }

    [Test]
    public void HI_HS_03_syn_sent_ignores_a_bare_ack_a_rst_without_ack_and_a_fin()
    {
        (Host host, Peer peer) = SynSent();
        peer.Expect0(Seg.Ack(1) with { Seq = 0 });
        peer.Expect0(Seg.Rst(0));
        peer.Expect0(new Seg { Seq = 0, Flags = TcpFlags.Fin });
        peer.Expect0(new Seg { Seq = 0, AckNo = 1, Flags = TcpFlags.Fin | TcpFlags.Ack });
        peer.Expect0(new Seg { Seq = 0, Flags = TcpFlags.None });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.SynSent));
        peer.Ask(Seg.SynAck());
        Seg again = peer.Ask(Seg.SynAck());
        Assert.That((again.Flags, again.Seq, again.AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)1, (uint?)1)), "the SYN,ACK twice: an ACK");
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        host.Finish();
    }

    [Test]
    public void HI_HS_03_syn_sent_believes_a_rst_that_acknowledges_its_syn()
    {
        (Host host, Peer peer) = SynSent();
        peer.Expect0(Seg.Rst(0) with { Flags = TcpFlags.Rst | TcpFlags.Ack, AckNo = 1 });
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionRefused));
        host.Finish();
    }

    [TestCase(0u)]
    [TestCase(2u)]
    [TestCase(0x8000_0001u)]
    public void HI_HS_04_syn_received_refuses_a_wrong_ack(uint ack)
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        peer.Ask(Seg.Syn(Opt.Mss(1460)));
        Seg reply = peer.Ask(Seg.Ack(ack));
        Assert.That((reply.Flags, reply.Seq), Is.EqualTo((TcpFlags.Rst, (uint?)ack)));
        peer.Expect0(Seg.Ack(1));
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1), "the right ACK still completes the handshake");
        host.Finish();
    }

    [Test]
    public void HI_HS_04_syn_received_checks_the_number_of_a_rst()
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        peer.Ask(Seg.Syn(Opt.Mss(1460)));
        peer.Expect0(Seg.Rst(70_000));
        peer.Expect0(Seg.Rst(0));
        Assert.That(peer.Ask(Seg.Rst(2)).Flags, Is.EqualTo(TcpFlags.Ack), "in the window but not exact: a challenge (RFC 5961)");
        Assert.That(host.Core.Tcp.SynCache.Count, Is.EqualTo(1));
        peer.Expect0(Seg.Rst(1));
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero, "the exact one frees the entry");
        host.Finish();
    }

    [Test]
    public void HI_HS_04_a_syn_with_another_isn_does_not_corrupt_the_half_open_connection()
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        peer.Ask(Seg.Syn(Opt.Mss(1460)));
        Seg outside = peer.Ask(Seg.Syn() with { Seq = 1_000_000 });
        Assert.That(outside.Flags, Is.EqualTo(TcpFlags.Ack));
        peer.Expect0(Seg.Ack(1));
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1));
        host.Finish();
    }

    [Test]
    public void HI_HS_04_data_and_fin_on_the_completing_ack_are_not_lost()
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        peer.Ask(Seg.Syn(Opt.Mss(1460)));
        Seg reply = peer.Ask(Seg.Text("abc") with { Flags = TcpFlags.Ack | TcpFlags.Fin });
        Assert.That(reply.AckNo, Is.EqualTo(5));
        SteppedSocket socket = host.AcceptAll()[0];
        Assert.That(Host.Read(socket), Is.EqualTo("abc"u8.ToArray()));
        Assert.That(socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_HS_05_any_initial_sequence_number_works_both_ways()
    {
        (Host host, Peer peer) = Established();
        peer.SendNext(Pattern(1000));
        peer.Socket.Send(Pattern(1000, 2), out _);
        peer.TakeAndAcknowledge();
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(Pattern(1000)));
        Assert.That(peer.Stream, Is.EqualTo(Pattern(1000, 2)));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-10")]
    public void HI_HS_06_simultaneous_open_with_the_syn_ack_lost()
    {
        (Host host, Peer peer) = SynSent();
        Seg synAck = peer.Ask(Seg.Syn(Opt.Mss(1460)));
        Assert.That((synAck.Flags, synAck.Seq, synAck.AckNo), Is.EqualTo((TcpFlags.Syn | TcpFlags.Ack, (uint?)0, (uint?)1)));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.SynReceived));
        host.Advance(1.1);
        Assert.That(peer.Take()[0].Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ack), "repeated");
        peer.Send(Seg.SynAck());
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        Assert.That(peer.Send(Seg.Ack()), Is.Empty, "no ACK war");
        peer.SendNext("abc"u8.ToArray());
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_HS_06_a_crossing_syn_with_data_is_consistent()
    {
        (Host host, Peer peer) = SynSent();
        Seg synAck = peer.Ask(Seg.Syn(Opt.Mss(1460)) with { Data = "abc"u8.ToArray() });
        Assert.That(synAck.AckNo, Is.AnyOf(1u, 4u));
        peer.Send(Seg.Ack(1) with { Seq = 1 });
        peer.Send(Seg.Text("abc", 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_HS_06_a_socket_connected_to_itself_talks_to_itself()
    {
        Host host = new();
        SteppedSocket socket = host.Track(host.Stack.Socket(tcp: true));
        IPEndPoint self = new(Host.Here.ToIPAddress(), 7777);
        socket.Bind(self);
        SocketError error = socket.Connect(self);
        host.Advance(1);
        Assert.That(error, Is.AnyOf(SocketError.Success, SocketError.InProgress));
        Assert.That(socket.State, Is.EqualTo(TcpState.Established));
        long segments = host.Core.Counters.TcpOutSegs;
        host.Advance(10);
        Assert.That(host.Core.Counters.TcpOutSegs, Is.EqualTo(segments), "no ACK war");
        socket.Send("abc"u8, out _);
        host.Advance(1);
        Assert.That(Host.Read(socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_HS_07_a_full_accept_queue_makes_clients_wait_and_resets_nobody()
    {
        Host host = new(iss: Isn);
        Assert.That(host.Listener.Listen(1), Is.EqualTo(SocketError.Success));
        Peer[] peers = [.. Enumerable.Range(0, 3).Select(_ => host.NewPeer(Isn))];
        foreach (Peer peer in peers)
        {
            peer.Ask(Seg.Syn(Opt.Mss(1460)));
        }

        foreach (Peer peer in peers)
        {
            peer.Expect0(Seg.Ack());
        }

        peers[2].Expect0(Seg.Text("early"));
        host.NewPeer(Isn).Expect0(Seg.Syn(Opt.Mss(1460)));
        Assert.That(host.Listener.Poll(), Is.EqualTo(SteppedPollFlags.In));
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(2));
        peers[2].Ask(Seg.Text("early"));
        Assert.That(Host.Read(host.AcceptAll()[0]), Is.EqualTo("early"u8.ToArray()), "the client's repetition completes it");
        Assert.That(host.Core.Counters.TcpAcceptQueueOverflows, Is.GreaterThanOrEqualTo(3));
        host.Finish();
    }

    [Test]
    public void HI_HS_09_resets_do_not_hurt_a_listener_and_free_half_open_slots()
    {
        Host host = new(iss: Isn);
        for (int i = 0; i < 500; i++)
        {
            Peer peer = host.NewPeer(Isn);
            peer.Expect0(Seg.Rst(0));
            peer.Ask(Seg.Syn(Opt.Mss(1460)));
            peer.Expect0(Seg.Rst(1));
            peer.Expect0(Seg.Rst(1));
        }

        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }

    [TestCase(1)]
    [TestCase(1460)]
    public void HI_HS_14_data_on_a_syn_comes_again_after_the_handshake(int length)
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        Seg synAck = peer.Ask(Seg.Syn(Opt.Mss(1460)) with { Data = Pattern(length) });
        Assert.That(synAck.AckNo, Is.EqualTo(1), "not acknowledged, so the client keeps it");
        peer.Send(Seg.Ack());
        peer.SendNext(Pattern(length));
        Assert.That(Host.Read(host.AcceptAll()[0]), Is.EqualTo(Pattern(length)));
        host.Finish();
    }

    [Test]
    public void HI_HS_14_data_on_a_syn_ack_is_delivered_or_comes_again()
    {
        (Host host, Peer peer) = SynSent();
        Seg reply = peer.Ask(Seg.SynAck(Opt.Mss(1460)) with { Data = "abc"u8.ToArray() });
        Assert.That(reply.AckNo, Is.AnyOf(1u, 4u));
        peer.Send(Seg.Text("abc", 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }
}

/// <summary>Floods and unpredictability: cases of the same chapter that do not depend on initial sequence numbers.</summary>
public sealed class HandshakeFloodTests
{
    private static Endpoint4 Spoofed(uint number) => new(new Ipv4Address(0x0B00_0000 + number), (ushort)(1 + (number % 60_000)));

    [Test]
    public void HI_HS_01_a_syn_flood_is_bounded_and_a_client_still_gets_in()
    {
        Host host = new(options => options.Tcp.SynCacheSize = 1000);
        const int Limit = 1000;
        for (uint i = 0; i < 30_000; i++)
        {
            host.Inject(Seg.Syn(Opt.Mss(1460)).ToPacket(Spoofed(i), new Endpoint4(Host.Here, Host.ListenPort), i, 0));
            if (i % 10_000 == 0)
            {
                Assert.That(host.Core.Tcp.SynCache.Count, Is.LessThanOrEqualTo(Limit));
                Assert.That(host.TakeAll(), Is.LessThanOrEqualTo(20_000));
            }
        }

        host.TakeAll();
        Peer client = host.NewPeer();
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        for (uint i = 0; i < Limit / 2; i++)
        {
            // A round trip's worth of flood goes on meanwhile.
            host.Inject(Seg.Syn().ToPacket(Spoofed(200_000 + i), new Endpoint4(Host.Here, Host.ListenPort), i, 0));
        }

        client.Expect0(Seg.Ack());
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1));
        Assert.That(host.Core.Tcp.SynCache.Count, Is.LessThanOrEqualTo(Limit));
        Assert.That(host.Core.Counters.TcpSynCacheOverflows, Is.GreaterThan(25_000));
        host.Finish();
    }

    [Test]
    public void HI_HS_01_an_abandoned_half_open_connection_is_given_up()
    {
        Host host = new();
        Peer peer = host.NewPeer();
        peer.Ask(Seg.Syn());
        host.Advance(300);
        Assert.That(peer.Take(), Has.Count.EqualTo(host.Core.Options.Tcp.SynAckRetransmissions));
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    public void HI_HS_10_idle_connections_are_capped()
    {
        Host host = new(options => options.Tcp.ConnectionLimit = 50);
        Assert.That(host.Listener.Listen(1000), Is.EqualTo(SocketError.Success));
        for (int i = 0; i < 200; i++)
        {
            Peer peer = host.NewPeer();
            peer.Send(Seg.Syn());
            peer.Send(Seg.Ack());
        }

        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(50));
        foreach (SteppedSocket socket in host.AcceptAll())
        {
            socket.SetOption(SteppedSocketOption.Linger, 0);
            socket.Close();
        }

        host.Advance(200);
        host.TakeAll();
        host.Finish();
    }

    [Test]
    public void HI_HS_10_a_peer_that_never_acknowledges_is_given_up_by_the_user_timeout([Values] bool hasZeroWindow)
    {
        Host host = new();
        Peer peer = host.Accept();
        peer.Socket.SetOption(SteppedSocketOption.UserTimeout, 30_000);
        if (hasZeroWindow)
        {
            peer.Send(Seg.Ack() with { Wnd = 0 });
        }

        peer.Socket.Send(new byte[10_000], out _);
        host.Advance(120);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.TimedOut));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-8")]
    [Spec("9293-SHLD-1")]
    public void HI_HS_11_initial_sequence_numbers_follow_a_clock_per_tuple_and_nothing_across_tuples()
    {
        Host host = new();
        Peer peer = host.NewPeer(5);
        uint first = IssOf(host, peer);
        host.Advance(0.004);
        uint second = IssOf(host, peer);
        Assert.That(second - first, Is.EqualTo(1000), "4 ms are 1000 ticks of 4 microseconds");

        int[] buckets = new int[16];
        HashSet<uint> differences = [];
        uint last = 0;
        const int Tuples = 4096;
        for (uint i = 0; i < Tuples; i++)
        {
            uint iss = IssOf(host, host.NewPeer(5, Spoofed(i)));
            buckets[iss >> 28]++;
            differences.Add(unchecked(iss - last));
            last = iss;
        }

        Assert.That(buckets, Has.All.InRange((Tuples / 16) - 100, (Tuples / 16) + 100), "uniform (more than six sigma)");
        Assert.That(differences, Has.Count.GreaterThan(Tuples - 10), "no constant step from one tuple to the next");
        Host another = new(options => options.Seed = 8);
        Assert.That(IssOf(another, another.NewPeer(5, peer.Remote)), Is.Not.EqualTo(first), "another process, another secret");
        host.Finish();

        static uint IssOf(Host host, Peer peer)
        {
            peer.Ask(Seg.Syn());
            peer.Expect0(Seg.Rst(1));
            return peer.Iss;
        }
    }

    [Test]
    public void HI_HS_12_ephemeral_ports_and_timestamps_tell_nothing_about_other_destinations()
    {
        Host host = new();
        List<ushort>[] ports = [[], [], []];
        List<uint>[] clocks = [[], [], []];
        for (int i = 0; i < 30; i++)
        {
            for (int destination = 0; destination < 3; destination++)
            {
                SteppedSocket socket = host.Track(host.Stack.Socket(tcp: true));
                Endpoint4 remote = new(new Ipv4Address(0x0A00_0010 + (uint)destination), 443);
                Assert.That(socket.Connect(remote.ToIPEndPoint()), Is.EqualTo(SocketError.InProgress));
                Peer peer = host.NewPeer(0, remote, (ushort)socket.LocalEndPoint.Port);
                ports[destination].Add((ushort)socket.LocalEndPoint.Port);
                clocks[destination].Add(peer.Take()[0].Ts!.Value.Val);
            }
        }

        int first = host.Core.Options.Tcp.EphemeralPortFirst;
        int last = host.Core.Options.Tcp.EphemeralPortLast;
        Assert.That(ports.SelectMany(list => list), Has.All.InRange(first, last));
        Assert.That(ports.Select(list => list.Distinct().Count()), Has.All.EqualTo(30), "no tuple twice");
        Assert.That(Math.Abs(ports[0][0] - ports[1][0]), Is.GreaterThan(3), "not one counter for all destinations");
        Assert.That(Math.Abs(ports[1][0] - ports[2][0]), Is.GreaterThan(3));
        Assert.That(clocks[0].Distinct().Count(), Is.EqualTo(1), "one clock per pair of addresses (RFC 6191 needs it)");
        Assert.That(clocks.Select(list => list[0]).Distinct().Count(), Is.EqualTo(3), "another offset per destination");
        host.Finish();
    }

    [Test]
    public void HI_HS_13_port_zero_is_no_port()
    {
        Host host = new();
        foreach (TcpFlags flags in (TcpFlags[])[TcpFlags.Syn, TcpFlags.Ack, TcpFlags.Rst])
        {
            Seg seg = new() { Seq = 0, AckNo = 0, Flags = flags };
            host.NewPeer(0, new Endpoint4(Host.There, 0)).Expect0(seg);
            host.NewPeer(0, null, 0).Expect0(seg);
        }

        Assert.That(host.Drops(DropReason.TcpBadPort), Is.EqualTo(6));
        SteppedSocket socket = host.Track(host.Stack.Socket(tcp: true));
        Assert.That(socket.Connect(new IPEndPoint(Host.There.ToIPAddress(), 0)), Is.EqualTo(SocketError.AddressNotAvailable));
        host.Finish();
    }
}
