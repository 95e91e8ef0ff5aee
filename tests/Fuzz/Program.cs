// make fuzz SECONDS=60: each parser and a whole stack are fed with what leads them to new places, found by the edges that the instrumented assemblies report.
//   Fuzz --seconds N [--seed N] [--target NAME] [--corpus FOLDER] [--findings FOLDER] [--keep]    --keep: the corpus becomes what is needed to reach every edge known
//   Fuzz --input FILE [--target NAME] [--trace]      runs one input; the target is the name of its folder unless given; --trace: a stack's steps and packets
//   Fuzz --instrument FILE...                        prepares assemblies, in place
using System.Diagnostics;
using Tcpcrypt.Fuzz;

if (args is ["--instrument", ..])
{
    foreach (string file in args.AsSpan(1))
    {
        SharpFuzz.Fuzzer.Instrument(file, static _ => true, SharpFuzz.Options.Value);
    }

    return 0;
}

string? name = Option("--target");
string corpus = Option("--corpus") ?? Corpus.Folder;
if (Option("--input") is { } input)
{
    FuzzTarget chosen = FuzzTargets.Find(name ?? Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(input))!));
    Machine.Trace = args.Contains("--trace") ? Console.WriteLine : null;
    chosen.RunWithin(File.ReadAllBytes(input));
    Console.WriteLine($"{chosen.Name}: {input} is well");
    return 0;
}

FuzzTarget[] targets = name is null ? [.. FuzzTargets.All] : [FuzzTargets.Find(name)];
double seconds = double.Parse(Option("--seconds") ?? "60", System.Globalization.CultureInfo.InvariantCulture);
int seed = int.Parse(Option("--seed") ?? "1", System.Globalization.CultureInfo.InvariantCulture);
Coverage coverage = new();
Findings findings = new(Option("--findings") ?? Path.Combine("artifacts", "fuzz"));
long total = 0;
int weights = targets.Sum(static target => target.Weight);
foreach (FuzzTarget target in targets)
{
    long start = Stopwatch.GetTimestamp();
    TimeSpan share = TimeSpan.FromSeconds(seconds * target.Weight / weights);
    Fuzzer fuzzer = new(target, coverage, seed, findings);
    byte[][] known = [.. Corpus.Load(corpus, target).Select(static entry => entry.Input)];
    fuzzer.Run(known, () => Stopwatch.GetElapsedTime(start) >= share);
    if (coverage.Edges == 0)
    {
        Console.WriteLine($"{target.Name}: no edge is reported: the assemblies are not instrumented. eng/fuzz.sh does that.");
        return 2;
    }

    Console.WriteLine($"{target.Name,-12} {fuzzer.Executions,9} executions in {Stopwatch.GetElapsedTime(start).TotalSeconds,5:0.0} s, {coverage.Edges,5} edges, {coverage.Steps,5} steps, {fuzzer.Queue.Count} inputs worth keeping, {known.Length} in the corpus");
    total += fuzzer.Executions;
    if (args.Contains("--keep"))
    {
        Corpus.Store(corpus, target, fuzzer.Minimise(known.Concat(fuzzer.Queue)));
    }

    findings.Rest();
}

Console.WriteLine($"{total} executions of {targets.Length} targets in {Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds:0} s of the processor's time, {findings.Count} found");
return findings.Count == 0 ? 0 : 1;

string? Option(string option)
{
    int index = Array.IndexOf(args, option);
    return index < 0 ? null : args[index + 1];
}
