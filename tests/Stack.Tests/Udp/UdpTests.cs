using System.Net.Sockets;
using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class UdpTests
{
    private static readonly Ipv4Address s_second = Ipv4Address.Parse("192.0.2.9");

    private CoreHarness _net = null!;

    [SetUp]
    public void SetUp() => _net = new CoreHarness();

    [Test]
    [Spec("1122-14")]
    public void A_datagram_arrives_with_its_ends_ttl_and_tos()
    {
        UdpEndpoint endpoint = Bind(Ipv4Address.Any, 9);
        _net.Inject(Packets.Udp(Them, 5, s_second, 9, "hello"u8, ttl: 61, tos: 0xB9));
        Assert.That(_net.TakeEvents(endpoint), Is.EqualTo(CoreEvents.Readable));
        Assert.That((endpoint.QueuedDatagrams, endpoint.QueuedOctets), Is.EqualTo((1, 5)));
        byte[] into = new byte[3];
        UdpArrival expected = new(3, 5, new Endpoint4(Them, 5), s_second, 61, 0xB9);
        Assert.That(endpoint.TryReceive(into, out UdpArrival peeked, peek: true), Is.True);
        Assert.That(peeked, Is.EqualTo(expected));
        Assert.That(endpoint.TryReceive(into, out UdpArrival taken), Is.True);
        Assert.That(taken, Is.EqualTo(expected));
        Assert.That(into, Is.EqualTo("hel"u8.ToArray()));
        Assert.That(endpoint.TryReceive(into, out _), Is.False, "what did not fit is lost");
        Assert.That((endpoint.QueuedDatagrams, endpoint.QueuedOctets), Is.EqualTo((0, 0)));
        Assert.That(_net.Counters.UdpInDatagrams, Is.EqualTo(1));
    }

    [Test]
    [Spec("768-1")]
    public void HI_UDP_01_impossible_lengths_are_dropped([Values(0, 1, 7, 13, 65535)] int length)
    {
        _ = Bind(Us, 9);
        byte[] packet = Packets.Udp(Them, 5, Us, 9, "data"u8);
        packet[24] = (byte)(length >> 8);
        packet[25] = (byte)length;
        _net.AssertDropped(packet, DropReason.UdpMalformed);
    }

    [Test]
    [Spec("768-1")]
    public void HI_UDP_01_a_length_below_the_ip_payload_trims()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        byte[] part = [.. Packets.UdpPart(new(Them, 5), new(Us, 9), "data"u8), 0xEE, 0xEE, 0xEE];
        _net.Inject(Packets.Ip(17, Them, Us, part));
        Assert.That(endpoint.QueuedOctets, Is.EqualTo(4));
    }

    [Test]
    [Spec("768-1")]
    [Spec("768-2")]
    public void HI_UDP_01_checksum_zero_is_accepted_and_a_wrong_one_dropped()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        byte[] packet = Packets.Udp(Them, 5, Us, 9, "data"u8);
        _net.AssertDropped(Packets.Change(packet, 26, (byte)(packet[26] ^ 1)), DropReason.UdpBadChecksum);
        packet[26] = packet[27] = 0;
        _net.Inject(packet);
        Assert.That(endpoint.QueuedDatagrams, Is.EqualTo(1));
    }

    [Test]
    public void A_checksum_the_link_vouches_for_is_not_looked_at([Values(ChecksumState.Verified, ChecksumState.Partial)] ChecksumState state)
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        byte[] packet = Packets.Udp(Them, 5, Us, 9, "data"u8);
        _net.Inject(Packets.Change(packet, 26, (byte)(packet[26] ^ 1)), checksum: state);
        Assert.That(endpoint.QueuedDatagrams, Is.EqualTo(1));
    }

    [Test]
    [Spec("768-2")]
    public void HI_UDP_01_source_port_0_is_delivered_and_destination_port_0_has_no_listener()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        _net.Inject(Packets.Udp(Them, 0, Us, 9, "data"u8));
        Assert.That(endpoint.TryReceive([], out UdpArrival arrival), Is.True);
        Assert.That(arrival.Remote.Port, Is.Zero);
        Assert.That(endpoint.Send(_net.Now, "x"u8, arrival.Remote), Is.EqualTo(SocketError.InvalidArgument));
        _net.Inject(Packets.Udp(Them, 5, Us, 0, "data"u8));
        Assert.That(_net.Counters.UdpNoPorts, Is.EqualTo(1));
    }

    [Test]
    [Spec("768-3")]
    public void HI_UDP_02_the_queue_is_bounded_in_octets_and_datagrams()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        endpoint.ReceiveBufferSize = 64 * 1024;
        byte[] big = Packets.Udp(Them, 5, Us, 9, Packets.Pattern(1400));
        byte[] empty = Packets.Udp(Them, 5, Us, 9, []);
        for (int i = 0; i < 1000; i++)
        {
            _net.Inject(big);
        }

        Assert.That(endpoint.QueuedOctets, Is.InRange(60_000, 64 * 1024));
        for (int i = 0; i < 100_000; i++)
        {
            _net.Inject(empty);
        }

        Assert.That(endpoint.QueuedDatagrams, Is.LessThan(1100));
        Assert.That(_net.Counters[DropReason.UdpQueueFull], Is.GreaterThan(100_000 - 100));
        _net.AssertSilence();

        // The newest was lost, not what waited.
        byte[] into = new byte[2000];
        Assert.That(endpoint.TryReceive(into, out UdpArrival first), Is.True);
        Assert.That(into.AsSpan(0, first.Count).ToArray(), Is.EqualTo(Packets.Pattern(1400)));
        _net.Inject(big);
        Assert.That(endpoint.QueuedDatagrams, Is.GreaterThan(40));
    }

    [Test]
    public void HI_UDP_03_no_port_unreachable_for_a_damaged_datagram()
    {
        byte[] packet = Packets.Udp(Them, 5, Us, 9, "data"u8);
        _net.AssertDropped(Packets.Change(packet, 26, (byte)(packet[26] ^ 1)), DropReason.UdpBadChecksum);
        packet[25] = 7;
        _net.AssertDropped(packet, DropReason.UdpMalformed);
    }

    [Test]
    [Spec("1122-14")]
    public void A_closed_port_gets_port_unreachable_but_not_for_a_broadcast()
    {
        _net.Inject(Packets.Udp(Them, 5, Us, 9, "data"u8));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Is.EqualTo("10.0.0.2 > 10.0.0.1 icmp unreachable port [10.0.0.1:5 > 10.0.0.2:9 udp]"));
        _net.AssertDropped(Packets.Udp(Them, 5, Ipv4Address.Broadcast, 9, "data"u8), DropReason.UdpNoPort);
    }

    [Test]
    public void A_broadcast_reaches_an_endpoint_bound_to_all_addresses()
    {
        UdpEndpoint endpoint = Bind(Ipv4Address.Any, 9);
        _net.Inject(Packets.Udp(Them, 5, Ipv4Address.Parse("10.0.0.255"), 9, "all"u8));
        Assert.That(endpoint.TryReceive(new byte[9], out UdpArrival arrival), Is.True);
        Assert.That(arrival.LocalAddress, Is.EqualTo(Ipv4Address.Parse("10.0.0.255")));
    }

    [Test]
    public void Each_address_has_its_own_ports_and_a_connected_endpoint_hears_its_peer_only()
    {
        UdpEndpoint first = Bind(Us, 9);
        UdpEndpoint second = Bind(s_second, 9);
        _net.Inject(Packets.Udp(Them, 5, Us, 9, "1"u8));
        _net.Inject(Packets.Udp(Them, 5, s_second, 9, "22"u8));
        Assert.That((first.QueuedOctets, second.QueuedOctets), Is.EqualTo((1, 2)));

        Assert.That(first.Connect(_net.Now, new Endpoint4(Far, 5)), Is.EqualTo(SocketError.Success));
        _net.Inject(Packets.Udp(Far, 6, Us, 9, "other port"u8));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.Contain("unreachable port"));
        _net.Inject(Packets.Udp(Far, 5, Us, 9, "peer"u8));
        Assert.That(first.QueuedDatagrams, Is.EqualTo(2));
    }

    [Test]
    public void Connecting_settles_the_local_address()
    {
        UdpEndpoint endpoint = Bind(Ipv4Address.Any, 9);
        Assert.That(endpoint.Connect(_net.Now, new Endpoint4(Far, 5)), Is.EqualTo(SocketError.Success));
        Assert.That(endpoint.Local, Is.EqualTo(new Endpoint4(Us, 9)));
        Assert.That(endpoint.Remote, Is.EqualTo(new Endpoint4(Far, 5)));
        Assert.That(endpoint.Connect(_net.Now, new Endpoint4(Ipv4Address.Broadcast, 5)), Is.EqualTo(SocketError.AccessDenied));
        Assert.That(endpoint.Connect(_net.Now, new Endpoint4(Far, 0)), Is.EqualTo(SocketError.InvalidArgument));
    }

    [Test]
    public void A_port_is_taken_once_and_free_again_after_close()
    {
        UdpEndpoint any = Bind(Ipv4Address.Any, 9);
        AssertTaken(Us, 9);
        AssertTaken(Ipv4Address.Any, 9);
        any.Close(_net.Now);
        Assert.That(_net.TakeEvents(any), Is.EqualTo(CoreEvents.Closed));
        UdpEndpoint first = Bind(Us, 9);
        UdpEndpoint second = Bind(s_second, 9);
        AssertTaken(Us, 9);
        AssertTaken(Ipv4Address.Any, 9);
        first.Close(_net.Now);
        second.Close(_net.Now);
        second.Close(_net.Now);
        UdpEndpoint again = Bind(Ipv4Address.Any, 9);
        Assert.That(_net.Core.Udp.Bind(new Endpoint4(Far, 9), out _), Is.EqualTo(SocketError.AddressNotAvailable));
        Assert.That(first.Send(_net.Now, "x"u8, new Endpoint4(Them, 1)), Is.EqualTo(SocketError.OperationAborted));
        Assert.That(first.TryReceive(new byte[1], out _), Is.False);
        Assert.That(again.IsClosed, Is.False);
    }

    [Test]
    [Spec("6056-1")]
    public void Chosen_ports_are_random_distinct_and_in_range()
    {
        List<ushort> ports = [];
        for (int i = 0; i < 200; i++)
        {
            Assert.That(_net.Core.Udp.Bind(new Endpoint4(Ipv4Address.Any, 0), out UdpEndpoint? endpoint), Is.EqualTo(SocketError.Success));
            ports.Add(endpoint!.Local.Port);
        }

        Assert.That(ports, Is.Unique.And.All.InRange(32_768, 60_999));
        Assert.That(ports.Zip(ports.Skip(1), (a, b) => b - a).Distinct().Count(), Is.GreaterThan(150));
    }

    [Test]
    public void When_all_ports_are_taken_none_is_chosen()
    {
        StackCoreOptions options = Options();
        options.Tcp.EphemeralPortFirst = 40_000;
        options.Tcp.EphemeralPortLast = 40_003;
        _net = new CoreHarness(options);
        ushort[] ports = [.. Enumerable.Range(0, 4).Select(_ => Bind(Us, 0).Local.Port)];
        Assert.That(ports, Is.EquivalentTo((ushort[])[40_000, 40_001, 40_002, 40_003]));
        AssertTaken(Us, 0);
    }

    [Test]
    [Spec("768-1")]
    [Spec("768-3")]
    public void A_datagram_is_sent_with_checksum_ttl_and_tos_and_in_fragments_when_long()
    {
        UdpEndpoint endpoint = Bind(s_second, 9);
        endpoint.TimeToLive = 5;
        endpoint.TypeOfService = 0x48;
        Assert.That(endpoint.Send(_net.Now, "hello"u8, new Endpoint4(Them, 7)), Is.EqualTo(SocketError.Success));
        byte[] packet = _net.TakeOne();
        Assert.That(PacketPrinter.Format(packet), Is.EqualTo("192.0.2.9:9 > 10.0.0.1:7 udp (5)"));
        Assert.That((packet[8], packet[1]), Is.EqualTo(((byte)5, (byte)0x48)));
        Assert.That(packet[20..], Is.EqualTo(Packets.UdpPart(new(s_second, 9), new(Them, 7), "hello"u8)));

        byte[] data = Packets.Pattern(65_507);
        Assert.That(endpoint.Send(_net.Now, data, new Endpoint4(Them, 7)), Is.EqualTo(SocketError.Success));
        List<byte[]> fragments = _net.Take();
        CoreHarness other = new(new StackCoreOptions { Addresses = [IPPrefixAddress.Parse("10.0.0.1/24")] });
        _ = other.Core.Udp.Bind(new Endpoint4(Them, 7), out UdpEndpoint? receiver);
        fragments.ForEach(fragment => other.Inject(fragment));
        byte[] into = new byte[65_535];
        Assert.That(receiver!.TryReceive(into, out UdpArrival arrival), Is.True);
        Assert.That(into.AsSpan(0, arrival.Count).SequenceEqual(data), Is.True);

        Assert.That(endpoint.Send(_net.Now, new byte[65_508], new Endpoint4(Them, 7)), Is.EqualTo(SocketError.MessageSize));
        Assert.That(_net.Counters.UdpOutDatagrams, Is.EqualTo(2));
        _net.AssertSilence();
    }

    [Test]
    public void A_lowered_path_mtu_makes_smaller_fragments()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        _net.Core.Ip.OnPathMtu(_net.Now, Far, 600);
        Assert.That(endpoint.Send(_net.Now, Packets.Pattern(1400), new Endpoint4(Far, 7)), Is.EqualTo(SocketError.Success));
        Assert.That(_net.Take(), Has.Count.EqualTo(3).And.All.Length.AtMost(600));
    }

    [Test]
    public void What_cannot_be_sent_says_why()
    {
        _net = new CoreHarness(Options(routes: [new StackRoute(System.Net.IPNetwork.Parse("198.51.100.0/24"))]));
        UdpEndpoint endpoint = Bind(Ipv4Address.Any, 9);
        Assert.That(endpoint.Send(_net.Now, "x"u8, new Endpoint4(Ipv4Address.Parse("8.8.8.8"), 7)), Is.EqualTo(SocketError.NetworkUnreachable));
        Assert.That(endpoint.Send(_net.Now, "x"u8, new Endpoint4(Ipv4Address.Broadcast, 7)), Is.EqualTo(SocketError.AccessDenied));
        Assert.That(endpoint.Send(_net.Now, "x"u8, new Endpoint4(Far, 7)), Is.EqualTo(SocketError.Success));
        Assert.That(_net.Take(), Has.Count.EqualTo(1));
        SocketError last = SocketError.Success;
        for (int i = 0; i < 1_000_000 && last == SocketError.Success; i++)
        {
            last = endpoint.Send(_net.Now, "x"u8, new Endpoint4(Far, 7));
        }

        Assert.That(last, Is.EqualTo(SocketError.NoBufferSpaceAvailable), "a full output queue is told, not grown");
    }

    [Test]
    public void Two_endpoints_of_one_stack_talk_to_each_other()
    {
        UdpEndpoint a = Bind(Us, 9);
        UdpEndpoint b = Bind(s_second, 10);
        Assert.That(a.Send(_net.Now, Packets.Pattern(3000), b.Local), Is.EqualTo(SocketError.Success));
        _net.AssertSilence();
        byte[] into = new byte[5000];
        Assert.That(b.TryReceive(into, out UdpArrival arrival), Is.True);
        Assert.That(into.AsSpan(0, arrival.Count).ToArray(), Is.EqualTo(Packets.Pattern(3000)));
        Assert.That(arrival.Remote, Is.EqualTo(a.Local));
    }

    [Test]
    public void The_queue_agrees_with_a_queue_of_arrays() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 9000]).Array[1, 200].Sample(
            steps =>
            {
                const int Limit = 40_000;
                OctetBudget budget = new(100_000);
                DatagramQueue queue = new(budget);
                Queue<byte[]> model = new();
                int tag = 0;
                foreach ((int what, int value) in steps)
                {
                    if (what < 2)
                    {
                        byte[] data = Packets.Pattern(value);
                        if (data.Length > 0)
                        {
                            data[0] = (byte)tag++;
                        }

                        bool fits = model.Sum(one => one.Length + DatagramQueue.Overhead) + value + DatagramQueue.Overhead <= Limit;
                        Assert.That(queue.TryAdd(data, default, Limit), Is.EqualTo(fits));
                        if (fits)
                        {
                            model.Enqueue(data);
                        }
                    }
                    else
                    {
                        byte[] into = new byte[value];
                        bool has = queue.TryTake(into, out UdpArrival arrival, peek: what == 2);
                        Assert.That(has, Is.EqualTo(model.Count > 0));
                        if (has)
                        {
                            byte[] expected = what == 2 ? model.Peek() : model.Dequeue();
                            Assert.That(arrival.Length, Is.EqualTo(expected.Length));
                            Assert.That(arrival.Count, Is.EqualTo(Math.Min(value, expected.Length)));
                            Assert.That(into.AsSpan(0, arrival.Count).SequenceEqual(expected.AsSpan(0, arrival.Count)), Is.True);
                        }
                    }

                    Assert.That(queue.Datagrams, Is.EqualTo(model.Count));
                    Assert.That(queue.Octets, Is.EqualTo(model.Sum(one => one.Length)));
                    Assert.That(budget.Used, Is.EqualTo(model.Sum(one => one.Length + DatagramQueue.Overhead)));
                }

                queue.Close();
                return budget.Used == 0 && !queue.TryAdd([1], default, Limit);
            },
            iter: 200);

    [Test]
    public void An_application_reads_on_its_own_thread_while_datagrams_arrive()
    {
        UdpEndpoint endpoint = Bind(Us, 9);
        const int Total = 20_000;
        int next = 0;
        int disorder = 0;
        bool isDone = false;
        Task reader = Task.Run(() =>
        {
            byte[] into = new byte[1000];
            while (!Volatile.Read(ref isDone) || endpoint.QueuedDatagrams > 0)
            {
                while (endpoint.TryReceive(into, out UdpArrival arrival))
                {
                    int number = BitConverter.ToInt32(into);
                    disorder += number < next || arrival.Length != 4 + (number % 500) ? 1 : 0;
                    next = number + 1;
                }
            }
        });
        for (int i = 0; i < Total; i++)
        {
            byte[] data = new byte[4 + (i % 500)];
            BitConverter.TryWriteBytes(data, i);
            _net.Inject(Packets.Udp(Them, 5, Us, 9, data));
        }

        Volatile.Write(ref isDone, true);
        reader.GetAwaiter().GetResult();
        Assert.That(disorder, Is.Zero);
        Assert.That(endpoint.QueuedDatagrams, Is.Zero);
    }

    private UdpEndpoint Bind(Ipv4Address address, ushort port)
    {
        Assert.That(_net.Core.Udp.Bind(new Endpoint4(address, port), out UdpEndpoint? endpoint), Is.EqualTo(SocketError.Success));
        endpoint!.Owner = NullSink.Instance;
        return endpoint;
    }

    private void AssertTaken(Ipv4Address address, ushort port)
    {
        Assert.That(_net.Core.Udp.Bind(new Endpoint4(address, port), out UdpEndpoint? endpoint), Is.EqualTo(SocketError.AddressAlreadyInUse));
        Assert.That(endpoint, Is.Null);
    }
}
