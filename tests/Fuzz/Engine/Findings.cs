using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Fuzz;

/// <summary>Writes down what was found: one file for each kind of failure. What hangs is noticed by a thread of its own, and ends the process.</summary>
internal sealed partial class Findings
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly string _folder;
    private readonly HashSet<string> _kinds = [];
    private volatile Running? _current;

    public Findings(string folder)
    {
        _folder = folder;
        new Thread(LookAfter) { IsBackground = true, Name = "fuzz watchdog" }.Start();
    }

    public int Count { get; private set; }

    /// <summary>Failures that are one: the same exception out of the same place, or the same promise broken, whatever the numbers.</summary>
    public static string KindOf(Exception failure)
    {
        if (failure is FuzzException)
        {
            return Numbers().Replace(failure.Message, "#");
        }

        string[] frames = [.. (failure.StackTrace ?? "").Split('\n').Select(static line => line.Trim()).Where(static line => line.StartsWith("at Tcpcrypt.", StringComparison.Ordinal)).Take(2)];
        return $"{failure.GetType().Name} {string.Join(' ', frames)}";
    }

    public bool IsNew(FuzzTarget target, string kind) => !_kinds.Contains(target.Name + kind);

    public void Add(FuzzTarget target, byte[] input, Exception failure, string kind)
    {
        _kinds.Add(target.Name + kind);
        Write(target, input, failure.ToString());
    }

    /// <summary>This is being run now.</summary>
    public void Watch(FuzzTarget target, byte[] input) => _current = new Running(target, input);

    public void Rest() => _current = null;

    private void Write(FuzzTarget target, byte[] input, string what)
    {
        Count++;
        string folder = Path.Combine(_folder, target.Name);
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, "found-" + Corpus.NameOf(input));
        File.WriteAllBytes(file, input);
        Console.WriteLine($"{target.Name}: FOUND with {input.Length} octets\n{what}\n  replay: make fuzz INPUT={Path.GetRelativePath(Directory.GetCurrentDirectory(), file)}");
    }

    /// <summary>What counts is the processor's time: on a busy machine an input may take long without doing much.</summary>
    private void LookAfter()
    {
        Running? seen = null;
        TimeSpan usedBefore = TimeSpan.Zero;
        while (true)
        {
            Thread.Sleep(1000);
            TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime;
            if (_current is not { } running || running != seen)
            {
                (seen, usedBefore) = (_current, used);
            }
            else if (used - usedBefore > s_patience)
            {
                Write(running.Target, running.Input, $"still running after {s_patience.TotalSeconds} s");
                Environment.Exit(1);
            }
        }
    }

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Numbers();

    private sealed class Running(FuzzTarget target, byte[] input)
    {
        public FuzzTarget Target => target;

        public byte[] Input => input;
    }
}
