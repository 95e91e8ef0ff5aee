using System.Security.Cryptography;
using NUnit.Framework;
using Tcpcrypt.Testing;
using static Tcpcrypt.Scripts.Kit.KitTest;

namespace Tcpcrypt.Scripts.Kit;

[TestFixture]
internal sealed class SteppedLinkTests
{
    private static readonly LinkDirection s_hostile = new()
    {
        Delay = TimeSpan.FromMilliseconds(10),
        Jitter = TimeSpan.FromMilliseconds(3),
        BitsPerSecond = 20_000_000,
        QueueLimit = 50,
        Loss = 0.03,
        Reorder = 0.05,
        ReorderDelay = TimeSpan.FromMilliseconds(4),
        Duplicate = 0.02,
        Corrupt = 0.02,
    };

    [Test]
    public void A_packet_arrives_after_the_delay()
    {
        SteppedLink link = Pair(new LinkDirection { Delay = TimeSpan.FromMilliseconds(7) });
        SteppedSocket client = link.A.Socket(tcp: true);
        client.Connect(ServerEnd);
        Assert.That(link.NextDeadlineNs, Is.EqualTo(7_000_000));
        link.RunUntil(6_999_999);
        Assert.That((link.AToB.Delivered, link.BToA.Sent), Is.EqualTo((0L, 0L)));
        link.RunUntil(7_000_000);
        Assert.That((link.AToB.Delivered, link.BToA.Sent), Is.EqualTo((1L, 1L)), "the SYN, and the RST that answers it");
        Assert.That((link.A.NowNs, link.B.NowNs), Is.EqualTo((7_000_000L, 7_000_000L)));
    }

    [Test]
    public void The_rate_spaces_packets_and_the_queue_drops_what_is_too_much()
    {
        // 1000-octet packets at 8 Mbit/s: one per millisecond.
        SteppedLink link = SteppedStack.Join(Stack("10.0.0.1/24"), Stack("10.0.0.2/24"), new LinkOptions { AToB = new LinkDirection { BitsPerSecond = 8_000_000, QueueLimit = 4 } }, seed: 1);
        SteppedSocket server = link.B.Socket(tcp: false);
        server.Bind(new System.Net.IPEndPoint(ServerEnd.Address, 53));
        SteppedSocket client = link.A.Socket(tcp: false);
        for (int i = 0; i < 6; i++)
        {
            Ok(client.SendTo(new byte[972], new System.Net.IPEndPoint(ServerEnd.Address, 53), out _));
        }

        Assert.That(link.AToB.QueueFull, Is.EqualTo(2));
        List<long> arrivals = [];
        long delivered = 0;
        while (link.Step())
        {
            if (link.AToB.Delivered > delivered)
            {
                delivered = link.AToB.Delivered;
                arrivals.Add(link.NowNs);
            }
        }

        Assert.That(arrivals, Is.EqualTo(new[] { 1_000_000L, 2_000_000, 3_000_000, 4_000_000 }));
    }

    [Test]
    public void A_transfer_survives_everything_the_link_does()
    {
        SteppedLink link = Pair(s_hostile, seed: 42);
        (SteppedSocket client, SteppedSocket server, _) = Connect(link);
        Transfer(link, client, server, 300_000);
        Transfer(link, server, client, 300_000);
        LinkCounters counters = link.AToB;
        Assert.That(new[] { counters.Lost, counters.Reordered, counters.Duplicated, counters.Corrupted }, Is.All.GreaterThan(0), "every fault occurred");
        Assert.That(link.B.Drops.Keys, Has.Some.Contains("Checksum"), "corrupted packets were found out");
    }

    [Test]
    public void The_same_seed_replays_the_same_run_and_another_seed_another()
    {
        byte[] first = Run(7);
        Assert.Multiple(() =>
        {
            Assert.That(Run(7), Is.EqualTo(first));
            Assert.That(Run(8), Is.Not.EqualTo(first));
        });

        static byte[] Run(ulong seed)
        {
            SteppedLink link = Pair(s_hostile, seed);
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            link.Tap = packet =>
            {
                hash.AppendData(BitConverter.GetBytes(packet.TimeNs));
                hash.AppendData([(byte)packet.Fate, packet.FromA ? (byte)1 : (byte)0]);
                hash.AppendData(packet.Packet.Span);
            };
            (SteppedSocket client, SteppedSocket server, _) = Connect(link);
            Transfer(link, client, server, 60_000);
            return hash.GetHashAndReset();
        }
    }

    [Test]
    public void One_fault_more_leaves_the_decisions_of_the_others()
    {
        List<bool> Losses(LinkDirection direction)
        {
            SteppedLink link = SteppedStack.Join(Stack("10.0.0.1/24"), Stack("10.0.0.2/24"), new LinkOptions { AToB = direction }, seed: 9);
            List<bool> lost = [];
            link.Tap = p => lost.Add(p.Fate == LinkFate.Lost);
            SteppedSocket client = link.A.Socket(tcp: false);
            for (int i = 0; i < 200; i++)
            {
                client.SendTo(new byte[10], ServerEnd, out _);
            }

            return lost;
        }

        Assert.That(Losses(new LinkDirection { Loss = 0.3, Duplicate = 0.5, Corrupt = 0.5 }), Is.EqualTo(Losses(new LinkDirection { Loss = 0.3 })));
    }

    [Test]
    public void Jitter_does_not_reorder_and_reordering_does()
    {
        int Inversions(LinkDirection direction)
        {
            SteppedLink link = SteppedStack.Join(Stack("10.0.0.1/24"), Stack("10.0.0.2/24"), new LinkOptions { AToB = direction }, seed: 3);
            SteppedSocket server = link.B.Socket(tcp: false);
            server.Bind(ServerEnd);
            SteppedSocket client = link.A.Socket(tcp: false);
            for (byte i = 0; i < 100; i++)
            {
                client.SendTo([i], ServerEnd, out _);
            }

            link.RunUntilIdle();
            int inversions = 0;
            byte[] buffer = new byte[1];
            for (int last = -1; server.Receive(buffer, out _) == System.Net.Sockets.SocketError.Success; last = buffer[0])
            {
                inversions += buffer[0] < last ? 1 : 0;
            }

            return inversions;
        }

        Assert.That(Inversions(new LinkDirection { Jitter = TimeSpan.FromMilliseconds(50) }), Is.Zero);
        Assert.That(Inversions(new LinkDirection { Reorder = 0.2 }), Is.GreaterThan(0));
    }

    [Test]
    public void A_pulled_cable_loses_everything_until_it_is_back()
    {
        SteppedLink link = Pair(new LinkDirection { Delay = TimeSpan.FromMilliseconds(5) });
        (SteppedSocket client, SteppedSocket server, _) = Connect(link);
        link.IsUp = false;
        client.Send(new byte[100], out _);
        link.RunUntil(link.NowNs + 2_000_000_000);
        Assert.That(server.Readable, Is.Zero);
        link.IsUp = true;
        Assert.That(link.Run(() => server.Readable == 100), Is.True);
    }

    [Test]
    public void A_hand_made_loss_hits_the_packet_it_names()
    {
        SteppedLink link = SteppedStack.Join(Stack("10.0.0.1/24"), Stack("10.0.0.2/24"), new LinkOptions { AToB = new LinkDirection { Drop = (number, _) => number == 0 } }, seed: 1);
        SteppedSocket listener = link.B.Socket(tcp: true);
        listener.Bind(ServerEnd);
        listener.Listen(1);
        link.A.Socket(tcp: true).Connect(ServerEnd);
        Assert.That(link.Run(() => listener.Accept(out _) == System.Net.Sockets.SocketError.Success), Is.True);
        Assert.That(link.NowNs, Is.EqualTo(1_000_000_000), "the SYN came through the second time");
    }

    [Test]
    public void Run_stops_at_its_limits()
    {
        SteppedLink link = Pair(new LinkDirection { Delay = TimeSpan.FromMilliseconds(5) });
        link.A.Socket(tcp: true).Connect(ServerEnd);
        Assert.Multiple(() =>
        {
            Assert.That(link.Run(() => false, limitNs: 1_000_000), Is.False);
            Assert.That(link.NowNs, Is.Zero, "no step beyond the limit");
            Assert.That(link.Run(() => false, maxSteps: 1), Is.False);
            Assert.That(link.AToB.Delivered, Is.EqualTo(1));
            Assert.That(link.Run(() => true), Is.True);
        });
    }

    [Test]
    public void Joined_stacks_run_on_the_links_clock()
    {
        SteppedLink link = Pair(new LinkDirection { Delay = TimeSpan.FromMilliseconds(5) });
        link.A.Socket(tcp: true).Connect(ServerEnd);
        Assert.That(link.A.TryTake(out _, out _), Is.False);
        Assert.That(link.B.NextDeadlineNs, Is.EqualTo(5_000_000));
        Assert.That(link.B.RunNextTimer(), Is.True);
        link.A.RunUntil(10_000_000);
        Assert.That((link.NowNs, link.B.NowNs, link.BToA.Delivered), Is.EqualTo((10_000_000L, 10_000_000L, 1L)));
    }

    [Test]
    public void Joining_what_cannot_be_joined_is_refused()
    {
        SteppedStack a = Stack("10.0.0.1/24");
        SteppedStack b = Stack("10.0.0.2/24");
        Assert.That(() => SteppedStack.Join(a, a, new LinkOptions(), 1), Throws.ArgumentException);
        Assert.That(() => SteppedStack.Join(a, b, LinkOptions.Symmetric(new LinkDirection { Loss = 1.5 }), 1), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("Loss"));
        SteppedStack.Join(a, b, new LinkOptions(), 1);
        Assert.That(() => SteppedStack.Join(a, Stack("10.0.0.3/24"), new LinkOptions(), 1), Throws.ArgumentException);
    }

    [Test]
    public void What_was_sent_before_joining_goes_over_the_link()
    {
        SteppedStack a = Stack("10.0.0.1/24");
        a.Socket(tcp: true).Connect(ServerEnd);
        SteppedLink link = SteppedStack.Join(a, Stack("10.0.0.2/24"), new LinkOptions(), 1);
        link.Step();
        Assert.That(link.AToB.Delivered, Is.EqualTo(1));
    }
}
