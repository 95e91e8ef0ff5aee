using System.Net.Sockets;
using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

/// <summary>Section 2 of the hostile-input catalogue.</summary>
public sealed class ReassemblyTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    private CoreHarness _net = null!;
    private UdpEndpoint _endpoint = null!;

    [SetUp]
    public void SetUp() => Use(new CoreHarness());

    [TearDown]
    public void Everything_is_given_back_in_the_end()
    {
        _net.Advance(TimeSpan.FromMinutes(5));
        _ = _net.Take();
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True, "no timer is left");
        _net.AssertAlive();
    }

    [Test]
    [Spec("791-3")]
    [Spec("815-1")]
    [Spec("1122-6")]
    public void A_datagram_is_put_together_whatever_the_order_and_the_duplicates() =>
        Gen.Select(Gen.Int[1, 65_507], Gen.Int[65, 400], Gen.Int, Gen.Int[0, 5]).Sample(
            (length, units, seed, duplicates) =>
            {
                CoreHarness net = new();
                _ = net.Core.Udp.Bind(new Endpoint4(Us, 9), out UdpEndpoint? endpoint);
                byte[] data = Packets.Pattern(length);
                List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, data), units * 8);
                Random random = new(seed);
                // Fewer than there are fragments: no second datagram can come of them.
                for (int i = Math.Min(duplicates, fragments.Count - 1); i > 0; i--)
                {
                    fragments.Add(fragments[random.Next(fragments.Count)]);
                }

                random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(fragments));
                foreach (byte[] fragment in fragments)
                {
                    net.Inject(fragment);
                }

                byte[] into = new byte[65_535];
                return endpoint!.TryReceive(into, out UdpArrival arrival) && arrival.Length == length && into.AsSpan(0, length).SequenceEqual(data)
                    && !endpoint.TryReceive(into, out _);
            },
            iter: 100,
            threads: 1);

    /// <summary>Against a map of octets: a datagram is delivered once every octet of it came, if no two fragments overlapped but for exact repetitions; else never.</summary>
    [Test]
    [Spec("5722-1")]
    public void Fragments_at_random_are_one_datagram_or_none() =>
        Gen.Select(Gen.Int[2, 8], Gen.Select(Gen.Int[0, 8], Gen.Int[1, 4]).Array[1, 12]).Sample(
            (units, pieces) =>
            {
                CoreHarness net = new();
                _ = net.Core.Udp.Bind(new Endpoint4(Us, 9), out UdpEndpoint? endpoint);
                byte[] data = Packets.Pattern((units * 8) - 8);
                byte[] whole = Packets.UdpPart(new Endpoint4(Them, 5), new Endpoint4(Us, 9), data);
                bool[] held = new bool[units];
                HashSet<(int, int)> seen = [];
                bool isRefused = false;
                byte[] into = new byte[65_535];
                foreach ((int at, int count) in pieces)
                {
                    int start = at % units;
                    int end = start == 0 ? Math.Min(count, units - 1) : Math.Min(start + count, units);
                    net.Inject(Packets.Ip(IpProtocol.Udp, Them, Us, whole.AsSpan(start * 8, (end - start) * 8), id: 7, offset: start * 8, more: end < units));
                    if (!isRefused && seen.Add((start, end)))
                    {
                        isRefused = held.AsSpan(start, end - start).Contains(true);
                        held.AsSpan(start, end - start).Fill(!isRefused);
                    }

                    bool isComplete = !isRefused && Array.TrueForAll(held, static octets => octets);
                    if (endpoint!.TryReceive(into, out UdpArrival arrival) != isComplete || (isComplete && !into.AsSpan(0, arrival.Length).SequenceEqual(data)))
                    {
                        return false;
                    }

                    if (isComplete)
                    {
                        // What comes after it belongs to another one.
                        return net.Core.Ip.ReassemblyOctets == 0 && net.Counters.IpReasmOKs == 1;
                    }
                }

                net.Advance(s_timeout);
                return net.Core.Ip.ReassemblyOctets == 0 && net.Counters.IpReasmOKs == 0 && net.Counters.IpReasmFails == 1;
            },
            iter: 2000,
            threads: 1);

    [Test]
    [Spec("5722-1")]
    public void HI_FRAG_01_exact_duplicates_are_ignored()
    {
        List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(56)), 16);
        foreach (byte[] fragment in fragments)
        {
            _net.Inject(fragment);
            if (fragment != fragments[^1])
            {
                _net.Inject(fragment);
            }
        }

        AssertReceived(56);
    }

    [TestCase(16, 16, true, TestName = "HI_FRAG_01 the same range with other data")]
    [TestCase(8, 16, true, TestName = "HI_FRAG_01 overlap in front")]
    [TestCase(24, 16, true, TestName = "HI_FRAG_01 overlap behind")]
    [TestCase(8, 32, true, TestName = "HI_FRAG_01 containing")]
    [TestCase(24, 8, true, TestName = "HI_FRAG_01 contained (teardrop)")]
    [Spec("5722-1")]
    public void An_overlap_drops_the_datagram_and_all_its_fragments(int offset, int length, bool more)
    {
        List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(56)), 16);
        _net.Inject(fragments[1]);
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[length], id: 7, offset: offset, more: more), DropReason.FragmentOverlap);
        foreach (byte[] fragment in fragments)
        {
            _net.AssertDropped(fragment, DropReason.FragmentOverlap);
        }

        Assert.That(_endpoint.QueuedDatagrams, Is.Zero);
        Assert.That(_net.Counters.IpReasmFails, Is.EqualTo(1));
    }

    [Test]
    [Spec("791-3")]
    public void HI_FRAG_02_the_ping_of_death_is_dropped()
    {
        _net.Inject(Packets.Ip(17, Them, Us, new byte[1480], id: 7, more: true));
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[1480], id: 7, offset: 65_528), DropReason.FragmentTooLarge);
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[1480], id: 7, offset: 1480, more: true), DropReason.FragmentTooLarge);
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[1480], id: 8, offset: 65_528), DropReason.FragmentTooLarge);
    }

    [Test]
    public void HI_FRAG_02_options_of_the_first_fragment_can_make_it_too_long()
    {
        byte[] options = [.. Enumerable.Repeat((byte)1, 40)];
        _net.Inject(Packets.Ip(17, Them, Us, Packets.Pattern(32_000), options, id: 7, more: true));
        _net.AssertDropped(Packets.Ip(17, Them, Us, Packets.Pattern(33_512), id: 7, offset: 32_000), DropReason.FragmentTooLarge);
    }

    [Test]
    [Spec("791-3")]
    public void HI_FRAG_03_fragments_of_odd_length_or_none_are_dropped()
    {
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[12], id: 7, more: true), DropReason.FragmentMalformed);
        _net.AssertDropped(Packets.Ip(17, Them, Us, [], id: 7, more: true), DropReason.FragmentMalformed);
        _net.AssertDropped(Packets.Ip(17, Them, Us, [], id: 7, offset: 8), DropReason.FragmentMalformed);
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
    }

    [TestCase(32, 16, false, TestName = "HI_FRAG_04 a second end, later")]
    [TestCase(8, 8, false, TestName = "HI_FRAG_04 a second end, earlier")]
    [TestCase(32, 8, true, TestName = "HI_FRAG_04 data behind the end")]
    [Spec("5722-1")]
    public void Conflicting_ends_drop_the_datagram(int offset, int length, bool more)
    {
        _net.Inject(Packets.Ip(17, Them, Us, new byte[16], id: 7, offset: 16));
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[length], id: 7, offset: offset, more: more), DropReason.FragmentOverlap);
    }

    [Test]
    [Spec("5722-1")]
    public void HI_FRAG_04_an_end_before_data_that_came_drops_the_datagram()
    {
        _net.Inject(Packets.Ip(17, Them, Us, new byte[16], id: 7, offset: 64, more: true));
        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[16], id: 7, offset: 16), DropReason.FragmentOverlap);
    }

    [Test]
    [Spec("1858-1")]
    public void HI_FRAG_05_tiny_fragments_of_tcp_are_dropped()
    {
        byte[] segment = Packets.TcpPart(new(Them, 5), new(Us, 80), TcpFlags.Syn);
        _net.AssertDropped(Packets.Ip(6, Them, Us, segment.AsSpan(0, 8), id: 7, more: true), DropReason.FragmentTiny);
        _net.AssertDropped(Packets.Ip(6, Them, Us, segment.AsSpan(0, 16), id: 7, more: true), DropReason.FragmentTiny);
        _net.AssertDropped(Packets.Ip(6, Them, Us, segment.AsSpan(8), id: 7, offset: 8), DropReason.FragmentTiny);
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
    }

    [TestCase(0, TestName = "HI_FRAG_06 in order")]
    [TestCase(1, TestName = "HI_FRAG_06 reversed")]
    [TestCase(2, TestName = "HI_FRAG_06 shuffled")]
    [Spec("D2-1")]
    public void Thousands_of_small_fragments_stay_bounded(int order)
    {
        int[] offsets = [.. Enumerable.Range(0, 8000)];
        if (order == 1)
        {
            Array.Reverse(offsets);
        }
        else if (order == 2)
        {
            new Random(1).Shuffle(offsets);
        }

        for (ushort id = 0; id < 20; id++)
        {
            foreach (int offset in offsets)
            {
                _net.Inject(Packets.Ip(17, Them, Us, new byte[8], id: id, offset: offset * 8, more: true));
            }
        }

        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.LessThan(64 * 1024));
        Assert.That(_net.Counters[DropReason.FragmentLimit], Is.GreaterThan(100_000));
        _net.AssertSilence();
    }

    [Test]
    [Spec("D2-1")]
    public void HI_FRAG_07_floods_of_unfinished_datagrams_leave_room_for_a_good_one()
    {
        for (int i = 0; i < 65_536; i++)
        {
            Ipv4Address source = new(0x0B00_0000u + ((uint)i / 16));
            _net.Inject(Packets.Ip(17, source, Us, new byte[1480], id: (ushort)i, more: true));
            Assert.That(_net.Core.Ip.ReassemblyOctets, Is.AtMost(4 * 1024 * 1024));
        }

        List<byte[]> good = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(3000)), 1480);
        for (int i = 0; i < good.Count; i++)
        {
            _net.Inject(good[i]);
            for (int j = 0; j < 500; j++)
            {
                _net.Inject(Packets.Ip(17, new Ipv4Address(0x0C00_0000u + (uint)j), Us, new byte[1480], id: (ushort)i, more: true));
            }
        }

        AssertReceived(3000);
    }

    [Test]
    [Spec("D2-1")]
    public void HI_FRAG_07_one_source_cannot_push_out_the_others()
    {
        List<byte[]> good = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(3000)), 1480);
        _net.Inject(good[0]);
        for (int i = 0; i < 20_000; i++)
        {
            _net.Inject(Packets.Ip(17, Far, Us, new byte[1480], id: (ushort)i, more: true));
        }

        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.LessThan(600 * 1024));
        _net.Inject(good[1]);
        _net.Inject(good[2]);
        AssertReceived(3000);
    }

    [Test]
    [Spec("D2-1")]
    public void A_small_memory_limit_holds()
    {
        Use(new CoreHarness(Options(reassemblyMemory: 10_000)));
        for (int i = 0; i < 100; i++)
        {
            _net.Inject(Packets.Ip(17, new Ipv4Address(0x0B00_0000u + (uint)i), Us, new byte[4000], id: 1, more: true));
            Assert.That(_net.Core.Ip.ReassemblyOctets, Is.AtMost(10_000));
        }

        _net.AssertDropped(Packets.Ip(17, Them, Us, new byte[12_000], id: 1, more: true), DropReason.FragmentLimit);
    }

    [Test]
    [Spec("1122-6")]
    public void HI_FRAG_08_the_timer_frees_a_set_and_reports_when_the_first_fragment_came()
    {
        byte[] first = Packets.Ip(17, Them, Us, Packets.Pattern(64), id: 7, more: true);
        _net.Inject(first);
        _net.Advance(s_timeout - TimeSpan.FromMilliseconds(1));
        _net.AssertSilence();
        _net.Advance(TimeSpan.FromMilliseconds(1));
        byte[] error = _net.TakeOne();
        Assert.That(error[20..22], Is.EqualTo(new byte[] { IcmpType.TimeExceeded, 1 }));
        Assert.That(error[28..], Is.EqualTo(first));
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
        Assert.That(_net.Counters[DropReason.FragmentTimeout], Is.EqualTo(1));
    }

    [Test]
    [Spec("1122-6")]
    public void HI_FRAG_08_without_the_first_fragment_the_end_is_silent()
    {
        _net.Inject(Packets.Ip(17, Them, Us, Packets.Pattern(64), id: 7, offset: 64, more: true));
        _net.Advance(s_timeout);
        _net.AssertSilence();
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
        Assert.That(_net.Counters.IpReasmFails, Is.EqualTo(1));
    }

    [Test]
    [Spec("1122-6")]
    public void The_time_limit_is_not_extended_by_later_fragments()
    {
        _net.Inject(Packets.Ip(17, Them, Us, Packets.Pattern(64), id: 7, offset: 64, more: true));
        _net.Advance(s_timeout - TimeSpan.FromSeconds(1));
        _net.Inject(Packets.Ip(17, Them, Us, Packets.Pattern(64), id: 7, offset: 128, more: true));
        _net.Advance(TimeSpan.FromSeconds(1));
        Assert.That(_net.Core.Ip.ReassemblyOctets, Is.Zero);
    }

    [Test]
    [Spec("791-3")]
    public void HI_FRAG_09_sources_protocols_destinations_and_identifications_are_not_mixed()
    {
        List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40)), 24);
        Ipv4Header.TryParse(fragments[1], out Ipv4Header last);
        byte[] rest = last.Payload.ToArray();
        _net.Inject(fragments[0]);
        _net.Inject(Packets.Ip(17, Far, Us, rest, id: 7, offset: 24));
        _net.Inject(Packets.Ip(6, Them, Us, rest, id: 7, offset: 24));
        _net.Inject(Packets.Ip(17, Them, Ipv4Address.Parse("192.0.2.9"), rest, id: 7, offset: 24));
        _net.Inject(Packets.Ip(17, Them, Us, rest, id: 8, offset: 24));
        Assert.That(_endpoint.QueuedDatagrams, Is.Zero);
        _net.Inject(fragments[1]);
        AssertReceived(40);
    }

    [Test]
    [Spec("815-1")]
    public void HI_FRAG_10_the_header_of_the_first_fragment_counts_and_lengths_come_from_each_ones_own()
    {
        byte[] packet = Packets.Echo(Them, Us, 3, 4, Packets.Pattern(40));
        Ipv4Header.TryParse(packet, out Ipv4Header ip);
        byte[] payload = ip.Payload.ToArray();
        _net.Inject([.. Packets.Ip(1, Them, Us, payload.AsSpan(24), options: [1, 1, 1, 1, 1, 1, 1, 1], id: 7, offset: 24), 0xEE, 0xEE]);
        _net.Inject(Packets.Ip(1, Them, Us, payload.AsSpan(0, 24), options: [148, 4, 0, 0], id: 7, more: true, tos: 0x28));
        byte[] reply = _net.TakeOne();
        Assert.That(reply[28..], Is.EqualTo(Packets.Pattern(40)));
        Assert.That(reply[1], Is.EqualTo(0x28));
    }

    [Test]
    public void HI_FRAG_11_what_is_malformed_when_whole_is_dropped_as_if_it_had_come_whole()
    {
        byte[] bad = Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40));
        bad[26] ^= 1;
        List<byte[]> fragments = Packets.Fragment(bad, 24);
        _net.Inject(fragments[0]);
        _net.AssertDropped(fragments[1], DropReason.UdpBadChecksum);

        byte[] liar = Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40));
        liar[25] = 200;
        fragments = Packets.Fragment(liar, 24, id: 8);
        _net.Inject(fragments[0]);
        _net.AssertDropped(fragments[1], DropReason.UdpMalformed);
    }

    [TestCase(Ecn.Ect0, Ecn.Ce, 3, TestName = "HI_FRAG_12 CE with ECT(0)")]
    [TestCase(Ecn.Ce, Ecn.Ect1, 3, TestName = "HI_FRAG_12 CE with ECT(1)")]
    [TestCase(Ecn.Ect0, Ecn.Ect0, 2, TestName = "HI_FRAG_12 all ECT(0)")]
    [TestCase(Ecn.NotEct, Ecn.NotEct, 0, TestName = "HI_FRAG_12 none")]
    [TestCase(Ecn.Ce, Ecn.Ce, 3, TestName = "HI_FRAG_12 all CE")]
    [Spec("3168-6")]
    public void Congestion_met_by_one_fragment_was_met_by_the_datagram(int first, int second, int expected)
    {
        List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40)), 24);
        fragments[0][1] = (byte)first;
        fragments[1][1] = (byte)second;
        _net.Inject(Packets.FixChecksum(fragments[0]));
        _net.Inject(Packets.FixChecksum(fragments[1]));
        Assert.That(_endpoint.TryReceive(new byte[100], out UdpArrival arrival), Is.True);
        Assert.That(arrival.TypeOfService & 3, Is.EqualTo(expected));
    }

    [TestCase(Ecn.NotEct, Ecn.Ce)]
    [TestCase(Ecn.Ce, Ecn.NotEct)]
    [Spec("3168-6")]
    public void HI_FRAG_12_congestion_beside_a_fragment_that_cannot_say_so_drops_the_datagram(int first, int second)
    {
        List<byte[]> fragments = Packets.Fragment(Packets.Udp(Them, 5, Us, 9, Packets.Pattern(40)), 24);
        fragments[0][1] = (byte)first;
        fragments[1][1] = (byte)second;
        _net.Inject(Packets.FixChecksum(fragments[0]));
        _net.AssertDropped(Packets.FixChecksum(fragments[1]), DropReason.FragmentEcnMismatch);
    }

    private void Use(CoreHarness net)
    {
        _net = net;
        Assert.That(_net.Core.Udp.Bind(new Endpoint4(Us, 9), out UdpEndpoint? endpoint), Is.EqualTo(SocketError.Success));
        _endpoint = endpoint!;
    }

    private void AssertReceived(int length)
    {
        byte[] into = new byte[65_535];
        Assert.That(_endpoint.TryReceive(into, out UdpArrival arrival), Is.True);
        Assert.That(into.AsSpan(0, arrival.Count).ToArray(), Is.EqualTo(Packets.Pattern(length)));
        Assert.That(_endpoint.TryReceive(into, out _), Is.False);
    }
}
