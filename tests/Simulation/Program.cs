// make simulate SEEDS=200 SEED=1: each seed is a network, two hosts' settings and what the applications do; every octet is compared at the other end.
//   Simulation [--seed FIRST] [--count N] [--trace] [--verbose] [--attack] [--table]
// make simulate ATTACK=1: each seed is somebody on the path between two encrypting stacks.
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
bool trace = args.Contains("--trace");
List<int> failed = [];
TimeSpan time = TimeSpan.Zero;
long packets = 0;
long start = Stopwatch.GetTimestamp();
for (int seed = first; seed < first + count; seed++)
{
    Scenario scenario = Scenario.FromSeed(seed);
    try
    {
        if (args.Contains("--attack"))
        {
            (TimeSpan Time, long Packets, long Injected) attacked = AttackScenario.Run(seed, trace ? TraceAttack : null);
            time += attacked.Time;
            packets += attacked.Packets + attacked.Injected;
            continue;
        }

        (TimeSpan Time, long Packets) result = Simulator.Run(scenario, seed, trace ? Trace : null);
        time += result.Time;
        packets += result.Packets;
        if (args.Contains("--verbose") || trace)
        {
            Console.WriteLine($"seed {seed}: {result.Packets} packets in {result.Time.TotalSeconds:0.000} s; {scenario}");
        }
    }
    catch (Exception e)
    {
        // Whatever it is, an exception out of the stack included, the next seed tells more.
        failed.Add(seed);
        Console.WriteLine($"seed {seed} FAILED: {(e is SimulationException ? e.Message : e)}");
        if (args.Contains("--attack"))
        {
            Console.WriteLine($"  replay: make simulate SEED={seed} SEEDS=1 ATTACK=1");
            continue;
        }

        Console.WriteLine($"  {scenario}");
        Console.WriteLine($"  packets: {Record(seed)}");
        Console.WriteLine($"  replay: make simulate SEED={seed} SEEDS=1        packet by packet: make simulate SEED={seed} SEEDS=1 TRACE=1");
    }
}

Console.WriteLine($"{count - failed.Count} of {count} seeds good ({first} to {first + count - 1}): {packets} packets, {time.TotalMinutes:0.0} minutes of the network's time in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
return failed.Count == 0 ? 0 : 1;

// Again, with a capture: the same seed gives the same packets.
static string Record(int seed)
{
    string path = Path.Combine(Path.GetTempPath(), $"simulation-{seed}.pcapng");
    using Capture capture = new(path);
    try
    {
        Simulator.Run(Scenario.FromSeed(seed), seed, capture.Add);
    }
    catch (Exception)
    {
        // Known already.
    }

    return path;
}

static void Trace(LinkPacket packet) =>
    Console.WriteLine($"{packet.TimeNs / 1e9,12:0.000000} {(packet.FromA ? "A>B" : "B>A")} {packet.Fate,-10} {PacketPrinter.Format(packet.Packet.Span)}");

static void TraceAttack(long timeNs, bool toA, byte[] packet, string what) =>
    Console.WriteLine($"{timeNs / 1e9,12:0.000000} {(toA ? "B>A" : "A>B")} {what,-7} {PacketPrinter.Format(packet)}");

int Number(string option, int otherwise)
{
    int index = Array.IndexOf(args, option);
    return index < 0 ? otherwise : int.Parse(args[index + 1], System.Globalization.CultureInfo.InvariantCulture);
}
