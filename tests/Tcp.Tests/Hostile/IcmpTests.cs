using System.Buffers.Binary;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>ICMP errors that nobody had a reason for (RFC 5927), and a clock that jumps.</summary>
public sealed class IcmpTests(uint isn) : IsnFixture(isn)
{
    private const int Sent = 2920;

    /// <summary>An error with the header of a segment of the stack's as its quote; the number relative to its SYN.</summary>
    private static byte[] Error(Peer peer, byte code, ushort mtu, uint seq)
    {
        byte[] packet = new byte[20 + 8 + 28];
        Ipv4Header.Write(packet, IpProtocol.Icmp, Ipv4Address.Parse("10.9.9.9"), Host.Here, 1);
        packet[20] = IcmpType.DestinationUnreachable;
        packet[21] = code;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(26), mtu);
        new Seg { Flags = TcpFlags.Ack, Data = new byte[1460] }.ToPacket(peer.Local, peer.Remote, unchecked(peer.Iss + seq), 0).AsSpan(0, 28).CopyTo(packet.AsSpan(28));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(20))));
        return packet;
    }

    private (Host Host, Peer Peer) InFlight()
    {
        (Host host, Peer peer) = Established();
        peer.Socket.Send(Pattern(Sent), out _);
        Assert.That(peer.Take().Sum(static seg => seg.Data.Length), Is.EqualTo(Sent));
        return (host, peer);
    }

    [TestCase((byte)2, (ushort)0)]
    [TestCase((byte)3, (ushort)0)]
    [TestCase((byte)4, (ushort)600)]
    [Spec("5927-1")]
    public void HI_ICMP_03_an_error_about_nothing_in_flight_is_ignored(byte code, ushort mtu)
    {
        (Host host, Peer peer) = InFlight();
        long before = host.Drops(DropReason.IcmpNoSuchFlow);
        foreach (uint seq in (uint[])[0, 1 + Sent, 2 + Sent, 0x8000_0000, 0xFFFF_0000])
        {
            host.Inject(Error(peer, code, mtu, seq));
        }

        Assert.That(host.Drops(DropReason.IcmpNoSuchFlow) - before, Is.EqualTo(5));
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(SocketError.Success));
        GoesOn(host, peer, 1460);
    }

    [TestCase((byte)2, SocketError.ProtocolOption)]
    [TestCase((byte)3, SocketError.ConnectionRefused)]
    [TestCase((byte)1, SocketError.HostUnreachable)]
    [Spec("5927-2")]
    [Spec("9293-MUST-56")]
    public void HI_ICMP_03_an_error_about_what_is_in_flight_is_told_and_ends_nothing(byte code, SocketError error)
    {
        (Host host, Peer peer) = InFlight();
        for (int i = 0; i < 100; i++)
        {
            host.Inject(Error(peer, code, 0, 1 + (uint)(i * 29)));
        }

        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        Assert.That(peer.Socket.TakeError(), Is.EqualTo(error));
        GoesOn(host, peer, 1460);
    }

    [TestCase((ushort)0)]
    [TestCase((ushort)1)]
    [TestCase((ushort)67)]
    [TestCase((ushort)68)]
    [TestCase((ushort)296)]
    [TestCase((ushort)1500)]
    [TestCase((ushort)65_535)]
    [Spec("5927-1")]
    public void HI_ICMP_04_a_claimed_mtu_is_bounded_both_ways_and_data_still_flows(ushort mtu)
    {
        (Host host, Peer peer) = InFlight();
        for (int i = 0; i < 20; i++)
        {
            host.Inject(Error(peer, 4, mtu, 1));
        }

        Assert.That(peer.Socket.GetInfo().PathMtu, mtu >= 1500 ? Is.EqualTo(1500) : Is.InRange(552, 1499));
        GoesOn(host, peer, null);
    }

    [Test]
    public void HI_ICMP_04_a_small_claim_is_not_believed_when_more_has_got_through()
    {
        (Host host, Peer peer) = InFlight();
        peer.TakeAndAcknowledge();
        peer.Send(Seg.Ack());
        peer.Socket.Send(Pattern(Sent, 2), out _);
        uint first = peer.RcvNxt;
        peer.Take();
        host.Inject(Error(peer, 4, 600, first));
        Assert.That(peer.Socket.GetInfo().PathMtu, Is.EqualTo(1500));
        host.Finish();
    }

    private static void GoesOn(Host host, Peer peer, int? mss)
    {
        peer.Send(Seg.Ack(), int.MaxValue);
        peer.TakeAndAcknowledge();
        Assert.That(peer.Stream, Is.EqualTo(Pattern(Sent)));
        peer.Socket.Send(Pattern(20_000, 2), out _);
        List<Seg> segments = peer.TakeAndAcknowledge();
        Assert.That(peer.Stream.Skip(Sent), Is.EqualTo(Pattern(20_000, 2)));
        if (mss is { } expected)
        {
            Assert.That(segments.Max(static seg => seg.Data.Length), Is.EqualTo(expected));
        }

        host.Finish();
    }

    /// <summary>The process was stopped for an hour: every timer is late at once, by its own measure much too late.</summary>
    [Test]
    public void HI_SYS_04_a_jump_of_the_clock_runs_each_timer_once()
    {
        const int Each = 50;
        Host host = new();
        host.Listener.Listen(1000);
        List<Peer> unacknowledged = [];
        List<Peer> probed = [];
        List<Peer> idle = [];
        for (int i = 0; i < Each; i++)
        {
            Peer peer = host.Accept(Isn);
            peer.Socket.Send(Pattern(3000), out _);
            peer.Take();
            unacknowledged.Add(peer);

            peer = host.Accept(Isn);
            peer.Send(Seg.Ack() with { Wnd = 0 });
            peer.Socket.Send(Pattern(3000), out _);
            peer.Take();
            probed.Add(peer);

            peer = host.Accept(Isn);
            peer.Socket.SetOption(Testing.SteppedSocketOption.KeepAlive, 1);
            idle.Add(peer);

            host.NewPeer(Isn).Ask(Seg.Syn());
            peer = host.Accept(Isn);
            peer.Socket.Shutdown(SocketShutdown.Send);
            peer.Take();
            peer.Ask(Seg.Fin() with { AckNo = 2 });
        }

        Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(Each));
        host.TakeAll();
        long now = host.Stack.NowNs + (3 * 3_600_000_000_000L);
        PacketSlot slot = new();
        int packets = 0;
        for (int turns = 0; host.Core.NextDeadline.Nanoseconds <= now; turns++)
        {
            Assert.That(turns, Is.LessThan(3), "the timers come to rest");
            host.Core.OnTimeout(new TcpInstant(now));
            while (host.Core.TryEmit(new TcpInstant(now), slot))
            {
                packets++;
            }
        }

        Assert.That(packets, Is.InRange(3 * Each, 4 * Each), "one packet for each connection that has a timer, and for each half-open one");
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.Zero);
        host.Advance(3 * 3600);
        foreach (Peer peer in (IEnumerable<Peer>)[.. unacknowledged, .. probed, .. idle])
        {
            Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established), "nobody was given up for it");
        }

        foreach (Peer peer in (IEnumerable<Peer>)[.. unacknowledged, .. probed])
        {
            peer.Send(Seg.Ack(), int.MaxValue);
            for (int i = 0; i < 40 && peer.Stream.Count < 3000; i++)
            {
                host.Advance(1);
                peer.TakeAndAcknowledge();
            }

            Assert.That(peer.Stream, Is.EqualTo(Pattern(3000)));
        }

        host.TakeAll();
        host.Finish();
    }
}
