using BenchmarkDotNet.Attributes;
using Tcpcrypt.Core;

namespace Tcpcrypt.Benchmarks.Micro;

/// <summary>What an ACK and a time-out cost with that many connections' timers in the queue.</summary>
public class DeadlineQueueBenchmarks
{
    private readonly DeadlineQueue _queue = new();
    private Item[] _items = [];
    private int _next;
    private long _now;

    [Params(100, 100_000)]
    public int Connections { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        Random random = new(1);
        _items = new Item[Connections];
        for (int i = 0; i < _items.Length; i++)
        {
            _items[i] = new Item { At = new TcpInstant(200_000_000 + random.Next(1_000_000_000)) };
            _queue.Update(_items[i]);
        }
    }

    /// <summary>A retransmission timer that moves later, as on nearly every ACK; the loop then asks for the next deadline.</summary>
    [Benchmark]
    public long Later()
    {
        Item item = _items[_next];
        _next = (_next + 1) % _items.Length;
        item.At = new TcpInstant(item.At.Nanoseconds + 1_000);
        _queue.Update(item);
        return _queue.Next.Nanoseconds;
    }

    /// <summary>A timer that is set to the earliest deadline of all and expires.</summary>
    [Benchmark]
    public bool SetAndExpire()
    {
        Item item = _items[_next];
        _next = (_next + 1) % _items.Length;
        TcpInstant before = item.At;
        item.At = new TcpInstant(++_now);
        _queue.Update(item);
        bool expired = _queue.TryTakeExpired(item.At, out DeadlineItem taken);
        ((Item)taken).At = before;
        _queue.Update(taken);
        return expired;
    }

    private sealed class Item : DeadlineItem
    {
        public TcpInstant At { get; set; }

        public override TcpInstant Deadline => At;

        public override void OnDeadline(TcpInstant now)
        {
        }
    }
}
