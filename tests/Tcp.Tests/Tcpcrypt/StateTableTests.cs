using System.Net.Sockets;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>The rows of the state table that lead to ENCRYPTING, one side made by hand.</summary>
public sealed class StateTableTests
{
    [Test]
    [Spec("TD-17"), Spec("TD-3")]
    public void An_opener_without_a_session_says_HELLO()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out Heard syn);
        Assert.That(syn.Crypt, Is.Empty, "an empty option is HELLO");
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-20"), Spec("TD-32"), Spec("TD-62"), Spec("TD-63"), Spec("TD-132")]
    public void A_listener_says_PKCONF_and_answers_INIT1_with_INIT2([Values] bool reference, [Values(TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa)] TcpcryptKeyExchange keyExchange)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft;
        peer.KeyExchange = keyExchange;
        Heard synAck = peer.Open([]);
        Assert.That(synAck.Crypt, Is.EqualTo(Say.OurPkConf));
        peer.TakePkConf(synAck.Crypt);

        List<Heard> answers = peer.SendInit1();
        Assert.That(answers, Has.Count.EqualTo(1));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(answers[0].Crypt, Is.EqualTo(new[] { Opcode.Init2 }));
            Assert.That(answers[0].Seg.Seq, Is.EqualTo(1));
            Assert.That(answers[0].Seg.AckNo, Is.EqualTo(1 + peer.Init1.Length), "INIT1 is acknowledged by INIT2");
            Assert.That(answers[0].Seg.Flags, Is.EqualTo(TcpFlags.Ack | TcpFlags.Psh));
            Assert.That(answers[0].HasMac, Is.False);
        }

        peer.Complete(answers[0]);
        Assert.That(peer.SendProtected(Seg.Ack()), Is.Empty);
        peer.Socket = bench.Accept();
        Assert.That(peer.Socket.Tcpcrypt!.SessionId.ToArray(), Is.EqualTo(peer.Session!.SessionId.ToArray()));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-23"), Spec("TD-33"), Spec("TD-82"), Spec("TD-133")]
    public void An_opener_answers_PKCONF_with_INIT1_and_INIT2_with_a_MAC([Values] bool reference, [Values] bool withApplicationBit)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        byte opcode = withApplicationBit ? Opcode.PkConfAppSupport : Opcode.PkConf;
        peer.ApplicationBits = (byte)(withApplicationBit ? 2 : 0);
        List<Heard> answers = peer.SynAck(reference ? Say.PkConfAs(opcode, Say.P256) : Say.PkConfAs(opcode, Say.P256, Say.Marker));
        peer.TakePkConf(reference ? Say.PkConfAs(opcode, Say.P256) : Say.PkConfAs(opcode, Say.P256, Say.Marker));

        // Nothing, not even a bare ACK, may come before INIT1 (reference spec 3.1).
        Assert.That(answers, Has.Count.EqualTo(1), string.Join("; ", answers));
        Assert.That(answers[0].Crypt, Is.EqualTo(new[] { Opcode.Init1 }));
        Assert.That(peer.Socket.Poll().HasFlag(SteppedPollFlags.Out), Is.False, "not connected before the handshake is over");
        peer.Respond(answers[0]);
        Assert.That(peer.Session!.Dialect, Is.EqualTo(reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft));

        List<Heard> acks = peer.SendInit2();
        Assert.That(acks, Has.Count.EqualTo(1));
        Assert.That(acks[0].IsAuthentic, Is.True);
        Assert.That(peer.Socket.Poll().HasFlag(SteppedPollFlags.Out), Is.True);
        Assert.That(peer.Socket.Tcpcrypt!.RemoteApplicationAware, Is.EqualTo(withApplicationBit));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-24"), Spec("TD-54")]
    public void An_opener_becomes_S_when_the_listener_says_HELLO([Values] bool reference)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Dialect = reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft;
        List<Heard> pkConf = peer.SynAck(Say.Hello);
        Assert.That(pkConf, Has.Count.EqualTo(1));
        Assert.That(pkConf[0].Crypt, Is.EqualTo(Say.OurPkConf));
        Assert.That((pkConf[0].Seg.Len, pkConf[0].Seg.Seq), Is.EqualTo((0u, 1u)));

        peer.TakePkConf(pkConf[0].Crypt);
        peer.Complete(peer.SendInit1().Single());
        Assert.That(peer.SendProtected(Seg.Ack()), Is.Empty);
        Assert.That(peer.Socket.Tcpcrypt!.Role, Is.EqualTo(TcpcryptRole.S));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-21"), Spec("TD-23"), Spec("TD-12")]
    public void A_listener_that_is_always_C_says_HELLO_and_waits_for_PKCONF([Values] bool reference)
    {
        CryptBench bench = new(options => options.CMode = TcpcryptCMode.Always);
        CryptPeer peer = bench.NewPeer();
        Assert.That(peer.Open([]).Crypt, Is.EqualTo(Say.Hello));
        byte[] pkConf = reference ? Say.PkConf(Say.P256) : Say.PkConf(Say.P256, Say.Marker);
        peer.TakePkConf(pkConf);
        Heard init1 = peer.Ask(CryptPeer.With(Seg.Ack(), pkConf));
        peer.Respond(init1);
        Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
        peer.Socket = bench.Accept();
        Assert.That(peer.Socket.Tcpcrypt!.Role, Is.EqualTo(TcpcryptRole.C));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-18"), Spec("TD-27"), Spec("TD-106"), Spec("TD-135")]
    public void An_opener_with_a_session_says_NEXTK1_and_goes_on_with_NEXTK2([Values] bool reference)
    {
        CryptBench bench = new();
        CryptPeer first = bench.Connect(out _).AnswerAsS(reference ? Say.PkConf(Say.P256) : null);
        first.Exchange();
        TcpcryptSession next = first.Successor!;

        CryptPeer second = bench.Connect(out Heard syn, localPort: 5001);
        Assert.That(syn.Crypt, Is.EqualTo(Say.NextK1(next.Identifier)));
        Heard ack = second.SynAckWithKeys(next);
        Assert.That(ack.IsAuthentic, Is.True, "a MACed ACK at once");
        Assert.That(second.Socket.Tcpcrypt!.IsResumed, Is.True);
        second.Exchange();
        bench.Finish(first.Socket, second.Socket);
    }

    [Test]
    [Spec("TD-22"), Spec("TD-103")]
    [Spec("HI_ENC_10")]
    public void A_listener_answers_NEXTK1_with_NEXTK2_and_waits_for_a_MAC([Values(0, 1, 2, 3)] int ahead)
    {
        CryptBench bench = new();
        CryptPeer first = bench.NewPeer().OpenAsC();
        first.Exchange();
        TcpcryptSession next = first.Successor!;
        for (int step = 0; step < ahead; step++)
        {
            next = next.Next();
        }

        CryptPeer second = bench.NewPeer(isn: 77_000);
        Heard synAck = second.Open(Say.NextK1(next.Identifier));
        if (ahead > 2)
        {
            Assert.That(synAck.Crypt, Is.EqualTo(Say.OurPkConf), "beyond the look-ahead it is a miss");
            bench.Finish(first.Socket);
            return;
        }

        Assert.That(synAck.Crypt, Is.EqualTo(new[] { Opcode.NextK2 }));
        second.Use(next);
        bench.AssertNothingToAccept();
        second.Silence(Seg.Ack());
        second.Silence(Seg.Text("not under MAC", 1));
        bench.AssertNothingToAccept();
        Assert.That(second.SendProtected(Seg.Ack()), Is.Empty);
        second.Socket = bench.Accept();
        second.Exchange();

        // One use: the same identifier again is a miss, and so is all that came before it ([TD-103]).
        Assert.That(bench.NewPeer().Open(Say.NextK1(next.Identifier)).Crypt, Is.EqualTo(Say.OurPkConf));
        bench.Finish(first.Socket, second.Socket);
    }

    [Test]
    [Spec("TD-20"), Spec("TD-103")]
    [Spec("HI_ENC_10")]
    public void A_listener_answers_an_unknown_NEXTK1_as_HELLO()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open(Say.NextK1(new byte[9])).Crypt);
        Assert.That(peer.PkConf, Is.EqualTo(Say.OurPkConf[2..]));
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [TestCase(false)]
    [TestCase(true)]
    [Spec("TD-29"), Spec("TD-30"), Spec("TD-103")]
    public void An_opener_whose_session_is_missed_goes_on_with_public_keys_and_drops_the_chain(bool isHello)
    {
        CryptBench bench = new();
        CryptPeer first = bench.Connect(out _).AnswerAsS();
        first.Exchange();
        CryptPeer second = bench.Connect(out Heard syn, localPort: 5001);
        Assert.That(syn.Crypt![0], Is.EqualTo(Opcode.NextK1));
        if (isHello)
        {
            Heard pkConf = second.SynAck(Say.Hello).Single();
            second.TakePkConf(pkConf.Crypt);
            second.Complete(second.SendInit1().Single());
            second.SendProtected(Seg.Ack());
        }
        else
        {
            second.AnswerAsS();
        }

        Assert.That(second.Socket.Tcpcrypt!.IsResumed, Is.False);
        second.Exchange();

        // The next one resumes the new chain, not the one that was missed.
        bench.Connect(out Heard third, localPort: 5002);
        Assert.That(third.Crypt, Is.EqualTo(Say.NextK1(second.Successor!.Identifier)));
    }

    [Test]
    [Spec("TD-64")]
    [Spec("HI_ENC_04")]
    public void INIT1_and_INIT2_in_several_segments_are_accepted_and_no_part_is_acknowledged([Values(1, 2, 8, 50, 116)] int cut)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        Seg whole = peer.Init1Segment();
        peer.Silence(whole with { Data = peer.Init1[..cut] });
        List<Heard> answers = peer.Send(whole with { Seq = 1 + (uint)cut, Data = peer.Init1[cut..] });
        Assert.That(answers, Has.Count.EqualTo(1));
        peer.Nxt = 1 + (uint)peer.Init1.Length;
        peer.Complete(answers[0]);
        Assert.That(peer.SendProtected(Seg.Ack()), Is.Empty);
        peer.Socket = bench.Accept();
        peer.Exchange();

        CryptPeer other = bench.Connect(out _, localPort: 5001);
        other.Respond(other.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        Seg init2 = other.Init2Segment();
        int at = Math.Min(cut, other.Init2.Length - 1);
        other.Silence(init2 with { Data = other.Init2[..at] });
        Heard ack = other.Ask(init2 with { Seq = 1 + (uint)at, Data = other.Init2[at..] });
        Assert.That(ack.IsAuthentic, Is.True);
        other.Nxt = 1 + (uint)other.Init2.Length;
        other.Exchange();
        bench.Finish(peer.Socket, other.Socket);
    }

    [Test]
    [Spec("TD-64")]
    [Spec("HI_ENC_04")]
    public void INIT_parts_may_come_out_of_order_and_overlap()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        Seg whole = peer.Init1Segment();
        peer.Silence(whole with { Seq = 51, Data = peer.Init1[50..] });
        peer.Silence(whole with { Data = peer.Init1[..60] });
        List<Heard> answers = peer.Send(whole with { Seq = 51, Data = peer.Init1[50..] });
        Assert.That(answers, Has.Count.EqualTo(1));
        peer.Nxt = 1 + (uint)peer.Init1.Length;
        peer.Complete(answers[0]);
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("REF-12")]
    public void A_window_probe_that_carries_INIT1_one_number_too_low_is_INIT1()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        List<Heard> answers = peer.Send(peer.Init1Segment() with { Seq = 0 });
        Assert.That(answers, Has.Count.EqualTo(1), "INIT2");
        peer.Nxt = 1 + (uint)peer.Init1.Length;
        peer.Complete(answers[0]);
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-40"), Spec("TD-82")]
    public void Early_data_of_S_that_overtakes_INIT2_is_held_and_delivered()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        peer.Nxt = 1 + (uint)peer.Init2.Length;
        byte[] early = [.. "early bird"u8];
        Assert.That(peer.SendProtected(Seg.Bytes(early) with { AckNo = 1 + (uint)peer.Init1.Length }), Is.Empty);
        List<Heard> answers = peer.Send(peer.Init2Segment());
        Assert.That(answers, Is.Not.Empty);
        Assert.That(answers, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        peer.Nxt += (uint)early.Length;
        Assert.That(peer.Read(), Is.EqualTo(early));
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-82"), Spec("REF-3.1")]
    public void S_sends_early_data_in_dialect_Draft_only([Values] bool reference, [Values] bool allowed)
    {
        // Role reversal: the opener is S, and its application writes as soon as it is connected.
        CryptBench bench = new(options => options.EarlyData = allowed);
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft;
        peer.TakePkConf(peer.Open([]).Crypt);
        Heard init2 = peer.SendInit1().Single();
        peer.Socket = bench.Accept();
        peer.Complete(init2);
        peer.Socket.SetOption(SteppedSocketOption.NoDelay, 1);
        peer.Write([.. "first"u8]);
        List<Heard> early = peer.Take();
        if (allowed && !reference)
        {
            Assert.That(early.Single().IsAuthentic, Is.True);
            Assert.That(early.Single().Data, Is.EqualTo("first"u8.ToArray()));
        }
        else
        {
            Assert.That(early, Is.Empty, "S waits for the acknowledgment of INIT2");
            Assert.That(peer.SendProtected(Seg.Ack()).Single().Data, Is.EqualTo("first"u8.ToArray()));
        }

        bench.Finish(peer.Socket);
    }

    [TestCase(new byte[] { 0x20 })]
    [TestCase(new byte[] { 0x60, 4, 1, 2 })]
    [TestCase(new byte[] { 0xb0, 1, 2, 3 })]
    [Spec("TD-4")]
    public void Unknown_opcodes_that_may_be_skipped_change_nothing(byte[] unknown)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();

        // What follows an opcode of unknown length cannot be read, so it is last.
        byte[] hello = unknown[0] >= 0x80 ? [Opcode.Hello, .. unknown] : [.. unknown, Opcode.Hello];
        peer.TakePkConf(peer.Open(hello).Crypt);
        peer.MakeInit1();
        Seg init1 = peer.Init1Segment() with { Options = Say.Option(unknown[0] >= 0x80 ? [Opcode.Init1, .. unknown] : [.. unknown, Opcode.Init1]) };
        peer.Complete(peer.Ask(init1));
        peer.Nxt = 1 + (uint)peer.Init1.Length;
        Assert.That(peer.SendProtected(Seg.Ack(), unknown), Is.Empty);
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-57")]
    public void A_cookie_is_returned_with_INIT1_and_with_its_repetition([Values(0, 8, 21)] int length)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        byte[] cookie = [.. Enumerable.Range(1, length).Select(static value => (byte)value)];
        Heard init1 = peer.SynAck([.. Say.PkConf(Say.P256, Say.Marker), Opcode.SynCookie, (byte)(2 + length), .. cookie]).Single();
        Assert.That(init1.Find(Opcode.AckCookie)?[1..], Is.EqualTo(cookie));
        bench.Advance(1.1);
        Heard again = peer.Take()[0];
        Assert.That(again.Crypt, Is.EqualTo(init1.Crypt));
        peer.Respond(again);
        Heard ack = peer.SendInit2().Single();
        Assert.That(ack.Crypt, Is.Null, "in no other segment");
        peer.Exchange();
        bench.Finish(peer.Socket);
    }
}
