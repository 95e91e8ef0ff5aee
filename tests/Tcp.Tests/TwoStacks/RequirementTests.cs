using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Requirements that read best with two stacks or the socket calls.</summary>
public sealed class RequirementTests
{
    [Test]
    [Spec("9293-MUST-10")]
    public void HI_HS_06_simultaneous_open([Values(1, 2, 3, 4, 5, 6)] int seed, [Values(0.0, 0.3)] double loss)
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Loss = loss }, (ulong)seed);
        SteppedSocket a = pair.Client.Socket(tcp: true);
        SteppedSocket b = pair.Server.Socket(tcp: true);
        IPEndPoint endA = new(IPAddress.Parse("10.0.0.1"), 5000);
        IPEndPoint endB = new(IPAddress.Parse("10.0.0.2"), 5000);
        a.Bind(endA);
        b.Bind(endB);
        Assert.That(a.Connect(endB), Is.EqualTo(SocketError.InProgress));
        Assert.That(b.Connect(endA), Is.EqualTo(SocketError.InProgress));
        Assert.That(pair.Link.Run(() => a.State == TcpState.Established && b.State == TcpState.Established, 170_000_000_000), Is.True, $"{a.State} {b.State}");
        pair.Link.RunUntil(pair.Link.NowNs + 5_000_000_000);
        long sent = pair.Link.AToB.Sent + pair.Link.BToA.Sent;
        pair.Link.RunUntil(pair.Link.NowNs + 60_000_000_000);
        Assert.That(pair.Link.AToB.Sent + pair.Link.BToA.Sent, Is.EqualTo(sent), "no ACK war");
        pair.Transfer(a, b, 20_000);
        pair.Finish(a, b);
    }

    [Test]
    [Spec("9293-MUST-11")]
    public void Syn_received_remembers_whether_it_came_from_a_passive_open()
    {
        // From an active OPEN a RST is "connection refused"; from a passive one nobody is told, and the listener goes on.
        Host host = new();
        Peer active = host.Connecting();
        active.Ask(Seg.Syn());
        Assert.That(active.Socket.State, Is.EqualTo(TcpState.SynReceived));
        active.Expect0(Seg.Rst(1));
        Assert.That(active.Socket.TakeError(), Is.EqualTo(SocketError.ConnectionRefused));

        Peer passive = host.NewPeer();
        passive.Ask(Seg.Syn());
        passive.Expect0(Seg.Rst(1));
        Assert.That(host.AcceptAll(), Is.Empty);
        Assert.That(host.Listener.State, Is.EqualTo(TcpState.Listen));
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-41")]
    [Spec("9293-MUST-42")]
    public void Listen_on_a_port_that_connections_use()
    {
        Pair pair = new();
        pair.Listener.SetOption(SteppedSocketOption.ReuseAddress, 1);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Listener.Close();
        SteppedSocket again = pair.Server.Socket(tcp: true);
        again.SetOption(SteppedSocketOption.ReuseAddress, 1);
        Assert.That(again.Bind(Pair.ServerEnd), Is.EqualTo(SocketError.Success));
        Assert.That(again.Listen(5), Is.EqualTo(SocketError.Success));
        pair.Transfer(client, server, 10_000);
        SteppedSocket second = pair.Client.Socket(tcp: true);
        second.Connect(Pair.ServerEnd);
        SteppedSocket? accepted = null;
        Assert.That(pair.Link.Run(() => again.Accept(out accepted) == SocketError.Success), Is.True);
        again.Close();
        pair.Finish(client, server, second, accepted!);
    }

    [TestCase("224.0.0.1")]
    [TestCase("239.255.255.255")]
    [TestCase("255.255.255.255")]
    [TestCase("192.168.255.255")]
    [TestCase("0.0.0.0")]
    [TestCase("127.0.0.1")]
    [TestCase("240.0.0.1")]
    [Spec("9293-MUST-46")]
    public void Open_to_an_address_that_is_no_host_is_refused(string address)
    {
        Host host = new();
        SteppedSocket socket = host.Track(host.Stack.Socket(tcp: true));
        Assert.That(socket.Connect(new IPEndPoint(IPAddress.Parse(address), 80)), Is.AnyOf(SocketError.NetworkUnreachable, SocketError.AddressNotAvailable, SocketError.HostUnreachable));
        Assert.That(host.TakeAll(), Is.Zero, "nothing is sent");
        host.Finish();
    }

    [TestCase("192.168.255.255")]
    [TestCase("255.255.255.255")]
    [TestCase("224.0.0.1")]
    [Spec("9293-MUST-57")]
    public void A_syn_to_many_is_silently_dropped(string destination)
    {
        Host host = new();
        host.Inject(Seg.Syn().ToPacket(Host.FirstRemote, new Endpoint4(Ipv4Address.Parse(destination), Host.ListenPort), 0, 0));
        Assert.That(host.TakeAll(), Is.Zero);
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }

    [TestCase("224.0.0.1")]
    [TestCase("255.255.255.255")]
    [TestCase("0.0.0.0")]
    [TestCase("127.0.0.1")]
    [TestCase("192.168.255.255")]
    [TestCase("192.168.0.1")]
    [Spec("9293-MUST-63")]
    public void A_syn_from_an_address_that_is_no_host_is_ignored(string source)
    {
        Host host = new();
        host.Inject(Seg.Syn().ToPacket(new Endpoint4(Ipv4Address.Parse(source), 1234), new Endpoint4(Host.Here, Host.ListenPort), 0, 0));
        Assert.That(host.TakeAll(), Is.Zero);
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-12")]
    public void The_application_can_tell_a_close_from_an_abort()
    {
        Pair pair = new();
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        client.Close();
        pair.Link.RunUntil(pair.Link.NowNs + 1_000_000_000);
        Assert.That(server.Receive(new byte[10], out int count), Is.EqualTo(SocketError.Success));
        Assert.That(count, Is.Zero, "FIN: end of stream");

        (SteppedSocket second, SteppedSocket peer) = pair.Connect(socket => socket.SetOption(SteppedSocketOption.Linger, 0));
        second.Close();
        pair.Link.RunUntil(pair.Link.NowNs + 1_000_000_000);
        Assert.That(peer.Receive(new byte[10], out _), Is.EqualTo(SocketError.ConnectionReset));
        pair.Finish(server, peer);
    }

    [Test]
    [Spec("9293-MUST-13")]
    public void The_active_closer_waits_in_time_wait()
    {
        Pair pair = new();
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        client.Close();
        pair.Link.RunUntil(pair.Link.NowNs + 100_000_000);
        server.Close();
        pair.Link.RunUntil(pair.Link.NowNs + 100_000_000);
        Assert.That((pair.Client.Core.Tcp.TimeWait.Count, pair.Server.Core.Tcp.TimeWait.Count), Is.EqualTo((1, 0)));
        pair.Link.RunUntil(pair.Link.NowNs + 59_000_000_000);
        Assert.That(pair.Client.Core.Tcp.TimeWait.Count, Is.EqualTo(1));
        pair.Link.RunUntil(pair.Link.NowNs + 2_000_000_000);
        Assert.That(pair.Client.Core.Tcp.TimeWait.Count, Is.Zero);
        pair.Finish();
    }

    [Test]
    public void The_number_of_time_wait_records_is_limited()
    {
        Host host = new(options => options.Tcp.TimeWaitLimit = 10);
        for (int i = 0; i < 30; i++)
        {
            Peer peer = host.Accept();
            peer.Socket.Shutdown(SocketShutdown.Send);
            peer.Take();
            peer.Ask(Seg.Fin() with { AckNo = 2 });
            Assert.That(host.Core.Tcp.TimeWait.Count, Is.EqualTo(Math.Min(i + 1, 10)));
        }

        Assert.That((host.Core.Counters.TcpTimeWaits, host.Core.Counters.TcpTimeWaitOverflows), Is.EqualTo((30L, 20L)));
        host.Finish();
    }

    [Test]
    public void Without_time_wait_a_connection_is_closed_at_once([Values] bool byLimit)
    {
        Host host = new(options => (options.Tcp.TimeWait, options.Tcp.TimeWaitLimit) = byLimit ? (TimeSpan.FromSeconds(60), 0) : (TimeSpan.Zero, 10));
        Peer peer = host.Accept();
        peer.Socket.Shutdown(SocketShutdown.Send);
        peer.Take();
        peer.Ask(Seg.Fin() with { AckNo = 2 });
        Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Closed));
        Assert.That(host.Core.Tcp.TimeWait.Count, Is.Zero);
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-20")]
    [Spec("9293-SHLD-11")]
    public void A_pulled_cable_ends_the_connection_after_r2()
    {
        Pair pair = new();
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Link.RunUntil(1_000_000_000);
        pair.Link.IsUp = false;
        client.Send("lost"u8, out _);
        pair.Link.RunUntil(101_000_000_000);
        Assert.That(client.State, Is.EqualTo(TcpState.Established), "R2 is at least 100 s");
        pair.Link.RunUntil(2_000_000_000_000);
        Assert.That(client.TakeError(), Is.EqualTo(SocketError.TimedOut));
        pair.Link.IsUp = true;
        pair.Finish(client, server);
    }

    [Test]
    [Spec("9293-MUST-23")]
    public void An_unanswered_syn_is_tried_for_three_minutes()
    {
        Pair pair = new(new LinkDirection { Loss = 1 });
        SteppedSocket client = pair.Client.Socket(tcp: true);
        client.Connect(Pair.ServerEnd);
        pair.Link.RunUntil(179_000_000_000);
        Assert.That(client.State, Is.EqualTo(TcpState.SynSent));
        pair.Link.RunUntil(180_000_000_000);
        Assert.That(client.TakeError(), Is.EqualTo(SocketError.TimedOut));
        pair.Finish(client);
    }

    [Test]
    public void Both_ends_count_the_same_octets()
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Loss = 0.05 }, 2);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 200_000);
        pair.Link.RunUntil(pair.Link.NowNs + 10_000_000_000);
        TcpInfo sender = client.GetInfo();
        TcpInfo receiver = server.GetInfo();
        Assert.That((sender.BytesSent, sender.BytesAcknowledged, receiver.BytesReceived), Is.EqualTo((200_000L, 200_000L, 200_000L)));
        Assert.That(sender.Retransmissions, Is.Positive);
        Assert.That(sender.BytesRetransmitted, Is.Positive);
        Assert.That(pair.Client.Core.Counters.TcpRetransSegs, Is.GreaterThanOrEqualTo(sender.Retransmissions));
        Assert.That((sender.Timestamps, sender.WindowScaling, sender.SelectiveAcknowledgments), Is.EqualTo((true, true, true)));
        Assert.That(sender.SmoothedRtt, Is.InRange(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(100)));
        Assert.That((pair.Client.Core.Counters.TcpActiveOpens, pair.Server.Core.Counters.TcpPassiveOpens), Is.EqualTo((1L, 1L)));
        pair.Finish(client, server);
    }

    [Test]
    public void The_connection_limit_refuses_further_opens()
    {
        Pair pair = new(client: options => options.Tcp.ConnectionLimit = 2);
        SteppedSocket[] sockets = [.. Enumerable.Range(0, 3).Select(_ => pair.Client.Socket(tcp: true))];
        Assert.That(sockets.Select(socket => socket.Connect(Pair.ServerEnd)), Is.EqualTo(new[] { SocketError.InProgress, SocketError.InProgress, SocketError.NoBufferSpaceAvailable }));
        pair.Link.RunUntil(1_000_000_000);
        while (pair.Listener.Accept(out SteppedSocket? accepted) == SocketError.Success)
        {
            accepted!.Close();
        }

        pair.Finish(sockets);
    }

    /// <summary>Both stacks full of what they have to send: no window may stay shut for it.</summary>
    [Test]
    public void Exhausted_buffer_memory_slows_and_does_not_stop([Values(576, 1500, 9000)] int mtu)
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(1) }, 1, Configure, Configure);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 1_000_000);
        pair.Finish(client, server);

        void Configure(SteppedStackOptions options)
        {
            options.MemoryLimit = 300_000;
            options.Mtu = mtu;
        }
    }
}
