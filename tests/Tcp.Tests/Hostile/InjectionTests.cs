using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Blind injection into established connections (hostile-input catalogue, INJ; RFC 5961).</summary>
public sealed class InjectionTests(uint isn) : IsnFixture(isn)
{
    private const int Window = 10_000;

    private (Host Host, Peer Peer) Victim() => Established(options => options.ReceiveWindow = Window);

    [TestCase(0, "silent", TestName = "HI_INJ_01_rst_one_below_rcv_nxt_is_ignored")]
    [TestCase(1, "reset", TestName = "HI_INJ_01_rst_at_rcv_nxt_resets")]
    [TestCase(2, "challenge", TestName = "HI_INJ_01_rst_one_above_rcv_nxt_is_challenged")]
    [TestCase(Window - 1, "challenge", TestName = "HI_INJ_01_rst_in_the_window_is_challenged")]
    [TestCase(Window, "challenge", TestName = "HI_INJ_01_rst_at_the_last_octet_is_challenged")]
    [TestCase(Window + 1, "silent", TestName = "HI_INJ_01_rst_at_the_edge_is_ignored")]
    [TestCase(1_000_000, "silent", TestName = "HI_INJ_01_rst_far_outside_is_ignored")]
    [Spec("5961-1")]
    public void HI_INJ_01(int seq, string expected)
    {
        (Host host, Peer peer) = Victim();
        List<Seg> replies = peer.Send(Seg.Rst((uint)seq));
        Assert.That(replies, Has.Count.EqualTo(expected == "challenge" ? 1 : 0));
        Assert.That(peer.Socket.State, Is.EqualTo(expected == "reset" ? TcpState.Closed : TcpState.Established));
        if (expected == "challenge")
        {
            Assert.That((replies[0].Flags, replies[0].Seq, replies[0].AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)1, (uint?)1)));
            peer.Expect0(Seg.Rst(1));
            Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed), "a peer that lost its state answers the challenge with the exact number");
        }

        host.Finish();
    }

    [TestCase(0u)]
    [TestCase(1u)]
    [TestCase(5000u)]
    [TestCase(1_000_000u)]
    [TestCase(0x8000_0000u)]
    [Spec("5961-2")]
    public void HI_INJ_02_a_syn_is_challenged_whatever_its_number(uint seq)
    {
        (Host host, Peer peer) = Victim();
        Seg reply = peer.Ask(Seg.Syn() with { Seq = seq });
        Assert.That((reply.Flags, reply.Seq, reply.AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)1, (uint?)1)));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        peer.SendNext("abc"u8.ToArray());
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }

    [TestCase(2u, TestName = "HI_INJ_03_data_with_an_ack_of_what_was_never_sent")]
    [TestCase(0x7FFF_FFFFu, TestName = "HI_INJ_03_data_with_an_ack_far_ahead")]
    [TestCase(0xFFFF_0001u, TestName = "HI_INJ_03_data_with_an_ack_older_than_any_window")]
    [TestCase(0x8000_0002u, TestName = "HI_INJ_03_data_with_an_ack_half_the_space_away")]
    [Spec("5961-3")]
    public void HI_INJ_03(uint ack)
    {
        (Host host, Peer peer) = Victim();
        Seg reply = peer.Ask(Seg.Text("evil") with { AckNo = ack });
        Assert.That((reply.Flags, reply.AckNo), Is.EqualTo((TcpFlags.Ack, (uint?)1)));
        Assert.That(peer.Socket.Readable, Is.Zero, "not delivered");
        peer.SendNext("good"u8.ToArray());
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("good"u8.ToArray()));
        host.Finish();
    }

    [Test]
    [Spec("5961-4")]
    public void HI_INJ_04_challenges_on_one_connection_do_not_count_on_another([Values(1, 20, 200)] int forged)
    {
        (Host host, Peer victim) = Victim();
        Peer own = host.Accept();
        for (int i = 0; i < forged; i++)
        {
            victim.Send(Seg.Rst(100));
        }

        int seen = Enumerable.Range(0, 50).Sum(_ => own.Send(Seg.Rst(100)).Count);
        Assert.That(seen, Is.EqualTo(10), "the connection's own allowance, however many were forged on the victim's");
        Assert.That(victim.Socket.State, Is.EqualTo(TcpState.Established));
        host.Finish();
    }

    [Test]
    [Spec("5961-4")]
    public void HI_INJ_04_challenge_acks_are_throttled()
    {
        (Host host, Peer peer) = Victim();
        int seen = Enumerable.Range(0, 1000).Sum(_ => peer.Send(Seg.Syn() with { Seq = 100 }).Count);
        Assert.That(seen, Is.EqualTo(10));
        Assert.That(host.Core.Counters.TcpChallengeAcksSuppressed, Is.EqualTo(990));
        host.Advance(5);
        Assert.That(Enumerable.Range(0, 1000).Sum(_ => peer.Send(Seg.Syn() with { Seq = 100 }).Count), Is.EqualTo(10), "the allowance comes back");
        host.Finish();
    }

    [Test]
    public void HI_INJ_05_repeated_data_and_window_probes_are_acknowledged_while_challenges_are_throttled()
    {
        (Host host, Peer peer) = Victim();
        peer.SendNext(Pattern(100));
        peer.Take();
        for (int i = 0; i < 100; i++)
        {
            peer.Send(Seg.Rst(200));
            Assert.That(peer.Ask(Seg.Bytes(Pattern(100), 1)).AckNo, Is.EqualTo(101), "old data");
        }

        peer.SendNext(Pattern(Window - 100, 2), 2);
        host.Advance(1);
        peer.Take();
        for (int i = 0; i < 100; i++)
        {
            peer.Send(Seg.Rst(Window + 5));
            peer.Send(Seg.Syn());
            Seg reply = peer.Ask(Seg.Text("p"));
            Assert.That((reply.AckNo, reply.Wnd), Is.EqualTo(((uint?)Window + 1, 0)), "a probe with data");
        }

        host.Advance(2);
        Assert.That(peer.Ask(Seg.Ack() with { Seq = Window }).Wnd, Is.Zero, "a probe without data");
        host.Finish();
    }

    [Test]
    [Spec("7323-5")]
    public void HI_INJ_06_old_timestamps_are_acknowledged_and_dropped()
    {
        (Host host, Peer peer) = Established(timestamps: true);
        peer.SendNext("abc"u8.ToArray());
        Seg reply = peer.Ask(Seg.Text("evil") with { Ts = (peer.TsVal - 1, peer.TsEcr) });
        Assert.That(reply.AckNo, Is.EqualTo(4));
        Assert.That(peer.Socket.Readable, Is.EqualTo(3));
        Assert.That(host.Drops(DropReason.TcpPaws), Is.EqualTo(1));
        host.Finish();
    }

    [Test]
    [Spec("7323-4")]
    public void HI_INJ_06_a_timestamp_from_outside_the_window_does_not_poison_ts_recent()
    {
        (Host host, Peer peer) = Established(timestamps: true);
        peer.Send(Seg.Text("evil", 50_000_000) with { Ts = (peer.TsVal + 1_000_000, peer.TsEcr) });
        peer.Send(Seg.Text("evil") with { Ts = (peer.TsVal + 1_000_000, peer.TsEcr), AckNo = 77 });
        peer.Send(Seg.Text("late", 100) with { Ts = (peer.TsVal + 1_000_000, peer.TsEcr) });
        peer.Expect0(Seg.Rst(100_000_000) with { Ts = (peer.TsVal + 1_000_000, 0) });
        Seg reply = peer.Ask(Seg.Text("good"));
        Assert.That(reply.Ts!.Value.Ecr, Is.EqualTo(peer.TsVal), "the echo is the honest one");
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("good"u8.ToArray()));
        host.Finish();
    }

    [Test]
    [Spec("7323-4")]
    public void The_echo_of_a_repeated_segment_is_its_own_timestamp()
    {
        (Host host, Peer peer) = Established(timestamps: true);
        peer.SendNext("abc"u8.ToArray());
        Seg reply = peer.Ask(Seg.Text("abc", 1) with { Ts = (peer.TsVal + 60_000, peer.TsEcr) });
        Assert.That(reply.Ts!.Value.Ecr, Is.EqualTo(peer.TsVal + 60_000), "else the sender measures the time since the first transmission");
        host.Finish();
    }

    [Test]
    [Spec("7323-3")]
    public void HI_INJ_06_a_segment_without_the_agreed_timestamp_is_dropped()
    {
        (Host host, Peer peer) = Established(timestamps: true);
        peer.Expect0(Seg.Text("evil") with { NoTs = true });
        Assert.That(peer.Socket.Readable, Is.Zero);
        Assert.That(host.Drops(DropReason.TcpMissingTimestamp), Is.EqualTo(1));
        peer.Expect0(Seg.Rst(1) with { NoTs = true });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed), "a RST needs none");
        host.Finish();
    }

    [Test]
    [Spec("6864-1")]
    public void HI_INJ_07_ip_identifications_are_no_global_counter()
    {
        (Host host, Peer first) = Victim();
        Peer second = host.Accept(new Endpoint4(Ipv4Address.Parse("10.0.0.50"), 4000), 0);
        List<int> ids = [];
        for (int i = 0; i < 20; i++)
        {
            first.Socket.Send("a"u8, out _);
            first.TakeAndAcknowledge();
            second.Socket.Send("b"u8, out _);
            byte[] packet = host.TakeFor(second.Remote, second.Local)[0];
            ids.Add((packet[4] << 8) | packet[5]);
            second.Send(Seg.Ack((uint)i + 2));
        }

        // One counter for all would show the first connection's packets as gaps of the second's.
        Assert.That(ids.Zip(ids.Skip(1), (a, b) => (b - a) & 0xFFFF).Distinct().Count(), Is.EqualTo(1));
        Assert.That((ids[1] - ids[0]) & 0xFFFF, Is.LessThanOrEqualTo(1));
        host.Finish();
    }

    [Test]
    [Spec("5681-9")]
    public void HI_INJ_08_a_storm_of_duplicate_acks_repeats_one_segment()
    {
        (Host host, Peer peer) = Established(options => options.Tcp.SendBufferSize = 1 << 20);
        peer.Socket.Send(Pattern(8 * 1460), out _);
        peer.Take();
        for (int i = 0; i < 2000; i++)
        {
            peer.Send(Seg.Ack(1), 2);
        }

        Assert.That(peer.Socket.GetInfo().Retransmissions, Is.EqualTo(1));
        peer.Send(Seg.Ack(1 + (8 * 1460)), 2);
        Assert.That(peer.Socket.GetInfo().CongestionWindow, Is.LessThanOrEqualTo(10 * 1460), "the inflation is gone");
        host.Finish();
    }

    [Test]
    [Spec("5681-4")]
    public void HI_INJ_08_acks_of_single_octets_grow_the_window_by_octets()
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Send(Pattern(10 * 1460), out _);
        peer.Take();
        long before = peer.Socket.GetInfo().CongestionWindow;
        for (uint octet = 2; octet < 1002; octet++)
        {
            peer.Send(Seg.Ack(octet), 2);
        }

        Assert.That(peer.Socket.GetInfo().CongestionWindow, Is.LessThanOrEqualTo(before + 1000));
        host.Finish();
    }

    [Test]
    public void HI_INJ_08_an_ack_beyond_snd_nxt_is_refused()
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Send(Pattern(100), out _);
        peer.Take();
        Assert.That(peer.Ask(Seg.Ack(102)).Seq, Is.EqualTo(101));
        Assert.That(peer.Socket.Unacknowledged, Is.EqualTo(100));
        peer.Expect0(Seg.Ack(101));
        Assert.That(peer.Socket.Unacknowledged, Is.Zero);
        host.Finish();
    }

    [TestCase(2u)]
    [TestCase(0x4000_0000u)]
    [TestCase(0xFFFE_7961u)]
    public void HI_INJ_09_a_fin_with_a_wrong_ack_closes_nothing(uint ack)
    {
        (Host host, Peer peer) = Victim();
        Seg reply = peer.Ask(Seg.Fin() with { AckNo = ack });
        Assert.That(reply.AckNo, Is.EqualTo(1));
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        peer.SendNext("abc"u8.ToArray());
        Assert.That(Host.Read(peer.Socket), Is.EqualTo("abc"u8.ToArray()));
        host.Finish();
    }
}
