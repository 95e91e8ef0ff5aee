namespace Tcpcrypt.Core;

/// <summary>Something that wants to be called at a time: a connection, the reassembly table, a ping.</summary>
internal abstract class DeadlineItem
{
    /// <summary>Position in the queue's heap; -1 when not queued. Owned by <see cref="DeadlineQueue"/>.</summary>
    internal int HeapIndex = -1;

    /// <summary>The instant under which the item is queued: never later than the true deadline.</summary>
    internal TcpInstant HeapKey;

    /// <summary>The item's earliest deadline now; <see cref="TcpInstant.Never"/> when it has none.</summary>
    public abstract TcpInstant Deadline { get; }

    /// <summary>The deadline has passed. The item moves its deadline on, or it would be called again at once.</summary>
    public abstract void OnDeadline(TcpInstant now);
}

/// <summary>
/// The stack's timers: an indexed 4-ary heap of items by deadline. A deadline that moves later costs nothing (the entry is corrected when it
/// surfaces), which is what a retransmission timer does on nearly every ACK.
/// </summary>
internal sealed class DeadlineQueue
{
    private const int Arity = 4;
    private DeadlineItem[] _heap = new DeadlineItem[16];
    private int _count;

    public int Count => _count;

    /// <summary>Tells the queue that <paramref name="item"/>'s deadline changed.</summary>
    public void Update(DeadlineItem item)
    {
        TcpInstant deadline = item.Deadline;
        if (deadline.IsNever)
        {
            Remove(item);
            return;
        }

        if (item.HeapIndex < 0)
        {
            if (_count == _heap.Length)
            {
                Array.Resize(ref _heap, _count * 2);
            }

            item.HeapIndex = _count++;
            item.HeapKey = deadline;
            _heap[item.HeapIndex] = item;
            SiftUp(item.HeapIndex);
        }
        else if (deadline < item.HeapKey)
        {
            item.HeapKey = deadline;
            SiftUp(item.HeapIndex);
        }
    }

    public void Remove(DeadlineItem item)
    {
        int index = item.HeapIndex;
        if (index < 0)
        {
            return;
        }

        item.HeapIndex = -1;
        DeadlineItem last = _heap[--_count];
        _heap[_count] = null!;
        if (last != item)
        {
            _heap[index] = last;
            last.HeapIndex = index;
            SiftUp(index);
            SiftDown(last.HeapIndex);
        }
    }

    /// <summary>The earliest deadline, exact; <see cref="TcpInstant.Never"/> when there is none.</summary>
    public TcpInstant Next
    {
        get
        {
            while (_count > 0)
            {
                DeadlineItem first = _heap[0];
                TcpInstant deadline = first.Deadline;
                if (deadline.IsNever)
                {
                    Remove(first);
                }
                else if (deadline > first.HeapKey)
                {
                    first.HeapKey = deadline;
                    SiftDown(0);
                }
                else
                {
                    return deadline;
                }
            }

            return TcpInstant.Never;
        }
    }

    /// <summary>Takes out the item with the earliest deadline when that is due at <paramref name="now"/>.</summary>
    public bool TryTakeExpired(TcpInstant now, out DeadlineItem item)
    {
        if (Next <= now && _count > 0)
        {
            item = _heap[0];
            Remove(item);
            return true;
        }

        item = null!;
        return false;
    }

    private void SiftUp(int index)
    {
        DeadlineItem item = _heap[index];
        while (index > 0)
        {
            int parent = (index - 1) / Arity;
            if (_heap[parent].HeapKey <= item.HeapKey)
            {
                break;
            }

            _heap[index] = _heap[parent];
            _heap[index].HeapIndex = index;
            index = parent;
        }

        _heap[index] = item;
        item.HeapIndex = index;
    }

    private void SiftDown(int index)
    {
        DeadlineItem item = _heap[index];
        while (true)
        {
            int child = (index * Arity) + 1;
            if (child >= _count)
            {
                break;
            }

            int smallest = child;
            int end = Math.Min(child + Arity, _count);
            while (++child < end)
            {
                if (_heap[child].HeapKey < _heap[smallest].HeapKey)
                {
                    smallest = child;
                }
            }

            if (_heap[smallest].HeapKey >= item.HeapKey)
            {
                break;
            }

            _heap[index] = _heap[smallest];
            _heap[index].HeapIndex = index;
            index = smallest;
        }

        _heap[index] = item;
        item.HeapIndex = index;
    }
}
