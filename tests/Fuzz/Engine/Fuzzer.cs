namespace Tcpcrypt.Fuzz;

/// <summary>
/// The loop: takes an input that once led somewhere new, changes it, runs it, and keeps it when it leads somewhere new again. The same seed does the same, as far as it gets.
/// </summary>
internal sealed class Fuzzer(FuzzTarget target, Coverage coverage, int seed, Findings findings)
{
    private const int TrimLimit = 200;

    private readonly Random _random = new(seed);
    private readonly List<byte[]> _queue = [];
    private readonly List<int> _steps = [];

    /// <summary>For each edge the input that gets there with the fewest octets.</summary>
    private readonly Dictionary<int, byte[]> _best = [];
    private byte[][] _favoured = [];

    public long Executions { get; private set; }

    /// <summary>The inputs that led somewhere new, as short as they could be made.</summary>
    public IReadOnlyList<byte[]> Queue => _queue;

    /// <summary>Runs the corpus, then goes on until told to stop.</summary>
    public void Run(IEnumerable<byte[]> corpus, Func<bool> stops)
    {
        coverage.Reset();
        foreach (byte[] input in corpus.Concat(target.Seeds))
        {
            Try(input, trims: false);
        }

        Mutator mutator = new(_random, target);
        while (!stops())
        {
            if (_queue.Count == 0)
            {
                Try([], trims: false);
                _queue.Add([]);
            }

            Try(mutator.Mutate(Choose(), _queue), trims: true);
        }
    }

    /// <summary>Of all inputs those that are needed to reach every edge, the shortest first.</summary>
    public List<byte[]> Minimise(IEnumerable<byte[]> inputs)
    {
        coverage.Reset();
        List<byte[]> needed = [];
        foreach (byte[] input in inputs.OrderBy(static input => input.Length))
        {
            int before = coverage.Edges;
            if (Execute(input))
            {
                coverage.Collect(_steps, onlyNew: true);
                coverage.Remember(_steps);
            }

            if (coverage.Edges > before)
            {
                needed.Add(input);
            }
        }

        return needed;
    }

    private byte[] Choose()
    {
        if (_favoured.Length > 0 && _random.Next(4) != 0)
        {
            return _favoured[_random.Next(_favoured.Length)];
        }

        // What is newest has not been changed often.
        return _random.Next(2) == 0 ? _queue[_random.Next(_queue.Count)] : _queue[Math.Max(0, _queue.Count - 1 - _random.Next(Math.Max(1, _queue.Count / 8)))];
    }

    private void Try(byte[] input, bool trims)
    {
        if (!Execute(input))
        {
            return;
        }

        coverage.Collect(_steps, onlyNew: true);
        if (_steps.Count == 0)
        {
            return;
        }

        if (trims)
        {
            List<int> wanted = [.. _steps];
            input = Shorten(input, shorter => Execute(shorter) && coverage.Has(wanted), TrimLimit);
            Execute(input);
        }

        coverage.Collect(_steps, onlyNew: false);
        coverage.Remember(_steps);
        _queue.Add(input);
        bool isBetter = false;
        foreach (int step in _steps)
        {
            if (!_best.TryGetValue(step >> 3, out byte[]? best) || best.Length > input.Length)
            {
                _best[step >> 3] = input;
                isBetter = true;
            }
        }

        if (isBetter)
        {
            _favoured = [.. _best.Values.Distinct()];
        }
    }

    /// <summary>Leaves out what can be left out.</summary>
    private byte[] Shorten(byte[] input, Func<byte[], bool> isGood, int limit)
    {
        int unit = target.RecordLength;
        for (int length = (input.Length / 2 / unit) * unit; length >= unit && limit > 0; length = (length / 2 / unit) * unit)
        {
            for (int at = 0; at < input.Length && limit > 0;)
            {
                byte[] shorter = [.. input[..at], .. input[Math.Min(at + length, input.Length)..]];
                limit--;
                if (isGood(shorter))
                {
                    input = shorter;
                }
                else
                {
                    at += length;
                }
            }
        }

        return input;
    }

    /// <summary>False when the input is a finding, which is then noted.</summary>
    private bool Execute(byte[] input)
    {
        Exception? failure = RunOnce(input);
        if (failure is null)
        {
            return true;
        }

        string kind = Findings.KindOf(failure);
        if (findings.IsNew(target, kind))
        {
            byte[] shortest = Shorten(input, shorter => RunOnce(shorter) is { } other && Findings.KindOf(other) == kind, 1000);
            findings.Add(target, shortest, RunOnce(shortest) ?? failure, kind);
        }

        return false;
    }

    private Exception? RunOnce(byte[] input)
    {
        Executions++;
        findings.Watch(target, input);
        coverage.Start();
        try
        {
            target.RunWithin(input);
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }
}
