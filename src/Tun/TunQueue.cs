using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>
/// One queue of a TUN device: a non-blocking descriptor, one read(2) or write(2) per packet, and an eventfd that ends a sleep. The virtio-net header lives in the slot's headroom, so
/// no packet is copied here and nothing is allocated.
/// </summary>
/// <remarks>Reading, writing and waiting may each be done by another thread; two threads must not do the same at once.</remarks>
internal sealed class TunQueue : PacketQueue
{
    // The states of the wake-up protocol. Every transition is an interlocked exchange, so that whoever sees Woken also sees what was done before the Wake.
    private const int Running = 0;
    private const int Sleeping = 1;
    private const int Woken = 2;

    private const string GoneCure = "The interface was deleted or its descriptor detached; open the device again.";

    private readonly TunQueueHandle _handle;
    private readonly string _deviceName;
    private readonly int _headerLength;
    private readonly PacketOffloads _offloads;
    private int _state = Running;
    private volatile bool _closing;
    private long _readDrops;
    private long _writeDrops;

    /// <summary>Takes over <paramref name="handle"/>.</summary>
    /// <param name="handle">The queue's descriptors.</param>
    /// <param name="deviceName">For messages.</param>
    /// <param name="headerLength">The virtio-net header's length in octets; 0 when the device has none.</param>
    /// <param name="offloads">What may be written.</param>
    public TunQueue(TunQueueHandle handle, string deviceName, int headerLength, PacketOffloads offloads)
    {
        _handle = handle;
        _deviceName = deviceName;
        _headerLength = headerLength;
        _offloads = offloads;
    }

    public long ReadDrops => Interlocked.Read(ref _readDrops);

    public long WriteDrops => Interlocked.Read(ref _writeDrops);

    public override int Read(ReadOnlySpan<PacketSlot> batch)
    {
        Enter();
        try
        {
            int filled = 0;
            while (filled < batch.Length)
            {
                ReadResult result = ReadOne(batch[filled]);
                if (result == ReadResult.Empty)
                {
                    break;
                }

                filled += result == ReadResult.Packet ? 1 : 0;
            }

            return filled;
        }
        finally
        {
            _handle.DangerousRelease();
        }
    }

    public override int Write(ReadOnlySpan<PacketSlot> batch)
    {
        Enter();
        try
        {
            int written = 0;
            while (written < batch.Length && TryWriteOne(batch[written]))
            {
                written++;
            }

            return written;
        }
        finally
        {
            _handle.DangerousRelease();
        }
    }

    /// <inheritdoc/>
    /// <remarks>May end early for no reason (a signal, a late wake-up): the caller looks at its clock in any case.</remarks>
    public override void Wait(TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        }

        Enter();
        try
        {
            if (Interlocked.CompareExchange(ref _state, Sleeping, Running) == Woken)
            {
                Interlocked.Exchange(ref _state, Running);
                return;
            }

            // Close() sets the flag before it signals, so either it is seen here or the eventfd ends the poll.
            if (!_closing)
            {
                Sleep(timeout);
            }

            Interlocked.Exchange(ref _state, Running);
        }
        finally
        {
            _handle.DangerousRelease();
        }
    }

    public override void Wake()
    {
        // A system call only for a sleeper. A wake-up before the sleep stays in the state, where Wait finds it.
        if (Interlocked.Exchange(ref _state, Woken) == Sleeping)
        {
            Signal();
        }
    }

    /// <summary>Ends a wait, lets calls under way finish, then closes.</summary>
    /// <returns>Ends when the descriptors are closed.</returns>
    public Task CloseAsync()
    {
        if (!_closing)
        {
            _closing = true;
            Signal();
            _handle.Dispose();
        }

        return _handle.Closed;
    }

    private unsafe ReadResult ReadOne(PacketSlot slot)
    {
        slot.Clear();
        Span<byte> room = slot.RoomWithHeadroom.Span[(PacketSlot.Headroom - _headerLength)..];
        int count;
        fixed (byte* start = room)
        {
            while ((count = (int)(long)read(_handle.Tun, start, (uint)room.Length)) < 0)
            {
                int error = errno;
                if (error == EAGAIN)
                {
                    return ReadResult.Empty;
                }

                if (error != EINTR)
                {
                    throw Gone("read", error);
                }
            }
        }

        slot.Length = Math.Max(count - _headerLength, 0);
        if (slot.Length == 0 || IsTruncated(slot) || (_headerLength > 0 && !VirtioNetHeader.TryDecode(room, slot)))
        {
            slot.Clear();
            Interlocked.Increment(ref _readDrops);
            return ReadResult.Dropped;
        }

        return ReadResult.Packet;
    }

    // A read into too little room loses the packet's end without an error. A super-segment's length comes from the buffer, so nobody later would notice.
    private static bool IsTruncated(PacketSlot slot) =>
        slot.Length == slot.Capacity && slot.Packet[0] >> 4 == 4 && ((slot.Packet[2] << 8) | slot.Packet[3]) > slot.Length;

    // True: the packet is off our hands, taken or refused. False: the device is full.
    private unsafe bool TryWriteOne(PacketSlot slot)
    {
        Span<byte> octets = slot.RoomWithHeadroom.Span.Slice(PacketSlot.Headroom - _headerLength, _headerLength + slot.Length);
        if (slot.GsoSize > 0 || slot.Checksum == ChecksumState.Partial)
        {
            RequireOffload(slot.GsoSize > 0 ? PacketOffloads.Segmentation : PacketOffloads.Checksum);
        }

        if (_headerLength > 0)
        {
            VirtioNetHeader.Encode(slot, octets);
        }

        fixed (byte* start = octets)
        {
            while ((long)write(_handle.Tun, start, (uint)octets.Length) < 0)
            {
                int error = errno;
                if (error == EAGAIN)
                {
                    return false;
                }

                if (IsRefusal(error))
                {
                    Interlocked.Increment(ref _writeDrops);
                    return true;
                }

                if (error != EINTR)
                {
                    throw Gone("write", error);
                }
            }
        }

        return true;
    }

    // The kernel refuses this packet and not the device: malformed (EINVAL), out of memory, too long, or (EIO) the interface is down, which its administrator may change again.
    private static bool IsRefusal(int error) => error == EINVAL || error == ENOBUFS || error == ENOMEM || error == EMSGSIZE || error == EIO;

    private void RequireOffload(PacketOffloads needed)
    {
        if ((_offloads & needed) == 0)
        {
            throw new ArgumentException($"{_deviceName} has no {needed} offload: cut super-segments and complete checksums in software before writing (PacketDevice.Offloads).", nameof(needed));
        }
    }

    private void Sleep(TimeSpan timeout)
    {
        Span<pollfd> descriptors =
        [
            new pollfd { fd = _handle.Tun, events = POLLIN },
            new pollfd { fd = _handle.Event, events = POLLIN },
        ];
        if (TunNative.Poll(descriptors, timeout) < 0)
        {
            int error = errno;
            if (error == EINTR)
            {
                return;
            }

            throw TunErrors.Create($"Cannot wait for TUN device {_deviceName}", "poll", error);
        }

        if ((descriptors[1].revents & POLLIN) != 0 && !_closing)
        {
            _handle.Drain();
        }

        // Besides what was asked for there are only POLLERR, POLLHUP and POLLNVAL; a deleted interface shows as POLLERR.
        if ((descriptors[0].revents & ~POLLIN) != 0)
        {
            throw new IOException($"TUN device {_deviceName} is gone: poll answered POLLERR. {GoneCure}", EBADFD);
        }
    }

    private void Signal()
    {
        bool taken = false;
        try
        {
            _handle.DangerousAddRef(ref taken);
            _handle.Signal();
        }
        catch (ObjectDisposedException)
        {
            // Closed meanwhile: nobody is left to wake.
        }
        finally
        {
            if (taken)
            {
                _handle.DangerousRelease();
            }
        }
    }

    private void Enter()
    {
        bool taken = false;
        try
        {
            _handle.DangerousAddRef(ref taken);
        }
        catch (ObjectDisposedException closed)
        {
            throw new IOException($"TUN device {_deviceName} was closed.", closed);
        }
    }

    private IOException Gone(string call, int error) =>
        TunErrors.Create($"TUN device {_deviceName} is gone", call, error, GoneCure);

    private enum ReadResult
    {
        Empty,
        Packet,
        Dropped,
    }
}
