using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Tests.TwoStacks;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Two stacks that both have tcpcrypt.</summary>
public sealed class HandshakeTests
{
    [TestCase(TcpcryptKeyExchange.EcdheP256)]
    [TestCase(TcpcryptKeyExchange.EcdheP521)]
    [Spec("TD-11"), Spec("TD-14"), Spec("TD-17"), Spec("TD-19"), Spec("TD-20"), Spec("TD-23"), Spec("TD-32"), Spec("TD-33"), Spec("TD-34"), Spec("TD-116")]
    public void Both_sides_encrypt_and_agree_on_the_session_id(TcpcryptKeyExchange keyExchange)
    {
        Pair pair = new(client: On(), server: On(options => options.KeyExchanges = [keyExchange]));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();

        TcpcryptStatus c = client.Tcpcrypt!;
        TcpcryptStatus s = server.Tcpcrypt!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(c.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(s.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(c.SessionId.ToArray(), Is.EqualTo(s.SessionId.ToArray()));
            Assert.That(c.SessionId.Length, Is.EqualTo(32));
            Assert.That((c.Role, s.Role), Is.EqualTo((TcpcryptRole.C, TcpcryptRole.S)));
            Assert.That(c.KeyExchange, Is.EqualTo(keyExchange));
            Assert.That(c.Dialect, Is.EqualTo(TcpcryptDialect.Draft));
        }

        pair.Transfer(client, server, 300_000);
        pair.Finish(client, server);
    }

    [TestCase(false)]
    [TestCase(true)]
    [Spec("TD-18"), Spec("TD-22"), Spec("TD-27"), Spec("TD-102"), Spec("TD-106")]
    public void Next_connection_resumes_whoever_opens_it(bool reversed)
    {
        Pair pair = new(client: On(), server: On());
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 10_000);
        (SteppedSocket opener, SteppedSocket listener) = reversed ? pair.ConnectBack() : pair.Connect();

        TcpcryptStatus first = opener.Tcpcrypt!;
        TcpcryptStatus second = listener.Tcpcrypt!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(first.IsResumed && second.IsResumed, Is.True);
            Assert.That(first.SessionId.ToArray(), Is.EqualTo(second.SessionId.ToArray()).And.Not.EqualTo(client.Tcpcrypt!.SessionId.ToArray()));
            Assert.That(first.Role, Is.EqualTo(reversed ? TcpcryptRole.S : TcpcryptRole.C));
        }

        pair.Transfer(opener, listener, 300_000);
        pair.Finish(client, server, opener, listener);
    }

    [TestCase(0.0)]
    [TestCase(0.05)]
    [TestCase(0.1)]
    [Spec("TD-91"), Spec("TD-93"), Spec("TD-95"), Spec("TD-96")]
    [Spec("HI_ENC_08")]
    public void Keys_are_replaced_from_both_sides_while_data_flows(double loss)
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Loss = loss }, client: On(), server: On());
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        for (int round = 1; round <= 5; round++)
        {
            Assert.That(client.Rekey(), Is.True);
            Assert.That(round == 2 ? server.Rekey() : true, Is.True);
            pair.Link.RunUntil(pair.Link.NowNs + 70_000_000_000L);
            Exchange(pair, client, server, 20_000);
        }

        Assert.That(client.Tcpcrypt!.RekeyCount, Is.GreaterThanOrEqualTo(5));
        Assert.That(server.Tcpcrypt!.RekeyCount, Is.EqualTo(client.Tcpcrypt!.RekeyCount));
        pair.Transfer(client, server, 100_000);
        pair.Finish(client, server);
    }

    [Test]
    [Spec("TD-93"), Spec("TD-111")]
    public void Retransmissions_are_full_segments()
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Loss = 0.05 }, client: On(), server: On());
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 1_000_000);

        TcpInfo info = client.GetInfo();
        Assert.That(info.Retransmissions, Is.GreaterThan(10));
        Assert.That(info.BytesRetransmitted, Is.GreaterThan(info.Retransmissions * 1000));
    }

    [Test]
    [Spec("TD-57"), Spec("TD-58")]
    [Spec("HI_ENC_11")]
    public void Under_flood_a_cookie_takes_the_place_of_a_half_open_entry()
    {
        Pair pair = new(client: On(), server: options =>
        {
            On()(options);
            options.Tcp.SynCacheSize = 1;
        });
        pair.Server.Inject(SynOfAStranger());
        (SteppedSocket client, SteppedSocket server) = pair.Connect();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(pair.Server.Core.Counters.CryptCookiesAccepted, Is.EqualTo(1));
            Assert.That(pair.Server.Core.Tcp.SynCache.Count, Is.EqualTo(1), "the other one is still there");
            Assert.That(client.Tcpcrypt!.SessionId.ToArray(), Is.EqualTo(server.Tcpcrypt!.SessionId.ToArray()).And.Not.Empty);
            Assert.That(client.Tcpcrypt!.Dialect, Is.EqualTo(TcpcryptDialect.Draft));
        }

        pair.Transfer(client, server, 100_000);
    }

    [Test]
    [Spec("REF-12"), Spec("TD-112")]
    public void A_segment_without_timestamps_leaves_the_echo_alone()
    {
        // The daemon's first segment under MAC has none, although they were agreed on.
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        peer.Dialect = TcpcryptDialect.Reference;
        peer.TsVal = 0xF000_0000;
        peer.OpenAsC();

        Heard ack = peer.AskProtected(Seg.Bytes([1]) with { NoTs = true });
        SynOptions options = SynOptions.Parse(ack.Seg.Options);
        Assert.That(options.TsEcr, Is.EqualTo(0xF000_0000));
    }

    [Test]
    [Spec("TD-6")]
    public void A_suboption_in_the_wrong_stage_is_ignored()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer();
        byte[]? answer = peer.Open([Opcode.Hello, Opcode.SyncRequest, 0, 0, 0, 1, Opcode.Rekey, 1]).Crypt;
        Assert.That(answer?[0], Is.EqualTo(Opcode.PkConf));
        Assert.That(answer, Does.Not.Contain(Opcode.SyncOk));
        peer.TakePkConf(answer);
        peer.Complete(peer.SendInit1().Single());
        peer.SendProtected(Seg.Ack());
        peer.Socket = bench.Accept();
        peer.Exchange();
    }

    private static byte[] SynOfAStranger()
    {
        PacketSlot slot = new(100);
        FourTuple tuple = new(new Endpoint4(Ipv4Address.Parse("10.0.0.77"), 4000), new Endpoint4(Ipv4Address.Parse("10.0.0.2"), 80));
        SegmentWriter.Write(slot, new SegmentFields { Tuple = tuple, Seq = new Seq<Local>(1), Flags = TcpFlags.Syn, Window = 1000, TimeToLive = 64 }, 0);
        SoftwareOffload.CompleteChecksum(slot);
        return slot.Packet.ToArray();
    }

    private static void Exchange(Pair pair, SteppedSocket from, SteppedSocket to, int octets)
    {
        byte[] sent = new byte[octets];
        new Random(octets).NextBytes(sent);
        byte[] received = new byte[octets];
        Assert.That(from.Send(sent, out int taken), Is.EqualTo(SocketError.Success));
        Assert.That(taken, Is.EqualTo(octets));
        int count = 0;
        bool isDone = pair.Link.Run(
            () =>
            {
                while (count < octets && to.Receive(received.AsSpan(count), out int got) == SocketError.Success)
                {
                    count += got;
                }

                return count == octets;
            },
            maxSteps: 1_000_000);
        Assert.That(isDone, Is.True, $"{count} octets");
        Assert.That(received, Is.EqualTo(sent));
    }

    internal static Action<SteppedStackOptions> On(Action<TcpcryptOptions>? configure = null) => options =>
    {
        options.Tcpcrypt = true;
        configure?.Invoke(options.TcpcryptOptions);
    };
}
