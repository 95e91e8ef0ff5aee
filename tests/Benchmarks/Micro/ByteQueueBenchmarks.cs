using BenchmarkDotNet.Attributes;
using Tcpcrypt.Core;

namespace Tcpcrypt.Benchmarks.Micro;

/// <summary>A send queue's life: the application appends, the core copies into packets, the acknowledgment releases.</summary>
public class ByteQueueBenchmarks
{
    private readonly ByteQueue _queue = new(new BlockPool(64 * 1024 * 1024));
    private readonly byte[] _octets = new byte[64 * 1024];
    private readonly byte[] _packet = new byte[64 * 1024];

    [Params(1, 1460, 65_536)]
    public int Length { get; set; }

    [Benchmark]
    public long AppendCopyRelease()
    {
        _queue.Append(_octets.AsSpan(0, Length));
        _queue.CopyTo(_queue.Head, _packet.AsSpan(0, Length));
        _queue.Release(_queue.Tail);
        return _queue.Tail;
    }

    /// <summary>The same with the queue half full, so that blocks are linked and returned rather than reused in place.</summary>
    [Benchmark]
    public long AppendCopyReleaseBehind256K()
    {
        while (_queue.Length < 256 * 1024)
        {
            _queue.Append(_octets);
        }

        _queue.Append(_octets.AsSpan(0, Length));
        _queue.CopyTo(_queue.Head, _packet.AsSpan(0, Length));
        _queue.Release(_queue.Head + Length);
        return _queue.Tail;
    }

    [Benchmark]
    public long WithoutCopies()
    {
        _queue.GetRoom(Length);
        int count = Math.Min(Length, 4096);
        _queue.Advance(count);
        long length = _queue.Peek().Length;
        _queue.Release(_queue.Tail);
        return length;
    }
}
