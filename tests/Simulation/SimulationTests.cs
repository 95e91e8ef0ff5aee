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

    private static List<string> Trace(int seed)
    {
        List<string> packets = [];
        Simulator.Run(Scenario.FromSeed(seed), seed, packet => packets.Add($"{packet.TimeNs} {packet.FromA} {packet.Fate} {Convert.ToHexString(packet.Packet.Span)}"));
        return packets;
    }
}
