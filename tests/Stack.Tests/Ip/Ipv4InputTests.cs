using Tcpcrypt.Core;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

/// <summary>Section 1 of the hostile-input catalogue.</summary>
public sealed class Ipv4InputTests
{
    private CoreHarness _net = null!;

    [SetUp]
    public void SetUp() => _net = new CoreHarness();

    [TearDown]
    public void TearDown() => _net.AssertAlive();

    [Test]
    [Spec("791-1")]
    public void HI_IP_01_short_reads_are_dropped([Range(0, 19)] int length)
    {
        byte[] packet = new byte[length];
        if (length > 0)
        {
            packet[0] = 0x45;
        }

        _net.AssertDropped(packet, DropReason.IpTooShort);
    }

    [Test]
    [Spec("791-1")]
    public void HI_IP_02_other_versions_are_dropped_and_counted([Values(0, 5, 6, 15)] int version)
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, Packets.Pattern(40));
        packet[0] = (byte)((version << 4) | 5);
        _net.AssertDropped(packet, DropReason.IpNotVersion4);
    }

    [Test]
    [Spec("791-1")]
    public void HI_IP_03_impossible_header_lengths_are_dropped([Values(0, 1, 2, 3, 4, 15)] int ihl)
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, [1, 2]);
        packet[0] = (byte)(0x40 | ihl);
        _net.AssertDropped(Packets.FixChecksum(packet), DropReason.IpBadHeaderLength);
    }

    [Test]
    [Spec("791-1")]
    public void HI_IP_04_impossible_total_lengths_are_dropped([Values(0, 1, 19, 33, 65535)] int totalLength)
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, [1, 2, 3, 4]);
        packet[2] = (byte)(totalLength >> 8);
        packet[3] = (byte)totalLength;
        _net.AssertDropped(Packets.FixChecksum(packet), DropReason.IpBadTotalLength);
    }

    [Test]
    [Spec("791-1")]
    public void HI_IP_05_trailing_junk_is_trimmed_from_echo_and_udp()
    {
        byte[] junk = [.. Enumerable.Repeat((byte)0xEE, 26)];
        _net.Inject([.. Packets.Echo(Them, Us, 1, 1, "data"u8), .. junk]);
        Assert.That(_net.TakeOne(), Has.Length.EqualTo(20 + 8 + 4));

        Assert.That(_net.Core.Udp.Bind(new Endpoint4(Us, 9), out Udp.UdpEndpoint? endpoint), Is.EqualTo(System.Net.Sockets.SocketError.Success));
        _net.Inject([.. Packets.Udp(Them, 5, Us, 9, "data"u8), .. junk]);
        Assert.That(endpoint!.TryReceive(new byte[100], out Udp.UdpArrival arrival), Is.True);
        Assert.That(arrival.Length, Is.EqualTo(4));
    }

    [Test]
    [Spec("791-1")]
    public void HI_IP_06_a_wrong_header_checksum_is_dropped()
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, "x"u8);
        _net.AssertDropped(Packets.Change(packet, 10, (byte)~packet[10]), DropReason.IpBadChecksum);
    }

    [TestCase(new byte[] { 7, 0, 4, 0 }, 21, TestName = "HI_IP_07 record route of length 0")]
    [TestCase(new byte[] { 7, 1, 4, 0 }, 21, TestName = "HI_IP_07 record route of length 1")]
    [TestCase(new byte[] { 99, 0, 0, 0 }, 21, TestName = "HI_IP_07 unknown option of length 0")]
    [TestCase(new byte[] { 99, 1, 0, 0 }, 21, TestName = "HI_IP_07 unknown option of length 1")]
    [TestCase(new byte[] { 1, 1, 99, 5 }, 23, TestName = "HI_IP_07 option past the header")]
    [TestCase(new byte[] { 1, 1, 1, 99 }, 23, TestName = "HI_IP_07 option without its length")]
    [TestCase(new byte[] { 68, 4, 4, 0 }, 22, TestName = "HI_IP_07 timestamp pointer too small")]
    [TestCase(new byte[] { 7, 4, 3, 0 }, 22, TestName = "HI_IP_07 record route pointer too small")]
    [TestCase(new byte[] { 148, 3, 0, 0 }, 21, TestName = "HI_IP_07 router alert of length 3")]
    [Spec("1122-4")]
    public void Malformed_options_get_a_parameter_problem_that_points_at_them(byte[] options, int pointer)
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, "data"u8, options);
        _net.Inject(packet);
        Assert.That(_net.Counters[DropReason.IpBadOptions], Is.EqualTo(1));
        byte[] error = _net.TakeOne();
        Assert.That(error[20], Is.EqualTo(IcmpType.ParameterProblem));
        Assert.That(error[21], Is.Zero);
        Assert.That(error[24], Is.EqualTo(pointer));
        Assert.That(error[28..], Is.EqualTo(packet));
    }

    [TestCase(new byte[] { 1, 1, 1, 1 }, TestName = "HI_IP_07 only NOPs")]
    [TestCase(new byte[] { 0, 7, 0, 99 }, TestName = "HI_IP_07 end of list, then garbage")]
    [TestCase(new byte[] { 99, 4, 1, 2 }, TestName = "HI_IP_07 unknown option")]
    [TestCase(new byte[] { 7, 7, 4, 0, 0, 0, 0, 0 }, TestName = "HI_IP_09 record route")]
    [TestCase(new byte[] { 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, TestName = "HI_IP_09 timestamp")]
    [TestCase(new byte[] { 148, 4, 0, 0 }, TestName = "HI_IP_09 router alert")]
    [Spec("1122-4")]
    [Spec("9293-MUST-50")]
    public void Packets_with_legal_or_unknown_options_are_processed(byte[] options)
    {
        _net.Inject(Packets.Echo(Them, Us, 3, 4, "data"u8, options));
        byte[] reply = _net.TakeOne();
        Assert.That(PacketPrinter.Format(reply), Is.EqualTo("10.0.0.2 > 10.0.0.1 icmp echo reply id 3 seq 4 (4)"));

        _ = _net.Core.Udp.Bind(new Endpoint4(Us, 9), out Udp.UdpEndpoint? endpoint);
        _net.Inject(Packets.Udp(Them, 5, Us, 9, "abc"u8, options));
        byte[] data = new byte[10];
        Assert.That(endpoint!.TryReceive(data, out Udp.UdpArrival arrival), Is.True);
        Assert.That(data.AsSpan(0, arrival.Count).SequenceEqual("abc"u8), Is.True);

        _net.Inject(Packets.Tcp(Them, 4000, Us, 81, TcpFlags.Syn, ipOptions: options));
        Assert.That(_net.Counters.TcpInSegs, Is.EqualTo(1));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.Contain(" R. "));
    }

    [Test]
    public void HI_IP_07_forty_octets_of_any_option_type_end_somehow([Range(0, 255)] int type)
    {
        byte[] options = [.. Enumerable.Repeat((byte)type, 40)];
        _net.Inject(Packets.Echo(Them, Us, 1, 1, "x"u8, options));
        Assert.That(_net.Take(), Has.Count.AtMost(1));
    }

    [TestCase(new byte[] { 131, 7, 4, 6, 6, 6, 6, 0 }, TestName = "HI_IP_08 loose source route")]
    [TestCase(new byte[] { 137, 7, 4, 6, 6, 6, 6, 0 }, TestName = "HI_IP_08 strict source route")]
    [TestCase(new byte[] { 131, 7, 3, 6, 6, 6, 6, 0 }, TestName = "HI_IP_08 pointer 3")]
    [TestCase(new byte[] { 131, 7, 8, 6, 6, 6, 6, 0 }, TestName = "HI_IP_08 pointer behind the end")]
    [TestCase(new byte[] { 131, 7, 255, 6, 6, 6, 6, 0 }, TestName = "HI_IP_08 pointer 255")]
    [TestCase(new byte[] { 131, 3, 4, 131, 3, 4, 0, 0 }, TestName = "HI_IP_08 two of them")]
    [TestCase(new byte[] { 131, 0, 0, 0 }, TestName = "HI_IP_08 length 0")]
    [Spec("1122-4")]
    public void Source_routes_are_dropped_in_silence(byte[] options)
    {
        _net.AssertDropped(Packets.Echo(Them, Us, 1, 1, "x"u8, options), DropReason.IpSourceRoute);
        _net.AssertDropped(Packets.Tcp(Them, 1, Us, 2, TcpFlags.Syn, ipOptions: options), DropReason.IpSourceRoute);
    }

    [Test]
    [Spec("1122-3")]
    public void HI_IP_10_martian_sources_are_dropped_for_every_protocol(
        [Values("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "10.0.0.255", "10.0.0.2", "192.0.2.9")] string text)
    {
        Ipv4Address source = Ipv4Address.Parse(text);
        _net.AssertDropped(Packets.Tcp(source, 80, Us, 80, TcpFlags.Syn), DropReason.IpMartianSource);
        _net.AssertDropped(Packets.Udp(source, 9, Us, 9, "x"u8), DropReason.IpMartianSource);
        _net.AssertDropped(Packets.Echo(source, Us, 1, 1, "x"u8), DropReason.IpMartianSource);
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True, "no state");
    }

    [Test]
    [Spec("1122-2")]
    [Spec("9293-MUST-57")]
    public void HI_IP_11_tcp_to_broadcast_multicast_or_strangers_is_dropped(
        [Values("255.255.255.255", "10.0.0.255", "224.0.0.1", "10.0.0.77", "127.0.0.1", "0.0.0.0", "8.8.8.8")] string text,
        [Values(TcpFlags.Syn, TcpFlags.Ack, TcpFlags.Rst)] int flags)
    {
        Ipv4Address destination = Ipv4Address.Parse(text);
        bool isBroadcast = text.EndsWith(".255", StringComparison.Ordinal);
        _net.AssertDropped(Packets.Tcp(Them, 1, destination, 2, (TcpFlags)flags), isBroadcast ? DropReason.IpBroadcastDestination : DropReason.IpNotLocalDestination);
    }

    [Test]
    [Spec("1122-8")]
    public void HI_IP_12_unknown_protocols_get_protocol_unreachable([Range(0, 255)] int protocol)
    {
        if (protocol is IpProtocol.Icmp or IpProtocol.Tcp or IpProtocol.Udp)
        {
            return;
        }

        byte[] packet = Packets.Ip((byte)protocol, Them, Us, Packets.Pattern(30));
        _net.Inject(packet);
        Assert.That(_net.Counters[DropReason.IpUnknownProtocol], Is.EqualTo(1));
        byte[] error = _net.TakeOne();
        Assert.That(error[20..22], Is.EqualTo(new byte[] { IcmpType.DestinationUnreachable, UnreachableCode.Protocol }));
        Assert.That(error[28..], Is.EqualTo(packet));
    }

    [Test]
    [Spec("1122-9")]
    [Spec("1122-10")]
    public void HI_IP_12_none_for_broadcast_or_fragments_and_the_rate_is_limited()
    {
        _net.AssertDropped(Packets.Ip(99, Them, Ipv4Address.Broadcast, new byte[8]), DropReason.IpUnknownProtocol);
        _net.Inject(Packets.Ip(99, Them, Us, new byte[8], offset: 8, more: true));
        _net.AssertSilence();
        for (int i = 0; i < 1000; i++)
        {
            _net.Inject(Packets.Ip(99, Them, Us, new byte[8]));
        }

        Assert.That(_net.Take(), Has.Count.InRange(1, Ip.IcmpRateLimiter.DestinationBurst));
        Assert.That(_net.Counters.IcmpOutRateLimited, Is.GreaterThanOrEqualTo(990));
    }

    [Test]
    [Spec("791-2")]
    public void HI_IP_13_time_to_live_0_and_1_are_accepted([Values(0, 1)] int ttl)
    {
        _net.Inject(Packets.Echo(Them, Us, 1, 1, "x"u8, ttl: (byte)ttl));
        byte[] reply = _net.TakeOne();
        Assert.That(reply[8], Is.EqualTo(64));
    }

    [Test]
    public void HI_IP_14_nested_packets_are_an_unknown_protocol()
    {
        byte[] packet = Packets.Echo(Them, Us, 1, 1, "inner"u8);
        for (int i = 0; i < 10; i++)
        {
            packet = Packets.Ip(4, Them, Us, packet);
        }

        _net.Inject(packet);
        Assert.That(_net.Counters[DropReason.IpUnknownProtocol], Is.EqualTo(1));
        Assert.That(_net.Counters.IcmpInEchos, Is.Zero);
        Assert.That(_net.TakeOne()[21], Is.EqualTo(UnreachableCode.Protocol));
        _net.Inject(Packets.Ip(41, Them, Us, new byte[40]));
        Assert.That(_net.Counters[DropReason.IpUnknownProtocol], Is.EqualTo(2));
        _ = _net.Take();
    }

    [Test]
    [Spec("1122-5")]
    public void Packets_for_others_are_not_forwarded_and_replies_come_from_the_address_asked()
    {
        _net.AssertDropped(Packets.Echo(Them, Far, 1, 1, "x"u8), DropReason.IpNotLocalDestination);
        Ipv4Address second = Ipv4Address.Parse("192.0.2.9");
        _net.Inject(Packets.Echo(Them, second, 1, 1, "x"u8));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.StartWith("192.0.2.9 > 10.0.0.1 icmp echo reply"));
        _net.Inject(Packets.Udp(Them, 5, second, 9, "x"u8));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.StartWith("192.0.2.9 > 10.0.0.1 icmp unreachable port"));
    }

    [Test]
    public void A_super_segment_is_taken_whole_although_its_total_length_is_wrong()
    {
        byte[] packet = Packets.Tcp(Them, 4000, Us, 81, TcpFlags.Ack, data: Packets.Pattern(5000));
        packet[2] = 5;
        packet[3] = 220;
        Packets.FixChecksum(packet);
        _net.Inject(packet, gsoSize: 1460, ChecksumState.Partial);
        Assert.That(_net.Counters.TcpInSegs, Is.EqualTo(4));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.Contain(" R "));
    }

    [Test]
    public void The_header_checksum_of_a_super_segment_is_checked_when_it_is_there()
    {
        byte[] packet = Packets.Tcp(Them, 4000, Us, 81, TcpFlags.Ack, data: Packets.Pattern(5000));
        _net.AssertDropped(Packets.Change(packet, 10, (byte)~packet[10]), DropReason.IpBadChecksum, gsoSize: 1460);
        packet[10] = packet[11] = 0;
        _net.AssertDropped(packet, DropReason.IpBadChecksum);
        _net.Inject(packet, gsoSize: 1460, ChecksumState.Verified);
        Assert.That(_net.Counters.TcpInSegs, Is.EqualTo(4));
        _ = _net.Take();
    }

    [Test]
    public void Only_tcp_comes_as_a_super_segment()
    {
        _net.AssertDropped(Packets.Udp(Them, 1, Us, 2, Packets.Pattern(3000)), DropReason.IpBadTotalLength, gsoSize: 1400);
        _net.AssertDropped(Packets.Ip(6, Them, Us, Packets.Pattern(3000), offset: 1480), DropReason.IpBadTotalLength, gsoSize: 1400);
    }

    [Test]
    public void Packets_to_own_addresses_come_back_and_may_carry_them_as_source()
    {
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Us, 3000, 64, false, TimeSpan.FromSeconds(1), out Ip.EchoExchange? exchange), Is.EqualTo(System.Net.Sockets.SocketError.Success));
        _net.AssertSilence();
        Assert.That(exchange!.Status, Is.EqualTo(System.Net.NetworkInformation.IPStatus.Success));
        Assert.That(exchange.From, Is.EqualTo(Us));
    }

    [Test]
    public void Every_one_of_a_hundred_thousand_mangled_packets_is_survived()
    {
        byte[][] seeds =
        [
            Packets.Echo(Them, Us, 1, 1, Packets.Pattern(40), options: [7, 7, 4, 0, 0, 0, 0, 0]),
            Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40)),
            Packets.Tcp(Them, 5, Us, 9, TcpFlags.Syn, options: [2, 4, 5, 180, 3, 3, 7, 0]),
            Packets.Icmp(Them, Us, 3, 4, 500, Packets.Udp(Us, 9, Them, 5, Packets.Pattern(40))),
            Packets.Ip(17, Them, Us, Packets.Pattern(64), offset: 64, more: true),
        ];
        Random random = new(5);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] packet = (byte[])seeds[i % seeds.Length].Clone();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
            {
                packet[random.Next(packet.Length)] = (byte)random.Next(256);
            }

            int cut = random.Next(8) == 0 ? random.Next(packet.Length) : packet.Length;
            if (packet.Length >= 20 && random.Next(4) > 0)
            {
                Packets.FixChecksum(packet);
            }

            _net.Inject(packet.AsSpan(0, cut));
            Assert.That(_net.Take(), Has.Count.AtMost(1));
        }

        _net.Advance(TimeSpan.FromHours(1));
        _ = _net.Take();
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
    }
}
