using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Single rules that the daemon depends on, each by a hand-made peer.</summary>
public sealed class DaemonRuleTests
{
    [Test]
    [Spec("REF-6.4")]
    public void The_daemons_shifted_INIT2_is_acknowledged_and_not_read()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Dialect = TcpcryptDialect.Reference;
        peer.AnswerAsS(Say.PkConf(Say.P256));
        uint init1 = (uint)peer.Init1.Length;
        uint init2 = (uint)peer.Init2.Length;

        // CRYPT, EOL, MAC: the tag is of no importance, since nobody reads beyond EOL.
        Seg shifted = new() { Seq = 1 + init2, AckNo = 1 + (2 * init1), Flags = TcpFlags.Ack, Options = [69, 3, 8, 0, 70, 18, .. new byte[16]], Data = new byte[init2] };
        Heard answer = peer.Ask(shifted);
        Assert.That(answer.IsAuthentic, Is.True);
        Assert.That((answer.Seg.Len, answer.Seg.AckNo), Is.EqualTo((0u, 1 + init2)));
        Assert.That(peer.Read(), Is.Empty);
        peer.Exchange();
    }

    [Test]
    [Spec("REF-6.4"), Spec("REF-3.6")]
    public void When_only_the_shifted_INIT2_comes_the_connection_is_ended_before_the_daemon_forgets_it()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Dialect = TcpcryptDialect.Reference;
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256)).Single();
        Seg shifted = new() { Seq = 111, AckNo = 1 + (2 * (uint)init1.Data.Length), Flags = TcpFlags.Ack, Options = [69, 3, 8, 0, 70, 18, .. new byte[16]], Data = new byte[110] };
        peer.Silence(shifted with { AckNo = shifted.AckNo + 1 });
        peer.Silence(shifted);
        Assert.That(peer.Ask(shifted).Seg.IsRst, Is.True);
        bench.Advance(60);
        Assert.That(peer.Take(), Is.Empty, "no INIT1 again");
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeLost));
    }

    [Test]
    [Spec("REF-3.1")]
    public void Until_C_shows_that_it_has_the_keys_it_hears_nothing_but_INIT2()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        Heard synAck = peer.Open([]);
        peer.TakePkConf(synAck.Crypt);
        Heard init2 = peer.SendInit1().Single();
        peer.Socket = bench.Accept();
        peer.Write([1, 2, 3]);
        Assert.That(peer.Take(), Is.Empty, "data waits");

        Seg[] strays =
        [
            Seg.Syn(Say.Option()),
            Seg.Syn(Say.Option()) with { Seq = 77 },
            peer.Init1Segment(),
            peer.Init1Segment() with { Seq = 0, Data = [.. peer.Init1] },
        ];
        foreach (Seg stray in strays)
        {
            Assert.That(peer.Send(stray), Has.All.Matches<Heard>(heard => heard is { HasMac: false } && heard.Data.AsSpan().SequenceEqual(init2.Data)), $"{stray}");
        }

        peer.Complete(init2);
        Heard data = peer.SendProtected(Seg.Ack()).Single();
        Assert.That(data.IsAuthentic && data.Data.AsSpan().SequenceEqual<byte>([1, 2, 3]), Is.True);
    }

    [Test]
    [Spec("REF-3.3"), Spec("TD-52")]
    public void NEXTK2_counts_although_the_last_SYN_went_without_CRYPT()
    {
        CryptBench bench = new();
        CryptPeer first = bench.Connect(out _, remotePort: 4000);
        first.Dialect = TcpcryptDialect.Reference;
        first.AnswerAsS(Say.PkConf(Say.P256));
        first.Exchange();

        CryptPeer peer = bench.Connect(out Heard syn, localPort: 5001);
        Assert.That(syn.Crypt?[0], Is.EqualTo(Opcode.NextK1));
        bench.Advance(4);
        List<Heard> again = peer.Take();
        Assert.That(again[^1].Crypt, Is.Null, "the third goes without");
        Heard ack = peer.SynAckWithKeys(first.Successor!);
        Assert.That(ack.IsAuthentic, Is.True, "the peer cannot go plain any more");
        peer.Exchange();
    }

    [Test]
    [Spec("TD-52")]
    public void Without_NEXTK2_the_connection_is_plain_when_the_last_SYN_was()
    {
        CryptBench bench = new();
        CryptPeer first = bench.Connect(out _, remotePort: 4000);
        first.AnswerAsS();
        first.Exchange();

        CryptPeer peer = bench.Connect(out _, localPort: 5001);
        bench.Advance(4);
        peer.Take();
        Heard ack = peer.SynAck(Say.PkConf(Say.P256)).Single();
        Assert.That((ack.Crypt, ack.HasMac), Is.EqualTo(((byte[]?)null, false)));
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.SynUnanswered));
        peer.ExchangePlain();
    }

    [Test]
    [Spec("REF-12"), Spec("REF-3.2")]
    public void PKCONF_on_a_window_probe_is_taken()
    {
        CryptBench bench = new(options => options.CMode = TcpcryptCMode.Always);
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        Assert.That(peer.Open([]).Crypt, Is.EqualTo(Say.Hello));
        byte[] pkConf = Say.PkConf(Say.P256);
        peer.TakePkConf(pkConf);
        Heard init1 = peer.Send(CryptPeer.With(new Seg { Seq = 0, AckNo = 1, Flags = TcpFlags.Ack }, pkConf)).Single();
        peer.Respond(init1);
        Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
        peer.Socket = bench.Accept();
        peer.Exchange();
    }

    [Test]
    [Spec("REF-3.1")]
    public void INIT1_that_found_no_worker_is_asked_for_by_SYN_ACK()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        Heard synAck = peer.Open([]);
        peer.TakePkConf(synAck.Crypt);
        bench.Stack.Workers.Limit = 0;
        Assert.That(peer.SendInit1(), Is.Empty);
        bench.Stack.Workers.Limit = 1024;
        bench.Advance(2);
        Heard again = peer.Take().Single();
        Assert.That((again.Seg.IsSyn, again.Crypt), Is.EqualTo((true, synAck.Crypt)));
        peer.Complete(peer.Send(peer.Init1Segment()).Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
    }

    [TestCase(true)]
    [TestCase(false)]
    [Spec("REF-3.1"), Spec("TD-15")]
    public void Nothing_is_challenged_before_INIT2(bool isTimestampOld)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        peer.TsVal = 1000;
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.Silence(isTimestampOld ? Seg.Ack() with { Seq = 1, Ts = (1, 0) } : Seg.Rst(seq: 50));
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
    }

    /// <summary>While INIT1 is being made nothing else leaves: a bare ACK ends tcpcrypt at the daemon.</summary>
    [Test]
    [Spec("REF-3.1")]
    public void Nothing_leaves_between_SYN_ACK_and_INIT1()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Dialect = TcpcryptDialect.Reference;
        bench.Stack.Workers.IsHeld = true;
        Assert.That(peer.SynAck(Say.PkConf(Say.P256)), Is.Empty);
        Assert.That(peer.SynAck(Say.PkConf(Say.P256)), Is.Empty);
        bench.Advance(3);
        Assert.That(peer.Take(), Is.Empty);
        bench.Stack.Workers.IsHeld = false;
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256)).Single();
        peer.Respond(init1);
        Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
        peer.Exchange();
    }

    [TestCase(false, new byte[] { 0x01 })]
    [TestCase(true, new byte[] { 0x02, 0x01 })]
    [Spec("REF-9"), Spec("REF-3.2")]
    public void A_listener_that_is_C_says_the_HELLO_that_the_daemon_knows(bool isAware, byte[] hello)
    {
        CryptBench bench = new(options =>
        {
            options.CMode = TcpcryptCMode.Always;
            options.ApplicationAware = isAware ? TcpcryptAwareness.Yes : TcpcryptAwareness.No;
        });
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        Assert.That(peer.Open([]).Crypt, Is.EqualTo(hello));
        byte[] pkConf = Say.PkConf(Say.P256);
        peer.TakePkConf(pkConf);

        // The daemon does not see the bit, so it is in nobody's keys.
        peer.ApplicationBits = 0;
        peer.Respond(peer.Send(CryptPeer.With(Seg.Ack(), pkConf)).Single());
        Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
        peer.Socket = bench.Accept();
        peer.Exchange();
    }

    // ---- Which dialect (draft spec 16) ----

    [TestCase(true, TcpcryptDialect.Reference, TcpcryptDialect.Draft)]
    [TestCase(true, TcpcryptDialect.Draft, TcpcryptDialect.Draft)]
    [TestCase(false, TcpcryptDialect.Reference, TcpcryptDialect.Reference)]
    [TestCase(false, TcpcryptDialect.Draft, TcpcryptDialect.Draft)]
    [Spec("TD-131"), Spec("TD-133")]
    public void C_takes_the_dialect_from_the_marker(bool isMarked, TcpcryptDialect unknown, TcpcryptDialect expected)
    {
        foreach (bool weListen in (bool[])[false, true])
        {
            CryptBench bench = new(options =>
            {
                options.UnknownPeerDialect = unknown;
                options.CMode = weListen ? TcpcryptCMode.Always : TcpcryptCMode.Default;
            });
            byte[] pkConf = isMarked ? Say.PkConf(Say.P256, Say.Marker) : Say.PkConf(Say.P256);
            CryptPeer peer;
            Heard init1;
            if (weListen)
            {
                peer = bench.NewPeer();
                peer.Open([]);
                peer.TakePkConf(pkConf);
                init1 = peer.Send(CryptPeer.With(Seg.Ack(), pkConf)).Single();
            }
            else
            {
                peer = bench.Connect(out _);
                init1 = peer.SynAck(pkConf).Single();
            }

            Assert.That(init1.Data.AsSpan().StartsWith((ReadOnlySpan<byte>)[0x15, 0x10, 0x1a, 0x0e]), Is.EqualTo(expected == TcpcryptDialect.Reference));
            peer.Dialect = expected;
            peer.Respond(init1);
            Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
            peer.Socket = weListen ? bench.Accept() : peer.Socket;
            Assert.That(peer.Socket.Tcpcrypt!.Dialect, Is.EqualTo(expected));
            peer.Exchange();
        }
    }

    [TestCase(TcpcryptDialect.Draft, false)]
    [TestCase(TcpcryptDialect.Reference, false)]
    [TestCase(TcpcryptDialect.Draft, true)]
    [TestCase(TcpcryptDialect.Reference, true)]
    [Spec("TD-131"), Spec("TD-134")]
    public void S_answers_in_the_dialect_of_INIT1(TcpcryptDialect dialect, bool weOpen)
    {
        CryptBench bench = new();
        CryptPeer peer;
        Heard said;
        if (weOpen)
        {
            peer = bench.Connect(out _);
            said = peer.SynAck(Say.Hello).Single();
        }
        else
        {
            peer = bench.NewPeer();
            said = peer.Open([]);
        }

        Assert.That(said.Crypt, Is.EqualTo(Say.OurPkConf));
        peer.TakePkConf(said.Crypt);
        peer.Dialect = dialect;
        Heard init2 = peer.SendInit1().Single();
        Assert.That(init2.Data.AsSpan().StartsWith((ReadOnlySpan<byte>)[0x09, 0x71, 0x05, 0xe0]), Is.EqualTo(dialect == TcpcryptDialect.Reference));
        peer.Complete(init2);
        peer.SendProtected(Seg.Ack());
        peer.Socket = weOpen ? peer.Socket : bench.Accept();
        Assert.That(peer.Socket.Tcpcrypt!.Dialect, Is.EqualTo(dialect));
        peer.Exchange();
    }

    [TestCase("00000000000000000000000000000000")]
    [TestCase("15101a0f00000075000002000000000100000100")]
    [TestCase("00000075291000010020004100000100")]
    [TestCase("15101a0e00000010000002000000000100000100")]
    [TestCase("15101a0effffffff000002000000000100000100")]
    [TestCase("15101a0e00000014000002010000ffff00000100")]
    [Spec("TD-134"), Spec("TD-50"), Spec("REF-3.6")]
    public void INIT1_of_neither_dialect_ends_the_connection_and_is_read_by_nobody(string hex)
    {
        foreach (bool weOpen in (bool[])[false, true])
        {
            CryptBench bench = new();
            CryptPeer peer = weOpen ? bench.Connect(out _) : bench.NewPeer();
            Heard said = weOpen ? peer.SynAck(Say.Hello).Single() : peer.Open([]);
            peer.TakePkConf(said.Crypt);
            List<Heard> heard = peer.Send(CryptPeer.With(new Seg { Seq = 1, AckNo = 1, Flags = TcpFlags.Ack, Data = Convert.FromHexString(hex) }, Opcode.Init1));
            Assert.That(heard.Single().Seg.IsRst, Is.True, $"{hex}: {heard.Single()}");
            if (weOpen)
            {
                Assert.That(peer.Socket.Receive(new byte[10], out int count), Is.Not.EqualTo(SocketError.Success));
                Assert.That(count, Is.Zero);
            }
            else
            {
                bench.AssertNothingToAccept();
            }
        }
    }

    [TestCase(TcpcryptDialect.Draft)]
    [TestCase(TcpcryptDialect.Reference)]
    [Spec("TD-134"), Spec("REF-3.6")]
    public void INIT2_of_the_other_dialect_ends_the_connection(TcpcryptDialect dialect)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(dialect == TcpcryptDialect.Draft ? Say.PkConf(Say.P256, Say.Marker) : Say.PkConf(Say.P256)).Single();
        peer.Respond(init1);
        byte[] other = dialect == TcpcryptDialect.Draft
            ? [0x09, 0x71, 0x05, 0xe0, 0, 0, 0, 110, .. peer.Init2[8..]]
            : [0, 0, 0, 110, 0x83, 0x10, 0, 98, .. peer.Init2[8..]];
        Seg segment = peer.Init2Segment() with { Data = other };
        Assert.That(peer.Ask(segment).Seg.IsRst, Is.True);
        Assert.That(peer.Socket.Receive(new byte[10], out int count), Is.Not.EqualTo(SocketError.Success));
        Assert.That(count, Is.Zero);
    }
}
