using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>One packet in a <see cref="CaptureBuffer"/>.</summary>
internal readonly record struct CaptureRecord(TcpInstant Time, int Offset, int Captured, int Length, int GsoSize, CaptureDirection Direction, DropReason Reason, long LostBefore);

/// <summary>Packets on their way from the core to a capture's writer: their octets in one array, which grows up to a limit.</summary>
internal sealed class CaptureBuffer(int limit)
{
    /// <summary>What a record counts beside its octets, so that empty packets cannot fill memory.</summary>
    private const int Overhead = 64;

    private readonly List<CaptureRecord> _records = [];
    private byte[] _octets = new byte[Math.Min(limit, 64 * 1024)];
    private int _used;

    public int Count => _records.Count;

    public ReadOnlySpan<byte> Octets(in CaptureRecord record) => _octets.AsSpan(record.Offset, record.Captured);

    public CaptureRecord this[int index]
    {
        get => _records[index];
        set => _records[index] = value;
    }

    /// <summary>Copies a packet; false when it does not fit.</summary>
    public bool TryAdd(TcpInstant time, ReadOnlySpan<byte> packet, int captured, int gsoSize, CaptureDirection direction, DropReason reason, long lostBefore)
    {
        long needed = (long)_used + captured;
        if (needed + ((long)Overhead * (_records.Count + 1)) > limit)
        {
            return false;
        }

        if (needed > _octets.Length)
        {
            Array.Resize(ref _octets, (int)Math.Min(limit, Math.Max(needed, 2L * _octets.Length)));
        }

        packet[..captured].CopyTo(_octets.AsSpan(_used));
        _records.Add(new CaptureRecord(time, _used, captured, packet.Length, gsoSize, direction, reason, lostBefore));
        _used += captured;
        return true;
    }

    public void Clear()
    {
        _records.Clear();
        _used = 0;
    }
}
