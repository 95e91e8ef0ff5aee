using Tcpcrypt.Core;

namespace Tcpcrypt.Udp;

/// <summary>A datagram as the application gets it.</summary>
/// <param name="Count">Octets copied.</param>
/// <param name="Length">Octets that the datagram has; more than <paramref name="Count"/> when it was cut.</param>
/// <param name="Remote">Who sent it; port 0 = no reply is expected (RFC 768).</param>
/// <param name="LocalAddress">The address that it was sent to (RFC 1122 §4.1.3.5).</param>
/// <param name="TimeToLive">As it arrived.</param>
/// <param name="TypeOfService">DSCP and ECN as they arrived.</param>
internal readonly record struct UdpArrival(int Count, int Length, Endpoint4 Remote, Ipv4Address LocalAddress, byte TimeToLive, byte TypeOfService);

/// <summary>An allowance of octets that several queues share. Thread-safe.</summary>
internal sealed class OctetBudget(long limit)
{
    private long _used;

    public long Used => Volatile.Read(ref _used);

    public bool TryTake(int octets)
    {
        if (Interlocked.Add(ref _used, octets) <= limit)
        {
            return true;
        }

        Interlocked.Add(ref _used, -octets);
        return false;
    }

    public void Return(int octets) => Interlocked.Add(ref _used, -octets);
}

/// <summary>
/// Datagrams between the core, which adds, and an application, which takes on its own thread. Data lies in one ring that grows with what is queued, so that
/// receiving allocates nothing; each datagram is charged for itself beside its octets, so that empty ones are bounded too (RFC 768; HI_UDP_02).
/// </summary>
internal sealed class DatagramQueue(OctetBudget? budget = null)
{
    /// <summary>Octets that a datagram is charged with beside its own.</summary>
    public const int Overhead = 64;

    private const int SmallRing = 2048;
    private const int RingKept = 64 * 1024;

    private readonly Lock _lock = new();
    private readonly Queue<UdpArrival> _datagrams = new();
    private byte[] _ring = [];
    private int _head;
    private int _octets;
    private bool _isClosed;

    public int Datagrams
    {
        get
        {
            lock (_lock)
            {
                return _datagrams.Count;
            }
        }
    }

    /// <summary>Octets of all datagrams queued, without overhead.</summary>
    public int Octets
    {
        get
        {
            lock (_lock)
            {
                return _octets;
            }
        }
    }

    /// <summary>Adds a datagram; false when it would go beyond <paramref name="limit"/>: the newest is lost (RFC 768 has no other way).</summary>
    public bool TryAdd(ReadOnlySpan<byte> data, in UdpArrival about, int limit)
    {
        lock (_lock)
        {
            int charge = data.Length + Overhead;
            if (_isClosed || (long)_octets + (_datagrams.Count * Overhead) + charge > limit || (budget is not null && !budget.TryTake(charge)))
            {
                return false;
            }

            MakeRoom(data.Length);
            int at = (_head + _octets) & (_ring.Length - 1);
            int first = Math.Min(data.Length, _ring.Length - at);
            data[..first].CopyTo(_ring.AsSpan(at));
            data[first..].CopyTo(_ring);
            _octets += data.Length;
            _datagrams.Enqueue(about with { Count = 0, Length = data.Length });
            return true;
        }
    }

    /// <summary>Takes the oldest datagram, as much of it as fits; the rest of it is lost. With <paramref name="peek"/> it stays.</summary>
    public bool TryTake(Span<byte> into, out UdpArrival arrival, bool peek)
    {
        lock (_lock)
        {
            if (!_datagrams.TryPeek(out arrival))
            {
                return false;
            }

            int count = Math.Min(into.Length, arrival.Length);
            int first = Math.Min(count, _ring.Length - _head);
            _ring.AsSpan(_head, first).CopyTo(into);
            _ring.AsSpan(0, count - first).CopyTo(into[first..]);
            if (!peek)
            {
                _datagrams.Dequeue();
                Release(arrival.Length);
            }

            arrival = arrival with { Count = count };
            return true;
        }
    }

    /// <summary>Drops everything, and whatever is still added.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            budget?.Return(_octets + (_datagrams.Count * Overhead));
            _datagrams.Clear();
            _octets = 0;
            _ring = [];
        }
    }

    private void Release(int octets)
    {
        budget?.Return(octets + Overhead);
        _octets -= octets;
        _head = _octets == 0 ? 0 : (_head + octets) & (_ring.Length - 1);
        if (_octets == 0 && _ring.Length > RingKept)
        {
            _ring = [];
        }
    }

    private void MakeRoom(int octets)
    {
        if (_octets + octets <= _ring.Length)
        {
            return;
        }

        // A power of two, so that positions wrap with a mask.
        byte[] larger = new byte[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(_octets + octets, SmallRing))];
        int first = Math.Min(_octets, _ring.Length - _head);
        _ring.AsSpan(_head, first).CopyTo(larger);
        _ring.AsSpan(0, _octets - first).CopyTo(larger.AsSpan(first));
        _ring = larger;
        _head = 0;
    }
}
