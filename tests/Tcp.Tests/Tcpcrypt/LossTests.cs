using System.Buffers.Binary;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Retransmission and loss at each step; what is left of handshakes that come to nothing; chains of sessions; re-keying; offsets past 2^32.</summary>
public sealed class LossTests
{
    [Test]
    [Spec("TD-32"), Spec("TD-33"), Spec("TD-53"), Spec("TD-83")]
    public void Any_one_packet_of_the_start_may_be_lost([Range(0, 9)] int lost, [Values] bool reversedRole, [Values] bool resumed, [Values] bool serverFirst)
    {
        SecretTalk talk = Talk(lost, reversedRole);
        if (resumed)
        {
            Assert.That(talk.Connect() && talk.Transfer(1000), Is.True);
        }

        int count = 0;
        talk.Path.Hook = (_, packet) => count++ == lost ? null : packet;
        Assert.That(talk.Connect(), Is.True);
        if (serverFirst)
        {
            talk.Server!.Send("x"u8, out _);
            Assert.That(talk.Path.Run(() => talk.Client.Readable == 1, 60), Is.True, $"{talk}");
            talk.Client.Receive(new byte[1], out _);
        }

        Assert.That(talk.Transfer(20_000), Is.True, $"{talk}");

        // A lost SYN,ACK of a hit and the like may cost the session, never the encryption.
        Assert.That(talk.IsEncrypted, Is.True);
    }

    [Test]
    [Spec("TD-32"), Spec("TD-33"), Spec("TD-52"), Spec("TD-102"), Spec("TD-103"), Spec("TD-104")]
    public void Chains_of_connections_under_loss_reordering_and_duplication([Range(1, 30)] int seed)
    {
        Random random = new(seed);
        SecretTalk talk = Talk(seed, reversedRole: seed % 3 == 0);
        talk.Path.Hook = (toA, packet) =>
        {
            if (random.Next(8) == 0)
            {
                return null;
            }

            for (int copies = random.Next(10) == 0 ? 2 : 0; copies > 0; copies--)
            {
                talk.Path.Inject(toA, packet, random.Next(200_000_000));
            }

            return packet;
        };
        int resumptions = 0;
        for (int round = 0; round < 8; round++)
        {
            // Whoever loses both SYNs goes plain; the two sides always agree on what they are.
            if (!talk.Connect())
            {
                continue;
            }

            Assert.That(talk.Client.Tcpcrypt!.IsEncrypted, Is.EqualTo(talk.Server!.Tcpcrypt!.IsEncrypted), $"{talk}");
            Assert.That(talk.Transfer(4_000), Is.True, $"{talk}");
            Assert.That(talk.Client.Tcpcrypt!.SessionId.ToArray(), Is.EqualTo(talk.Server.Tcpcrypt!.SessionId.ToArray()));
            resumptions += talk.Client.Tcpcrypt.IsResumed ? 1 : 0;

            // What the last one still repeats, plain or not, is over before the next.
            talk.Path.Pass(300);
        }

        Assert.That(resumptions, Is.GreaterThan(0));
    }

    [Test]
    [Spec("TD-91"), Spec("TD-93"), Spec("TD-94"), Spec("TD-95"), Spec("TD-96"), Spec("TD-97"), Spec("TD-98")]
    public void Keys_are_replaced_from_both_sides_under_loss_reordering_and_duplication([Range(1, 20)] int seed)
    {
        Random random = new(seed);
        SecretTalk talk = Talk(seed, reversedRole: false);
        Assert.That(talk.Connect(), Is.True);
        talk.Path.Hook = (toA, packet) =>
        {
            int fate = random.Next(20);
            if (fate < 2)
            {
                return null;
            }

            if (fate < 5)
            {
                talk.Path.Inject(toA, packet, random.Next(300_000_000));
            }

            return fate == 5 ? null : packet;
        };
        for (int round = 0; round < 6; round++)
        {
            if (random.Next(3) > 0)
            {
                talk.Client.Rekey();
            }

            if (random.Next(3) > 0)
            {
                talk.Server!.Rekey();
            }

            talk.Path.Pass(random.Next(2) == 0 ? 0.01 : 61);
            foreach ((SteppedSocket from, SteppedSocket to) in ((SteppedSocket, SteppedSocket)[])[(talk.Client, talk.Server!), (talk.Server!, talk.Client)])
            {
                byte[] data = new byte[random.Next(1, 9000)];
                random.NextBytes(data);
                Assert.That(from.Send(data, out int sent), Is.EqualTo(SocketError.Success));
                List<byte> got = [];
                byte[] buffer = new byte[9000];
                Assert.That(
                    talk.Path.Run(
                        () =>
                        {
                            while (to.Receive(buffer, out int count) == SocketError.Success && count > 0)
                            {
                                got.AddRange(buffer[..count]);
                            }

                            return got.Count >= sent;
                        },
                        600),
                    Is.True,
                    $"{talk}");
                Assert.That(got, Is.EqualTo(data[..sent]));
            }
        }

        Assert.That(talk.Client.Tcpcrypt!.RekeyCount, Is.GreaterThan(0));
    }

    [TestCase(0xFFFF_0000UL)]
    [TestCase(0xFFFF_FFFFUL)]
    [TestCase(0x0000_0003_FFFF_8000UL)]
    [TestCase((1UL << 24) - 500)]
    [Spec("TD-74"), Spec("TD-75"), Spec("TD-76"), Spec("TD-79")]
    public void Offsets_pass_16_MiB_and_4_GiB(ulong start)
    {
        Pair(start, TcpcryptCipher.Aes128HmacSha256);
        Pair(start, TcpcryptCipher.Aes128Cmac);

        static void Pair(ulong start, TcpcryptCipher cipher)
        {
            SecretTalk talk = new(3, Attacks.None, Configure, Configure);
            Set(talk.Path.A, start);
            Set(talk.Path.B, start);
            Assert.That(talk.Connect(), Is.True);
            talk.Client.Rekey();
            Assert.That(talk.Transfer(300_000), Is.True, $"{talk}");
            Assert.That(talk.Client.Tcpcrypt!.Cipher, Is.EqualTo(cipher));

            void Configure(SteppedStackOptions options) => options.TcpcryptOptions.CipherPreference = [cipher];
        }

        static void Set(SteppedStack stack, ulong start) => stack.Core.Crypt!.Settings = stack.Core.Crypt.Settings with { StartOffset = start };
    }

    [Test]
    [Spec("TD-74"), Spec("REF-6.1")]
    public void Sequence_numbers_wrap_in_both_directions_and_dialects([Values] bool reference, [Values(0xFFFF_FF00u, 0x7FFF_FF00u)] uint isn)
    {
        CryptBench bench = new(iss: isn);
        CryptPeer peer = bench.NewPeer(isn);
        peer.Dialect = reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft;
        peer.OpenAsC();
        Assert.That(peer.Iss, Is.EqualTo(isn));
        for (int round = 0; round < 40; round++)
        {
            peer.Exchange(1300);
        }

        bench.Finish(peer.Socket);
    }

    [TestCase("part of INIT1")]
    [TestCase("noise for a MAC")]
    [TestCase("nothing behind the SYN")]
    [TestCase("nothing behind INIT1")]
    [Spec("TD-64"), Spec("TD-107"), Spec("TD-122")]
    public void A_handshake_that_comes_to_nothing_leaves_nothing(string what)
    {
        CryptBench bench = new();
        for (int round = 0; round < 10; round++)
        {
            CryptPeer peer = bench.NewPeer();
            peer.TakePkConf(peer.Open([]).Crypt);
            peer.MakeInit1();
            switch (what)
            {
                case "part of INIT1":
                    peer.Send(peer.Init1Segment() with { Data = peer.Init1[..50] });
                    break;
                case "noise for a MAC":
                    peer.Send(Seg.Ack() with { Options = [70, 18, .. new byte[16], 1, 1] });
                    break;
                case "nothing behind INIT1":
                    peer.SendInit1();
                    break;
                default:
                    break;
            }
        }

        bench.Advance(1500);
        while (bench.Listener.Accept(out SteppedSocket? socket) == SocketError.Success)
        {
            socket!.Close();
        }

        Assert.That(bench.Stack.Core.Tcp.Endpoints, Is.Empty);
        Assert.That(bench.Stack.Core.Tcp.SynCache.InHandshake, Is.Zero);
        CryptPeer fresh = bench.NewPeer().OpenAsC();
        fresh.Exchange();
        bench.Finish(fresh.Socket);
    }

    [Test]
    [Spec("TD-93"), Spec("TD-110"), Spec("TD-111")]
    public void The_path_MTU_changes_under_way([Values(1280, 576, 120, 68)] int mtu, [Values] bool rekeys)
    {
        SecretTalk talk = Talk(mtu, reversedRole: false);
        Assert.That(talk.Connect(), Is.True);
        talk.Path.Hook = (toA, packet) =>
        {
            if (packet.Length <= mtu || (packet[6] & 0x40) == 0)
            {
                return packet;
            }

            // A router in between: destination unreachable, fragmentation needed.
            byte[] icmp = new byte[56];
            Ipv4Header.Write(icmp, IpProtocol.Icmp, Ipv4Address.Parse("10.0.0.3"), Ipv4Address.Read(packet.AsSpan(12)), 1);
            icmp[20] = 3;
            icmp[21] = 4;
            BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(26), (ushort)mtu);
            packet.AsSpan(0, 28).CopyTo(icmp.AsSpan(28));
            BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(22), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(20))));
            BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(10), 0);
            BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(0, 20))));
            talk.Path.Inject(!toA, icmp);
            return null;
        };
        if (rekeys)
        {
            talk.Client.Rekey();
            talk.Server!.Rekey();
        }

        Assert.That(talk.Transfer(30_000), Is.True, $"{talk}");
    }

    [Test]
    [Spec("TD-40"), Spec("TD-124")]
    [Spec("HI_ENC_04")]
    public void What_is_held_before_INIT2_is_bounded()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        peer.Respond(peer.SynAck(Say.PkConf(Say.P256, Say.Marker)).Single());
        long before = bench.Stack.Core.Blocks.InUse;
        for (int forged = 0; forged < 200; forged++)
        {
            peer.Silence(Seg.Bytes(new byte[1000], 1 + (uint)peer.Init2.Length) with { AckNo = 1 + (uint)peer.Init1.Length, Options = [70, 18, .. new byte[16], 1, 1] });
        }

        Assert.That(bench.Stack.Core.Blocks.InUse, Is.EqualTo(before));
        Assert.That(peer.SendInit2()[^1].IsAuthentic, Is.True);
        peer.Exchange();
        Assert.That(bench.Drops(DropReason.CryptBadMac), Is.EqualTo(16));
        bench.Finish(peer.Socket);
    }

    [Test]
    [Spec("TD-81"), Spec("TD-85")]
    public void A_last_FIN_that_finds_nobody_closes_in_order()
    {
        // The peer's TIME-WAIT is over, our FIN's acknowledgment was lost: RST without MAC is all that is left to hear.
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer().OpenAsC();
        peer.SendProtected(Seg.Fin());
        peer.Nxt++;
        peer.Socket.Shutdown(SocketShutdown.Send);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.LastAck));
        for (int tenths = 0; tenths < 200 && peer.Socket.State != TcpState.Closed; tenths++)
        {
            foreach (Heard heard in peer.Take())
            {
                peer.Send(Seg.Rst(heard.Seg.AckNo));
            }

            bench.Advance(0.1);
        }

        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(peer.Socket.Receive(new byte[1], out int received), Is.EqualTo(SocketError.Success), "as in plain TCP (RFC 9293 3.10.7.4, second)");
        Assert.That(received, Is.Zero);
    }

    [Test]
    [Spec("TD-83")]
    public void A_new_SYN_ends_TIME_WAIT_of_an_encrypted_connection_by_TCPs_rules()
    {
        CryptBench bench = new();
        CryptPeer peer = bench.NewPeer().OpenAsC();
        peer.Exchange();
        peer.Socket.Shutdown(SocketShutdown.Send);
        peer.TakeAndAcknowledge();
        peer.SendProtected(Seg.Fin());
        Assert.That(bench.Stack.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        Assert.That(peer.Send(Seg.Syn(Say.Option()) with { Seq = peer.Nxt - 50 }).TrueForAll(static heard => !heard.Seg.IsSyn && heard.IsAuthentic), Is.True, "an old one: a MACed ACK at most");
        Assert.That(bench.Stack.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        Assert.That(peer.Send(Seg.Syn([.. Opt.Mss(1460), .. Say.Option()]) with { Seq = peer.Nxt + 5000 }).Single().Seg.IsSyn, Is.True);
        Assert.That(bench.Stack.Core.Tcp.TimeWait.Count, Is.Zero);
    }

    [TestCase("INIT2 never comes")]
    [TestCase("PKCONF is never answered")]
    [TestCase("part of INIT2")]
    [Spec("TD-72"), Spec("TD-130")]
    public void An_opener_whose_handshake_is_not_answered_gives_up_and_goes_plain_the_next_time(string what)
    {
        CryptBench bench = new();
        CryptPeer peer = bench.Connect(out _);
        List<Heard> heard = peer.SynAck(what.StartsWith("PKCONF", StringComparison.Ordinal) ? Say.Hello : Say.PkConf(Say.P256, Say.Marker));
        if (what.StartsWith("part", StringComparison.Ordinal))
        {
            peer.Respond(heard.Single());
            peer.Silence(peer.Init2Segment() with { Data = peer.Init2[..30] });
        }

        bench.Advance(120);
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(peer.Socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeTimedOut));
        bench.Connect(out Heard again, localPort: 5001, remotePort: peer.Remote.Port);
        Assert.That(again.Crypt, Is.Null, "within ten minutes the destination is tried plain");
        Assert.That(bench.Drops(DropReason.CryptBadMac), Is.Zero);
    }

    private static SecretTalk Talk(int seed, bool reversedRole) =>
        new(seed + 1000, Attacks.None, server: options => options.TcpcryptOptions.CMode = reversedRole ? TcpcryptCMode.Always : TcpcryptCMode.Default);
}
