using System.Net;
using NUnit.Framework;

namespace Tcpcrypt.Tun.Tests;

/// <summary>Options are checked before anything is opened: these tests need no privilege.</summary>
public class TunDeviceOptionsTests
{
    private static IEnumerable<TestCaseData> Refused()
    {
        yield return Case(nameof(TunDeviceOptions.Name), "empty", o => o.Name = "");
        yield return Case(nameof(TunDeviceOptions.Name), "null", o => o.Name = null!);
        yield return Case(nameof(TunDeviceOptions.Name), "16 octets", o => o.Name = "abcdefghijklmnop");
        yield return Case(nameof(TunDeviceOptions.Name), "16 octets of UTF-8", o => o.Name = "ääääääää");
        yield return Case(nameof(TunDeviceOptions.Name), "slash", o => o.Name = "a/b");
        yield return Case(nameof(TunDeviceOptions.Name), "colon", o => o.Name = "a:b");
        yield return Case(nameof(TunDeviceOptions.Name), "space", o => o.Name = "a b");
        yield return Case(nameof(TunDeviceOptions.Name), "zero", o => o.Name = "a\0b");
        yield return Case(nameof(TunDeviceOptions.Name), "dot", o => o.Name = ".");
        yield return Case(nameof(TunDeviceOptions.Name), "dot dot", o => o.Name = "..");
        yield return Case(nameof(TunDeviceOptions.Name), "two patterns", o => o.Name = "t%d%d");
        yield return Case(nameof(TunDeviceOptions.Name), "other pattern", o => o.Name = "t%s");
        yield return Case(nameof(TunDeviceOptions.Mtu), "too small", o => o.Mtu = 67);
        yield return Case(nameof(TunDeviceOptions.Mtu), "too large", o => o.Mtu = 65_536);
        yield return Case(nameof(TunDeviceOptions.Queues), "none", o => o.Queues = 0);
        yield return Case(nameof(TunDeviceOptions.Queues), "too many", o => o.Queues = 257);
        yield return Case(nameof(TunDeviceOptions.TxQueueLength), "none", o => o.TxQueueLength = 0);
        yield return Case(nameof(TunDeviceOptions.Owner), "none", o => o.Owner = uint.MaxValue);
        yield return Case(nameof(TunDeviceOptions.Group), "none", o => o.Group = uint.MaxValue);
        yield return Case(nameof(TunDeviceOptions.Offload), "undefined", o => o.Offload = (OffloadMode)9);
        yield return Case(nameof(TunDeviceOptions.HostAddress), "default", o => o.HostAddress = default(IPPrefixAddress));
        yield return Case(nameof(TunDeviceOptions.HostAddress), "any", o => o.HostAddress = IPPrefixAddress.Parse("0.0.0.0/0"));
        yield return Case(nameof(TunDeviceOptions.HostAddress), "multicast", o => o.HostAddress = IPPrefixAddress.Parse("224.0.0.1/24"));
        yield return Case(nameof(TunDeviceOptions.Routes), "IPv6", o => o.Routes.Add(IPNetwork.Parse("fd00::/8")));
        yield return Case(nameof(TunDeviceOptions.HostAddress), "without Configure", o => (o.Configure, o.HostAddress) = (false, IPPrefixAddress.Parse("10.0.0.1/24")));
        yield return Case(nameof(TunDeviceOptions.TxQueueLength), "without Configure", o => (o.Configure, o.TxQueueLength) = (false, 1000));
        yield return Case(nameof(TunDeviceOptions.Routes), "without Configure", o =>
        {
            o.Configure = false;
            o.Routes.Add(IPNetwork.Parse("10.1.0.0/16"));
        });

        static TestCaseData Case(string property, string what, Action<TunDeviceOptions> change) =>
            new TestCaseData(property, change).SetName($"{property}_is_refused_when_{what.Replace(' ', '_')}");
    }

    [TestCaseSource(nameof(Refused))]
    public void Option_out_of_range_is_named(string property, Action<TunDeviceOptions> change)
    {
        TunDeviceOptions options = new();
        change(options);
        ArgumentException? refusal = Assert.Catch<ArgumentException>(() => TunDevice.Open(options));
        Assert.That(refusal!.ParamName, Is.EqualTo(property));
    }

    [TestCase("tun%d")]
    [TestCase("x%d.5")]
    [TestCase("abcdefghijklmno")]
    [TestCase("...")]
    public void Names_that_the_kernel_takes_pass(string name) => Assert.That(() => new TunDeviceOptions { Name = name }.Validate(), Throws.Nothing);

    [Test]
    public void Null_options_are_refused() => Assert.That(() => TunDevice.Open(null!), Throws.ArgumentNullException);
}
