using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Every way to DISABLED ([TD-39..53]), and what is aborted instead.</summary>
public sealed class DisabledTests
{
    private static readonly byte[] s_unknownMandatory = [0xc5];

    [Test]
    [Spec("TD-39"), Spec("TD-46")]
    public void A_side_that_is_switched_off_offers_nothing_and_declines()
    {
        CryptBench bench = new(options => options.Policy = TcpcryptPolicy.Disabled);
        CryptPeer opened = bench.Connect(out Heard syn);
        Assert.That(syn.Crypt, Is.Null);
        CryptPeer peer = bench.NewPeer();
        Assert.That(peer.Open([]).Crypt, Is.EqualTo(Say.Decline));
        GoesOnPlain(bench, peer, TcpcryptOutcome.DisabledHere);
        CryptPeer other = bench.NewPeer();
        Assert.That(other.Open(null).Crypt, Is.Null, "who does not offer gets no answer");
        bench.Finish(opened.Socket, peer.Socket);
    }

    private static readonly object[][] s_listenerCases =
    [
        [null!, null!, TcpcryptOutcome.PeerDidNotOffer],
        [Say.Decline, null!, TcpcryptOutcome.PeerDeclined],
        [s_unknownMandatory, Say.DeclineUnknown(0xc5), TcpcryptOutcome.NoCommonAlgorithm],
        [new byte[] { Opcode.HelloAppMandatory }, Say.Decline, TcpcryptOutcome.AwarenessMismatch],
        [new byte[] { Opcode.PkConf, 4, 1, 2 }, null!, TcpcryptOutcome.PeerDidNotOffer],
        [new byte[] { 0x84, 1, 2, 3 }, null!, TcpcryptOutcome.PeerDidNotOffer],
    ];

    [TestCaseSource(nameof(s_listenerCases))]
    [Spec("TD-8"), Spec("TD-40"), Spec("TD-42"), Spec("TD-43"), Spec("TD-44"), Spec("TD-108")]
    public void A_listener_goes_plain(byte[]? syn, byte[]? answer, TcpcryptOutcome outcome)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        Heard synAck = peer.Open(syn);
        Assert.That(synAck.Crypt, Is.EqualTo(answer));
        GoesOnPlain(bench, peer, outcome);
        bench.Finish(peer.Socket);

        CryptBench strict = new(options => options.Policy = TcpcryptPolicy.Required);
        Heard refusal = strict.NewPeer().Open(syn);
        Assert.That(refusal.Seg.IsRst, Is.True, "under policy Required");
        strict.AssertNothingToAccept();
    }

    private static readonly object[][] s_openerCases =
    [
        [null!, null!, TcpcryptOutcome.PeerDidNotOffer],
        [Say.Decline, null!, TcpcryptOutcome.PeerDeclined],
        [s_unknownMandatory, Say.DeclineUnknown(0xc5), TcpcryptOutcome.NoCommonAlgorithm],
        [Say.PkConf([0x7f, 1, 2]), Say.DeclineUnknown(Opcode.PkConf), TcpcryptOutcome.NoCommonAlgorithm],
        [Say.PkConf(Say.Marker), Say.DeclineUnknown(Opcode.PkConf), TcpcryptOutcome.NoCommonAlgorithm],
        [Say.PkConfAs(Opcode.PkConfAppSupport, [0x7f, 1, 2]), Say.DeclineUnknown(Opcode.PkConf), TcpcryptOutcome.NoCommonAlgorithm],
        [new byte[] { Opcode.NextK2 }, null!, TcpcryptOutcome.HandshakeFailed],
        [new byte[] { Opcode.PkConf, 4, 1, 2 }, null!, TcpcryptOutcome.PeerDidNotOffer],
        [new byte[] { Opcode.HelloAppMandatory }, Say.Decline, TcpcryptOutcome.AwarenessMismatch],
        [(byte[])[Opcode.Decline, .. Say.PkConf(Say.P256)], null!, TcpcryptOutcome.PeerDeclined],
    ];

    [TestCaseSource(nameof(s_openerCases))]
    [Spec("TD-36"), Spec("TD-40"), Spec("TD-42"), Spec("TD-43"), Spec("TD-44"), Spec("TD-45"), Spec("TD-47"), Spec("TD-48")]
    public void An_opener_goes_plain(byte[]? synAck, byte[]? answer, TcpcryptOutcome outcome)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard ack = peer.SynAck(synAck).Single();
        Assert.That((ack.Seg.Flags, ack.Data.Length, ack.HasMac), Is.EqualTo((TcpFlags.Ack, 0, false)));
        Assert.That(ack.Crypt, Is.EqualTo(answer));
        peer.ExchangePlain();
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(outcome));
        Assert.That(peer.Socket.Tcpcrypt!.SessionId.Length, Is.Zero);
        bench.Finish(peer.Socket);

        CryptBench strict = new(options => options.Policy = TcpcryptPolicy.Required);
        CryptPeer refused = strict.Connect(out _);
        Heard reset = refused.SynAck(synAck).Single();
        Assert.That(reset.Seg.IsRst, Is.True, "under policy Required");
        Assert.That(refused.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionAborted));
        Assert.That(refused.Socket.Tcpcrypt!.Outcome, Is.EqualTo(outcome));
    }

    [TestCase(TcpcryptCMode.Never, false)]
    [TestCase(TcpcryptCMode.NeverNoResumption, false)]
    [TestCase(TcpcryptCMode.Always, true)]
    [TestCase(TcpcryptCMode.AlwaysNoResumption, true)]
    [Spec("TD-12"), Spec("TD-44")]
    public void An_opener_whose_CMODE_forbids_the_only_role_goes_plain(TcpcryptCMode mode, bool isHello)
    {
        CryptBench bench = new(options => options.CMode = mode);
        CryptPeer peer = bench.Connect(out _);
        Heard ack = peer.SynAck(isHello ? Say.Hello : Say.PkConf(Say.P256)).Single();
        Assert.That(ack.Crypt is null || ack.Crypt.SequenceEqual(Say.Decline), Is.True, "nothing, or DECLINE");
        peer.ExchangePlain();
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.RoleConflict));
        bench.Finish(peer.Socket);
    }

    [TestCase(TcpcryptCMode.Default)]
    [TestCase(TcpcryptCMode.Never)]
    [Spec("TD-12"), Spec("TD-20")]
    public void A_listener_is_S_by_default_and_with_Never(TcpcryptCMode mode)
    {
        CryptBench bench = new(options => options.CMode = mode);
        Assert.That(bench.NewPeer().Open([]).Crypt, Is.EqualTo(Say.OurPkConf));
    }

    [TestCase(TcpcryptCMode.Always, true)]
    [TestCase(TcpcryptCMode.AlwaysNoResumption, false)]
    [TestCase(TcpcryptCMode.Never, true)]
    [TestCase(TcpcryptCMode.NeverNoResumption, true)]
    [Spec("TD-13")]
    public void NoResumption_refuses_a_session_in_which_this_side_had_the_other_role(TcpcryptCMode mode, bool isHit)
    {
        // The first connection makes the stack S; then the mode changes for the next ones.
        CryptBench bench = new();
        CryptPeer first = bench.NewPeer().OpenAsC();
        first.Exchange();
        bench.Listen(81, crypt => crypt with { CMode = mode });
        CryptPeer second = bench.NewPeer(localPort: 81);
        Heard synAck = second.Open(Say.NextK1(first.Successor!.Identifier));
        bool wasHit = synAck.Crypt is [Opcode.NextK2, ..];
        Assert.That(wasHit, Is.EqualTo(isHit), $"{synAck}");
    }

    [Test]
    [Spec("TD-45"), Spec("TD-48")]
    public void S_without_a_common_cipher_declines_and_consumes_INIT1()
    {
        CryptBench bench = new(options => options.CipherPreference = [TcpcryptCipher.Aes128Cmac]);
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        Heard answer = peer.SendInit1().Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(answer.Crypt, Is.EqualTo(Say.DeclineUnknown(Opcode.Init1)));
            Assert.That(answer.Seg.AckNo, Is.EqualTo(1 + peer.Init1.Length));
            Assert.That(answer.Data, Is.Empty);
        }

        peer.Socket = bench.Accept();
        peer.ExchangePlain();
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.NoCommonAlgorithm));

        // INIT1 again, since the answer was lost: still nobody's data.
        Assert.That(peer.Send(peer.Init1Segment()).TrueForAll(static heard => heard.Seg.Len == 0), Is.True);
        Assert.That(peer.Read(), Is.Empty);
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-47"), Spec("TD-48")]
    public void C_whose_INIT1_is_declined_goes_on_plain([Values(0x07, 0x41, 0x42, 0)] int unknown)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        Seg decline = Seg.Ack(1 + (uint)init1.Data.Length);
        List<Heard> heard = peer.Send(CryptPeer.With(decline, unknown == 0 ? Say.Decline : Say.DeclineUnknown((byte)unknown)));
        Assert.That(heard.TrueForAll(static one => !one.Seg.IsRst && one.Crypt is null), Is.True, string.Join("; ", heard));
        peer.ExchangePlain();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-40"), Spec("TD-126")]
    public void S_goes_plain_at_a_segment_with_neither_CRYPT_nor_MAC([Values] bool withData, [Values] bool withFin)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Open([]);
        Seg seg = withData ? Seg.Text("plain", 1) : Seg.Ack();
        List<Heard> heard = peer.Send(withFin ? seg with { Seq = 1, Flags = seg.Flags | TcpFlags.Fin } : seg);
        Assert.That(heard.TrueForAll(static one => one.Crypt is null && !one.HasMac), Is.True);
        peer.Socket = bench.Accept();
        Assert.That(peer.Read(), Is.EqualTo(withData ? "plain"u8.ToArray() : []));
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDidNotOffer));
        Assert.That(peer.Socket.State, Is.EqualTo(withFin ? System.Net.NetworkInformation.TcpState.CloseWait : System.Net.NetworkInformation.TcpState.Established));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-40")]
    public void Garbage_with_a_MAC_option_is_dropped_in_setup_and_disables_nothing()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.Silence(Seg.Ack() with { Options = [70, 18, .. new byte[16], 1, 1] });
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [TestCase(false, false)]
    [TestCase(true, false)]
    [TestCase(false, true)]
    [Spec("TD-49"), Spec("TD-130")]
    public void INIT1_acknowledged_without_an_answer_ends_or_goes_plain_by_option(bool abort, bool required)
    {
        CryptBench bench = new(options =>
        {
            options.AbortOnLostHandshake = abort;
            options.Policy = required ? TcpcryptPolicy.Required : TcpcryptPolicy.Opportunistic;
        });
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        List<Heard> heard = peer.Send(Seg.Ack(1 + (uint)init1.Data.Length));
        if (abort || required)
        {
            Assert.That(heard.Single().Seg.IsRst, Is.True);
            Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeLost));
            Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionAborted));
        }
        else
        {
            Assert.That(heard.TrueForAll(static one => !one.Seg.IsRst), Is.True);
            peer.ExchangePlain();
            Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeLost));
            bench.Finish(peer.Socket);
        }
    }

    [Test]
    [Spec("TD-49")]
    public void INIT2_without_its_option_always_ends_the_connection()
    {
        CryptBench bench = new(options => options.AbortOnLostHandshake = false);
        CryptPeer peer = bench.Connect(out _);
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        Assert.That(peer.Ask(peer.Init2Segment() with { Options = [] }).Seg.IsRst, Is.True);
        Assert.That(peer.Read(), Is.Empty);
    }

    [Test]
    [Spec("TD-49")]
    public void S_is_not_handed_INIT1_without_its_option([Values] bool abort)
    {
        CryptBench bench = new(options => options.AbortOnLostHandshake = abort);
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        List<Heard> heard = peer.Send(peer.Init1Segment() with { Options = [] });
        if (abort)
        {
            Assert.That(heard.Single().Seg.IsRst, Is.True);
            bench.AssertNothingToAccept();
        }
        else
        {
            peer.Socket = bench.Accept();
            Assert.That(peer.Read(), Is.EqualTo(peer.Init1), "as the text has it");
        }
    }

    [Test]
    [Spec("TD-130")]
    public void A_destination_whose_handshake_broke_is_tried_plain_for_ten_minutes([Values] bool required)
    {
        CryptBench bench = new(options => options.Policy = required ? TcpcryptPolicy.Required : TcpcryptPolicy.Opportunistic);
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        peer.Send(Seg.Ack(1 + (uint)init1.Data.Length));
        CryptPeer again = bench.Connect(out Heard second, localPort: 5001, remotePort: peer.Remote.Port);
        Assert.That(second.Crypt, required ? Is.Empty : Is.Null);
        Assert.That(again.Socket.Tcpcrypt!.Outcome, Is.EqualTo(required ? TcpcryptOutcome.Pending : TcpcryptOutcome.RememberedPlain));
        bench.Connect(out Heard elsewhere, localPort: 5002);
        Assert.That(elsewhere.Crypt, Is.Empty, "another port is another destination");
        bench.Advance(590);
        bench.Connect(out Heard third, localPort: 5003, remotePort: peer.Remote.Port);
        Assert.That(third.Crypt, required ? Is.Empty : Is.Null);
        bench.Advance(11);
        bench.Connect(out Heard fourth, localPort: 5004, remotePort: peer.Remote.Port);
        Assert.That(fourth.Crypt, Is.Empty);
    }

    [Test]
    [Spec("TD-41"), Spec("TD-130")]
    public void A_reset_behind_INIT1_is_a_broken_handshake_too()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.SynAck(Say.PkConf(Say.P256, Say.Marker));
        peer.Silence(Seg.Rst());
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionReset));
        bench.Connect(out Heard second, localPort: 5001, remotePort: peer.Remote.Port);
        Assert.That(second.Crypt, Is.Null);
    }

    [TestCase("length")]
    [TestCase("magic")]
    [TestCase("point")]
    [TestCase("not offered")]
    [TestCase("fin")]
    [TestCase("too long")]
    [Spec("TD-50"), Spec("TD-122"), Spec("REF-3.6")]
    [Spec("HI_ENC_04"), Spec("HI_ENC_05")]
    public void A_malformed_INIT1_is_answered_by_a_reset(string what)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            CryptBench bench = new(options => options.KeyExchanges = what == "not offered" ? [TcpcryptKeyExchange.EcdheP521] : [TcpcryptKeyExchange.EcdheP256]);
            CryptPeer peer = bench.NewPeer();
            peer.Dialect = dialect;
            peer.TakePkConf(peer.Open([]).Crypt);
            peer.MakeInit1();
            byte[] message = peer.Init1;
            Seg seg = peer.Init1Segment();
            int length = dialect == TcpcryptDialect.Draft ? 3 : 7;
            switch (what)
            {
                case "length":
                    message[length]--;
                    break;
                case "magic":
                    message[dialect == TcpcryptDialect.Draft ? 4 : 0] ^= 1;
                    break;
                case "point":
                    message[^1] ^= 1;
                    break;
                case "fin":
                    seg = seg with { Flags = seg.Flags | TcpFlags.Fin };
                    break;
                case "too long":
                    message[length - 1] = 0xff;
                    break;
                default:
                    break;
            }

            Heard answer = peer.Ask(seg with { Data = message });
            Assert.That(answer.Seg.IsRst, Is.True, $"{dialect}: {answer}");
            bench.AssertNothingToAccept();
            Assert.That(bench.Stack.Core.Tcp.Endpoints, Is.Empty);
        }
    }

    [TestCase("length")]
    [TestCase("magic")]
    [TestCase("point")]
    [TestCase("cipher")]
    [TestCase("fin")]
    [TestCase("mandatory")]
    [Spec("TD-50"), Spec("REF-3.6")]
    [Spec("HI_ENC_05")]
    public void A_malformed_INIT2_is_answered_by_a_reset(string what)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            CryptBench bench = new();
            CryptPeer peer = bench.Connect(out _);
            peer.Respond(peer.SynAck(dialect == TcpcryptDialect.Draft ? Say.PkConf(Say.P256, Say.Marker) : Say.PkConf(Say.P256)).Single());
            byte[] message = peer.Init2;
            Seg seg = peer.Init2Segment();
            switch (what)
            {
                case "length":
                    message[dialect == TcpcryptDialect.Draft ? 3 : 7]--;
                    break;
                case "magic":
                    message[dialect == TcpcryptDialect.Draft ? 4 : 0] ^= 1;
                    break;
                case "point":
                    message[^1] ^= 1;
                    break;
                case "cipher":
                    message[10] ^= 0x40;
                    break;
                case "fin":
                    seg = seg with { Flags = seg.Flags | TcpFlags.Fin };
                    break;
                default:
                    seg = seg with { Options = Say.Option([Opcode.Init2, 0xff]) };
                    break;
            }

            Heard answer = peer.Ask(seg with { Data = message });
            Assert.That(answer.Seg.IsRst, Is.True, $"{dialect}: {answer}");
            Assert.That(answer.HasMac, Is.False);
            Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeFailed));
        }
    }

    [Test]
    [Spec("TD-51")]
    public void C_that_closes_before_INIT2_sends_its_FIN_under_MAC_afterwards()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        Assert.That(peer.Socket.Send("too early"u8, out _), Is.EqualTo(SocketError.WouldBlock));
        Assert.That(peer.Socket.Close(), Is.EqualTo(SocketError.Success));
        Assert.That(peer.Take(), Is.Empty, "no FIN from C-MODE");
        peer.Respond(init1);
        List<Heard> heard = peer.SendInit2();
        Assert.That(heard, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        Assert.That(heard.Exists(static one => one.Seg.IsFin), Is.True);
    }

    [Test]
    [Spec("TD-51")]
    public void C_that_closes_before_it_is_declined_sends_its_FIN_in_plain()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard init1 = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        peer.Socket.Close();
        Assert.That(peer.Take(), Is.Empty);
        List<Heard> heard = peer.Send(CryptPeer.With(Seg.Ack(1 + (uint)init1.Data.Length), Say.Decline));
        Assert.That(heard.Exists(static one => one.Seg.IsFin && !one.HasMac), Is.True);
    }

    [Test]
    [Spec("TD-52")]
    public void After_two_unanswered_SYNs_with_CRYPT_the_next_go_without([Values] bool required, [Values] bool resumes)
    {
        CryptBench bench = new(options => options.Policy = required ? TcpcryptPolicy.Required : TcpcryptPolicy.Opportunistic);
        if (resumes)
        {
            bench.Connect(out _, localPort: 4999).AnswerAsS().Exchange();
        }

        CryptPeer peer = bench.Connect(out Heard first);
        bench.Advance(20);
        List<Heard> again = peer.Take();
        Assert.That(again, Has.Count.GreaterThanOrEqualTo(3));
        Assert.That(again[0].Crypt, Is.EqualTo(first.Crypt), "a retransmission is the same use");
        Assert.That(again.Skip(1).All(syn => required ? syn.Crypt is not null : syn.Crypt is null), Is.True);
        if (required)
        {
            return;
        }

        // Whatever comes back.
        Heard ack = peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single();
        Assert.That((ack.Crypt, ack.Data.Length), Is.EqualTo(((byte[]?)null, 0)));
        peer.ExchangePlain();
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.SynUnanswered));
    }

    [Test]
    [Spec("TD-53")]
    public void S_as_opener_repeats_PKCONF_by_its_timer_and_for_a_repeated_HELLO()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        Heard pkConf = peer.SynAck(Say.Hello).Single();

        // Doubled by the path: PKCONF that comes twice makes the daemon go plain.
        bench.Advance(0.1);
        Assert.That(peer.SynAck(Say.Hello), Is.Empty);
        bench.Advance(0.9);
        Assert.That(peer.SynAck(Say.Hello).Single().Crypt, Is.EqualTo(pkConf.Crypt));
        bench.Advance(4);
        List<Heard> again = peer.Take();
        Assert.That(again, Is.Not.Empty);
        Assert.That(again.TrueForAll(heard => heard.Crypt!.SequenceEqual(pkConf.Crypt!) && heard.Seg.Len == 0), Is.True);
    }

    [TestCase(TcpcryptAwareness.No, Opcode.Hello, true)]
    [TestCase(TcpcryptAwareness.No, Opcode.HelloAppSupport, true)]
    [TestCase(TcpcryptAwareness.No, Opcode.HelloAppMandatory, false)]
    [TestCase(TcpcryptAwareness.Yes, Opcode.Hello, true)]
    [TestCase(TcpcryptAwareness.Yes, Opcode.HelloAppSupport, true)]
    [TestCase(TcpcryptAwareness.Yes, Opcode.HelloAppMandatory, true)]
    [TestCase(TcpcryptAwareness.Required, Opcode.Hello, false)]
    [TestCase(TcpcryptAwareness.Required, Opcode.HelloAppSupport, true)]
    [TestCase(TcpcryptAwareness.Required, Opcode.HelloAppMandatory, true)]
    [Spec("TD-108"), Spec("TD-44")]
    public void Application_bits_of_a_listener(TcpcryptAwareness awareness, byte hello, bool isEncrypted)
    {
        CryptBench bench = new(options => options.ApplicationAware = awareness);
        CryptPeer peer = bench.NewPeer();
        Heard synAck = peer.Open([hello]);
        Assert.That(synAck.Crypt![0], Is.EqualTo(!isEncrypted ? Opcode.Decline : awareness == TcpcryptAwareness.No ? Opcode.PkConf : Opcode.PkConfAppSupport));
        if (isEncrypted)
        {
            peer.TakePkConf(synAck.Crypt);
            peer.Complete(peer.SendInit1().Single());
            peer.SendProtected(Seg.Ack());
            peer.Socket = bench.Accept();
            TcpcryptStatus status = peer.Socket.Tcpcrypt!;
            Assert.That((status.LocalApplicationAware, status.RemoteApplicationAware), Is.EqualTo((awareness != TcpcryptAwareness.No, hello != Opcode.Hello)));
            peer.Exchange();
        }
        else
        {
            GoesOnPlain(bench, peer, TcpcryptOutcome.AwarenessMismatch);
        }
    }

    [TestCase(TcpcryptAwareness.No, Opcode.PkConf, true)]
    [TestCase(TcpcryptAwareness.Yes, Opcode.PkConf, true)]
    [TestCase(TcpcryptAwareness.Yes, Opcode.PkConfAppSupport, true)]
    [TestCase(TcpcryptAwareness.Required, Opcode.PkConf, false)]
    [TestCase(TcpcryptAwareness.Required, Opcode.PkConfAppSupport, true)]
    [Spec("TD-108"), Spec("TD-59")]
    public void Application_bits_of_an_opener(TcpcryptAwareness awareness, byte pkConf, bool isEncrypted)
    {
        CryptBench bench = new(options => options.ApplicationAware = awareness);
        CryptPeer peer = bench.Connect(out Heard syn);
        byte[] hello = awareness switch { TcpcryptAwareness.No => [], TcpcryptAwareness.Yes => [Opcode.HelloAppSupport], _ => [Opcode.HelloAppMandatory] };
        Assert.That(syn.Crypt, Is.EqualTo(hello));
        if (isEncrypted)
        {
            peer.TakePkConf(Say.PkConfAs(pkConf, Say.P256, Say.Marker));
            peer.Respond(peer.SynAck(Say.PkConfAs(pkConf, Say.P256, Say.Marker)).Single());
            peer.SendInit2();
            peer.Exchange();

            // The next one says it beside NEXTK1 ([TD-59]).
            bench.Connect(out Heard next, localPort: 5001);
            Assert.That(next.Crypt, Is.EqualTo((byte[])[.. hello, .. Say.NextK1(peer.Successor!.Identifier)]));
        }
        else
        {
            peer.SynAck(Say.PkConfAs(pkConf, Say.P256, Say.Marker));
            peer.ExchangePlain();
            Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.AwarenessMismatch));
        }
    }

    [Test]
    [Spec("TD-109")]
    public void An_opener_that_requires_awareness_aborts_at_a_plain_NEXTK2()
    {
        CryptBench bench = new(options => options.ApplicationAware = TcpcryptAwareness.Required);
        CryptPeer first = bench.Connect(out _).AnswerAsS(Say.PkConfAs(Opcode.PkConfAppSupport, Say.P256, Say.Marker));
        first.Exchange();
        CryptPeer second = bench.Connect(out _, localPort: 5001);
        second.Use(first.Successor!);
        Assert.That(second.SynAck([Opcode.NextK2]).Single().Seg.IsRst, Is.True);
        Assert.That(second.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionAborted));
    }

    [Test]
    [Spec("TD-46")]
    public void What_is_said_on_the_way_to_DISABLED_is_said_once()
    {
        CryptBench bench = new(options => options.Policy = TcpcryptPolicy.Disabled);
        CryptPeer peer = bench.NewPeer();
        peer.Open([]);

        // DECLINE was in the SYN,ACK: from here on it is plain TCP, octet for octet.
        List<Heard> all = [.. peer.Send(Seg.Ack()), .. peer.Send(Seg.Text("data", 1))];
        Assert.That(all.FindAll(static heard => heard.Crypt is not null), Is.Empty);
        peer.Socket = bench.Accept();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-43"), Spec("TD-46")]
    public void A_listener_that_is_C_and_does_not_know_a_mandatory_opcode_says_which()
    {
        CryptBench bench = new(options => options.CMode = TcpcryptCMode.Always);
        CryptPeer peer = bench.NewPeer();
        peer.Open([]);
        Heard answer = peer.Ask(CryptPeer.With(Seg.Ack(), 0xc5));
        Assert.That(answer.Crypt, Is.EqualTo(Say.DeclineUnknown(0xc5)));
        peer.Socket = bench.Accept();
        peer.ExchangePlain();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-4"), Spec("TD-43"), Spec("TD-46")]
    public void S_that_does_not_know_a_mandatory_opcode_says_which([Values] bool withInit1)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        Seg seg = withInit1 ? peer.Init1Segment() with { Options = Say.Option([Opcode.Init1, 0xc5]) } : CryptPeer.With(Seg.Ack(), 0xc5);
        Heard answer = peer.Ask(seg);
        Assert.That(answer.Crypt, Is.EqualTo(Say.DeclineUnknown(0xc5)));
        peer.Socket = bench.Accept();
        Assert.That(peer.Read(), Is.Empty, "INIT1 is no data");
        if (withInit1)
        {
            Assert.That(answer.Seg.AckNo, Is.EqualTo(1 + peer.Init1.Length));
            peer.Nxt = 1 + (uint)peer.Init1.Length;
        }

        peer.ExchangePlain();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-49")]
    public void S_that_went_plain_before_INIT1_came_is_not_handed_it_either([Values] bool withOption)
    {
        // Somebody on the path, or a delayed segment, was quicker with a bare ACK.
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.MakeInit1();
        peer.Silence(Seg.Ack());
        peer.Socket = bench.Accept();
        Heard answer = peer.Ask(withOption ? peer.Init1Segment() : peer.Init1Segment() with { Options = [] });
        Assert.That(answer.Seg.IsRst, Is.True, $"{answer}");
        Assert.That(peer.Read(), Is.Empty);
    }

    [Test]
    [Spec("TD-40"), Spec("TD-63")]
    public void S_that_works_on_INIT1_is_not_sent_to_plain_TCP_by_a_bare_ACK()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        bench.Stack.Workers.IsHeld = true;
        Assert.That(peer.SendInit1(), Is.Empty);
        peer.Silence(Seg.Ack(1) with { Seq = 1 });
        peer.Silence(Seg.Text("forged", 1));
        bench.Stack.Workers.IsHeld = false;
        Heard init2 = peer.Ask(peer.Init1Segment());
        peer.Complete(init2);
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-40"), Spec("TD-49")]
    public void C_that_works_on_INIT2_is_not_aborted_by_a_bare_ACK()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        bench.Stack.Workers.IsHeld = true;
        Assert.That(peer.SendInit2(), Is.Empty);
        peer.Silence(Seg.Ack(1 + (uint)peer.Init1.Length) with { Seq = 1 });
        peer.Silence(Seg.Text("forged", 1) with { AckNo = 1 + (uint)peer.Init1.Length });
        bench.Stack.Workers.IsHeld = false;
        Assert.That(peer.Send(peer.Init2Segment()).Exists(static heard => heard.IsAuthentic), Is.True);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [TestCase(0, false, TestName = "RST behind INIT1 while S works on it ends the connection")]
    [TestCase(1, true, TestName = "RST one octet further while S works on INIT1 does not")]
    public void Reset_behind_INIT1_counts_while_S_works_on_it(int beyond, bool survives)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        bench.Stack.Workers.IsHeld = true;
        Assert.That(peer.SendInit1(), Is.Empty);
        peer.Send(Seg.Rst((uint)(1 + peer.Init1.Length + beyond)));
        bench.Stack.Workers.IsHeld = false;
        Assert.That(peer.Send(peer.Init1Segment()).Exists(static heard => heard.Seg.Data.Length > 0), Is.EqualTo(survives), "INIT2");
    }

    [Test]
    [Spec("TD-40"), Spec("TD-81")]
    public void Reset_of_S_that_overtakes_INIT2_waits_for_the_keys()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        SteppedSocket socket = peer.Socket;
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        bench.Stack.Workers.IsHeld = true;
        Assert.That(peer.SendInit2(), Is.Empty);
        peer.SendProtected(Seg.Text("data and "));
        peer.SendProtected(Seg.Text("more", peer.Nxt + 9));
        peer.SendProtected(new Seg { Seq = peer.Nxt + 13, AckNo = peer.RcvNxt, Flags = TcpFlags.Rst | TcpFlags.Ack });
        Assert.That(socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Pending));
        bench.Stack.Workers.IsHeld = false;
        peer.Send(peer.Init2Segment());
        Assert.That(socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
        Assert.That(socket.State, Is.EqualTo(System.Net.NetworkInformation.TcpState.Closed), "reset, and under MAC");
    }

    [Test]
    [Spec("TD-107")]
    public void A_listener_that_hears_nothing_valid_behind_NEXTK2_gives_up_with_a_reset()
    {
        CryptBench bench = new();
        CryptPeer first = bench.NewPeer().OpenAsC();
        first.Exchange();
        first.Socket.Close();
        CryptPeer second = bench.NewPeer(isn: 5);
        second.Open(Say.NextK1(first.Successor!.Identifier));
        second.Silence(Seg.Text("plain, since CRYPT was lost on the way", 1));
        bench.Advance(300);
        List<Heard> heard = second.Take();
        Assert.That(heard[^1].Seg.IsRst, Is.True, string.Join("; ", heard));
        bench.AssertNothingToAccept();
    }

    [Test]
    [Spec("TD-107")]
    public void A_resumption_whose_answer_lost_its_option_is_not_tried_again()
    {
        CryptBench bench = new();
        CryptPeer first = bench.Connect(out _).AnswerAsS();
        first.Exchange();
        CryptPeer second = bench.Connect(out Heard resuming, localPort: 5001);
        Assert.That(resuming.Crypt![0], Is.EqualTo(Opcode.NextK1));
        second.SynAck(null);
        second.Send(Seg.Rst());
        bench.Connect(out Heard third, localPort: 5002);
        Assert.That(third.Crypt, Is.Empty, "public keys, no session");
    }

    [Test]
    [Spec("TD-52")]
    public void A_listener_answers_a_repeated_SYN_without_CRYPT_in_plain()
    {
        // Something on the way back drops SYN,ACKs with CRYPT; the third SYN goes without.
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        Assert.That(peer.Open([]).Crypt, Is.Not.Null);
        Assert.That(peer.Open(null).Crypt, Is.Null);
        GoesOnPlain(bench, peer, TcpcryptOutcome.PeerDidNotOffer);
    }

    [Test]
    [Spec("TD-64"), Spec("TD-122")]
    [Spec("HI_ENC_04")]
    public void INIT_messages_far_outside_the_window_throw_nothing_and_do_nothing([Values(0x8000_0001u, 0x8000_0000u, 0x7FFF_FFFFu, 0xFFFF_0000u, 5000u)] uint seq)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        peer.Silence(peer.Init2Segment() with { Seq = seq });
        Assert.That(peer.SendInit2().Single().IsAuthentic, Is.True);
        peer.Exchange();

        CryptPeer other = bench.NewPeer();
        other.TakePkConf(other.Open([]).Crypt);
        other.MakeInit1();
        other.Silence(other.Init1Segment() with { Data = other.Init1[..20] });
        other.Silence(other.Init1Segment() with { Seq = seq });
        other.Complete(other.SendInit1().Single(heard => heard.IsInit));
        bench.Finish(peer.Socket);
    }

    private static void GoesOnPlain(CryptBench bench, CryptPeer peer, TcpcryptOutcome outcome)
    {
        Assert.That(peer.Send(Seg.Ack()).TrueForAll(static heard => heard.Crypt is null && heard.Seg.Len == 0), Is.True, "after the last ACK");
        peer.Socket = bench.Accept();
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(outcome));
        Assert.That(bench.Drops(DropReason.CryptRefused), Is.Zero);
        peer.ExchangePlain();
    }
}
