using System.Buffers.Binary;
using System.Net.Sockets;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Pacing as a path sees it: when data packets leave.</summary>
public sealed class PacingTests
{
    private static readonly LinkDirection s_path = new() { Delay = TimeSpan.FromMilliseconds(10) };

    /// <summary>When data left the client, and how much.</summary>
    private sealed class Trace
    {
        public Trace(Pair pair) => pair.Link.Tap = packet =>
        {
            if (packet.FromA && Payload(packet.Packet.Span) is > 0 and int octets)
            {
                Sent.Add((packet.TimeNs, octets));
            }
        };

        public List<(long At, int Octets)> Sent { get; } = [];

        /// <summary>The most octets within any such span.</summary>
        public long Burst(TimeSpan span, long from = 0, long to = long.MaxValue)
        {
            long most = 0;
            (long At, int Octets)[] sent = [.. Sent.Where(packet => packet.At >= from && packet.At < to)];
            for (int i = 0; i < sent.Length; i++)
            {
                long sum = 0;
                for (int j = i; j < sent.Length && sent[j].At <= sent[i].At + span.TotalNanoseconds; j++)
                {
                    sum += sent[j].Octets;
                }

                most = Math.Max(most, sum);
            }

            return most;
        }

        /// <summary>Octets per second between two instants.</summary>
        public double Rate(long from, long to) => Sent.Where(packet => packet.At >= from && packet.At < to).Sum(packet => (long)packet.Octets) * 1e9 / (to - from);

        private static int Payload(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt16BigEndian(packet[2..]) - 20 - (packet[32] >> 4 << 2);
    }

    private static void Write(SteppedSocket socket, int octets)
    {
        Assert.That(socket.Send(new byte[octets], out int sent), Is.EqualTo(SocketError.Success));
        Assert.That(sent, Is.EqualTo(octets));
    }

    private static bool Drain(SteppedSocket socket)
    {
        byte[] buffer = new byte[65_536];
        while (socket.Receive(buffer, out int received) == SocketError.Success && received > 0)
        {
        }

        return false;
    }

    [Test]
    public void A_maximum_rate_holds_and_is_reached([Values(20_000, 300_000, 5_000_000)] long rate, [Values] bool encrypted)
    {
        Pair pair = new(s_path, client: options => options.Tcpcrypt = encrypted, server: options => options.Tcpcrypt = encrypted);
        Trace trace = new(pair);
        (SteppedSocket client, SteppedSocket server) = pair.Connect(socket => Assert.That(socket.SetOption(SteppedSocketOption.MaxPacingRate, rate), Is.EqualTo(SocketError.Success)));
        long start = pair.Link.NowNs;
        byte[] chunk = new byte[65_536];
        pair.Link.Run(
            () =>
            {
                _ = client.Send(chunk, out _);
                return Drain(server);
            },
            start + 4_000_000_000,
            maxSteps: 2_000_000);

        Assert.That(trace.Rate(start + 1_000_000_000, start + 3_000_000_000), Is.InRange(rate * 0.85, rate * 1.02));
        Assert.That(trace.Burst(TimeSpan.FromMilliseconds(1)), Is.LessThanOrEqualTo((3 * rate / 1000) + (3 * 1460)), "in any millisecond");
        Assert.That(client.GetInfo().PacingRate, Is.EqualTo(rate));
    }

    /// <summary>Without pacing an ACK of the whole initial window lets twice as much go at once; paced, it is spread over the round trip.</summary>
    [Test]
    public void Slow_start_is_spread_over_the_round_trip([Values] bool paced)
    {
        Pair pair = new(s_path, client: options => options.Tcp.Pacing = paced, server: options => options.ReceiveWindow = 1_000_000);
        Trace trace = new(pair);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Write(client, 500_000);
        long start = pair.Link.NowNs;
        Assert.That(pair.Link.Run(() => server.Readable >= 500_000 || (server.Readable > 400_000 && Drain(server)) || client.Unacknowledged == 0, start + 2_000_000_000, 100_000), Is.True);

        long second = start + 15_000_000;
        Assert.That(trace.Burst(TimeSpan.FromMilliseconds(1), second, second + 20_000_000), paced ? Is.LessThan(10_000) : Is.GreaterThan(28_000));
        Assert.That(trace.Sent.Sum(packet => packet.Octets), Is.EqualTo(500_000));
    }

    [Test]
    public void Pacing_costs_no_goodput()
    {
        // One path alone says little: a packet more or less in the queue is a loss more or less.
        List<double> ratios = [];
        foreach (int queue in (int[])[20, 40, 60, 100])
        {
            foreach (int rate in (int[])[5, 20, 50])
            {
                ratios.Add((double)Took(queue, rate, isPaced: true) / Took(queue, rate, isPaced: false));
            }
        }

        Assert.That(ratios.Average(), Is.LessThan(1), "paced : not paced");
        Assert.That(ratios, Has.All.LessThan(1.1));

        static long Took(int queue, int rate, bool isPaced)
        {
            Pair pair = new(s_path with { BitsPerSecond = rate * 1_000_000, QueueLimit = queue }, client: options => options.Tcp.Pacing = isPaced);
            (SteppedSocket client, SteppedSocket server) = pair.Connect();
            long start = pair.Link.NowNs;
            pair.Transfer(client, server, 5_000_000, minutes: 1);
            return pair.Link.NowNs - start;
        }
    }

    /// <summary>Repairs are paced too, and none is lost.</summary>
    [Test]
    public void Losses_are_repaired_at_the_pace([Values(1, 2, 3)] int seed)
    {
        Pair pair = new(s_path with { Loss = 0.05 }, (ulong)seed, options => options.Tcp.Pacing = true, options => options.Tcp.Pacing = true);
        Trace trace = new(pair);
        (SteppedSocket client, SteppedSocket server) = pair.Connect(socket => Assert.That(socket.SetOption(SteppedSocketOption.MaxPacingRate, 1_000_000), Is.EqualTo(SocketError.Success)));
        pair.Transfer(client, server, 1_000_000, minutes: 2);
        Assert.That(trace.Burst(TimeSpan.FromMilliseconds(5)), Is.LessThan(5000 + 2000 + (3 * 1460)));
        pair.Finish(client, server);
    }

    /// <summary>A rate below a segment per RTO: nothing is taken for lost, the user may change it, and the rest goes at once.</summary>
    [Test]
    public void A_rate_may_change()
    {
        Pair pair = new(s_path);
        Trace trace = new(pair);
        (SteppedSocket client, SteppedSocket server) = pair.Connect(socket => Assert.That(socket.SetOption(SteppedSocketOption.MaxPacingRate, 100), Is.EqualTo(SocketError.Success)));
        Write(client, 10_000);
        pair.Link.RunUntil(pair.Link.NowNs + 10_000_000_000);
        int before = server.Readable;
        Assert.That(before, Is.InRange(1, 5000));
        Assert.That(client.GetInfo().Retransmissions, Is.Zero);
        Assert.That(client.SetOption(SteppedSocketOption.MaxPacingRate, -1), Is.EqualTo(SocketError.Success));
        long start = pair.Link.NowNs;
        Assert.That(pair.Link.Run(() => server.Readable == 10_000, start + 1_000_000_000), Is.True);
        Assert.That(client.GetInfo().PacingRate, Is.Null);
        pair.Finish(client, server);
    }

    /// <summary>ACKs are not data: a paced receiver acknowledges as any other.</summary>
    [Test]
    public void Acknowledgments_are_not_held_back()
    {
        Pair pair = new(s_path, server: options => (options.Tcp.Pacing, options.ReceiveWindow) = (true, 1_000_000));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(server.SetOption(SteppedSocketOption.MaxPacingRate, 10), Is.EqualTo(SocketError.Success));
        Write(server, 1000);
        Write(client, 200_000);
        long start = pair.Link.NowNs;
        Assert.That(pair.Link.Run(() => client.Unacknowledged == 0 && client.Unsent == 0, start + 300_000_000), Is.True);
    }

    [Test]
    public void The_congestion_control_of_a_connection_may_change()
    {
        Pair pair = new(s_path, server: options => options.ReceiveWindow = 1_000_000);
        (SteppedSocket client, SteppedSocket server) = pair.Connect(socket => Assert.That(socket.SetOption(SteppedSocketOption.CongestionControl, "reno"), Is.EqualTo(SocketError.Success)));
        Assert.That(client.GetInfo().CongestionControl, Is.EqualTo("reno"));
        Write(client, 300_000);
        Assert.That(pair.Link.Run(() => server.Readable == 300_000), Is.True);
        long cwnd = client.GetInfo().CongestionWindow;
        Assert.That(client.SetOption(SteppedSocketOption.CongestionControl, "cubic"), Is.EqualTo(SocketError.Success));
        Assert.That((client.GetInfo().CongestionControl, client.GetInfo().CongestionWindow), Is.EqualTo(("cubic", cwnd)));
        Drain(server);
        pair.Transfer(client, server, 300_000);
    }
}
