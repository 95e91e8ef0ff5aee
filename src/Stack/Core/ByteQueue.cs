using System.Buffers;

namespace Tcpcrypt.Core;

/// <summary>
/// A stream of octets between one producer and one consumer, in pooled blocks. Positions are 64-bit offsets from the start of the stream, so nothing wraps.
/// Send direction: the application appends, the core reads at any offset and releases what was acknowledged. Receive direction: the core appends,
/// the application reads and releases.
/// </summary>
/// <remarks>
/// Producer members: <see cref="GetRoom"/>, <see cref="Advance"/>, <see cref="Append"/>. Consumer members: <see cref="CopyTo"/>, <see cref="Peek"/>, <see cref="Release"/>.
/// The two sides may run on different threads; the lock covers only the block list, never a copy of data.
/// </remarks>
internal sealed class ByteQueue(BlockPool pool)
{
    private readonly Lock _lock = new();
    private Block? _first;
    private Block? _last;
    private Block? _cursor;
    private long _head;
    private long _tail;
    private bool _isWriting;
    private bool _isDiscarding;
    private bool _isReading;

    /// <summary>Offset of the first octet still held: what came before was released.</summary>
    public long Head => Volatile.Read(ref _head);

    /// <summary>Offset behind the last octet appended.</summary>
    public long Tail => Volatile.Read(ref _tail);

    /// <summary>Octets held.</summary>
    public long Length => Tail - Head;

    /// <summary>Producer: room for at least one octet, at the end of the stream. Filled octets count once <see cref="Advance"/> says so.</summary>
    public Memory<byte> GetRoom(int sizeHint)
    {
        lock (_lock)
        {
            _isWriting = true;
            Block? last = _last;
            if (last is null || last.Filled == last.Octets.Length)
            {
                Block block = pool.Rent(_tail, Math.Max(sizeHint, 1));
                if (last is null)
                {
                    _first = block;
                }
                else
                {
                    last.Next = block;
                }

                _last = last = block;
            }

            return last.Octets.AsMemory(last.Filled);
        }
    }

    /// <summary>Producer: <paramref name="octets"/> of the room were filled; with 0 the room is given back.</summary>
    public void Advance(int octets)
    {
        lock (_lock)
        {
            _isWriting = false;
            if (_last is { } last)
            {
                last.Filled += octets;
            }

            Volatile.Write(ref _tail, _tail + octets);
            if (_isDiscarding)
            {
                Volatile.Write(ref _head, _tail);
            }

            if (_head == _tail)
            {
                ReleaseBlocks(_tail);
            }
        }
    }

    /// <summary>Producer: gives back the room of <see cref="GetRoom"/>, into which somebody may still be writing.</summary>
    public void AbandonRoom()
    {
        lock (_lock)
        {
            if (_isWriting && _last is { } last)
            {
                last.IsEscaped = true;
            }

            Advance(0);
        }
    }

    /// <summary>Producer: copies all of <paramref name="octets"/> to the end of the stream. The caller keeps the bound.</summary>
    public void Append(ReadOnlySpan<byte> octets)
    {
        while (octets.Length > 0)
        {
            Span<byte> room = GetRoom(octets.Length).Span;
            int count = Math.Min(room.Length, octets.Length);
            octets[..count].CopyTo(room);
            Advance(count);
            octets = octets[count..];
        }
    }

    /// <summary>Consumer: copies the octets from <paramref name="offset"/> on, which must be held.</summary>
    public void CopyTo(long offset, Span<byte> destination)
    {
        if (destination.IsEmpty)
        {
            return;
        }

        // Sending is sequential nearly always: the block of the last copy is where the next begins. Retransmissions start from the head.
        Block? block = _cursor is { } cursor && cursor.Start <= offset ? cursor : _first;
        while (offset >= block!.Start + block.Octets.Length)
        {
            block = block.Next;
        }

        while (true)
        {
            int at = (int)(offset - block.Start);
            int count = Math.Min(destination.Length, block.Octets.Length - at);
            block.Octets.AsSpan(at, count).CopyTo(destination);
            destination = destination[count..];
            offset += count;
            if (destination.IsEmpty)
            {
                _cursor = block;
                return;
            }

            block = block.Next!;
        }
    }

    /// <summary>Consumer: everything held, as a sequence over the blocks; valid until the next <see cref="Release"/>.</summary>
    public ReadOnlySequence<byte> Peek()
    {
        lock (_lock)
        {
            if (_first is null || _head == _tail)
            {
                return ReadOnlySequence<byte>.Empty;
            }

            // The last block that holds data; the producer may have taken room in one behind it.
            Block end = _last!;
            if (end.Filled == 0)
            {
                end = _first;
                while (end.Next is { Filled: > 0 } next)
                {
                    end = next;
                }
            }

            return new ReadOnlySequence<byte>(_first, (int)(_head - _first.Start), end, end.Filled);
        }
    }

    /// <summary>
    /// Consumer: everything held, as <see cref="Peek"/> gives it, for a reader on another thread than the one that may <see cref="Discard"/>: until <see cref="EndRead"/> its octets
    /// stay what they are even then. Nothing has to be ended when the sequence is empty.
    /// </summary>
    public ReadOnlySequence<byte> BeginRead()
    {
        lock (_lock)
        {
            ReadOnlySequence<byte> held = Peek();
            _isReading = !held.IsEmpty;
            return held;
        }
    }

    /// <summary>Consumer: ends <see cref="BeginRead"/>, and gives up everything before <paramref name="offset"/>.</summary>
    public void EndRead(long offset)
    {
        lock (_lock)
        {
            _isReading = false;
            Release(offset);
        }
    }

    /// <summary>Consumer: copies from the head into <paramref name="destination"/> without releasing; returns the count.</summary>
    public int PeekInto(Span<byte> destination)
    {
        int count = (int)Math.Min(destination.Length, Length);
        CopyTo(Head, destination[..count]);
        return count;
    }

    /// <summary>Consumer: copies and releases; returns the count.</summary>
    public int Read(Span<byte> destination)
    {
        int count = PeekInto(destination);
        Release(Head + count);
        return count;
    }

    /// <summary>Consumer: gives up everything before <paramref name="offset"/> (at most <see cref="Tail"/>).</summary>
    public void Release(long offset)
    {
        lock (_lock)
        {
            if (offset > _head)
            {
                Volatile.Write(ref _head, offset);
                ReleaseBlocks(offset);
            }
        }
    }

    /// <summary>Consumer: gives up everything held, and everything that will ever be appended.</summary>
    public void Discard()
    {
        lock (_lock)
        {
            _isDiscarding = true;
            Volatile.Write(ref _head, _tail);
            ReleaseBlocks(_tail);
        }
    }

    private void ReleaseBlocks(long offset)
    {
        while (_first is { } first)
        {
            bool isLast = first == _last;
            bool isPassed = first.Start + first.Filled <= offset && (!isLast ? first.Filled == first.Octets.Length : !_isWriting);
            if (!isPassed)
            {
                return;
            }

            _first = first.Next;
            if (isLast)
            {
                _last = null;
            }

            if (_cursor == first)
            {
                _cursor = null;
            }

            first.IsEscaped |= _isReading;
            pool.Return(first);
        }
    }
}
