using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

/// <summary>Section 3 of the hostile-input catalogue, and echo both ways.</summary>
public sealed class IcmpTests
{
    private CoreHarness _net = null!;

    [SetUp]
    public void SetUp() => _net = new CoreHarness();

    [TearDown]
    public void TearDown() => Assert.That(_net.Core.NextDeadline.IsNever || _net.Core.NextDeadline > _net.Now, Is.True);

    [Test]
    [Spec("792-1")]
    [Spec("2474-1")]
    public void An_echo_request_is_answered_whole_from_the_address_asked()
    {
        _net.Inject(Packets.Echo(Them, Us, 0x1234, 7, Packets.Pattern(56), tos: 0xBA));
        byte[] reply = _net.TakeOne();
        Assert.That(PacketPrinter.Format(reply), Is.EqualTo("10.0.0.2 > 10.0.0.1 icmp echo reply id 4660 seq 7 (56)"));
        Assert.That(reply[28..], Is.EqualTo(Packets.Pattern(56)));
        Assert.That(InternetChecksum.IsValid(reply.AsSpan(20)), Is.True);
        Assert.That(reply[1], Is.EqualTo(0xB8), "the service class comes back, the ECN field does not");
        Assert.That(_net.Counters.IcmpInEchos, Is.EqualTo(1));
        Assert.That(_net.Counters.IcmpOutEchoReps, Is.EqualTo(1));
    }

    [Test]
    public void Echo_can_be_switched_off()
    {
        _net = new CoreHarness(Options(respondToEcho: false));
        _net.AssertDropped(Packets.Echo(Them, Us, 1, 1, "x"u8), DropReason.IcmpIgnoredType);
    }

    [Test]
    [Spec("792-1")]
    public void HI_ICMP_01_short_and_damaged_messages_are_dropped()
    {
        for (int length = 0; length < 8; length++)
        {
            _net.AssertDropped(Packets.Ip(1, Them, Us, new byte[length]), DropReason.IcmpTooShort);
        }

        byte[] echo = Packets.Echo(Them, Us, 1, 1, "data"u8);
        _net.AssertDropped(Packets.Change(echo, 30, 0xFF), DropReason.IcmpBadChecksum);
        Assert.That(_net.Counters.IcmpInErrors, Is.EqualTo(9));
    }

    [Test]
    [Spec("792-1")]
    [Spec("1122-7")]
    public void HI_ICMP_01_the_longest_echo_comes_back_whole([Values(1500, 576)] int mtu)
    {
        _net = new CoreHarness(Options(mtu));
        byte[] data = Packets.Pattern(65_507);
        foreach (byte[] fragment in Packets.Fragment(Packets.Echo(Them, Us, 1, 2, data), (mtu - 20) & ~7))
        {
            _net.Inject(fragment);
        }

        List<byte[]> replies = _net.Take();
        Assert.That(_net.Counters.IpFragCreates, Is.EqualTo(replies.Count));
        Assert.That(_net.Counters.IpFragOKs, Is.EqualTo(1));
        Assert.That(Join(replies).AsSpan(8).SequenceEqual(data), Is.True);
    }

    [Test]
    [Spec("1122-12")]
    public void HI_ICMP_02_quotes_cut_short_or_lying_are_dropped()
    {
        byte[] quoted = Packets.Udp(Us, 9, Them, 5, "abcd"u8);
        for (int length = 0; length < 28; length++)
        {
            _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, quoted.AsSpan(0, length)), DropReason.IcmpBadQuote);
        }

        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 0, 0x4F)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 0, 0x44)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 0, 0x65)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 3, 27)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 7, 1)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Change(quoted, 9, 99)), DropReason.IcmpNoSuchFlow);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Udp(Far, 9, Them, 5, "abcd"u8)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Udp(Us, 9, Ipv4Address.Broadcast, 5, "abcd"u8)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 3, 0, Packets.Icmp(Us, Them, 3, 3, 0, quoted)), DropReason.IcmpBadQuote);
        _net.AssertDropped(Packets.Icmp(Them, Us, 3, 200, 0, quoted), DropReason.IcmpUnknownType);
        _net.AssertDropped(Packets.Icmp(Them, Us, 11, 2, 0, quoted), DropReason.IcmpUnknownType);
    }

    [Test]
    [Spec("1122-11")]
    [Spec("9293-MUST-55")]
    public void HI_ICMP_05_source_quench_redirects_and_queries_are_ignored([Values(4, 5, 9, 10, 13, 14, 15, 16, 17, 18)] int type)
    {
        byte[] quoted = Packets.Tcp(Us, 9, Them, 5, TcpFlags.Ack);
        _net.AssertDropped(Packets.Icmp(Them, Us, (byte)type, 0, 0x0808_0808, quoted), DropReason.IcmpIgnoredType);
        Assert.That(_net.Core.Ip.TryRoute(Far, out Ipv4Route route), Is.True);
        Assert.That(route, Is.EqualTo(new Ipv4Route(Us, 1500)));
    }

    [Test]
    [Spec("1122-11")]
    public void Unknown_types_are_dropped([Values(1, 2, 6, 7, 19, 30, 42, 253, 255)] int type) =>
        _net.AssertDropped(Packets.Icmp(Them, Us, (byte)type, 0, 0, new byte[40]), DropReason.IcmpUnknownType);

    [Test]
    [Spec("1122-9")]
    public void HI_ICMP_06_errors_are_never_about_errors_broadcasts_or_later_fragments()
    {
        byte[] badOptions = [99, 0, 0, 0];
        byte[] quoted = Packets.Udp(Us, 9, Them, 5, "abcd"u8);
        foreach (byte type in (byte[])[3, 4, 5, 11, 12, 99])
        {
            _net.AssertDropped(Packets.Icmp(Them, Us, type, 0, 0, quoted, badOptions), DropReason.IpBadOptions);
        }

        _net.AssertDropped(Packets.Ip(1, Them, Us, [], badOptions), DropReason.IpBadOptions);
        _net.AssertDropped(Packets.Udp(Them, 1, Ipv4Address.Broadcast, 2, "x"u8), DropReason.UdpNoPort);
        _net.AssertDropped(Packets.Udp(Them, 1, Ipv4Address.Parse("10.0.0.255"), 2, "x"u8, badOptions), DropReason.IpBadOptions);
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[16], badOptions, offset: 16), DropReason.IpBadOptions);
        Assert.That(_net.Counters.IcmpOutErrors, Is.Zero);
    }

    [Test]
    [Spec("1122-8")]
    public void An_error_quotes_the_packet_up_to_576_octets()
    {
        byte[] shortOne = Packets.Udp(Them, 1, Us, 2, Packets.Pattern(100));
        _net.Inject(shortOne);
        byte[] error = _net.TakeOne();
        Assert.That(error[20..22], Is.EqualTo(new byte[] { 3, 3 }));
        Assert.That(error[28..], Is.EqualTo(shortOne));
        Assert.That(error[1], Is.Zero);
        Assert.That(InternetChecksum.IsValid(error.AsSpan(20)), Is.True);

        byte[] longOne = Packets.Udp(Them, 1, Us, 2, Packets.Pattern(1400));
        _net.Inject(longOne);
        error = _net.TakeOne();
        Assert.That(error, Has.Length.EqualTo(576));
        Assert.That(error[28..], Is.EqualTo(longOne[..548]));
    }

    [Test]
    [Spec("1122-10")]
    public void HI_ICMP_07_the_limit_of_one_destination_does_not_touch_another_and_refills()
    {
        for (int i = 0; i < 100; i++)
        {
            _net.Inject(Packets.Udp(Far, 1, Us, 2, "x"u8));
        }

        Assert.That(_net.Take(), Has.Count.EqualTo(IcmpRateLimiter.DestinationBurst));
        _net.Inject(Packets.Udp(Them, 1, Us, 2, "x"u8));
        Assert.That(_net.Take(), Has.Count.EqualTo(1));
        _net.Advance(TimeSpan.FromSeconds(1));
        for (int i = 0; i < 100; i++)
        {
            _net.Inject(Packets.Udp(Far, 1, Us, 2, "x"u8));
        }

        Assert.That(_net.Take(), Has.Count.EqualTo(IcmpRateLimiter.DestinationPerSecond));
    }

    [Test]
    [Spec("1122-10")]
    public void HI_ICMP_07_the_limit_of_all_holds_and_its_depth_cannot_be_counted()
    {
        HashSet<int> bursts = [];
        for (ulong seed = 1; seed <= 20; seed++)
        {
            CoreHarness net = new(seed: seed);
            for (uint i = 0; i < 1000; i++)
            {
                net.Inject(Packets.Udp(new Ipv4Address(0x0B00_0000 + i), 1, Us, 2, "x"u8));
            }

            bursts.Add(net.Take().Count);
        }

        Assert.That(bursts, Has.All.InRange(2, 50));
        long sent = 0;
        for (uint i = 0; i < 5000; i++)
        {
            _net.Inject(Packets.Udp(new Ipv4Address(0x0B00_0000 + i), 1, Us, 2, "x"u8));
            sent += _net.Take().Count;
            _net.Advance(TimeSpan.FromMicroseconds(100));
        }

        Assert.That(sent, Is.InRange(400, 560), "1000 a second over half a second, and a burst");

        // A burst that a stranger takes for himself tells how full the bucket was only roughly: the next decision has another depth.
        IcmpRateLimiter limiter = new(1000, new SeededRandom(9));
        HashSet<int> depths = [];
        for (int round = 0; round < 50; round++)
        {
            int taken = 0;
            TcpInstant now = new(round * 1_000_000_000L);
            for (uint i = 0; i < 60 && limiter.TryTake(now, new Ipv4Address((uint)(round * 64) + i)); i++)
            {
                taken++;
            }

            depths.Add(taken);
        }

        Assert.That(depths, Has.Count.GreaterThan(5));
    }

    [Test]
    public void No_errors_are_sent_when_the_limit_is_zero()
    {
        _net = new CoreHarness(Options(icmpPerSecond: 0));
        _net.AssertDropped(Packets.Udp(Them, 1, Us, 2, "x"u8), DropReason.UdpNoPort);
    }

    [Test]
    [Spec("792-1")]
    public void HI_ICMP_08_echo_to_broadcast_or_multicast_is_ignored()
    {
        _net.AssertDropped(Packets.Echo(Them, Ipv4Address.Broadcast, 1, 1, "x"u8), DropReason.IcmpBroadcastEcho);
        _net.AssertDropped(Packets.Echo(Them, Ipv4Address.Parse("10.0.0.255"), 1, 1, "x"u8), DropReason.IcmpBroadcastEcho);
        _net.AssertDropped(Packets.Echo(Them, Ipv4Address.Parse("224.0.0.1"), 1, 1, "x"u8), DropReason.IpNotLocalDestination);
    }

    [Test]
    [Spec("1122-8")]
    public void HI_ICMP_09_fragmentation_needed_carries_the_next_hops_mtu()
    {
        Ipv4Header.TryParse(Packets.Udp(Them, 5, Us, 9, "abcd"u8), out Ipv4Header about);
        _net.Core.Ip.SendUnreachable(_net.Now, about, UnreachableCode.FragmentationNeeded, 1280);
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.Contain("fragmentation needed mtu 1280"));
    }

    [Test]
    [Spec("9293-MUST-54")]
    [Spec("1122-12")]
    public void A_port_unreachable_reaches_the_connected_udp_endpoint_it_is_about()
    {
        UdpEndpoint endpoint = Bind(9);
        byte[] quoted = Packets.Udp(Us, 9, Them, 5, "abcd"u8);
        _net.Inject(Packets.Icmp(Them, Us, 3, 3, 0, quoted));
        Assert.That(endpoint.TakeError(), Is.EqualTo(SocketError.Success), "not connected: not told");

        Assert.That(endpoint.Connect(_net.Now, new Endpoint4(Them, 5)), Is.EqualTo(SocketError.Success));
        _net.Inject(Packets.Icmp(Far, Us, 3, 3, 0, Packets.Udp(Us, 9, Them, 6, "abcd"u8)));
        _net.Inject(Packets.Icmp(Far, Us, 3, 4, 100, quoted));
        Assert.That(endpoint.TakeError(), Is.EqualTo(SocketError.Success), "another peer's, or too big");

        _net.Inject(Packets.Icmp(Them, Us, 3, 3, 0, quoted.AsSpan(0, 28)));
        Assert.That(_net.TakeEvents(endpoint), Is.EqualTo(CoreEvents.Notice));
        Assert.That(endpoint.TakeError(), Is.EqualTo(SocketError.ConnectionRefused));
        Assert.That(endpoint.TakeError(), Is.EqualTo(SocketError.Success), "cleared by reading");

        _net.Inject(Packets.Icmp(Far, Us, 11, 0, 0, quoted));
        Assert.That(endpoint.TakeError(), Is.EqualTo(SocketError.HostUnreachable));
    }

    [Test]
    public void A_ping_goes_out_and_its_reply_ends_it()
    {
        EchoExchange exchange = Ping(Far, 56);
        byte[] request = _net.TakeOne();
        Assert.That(PacketPrinter.Format(request), Does.StartWith("10.0.0.2 > 198.51.100.7 icmp echo request").And.EndsWith("(56)"));
        Assert.That(request[8], Is.EqualTo(33));
        _net.Advance(TimeSpan.FromMilliseconds(25));
        _net.Inject(Reply(request, Far, ttl: 60));
        Assert.That(_net.TakeEvents(exchange), Is.EqualTo(CoreEvents.Closed));
        Assert.That(exchange.Status, Is.EqualTo(IPStatus.Success));
        Assert.That(exchange.RoundTrip, Is.EqualTo(TimeSpan.FromMilliseconds(25)));
        Assert.That(exchange.From, Is.EqualTo(Far));
        Assert.That(exchange.TimeToLive, Is.EqualTo(60));
        _net.AssertDropped(Reply(request, Far), DropReason.IcmpNoSuchFlow);
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True);
    }

    [Test]
    public void A_reply_from_another_host_or_with_other_numbers_or_data_is_not_believed()
    {
        EchoExchange exchange = Ping(Far, 16);
        byte[] request = _net.TakeOne();
        _net.AssertDropped(Reply(request, Them), DropReason.IcmpNoSuchFlow);
        for (int i = 4; i < 8; i++)
        {
            byte[] message = request[20..];
            message[0] = 0;
            message[i] ^= 1;
            _net.AssertDropped(Packets.Icmp(Far, Us, 0, 0, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(message.AsSpan(4)), message.AsSpan(8)), DropReason.IcmpNoSuchFlow);
        }

        byte[] other = Reply(Packets.Change(request, 30, 0xEE), Far);
        _net.AssertDropped(other, DropReason.IcmpNoSuchFlow);
        Assert.That(exchange.IsEnded, Is.False);
        _net.Inject(Reply(request, Far));
        Assert.That(exchange.Status, Is.EqualTo(IPStatus.Success));
    }

    [TestCase(11, 0, IPStatus.TtlExpired)]
    [TestCase(11, 1, IPStatus.TtlReassemblyTimeExceeded)]
    [TestCase(3, 0, IPStatus.DestinationNetworkUnreachable)]
    [TestCase(3, 1, IPStatus.DestinationHostUnreachable)]
    [TestCase(3, 2, IPStatus.DestinationProtocolUnreachable)]
    [TestCase(3, 3, IPStatus.DestinationPortUnreachable)]
    [TestCase(3, 5, IPStatus.BadRoute)]
    [TestCase(3, 13, IPStatus.DestinationProhibited)]
    [TestCase(12, 0, IPStatus.ParameterProblem)]
    [Spec("1122-12")]
    public void An_error_about_a_ping_ends_it(int type, int code, IPStatus expected)
    {
        EchoExchange exchange = Ping(Far, 16);
        byte[] request = _net.TakeOne();
        _net.Inject(Packets.Icmp(Them, Us, (byte)type, (byte)code, 0, request.AsSpan(0, 28)));
        Assert.That(_net.TakeEvents(exchange), Is.EqualTo(CoreEvents.Closed));
        Assert.That(exchange.Status, Is.EqualTo(expected));
        Assert.That(exchange.From, Is.EqualTo(Them));
    }

    [Test]
    [Spec("1191-1")]
    public void A_ping_too_big_for_the_path_learns_its_mtu()
    {
        EchoExchange exchange = Ping(Far, 1400, dontFragment: true);
        byte[] request = _net.TakeOne();
        Assert.That(request[6] & 0x40, Is.Not.Zero);
        _net.Inject(Packets.Icmp(Them, Us, 3, 4, 1300, request.AsSpan(0, 28)));
        Assert.That(exchange.Status, Is.EqualTo(IPStatus.PacketTooBig));
        Assert.That(exchange.PathMtu, Is.EqualTo(1300));
        Assert.That(_net.Core.Ip.PathMtu(_net.Now, Far), Is.EqualTo(1300));
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Far, 1400, 64, true, TimeSpan.FromSeconds(1), out _), Is.EqualTo(SocketError.MessageSize));
    }

    [Test]
    [Spec("1191-1")]
    public void A_router_that_does_not_say_its_mtu_gets_the_plateau_below()
    {
        EchoExchange exchange = Ping(Far, 1472, dontFragment: true);
        byte[] request = _net.TakeOne();
        _net.Inject(Packets.Icmp(Them, Us, 3, 4, 0, request.AsSpan(0, 28)));
        Assert.That(exchange.PathMtu, Is.EqualTo(1492));
    }

    [Test]
    public void A_ping_without_an_answer_times_out_and_a_cancelled_one_is_forgotten()
    {
        EchoExchange exchange = Ping(Far, 16);
        EchoExchange cancelled = Ping(Far, 16);
        Assert.That(_net.Take(), Has.Count.EqualTo(2));
        cancelled.Cancel();
        _net.Advance(TimeSpan.FromMilliseconds(999));
        Assert.That(exchange.IsEnded, Is.False);
        _net.Advance(TimeSpan.FromMilliseconds(1));
        Assert.That(exchange.Status, Is.EqualTo(IPStatus.TimedOut));
        Assert.That(_net.TakeEvents(exchange), Is.EqualTo(CoreEvents.Closed));
        Assert.That(_net.TakeEvents(cancelled), Is.EqualTo(CoreEvents.None));
        Assert.That(cancelled.IsEnded, Is.False);
        exchange.Cancel();
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True);
    }

    [Test]
    public void Pings_differ_unpredictably_and_their_number_is_bounded()
    {
        HashSet<uint> keys = [];
        for (int i = 0; i < IcmpLayer.MaxExchanges; i++)
        {
            keys.Add(Ping(Far, 0).Key);
            _ = _net.Take();
        }

        Assert.That(keys, Has.Count.EqualTo(IcmpLayer.MaxExchanges));
        Assert.That(keys.Zip(keys.Skip(1), (a, b) => unchecked(b - a)).Distinct().Count(), Is.GreaterThan(4000));
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Far, 0, 64, false, TimeSpan.FromSeconds(1), out _), Is.EqualTo(SocketError.NoBufferSpaceAvailable));
        _net.Advance(TimeSpan.FromSeconds(2));
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True);
    }

    [Test]
    public void A_ping_that_cannot_be_sent_says_why()
    {
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Far, 65_508, 64, false, TimeSpan.FromSeconds(1), out EchoExchange? none), Is.EqualTo(SocketError.MessageSize));
        Assert.That(none, Is.Null);
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Far, 1, 0, false, TimeSpan.FromSeconds(1), out _), Is.EqualTo(SocketError.InvalidArgument));
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Ipv4Address.Broadcast, 1, 64, false, TimeSpan.FromSeconds(1), out _), Is.EqualTo(SocketError.NetworkUnreachable));
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, Far, 1500, 64, true, TimeSpan.FromSeconds(1), out _), Is.EqualTo(SocketError.MessageSize));
        _net.AssertSilence();
    }

    [Test]
    public void A_long_ping_leaves_in_fragments()
    {
        _ = Ping(Far, 65_507);
        List<byte[]> fragments = _net.Take();
        byte[] whole = Join(fragments);
        Assert.That(fragments, Has.Count.EqualTo(45));
        Assert.That(whole, Has.Length.EqualTo(65_515));
        Assert.That(InternetChecksum.IsValid(whole), Is.True);
        _net.Advance(TimeSpan.FromSeconds(1));
    }

    private UdpEndpoint Bind(ushort port)
    {
        Assert.That(_net.Core.Udp.Bind(new Endpoint4(Ipv4Address.Any, port), out UdpEndpoint? endpoint), Is.EqualTo(SocketError.Success));
        endpoint!.Owner = NullSink.Instance;
        return endpoint;
    }

    private EchoExchange Ping(Ipv4Address target, int length, bool dontFragment = false)
    {
        Assert.That(_net.Core.Icmp.SendEcho(_net.Now, target, length, 33, dontFragment, TimeSpan.FromSeconds(1), out EchoExchange? exchange), Is.EqualTo(SocketError.Success));
        exchange!.Owner = NullSink.Instance;
        return exchange;
    }

    private static byte[] Reply(byte[] request, Ipv4Address from, byte ttl = 64) =>
        Packets.Icmp(from, Us, IcmpType.EchoReply, 0, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(24)), request.AsSpan(28), ttl: ttl);

    /// <summary>The payload of fragments in order, each checked.</summary>
    private static byte[] Join(List<byte[]> fragments)
    {
        List<byte> whole = [];
        foreach (byte[] fragment in fragments)
        {
            Ipv4Header.TryParse(fragment, out Ipv4Header ip);
            Assert.That(ip.FragmentOffset, Is.EqualTo(whole.Count));
            Assert.That(ip.HasMoreFragments, Is.EqualTo(fragment != fragments[^1]));
            Assert.That(ip.IsDontFragment, Is.False);
            Ipv4Header.TryParse(fragments[0], out Ipv4Header first);
            Assert.That(ip.Identification, Is.EqualTo(first.Identification));
            whole.AddRange(ip.Payload);
        }

        return [.. whole];
    }
}
