using System.Buffers.Binary;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Cases of the hostile-input catalogue's chapter on encryption that no other test has; the others carry its ids as <c>Spec</c>.</summary>
public sealed class CatalogueTests
{
    [Test]
    [Spec("TD-64")]
    public void HI_ENC_04_INIT1_may_be_cut_anywhere_and_come_octet_by_octet([Values] bool reference)
    {
        CryptBench bench = new();
        int length = 2;
        for (int cut = 1; cut <= length; cut++)
        {
            CryptPeer peer = bench.NewPeer();
            peer.Dialect = reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft;
            peer.TakePkConf(peer.Open([]).Crypt);
            length = peer.MakeInit1().Length;
            Heard init2 = SendInParts(peer, peer.Init1Segment(), peer.Init1, cut);
            peer.Nxt = 1 + (uint)length;
            peer.Complete(init2);
            Assert.That(peer.SendProtected(Seg.Ack()), Is.Empty);
            peer.Socket = bench.Accept();
            peer.Exchange();
            peer.Socket.SetOption(SteppedSocketOption.Linger, 0);
            peer.Socket.Close();
            peer.Take();
        }

        bench.Finish();
    }

    [Test]
    [Spec("TD-64")]
    public void HI_ENC_04_INIT2_may_be_cut_anywhere_and_come_octet_by_octet()
    {
        CryptBench bench = new(static options => options.AllowResumption = false);
        int length = 2;
        for (int cut = 1; cut <= length; cut++)
        {
            CryptPeer peer = bench.Connect(out _, localPort: (ushort)(5000 + cut));
            peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
            length = peer.Init2.Length;
            Heard ack = SendInParts(peer, peer.Init2Segment(), peer.Init2, cut);
            Assert.That(ack.IsAuthentic, Is.True);
            peer.Nxt = 1 + (uint)length;
            peer.Exchange();
            peer.Socket.SetOption(SteppedSocketOption.Linger, 0);
            peer.Socket.Close();
            peer.Take();
        }

        bench.Finish();
    }

    /// <summary>In two parts, or where the cut is at the end in as many as there are octets; the answer to the last. No part before it is answered.</summary>
    private static Heard SendInParts(CryptPeer peer, Seg whole, byte[] message, int cut)
    {
        int last = cut < message.Length ? cut : message.Length - 1;
        int step = cut < message.Length ? cut : 1;
        for (int at = 0; at < last; at += step)
        {
            peer.Silence(whole with { Seq = 1 + (uint)at, Data = message[at..(at + step)] });
        }

        return peer.Ask(whole with { Seq = 1 + (uint)last, Data = message[last..] });
    }

    [Test]
    [Spec("TD-35"), Spec("TD-83")]
    public void HI_ENC_07_a_segment_replayed_at_another_number_is_not_genuine()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer().OpenAsC();
        byte[] packet = peer.Protect(Seg.Bytes([.. "first"u8]));
        bench.Stack.Inject(packet);
        peer.Nxt += 5;
        peer.Take();
        Assert.That(peer.Read(), Is.EqualTo("first"u8.ToArray()));
        long before = bench.Drops(Core.DropReason.CryptBadMac);
        uint seq = BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(24));
        for (uint ahead = 1; ahead <= 1000; ahead++)
        {
            byte[] replay = [.. packet];
            BinaryPrimitives.WriteUInt32BigEndian(replay.AsSpan(24), seq + ahead);
            Seg.FixChecksums(replay);
            bench.Stack.Inject(replay);
        }

        Assert.That(bench.Drops(Core.DropReason.CryptBadMac) - before, Is.EqualTo(1000));
        Assert.That(peer.Take(), Is.Empty);
        Assert.That(peer.Read(), Is.Empty);
        peer.Exchange();
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-103")]
    public void HI_ENC_10_guessed_sessions_are_misses_and_use_nothing_up()
    {
        CryptBench bench = new();
        CryptPeer first = bench.NewPeer().OpenAsC();
        first.Exchange();
        byte[] guess = first.Successor!.Identifier.ToArray();
        Random random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            if (i % 2 == 0)
            {
                random.NextBytes(guess);
            }
            else
            {
                // Nearly right.
                first.Successor.Identifier.CopyTo(guess);
                guess[random.Next(guess.Length)] ^= (byte)(1 << random.Next(8));
            }

            CryptPeer guesser = bench.NewPeer();
            Assert.That(guesser.Open(Say.NextK1(guess)).Crypt, Is.EqualTo(Say.OurPkConf), "a fresh exchange");
            guesser.Silence(Seg.Rst(1));
        }

        Assert.That(bench.Stack.Core.Tcp.Endpoints, Has.Count.EqualTo(1));
        CryptPeer second = bench.NewPeer(isn: 77_000);
        Assert.That(second.Open(Say.NextK1(first.Successor.Identifier)).Crypt, Is.EqualTo(new[] { Opcode.NextK2 }), "the genuine one is still good");
        second.Use(first.Successor);
        Assert.That(second.SendProtected(Seg.Ack()), Is.Empty);
        second.Socket = bench.Accept();
        second.Exchange();
        bench.Finish(first.Socket, second.Socket);
    }

    [Test]
    [Spec("TD-58")]
    public void HI_ENC_11_syns_with_CRYPT_cause_no_public_key_work()
    {
        CryptBench bench = new(configure: static options => options.Tcp.SynCacheSize = 100);
        bench.Stack.Workers.IsHeld = true;
        bench.Stack.Workers.Limit = 1;
        for (int i = 0; i < 5000; i++)
        {
            CryptPeer stranger = bench.NewPeer();
            stranger.Open([]);
            if (i < 10)
            {
                // TCP's handshake goes on, tcpcrypt's does not.
                stranger.Send(CryptPeer.With(Seg.Ack()));
            }
        }

        Assert.That(bench.Stack.Workers.IsFull, Is.False, "not one piece of work");
        Assert.That(bench.Stack.Core.Counters.CryptCookiesSent, Is.GreaterThan(4000));

        // INIT1 is what it takes.
        bench.Advance(300);
        CryptPeer peer = bench.NewPeer();
        peer.TakePkConf(peer.Open([]).Crypt);
        peer.SendInit1();
        Assert.That(bench.Stack.Workers.IsFull, Is.True);
        bench.Stack.Workers.IsHeld = false;
        bench.Advance(0.001);
        bench.Finish();
    }

    private static readonly byte[][] s_eno =
    [
        [0x23],
        [0x01, 0x23],
        [0x00, 0x21, 0x22, 0x23, 0x24],
        [0x01, 0x83, 0xA1, 1, 2, 3, 0x23],
        [0xA3, .. "a whole key of TCP-ENO"u8],
        [0x1F, 0x3F, 0x7F],
    ];

    [TestCaseSource(nameof(s_eno))]
    [Spec("TD-4"), Spec("TD-8")]
    public void HI_ENC_13_a_peer_that_speaks_TCP_ENO_gets_plain_TCP(byte[] content)
    {
        CryptBench bench = new();
        CryptPeer opener = bench.NewPeer();
        opener.Open(content);
        opener.Send(Seg.Ack());
        opener.Socket = bench.Accept();
        opener.ExchangePlain();
        Assert.That(opener.Socket.Tcpcrypt!.IsEncrypted, Is.False);

        // Kind 69 where it has no place.
        opener.Send(CryptPeer.With(Seg.Text("x"), content));
        opener.Nxt++;
        Assert.That(opener.Read(), Is.EqualTo("x"u8.ToArray()));

        CryptPeer listener = bench.Connect(out _);
        listener.SynAck(content);
        listener.ExchangePlain();
        Assert.That(listener.Socket.Tcpcrypt!.IsEncrypted, Is.False);
        bench.Finish(opener.Socket, listener.Socket);
    }

    /// <summary>With the keys of one generation a position has one ciphertext; a retransmission stays with the generation that its octets were first sent under: so each position has one for ever.</summary>
    [Test]
    [Spec("TD-74"), Spec("TD-98")]
    public void HI_ENC_14_no_position_is_ever_encrypted_to_two_different_octets([Range(1, 4)] int seed)
    {
        Random random = new(seed);
        SecretTalk talk = new(seed, Attacks.None);
        List<Dictionary<(bool ToA, uint Position), byte>> connections = [];
        uint[] isn = new uint[2];
        int repeated = 0;
        int conflicts = 0;
        talk.Path.Hook = (toA, packet) =>
        {
            Assert.That(TcpHeader.TryParse(packet.AsSpan(20), out TcpHeader tcp), Is.True);
            if ((tcp.Flags & TcpFlags.Syn) != 0)
            {
                if (!toA && isn[0] != tcp.Seq.Value)
                {
                    connections.Add([]);
                }

                isn[toA ? 1 : 0] = tcp.Seq.Value;
                return packet;
            }

            if (HasMac(tcp.Options))
            {
                for (int i = 0; i < tcp.Payload.Length; i++)
                {
                    (bool, uint) at = (toA, unchecked(tcp.Seq.Value + (uint)i - isn[toA ? 1 : 0]));
                    repeated += connections[^1].TryAdd(at, tcp.Payload[i]) ? 0 : 1;
                    conflicts += connections[^1][at] == tcp.Payload[i] ? 0 : 1;
                }
            }

            return talk.IsEncrypted && random.Next(12) == 0 ? null : packet;
        };
        for (int round = 0; round < 3; round++)
        {
            Assert.That(talk.Connect(), Is.True);
            int calls = 0;
            Assert.That(
                talk.Transfer(200_000, meanwhile: () =>
                {
                    if (++calls % 40 == 0)
                    {
                        (calls % 80 == 0 ? talk.Client : talk.Server!).Rekey();
                    }
                }),
                Is.True,
                $"{talk}");
            Assert.That(talk.Client.Tcpcrypt!.RekeyCount, Is.GreaterThan(0));
            Assert.That(talk.Client.Tcpcrypt.IsResumed, Is.EqualTo(round > 0));
            talk.Client.Close();
            talk.Server!.Close();
            talk.Path.Pass(400);
        }

        Assert.That(conflicts, Is.Zero);
        Assert.That(repeated, Is.GreaterThan(10_000), "there were retransmissions");
        Assert.That(connections.Select(static one => one.Count), Has.Exactly(3).GreaterThanOrEqualTo(400_000));

        // The same octets at the same positions in the two resumed connections, and nearly the same in the two directions of one: other keys.
        int same = Enumerable.Range(1, 10_000).Count(at => connections[1][(true, (uint)at)] == connections[2][(true, (uint)at)]);
        int mirrored = Enumerable.Range(1, 10_000).Count(at => connections[1][(true, (uint)at)] == connections[1][(false, (uint)at)]);
        Assert.That((same, mirrored), Is.LessThan((100, 100)));

        static bool HasMac(ReadOnlySpan<byte> options)
        {
            TcpOptionReader reader = new(options);
            while (reader.MoveNext())
            {
                if (reader.Current.Kind == CryptPeer.MacKind)
                {
                    return true;
                }
            }

            return false;
        }
    }
}
