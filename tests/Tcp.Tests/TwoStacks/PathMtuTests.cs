using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Paths that take less than the links at their ends, and do not say so (RFC 2923 §2.1, RFC 4821).</summary>
public sealed class PathMtuTests
{
    private static LinkDirection Narrow(Func<int> mtu) => new() { Delay = TimeSpan.FromMilliseconds(10), Drop = (_, packet) => packet.Length > mtu() };

    private static Action<SteppedStackOptions> Options(PathMtuProbing probing, bool tcpcrypt = false, bool sack = true) => stack =>
    {
        stack.Tcp.PathMtuProbing = probing;

        // Round trips, not queues: the search takes one or two for each probe.
        stack.Tcp.MaxSendBufferSize = 500_000;
        stack.Tcp.SelectiveAcknowledgments = sack;
        stack.Tcpcrypt = tcpcrypt;
    };

    [Test]
    [Spec("4821-2")]
    public void A_black_hole_is_found_and_left([Values(576, 1100, 1400)] int mtu, [Values] bool tcpcrypt, [Values] bool sack)
    {
        Pair pair = new(Narrow(() => mtu), 1, Options(PathMtuProbing.OnBlackHole, tcpcrypt, sack), Options(PathMtuProbing.OnBlackHole, tcpcrypt, sack));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 1_000_000, minutes: 2);
        Assert.That(client.GetInfo().PathMtu, Is.InRange(mtu < 1064 ? 552 : 1064, mtu));
        Assert.That(pair.Client.Core.Counters.TcpBlackHoles, Is.EqualTo(mtu < 1064 ? 2 : 1));
        pair.Finish(client, server);
    }

    [Test]
    public void Without_probing_nothing_gets_through_a_black_hole()
    {
        Pair pair = new(Narrow(() => 1400), 1, Options(PathMtuProbing.Off), Options(PathMtuProbing.Off));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(client.Send(new byte[50_000], out _), Is.EqualTo(SocketError.Success));
        pair.Link.Run(() => false, pair.Link.NowNs + 60_000_000_000, maxSteps: 100_000);
        Assert.That(server.Receive(new byte[1000], out _), Is.EqualTo(SocketError.WouldBlock));
    }

    /// <summary>The search ends within eight octets of what the path takes, and what it loses on the way is no congestion.</summary>
    [Test]
    [Spec("4821-1")]
    public void The_search_finds_the_size_of_the_path([Values(1064, 1200, 1333, 1500)] int mtu, [Values] bool tcpcrypt, [Values] bool sack)
    {
        Pair pair = new(Narrow(() => mtu) with { BitsPerSecond = 200_000_000 }, 1, Options(PathMtuProbing.Always, tcpcrypt, sack), Options(PathMtuProbing.Always, tcpcrypt, sack));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1064), "small at first");
        Stream(pair, client, server, 30_000_000);
        TcpInfo info = client.GetInfo();
        Assert.That(info.PathMtu, Is.InRange(mtu - 8, mtu));
        Assert.That(pair.Client.Core.Counters.TcpFastRetransmits, Is.Zero, "no congestion");
        Assert.That(info.Timeouts, Is.Zero);
        Assert.That(info.Retransmissions, Is.LessThan(50));
        Assert.That(pair.Client.Core.Counters.TcpMtuProbesLost, mtu == 1500 ? Is.Zero : Is.InRange(3, 24));
        Assert.That(pair.Client.Core.Counters.TcpMtuProbesArrived, mtu == 1064 ? Is.Zero : Is.InRange(1, 6));

        // RFC 4821 §5.2: the next connection to that address knows.
        long lost = pair.Client.Core.Counters.TcpMtuProbesLost;
        (SteppedSocket next, SteppedSocket nextServer) = pair.Connect();
        Stream(pair, next, nextServer, 1_000_000);
        Assert.That(next.GetInfo().PathMtu, Is.EqualTo(info.PathMtu));
        Assert.That(pair.Client.Core.Counters.TcpMtuProbesLost, Is.EqualTo(lost));
    }

    /// <summary>Lone losses, here every hundredth packet, are bad luck and no limit of the path (RFC 8899 §5.1.2).</summary>
    [Test]
    [Spec("4821-1")]
    public void Random_loss_does_not_end_the_search_early()
    {
        int count = 0;
        Pair pair = new(Narrow(() => ++count % 100 == 0 ? 0 : 1400), 1, Options(PathMtuProbing.Always), Options(PathMtuProbing.Always));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 20_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.InRange(1392, 1400));
    }

    /// <summary>RFC 4821 §7.3: ten minutes later a larger size is tried again.</summary>
    [Test]
    [Spec("4821-1")]
    public void A_path_that_takes_more_again_is_used_after_ten_minutes()
    {
        int now = 1300;
        Pair pair = new(Narrow(() => now), 1, Options(PathMtuProbing.Always), Options(PathMtuProbing.Always));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 30_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.InRange(1292, 1300));
        now = 1500;
        long lost = pair.Client.Core.Counters.TcpMtuProbesLost;
        Stream(pair, client, server, 2_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.InRange(1292, 1300), "not before");
        pair.Link.RunUntil(pair.Link.NowNs + 700_000_000_000);
        Stream(pair, client, server, 4_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1500));
        Assert.That(pair.Client.Core.Counters.TcpMtuProbesLost, Is.EqualTo(lost));
    }

    /// <summary>ICMP ends the guessing: what it says is tried first.</summary>
    [Test]
    [Spec("4821-1")]
    public void After_a_report_the_search_goes_straight_to_what_it_says()
    {
        int now = 1500;
        Pair pair = new(Narrow(() => now), 1, Options(PathMtuProbing.OnBlackHole), Options(PathMtuProbing.OnBlackHole));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 100_000);
        now = 1300;
        client.Send(new byte[20_000], out _);
        pair.Link.Run(() => client.GetInfo().PathMtu < 1300, pair.Link.NowNs + 20_000_000_000, maxSteps: 100_000);
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1064));
        pair.Client.Core.Ip.OnPathMtu(new TcpInstant(pair.Link.NowNs), Ipv4Address.Parse("10.0.0.2"), 1300);
        Stream(pair, client, server, 2_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1300));
        Assert.That(pair.Client.Core.Counters.TcpMtuProbesLost, Is.Zero);
    }

    /// <summary>An outage looks like a black hole; when it is over the first probe is of full size again.</summary>
    [Test]
    public void An_outage_costs_one_probe()
    {
        Pair pair = new(Narrow(() => 1500), 1, Options(PathMtuProbing.OnBlackHole), Options(PathMtuProbing.OnBlackHole));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 100_000);
        pair.Link.IsUp = false;
        client.Send(new byte[20_000], out _);
        pair.Link.Run(() => false, pair.Link.NowNs + 3_000_000_000, maxSteps: 100_000);
        Assert.That(client.GetInfo().PathMtu, Is.LessThan(1500));
        pair.Link.IsUp = true;
        Stream(pair, client, server, 2_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1500));
    }

    /// <summary>A path that comes to take less, in the middle of a transfer.</summary>
    [Test]
    [Spec("4821-2")]
    public void A_path_that_shrinks([Values(PathMtuProbing.OnBlackHole, PathMtuProbing.Always)] PathMtuProbing probing, [Values(600, 1200)] int mtu)
    {
        int now = 1500;
        Pair pair = new(Narrow(() => now), 1, Options(probing), Options(probing));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 2_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.EqualTo(1500));
        now = mtu;
        Stream(pair, client, server, 2_000_000);
        Assert.That(client.GetInfo().PathMtu, Is.LessThanOrEqualTo(mtu));
    }

    private static void Stream(Pair pair, SteppedSocket from, SteppedSocket to, int octets)
    {
        byte[] chunk = new byte[65_536];
        byte[] buffer = new byte[65_536];
        int sent = 0;
        int received = 0;
        bool done = pair.Link.Run(
            () =>
            {
                while (sent < octets && from.Send(chunk.AsSpan(0, Math.Min(chunk.Length, octets - sent)), out int count) == SocketError.Success)
                {
                    sent += count;
                }

                while (to.Receive(buffer, out int count) == SocketError.Success)
                {
                    received += count;
                }

                return received >= octets;
            },
            pair.Link.NowNs + 600_000_000_000,
            maxSteps: 5_000_000);
        Assert.That(done, Is.True, $"received {received} of {octets}");
    }
}
