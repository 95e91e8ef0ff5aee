using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class UdpForwardingTests
{
    private static readonly Ipv4Address s_mapped = Ipv4Address.Parse("203.0.113.53");

    private readonly List<UdpFlowEndpoint> _flows = [];
    private CoreHarness _net = null!;

    [SetUp]
    public void SetUp()
    {
        _net = new CoreHarness();
        _flows.Clear();
    }

    [Test]
    public void Datagrams_of_one_pair_of_ends_are_one_flow_and_replies_come_from_the_destination()
    {
        _ = Map("203.0.113.0", 24);
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "query"u8));
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "more"u8));
        UdpFlowEndpoint flow = _flows.Single();
        Assert.That((flow.Source, flow.Destination), Is.EqualTo((new Endpoint4(Them, 5), new Endpoint4(s_mapped, 53))));
        byte[] into = new byte[100];
        Assert.That(flow.TryReceive(into, out int count), Is.True);
        Assert.That(into.AsSpan(0, count).SequenceEqual("query"u8), Is.True);
        Assert.That(flow.TryReceive(into, out count), Is.True);
        Assert.That(into.AsSpan(0, count).SequenceEqual("more"u8), Is.True);
        Assert.That(flow.TryReceive(into, out count), Is.False);
        Assert.That(flow.Reply(_net.Now, "answer"u8), Is.EqualTo(SocketError.Success));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Is.EqualTo("203.0.113.53:53 > 10.0.0.1:5 udp (6)"));
    }

    [Test]
    public void Only_what_is_mapped_is_taken()
    {
        IDisposable mapping = Map("203.0.113.0", 24);
        Assert.That(_net.Core.Udp.IsMapped(s_mapped), Is.True);
        Assert.That(_net.Core.Udp.IsMapped(Far), Is.False);
        _net.AssertDropped(Packets.Udp(Them, 5, Far, 53, "x"u8), DropReason.IpNotLocalDestination);
        _net.AssertDropped(Packets.Tcp(Them, 5, s_mapped, 53, TcpFlags.Syn), DropReason.IpNotLocalDestination);
        _net.AssertDropped(Packets.Echo(Them, s_mapped, 5, 53, "x"u8), DropReason.IpNotLocalDestination);
        _net.Inject(Packets.Udp(Them, 5, Us, 53, "x"u8));
        Assert.That(PacketPrinter.Format(_net.TakeOne()), Does.Contain("unreachable port"));
        mapping.Dispose();
        Assert.That(_net.Core.Udp.IsMapped(s_mapped), Is.False);
        _net.AssertDropped(Packets.Udp(Them, 5, s_mapped, 53, "x"u8), DropReason.IpNotLocalDestination);
    }

    [Test]
    public void A_bound_endpoint_goes_before_a_mapping_of_everything_but_not_for_foreign_addresses()
    {
        _ = Map("0.0.0.0", 0);
        _ = _net.Core.Udp.Bind(new Endpoint4(Ipv4Address.Any, 53), out UdpEndpoint? endpoint);
        _net.Inject(Packets.Udp(Them, 5, Us, 53, "mine"u8));
        Assert.That(endpoint!.QueuedDatagrams, Is.EqualTo(1));
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "theirs"u8));
        Assert.That(endpoint.QueuedDatagrams, Is.EqualTo(1));
        Assert.That(_flows.Single().Destination.Address, Is.EqualTo(s_mapped));
    }

    [Test]
    public void A_mapping_of_everything_takes_no_broadcast_multicast_loopback_or_martian()
    {
        _ = Map("0.0.0.0", 0);
        foreach (string text in (string[])["224.0.0.1", "127.0.0.1", "240.0.0.1", "0.0.0.0"])
        {
            _net.AssertDropped(Packets.Udp(Them, 5, Ipv4Address.Parse(text), 53, "x"u8), DropReason.IpNotLocalDestination);
        }

        _net.AssertDropped(Packets.Udp(Them, 5, Ipv4Address.Broadcast, 53, "x"u8), DropReason.UdpNoPort);
        _net.AssertDropped(Packets.Udp(s_mapped, 5, s_mapped, 53, "x"u8), DropReason.IpMartianSource);
        _net.AssertDropped(Packets.Udp(Us, 5, s_mapped, 53, "x"u8), DropReason.IpMartianSource);
        Assert.That(_flows, Is.Empty);
    }

    [Test]
    public void The_longest_prefix_takes_the_flow()
    {
        List<UdpFlowEndpoint> narrow = [];
        _ = Map("203.0.0.0", 16);
        _ = _net.Core.Udp.Forward(Ipv4Address.Parse("203.0.113.0"), 24, 10, TimeSpan.FromSeconds(60), narrow.Add);
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "x"u8));
        _net.Inject(Packets.Udp(Them, 5, Ipv4Address.Parse("203.0.1.1"), 53, "x"u8));
        Assert.That((narrow.Count, _flows.Count), Is.EqualTo((1, 1)));
    }

    [Test]
    public void The_number_of_flows_is_bounded()
    {
        _ = Map("203.0.113.0", 24, maxFlows: 10);
        for (ushort port = 1; port <= 10; port++)
        {
            _net.Inject(Packets.Udp(Them, port, s_mapped, 53, "x"u8));
        }

        _net.AssertDropped(Packets.Udp(Them, 11, s_mapped, 53, "x"u8), DropReason.UdpFlowLimit);
        _flows[0].Close(_net.Now);
        _net.Inject(Packets.Udp(Them, 11, s_mapped, 53, "x"u8));
        Assert.That((_flows.Count, _net.Core.Udp.FlowCount), Is.EqualTo((11, 10)));
    }

    [Test]
    public void The_memory_of_all_flows_is_bounded()
    {
        _ = Map("203.0.113.0", 24, maxFlows: 10_000);
        byte[] data = new byte[60_000];
        for (ushort port = 1; port <= 1000; port++)
        {
            foreach (byte[] fragment in Packets.Fragment(Packets.Udp(Them, port, s_mapped, 53, data), 20_000, id: port))
            {
                _net.Inject(fragment);
            }
        }

        Assert.That(_net.Core.Udp.FlowCount, Is.LessThan(290), "16 MiB in all");
        Assert.That(_net.Counters[DropReason.UdpQueueFull], Is.GreaterThan(700));
        _flows.ForEach(flow => flow.Close(_net.Now));
        Assert.That(_net.Core.Udp.FlowCount, Is.Zero);
        int before = _flows.Count;
        _net.Inject(Packets.Udp(Them, 9, s_mapped, 53, "x"u8));
        Assert.That(_flows, Has.Count.EqualTo(before + 1));
    }

    [Test]
    public void An_idle_flow_closes_and_use_in_either_direction_keeps_it()
    {
        _ = Map("203.0.113.0", 24);
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "x"u8));
        UdpFlowEndpoint flow = _flows.Single();
        flow.Owner = NullSink.Instance;
        _net.Advance(TimeSpan.FromSeconds(50));
        Assert.That(flow.Reply(_net.Now, "x"u8), Is.EqualTo(SocketError.Success));
        _net.Advance(TimeSpan.FromSeconds(50));
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "x"u8));
        _net.Advance(TimeSpan.FromSeconds(59));
        Assert.That(flow.IsClosed, Is.False);
        _ = _net.TakeEvents(flow);
        _net.Advance(TimeSpan.FromSeconds(1));
        Assert.That(flow.IsClosed, Is.True);
        Assert.That(_net.TakeEvents(flow), Is.EqualTo(CoreEvents.Closed));
        Assert.That(flow.Reply(_net.Now, "x"u8), Is.EqualTo(SocketError.OperationAborted));
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True);
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "x"u8));
        Assert.That(_flows, Has.Count.EqualTo(2), "a new flow");
    }

    [Test]
    public void Ending_the_mapping_closes_its_flows()
    {
        IDisposable mapping = Map("203.0.113.0", 24);
        _net.Inject(Packets.Udp(Them, 5, s_mapped, 53, "x"u8));
        mapping.Dispose();
        mapping.Dispose();
        Assert.That(_flows.Single().IsClosed, Is.True);
        Assert.That(_net.Core.Udp.FlowCount, Is.Zero);
        Assert.That(_net.Core.NextDeadline.IsNever, Is.True);
    }

    private IDisposable Map(string network, int prefixLength, int maxFlows = 100) =>
        _net.Core.Udp.Forward(Ipv4Address.Parse(network), prefixLength, maxFlows, TimeSpan.FromSeconds(60), _flows.Add);
}
