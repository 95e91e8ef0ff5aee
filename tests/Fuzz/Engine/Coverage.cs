using System.Runtime.InteropServices;
using SharpFuzz.Common;

namespace Tcpcrypt.Fuzz;

/// <summary>
/// The edges that one execution went over: 64 Ki counters that the instrumented assemblies write themselves (SharpFuzz, after AFL), in steps of 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and more.
/// </summary>
internal sealed unsafe class Coverage
{
    private const int MapSize = 1 << 16;

    private readonly byte* _map = (byte*)NativeMemory.AllocZeroed(MapSize);
    private readonly byte[] _seen = new byte[MapSize];

    public Coverage() => Trace.SharedMem = _map;

    /// <summary>Edges seen so far.</summary>
    public int Edges { get; private set; }

    /// <summary>Steps of edges seen so far.</summary>
    public int Steps { get; private set; }

    private ReadOnlySpan<byte> Map => new(_map, MapSize);

    /// <summary>The next target has edges of its own.</summary>
    public void Reset()
    {
        _seen.AsSpan().Clear();
        Edges = 0;
        Steps = 0;
    }

    public void Start()
    {
        new Span<byte>(_map, MapSize).Clear();
        Trace.PrevLocation = 0;
    }

    /// <summary>The steps of the execution since <see cref="Start"/>, or only those never seen before: edge in the upper, step in the lower bits.</summary>
    public void Collect(List<int> into, bool onlyNew)
    {
        into.Clear();
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(Map);
        for (int word = 0; word < words.Length; word++)
        {
            if (words[word] == 0)
            {
                continue;
            }

            for (int edge = word * 8; edge < (word * 8) + 8; edge++)
            {
                int step = StepOf(_map[edge]);
                if (_map[edge] != 0 && (!onlyNew || (_seen[edge] & (1 << step)) == 0))
                {
                    into.Add((edge << 3) | step);
                }
            }
        }
    }

    /// <summary>True when the execution has all of these steps.</summary>
    public bool Has(List<int> steps)
    {
        foreach (int step in steps)
        {
            if (_map[step >> 3] == 0 || StepOf(_map[step >> 3]) != (step & 7))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>From now on these are nothing new.</summary>
    public void Remember(List<int> steps)
    {
        foreach (int step in steps)
        {
            byte bit = (byte)(1 << (step & 7));
            Edges += _seen[step >> 3] == 0 ? 1 : 0;
            Steps += (_seen[step >> 3] & bit) == 0 ? 1 : 0;
            _seen[step >> 3] |= bit;
        }
    }

    private static int StepOf(byte count) => count switch
    {
        < 4 => count - 1,
        < 8 => 3,
        < 16 => 4,
        < 32 => 5,
        < 128 => 6,
        _ => 7,
    };
}
