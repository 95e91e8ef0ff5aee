namespace Tcpcrypt.Fuzz;

/// <summary>Something that takes octets and may neither throw, hang nor allocate without bound, and knows by itself what else must hold.</summary>
internal abstract class FuzzTarget
{
    /// <summary>The folder of its corpus.</summary>
    public abstract string Name { get; }

    /// <summary>Share of the time.</summary>
    public virtual int Weight => 1;

    /// <summary>Input that is made of records of so many octets is cut, moved and joined at their edges, half of the time; 1: it is not.</summary>
    public virtual int RecordLength => 1;

    public virtual int MaxLength => 2048;

    /// <summary>What one execution may allocate, in octets.</summary>
    public virtual long AllocationLimit => 4L * 1024 * 1024;

    /// <summary>Octets that mean something here.</summary>
    public virtual IReadOnlyList<byte[]> Dictionary => [];

    /// <summary>Where to begin, beside the corpus.</summary>
    public virtual IEnumerable<byte[]> Seeds => [new byte[RecordLength]];

    /// <summary>Runs once. The same octets do the same every time. Throws <see cref="FuzzException"/> when something does not hold; any other exception is a finding too.</summary>
    public abstract void Run(ReadOnlySpan<byte> input);

    /// <summary>What an execution promised and did not keep.</summary>
    protected static void Check(bool condition, string what)
    {
        if (!condition)
        {
            throw new FuzzException(what);
        }
    }

    /// <summary>As <see cref="Run"/>, and what it allocates is limited.</summary>
    public void RunWithin(ReadOnlySpan<byte> input)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(input);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Check(allocated <= AllocationLimit, $"{allocated} octets allocated for {input.Length} octets of input");
    }
}

/// <summary>Something does not hold.</summary>
internal sealed class FuzzException(string message) : Exception(message);
