// make simulate SEEDS=200 SEED=1: each seed is a network, two hosts' settings and what the applications do; every octet is compared at the other end.
//   Simulation [--seed FIRST] [--count N] [--trace] [--verbose] [--attack] [--table] [--jobs N]
// make simulate ATTACK=1: each seed is somebody on the path between two encrypting stacks.
using System.Collections.Concurrent;
using System.Diagnostics;
using Tcpcrypt.Simulation;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

if (args.Contains("--table"))
{
    Console.Write(ThroughputTable.Make());
    return 0;
}

int first = Number("--seed", 1);
int count = Number("--count", 100);
bool attacks = args.Contains("--attack");
if (args.Contains("--trace"))
{
    for (int seed = first; seed < first + count; seed++)
    {
        _ = attacks ? AttackScenario.Run(seed, TraceAttack) : Simulator.Run(Scenario.FromSeed(seed), seed, Trace);
    }

    return 0;
}

bool isVerbose = args.Contains("--verbose");
long start = Stopwatch.GetTimestamp();
ConcurrentBag<RunResult> good = [];

// Seeds know nothing of one another: one processor each, or as many at a time as was said.
ParallelOptions options = new() { MaxDegreeOfParallelism = Number("--jobs", Environment.ProcessorCount) };
Parallel.ForEach(Partitioner.Create(Enumerable.Range(first, count), EnumerablePartitionerOptions.NoBuffering), options, seed =>
{
    (RunResult result, string? failure) = Campaign.Run(seed, attacks, Path.GetTempPath());
    if (failure is null)
    {
        good.Add(result);
    }

    if (failure is not null || isVerbose)
    {
        Console.WriteLine(failure ?? $"seed {seed}: {result.Packets} packets in {result.Time.TotalSeconds:0.000} s{(attacks ? "" : $"; {Scenario.FromSeed(seed)}")}");
    }
});

Console.WriteLine($"{good.Count} of {count} seeds good ({first} to {first + count - 1}): {good.Sum(static result => result.Packets)} packets, {good.Sum(static result => result.Time.TotalMinutes):0.0} minutes of the network's time in "
    + $"{Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s; {good.Sum(static result => result.GivenUp)} connections given up as they may");
return good.Count == count ? 0 : 1;

static void Trace(LinkPacket packet) =>
    Console.WriteLine($"{packet.TimeNs / 1e9,12:0.000000} {(packet.FromA ? "A>B" : "B>A")} {packet.Fate,-10} {PacketPrinter.Format(packet.Packet.Span)}");

static void TraceAttack(long timeNs, bool toA, byte[] packet, string what) =>
    Console.WriteLine($"{timeNs / 1e9,12:0.000000} {(toA ? "B>A" : "A>B")} {what,-7} {PacketPrinter.Format(packet)}");

int Number(string option, int otherwise)
{
    int index = Array.IndexOf(args, option);
    return index < 0 ? otherwise : int.Parse(args[index + 1], System.Globalization.CultureInfo.InvariantCulture);
}
