using System.Buffers;

namespace Tcpcrypt.Core;

/// <summary>One block of a <see cref="ByteQueue"/>: a pooled array that is a segment of a <see cref="ReadOnlySequence{T}"/>.</summary>
internal sealed class Block : ReadOnlySequenceSegment<byte>
{
    internal readonly byte[] Octets;

    /// <summary>Octets written so far.</summary>
    internal int Filled;

    /// <summary>An application may still hold a view of the octets: the block must not be used again.</summary>
    internal bool IsEscaped;

    /// <summary>Queue offset of the first octet.</summary>
    internal long Start;

    internal Block(int size)
    {
        Octets = new byte[size];
        Memory = Octets;
    }

    internal new Block? Next
    {
        get => (Block?)base.Next;
        set => base.Next = value;
    }

    internal void Reset(long start)
    {
        Start = start;
        RunningIndex = start;
        Filled = 0;
        base.Next = null;
    }
}

/// <summary>
/// The stack's buffer memory: blocks of two sizes, kept for reuse, counted against one limit. A connection that holds no data holds no block.
/// Thread-safe: applications fill send queues on their own threads.
/// </summary>
internal sealed class BlockPool(long memoryLimit)
{
    internal const int SmallSize = 4 * 1024;
    internal const int LargeSize = 64 * 1024;

    /// <summary>Idle blocks kept, in octets; more are left to the garbage collector.</summary>
    private const long KeepLimit = 32L * 1024 * 1024;

    private readonly Lock _lock = new();
    private readonly Stack<Block> _small = new();
    private readonly Stack<Block> _large = new();
    private long _inUse;
    private long _kept;

    /// <summary>Octets of blocks handed out.</summary>
    public long InUse => Volatile.Read(ref _inUse);

    /// <summary>The limit for <see cref="InUse"/>.</summary>
    public long Limit { get; } = memoryLimit;

    /// <summary>True when the memory limit has been reached: senders wait and windows close.</summary>
    public bool IsExhausted => InUse >= Limit;

    /// <summary>True from three quarters of the limit on: windows open no further, and what is held out of order gives way.</summary>
    public bool IsTight => InUse >= Limit - (Limit / 4);

    /// <summary>A block that starts at queue offset <paramref name="start"/>; large when more than a small one's worth is to come.</summary>
    public Block Rent(long start, int sizeHint)
    {
        bool large = sizeHint > SmallSize;
        Block? block;
        lock (_lock)
        {
            Stack<Block> stack = large ? _large : _small;
            if (stack.TryPop(out block))
            {
                _kept -= block.Octets.Length;
            }

            _inUse += large ? LargeSize : SmallSize;
        }

        block ??= new Block(large ? LargeSize : SmallSize);
        block.Reset(start);
        return block;
    }

    public void Return(Block block)
    {
        // The next block stays linked on an escaped one: a sequence may lead over it.
        if (!block.IsEscaped)
        {
            block.Next = null;
        }

        lock (_lock)
        {
            _inUse -= block.Octets.Length;
            if (!block.IsEscaped && _kept + block.Octets.Length <= KeepLimit)
            {
                _kept += block.Octets.Length;
                (block.Octets.Length == LargeSize ? _large : _small).Push(block);
            }
        }
    }
}
