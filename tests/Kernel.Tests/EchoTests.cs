using System.Net;
using System.Net.NetworkInformation;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>ICMP echo and the time to live.</summary>
public class EchoTests : KernelFixture
{
    [TestCase(56)]
    [TestCase(1400)]
    [TestCase(20_000, Description = "14 fragments each way")]
    [TestCase(65_507, Description = "the longest there is")]
    public async Task Kernel_pings_us(int size)
    {
        Need("ping");
        await StartAsync();
        string said = Namespace.Run("ping", "-n", "-c", "5", "-i", "0.05", "-W", "10", "-s", $"{size}", "10.99.0.2");
        Assert.That(said, Does.Contain("5 packets transmitted, 5 received, 0% packet loss").And.Contain("ttl=64"));
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That(statistics.IcmpInEchos, Is.EqualTo(5));
        Assert.That((statistics.IpReasmOKs, statistics.IpFragOKs), Is.EqualTo(size > 1472 ? (5L, 5L) : (0L, 0L)));
    }

    [Test]
    public async Task Kernel_floods_us_with_pings_and_loses_none()
    {
        Need("ping");
        await StartAsync();
        Assert.That(Namespace.Run("ping", "-n", "-q", "-f", "-c", "2000", "-W", "10", "10.99.0.2"), Does.Contain(" 0% packet loss"));
    }

    [TestCase(0)]
    [TestCase(56)]
    [TestCase(1400)]
    [TestCase(20_000)]
    public async Task We_ping_the_kernel(int size)
    {
        await StartAsync();
        for (int i = 0; i < 3; i++)
        {
            EchoReply reply = await Stack.PingAsync(KernelIp, new EchoOptions { DataLength = size, Timeout = Patience });
            Assert.That((reply.Status, reply.From, reply.Ttl), Is.EqualTo((IPStatus.Success, KernelIp, (byte)64)));
            Assert.That(reply.RoundTrip, Is.GreaterThan(TimeSpan.Zero).And.LessThan(Patience));
        }
    }

    [Test]
    public async Task Our_ping_ends_at_the_router_where_its_time_to_live_does()
    {
        await StartAsync();
        AddNetworkBehindKernel();
        EchoReply near = await Stack.PingAsync(FarIp, new EchoOptions { Ttl = 1, Timeout = Patience });
        Assert.That((near.Status, near.From), Is.EqualTo((IPStatus.TtlExpired, KernelIp)));
        EchoReply far = await Stack.PingAsync(FarIp, new EchoOptions { Ttl = 2, Timeout = Patience });
        Assert.That((far.Status, far.From, far.Ttl), Is.EqualTo((IPStatus.Success, FarIp, (byte)63)));
    }

    [Test]
    public async Task Our_ping_hears_of_a_smaller_link_behind_the_router()
    {
        await StartAsync();
        AddNetworkBehindKernel();
        Namespace.Run("ip", "route", "change", "10.98.0.0/24", "dev", "near0", "mtu", "1200");
        EchoReply tooBig = await Stack.PingAsync(FarIp, new EchoOptions { DataLength = 1300, DontFragment = true, Timeout = Patience });
        Assert.That((tooBig.Status, tooBig.From, tooBig.PathMtu), Is.EqualTo((IPStatus.PacketTooBig, KernelIp, 1200)));

        // Without the bit, the router cuts.
        EchoReply cut = await Stack.PingAsync(FarIp, new EchoOptions { DataLength = 1300, Timeout = Patience });
        Assert.That(cut.Status, Is.EqualTo(IPStatus.Success));
    }

    [Test]
    public async Task Traceroute_from_behind_the_router_finds_it_and_then_us()
    {
        Need("python3");
        await StartAsync();
        NetworkNamespace far = AddNetworkBehindKernel();
        Assert.That(far.Run("python3", "-c", Python.Traceroute, StackIp.ToString()), Is.EqualTo("""
            1 10.98.0.1 type 11 code 0
            2 10.99.0.2 type 3 code 3

            """));
    }

    [Test]
    public async Task Packet_whose_time_to_live_ends_with_us_is_for_us_all_the_same()
    {
        Need("ping");
        await StartAsync();
        Assert.That(Namespace.Run("ping", "-n", "-c", "1", "-W", "10", "-t", "1", "10.99.0.2"), Does.Contain("1 received"));
    }

    [Test]
    public async Task Nobody_answers_for_an_address_that_is_not_ours()
    {
        await StartAsync();
        EchoReply none = await Stack.PingAsync(IPAddress.Parse("10.99.0.77"), new EchoOptions { Timeout = TimeSpan.FromMilliseconds(300) });
        Assert.That(none.Status, Is.EqualTo(IPStatus.TimedOut).Or.EqualTo(IPStatus.DestinationHostUnreachable));
        Assert.That(Namespace.TryRun("ping", "-n", "-c", "1", "-W", "1", "10.99.0.78").ExitCode, Is.EqualTo(1));
    }
}
