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
