using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Core;
using Tcpcrypt.Scripts.Runner;
using Tcpcrypt.Testing;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Scripts.Kit;

[TestFixture]
internal sealed class SteppedStackTests
{
    private static readonly IPEndPoint s_remote = new(IPAddress.Parse("10.0.0.9"), 80);

    [Test]
    public void The_same_seed_gives_the_same_packets_and_another_one_others()
    {
        byte[] first = FirstSyn(seed: 5);
        Assert.Multiple(() =>
        {
            Assert.That(FirstSyn(seed: 5), Is.EqualTo(first));
            Assert.That(FirstSyn(seed: 6), Is.Not.EqualTo(first));
        });
    }

    [Test]
    public void A_stack_at_rest_has_no_deadline_and_no_packets()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24");
        Assert.Multiple(() =>
        {
            Assert.That(stack.NextDeadlineNs, Is.Null);
            Assert.That(stack.RunNextTimer(), Is.False);
            Assert.That(stack.TryTake(out _, out byte[] packet), Is.False);
            Assert.That(packet, Is.Empty);
            Assert.That(stack.NowNs, Is.Zero);
        });
    }

    [Test]
    public void Timers_run_in_order_with_the_clock_at_their_deadline()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24", configure: o => o.StartNs = 500);
        SteppedSocket socket = stack.Socket(tcp: true);
        socket.Connect(s_remote);
        Assert.That(stack.NextDeadlineNs, Is.EqualTo(1_000_000_500));
        stack.RunUntil(10_000_000_000);

        List<long> times = [];
        while (stack.TryTake(out long timeNs, out _))
        {
            times.Add(timeNs);
        }

        Assert.That(times, Is.EqualTo(new[] { 500L, 1_000_000_500, 3_000_000_500, 7_000_000_500 }), "the SYN and its repetitions");
        Assert.That(stack.NowNs, Is.EqualTo(10_000_000_000));
    }

    [Test]
    public void Run_next_timer_runs_one_and_moves_the_clock_there()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24");
        stack.Socket(tcp: true).Connect(s_remote);
        KitTest.TakeAll(stack);
        Assert.That(stack.RunNextTimer(), Is.True);
        Assert.That(stack.NowNs, Is.EqualTo(1_000_000_000));
        Assert.That(KitTest.TakeAll(stack), Has.Count.EqualTo(1));
    }

    [Test]
    public void The_clock_never_goes_back()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24");
        stack.RunUntil(100);
        stack.RunUntil(50);
        Assert.That(stack.NowNs, Is.EqualTo(100));
    }

    [Test]
    public void Packets_are_cut_to_the_mtu_with_complete_checksums()
    {
        SteppedLink link = KitTest.Pair(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10) }, configure: o =>
        {
            o.Mtu = 700;
            o.Tcp.InitialWindowSegments = 100;
        });
        (SteppedSocket client, SteppedSocket server, _) = KitTest.Connect(link);
        List<LivePacket> packets = [];
        link.Tap = p => packets.Add(LivePacket.Parse(p.Packet.ToArray()));
        KitTest.Transfer(link, client, server, 60_000);
        Assert.Multiple(() =>
        {
            Assert.That(packets.Select(p => p.Octets.Length), Is.All.LessThanOrEqualTo(700));
            Assert.That(packets.Select(p => p.Defect), Is.All.Null);
            Assert.That(packets.Count(p => p.Octets.Length == 700), Is.GreaterThan(60));
        });
    }

    [Test]
    public void Nothing_that_is_injected_throws()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24");
        SeededRandom random = new(3);
        for (int i = 0; i < 2000; i++)
        {
            byte[] packet = new byte[random.NextBelow(120)];
            random.Fill(packet);
            if (packet.Length > 20 && i % 2 == 0)
            {
                packet[0] = 0x45;
            }

            stack.Inject(packet);
        }

        Assert.That(stack.Drops.Values.Sum(), Is.EqualTo(2000), "each is counted");
        Assert.That(() => stack.Inject(new byte[65_536]), Throws.ArgumentException);
    }

    [Test]
    [Spec("9293-MUST-59")]
    public void Segments_that_arrive_together_get_one_ack()
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24", configure: o => o.DelayedAck = TimeSpan.Zero);
        (List<byte[]> segments, SteppedSocket _) = ConnectionWithSegments(stack, count: 5);

        // As the host does it: all packets of a batch, then the output.
        PacketSlot slot = new();
        foreach (byte[] segment in segments)
        {
            slot.CopyFrom(segment);
            stack.Core.OnPacket(new TcpInstant(stack.NowNs), slot);
        }

        stack.Flush();
        List<LivePacket> acks = KitTest.TakeAll(stack);
        Assert.That(acks, Has.Count.EqualTo(1));
        Assert.That(acks[0].Ack, Is.EqualTo(501));
    }

    [Test]
    public void Options_out_of_range_are_named()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => new SteppedStack(new SteppedStackOptions { Mtu = 67 }), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("Mtu"));
            Assert.That(() => new SteppedStack(new SteppedStackOptions { ReceiveWindow = 0 }), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("ReceiveWindow"));
            Assert.That(() => new SteppedStack(new SteppedStackOptions { DelayedAck = TimeSpan.FromMilliseconds(500) }), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("DelayedAck"));
            Assert.That(() => new SteppedStack(new SteppedStackOptions { StartNs = -1 }), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("StartNs"));
            Assert.That(() => new SteppedStack(new SteppedStackOptions { Tcpcrypt = true, TcpcryptOptions = { RsaKeySize = 1024 } }), Throws.InstanceOf<ArgumentException>().With.Property("ParamName").EqualTo("RsaKeySize"));
        });
    }

    [Test]
    public void Options_are_copied()
    {
        SteppedStackOptions options = new();
        options.Addresses.Add(IPPrefixAddress.Parse("10.0.0.1/24"));
        SteppedStack stack = new(options);
        options.Tcp.Timestamps = false;
        stack.Socket(tcp: true).Connect(s_remote);
        Assert.That(KitTest.TakeAll(stack)[0].Options.OfType<Language.TimestampOption>().Count(), Is.EqualTo(1));
    }

    [Test]
    public void Stacks_in_one_process_share_nothing()
    {
        byte[][] alone = [.. Enumerable.Range(0, 20).Select(i => FirstSyn((ulong)i))];
        SteppedStack[] stacks = [.. Enumerable.Range(0, 20).Select(i => KitTest.Stack("10.0.0.1/24", (ulong)i))];
        foreach (SteppedStack stack in stacks)
        {
            stack.Socket(tcp: true).Connect(s_remote);
        }

        byte[][] together = [.. stacks.Select(s => KitTest.TakeAll(s)[0].Octets)];
        Assert.That(together, Is.EqualTo(alone));
    }

    private static byte[] FirstSyn(ulong seed)
    {
        SteppedStack stack = KitTest.Stack("10.0.0.1/24", seed);
        Assert.That(stack.Socket(tcp: true).Connect(s_remote), Is.EqualTo(SocketError.InProgress));
        Assert.That(stack.TryTake(out _, out byte[] packet), Is.True);
        return packet;
    }

    /// <summary>An established connection to port 80 of the stack, and in-order segments of 100 octets for it.</summary>
    private static (List<byte[]> Segments, SteppedSocket Socket) ConnectionWithSegments(SteppedStack stack, int count)
    {
        SteppedSocket listener = stack.Socket(tcp: true);
        listener.Bind(new IPEndPoint(IPAddress.Any, 80));
        listener.Listen(1);
        PacketBuilder builder = new(Ipv4Address.Parse("10.0.0.1"), Ipv4Address.Parse("10.0.0.9"));
        Connection connection = new(80, 4000);
        byte[] Segment(Language.ScriptFlags flags, uint sequence, int length) =>
            builder.Tcp(new Language.TcpSpec(new Language.IpSpec(), null, flags, sequence, length) { Ack = 1, Window = 1000 }, connection);

        stack.Inject(Segment(Language.ScriptFlags.S, 0, 0));
        connection.OnLocalSyn(KitTest.TakeAll(stack)[0].Sequence, 0, 1);
        stack.Inject(Segment(Language.ScriptFlags.Ack, 1, 0));
        Assert.That(listener.Accept(out SteppedSocket? socket), Is.EqualTo(SocketError.Success));
        return ([.. Enumerable.Range(0, count).Select(i => Segment(Language.ScriptFlags.Ack, (uint)(1 + (100 * i)), 100))], socket!);
    }
}
