using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>An active attacker between two stacks: never wrong data, never plaintext, and while genuine packets get through nothing ends an encrypted connection.</summary>
public sealed class AttackerTests
{
    [Test]
    [Spec("TD-35"), Spec("TD-83"), Spec("TD-114"), Spec("TD-115"), Spec("TD-121"), Spec("TD-86")]
    [Spec("HI_ENC_07"), Spec("HI_ENC_09"), Spec("HI_ENC_12")]
    public void Each_attack_alone_neither_ends_nor_changes_an_encrypted_connection(
        [Values(Attacks.Flip, Attacks.Replay, Attacks.Reorder, Attacks.Resegment, Attacks.Strip, Attacks.Inject, Attacks.Desynchronise, Attacks.Icmp, Attacks.Forge, Attacks.Alter, Attacks.Timestamps)] int attack,
        [Range(1, 6)] int seed,
        [Values] bool reference) => Survives(seed, (Attacks)attack, reference);

    [Test]
    [Spec("TD-35")]
    public void All_attacks_together_neither_end_nor_change_an_encrypted_connection([Range(101, 120)] int seed, [Values] bool reference) => Survives(seed, Attacks.All, reference);

    [Test]
    [Spec("TD-35"), Spec("TD-85")]
    public void Resets_without_MAC_are_ignored_by_option([Range(201, 204)] int seed) => Survives(seed, Attacks.Inject | Attacks.Replay, false, options => options.TcpcryptOptions.UnauthenticatedReset = UnauthenticatedReset.Ignore);

    [Test]
    [Spec("TD-85")]
    [Spec("HI_ENC_09")]
    public void An_idle_connection_survives_forged_resets([Values(UnauthenticatedReset.Verify, UnauthenticatedReset.Ignore)] UnauthenticatedReset setting)
    {
        SecretTalk talk = new(5, Attacks.None, options => options.TcpcryptOptions.UnauthenticatedReset = setting, options => options.TcpcryptOptions.UnauthenticatedReset = setting);
        Assert.That(talk.Connect(), Is.True);
        byte[]? genuine = null;
        byte[]? other = null;
        talk.Path.Hook = (toA, packet) =>
        {
            genuine = toA ? packet : genuine;
            other = toA ? other : packet;
            return packet;
        };
        talk.Path.Pass(1);
        talk.Client.Send("x"u8, out _);
        talk.Server!.Send("y"u8, out _);
        talk.Path.Pass(1);
        for (int round = 0; round < 100; round++)
        {
            talk.Path.Inject(toA: true, Reset(genuine!));
            talk.Path.Inject(toA: false, Reset(other!));
            talk.Path.Pass(0.3);
        }

        Assert.That((talk.Client.State, talk.Server.State), Is.EqualTo((TcpState.Established, TcpState.Established)), $"{talk}");
    }

    [Test]
    [Spec("TD-78"), Spec("REF-12")]
    public void Altered_echoes_of_timestamps_neither_starve_nor_flood_a_connection([Values(-100_000, -3_000, 3, 100_000)] int shift, [Values] bool reference)
    {
        SecretTalk talk = new(19, Attacks.None);
        talk.Path.B.Core.Crypt!.Settings = talk.Path.B.Core.Crypt.Settings with { SendsMarker = !reference };
        Assert.That(talk.Connect() && talk.IsEncrypted, Is.True);
        int count = 0;
        talk.Path.Hook = (toA, packet) =>
        {
            // The first option under MAC is that of timestamps; now and then a packet is lost.
            if (packet[40] == 8)
            {
                packet = [.. packet];
                Span<byte> echo = packet.AsSpan(46, 4);
                System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(echo, unchecked(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(echo) + (uint)shift));
                Seg.FixChecksums(packet);
            }

            return ++count % 37 == 0 ? null : packet;
        };
        TimeSpan longest = TimeSpan.Zero;
        long before = talk.Path.NowNs;
        bool isDone = talk.Transfer(300_000, seconds: 600, meanwhile: () =>
        {
            foreach (TcpInfo info in (TcpInfo[])[talk.Client.GetInfo(), talk.Server!.GetInfo()])
            {
                longest = info.Backoff == 0 && info.RetransmissionTimeout > longest ? info.RetransmissionTimeout : longest;
            }
        });
        using (Assert.EnterMultipleScope())
        {
            Assert.That(isDone, Is.True, $"{talk}");
            Assert.That(longest, Is.LessThan(TimeSpan.FromSeconds(2)));
            Assert.That((talk.Path.NowNs - before) / 1e9, Is.LessThan(60));
        }
    }

    private static void AssertNotPlain(SecretTalk talk)
    {
        foreach (SteppedSocket? socket in (SteppedSocket?[])[talk.Client, talk.Server])
        {
            bool isUsable = socket is not null && socket.State is TcpState.Established or TcpState.CloseWait && socket.Poll().HasFlag(SteppedPollFlags.Out);
            Assert.That(!isUsable || socket!.Tcpcrypt!.IsEncrypted, Is.True, $"{talk}");
        }
    }

    /// <summary>A RST behind the last segment of a direction.</summary>
    private static byte[] Reset(byte[] last)
    {
        int header = (last[32] >> 4) * 4;
        uint seq = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(last.AsSpan(24)) + (uint)(last.Length - 20 - header);
        byte[] reset = [.. last[..40]];
        reset[2] = 0;
        reset[3] = 40;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(reset.AsSpan(24), seq);
        reset[32] = 5 << 4;
        reset[33] = 0x04;
        Seg.FixChecksums(reset);
        return reset;
    }

    [Test]
    [Spec("TD-85")]
    public void A_peer_that_lost_its_state_is_noticed([Values(UnauthenticatedReset.Verify, UnauthenticatedReset.Accept)] UnauthenticatedReset setting)
    {
        SecretTalk talk = new(7, Attacks.None, options => options.TcpcryptOptions.UnauthenticatedReset = setting);
        Assert.That(talk.Connect(), Is.True);
        talk.Path.Pass(1);

        // The server forgets everything: its last word is lost, and what comes afterwards finds no connection.
        talk.Path.IsCut = true;
        talk.Server!.SetOption(SteppedSocketOption.Linger, 0);
        talk.Server.Close();
        talk.Path.Pass(1);
        talk.Path.IsCut = false;
        talk.Client.Send("anybody there?"u8, out _);
        long before = talk.Path.NowNs;
        Assert.That(talk.Path.Run(() => talk.Client.State == TcpState.Closed, 60), Is.True);
        Assert.That((talk.Path.NowNs - before) / 1e9, setting == UnauthenticatedReset.Accept ? Is.LessThan(1) : Is.InRange(3, 15));
        Assert.That(talk.Client.TakeError(), Is.EqualTo(SocketError.ConnectionReset));
    }

    [Test]
    [Spec("TD-35")]
    [Spec("HI_ENC_09")]
    public void Who_drops_everything_gets_a_time_out_and_nothing_else()
    {
        SecretTalk talk = new(9, Attacks.None);
        Assert.That(talk.Connect(), Is.True);
        talk.Client.Send("lost"u8, out _);
        talk.Path.IsCut = true;
        Assert.That(talk.Path.Run(() => talk.Client.State == TcpState.Closed, 7200), Is.True);
        Assert.That(talk.Client.TakeError(), Is.EqualTo(SocketError.TimedOut));
    }

    [Test]
    [Spec("TD-117"), Spec("TD-137")]
    public void Required_never_becomes_plain_whatever_is_done_to_the_handshake([Range(301, 340)] int seed)
    {
        SecretTalk talk = new(seed, Attacks.All & ~Attacks.Timestamps, Require, Require);
        talk.Path.IsActive = static () => true;
        talk.Path.IsSecret = static () => true;
        talk.Connect(60);
        AssertNotPlain(talk);
        if (talk.IsEncrypted)
        {
            talk.Transfer(20_000, seconds: 600);
            AssertNotPlain(talk);
        }

        static void Require(SteppedStackOptions options) => options.TcpcryptOptions.Policy = TcpcryptPolicy.Required;
    }

    [Test]
    [Spec("TD-117")]
    public void Without_CRYPT_on_the_way_Required_fails_and_Opportunistic_is_plain_and_says_so([Values] bool required)
    {
        SecretTalk talk = new(11, Attacks.None, options => options.TcpcryptOptions.Policy = required ? TcpcryptPolicy.Required : TcpcryptPolicy.Opportunistic);
        talk.Path.Hook = static (_, packet) => Without(packet, 69);
        Assert.That(talk.Connect(), Is.EqualTo(!required));
        if (!required)
        {
            Assert.That(talk.Client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDidNotOffer));
            Assert.That(talk.Server!.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDidNotOffer));
            Assert.That(talk.Transfer(10_000), Is.True);
        }
    }

    [Test]
    [Spec("TD-137"), Spec("TD-72")]
    public void Who_strips_the_dialect_marker_gets_a_hang_and_no_weaker_encryption()
    {
        SecretTalk talk = new(13, Attacks.None);
        talk.Path.IsSecret = static () => true;
        talk.Path.Hook = static (toA, packet) =>
        {
            int at = packet.AsSpan().IndexOf(new byte[] { 0x41, 14 });
            if (toA && at > 0 && packet[33] == 0x12)
            {
                packet = [.. packet];
                packet[at + 1] = 11;
                packet[at - 1] = 13;
                packet.AsSpan(at + 11, 3).Fill(1);
                Seg.FixChecksums(packet);
            }

            return packet;
        };
        if (talk.Connect(60))
        {
            talk.Client.Send("nobody gets this plaintext!!!"u8, out _);
            talk.Path.Pass(60);
            Assert.That(talk.Server!.Readable, Is.Zero);
            Assert.That(talk.Client.Tcpcrypt!.SessionId.ToArray(), Is.Not.EqualTo(talk.Server.Tcpcrypt!.SessionId.ToArray()));
        }
    }

    [Test]
    [Spec("TD-123"), Spec("TD-103")]
    [Spec("HI_ENC_07"), Spec("HI_ENC_10")]
    public void A_replayed_handshake_brings_nobody_anything([Values] bool resumed)
    {
        SecretTalk talk = new(15, Attacks.None);
        List<byte[]> toServer = [];
        if (resumed)
        {
            Assert.That(talk.Connect() && talk.Transfer(1000), Is.True);
            talk.Path.Pass(100);
        }

        talk.Path.Hook = (toA, packet) =>
        {
            if (!toA)
            {
                toServer.Add(packet);
            }

            return packet;
        };
        Assert.That(talk.Connect(), Is.True);
        Assert.That(talk.Client.Tcpcrypt!.IsResumed, Is.EqualTo(resumed));
        Assert.That(talk.Transfer(5000), Is.True);
        talk.Path.Pass(600);

        // Everything the client ever said, once more, and no answer gets back to it.
        talk.Path.Hook = static (toA, packet) => toA ? null : packet;
        long before = talk.Path.B.Core.Counters.TcpPassiveOpens;
        foreach (byte[] packet in (byte[][])[.. toServer])
        {
            talk.Path.Inject(toA: false, packet);
            talk.Path.Pass(0.05);
        }

        talk.Path.Pass(4000);
        Assert.That(talk.Path.B.Core.Tcp.Endpoints.Count(static endpoint => endpoint.ReceiveQueue.Length > 0), Is.Zero);
        Assert.That(talk.Path.B.Core.Counters.TcpPassiveOpens - before, Is.LessThanOrEqualTo(1));
        talk.Path.Hook = null;
        Assert.That(talk.Connect() && talk.IsEncrypted && talk.Transfer(5000), Is.True, "and the next one works");
    }

    private static void Survives(int seed, Attacks attacks, bool reference, Action<SteppedStackOptions>? configure = null)
    {
        SecretTalk talk = new(seed, attacks, Configure, Configure);
        if (reference)
        {
            talk.Path.B.Core.Crypt!.Settings = talk.Path.B.Core.Crypt.Settings with { SendsMarker = false };
        }

        Assert.That(talk.Connect(), Is.True);
        Assert.That(talk.IsEncrypted, Is.True);
        Assert.That(talk.Client.Tcpcrypt!.Dialect, Is.EqualTo(reference ? TcpcryptDialect.Reference : TcpcryptDialect.Draft));
        Random random = new(seed);
        bool isDone = talk.Transfer(
            60_000,
            seconds: 7200,
            meanwhile: () =>
            {
                if (random.Next(200) == 0)
                {
                    (random.Next(2) == 0 ? talk.Client : talk.Server!).Rekey();
                }
            });
        Assert.That(isDone, Is.True, $"{talk}");
        bool addsPackets = (attacks & ~(Attacks.Alter | Attacks.Timestamps | Attacks.Reorder)) != 0;
        Assert.That(talk.Path.Injected, addsPackets ? Is.GreaterThan(5) : Is.Zero, "the attacker was at work");

        void Configure(SteppedStackOptions options)
        {
            options.Tcp.SelectiveAcknowledgments = seed % 2 == 0;
            options.Tcp.Timestamps = seed % 3 != 0;
            options.ReceiveWindow = seed % 4 == 0 ? 6000 : null;
            configure?.Invoke(options);
        }
    }

    /// <summary>The packet with an option turned into NOPs.</summary>
    private static byte[] Without(byte[] packet, byte kind)
    {
        packet = [.. packet];
        int end = 20 + ((packet[32] >> 4) * 4);
        for (int at = 40; at < end && packet[at] != 0;)
        {
            int length = packet[at] == 1 ? 1 : packet[at + 1];
            if (packet[at] == kind)
            {
                packet.AsSpan(at, length).Fill(1);
            }

            at += length;
        }

        Seg.FixChecksums(packet);
        return packet;
    }
}
