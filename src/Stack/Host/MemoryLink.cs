namespace Tcpcrypt;

/// <summary>Two packet devices back to back in memory: what one writes, the other reads. For tests, and where no TUN device can be opened.</summary>
public static class MemoryLink
{
    /// <summary>Makes a pair of devices. Disposing of one is like pulling its end of the cable: what the other writes is lost.</summary>
    /// <param name="mtu">The largest packet, super-segments aside, in octets: 68 to 65,535.</param>
    /// <param name="offloads">What both ends take: super-segments pass the link whole, and partial checksums are good since nothing can damage a packet here.</param>
    /// <param name="queueLength">Packets that may wait in each direction: 1 to 65,536. When the queue is full, writing takes no more: nothing is lost.</param>
    /// <returns>The two devices.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of range.</exception>
    public static (PacketDevice First, PacketDevice Second) CreatePair(
        int mtu = 1500,
        PacketOffloads offloads = PacketOffloads.Checksum | PacketOffloads.Segmentation,
        int queueLength = 512)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(mtu, 68);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(mtu, PacketSlot.MaxPacketLength);
        ArgumentOutOfRangeException.ThrowIfLessThan(queueLength, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(queueLength, 65_536);
        MemoryQueue first = new(mtu, offloads, queueLength);
        MemoryQueue second = new(mtu, offloads, queueLength);
        first.Peer = second;
        second.Peer = first;
        return (new Device("memory0", mtu, offloads, first), new Device("memory1", mtu, offloads, second));
    }

    private sealed class Device(string name, int mtu, PacketOffloads offloads, MemoryQueue queue) : PacketDevice
    {
        public override string Name => name;

        public override int Mtu => mtu;

        public override PacketOffloads Offloads => offloads;

        public override IReadOnlyList<PacketQueue> Queues { get; } = [queue];

        public override ValueTask DisposeAsync()
        {
            queue.Close();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>One end of a <see cref="MemoryLink"/>. It holds what waits for its own reader.</summary>
internal sealed class MemoryQueue(int mtu, PacketOffloads offloads, int queueLength) : PacketQueue
{
    // A queue of super-segments shall not hold 64 KB for each of its places.
    private readonly int _octetLimit = Math.Max(1024 * 1024, Math.Min(queueLength, 4096) * mtu);
    private readonly object _gate = new();
    private readonly Queue<Entry> _packets = new();
    private readonly Stack<byte[]> _small = new();
    private readonly Stack<byte[]> _large = new();
    private int _octets;
    private bool _isPeerBlocked;
    private bool _isWoken;
    private bool _isWaiting;
    private bool _isClosed;

    public MemoryQueue? Peer { get; set; }

    private readonly record struct Entry(byte[] Octets, int Length, int GsoSize, int HeaderLength, ChecksumState Checksum);

    public override int Read(ReadOnlySpan<PacketSlot> batch)
    {
        int count = 0;
        bool wakesPeer;
        lock (_gate)
        {
            ThrowIfClosed();
            while (count < batch.Length && _packets.TryDequeue(out Entry entry))
            {
                PacketSlot slot = batch[count++];
                slot.CopyFrom(entry.Octets.AsSpan(0, entry.Length));
                slot.GsoSize = entry.GsoSize;
                slot.HeaderLength = entry.HeaderLength;
                slot.Checksum = entry.Checksum;
                _octets -= entry.Length;
                (entry.Octets.Length > mtu ? _large : _small).Push(entry.Octets);
            }

            wakesPeer = _isPeerBlocked && count > 0;
            _isPeerBlocked &= !wakesPeer;
        }

        if (wakesPeer)
        {
            Peer!.Wake();
        }

        return count;
    }

    public override int Write(ReadOnlySpan<PacketSlot> batch)
    {
        lock (_gate)
        {
            ThrowIfClosed();
        }

        foreach (PacketSlot packet in batch)
        {
            Check(packet);
        }

        return Peer!.Enqueue(batch);
    }

    public override void Wait(TimeSpan timeout)
    {
        lock (_gate)
        {
            ThrowIfClosed();
            if (!_isWoken && _packets.Count == 0)
            {
                _isWaiting = true;
                Monitor.Wait(_gate, Milliseconds(timeout));
                _isWaiting = false;
            }

            _isWoken = false;
            ThrowIfClosed();
        }
    }

    public override void Wake()
    {
        lock (_gate)
        {
            _isWoken = true;
            Monitor.Pulse(_gate);
        }
    }

    public void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
            _packets.Clear();
            _small.Clear();
            _large.Clear();
            Monitor.PulseAll(_gate);
        }

        Peer!.Wake();
    }

    /// <summary>The peer writes.</summary>
    private int Enqueue(ReadOnlySpan<PacketSlot> batch)
    {
        lock (_gate)
        {
            if (_isClosed)
            {
                return batch.Length;
            }

            int count = 0;
            while (count < batch.Length && _packets.Count < queueLength && (_octets == 0 || _octets + batch[count].Length <= _octetLimit))
            {
                PacketSlot packet = batch[count++];
                byte[] octets = packet.Length > mtu
                    ? _large.TryPop(out byte[]? large) ? large : new byte[PacketSlot.MaxPacketLength]
                    : _small.TryPop(out byte[]? small) ? small : new byte[mtu];
                packet.Packet.CopyTo(octets);
                _packets.Enqueue(new Entry(octets, packet.Length, packet.GsoSize, packet.HeaderLength, packet.Checksum));
                _octets += packet.Length;
            }

            _isPeerBlocked |= count < batch.Length;
            if (_isWaiting && count > 0)
            {
                Monitor.Pulse(_gate);
            }

            return count;
        }
    }

    private void Check(PacketSlot packet)
    {
        bool canSegment = (offloads & PacketOffloads.Segmentation) != 0;
        if (packet.GsoSize > 0 ? !canSegment : packet.Length > mtu)
        {
            throw new ArgumentException($"A packet of {packet.Length} octets (GSO size {packet.GsoSize}) does not fit a link with an MTU of {mtu} and offloads {offloads}.");
        }

        if (packet.Checksum == ChecksumState.Partial && offloads == PacketOffloads.None)
        {
            throw new ArgumentException("A packet with a partial checksum does not fit a link without the checksum offload.");
        }
    }

    private void ThrowIfClosed()
    {
        if (_isClosed)
        {
            throw new IOException("The memory link has been closed.");
        }
    }

    /// <summary>Rounded up: a wait that ends before its time would be a turn of the loop for nothing.</summary>
    private static int Milliseconds(TimeSpan timeout) =>
        timeout == Timeout.InfiniteTimeSpan ? Timeout.Infinite : (int)Math.Min(int.MaxValue, Math.Max(0, Math.Ceiling(timeout.TotalMilliseconds)));
}
