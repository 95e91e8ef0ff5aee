using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Attacks on closing (hostile-input catalogue, CLS).</summary>
public sealed class ClosingTests(uint isn) : IsnFixture(isn)
{
    /// <summary>The peer has closed, then the stack: its FIN (number 1) waits for an ACK.</summary>
    private (Host Host, Peer Peer) LastAck()
    {
        (Host host, Peer peer) = Established();
        peer.Ask(Seg.Fin());
        peer.Nxt = 2;
        peer.Socket.Shutdown(SocketShutdown.Send);
        Assert.That(peer.Take()[0].IsFin, Is.True);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck));
        return (host, peer);
    }

    /// <summary>Both have closed, the stack first: it holds a TIME-WAIT record. The peer's next number is 2, ours too.</summary>
    private (Host Host, Peer Peer) TimeWait(bool timestamps = false)
    {
        (Host host, Peer peer) = Established(timestamps: timestamps);
        peer.Socket.Shutdown(SocketShutdown.Send);
        peer.Take();
        peer.Ask(Seg.Fin() with { AckNo = 2 });
        peer.Nxt = 2;
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.TimeWait));
        return (host, peer);
    }

    [Test]
    public void HI_CLS_01_only_the_ack_of_the_fin_ends_last_ack()
    {
        (Host host, Peer peer) = LastAck();
        peer.Send(Seg.Ack(1));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck), "an ACK that does not cover the FIN");
        Assert.That(peer.Ask(Seg.Fin(1) with { AckNo = 1 }).AckNo, Is.EqualTo(2), "the peer's FIN again");
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck));
        peer.Send(Seg.Ack(3));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck), "an ACK of what was never sent");
        peer.Send(Seg.Rst(100));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck), "a RST that is not exact");
        peer.Expect0(Seg.Ack(2));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.Success));
        host.Finish();
    }

    [Test]
    public void HI_CLS_01_an_exact_rst_ends_last_ack_quietly()
    {
        (Host host, Peer peer) = LastAck();
        peer.Expect0(Seg.Rst(2));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(peer.Socket.Receive(new byte[1], out int received), Is.EqualTo(SocketError.Success), "the peer had said all that it had to say");
        Assert.That(received, Is.Zero);
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionReset), "what we said may be lost: who asks is told");
        host.Finish();
    }

    [Test]
    public void HI_CLS_02_simultaneous_close_survives_losses()
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Shutdown(SocketShutdown.Send);
        peer.Take();
        Seg ack = peer.Ask(Seg.Fin() with { AckNo = 1 });
        peer.Nxt = 2;
        Assert.That(ack.AckNo, Is.EqualTo(2));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closing));
        host.Advance(1.5);
        Assert.That(peer.Take(), Has.Some.Matches<Seg>(seg => seg!.IsFin && seg.Seq == 1), "the FIN is repeated in CLOSING");
        Assert.That(peer.Ask(Seg.Fin(1) with { AckNo = 1 }).AckNo, Is.EqualTo(2), "the peer's FIN is acknowledged again");
        peer.Expect0(Seg.Ack(2));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.TimeWait));
        host.Finish();
    }

    [Test]
    public void HI_CLS_03_nothing_but_time_ends_time_wait()
    {
        (Host host, Peer peer) = TimeWait();
        peer.Expect0(Seg.Rst(2));
        peer.Expect0(Seg.Rst(1));
        Assert.That(peer.Ask(Seg.Text("late")).AckNo, Is.EqualTo(2));
        Assert.That(peer.Ask(Seg.Fin(1)).AckNo, Is.EqualTo(2));
        Assert.That(peer.Ask(Seg.Syn() with { Seq = unchecked(0u - 100) }).AckNo, Is.EqualTo(2), "an old SYN");
        host.Advance(59);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.TimeWait));
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        host.Advance(2);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    public void HI_CLS_03_a_repeated_fin_restarts_2_msl()
    {
        (Host host, Peer peer) = TimeWait();
        host.Advance(50);
        peer.Ask(Seg.Fin(1));
        host.Advance(50);
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        host.Advance(11);
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    [Spec("9293-MAY-2")]
    [Spec("6191-2")]
    public void HI_CLS_03_a_new_syn_takes_the_place_of_time_wait()
    {
        (Host host, Peer peer) = TimeWait();
        uint oldIss = peer.Iss;
        Seg synAck = peer.Ask(Seg.Syn(Opt.Mss(1460)) with { Seq = 1000 });
        Assert.That(synAck.IsSyn, Is.True);
        Assert.That(unchecked((int)(peer.Iss - oldIss)), Is.GreaterThan(2), "the new ISN is above the old numbers");
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.Zero);
        peer.Expect0(Seg.Ack(1) with { Seq = 1001 });
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1));
        host.Finish();
    }

    [TestCase(TcpFlags.Syn | TcpFlags.Fin, (byte)0, TestName = "HI_CLS_03_syn_with_fin_does_not_end_time_wait")]
    [TestCase(TcpFlags.Syn, (byte)3, TestName = "HI_CLS_03_a_syn_with_broken_options_does_not_end_time_wait")]
    public void HI_CLS_03_bad_syn(object flags, byte option)
    {
        (Host host, Peer peer) = TimeWait();
        peer.Send(Seg.Syn(option == 0 ? [] : [option, 0, 0, 0]) with { Seq = 1000, Flags = (TcpFlags)flags });
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        host.Finish();
    }

    [Test]
    public void HI_CLS_03_a_syn_for_nobody_does_not_end_time_wait()
    {
        (Host host, Peer peer) = SynSent();
        peer.Ask(Seg.SynAck(Opt.Mss(1460)));
        peer.Socket.Shutdown(SocketShutdown.Send);
        peer.Take();
        peer.Ask(Seg.Fin() with { AckNo = 2 });
        peer.Send(Seg.Syn() with { Seq = 1000 });
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(1), "no listener on the port: TIME-WAIT stays");
        host.Finish();
    }

    [Test]
    [Spec("6191-1")]
    public void HI_CLS_03_time_wait_with_timestamps_goes_by_them()
    {
        (Host host, Peer peer) = TimeWait(timestamps: true);
        Assert.That(peer.Ask(Seg.Syn() with { Seq = 1000, Ts = (peer.TsVal - 1, 0) }).IsSyn, Is.False, "older timestamp, higher number: refused");
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        Assert.That(peer.Ask(Seg.Syn() with { Seq = unchecked(0u - 1000), Ts = (peer.TsVal + 1, 0) }).IsSyn, Is.True, "newer timestamp, lower number: a new connection");
        host.Finish();
    }

    [Test]
    public void HI_CLS_04_peers_that_vanish_while_closing_are_forgotten()
    {
        Host host = new(iss: Isn);
        for (int i = 0; i < 600; i++)
        {
            Peer peer = host.Accept(Isn);
            switch (i % 3)
            {
                case 0:
                    // FIN-WAIT-2.
                    peer.Socket.Close();
                    peer.Take();
                    peer.Send(Seg.Ack(2));
                    break;
                case 1:
                    // LAST-ACK.
                    peer.Send(Seg.Fin());
                    peer.Socket.Close();
                    break;
                default:
                    // FIN-WAIT-1.
                    peer.Socket.Close();
                    break;
            }
        }

        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(601));
        host.Advance(65);
        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(401), "FIN-WAIT-2 ends after its time-out");
        host.Advance(1200);
        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(1), "the others with R2");
        host.TakeAll();
        host.Finish();
    }

    [Test]
    [Spec("9293-SHLD-3")]
    public void HI_CLS_05_closing_with_unread_data_resets()
    {
        (Host host, Peer peer) = Established();
        peer.SendNext("abc"u8.ToArray());
        peer.Take();
        peer.Socket.Close();
        List<Seg> segments = peer.Take();
        Assert.That(segments, Has.Count.EqualTo(1));
        Assert.That(segments[0].IsRst, Is.True);
        Assert.That(segments[0].Seq, Is.EqualTo(1));
        host.Finish();
    }

    [Test]
    [Spec("9293-SHLD-3")]
    public void HI_CLS_05_data_after_close_resets([Values] bool isFinAcked)
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Close();
        peer.Take();
        Seg reply = peer.Ask(Seg.Text("late") with { AckNo = isFinAcked ? 2u : 1u });
        Assert.That(reply.IsRst, Is.True);
        host.Finish();
    }

    [Test]
    public void HI_CLS_06_unacceptable_segments_in_closing_states_get_the_current_numbers()
    {
        (Host host, Peer peer) = LastAck();
        foreach (Seg seg in (Seg[])[Seg.Text("x", 5_000_000), Seg.Ack(0x4000_0000), Seg.Text("x", unchecked(0u - 5000))])
        {
            Seg reply = peer.Ask(seg);
            Assert.That((reply.Flags, reply.Seq, reply.AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)2, (uint?)2)), seg.ToString());
        }

        host.Finish();

        (Host host2, Peer peer2) = Established();
        peer2.Socket.Shutdown(SocketShutdown.Send);
        peer2.Take();
        peer2.Send(Seg.Ack(2));
        Assert.That(peer2.Socket.State, Is.EqualTo(TcpState.FinWait2));
        foreach (Seg seg in (Seg[])[Seg.Text("x", 5_000_000), Seg.Ack(0x4000_0000), Seg.Text("x", unchecked(0u - 5000))])
        {
            Seg reply = peer2.Ask(seg);
            Assert.That((reply.Flags, reply.Seq, reply.AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)2, (uint?)1)), seg.ToString());
        }

        host2.Finish();
    }

    [Test]
    public void HI_CLS_07_calls_and_segments_at_one_instant_in_any_order()
    {
        Host host = new(iss: Isn);
        Random random = new((int)(Isn >> 1));
        for (int round = 0; round < 1000; round++)
        {
            Peer peer = host.Accept(Isn);
            for (int step = 0; step < 8; step++)
            {
                switch (random.Next(12))
                {
                    case 0: peer.Socket.Close(); break;
                    case 1: peer.Socket.SetOption(SteppedSocketOption.Linger, 0); break;
                    case 2: peer.Socket.Shutdown(SocketShutdown.Send); break;
                    case 3: peer.Socket.Shutdown(SocketShutdown.Both); break;
                    case 4: peer.Socket.Send([], out _); break;
                    case 5: peer.Socket.Send(new byte[100], out _); break;
                    case 6: Host.Read(peer.Socket, 100); break;
                    case 7: peer.Send(Seg.Rst(peer.Nxt), int.MaxValue); break;
                    case 8: peer.Send(Seg.Fin(), int.MaxValue); break;
                    case 9: peer.SendNext(new byte[50], int.MaxValue); break;
                    case 10: peer.Send(Seg.Ack(), int.MaxValue); break;
                    default: host.Stack.RunNextTimer(); break;
                }
            }

            peer.Socket.SetOption(SteppedSocketOption.Linger, 0);
            peer.Socket.Close();
            peer.Take();
        }

        host.TakeAll();
        host.Finish();
    }

    [Test]
    public void HI_CLS_08_a_listener_closed_in_the_middle_of_handshakes_leaks_nothing()
    {
        Host host = new(iss: Isn);
        SteppedSocket listener = host.Stack.Socket(tcp: true);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Any, 81));
        listener.Listen(10);
        Peer halfOpen = host.NewPeer(Isn, localPort: 81);
        Peer waiting = host.NewPeer(Isn, localPort: 81);
        halfOpen.Ask(Seg.Syn(Opt.Mss(1460)));
        waiting.Ask(Seg.Syn(Opt.Mss(1460)));
        waiting.Expect0(Seg.Ack());
        listener.Close();
        Assert.That(waiting.Take()[0].IsRst, Is.True, "established, not accepted: RST");
        Assert.That(halfOpen.Ask(Seg.Ack()).IsRst, Is.True, "half-open: RST when its ACK comes");
        Assert.That(halfOpen.Ask(Seg.Syn()).IsRst, Is.True);
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }
}
