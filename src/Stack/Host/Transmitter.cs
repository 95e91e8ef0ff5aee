using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>How a turn's output ended.</summary>
internal enum TransmitResult
{
    /// <summary>The core has nothing more to send.</summary>
    Drained,

    /// <summary>The cap for one turn was reached: the next one goes on.</summary>
    Capped,

    /// <summary>The device is full: what it did not take is kept, and the core keeps the rest.</summary>
    Blocked,
}

/// <summary>
/// Carries packets from the core to the device, doing in software what the device cannot. Nothing is lost on the way: while the device
/// takes nothing, the core is not asked for more, so data stays in its queues, where windows bound it.
/// </summary>
/// <remarks>Under the core's lock.</remarks>
internal sealed class Transmitter
{
    // What one turn may emit: a long write must not keep the lock from others: writing one super-packet to a TUN device takes about 11 us.
    private const int PacketLimit = 64;
    private const int OctetLimit = 1024 * 1024;

    // A few slots only, so that what the core just wrote is still in the cache when the device reads it.
    private const int SlotCount = 8;
    private const int CutCount = 16;

    private readonly PacketQueue _queue;
    private readonly bool _canSegment;
    private readonly bool _canChecksum;
    private readonly PacketSlot[] _slots;

    /// <summary>Segments cut from <c>_slots[_sent]</c>; empty when the device cuts.</summary>
    private readonly PacketSlot[] _cuts;

    // _slots[_sent.._count] and _cuts[_cutSent.._cutCount] wait for the device; _segment is the next one to cut of _slots[_sent].
    private int _count;
    private int _sent;
    private int _cutCount;
    private int _cutSent;
    private int _segment;

    public Transmitter(PacketQueue queue, PacketOffloads offloads, int mtu)
    {
        _queue = queue;
        _canSegment = (offloads & PacketOffloads.Segmentation) != 0;
        _canChecksum = (offloads & (PacketOffloads.Checksum | PacketOffloads.Segmentation)) != 0;
        _slots = NewSlots(SlotCount, PacketSlot.MaxPacketLength);
        _cuts = _canSegment ? [] : NewSlots(CutCount, mtu);
    }

    /// <summary>Emits until the core is silent, the cap is reached or the device is full.</summary>
    public TransmitResult Run(StackCore core, TcpInstant now)
    {
        int packets = 0;
        int octets = 0;
        while (true)
        {
            if (!Flush())
            {
                return TransmitResult.Blocked;
            }

            if (packets >= PacketLimit || octets >= OctetLimit)
            {
                return TransmitResult.Capped;
            }

            _count = _sent = 0;
            while (_count < _slots.Length && octets < OctetLimit && core.TryEmit(now, _slots[_count]))
            {
                octets += _slots[_count].Length;
                packets++;
                _count++;
            }

            if (_count == 0)
            {
                return TransmitResult.Drained;
            }
        }
    }

    /// <summary>Writes what waits; false when the device is full.</summary>
    private bool Flush()
    {
        while (true)
        {
            if (_cutSent < _cutCount)
            {
                if (!Write(_cuts, ref _cutSent, _cutCount))
                {
                    return false;
                }
            }
            else if (_sent == _count)
            {
                return true;
            }
            else if (_canSegment)
            {
                return Write(_slots, ref _sent, _count);
            }
            else if (_slots[_sent].GsoSize > 0)
            {
                Cut();
            }
            else if (!WriteOrdinary())
            {
                return false;
            }
        }
    }

    /// <summary>Cuts the next segments of <c>_slots[_sent]</c>, as many as there is room for.</summary>
    private void Cut()
    {
        PacketSlot source = _slots[_sent];
        int total = SoftwareOffload.SegmentCount(source);
        _cutCount = _cutSent = 0;
        while (_segment < total && _cutCount < _cuts.Length)
        {
            SoftwareOffload.Segment(source, _segment++, _cuts[_cutCount++]);
        }

        if (_segment == total)
        {
            _segment = 0;
            _sent++;
        }
    }

    /// <summary>Writes the packets from <c>_slots[_sent]</c> on, up to the next super-segment.</summary>
    private bool WriteOrdinary()
    {
        int end = _sent;
        while (end < _count && _slots[end].GsoSize == 0)
        {
            if (!_canChecksum)
            {
                SoftwareOffload.CompleteChecksum(_slots[end]);
            }

            end++;
        }

        return Write(_slots, ref _sent, end);
    }

    private bool Write(PacketSlot[] slots, ref int sent, int end)
    {
        sent += _queue.Write(slots.AsSpan(sent, end - sent));
        return sent == end;
    }

    private static PacketSlot[] NewSlots(int count, int capacity)
    {
        PacketSlot[] slots = new PacketSlot[count];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = new PacketSlot(capacity);
        }

        return slots;
    }
}
