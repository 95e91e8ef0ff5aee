using System.Net;

namespace Tcpcrypt.Tests;

public class OptionsTests
{
    private static IEnumerable<TestCaseData> Bad()
    {
        yield return Case(() => new EchoOptions { DataLength = -1 }.Validated(), "DataLength");
        yield return Case(() => new EchoOptions { DataLength = 65_508 }.Validated(), "DataLength");
        yield return Case(() => new EchoOptions { Ttl = 0 }.Validated(), "Ttl");
        yield return Case(() => new EchoOptions { Timeout = TimeSpan.Zero }.Validated(), "Timeout");
        yield return Case(() => new TcpForwardOptions { MaxInFlight = 0 }.Validated(), "MaxInFlight");
        yield return Case(() => new TcpForwardOptions { MaxInFlight = 10, MaxInFlightPerSource = 11 }.Validated(), "MaxInFlightPerSource");
        yield return Case(() => new TcpForwardOptions { DecisionTimeout = TimeSpan.Zero }.Validated(), "DecisionTimeout");
        yield return Case(() => new TcpForwardOptions { KeepAlive = new(TimeSpan.Zero, TimeSpan.FromSeconds(1), 1) }.Validated(), "KeepAlive.Idle");
        yield return Case(() => new TcpForwardOptions { KeepAlive = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 0) }.Validated(), "KeepAlive.Count");
        yield return Case(() => new UdpForwardOptions { MaxFlows = 0 }.Validated(), "MaxFlows");
        yield return Case(() => new UdpForwardOptions { IdleTimeout = TimeSpan.FromSeconds(-1) }.Validated(), "IdleTimeout");
        yield return Case(() => new RelayOptions { ConnectTimeout = TimeSpan.Zero }.Validated(), "ConnectTimeout");
        yield return Case(() => new RelayOptions { MaxActive = 0 }.Validated(), "MaxActive");
        yield return Case(() => new RelayOptions { BindToDevice = "much-too-long-a-name" }.Validated(), "BindToDevice");
        yield return Case(() => new CaptureOptions { SnapLength = 10 }.Validated(), "SnapLength");
        yield return Case(() => new CaptureOptions { MaxBytes = 10 }.Validated(), "MaxBytes");
        yield return Case(() => new CaptureOptions { BufferSize = 1 }.Validated(), "BufferSize");
        yield return Case(() => new CaptureOptions { Points = CapturePoints.None }.Validated(), "Points");
        yield return Case(() => new CaptureOptions { Points = (CapturePoints)64 }.Validated(), "Points");

        static TestCaseData Case(Func<object> validate, string property) => new TestCaseData(validate, property).SetArgDisplayNames(property);
    }

    [TestCaseSource(nameof(Bad))]
    public void Option_out_of_range_is_refused_by_name(Func<object> validate, string property) =>
        Assert.That(() => validate(), Throws.InstanceOf<ArgumentException>().With.Property(nameof(ArgumentException.ParamName)).EqualTo(property));

    [Test]
    public void Defaults_are_valid_and_copied()
    {
        TcpForwardOptions options = new();
        TcpForwardOptions copy = options.Validated();
        options.MaxInFlight = 1;
        Assert.That(copy.MaxInFlight, Is.EqualTo(1024));
        Assert.That(() => { new EchoOptions().Validated(); new UdpForwardOptions().Validated(); new RelayOptions().Validated(); new CaptureOptions().Validated(); }, Throws.Nothing);
    }

    [Test]
    public void Peer_needs_ipv4_an_address_and_a_port()
    {
        Assert.That(() => ApiArgument.Remote(new IPEndPoint(IPAddress.IPv6Loopback, 1)), Throws.ArgumentException);
        Assert.That(() => ApiArgument.Remote(new IPEndPoint(IPAddress.Any, 1)), Throws.ArgumentException);
        Assert.That(() => ApiArgument.Remote(new IPEndPoint(IPAddress.Loopback, 0)), Throws.ArgumentException);
        Assert.That(ApiArgument.Remote(new IPEndPoint(IPAddress.Parse("::ffff:1.2.3.4"), 5)).ToString(), Is.EqualTo("1.2.3.4:5"));
    }

    [Test]
    public void Ipv6_network_is_refused() => Assert.That(() => ApiArgument.Network(IPNetwork.Parse("::/0")), Throws.ArgumentException);

    [Test]
    public void Device_that_does_not_exist_is_found_when_the_relay_is_made()
    {
        if (!OperatingSystem.IsLinux())
        {
            Assert.Ignore("SO_BINDTODEVICE is Linux's.");
        }

        Assert.That(() => new Relay(new RelayOptions { BindToDevice = "nosuchdevice0" }), Throws.InvalidOperationException.With.Message.Contains("nosuchdevice0"));
    }
}
