using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>The first seeds, for every test run; <c>make simulate</c> goes on from there.</summary>
public sealed class SimulationTests
{
    [Test]
    public void Streams_arrive_whole_through_a_hostile_network([Range(1, 60)] int seed)
    {
        Scenario scenario = Scenario.FromSeed(seed);
        Assert.That(() => Simulator.Run(scenario, seed, null), Throws.Nothing, $"make simulate SEED={seed} SEEDS=1 replays it: {scenario}");
    }

    [Test]
    public void An_attacker_on_the_path_neither_ends_nor_changes_encrypted_connections([Range(1, 60)] int seed) =>
        Assert.That(() => AttackScenario.Run(seed), Throws.Nothing, $"make simulate SEED={seed} SEEDS=1 ATTACK=1 replays it");

    [Test]
    public void A_seed_means_the_same_every_time()
    {
        List<string> first = Trace(7);
        Assert.That(Trace(7), Is.EqualTo(first));
        Assert.That(first, Has.Count.GreaterThan(100));
    }

    [Test]
    public void A_seed_that_fails_tells_how_to_replay_it_and_leaves_a_capture()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            (_, string? failure) = Campaign.Run(7, attacks: false, folder, static scenario => scenario.ExpectsWrongly = true);
            string path = Path.Combine(folder, "simulation-7.pcapng");
            Assert.That(failure, Does.StartWith("seed 7 FAILED: ").And.Contains("are not what was sent").And.Contains("make simulate SEED=7 SEEDS=1").And.Contains(path));
            byte[] capture = File.ReadAllBytes(path);
            Assert.That(capture.AsSpan(0, 4).ToArray(), Is.EqualTo(new byte[] { 0x0A, 0x0D, 0x0D, 0x0A }), "a pcapng section header");
            List<byte[]> sent = [];
            Assert.That(() => Simulator.Run(Wrong(), 7, packet => sent.Add(packet.Packet.ToArray())), Throws.TypeOf<SimulationException>());
            Assert.That(sent, Has.Count.GreaterThan(3));
            Assert.That(capture.AsSpan().IndexOf(sent[0]), Is.Positive);
            Assert.That(capture.AsSpan().IndexOf(sent[^1]), Is.Positive);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        static Scenario Wrong()
        {
            Scenario scenario = Scenario.FromSeed(7);
            scenario.ExpectsWrongly = true;
            return scenario;
        }
    }

    [Test]
    public void Goodput_is_what_the_table_says()
    {
        using StreamReader table = new(typeof(SimulationTests).Assembly.GetManifestResourceStream("throughput.md")!);
        Assert.That(ThroughputTable.Make(), Is.EqualTo(table.ReadToEnd()), "congestion control or recovery has changed: where that is meant, make simulate TABLE=1 writes tests/Simulation/throughput.md anew");
    }

    [Test]
    public void No_row_of_the_table_is_far_below_the_response_function()
    {
        using StreamReader table = new(typeof(SimulationTests).Assembly.GetManifestResourceStream("throughput.md")!);
        double[][] rows = [.. table.ReadToEnd().Split('\n').Where(static line => line.StartsWith("| ", StringComparison.Ordinal) && char.IsDigit(line[2]))
            .Select(static line => line.Trim('|').Split('|').Select(static cell => double.Parse(cell, CultureInfo.InvariantCulture)).ToArray())];
        Assert.That(rows, Has.Length.EqualTo(48));
        foreach (double[] row in rows.Where(static row => row[3] > 0))
        {
            Assert.That(row[7], Is.GreaterThan(0.94 * row[6]), $"under a MAC reordering is found out too: {string.Join(' ', row)}");
        }

        foreach (double[] row in rows.Where(static row => row[2] > 0))
        {
            // RFC 9438 §5: the Reno-friendly region. A dozen losses are few, so a fifth less may be chance; nine tenths of the rate are what the queues let through in any case.
            double response = 1.22 / Math.Sqrt(row[2] / 100) * (row[5] - 52) * 8 / (row[1] / 1000) / 1e6;
            double least = 0.8 * Math.Min(response, 0.9 * row[0]);
            Assert.That(row[6], Is.GreaterThan(least), string.Join(' ', row));
            Assert.That(row[7], Is.GreaterThan(0.94 * least), string.Join(' ', row));
        }
    }

    [Test]
    public void Marks_slow_the_sender_and_nothing_is_lost()
    {
        (long received, TcpInfo info, TimeSpan longest, int reductions) = Marked(isMarking: true);
        Assert.That(info.Retransmissions, Is.Zero);
        Assert.That(info.ExplicitCongestionNotification, Is.True);
        Assert.That(reductions, Is.GreaterThan(3));
        Assert.That(received, Is.GreaterThan(10 * 20_000_000 / 8 * 0.9), "nine tenths of the rate");
        Assert.That(longest, Is.LessThan(TimeSpan.FromMilliseconds(60)), "the queue stays about as long as the router likes it");
        Assert.That(Marked(isMarking: false).Longest, Is.GreaterThan(2 * longest), "or else the queue would grow");

        // 20 Mbit/s, 20 ms, a queue without end; the router marks what comes when 40 packets are on the way or waiting. The longest round trip is that of the last five of ten seconds.
        static (long Received, TcpInfo Info, TimeSpan Longest, int Reductions) Marked(bool isMarking)
        {
            TcpStackOptions tcp = new() { ReceiveBufferSize = 8 << 20, SendBufferSize = 8 << 20, ExplicitCongestionNotification = true };
            SteppedStack a = new(new SteppedStackOptions { Addresses = { IPPrefixAddress.Parse("10.0.0.1/24") }, Tcp = tcp, Seed = 1 });
            SteppedStack b = new(new SteppedStackOptions { Addresses = { IPPrefixAddress.Parse("10.0.0.2/24") }, Tcp = tcp, Seed = 2 });
            SteppedLink? link = null;
            LinkDirection direction = new() { Delay = TimeSpan.FromMilliseconds(10), BitsPerSecond = 20_000_000 };
            LinkOptions options = new() { AToB = direction with { Rewrite = Mark }, BToA = direction };
            link = SteppedStack.Join(a, b, options, 1);
            EcnWatch watch = new(options);
            link.Tap = watch.See;
            (SteppedSocket listener, SteppedSocket client) = Begin(a, b);
            SteppedSocket? accepted = null;
            byte[] buffer = new byte[64 * 1024];
            long received = 0;
            TimeSpan longest = default;
            while (link.NextDeadlineNs < 10_000_000_000 && link.Step())
            {
                while (client.Unsent < buffer.Length && client.Send(buffer, out int sent) == SocketError.Success && sent > 0)
                {
                }

                if (accepted is not null || listener.Accept(out accepted) == SocketError.Success)
                {
                    while (accepted!.Receive(buffer, out int count) == SocketError.Success && count > 0)
                    {
                        received += count;
                    }
                }

                TimeSpan trip = link.NowNs > 5_000_000_000 ? client.GetInfo().SmoothedRtt : default;
                longest = trip > longest ? trip : longest;
            }

            return (received, client.GetInfo(), longest, watch.Reductions);

            IReadOnlyList<byte[]> Mark(long number, ReadOnlyMemory<byte> packet) =>
                [isMarking && link!.AToB.Sent - link.AToB.Delivered > 40 && Segments.EcnOf(packet.Span) != Ecn.NotEct ? Segments.WithCongestionExperienced(packet.ToArray()) : packet.ToArray()];
        }
    }

    [Test]
    public void A_path_that_cuts_every_segment_ends_an_encrypted_connection_by_a_time_out_on_both_sides()
    {
        SteppedStack a = new(new SteppedStackOptions { Addresses = { IPPrefixAddress.Parse("10.0.0.1/24") }, Seed = 1, Tcpcrypt = true });
        SteppedStack b = new(new SteppedStackOptions { Addresses = { IPPrefixAddress.Parse("10.0.0.2/24") }, Seed = 2, Tcpcrypt = true });
        LinkDirection direction = new() { Delay = TimeSpan.FromMilliseconds(10), Rewrite = static (_, packet) => Cut(packet.ToArray()) };
        SteppedLink link = SteppedStack.Join(a, b, LinkOptions.Symmetric(direction), 1);
        (SteppedSocket listener, SteppedSocket client) = Begin(a, b);
        SteppedSocket? accepted = null;
        Assert.That(link.Run(() => (accepted is not null || listener.Accept(out accepted) == SocketError.Success) && client.Tcpcrypt!.IsEncrypted), Is.True, "the handshake's messages may come in parts");
        Assert.That(accepted!.Tcpcrypt!.IsEncrypted, Is.True);
        Assert.That(client.Send(new byte[3000], out _), Is.EqualTo(SocketError.Success));
        Assert.That(accepted.Send(new byte[3000], out _), Is.EqualTo(SocketError.Success));
        Assert.That(link.Run(() => client.State == TcpState.Closed && accepted.State == TcpState.Closed, limitNs: 3600L * 1_000_000_000), Is.True, "nobody waits for ever");
        Assert.That((client.Readable, accepted.Readable), Is.EqualTo((0, 0)));
        Assert.That((client.TakeError(), accepted.TakeError()), Is.EqualTo((SocketError.TimedOut, SocketError.TimedOut)));

        static IReadOnlyList<byte[]> Cut(byte[] packet)
        {
            int length = packet.Length - Segments.DataAt(packet);
            return length < 2 || (Segments.Flags(packet) & TcpFlags.Syn) != 0 ? [packet] : [Segments.Part(packet, 0, length / 2), Segments.Part(packet, length / 2, length - (length / 2))];
        }
    }

    private static List<string> Trace(int seed)
    {
        List<string> packets = [];
        Simulator.Run(Scenario.FromSeed(seed), seed, packet => packets.Add($"{packet.TimeNs} {packet.FromA} {packet.Fate} {Convert.ToHexString(packet.Packet.Span)}"));
        return packets;
    }

    /// <summary>A listener on the second stack, and a socket of the first on its way to it.</summary>
    private static (SteppedSocket Listener, SteppedSocket Client) Begin(SteppedStack a, SteppedStack b)
    {
        SteppedSocket listener = b.Socket(tcp: true);
        IPEndPoint server = new(IPAddress.Parse("10.0.0.2"), 80);
        Assert.That(listener.Bind(server), Is.EqualTo(SocketError.Success));
        Assert.That(listener.Listen(1), Is.EqualTo(SocketError.Success));
        SteppedSocket client = a.Socket(tcp: true);
        Assert.That(client.Connect(server), Is.EqualTo(SocketError.InProgress));
        return (listener, client);
    }
}
