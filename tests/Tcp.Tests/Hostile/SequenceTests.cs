using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Reassembly, SACK and windows under attack (hostile-input catalogue, SEQ).</summary>
public sealed class SequenceTests(uint isn) : IsnFixture(isn)
{
    [TestCase(65_535)]
    [TestCase(1 << 20)]
    public void HI_SEQ_01_odd_octets_first_then_the_even_ones(int window)
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = window, options: [.. Opt.Mss(1460), .. Opt.Scale(0), 1, .. Opt.SackOk, 1, 1]);
        const int Octets = 8000;
        byte[] data = Pattern(Octets);
        for (uint i = 1; i < Octets; i += 2)
        {
            peer.Send(Seg.Bytes([data[i]], i + 1));
        }

        // Each octet sits in a block of its own: what is charged is the blocks, and they are bounded.
        Assert.That(host.Core.Blocks.InUse, Is.LessThanOrEqualTo((2L * window) + (4 * BlockPool.LargeSize)));
        Assert.That(host.Drops(DropReason.TcpReassemblyLimit), Is.Positive);
        for (uint i = 0; i < Octets; i++)
        {
            peer.Send(Seg.Bytes([data[i]], i + 1));
        }

        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_02_where_octets_come_twice_the_first_received_win()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Text("BBBB", 5));
        peer.Send(Seg.Text("xxxxxxxxyyyy", 3));
        peer.Send(Seg.Text("zzzz", 13));
        peer.Send(Seg.Text("AAAA", 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("AAxxBBBBxxyyyyzz"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_02_octets_already_acknowledged_never_change()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Text("good", 1));
        peer.Send(Seg.Text("evilmore", 1));
        peer.Send(Seg.Text("eviltail", 5));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("goodmoretail"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_02_partial_overlaps_on_both_sides_of_held_data()
    {
        (Host host, Peer peer) = Established();
        byte[] data = Pattern(100);
        peer.Send(Seg.Bytes(data[40..50], 41));
        peer.Send(Seg.Bytes(data[60..70], 61));
        peer.Send(Seg.Bytes(data[30..80], 31));
        peer.Send(Seg.Bytes(data[10..45], 11));
        Assert.That(peer.Socket.GetInfo().OutOfOrder, Is.EqualTo(70), "no octet is held twice");
        peer.Send(Seg.Bytes(data[..20], 1));
        peer.Send(Seg.Bytes(data[75..], 76));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_03_octets_outside_the_window_are_cut_off()
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = 1000);
        byte[] data = Pattern(1400);
        peer.Send(Seg.Bytes(data[500..700], 501));
        peer.Send(Seg.Bytes(data[500..1400], 501));
        peer.Send(Seg.Bytes(data[..1400], 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data[..1000]));
        peer.Take();
        peer.Send(Seg.Bytes(data[1000..], 1001));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data[1000..]));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_04_a_fin_out_of_order_waits_for_the_data_before_it()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Fin(5));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        peer.Send(Seg.Text("beyond", 6));
        Seg reply = peer.Ask(Seg.Text("abcd", 1));
        Assert.That(reply.AckNo, Is.EqualTo(6), "data and FIN, not what lies behind");
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abcd"u8.ToArray()));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_04_data_already_held_behind_a_fin_is_not_delivered()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Text("beyond", 10));
        peer.Send(Seg.Fin(5));
        peer.Send(Seg.Text("abcdEFGHI", 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abcd"u8.ToArray()));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_04_a_second_fin_elsewhere_does_not_move_the_first()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Fin(5));
        peer.Send(Seg.Fin(3));
        peer.Send(Seg.Fin(8));
        peer.Send(Seg.Text("abcd", 1));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abcd"u8.ToArray()));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_04_a_fin_behind_the_window_does_not_count()
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = 1000);
        byte[] data = Pattern(1400);
        peer.Send(Seg.Bytes(data) with { Flags = TcpFlags.Ack | TcpFlags.Fin });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data[..1000]));
        peer.Take();
        peer.Send(Seg.Bytes(data[1000..], 1001) with { Flags = TcpFlags.Ack | TcpFlags.Fin });
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data[1000..]));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_05_sack_blocks_that_make_no_sense_are_ignored([Values] bool isAgreed)
    {
        (Host host, Peer peer) = Established(options: isAgreed ? [.. Opt.Mss(1000), .. Opt.SackOk, 1, 1] : Opt.Mss(1000));
        peer.Socket.Send(Pattern(5000), out _);
        peer.Take();
        uint una = unchecked(peer.Iss + 1);
        (uint, uint)[] blocks = [(una + 2000, una + 1000), (una + 1000, una + 1000), (una + 9000, una + 10_000), (una - 5000, una - 4000), (una, una + 1000), (una + 0x7FFF_FFFF, una + 0x8000_0001), (0, uint.MaxValue)];
        foreach ((uint, uint) block in blocks)
        {
            peer.Send(Seg.Ack(1) with { Options = Opt.Sack(block, block, block, block) }, 3);
        }

        host.Advance(3);
        peer.TakeAndAcknowledge();
        Assert.That(peer.Stream, Is.EqualTo(Pattern(5000)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_06_alternating_sack_blocks_over_a_large_flight_cost_little()
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(48), .. Opt.Scale(8), 1, .. Opt.SackOk, 1, 1]);
        peer.Socket.Send(Pattern(200_000), out _);
        peer.Take();
        for (int i = 0; i < 5000; i++)
        {
            uint left = unchecked(peer.Iss + 1 + (uint)(i * 96) + 48);
            peer.Send(Seg.Ack(1) with { Options = Opt.Sack((left, left + 48), (left + 96, left + 144)) }, 3);
        }

        peer.Send(Seg.Ack(), int.MaxValue);
        host.Advance(2);
        peer.TakeAndAcknowledge();
        Assert.That(peer.Stream, Is.EqualTo(Pattern(200_000)));
        host.Finish();
    }

    [Test]
    [Spec("2018-3")]
    public void HI_SEQ_07_what_was_sacked_and_never_acknowledged_is_sent_again()
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(1000), .. Opt.SackOk, 1, 1]);
        peer.Socket.Send(Pattern(4000), out _);
        Assert.That(peer.Take(), Has.Count.EqualTo(4));
        uint una = unchecked(peer.Iss + 1);
        peer.Send(Seg.Ack(1) with { Options = Opt.Sack((una + 1000, una + 4000)) }, 2);
        peer.Send(Seg.Ack(1001), 2);
        List<Seg> again = [];
        for (int i = 0; i < 12; i++)
        {
            host.Stack.RunNextTimer();
            again.AddRange(peer.Take());
            peer.Send(Seg.Ack(again.Count == 0 ? 1001 : again.Max(seg => seg.Seq!.Value + seg.Len)), int.MaxValue).ForEach(again.Add);
        }

        Assert.That(again.Where(seg => seg.Len > 0).Select(seg => seg.Seq), Is.SupersetOf(new uint?[] { 1001, 2001, 3001 }));
        host.Finish();
    }

    [Test]
    [Spec("2018-2")]
    public void HI_SEQ_08_sack_blocks_are_right_at_the_edge_of_the_number_space()
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(1460), .. Opt.SackOk, 1, 1]);
        Assert.That(peer.Ask(Seg.Text("aaaaa", 11)).SackBlocks(Isn), Is.EqualTo(new[] { (11u, 16u) }));
        Assert.That(peer.Ask(Seg.Text("bbbbb", 31)).SackBlocks(Isn), Is.EqualTo(new[] { (31u, 36u), (11u, 16u) }));
        Assert.That(peer.Ask(Seg.Text("aa", 16)).SackBlocks(Isn), Is.EqualTo(new[] { (11u, 18u), (31u, 36u) }));
        Assert.That(peer.Ask(Seg.Text("0123456789", 1)).SackBlocks(Isn), Is.EqualTo(new[] { (31u, 36u) }));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-34")]
    [Spec("9293-MUST-35")]
    [Spec("9293-MUST-37")]
    public void HI_SEQ_09_a_window_that_shrinks_below_the_flight_and_stays_shut([Values(0, 1, 10)] int window)
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Send(Pattern(20_000), out _);
        peer.Take();
        peer.Send(Seg.Ack(1001) with { Wnd = (ushort)window }, int.MaxValue);

        // With window 0 an answer is enough to keep it open (MUST-37); a peer that offers room and takes nothing is dead in the end (R2).
        for (int i = 0; i < (window == 0 ? 100 : 10); i++)
        {
            Assert.That(host.Stack.RunNextTimer(), Is.True, "there is always a timer that tries again");
            peer.Take();
            peer.Send(Seg.Ack(1001) with { Wnd = (ushort)window }, int.MaxValue);
        }

        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established), "answers keep it open");
        for (int i = 0; i < 200 && peer.Stream.Count < 20_000; i++)
        {
            peer.Send(Seg.Ack(), int.MaxValue);
            peer.TakeAndAcknowledge();
            host.Stack.RunNextTimer();
            peer.Take();
        }

        Assert.That(peer.Stream, Is.EqualTo(Pattern(20_000)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_09_a_lost_window_update_is_found_by_probing()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Ack() with { Wnd = 0 });
        peer.Socket.Send(Pattern(100), out _);
        Assert.That(peer.Take(), Is.Empty);
        host.Advance(1.5);
        Assert.That(peer.Take(), Has.Count.GreaterThanOrEqualTo(1), "a probe within the RTO");
        List<Seg> segments = peer.Send(Seg.Ack(1));
        Assert.That(segments, Has.Count.EqualTo(1));
        Assert.That(segments[0].Data, Is.EqualTo(Pattern(100)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_09_the_application_can_abort_while_the_window_is_shut()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Ack() with { Wnd = 0 });
        peer.Socket.Send(Pattern(100_000), out _);
        host.Advance(10);
        peer.Take();
        peer.Socket.SetOption(SteppedSocketOption.Linger, 0);
        peer.Socket.Close();
        Assert.That(peer.Take()[0].IsRst, Is.True);
        host.Finish();
    }

    [Test]
    public void HI_SEQ_11_fin_behind_a_shut_window_comes_when_it_opens()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Ack() with { Wnd = 0 });
        peer.Socket.Send(Pattern(100), out _);
        peer.Socket.Shutdown(SocketShutdown.Send);
        long before = host.Core.Counters.TcpOutSegs;
        host.Advance(30);
        Assert.That(host.Core.Counters.TcpOutSegs - before, Is.LessThan(20), "no loop of empty packets");
        Assert.That(peer.Take(), Has.None.Matches<Seg>(seg => seg!.IsFin));
        List<Seg> segments = peer.Send(Seg.Ack(1), 2);
        segments.AddRange(peer.TakeAndAcknowledge());
        Assert.That(peer.Stream, Is.EqualTo(Pattern(100)));
        Assert.That(segments, Has.Some.Matches<Seg>(seg => seg!.IsFin));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_11_a_retransmission_into_a_window_shut_meanwhile()
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Send(Pattern(100), out _);
        peer.Take();
        peer.Send(Seg.Ack(1) with { Wnd = 0 }, 0);
        host.Advance(20);
        List<Seg> again = peer.Take();
        Assert.That(again.Count, Is.InRange(1, 10));
        peer.Send(Seg.Ack(101));
        Assert.That(peer.Socket.Unacknowledged, Is.Zero);
        host.Finish();
    }

    [Test]
    [Spec("9293-MAY-8")]
    public void HI_SEQ_12_a_probe_at_a_full_buffer_is_answered_with_window_zero()
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = 1000);
        peer.SendNext(Pattern(1000));
        host.Advance(1);
        peer.Take();
        foreach (Seg probe in (Seg[])[Seg.Text("p"), Seg.Ack() with { Seq = 1000 }, Seg.Text("q", 1000)])
        {
            Seg reply = peer.Ask(probe);
            Assert.That((reply.AckNo, reply.Wnd), Is.EqualTo(((uint?)1001, 0)));
        }

        Assert.That(peer.Socket.Readable, Is.EqualTo(1000));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-39")]
    public void HI_SEQ_13_a_reader_that_drains_sends_a_window_update()
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = 8000);
        for (int i = 0; i < 8; i++)
        {
            peer.SendNext(Pattern(1000));
        }

        host.Advance(1);
        peer.Take();
        Host.Read(peer.Socket, 100);
        Assert.That(peer.Take(), Is.Empty, "no silly window");
        Host.Read(peer.Socket, 3900);
        List<Seg> updates = peer.Take();
        Assert.That(updates, Is.Not.Empty, "half the buffer is free");
        Assert.That(updates[^1].Wnd, Is.GreaterThanOrEqualTo(1000));
        host.Finish();
    }

    [Test]
    [Spec("9293-SHLD-14")]
    [Spec("7323-2")]
    public void HI_SEQ_14_the_right_edge_never_retreats([Values(100_000, 1_000_001, 5_000_003)] int window)
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = window, options: [.. Opt.Mss(1460), .. Opt.Scale(0), 1]);
        int shift = 0;
        while (window >> shift > 65_535)
        {
            shift++;
        }

        Random random = new(3);
        long edge = 0;
        for (int i = 0; i < 400; i++)
        {
            byte[] data = new byte[random.Next(1, 1460)];
            foreach (Seg reply in peer.SendNext(data))
            {
                long right = reply.AckNo!.Value + ((long)reply.Wnd << shift);
                Assert.That(right, Is.GreaterThanOrEqualTo(edge));
                edge = right;
            }

            if (random.Next(3) == 0)
            {
                Host.Read(peer.Socket, random.Next(1, 3000));
                foreach (Seg reply in peer.Take())
                {
                    long right = reply.AckNo!.Value + ((long)reply.Wnd << shift);
                    Assert.That(right, Is.GreaterThanOrEqualTo(edge));
                    edge = right;
                }
            }
        }

        host.Finish();
    }

    [Test]
    public void HI_SEQ_15_a_small_window_splits_what_is_queued([Values(1, 10, 100, 700)] int window)
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Ack() with { Wnd = (ushort)window });
        peer.Socket.Send(Pattern(1400), out _);
        for (int i = 0; i < 2000 && peer.Stream.Count < 1400; i++)
        {
            List<Seg> segments = peer.Take();
            Assert.That(segments, Has.All.Matches<Seg>(seg => seg!.Data.Length <= window));
            peer.Send(Seg.Ack() with { Wnd = (ushort)window }, int.MaxValue);
            if (!host.Stack.RunNextTimer())
            {
                break;
            }
        }

        Assert.That(peer.Stream, Is.EqualTo(Pattern(1400)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_16_writes_of_nothing_send_nothing()
    {
        (Host host, Peer peer) = Established();
        Assert.That(peer.Socket.Send([], out int sent), Is.EqualTo(SocketError.Success));
        Assert.That(sent, Is.Zero);
        host.Advance(10);
        Assert.That(peer.Take(), Is.Empty);
        peer.Socket.Send("a"u8, out _);
        peer.Socket.Send([], out _);
        host.Advance(10);
        peer.TakeAndAcknowledge();
        Assert.That(peer.Stream, Is.EqualTo("a"u8.ToArray()));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_18_forged_echoes_leave_the_rto_in_its_range([Values(1u, 0x8000_0000u, 0xFFFF_FFFFu)] uint offset)
    {
        (Host host, Peer peer) = Established(timestamps: true);
        for (int i = 0; i < 50; i++)
        {
            peer.Socket.Send("x"u8, out _);
            host.Advance(0.3);
            peer.Take();
            peer.Send(Seg.Ack() with { Ts = (peer.TsVal, unchecked(peer.TsEcr - offset)) });
        }

        TcpInfo info = peer.Socket.GetInfo();
        Assert.That(info.RetransmissionTimeout, Is.InRange(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(120)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_18_a_clock_that_jumps_leaves_the_rto_in_its_range()
    {
        (Host host, Peer peer) = Established(timestamps: true);
        peer.Socket.Send("x"u8, out _);
        host.Advance(2_147_484);
        peer.Take();
        Assert.That(peer.Socket.GetInfo().RetransmissionTimeout, Is.InRange(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(120)));
        host.Exchange();
        host.Finish();
    }

    [Test]
    public void HI_SEQ_19_a_fin_whose_data_alone_is_acknowledged_is_sent_again()
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Ack() with { Wnd = 0 });
        peer.Socket.Send("abc"u8, out _);
        peer.Socket.Shutdown(SocketShutdown.Send);
        Seg segment = peer.Ask(Seg.Ack(1));
        Assert.That((segment.IsFin, segment.Data.Length), Is.EqualTo((true, 3)), "data and FIN in one segment");
        peer.Expect0(Seg.Ack(4));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.FinWait1));
        host.Advance(2);
        List<Seg> again = peer.Take();
        Assert.That(again, Has.Count.GreaterThanOrEqualTo(1));
        Assert.That(again, Has.All.Matches<Seg>(seg => seg!.IsFin && seg.Seq == 4 && seg.Data.Length == 0));
        peer.Expect0(Seg.Ack(5));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.FinWait2));
        host.Finish();
    }
}
