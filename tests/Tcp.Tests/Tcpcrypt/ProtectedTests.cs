using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>ENCRYPTING: what goes out is under MAC, and nothing else comes in ([TD-34], [TD-35], [TD-81..90]; reference spec 6, 7). Both dialects, numbers at the edges of their space.</summary>
[TestFixture(TcpcryptDialect.Draft, 0u)]
[TestFixture(TcpcryptDialect.Draft, 0xFFFF_FFF0u)]
[TestFixture(TcpcryptDialect.Draft, 0x7FFF_FFF0u)]
[TestFixture(TcpcryptDialect.Reference, 0u)]
[TestFixture(TcpcryptDialect.Reference, 0xFFFF_FFF0u)]
[TestFixture(TcpcryptDialect.Reference, 0x7FFF_FFF0u)]
public sealed class ProtectedTests(TcpcryptDialect dialect, uint isn)
{
    private bool IsDraft => dialect == TcpcryptDialect.Draft;

    [Test]
    [Spec("TD-35"), Spec("TD-83"), Spec("REF-6.4")]
    [Spec("HI_ENC_06"), Spec("HI_ENC_12")]
    public void What_has_no_valid_MAC_has_no_effect()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        uint next = peer.Nxt;
        peer.Silence(Seg.Ack());
        peer.Silence(Seg.Text("plain"));
        peer.Silence(Seg.Fin());
        peer.Silence(Seg.Text("plain") with { Options = [70, 18, .. new byte[16], 1, 1] });
        peer.Silence(Seg.Text("plain") with { Options = [70, 17, .. new byte[15], 1, 1, 1] });
        peer.Silence(Seg.Text("plain") with { Options = [70, 18, .. new byte[16], 70, 18, .. new byte[16]] });
        peer.Silence(CryptPeer.With(Seg.Text("plain"), Opcode.Decline));
        byte[] packet = peer.Protect(Seg.Text("good octets"));
        for (int bit = 0; bit < (packet.Length - 20) * 8; bit += 5)
        {
            byte[] flipped = [.. packet];
            flipped[20 + (bit / 8)] ^= (byte)(1 << (bit % 8));
            if (!IsCovered(bit / 8))
            {
                continue;
            }

            Seg.FixChecksums(flipped);
            bench.Stack.Inject(flipped);
            Assert.That(peer.Take(), Is.Empty, $"bit {bit}");
        }

        Assert.That((peer.Nxt, peer.Read().Length, peer.Socket.State), Is.EqualTo((next, 0, TcpState.Established)));
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.Success));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    /// <summary>Ports decide whose segment it is, the checksum is made right, and what dialect Reference leaves out is left out here.</summary>
    private bool IsCovered(int octet) => octet >= 4 && octet is not (16 or 17) && (IsDraft || octet is not (14 or 15)) && (octet != 12 || IsDraft);

    [Test]
    [Spec("TD-81"), Spec("REF-7")]
    [Spec("HI_ENC_09")]
    public void Data_ACK_FIN_and_the_ACK_of_TIME_WAIT_are_under_MAC()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        peer.Exchange(3000);
        peer.Socket.Shutdown(SocketShutdown.Send);
        Heard fin = peer.Take().Single();
        Assert.That((fin.Seg.IsFin, fin.IsAuthentic), Is.EqualTo((true, true)));
        peer.SendProtected(Seg.Ack());
        Heard ack = peer.AskProtected(Seg.Fin());
        Assert.That(ack.IsAuthentic, Is.True);
        Assert.That(bench.Stack.Core.Tcp.TimeWait.Count, Is.EqualTo(1));

        // TIME-WAIT: the FIN again is answered under MAC; what has none is not answered at all.
        Assert.That(peer.AskProtected(Seg.Fin()).IsAuthentic, Is.True);
        peer.Silence(Seg.Fin());
        peer.Silence(Seg.Rst(peer.Nxt + 1));
        Assert.That(bench.Stack.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-81"), Spec("TD-84"), Spec("REF-7")]
    [Spec("HI_ENC_12")]
    public void A_reset_is_under_MAC_and_one_with_a_valid_MAC_closes()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        peer.SendProtected(Seg.Rst() with { Seq = peer.Nxt + 10, AckNo = peer.RcvNxt, Flags = TcpFlags.Rst | TcpFlags.Ack });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established), "in the window, not exact");
        Assert.That(peer.SendProtected(new Seg { Flags = TcpFlags.Rst | TcpFlags.Ack }), Is.Empty);
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionReset));

        CryptPeer other = Accept(bench);
        other.Socket.SetOption(SteppedSocketOption.Linger, 0);
        other.Socket.Close();
        Heard reset = other.Take().Single();
        Assert.That((reset.Seg.IsRst, reset.IsAuthentic), Is.EqualTo((true, true)));
    }

    [TestCase(UnauthenticatedReset.Accept)]
    [TestCase(UnauthenticatedReset.Verify)]
    [TestCase(UnauthenticatedReset.Ignore)]
    [Spec("TD-85"), Spec("TD-129"), Spec("REF-6.4")]
    [Spec("HI_ENC_09"), Spec("HI_ENC_12")]
    public void A_reset_without_MAC_from_a_peer_that_lost_its_state(UnauthenticatedReset setting)
    {
        (CryptBench bench, CryptPeer peer) = Accepted(options => options.UnauthenticatedReset = setting);
        List<Heard> heard = peer.Send(Seg.Rst(peer.Nxt));
        if (setting == UnauthenticatedReset.Accept)
        {
            Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionReset));
            bench.Finish(peer.Socket);
            return;
        }

        Assert.That(heard.Count, Is.EqualTo(setting == UnauthenticatedReset.Verify ? 1 : 0));
        Assert.That(heard, Has.All.Property(nameof(Heard.IsAuthentic)).True, "asked under MAC");

        // The peer knows nothing any more: each question brings a RST.
        double closedAfter = -1;
        for (int tenths = 1; tenths <= 300 && closedAfter < 0; tenths++)
        {
            bench.Advance(0.1);
            foreach (Heard question in peer.Take())
            {
                peer.Send(Seg.Rst(question.Seg.AckNo));
            }

            closedAfter = peer.Socket.State == TcpState.Closed ? tenths / 10.0 : -1;
        }

        if (setting == UnauthenticatedReset.Verify)
        {
            Assert.That(closedAfter, Is.InRange(3.0, 10.0));
            Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionReset));
            Assert.That(bench.Stack.Core.Counters.CryptResetsVerified, Is.EqualTo(1));
        }
        else
        {
            Assert.That(closedAfter, Is.EqualTo(-1));
            peer.Exchange();
        }

        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-85"), Spec("TD-90")]
    [Spec("HI_ENC_09")]
    public void Forged_resets_do_not_close_while_the_peer_answers()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        for (int tenths = 0; tenths < 200; tenths++)
        {
            List<Heard> questions = peer.Send(Seg.Rst(peer.Nxt));
            bench.Advance(0.1);
            questions.AddRange(peer.Take());
            foreach (Heard question in questions)
            {
                peer.SendProtected(Seg.Ack(), question.Find(Opcode.SyncRequest) is { } clock ? [Opcode.SyncOk, .. clock] : null);
            }
        }

        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-83"), Spec("TD-127"), Spec("REF-6.4")]
    public void INIT1_again_brings_INIT2_again_until_it_is_acknowledged()
    {
        CryptBench bench = Bench();
        CryptPeer peer = NewPeer(bench);
        peer.TakePkConf(peer.Open([]).Crypt);
        Heard init2 = peer.SendInit1().Single();
        Heard again = peer.Ask(peer.Init1Segment());
        Assert.That(again.Crypt, Is.EqualTo(init2.Crypt));
        Assert.That(again.Data, Is.EqualTo(init2.Data));
        Assert.That((again.Seg.Seq, again.HasMac), Is.EqualTo((init2.Seg.Seq, false)));
        peer.Silence(Seg.Ack());
        peer.Complete(init2);
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Silence(peer.Init1Segment());
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-83"), Spec("TD-127"), Spec("REF-3.3"), Spec("REF-6.4")]
    public void INIT2_or_the_SYN_ACK_again_brings_a_MACed_ACK()
    {
        CryptBench bench = Bench(isActive: true);
        CryptPeer peer = bench.Connect(out _, isn);
        peer.AnswerAsS(IsDraft ? null : Say.PkConf(Say.P256));
        Heard ack = peer.Ask(peer.Init2Segment());
        Assert.That((ack.IsAuthentic, ack.Data.Length), Is.EqualTo((true, 0)));
        Assert.That(peer.Ask(Seg.SynAck(Say.Option(Say.OurPkConf))).IsAuthentic, Is.True);
        peer.Exchange();

        // A repeated INIT2 under a valid MAC with its octets in the stream's place: nobody's data (reference spec 6.4).
        Assert.That(peer.SendProtected(Seg.Bytes(peer.Init2), [Opcode.Init2]), Has.All.Property(nameof(Heard.IsAuthentic)).True);
        Assert.That(peer.Read(), Is.Empty);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-83")]
    public void A_SYN_brings_a_MACed_challenge_ACK()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        Heard challenge = peer.Ask(Seg.Syn(Say.Option()) with { Seq = peer.Nxt + 5 });
        Assert.That((challenge.IsAuthentic, challenge.Data.Length, challenge.Seg.IsSyn), Is.EqualTo((true, 0, false)));
        Assert.That(peer.Ask(Seg.Syn(Say.Option())).IsAuthentic, Is.True);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-87"), Spec("TD-88"), Spec("TD-89"), Spec("TD-90")]
    public void Keep_alives_ask_and_only_an_answer_counts()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        byte[] replay = peer.Protect(Seg.Ack());
        peer.Socket.SetOption(SteppedSocketOption.KeepAliveIdle, 10);
        peer.Socket.SetOption(SteppedSocketOption.KeepAliveInterval, 1);
        peer.Socket.SetOption(SteppedSocketOption.KeepAliveCount, 3);
        peer.Socket.SetOption(SteppedSocketOption.KeepAlive, 1);
        uint last = 0;
        for (int round = 0; round < 3; round++)
        {
            bench.Advance(10.5);
            Heard probe = peer.Take().Single();
            Assert.That((probe.IsAuthentic, probe.Seg.Seq, probe.Data.Length), Is.EqualTo((true, peer.RcvNxt - 1, 0)));
            byte[]? clock = probe.Find(Opcode.SyncRequest);
            Assert.That(clock is not null, Is.EqualTo(IsDraft));
            if (clock is not null)
            {
                uint value = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(clock);
                Assert.That(value, Is.GreaterThan(last), "never decreases, each one fresh");
                last = value;
            }

            Assert.That(peer.SendProtected(Seg.Ack(), clock is null ? null : [Opcode.SyncOk, .. clock]), Is.Empty, "SYNC_OK is not answered");
        }

        // A replayed ACK is no sign of life in dialect Draft.
        for (int tenths = 0; tenths < 200; tenths++)
        {
            bench.Advance(0.1);
            bench.Stack.Inject(replay);
        }

        Assert.That(peer.Socket.State, Is.EqualTo(IsDraft ? TcpState.Closed : TcpState.Established));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-16"), Spec("TD-88"), Spec("TD-128")]
    public void SYNC_REQ_is_answered_with_the_highest_clock_even_in_a_segment_that_TCP_discards()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        if (!IsDraft)
        {
            return;
        }

        Heard answer = peer.AskProtected(Seg.Ack() with { Seq = peer.Nxt - 1 }, Say.Clock(Opcode.SyncRequest, 7));
        Assert.That(answer.Find(Opcode.SyncOk), Is.EqualTo(new byte[] { 0, 0, 0, 7 }));
        answer = peer.AskProtected(Seg.Ack(), Say.Clock(Opcode.SyncRequest, 3));
        Assert.That(answer.Find(Opcode.SyncOk), Is.EqualTo(new byte[] { 0, 0, 0, 7 }));
        answer = peer.SendProtected(Seg.Text("x"), Say.Clock(Opcode.SyncRequest, 9))[0];
        Assert.That(answer.Find(Opcode.SyncOk), Is.EqualTo(new byte[] { 0, 0, 0, 9 }));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-81"), Spec("TD-115")]
    public void Zero_window_probes_and_window_updates_are_under_MAC()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        peer.SendProtected(Seg.Ack() with { Wnd = 0 });
        peer.Write(new byte[1000]);
        Assert.That(peer.Take(), Is.Empty);
        peer.Silence(Seg.Ack());
        bench.Advance(30);
        List<Heard> probes = peer.Take();
        Assert.That(probes, Is.Not.Empty);
        Assert.That(probes, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        Heard data = peer.AskProtected(Seg.Ack());
        Assert.That((data.IsAuthentic, data.Data.Length), Is.EqualTo((true, 1000)));

        // Our own window: closed by an application that does not read, opened when it does.
        (CryptBench small, CryptPeer sender) = Accepted(configure: options => options.ReceiveWindow = 4000);
        sender.SendNext(new byte[1400]);
        sender.SendNext(new byte[1400]);
        List<Heard> full = sender.SendNext(new byte[1200]);
        Assert.That((full[^1].IsAuthentic, full[^1].Seg.Wnd), Is.EqualTo((true, (ushort)0)));
        sender.Read();
        Heard update = sender.Take().Single();
        Assert.That((update.IsAuthentic, update.Seg.Wnd), Is.EqualTo((true, (ushort)4000)));
        small.Finish(sender.Socket);
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-75"), Spec("REF-6.3")]
    public void Urgent_data_goes_both_ways()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        peer.SendProtected(Seg.Text("urgent!") with { Flags = TcpFlags.Ack | TcpFlags.Psh | TcpFlags.Urg, Urg = 3 });
        peer.Nxt += 7;
        Assert.That(peer.Socket.UrgentAhead, Is.EqualTo(3));
        Assert.That(peer.Read(3), Is.EqualTo("urg"u8.ToArray()));
        Assert.That(peer.Read(), Is.EqualTo("ent!"u8.ToArray()));
        Assert.That(peer.Socket.Send("now"u8, out _, SocketFlags.OutOfBand), Is.EqualTo(SocketError.Success));
        Heard heard = peer.Take().Single();
        Assert.That((heard.IsAuthentic, heard.Seg.Flags & TcpFlags.Urg, heard.Seg.Urg), Is.EqualTo((true, TcpFlags.Urg, (ushort)3)));
        peer.SendProtected(Seg.Ack());
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-74"), Spec("TD-81"), Spec("REF-6.2")]
    [Spec("HI_ENC_12")]
    public void Retransmissions_are_encrypted_anew_or_the_same_and_always_readable()
    {
        (CryptBench bench, CryptPeer peer) = Accepted();
        peer.Write([.. Enumerable.Range(0, 5000).Select(static value => (byte)value)]);
        List<Heard> first = peer.Take();
        bench.Advance(5);
        List<Heard> again = peer.Take();
        Assert.That(again, Is.Not.Empty);
        Assert.That(again, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        foreach (Heard heard in again)
        {
            Assert.That(heard.Data, Is.EqualTo(Enumerable.Range((int)(heard.Seg.Seq!.Value - first[0].Seg.Seq!.Value), heard.Data.Length).Select(static value => (byte)value)));
        }

        peer.SendProtected(Seg.Ack());
        peer.TakeAndAcknowledge();
        Assert.That(peer.Stream.TakeLast(5000), Is.EqualTo(Enumerable.Range(0, 5000).Select(static value => (byte)value)));
        bench.Finish(peer.Socket);
    }

    /// <summary>The peer opens, offers SACK, and is accepted; returns the SYN,ACK.</summary>
    private static Heard AcceptWithSack(CryptBench bench, CryptPeer peer)
    {
        Heard synAck = peer.Open([], 4, 2);
        peer.TakePkConf(synAck.Crypt);
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        return synAck;
    }

    [Test]
    [Spec("TD-110"), Spec("TD-111"), Spec("TD-78")]
    public void No_packet_exceeds_the_MTU_and_SACK_goes_beside_the_MAC([Values(576, 1500)] int mtu, [Values] bool timestamps)
    {
        CryptBench bench = Bench(configure: options => options.Mtu = mtu);
        CryptPeer peer = NewPeer(bench);
        peer.TsVal = timestamps ? 5000u : null;
        peer.Ciphers = [TcpcryptCipher.Aes128HmacSha256];
        Heard synAck = AcceptWithSack(bench, peer);

        // A hole: the ACKs carry SACK, and so does data going the other way.
        uint hole = peer.Nxt;
        Heard ack = peer.AskProtected(Seg.Text("behind") with { Seq = hole + 100 });
        Assert.That(ack.IsAuthentic, Is.True);
        bool hasSack = ack.Seg.SackBlocks(peer.Isn).Contains((hole + 100, hole + 106));
        Assert.That(hasSack, Is.EqualTo(synAck.Seg.Options.AsSpan().IndexOf(new byte[] { 4, 2 }) >= 0));
        peer.SendProtected(Seg.Ack() with { Seq = hole - 1 }, IsDraft ? Say.Clock(Opcode.SyncRequest, 5) : null);
        peer.Write(new byte[20_000]);
        List<Heard> all = peer.TakeAndAcknowledge();
        Assert.That(all, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        Assert.That(all.Max(static heard => heard.PacketLength), Is.InRange(mtu - 24, mtu));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("2883-1"), Spec("TD-110")]
    public void A_duplicate_is_told_beside_the_MAC([Values] bool timestamps)
    {
        CryptBench bench = Bench();
        CryptPeer peer = NewPeer(bench);
        peer.TsVal = timestamps ? 5000u : null;
        AcceptWithSack(bench, peer);
        uint start = peer.Nxt;
        peer.SendProtected(Seg.Text("twice") with { Seq = start });
        bench.Advance(1);
        peer.Take();
        Heard ack = peer.AskProtected(Seg.Text("twice") with { Seq = start });
        Assert.That(ack.IsAuthentic, Is.True);
        Assert.That(ack.Seg.SackBlocks(peer.Isn), Is.EqualTo(new[] { (start, start + 5) }));
        peer.Nxt = start + 5;
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-110"), Spec("TD-64")]
    public void A_peer_with_a_small_MSS_gets_small_segments_or_plain_TCP([Values(48, 64, 128, 136, 137, 200)] int mss)
    {
        CryptBench bench = Bench();
        CryptPeer peer = NewPeer(bench);
        peer.TsVal = 1;
        Heard synAck = peer.Ask(Seg.Syn([.. Opt.Mss(mss), 4, 2, .. Say.Option()]));
        if (synAck.Crypt is [Opcode.Decline])
        {
            Assert.That(mss, Is.LessThan(137), "INIT1 of 121 octets, its CRYPT option and timestamps fit from there on");
            return;
        }

        peer.TakePkConf(synAck.Crypt);
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.SendProtected(Seg.Text("behind") with { Seq = peer.Nxt + 100 });
        peer.Write(new byte[2000]);
        List<Heard> all = peer.TakeAndAcknowledge();
        Assert.That(all.Max(static heard => heard.PacketLength), Is.LessThanOrEqualTo(mss + 40));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-35"), Spec("TD-78")]
    public void Timestamps_that_somebody_has_altered_do_not_shut_the_peer_out()
    {
        // Their values are under no MAC: PAWS would believe whoever is on the path.
        CryptBench bench = Bench();
        CryptPeer peer = NewPeer(bench);
        peer.TsVal = 5000;
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        byte[] packet = peer.Protect(Seg.Text("x"));
        peer.Nxt++;
        packet[20 + 20 + 4] ^= 0x40;
        Seg.FixChecksums(packet);
        bench.Stack.Inject(packet);
        Assert.That(peer.Read(), Is.EqualTo("x"u8.ToArray()));
        peer.Take();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-4"), Spec("TD-47")]
    public void An_unknown_mandatory_opcode_is_named_and_its_segment_has_no_effect()
    {
        if (!IsDraft)
        {
            return;
        }

        (CryptBench bench, CryptPeer peer) = Accepted();
        Heard answer = peer.AskProtected(Seg.Text("not taken"), [0xc5]);
        Assert.That((answer.IsAuthentic, answer.Seg.AckNo), Is.EqualTo((true, peer.Nxt)));
        Assert.That(answer.Find(Opcode.Unknown)?[1..], Is.EqualTo(new byte[] { 0xc5 }));
        Assert.That(peer.Read(), Is.Empty);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-115"), Spec("REF-13")]
    public void An_authentic_ACK_counts_even_from_beyond_the_window()
    {
        // Somebody has told both sides of a large window, which dialect Reference does not protect; both have sent beyond what the other takes.
        (CryptBench bench, CryptPeer peer) = Accepted(configure: options => options.ReceiveWindow = 4000);
        peer.Write(new byte[1000]);
        Assert.That(peer.Take().Single().Data, Has.Length.EqualTo(1000));
        Assert.That(peer.Socket.Unacknowledged, Is.EqualTo(1000));
        peer.SendProtected(Seg.Ack() with { Seq = peer.Nxt + 10_000 });
        Assert.That(peer.Socket.Unacknowledged, Is.Zero);
        Assert.That(peer.Read(), Is.Empty);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    private CryptBench Bench(Action<TcpcryptOptions>? crypt = null, Action<SteppedStackOptions>? configure = null, bool isActive = false) => new(crypt, configure, isn, isActive);

    private CryptPeer NewPeer(CryptBench bench)
    {
        CryptPeer peer = bench.NewPeer(isn);
        peer.Dialect = dialect;
        return peer;
    }

    private CryptPeer Accept(CryptBench bench) => NewPeer(bench).OpenAsC();

    private (CryptBench Bench, CryptPeer Peer) Accepted(Action<TcpcryptOptions>? crypt = null, Action<SteppedStackOptions>? configure = null)
    {
        CryptBench bench = Bench(crypt, configure);
        return (bench, Accept(bench));
    }

    [Test]
    [Spec("TD-4"), Spec("TD-47")]
    public void All_opcodes_that_were_not_understood_are_named_once()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer().OpenAsC();
        byte[] all = [0xc0, 0xc5, 0xd0, 0xd9, 0xe3, 0xf0, 0xff];
        Seg seg = Seg.Ack() with { Options = [.. all[1..].Reverse().SelectMany(static opcode => Say.Option(opcode))] };
        Heard answer = peer.AskProtected(seg, [all[0]]);
        Assert.That(answer.Find(Opcode.Unknown)?[1..], Is.EqualTo(all));

        Assert.That(peer.AskProtected(Seg.Text("next")).Find(Opcode.Unknown), Is.Null, "and not again");
    }

    [Test]
    [Spec("TD-47")]
    public void What_does_not_fit_beside_REKEY_is_named_in_the_next_segment()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer().OpenAsC();
        peer.LatestGeneration = 1;
        bench.Advance(70);
        Assert.That(peer.Socket.Rekey(), Is.True);
        Assert.That(peer.Take().Single().Find(Opcode.Rekey), Is.EqualTo(new byte[] { 1 }));
        byte[] all = [0xc0, 0xc5, 0xd0, 0xd9, 0xe3, 0xf0, 0xff];
        Seg seg = Seg.Ack() with { Options = [.. all[1..].SelectMany(static opcode => Say.Option(opcode))] };
        Heard first = peer.AskProtected(seg, [all[0]]);
        Assert.That(first.Find(Opcode.Rekey), Is.EqualTo(new byte[] { 1 }));
        Assert.That(first.Find(Opcode.Unknown)?[1..], Is.EqualTo(all[..6]));
        Heard second = peer.AskProtected(Seg.Text("next"));
        Assert.That(second.Find(Opcode.Unknown)?[1..], Is.EqualTo(all[6..]));
    }

    [Test]
    [Spec("TD-43"), Spec("TD-47")]
    public void A_SYN_with_several_mandatory_opcodes_is_told_of_all()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        byte[]? answer = peer.Open([Opcode.Hello, 0xc5], [.. Say.Option(0xff), .. Say.Option(0xc0)]).Crypt;
        Assert.That(answer, Is.EqualTo(new byte[] { Opcode.Decline, Opcode.Unknown, 5, 0xc0, 0xc5, 0xff }));
        peer.Send(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.ExchangePlain();
    }
}
