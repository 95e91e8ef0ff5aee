using System.Net;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class PathAndRouteTests
{
    [Test]
    [Spec("1191-2")]
    public void A_report_lowers_the_path_mtu_and_never_raises_it()
    {
        CoreHarness net = new();
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1500));
        net.Core.Ip.OnPathMtu(net.Now, Far, 1400);
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1400));
        net.Core.Ip.OnPathMtu(net.Now, Far, 1450);
        net.Core.Ip.OnPathMtu(net.Now, Far, 65_535);
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1400));
        Assert.That(net.Core.Ip.PathMtu(net.Now, Them), Is.EqualTo(1500), "another destination");
        net.Core.Ip.OnPathMtu(net.Now, Far, 1300);
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1300));
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(67)]
    [TestCase(68)]
    [TestCase(296)]
    [TestCase(551)]
    [Spec("1191-2")]
    [Spec("1191-3")]
    public void HI_ICMP_04_the_path_mtu_stays_at_the_floor_with_fragmentation_allowed_below_it(int reported)
    {
        CoreHarness net = new();
        net.Core.Ip.OnPathMtu(net.Now, Far, 552);
        Assert.That(net.Core.Ip.MayFragment(net.Now, Far), Is.False);
        net.Core.Ip.OnPathMtu(net.Now, Far, reported);
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(552));
        Assert.That(net.Core.Ip.MayFragment(net.Now, Far), Is.True);
        Assert.That(net.Core.Ip.MayFragment(net.Now, Them), Is.False);
    }

    [Test]
    [Spec("1191-2")]
    public void A_link_below_the_floor_keeps_its_own_mtu()
    {
        CoreHarness net = new(Options(mtu: 296));
        net.Core.Ip.OnPathMtu(net.Now, Far, 68);
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(296));
    }

    [Test]
    [Spec("1191-2")]
    public void What_was_learnt_is_forgotten_after_ten_minutes()
    {
        CoreHarness net = new();
        net.Core.Ip.OnPathMtu(net.Now, Far, 1000);
        net.Advance(TimeSpan.FromMinutes(10) - TimeSpan.FromMilliseconds(1));
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1000));
        net.Advance(TimeSpan.FromMilliseconds(1));
        Assert.That(net.Core.Ip.PathMtu(net.Now, Far), Is.EqualTo(1500));
    }

    [Test]
    public void The_cache_is_bounded_and_the_oldest_gives_way()
    {
        PathMtuCache cache = new(new SeededRandom(1));
        TcpInstant now = TcpInstant.Zero;
        for (uint i = 0; i < 50_000; i++)
        {
            Assert.That(cache.Lower(now, new Ipv4Address(0x0B00_0000 + i), 1000, 1500), Is.True);
            Assert.That(cache.Count, Is.AtMost(PathMtuCache.Capacity));
        }

        Assert.That(cache.Get(now, new Ipv4Address(0x0B00_0000), 1500), Is.EqualTo(1500));
        Assert.That(cache.Get(now, new Ipv4Address(0x0B00_0000 + 49_999), 1500), Is.EqualTo(1000));
    }

    [TestCase(65_535, 32_000)]
    [TestCase(1500, 1492)]
    [TestCase(1492, 1006)]
    [TestCase(576, 508)]
    [TestCase(69, 68)]
    [TestCase(68, 68)]
    [TestCase(28, 68)]
    [Spec("1191-1")]
    public void The_plateau_is_the_next_below(int length, int plateau) => Assert.That(PathMtuCache.PlateauBelow(length), Is.EqualTo(plateau));

    [Test]
    [Spec("6864-1")]
    public void Identifications_do_not_repeat_for_a_destination_within_65536_datagrams()
    {
        IdentificationSource source = new(new SeededRandom(1));
        HashSet<ushort> seen = [];
        for (int i = 0; i < 65_536; i++)
        {
            _ = source.Next(Us, Them, 17);
            Assert.That(seen.Add(source.Next(Us, Far, 17)) || seen.Count > 30_000, Is.True);
        }

        IdentificationSource alone = new(new SeededRandom(1));
        Assert.That(Enumerable.Range(0, 65_536).Select(_ => alone.Next(Us, Far, 17)), Is.Unique);
    }

    [Test]
    [Spec("6864-1")]
    public void There_is_no_global_counter_to_watch()
    {
        IdentificationSource source = new(new SeededRandom(1));
        ushort before = source.Next(Us, Them, 17);
        for (int i = 0; i < 1000; i++)
        {
            _ = source.Next(Us, Far, 17);
        }

        Assert.That((ushort)(source.Next(Us, Them, 17) - before), Is.EqualTo(1));
        ushort[] starts = [.. Enumerable.Range(0, 100).Select(i => source.Next(Us, new Ipv4Address(0x0B00_0000 + (uint)i), 17))];
        Assert.That(starts.Distinct().Count(), Is.GreaterThan(90));
        Assert.That(new IdentificationSource(new SeededRandom(2)).Next(Us, Them, 17), Is.Not.EqualTo(before), "keyed");
    }

    [Test]
    public void The_longest_prefix_decides_on_source_and_mtu()
    {
        RouteTable table = new(
            [IPPrefixAddress.Parse("10.0.0.2/24"), IPPrefixAddress.Parse("172.16.0.1/16"), IPPrefixAddress.Parse("192.0.2.9/32")],
            [
                new StackRoute(IPNetwork.Parse("198.51.100.0/24"), Mtu: 1400),
                new StackRoute(IPNetwork.Parse("198.51.0.0/16"), IPAddress.Parse("192.0.2.9")),
                new StackRoute(IPNetwork.Parse("198.51.100.128/25"), Mtu: 9000),
            ],
            1500);
        AssertRoute(table, "198.51.100.7", "10.0.0.2", 1400);
        AssertRoute(table, "198.51.100.200", "10.0.0.2", 1500);
        AssertRoute(table, "198.51.7.7", "192.0.2.9", 1500);
        AssertRoute(table, "172.16.9.9", "172.16.0.1", 1500);
        AssertRoute(table, "172.16.0.1", "172.16.0.1", 1500);
        Assert.That(table.TryFind(Ipv4Address.Parse("8.8.8.8"), out _), Is.False, "no default beside explicit routes");
    }

    [Test]
    public void Without_routes_everything_that_is_a_host_is_reached_through_the_link()
    {
        RouteTable table = new([IPPrefixAddress.Parse("10.0.0.2/24"), IPPrefixAddress.Parse("172.16.0.1/16")], [], 1500);
        AssertRoute(table, "8.8.8.8", "10.0.0.2", 1500);
        AssertRoute(table, "172.16.5.5", "172.16.0.1", 1500);
        foreach (string text in (string[])["0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "10.0.0.255", "172.16.255.255"])
        {
            Assert.That(table.TryFind(Ipv4Address.Parse(text), out _), Is.False, text);
        }
    }

    [Test]
    public void Host_and_point_to_point_prefixes_have_no_broadcast_address()
    {
        RouteTable table = new([IPPrefixAddress.Parse("10.0.0.2/31"), IPPrefixAddress.Parse("10.9.0.255/32")], [], 1500);
        Assert.That(table.IsSubnetBroadcast(Ipv4Address.Parse("10.0.0.3")), Is.False);
        Assert.That(table.IsSubnetBroadcast(Ipv4Address.Parse("10.9.0.255")), Is.False);
        Assert.That(table.IsLocal(Ipv4Address.Parse("10.9.0.255")), Is.True);
    }

    [Test]
    public void Addresses_of_another_family_are_refused() =>
        Assert.That(() => new RouteTable([IPPrefixAddress.Parse("10.0.0.2/24")], [new StackRoute(IPNetwork.Parse("2001:db8::/32"))], 1500), Throws.ArgumentException);

    private static void AssertRoute(RouteTable table, string destination, string source, int mtu)
    {
        Assert.That(table.TryFind(Ipv4Address.Parse(destination), out Ipv4Route route), Is.True);
        Assert.That(route, Is.EqualTo(new Ipv4Route(Ipv4Address.Parse(source), mtu)), destination);
    }
}
