using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

// One turn of the core, with the lock held. Turns of the loop read the device; turns of user threads only run commands and send what these caused.
internal sealed partial class StackHost
{
    // One ACK and one wake per connection per batch: batching is worth a factor of three (bulk in: 3.6 s/GB with batches of 1, 1.2 with 256).
    private const int ReceivePacketLimit = 256;
    private const int ReceiveOctetLimit = 4 * 1024 * 1024;

    private readonly PacketSlot[] _receiveSlots = NewReceiveSlots();
    private TcpInstant _now;
    private TransmitResult _transmitted;

    /// <summary>The deadline that the loop knows of. An earlier one must wake it.</summary>
    private TcpInstant _loopDeadline;

    /// <summary>A turn of the loop thread. <paramref name="hasMore"/>: the next one must follow without sleep; <paramref name="hadWork"/>: packets or commands came.</summary>
    private HostBatch? RunLoopTurn(out bool hasMore, out bool hadWork)
    {
        hasMore = hadWork = false;
        if (IsStopped)
        {
            CancelCommands();
            return TakeBatch();
        }

        try
        {
            EnterCore();
            hasMore = Receive(out hadWork);
            hadWork |= RunCommands();
            FinishTurn();
            hasMore |= _transmitted == TransmitResult.Capped;
            _loopDeadline = Core.NextDeadline;
        }
        catch (Exception exception)
        {
            Fail(exception);
        }

        return TakeBatch();
    }

    /// <summary>A turn of a user thread.</summary>
    private HostBatch? RunUserTurn(out bool wakesLoop)
    {
        wakesLoop = false;
        if (IsStopped)
        {
            CancelCommands();
            return TakeBatch();
        }

        try
        {
            EnterCore();
            RunCommands();
            FinishTurn();

            TcpInstant deadline = Core.NextDeadline;
            if (IsLoopThread)
            {
                // A call from an inline continuation: the loop is awake and looks before it sleeps.
                _loopDeadline = deadline;
                wakesLoop = _transmitted == TransmitResult.Capped;
            }
            else
            {
                // The loop goes on where a user's turn may not, and it must know of deadlines that are earlier than the one it sleeps for.
                wakesLoop = _transmitted != TransmitResult.Drained || deadline < _loopDeadline;
            }
        }
        catch (Exception exception)
        {
            Fail(exception);
            wakesLoop = true;
        }

        return TakeBatch();
    }

    /// <summary>The time for what follows; never earlier than before, whatever the clock does.</summary>
    private TcpInstant EnterCore()
    {
        TcpInstant now = _clock.Now;
        return _now = now > _now ? now : _now;
    }

    /// <summary>Feeds the core from the device; true when the cap was reached and more may be waiting.</summary>
    private bool Receive(out bool hadPackets)
    {
        int packets = 0;
        int octets = 0;
        int count;
        do
        {
            // A few slots at a time: they are used again while still in the cache.
            count = _queue.Read(_receiveSlots);
            if (count > 0)
            {
                // The clock after the packets: one that came while this thread stood still would otherwise show a round trip shorter than the path's.
                EnterCore();

                // A call that came before a packet takes effect before it: a capture that was begun has the answer to what its caller sent next.
                RunCommands();
            }

            for (int i = 0; i < count; i++)
            {
                PacketSlot packet = _receiveSlots[i];
                octets += packet.Length;
                Core.OnPacket(_now, packet);
            }

            packets += count;
        }
        while (count == _receiveSlots.Length && packets < ReceivePacketLimit && octets < ReceiveOctetLimit);

        hadPackets = packets > 0;
        return count == _receiveSlots.Length;
    }

    /// <summary>Runs everything queued; true when there was something.</summary>
    private bool RunCommands()
    {
        HostCommand? command = _commands.TakeAll();
        if (command is null)
        {
            return false;
        }

        do
        {
            HostCommand? next = command.Next;
            command.Next = null;
            command.Run(Core, _now);
            command = next;
        }
        while (command is not null);

        return true;
    }

    private void CancelCommands()
    {
        for (HostCommand? command = _commands.TakeAll(); command is not null;)
        {
            HostCommand? next = command.Next;
            command.Next = null;
            command.Cancel(StoppedReason());
            command = next;
        }
    }

    private void FinishTurn()
    {
        if (Core.NextDeadline <= _now)
        {
            Core.OnTimeout(_now);
        }

        _transmitted = _transmitter.Run(Core, _now);
        while (Core.TryTakeEvent(out CoreObject source, out CoreEvents events))
        {
            _batch.Events.Add((source, events));
        }
    }

    /// <summary>What is to be told when the lock is released; null for nothing.</summary>
    private HostBatch? TakeBatch()
    {
        HostBatch batch = _batch;
        if (batch.IsEmpty)
        {
            return null;
        }

        _batch = Interlocked.Exchange(ref _spareBatch, null) ?? new HostBatch();
        return batch;
    }

    private static PacketSlot[] NewReceiveSlots()
    {
        PacketSlot[] slots = new PacketSlot[8];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = new PacketSlot();
        }

        return slots;
    }
}
