using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>TCP headers and options that no honest host sends (hostile-input catalogue, OPT).</summary>
public sealed class OptionTests(uint isn) : IsnFixture(isn)
{
    private static readonly byte[] s_kinds = [2, 3, 4, 5, 8, 19, 29, 34, 69, 70, 77, 253, 254];

    [Test]
    public void HI_OPT_01_segments_without_a_whole_header_are_dropped()
    {
        (Host host, Peer peer) = Established();
        byte[] whole = peer.ToPacket(Seg.Text("abcdefgh"));
        for (int length = 0; length < 20; length++)
        {
            byte[] packet = whole[..(20 + length)];
            packet[2] = 0;
            packet[3] = (byte)packet.Length;
            Seg.FixChecksums(packet);
            host.Inject(packet);
        }

        for (int offset = 0; offset < 5; offset++)
        {
            peer.Expect0(Seg.Text("abcdefgh") with { DataOffset = offset });
        }

        for (int offset = 8; offset < 16; offset++)
        {
            peer.Expect0(Seg.Text("abcdefgh") with { DataOffset = offset });
        }

        Assert.That(peer.Take(), Is.Empty);
        Assert.That(host.Drops(DropReason.TcpMalformed), Is.EqualTo(20 + 5 + 8));
        Assert.That(peer.Socket.Readable, Is.Zero);
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-7")]
    public void HI_OPT_02_option_lengths_never_loop([Values(0, 1, 255)] int length)
    {
        (Host host, Peer peer) = Established();
        string expected = "";
        foreach (byte kind in s_kinds)
        {
            byte[] options = [1, kind, (byte)length, 0, 0, 0, 0, 0];

            // On a SYN: no connection. On a connection: an option that cannot be read is no option.
            host.NewPeer(Isn).Expect0(Seg.Syn(options));
            peer.Send(Seg.Text("x") with { Options = options });
            peer.Nxt++;
            expected += "x";
        }

        Assert.That(host.Drops(DropReason.TcpSynMalformedOptions), Is.EqualTo(s_kinds.Length));
        Assert.That(Host.Read(peer.Socket), Has.Length.EqualTo(expected.Length));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-7")]
    public void HI_OPT_03_an_option_that_runs_past_the_header_ends_the_walk()
    {
        (Host host, Peer peer) = Established();
        foreach (byte kind in s_kinds)
        {
            byte[] pastByOne = [1, 1, 1, 1, kind, 5, 0, 0];
            byte[] kindOnly = [1, 1, 1, 1, 1, 1, 1, kind];
            host.NewPeer(Isn).Expect0(Seg.Syn(pastByOne));
            host.NewPeer(Isn).Expect0(Seg.Syn(kindOnly));
            peer.Send(Seg.Text("a") with { Options = pastByOne });
            peer.Nxt++;
            peer.Send(Seg.Text("b") with { Options = kindOnly });
            peer.Nxt++;
        }

        Assert.That(Host.Read(peer.Socket), Has.Length.EqualTo(2 * s_kinds.Length));
        host.Finish();
    }

    [TestCase(-1, 536, TestName = "HI_OPT_04_mss_absent_means_536")]
    [TestCase(0, 536, TestName = "HI_OPT_04_mss_0_is_ignored")]
    [TestCase(1, 48, TestName = "HI_OPT_04_mss_1_is_raised_to_the_floor")]
    [TestCase(7, 48, TestName = "HI_OPT_04_mss_7_is_raised_to_the_floor")]
    [TestCase(8, 48, TestName = "HI_OPT_04_mss_8_is_raised_to_the_floor")]
    [TestCase(48, 48, TestName = "HI_OPT_04_mss_48_is_believed")]
    [TestCase(63, 63, TestName = "HI_OPT_04_mss_63_is_believed")]
    [TestCase(536, 536, TestName = "HI_OPT_04_mss_536_is_believed")]
    [TestCase(65_535, 1460, TestName = "HI_OPT_04_mss_65535_is_bounded_by_the_mtu")]
    [Spec("9293-MUST-14")]
    [Spec("9293-MUST-15")]
    public void HI_OPT_04_mss(int announced, int largest)
    {
        (Host host, Peer peer) = Established(options: announced < 0 ? [1] : Opt.Mss(announced));
        byte[] data = Pattern(4000);
        peer.Socket.Send(data, out int sent);
        List<Seg> segments = peer.TakeAndAcknowledge();
        Assert.That(sent, Is.EqualTo(data.Length));
        Assert.That(segments.Max(seg => seg.Data.Length), Is.EqualTo(largest));
        Assert.That(segments.Min(seg => seg.Data.Length), Is.Positive);
        Assert.That(peer.Stream, Is.EqualTo(data));
        host.Finish();
    }

    [Test]
    public void HI_OPT_04_mss_twice_and_mss_outside_of_a_syn()
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(1000), .. Opt.Mss(900)]);
        peer.Send(Seg.Ack() with { Options = Opt.Mss(50) });
        peer.Socket.Send(Pattern(4000), out _);
        List<Seg> segments = peer.TakeAndAcknowledge();
        Assert.That(segments.Max(seg => seg.Data.Length), Is.EqualTo(900), "the last one on the SYN counts, the one on the ACK does not");
        Assert.That(peer.Stream, Is.EqualTo(Pattern(4000)));
        host.Finish();
    }

    [Test]
    public void HI_OPT_05_an_mss_below_our_own_options_leaves_room_for_data([Values(1, 20, 40, 48)] int mss)
    {
        (Host host, Peer peer) = Established(timestamps: true, options: [.. Opt.Mss(mss), .. Opt.SackOk]);
        for (uint hole = 0; hole < 4; hole++)
        {
            // Four holes: the SACK option is as long as it gets.
            peer.Send(Seg.Text("x", 10 + (hole * 10)));
        }

        peer.Socket.Send(Pattern(500), out _);
        List<Seg> segments = peer.TakeAndAcknowledge();
        Assert.That(segments, Has.All.Matches<Seg>(seg => seg!.Data.Length >= 1));
        Assert.That(peer.Stream, Is.EqualTo(Pattern(500)));
        host.Finish();
    }

    [Test]
    public void HI_OPT_05_a_tiny_mtu_leaves_room_for_data([Values(68, 72, 76, 80, 84, 88, 92, 100)] int mtu, [Values] bool timestamps)
    {
        (Host host, Peer peer) = Established(options => options.Mtu = mtu, timestamps, [.. Opt.Mss(1460), .. Opt.SackOk]);
        for (uint hole = 0; hole < 4; hole++)
        {
            peer.Send(Seg.Text("x", 10 + (hole * 10)));
        }

        peer.Socket.Send(Pattern(500), out _);
        List<Seg> segments = peer.TakeAndAcknowledge();
        Assert.That(segments, Has.All.Matches<Seg>(seg => seg!.Data.Length >= 1));
        Assert.That(peer.Stream, Is.EqualTo(Pattern(500)));
        host.Finish();
    }

    [Test]
    public void HI_OPT_06_window_scales_above_14_count_as_14([Values(14, 15, 16, 31, 32, 64, 255)] int shift)
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(1460), .. Opt.Scale(shift), 1]);
        peer.Send(Seg.Ack() with { Wnd = 3 });
        Assert.That(peer.Socket.GetInfo().PeerWindowScale, Is.EqualTo(14));
        Assert.That(peer.Socket.GetInfo().PeerWindow, Is.EqualTo(3 << 14));
        host.Finish();
    }

    [Test]
    public void HI_OPT_06_a_window_scale_that_we_did_not_offer_is_off()
    {
        (Host host, Peer peer) = SynSent(options => options.Tcp.WindowScaling = false);
        peer.Ask(Seg.SynAck([.. Opt.Mss(1460), .. Opt.Scale(7), 1]));
        peer.Send(Seg.Ack() with { Wnd = 100 });
        Assert.That(peer.Socket.GetInfo().WindowScaling, Is.False);
        Assert.That(peer.Socket.GetInfo().PeerWindow, Is.EqualTo(100));
        host.Finish();
    }

    [Test]
    public void HI_OPT_06_a_window_scale_outside_of_a_syn_is_ignored()
    {
        (Host host, Peer peer) = Established(options: [.. Opt.Mss(1460), .. Opt.Scale(2), 1]);
        peer.Send(Seg.Ack() with { Wnd = 100, Options = Opt.Scale(10) });
        Assert.That(peer.Socket.GetInfo().PeerWindow, Is.EqualTo(400));
        host.Finish();
    }

    [Test]
    public void HI_OPT_07_syn_with_fin_or_rst_opens_nothing()
    {
        (Host host, _) = Established();
        foreach (TcpFlags flags in (TcpFlags[])[TcpFlags.Syn | TcpFlags.Fin, TcpFlags.Syn | TcpFlags.Rst, TcpFlags.Syn | TcpFlags.Fin | TcpFlags.Rst, TcpFlags.Fin, TcpFlags.None, (TcpFlags)0xFF, (TcpFlags)0x2B])
        {
            Peer stranger = host.NewPeer(Isn);
            List<Seg> replies = stranger.Send(new Seg { Seq = 0, AckNo = 0, Flags = flags });
            Assert.That(replies, Has.None.Matches<Seg>(seg => seg!.IsSyn), $"to {flags}");
        }

        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    public void HI_OPT_08_reserved_bits_change_nothing_and_ecn_flags_lose_no_data()
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        Seg synAck = peer.Ask(Seg.Syn(Opt.Mss(1460)) with { Flags = TcpFlags.Syn | TcpFlags.Ece | TcpFlags.Cwr, Reserved = 0xF });
        Assert.That(synAck.Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Ece), "a peer that asks for ECN gets it (RFC 3168 §6.1.1)");
        peer.Send(Seg.Ack() with { Reserved = 0xF });
        peer.Send(Seg.Text("abc") with { Flags = TcpFlags.Ack | TcpFlags.Ece | TcpFlags.Cwr, Reserved = 0x7 });
        Assert.That(Host.Read(host.AcceptAll()[0]), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-3")]
    public void HI_OPT_09_a_wrong_checksum_is_a_silent_drop([Values(1, 2, 3, 4, 5, 1459)] int length)
    {
        (Host host, Peer peer) = Established();
        byte[] data = Pattern(length);
        peer.Expect0(Seg.Bytes(data) with { ChecksumError = 1 });
        peer.Expect0(Seg.Bytes(data) with { ChecksumError = 0x8000 });
        byte[] zero = peer.ToPacket(Seg.Bytes(data));
        zero[36] = zero[37] = 0;
        host.Inject(zero);
        Assert.That(peer.Take(), Is.Empty);
        Assert.That(host.Drops(DropReason.TcpBadChecksum), Is.EqualTo(3));
        peer.SendNext(data);
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(data), "odd lengths included");
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-62")]
    public void HI_OPT_10_urgent_pointers_leave_the_stream_whole([Values(0, 1, 4, 5, 6, 100, 65_535)] int pointer)
    {
        (Host host, Peer peer) = Established();
        peer.Send(Seg.Text("hello") with { Urg = (ushort)pointer, Flags = TcpFlags.Ack | TcpFlags.Urg });
        peer.Nxt += 5;
        peer.SendNext("world"u8.ToArray());
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("helloworld"u8.ToArray()));

        peer.Send(Seg.Ack() with { Urg = (ushort)pointer, Flags = TcpFlags.Ack | TcpFlags.Urg });
        peer.Send(Seg.Text("!") with { Urg = (ushort)pointer, Flags = TcpFlags.Ack | TcpFlags.Urg | TcpFlags.Fin });
        peer.Nxt += 2;
        peer.Send(Seg.Ack() with { Urg = (ushort)pointer, Flags = TcpFlags.Ack | TcpFlags.Urg });
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("!"u8.ToArray()));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.CloseWait));
        host.Finish();
    }

    [Test]
    public void HI_OPT_10_urgent_before_the_handshake_is_over([Values(0, 1, 65_535)] int pointer)
    {
        Host host = new(iss: Isn);
        Peer peer = host.NewPeer(Isn, Host.FirstRemote);
        peer.Ask(Seg.Syn(Opt.Mss(1460)) with { Flags = TcpFlags.Syn | TcpFlags.Urg, Urg = (ushort)pointer });
        peer.Send(Seg.Text("abc") with { Flags = TcpFlags.Ack | TcpFlags.Urg, Urg = (ushort)pointer });
        peer.Nxt += 3;
        SteppedSocket socket = host.AcceptAll()[0];
        Assert.That(Host.Read(socket), Is.EqualTo("abc"u8.ToArray()));

        (Host other, Peer synSent) = SynSent();
        synSent.Ask(Seg.SynAck() with { Flags = TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Urg, Urg = (ushort)pointer });
        synSent.SendNext("abc"u8.ToArray());
        Assert.That(Host.Read(synSent.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
        other.Finish();
    }

    [Test]
    [Spec("9293-MUST-66")]
    public void HI_OPT_10_urgent_at_a_zero_window_moves_the_mark_and_no_data([Values(0, 1, 65_535)] int pointer)
    {
        (Host host, Peer peer) = Established(options => options.ReceiveWindow = 1000);
        peer.SendNext(Pattern(1000));
        host.Advance(1);
        peer.Take();
        List<Seg> replies = peer.Send(Seg.Text("z") with { Flags = TcpFlags.Ack | TcpFlags.Urg, Urg = (ushort)pointer });
        Assert.That(replies, Has.Count.EqualTo(1));
        Assert.That(replies[0].Wnd, Is.Zero);
        Assert.That(peer.Socket.Readable, Is.EqualTo(1000));
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(Pattern(1000)));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-6")]
    public void HI_OPT_11_md5_and_ao_options_are_ignored()
    {
        Host host = new(iss: Isn);
        byte[] md5 = [19, 18, .. new byte[16], 1, 1];
        byte[] ao = [29, 16, 1, 1, .. new byte[12]];
        byte[] shortMd5 = [19, 2, 1, 1];
        byte[] shortAo = [29, 3, 9, 1];
        foreach (byte[] options in (byte[][])[md5, ao, shortMd5, shortAo])
        {
            Peer peer = host.Accept(Isn, options: options);
            peer.Send(Seg.Text("abc") with { Options = options });
            Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        }

        host.Finish();
    }
}
