using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>
/// Holds what arrived ahead of RCV.NXT (RFC 9293 SHLD-31), as sorted, disjoint, non-adjacent ranges of stream offsets. Where octets come twice the
/// first received win. Bounded in ranges and in block memory, so that tiny segments with gaps cannot multiply (SegmentSmack).
/// </summary>
internal sealed class Reassembler(BlockPool pool)
{
    /// <summary>Gaps remembered at most; a search takes log2 of it.</summary>
    public const int RangeLimit = 1024;

    private readonly List<Held> _ranges = [];
    private readonly long[] _recent = [-1, -1, -1, -1];

    /// <summary>Octets held.</summary>
    public long Length { get; private set; }

    /// <summary>Octets of blocks held: what is charged.</summary>
    public long Memory { get; private set; }

    public bool IsEmpty => _ranges.Count == 0;

    public int RangeCount => _ranges.Count;

    /// <summary>The first octets of the last <see cref="Insert"/> that were held already.</summary>
    public (long Start, long End)? Repeated { get; private set; }

    /// <summary>Holds octets at a stream offset. False when a limit refused part of them.</summary>
    public bool Insert(long start, ReadOnlySpan<byte> octets, long memoryLimit, out bool isConflict, out bool isDuplicate)
    {
        isConflict = false;
        isDuplicate = true;
        Repeated = null;
        int index = IndexOfFirstEndingAfter(start);
        while (octets.Length > 0)
        {
            if (index < _ranges.Count && _ranges[index].Start <= start)
            {
                Held held = _ranges[index];
                int overlap = (int)Math.Min(held.End - start, octets.Length);
                if (overlap > 0)
                {
                    isConflict |= !held.Matches(start, octets[..overlap]);
                    Remember(held.Start);
                    Repeated ??= (start, start + overlap);
                    octets = octets[overlap..];
                    start += overlap;
                }

                index++;
                continue;
            }

            int count = index < _ranges.Count ? (int)Math.Min(_ranges[index].Start - start, octets.Length) : octets.Length;
            if (!TryAdd(ref index, start, octets[..count], memoryLimit))
            {
                return false;
            }

            isDuplicate = false;
            octets = octets[count..];
            start += count;
        }

        return true;
    }

    /// <summary>Stream offset of the first octet held; only when not empty.</summary>
    public long Start => _ranges[0].Start;

    /// <summary>Gives the held octets that continue the stream at <paramref name="tail"/>, up to <paramref name="end"/>, to <paramref name="queue"/> (null: to nobody); returns how many.</summary>
    public long MoveTo(ByteQueue? queue, long tail, long end = long.MaxValue)
    {
        long moved = 0;
        while (_ranges.Count > 0 && _ranges[0].Start <= tail)
        {
            Held held = _ranges[0];
            long skip = tail - held.Start;
            for (Block? block = held.First; block is not null;)
            {
                Block? next = block.Next;
                ReadOnlySpan<byte> octets = block.Octets.AsSpan(0, block.Filled);
                if (skip >= octets.Length)
                {
                    skip -= octets.Length;
                }
                else
                {
                    octets = octets[(int)skip..];
                    skip = 0;
                    octets = octets[..(int)Math.Min(octets.Length, end - tail)];
                    queue?.Append(octets);
                    moved += octets.Length;
                    tail += octets.Length;
                }

                Return(block);
                block = next;
            }

            Length -= held.End - held.Start;
            _ranges.RemoveAt(0);
        }

        return moved;
    }

    /// <summary>Up to <paramref name="into"/>.Length ranges in the order of RFC 2018 §4: the one just changed first, then the others most recently reported.</summary>
    public int GetSackRanges(Span<(long Start, long End)> into)
    {
        int count = 0;
        foreach (long offset in _recent)
        {
            if (offset >= 0 && count < into.Length && TryFind(offset, out Held held) && !Contains(into[..count], held.Start))
            {
                into[count++] = (held.Start, held.End);
            }
        }

        for (int i = _ranges.Count - 1; i >= 0 && count < into.Length; i--)
        {
            if (!Contains(into[..count], _ranges[i].Start))
            {
                into[count++] = (_ranges[i].Start, _ranges[i].End);
            }
        }

        return count;
    }

    public void Clear()
    {
        foreach (Held held in _ranges)
        {
            for (Block? block = held.First; block is not null;)
            {
                Block? next = block.Next;
                Return(block);
                block = next;
            }
        }

        _ranges.Clear();
        Length = 0;
    }

    private static bool Contains(ReadOnlySpan<(long Start, long End)> ranges, long start)
    {
        foreach ((long other, _) in ranges)
        {
            if (other == start)
            {
                return true;
            }
        }

        return false;
    }

    private bool TryFind(long offset, out Held held)
    {
        int index = IndexOfFirstEndingAfter(offset);
        held = index < _ranges.Count ? _ranges[index] : null!;
        return held is not null && held.Start <= offset;
    }

    private int IndexOfFirstEndingAfter(long offset)
    {
        int low = 0;
        int high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End > offset)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    /// <summary>Adds octets into the gap in front of the range at <paramref name="index"/>; leaves index at the range that follows them, or that they became one with.</summary>
    private bool TryAdd(ref int index, long start, ReadOnlySpan<byte> octets, long memoryLimit)
    {
        bool joinsPrevious = index > 0 && _ranges[index - 1].End == start;
        long end = start + octets.Length;
        bool joinsNext = index < _ranges.Count && _ranges[index].Start == end;
        int room = joinsPrevious ? _ranges[index - 1].Last.Octets.Length - _ranges[index - 1].Last.Filled : 0;
        int needed = octets.Length <= room ? 0 : octets.Length - room > BlockPool.SmallSize ? BlockPool.LargeSize : BlockPool.SmallSize;
        if (Memory + needed > memoryLimit || (!joinsPrevious && !joinsNext && _ranges.Count >= RangeLimit))
        {
            return false;
        }

        Held held;
        if (joinsPrevious)
        {
            held = _ranges[index - 1];
        }
        else
        {
            held = new Held(start, Rent(octets.Length));
            _ranges.Insert(index++, held);
        }

        while (octets.Length > 0)
        {
            if (held.Last.Filled == held.Last.Octets.Length)
            {
                held.Last = held.Last.Next = Rent(octets.Length);
            }

            int count = Math.Min(held.Last.Octets.Length - held.Last.Filled, octets.Length);
            octets[..count].CopyTo(held.Last.Octets.AsSpan(held.Last.Filled));
            held.Last.Filled += count;
            octets = octets[count..];
        }

        Length += end - start;
        held.End = end;
        if (joinsNext)
        {
            Held next = _ranges[index];
            held.Last.Next = next.First;
            held.Last = next.Last;
            held.End = next.End;
            _ranges.RemoveAt(index--);
        }

        Remember(held.Start);
        return true;
    }

    private void Remember(long offset)
    {
        int at = Array.IndexOf(_recent, offset);
        for (int i = at < 0 ? _recent.Length - 1 : at; i > 0; i--)
        {
            _recent[i] = _recent[i - 1];
        }

        _recent[0] = offset;
    }

    private Block Rent(int sizeHint)
    {
        Block block = pool.Rent(0, sizeHint);
        Memory += block.Octets.Length;
        return block;
    }

    private void Return(Block block)
    {
        Memory -= block.Octets.Length;
        pool.Return(block);
    }

    private sealed class Held(long start, Block first)
    {
        public readonly long Start = start;
        public readonly Block First = first;
        public Block Last = first;
        public long End = start;

        public bool Matches(long offset, ReadOnlySpan<byte> octets)
        {
            long at = Start;
            for (Block? block = First; block is not null && octets.Length > 0; block = block.Next)
            {
                long skip = offset - at;
                if (skip < block.Filled)
                {
                    ReadOnlySpan<byte> held = block.Octets.AsSpan((int)skip, block.Filled - (int)skip);
                    int count = Math.Min(held.Length, octets.Length);
                    if (!held[..count].SequenceEqual(octets[..count]))
                    {
                        return false;
                    }

                    octets = octets[count..];
                    offset += count;
                }

                at += block.Filled;
            }

            return true;
        }
    }
}
