using System.Numerics;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>
/// Which connection gives way when buffer memory runs out, and how many orphans there may be: connections that the application has closed and that are not finished.
/// <para>
/// From three quarters of the limit on windows open no further than one segment's worth, and what is held out of order must be worth less than what others hold: the largest holder gives its up, which
/// costs a retransmission (RFC 2018 §8 lets a receiver take back what it has SACKed). At the limit all of it goes; then orphans with unsent data, the oldest first; then connections whose
/// peers have long taken nothing, the one that holds most first. What is in the receive queue was acknowledged and stays: new text is dropped instead, except that each connection may
/// hold one segment's worth, so that it is slow and not stuck.
/// </para>
/// </summary>
internal sealed class MemoryPolicy(TcpLayer tcp)
{
    private const int SizeClasses = 20;

    /// <summary>Orphans looked at for one segment that found no room.</summary>
    private const int OrphansPerSearch = 16;

    /// <summary>How often all connections are looked at.</summary>
    private static readonly TimeSpan s_searchInterval = TimeSpan.FromSeconds(1);

    private readonly StackCore _core = tcp.Core;

    /// <summary>The oldest first. A connection is in this list or in one of <see cref="_holders"/>, or in none.</summary>
    private readonly LinkedList<TcpEndpoint> _orphans = new();

    /// <summary>Those that hold text out of order, by the power of two of what they hold: the largest, nearly, is found at once.</summary>
    private readonly LinkedList<TcpEndpoint>[] _holders = [.. Enumerable.Range(0, SizeClasses).Select(static _ => new LinkedList<TcpEndpoint>())];

    private TcpInstant _searchedAt = TcpInstant.Never;

    public int Orphans => _orphans.Count;

    /// <summary>What <paramref name="endpoint"/> holds out of order has changed.</summary>
    public void OnHeld(TcpEndpoint endpoint)
    {
        int sizeClass = ClassOf(endpoint.HeldMemory);
        if (sizeClass >= 0)
        {
            if (endpoint.MemoryNode?.List != _holders[sizeClass])
            {
                Add(_holders[sizeClass], endpoint);
            }
        }
        else if (endpoint.MemoryNode?.List != _orphans)
        {
            Remove(endpoint);
        }
    }

    /// <summary>True when <paramref name="asking"/> may hold more out of order.</summary>
    public bool MayHold(TcpEndpoint asking)
    {
        while (_core.Blocks.IsTight)
        {
            // Only to one that holds half as much or less, or they would take it from each other for ever.
            if (Largest is not { } largest || ClassOf(largest.HeldMemory) <= Math.Max(ClassOf(asking.HeldMemory), 0))
            {
                return false;
            }

            GiveUpHeld(largest);
        }

        return true;
    }

    /// <summary>At the limit: makes room; true when there is some. May end any connection, the asking one too.</summary>
    public bool TryRelieve(TcpInstant now)
    {
        while (_core.Blocks.IsExhausted && Largest is { } largest)
        {
            GiveUpHeld(largest);
        }

        LinkedListNode<TcpEndpoint>? orphan = _orphans.First;
        for (int i = 0; orphan is not null && i < OrphansPerSearch && _core.Blocks.IsExhausted; i++)
        {
            LinkedListNode<TcpEndpoint>? next = orphan.Next;
            if (orphan.Value.SendQueue.Length > 0)
            {
                End(now, orphan.Value);
            }

            orphan = next;
        }

        if (_core.Blocks.IsExhausted && (_searchedAt.IsNever || now - _searchedAt >= s_searchInterval))
        {
            _searchedAt = now;
            EndStalled(now);
        }

        return !_core.Blocks.IsExhausted;
    }

    /// <summary>The application has closed a connection that is not finished. Beyond the limit the oldest is reset.</summary>
    public void AddOrphan(TcpInstant now, TcpEndpoint endpoint)
    {
        Add(_orphans, endpoint);
        _core.Counters.TcpOrphans = _orphans.Count;
        if (_orphans.Count > _core.Options.Tcp.OrphanLimit)
        {
            _core.Counters.TcpOrphanOverflows++;
            _orphans.First!.Value.GiveWay(now);
        }
    }

    /// <summary>The end of a connection.</summary>
    public void Forget(TcpEndpoint endpoint)
    {
        Remove(endpoint);
        _core.Counters.TcpOrphans = _orphans.Count;
    }

    private TcpEndpoint? Largest
    {
        get
        {
            for (int i = _holders.Length - 1; i >= 0; i--)
            {
                if (_holders[i].First is { } node)
                {
                    return node.Value;
                }
            }

            return null;
        }
    }

    /// <summary>0 for one small block, one more for each doubling; -1 for nothing.</summary>
    private static int ClassOf(long memory) => memory <= 0 ? -1 : Math.Min(BitOperations.Log2((ulong)memory / BlockPool.SmallSize), SizeClasses - 1);

    private static void Add(LinkedList<TcpEndpoint> list, TcpEndpoint endpoint)
    {
        Remove(endpoint);
        list.AddLast(endpoint.MemoryNode ??= new LinkedListNode<TcpEndpoint>(endpoint));
    }

    private static void Remove(TcpEndpoint endpoint)
    {
        if (endpoint.MemoryNode is { List: { } list } node)
        {
            list.Remove(node);
        }
    }

    private void GiveUpHeld(TcpEndpoint endpoint)
    {
        _core.Counters.TcpOutOfOrderPruned++;
        endpoint.GiveUpHeld();
    }

    private void EndStalled(TcpInstant now)
    {
        // More than one may be asked for at a time: what is ended is enough for a while.
        List<TcpEndpoint> stalled = [.. tcp.Endpoints.Where(endpoint => endpoint.IsStalled(now))];
        stalled.Sort(static (left, right) => right.SendQueue.Length.CompareTo(left.SendQueue.Length));
        foreach (TcpEndpoint endpoint in stalled)
        {
            if (!_core.Blocks.IsTight)
            {
                return;
            }

            End(now, endpoint);
        }
    }

    private void End(TcpInstant now, TcpEndpoint endpoint)
    {
        _core.Counters.TcpAbortsOnMemory++;
        endpoint.GiveWay(now);
    }
}
