using System.Runtime.CompilerServices;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>A connection's timers. Each has its own slot: arming one never loses another.</summary>
internal enum TcpTimer
{
    /// <summary>RFC 6298; the SYN's too.</summary>
    Retransmit,

    /// <summary>The tail loss probe (RFC 8985 §7): it stands in the place of the retransmission timer.</summary>
    LossProbe,

    /// <summary>RACK waits for what may only be late (RFC 8985 §6.2).</summary>
    Reordering,

    /// <summary>Zero-window probes, and the override of the sender's SWS avoidance (RFC 9293 §3.8.6).</summary>
    Persist,

    DelayedAck,

    /// <summary>The pace lets more data go.</summary>
    Pacing,

    KeepAlive,

    /// <summary>A corked partial segment goes out in the end.</summary>
    Cork,

    /// <summary>FIN-WAIT-2 of a connection that the application has closed.</summary>
    FinWait2,

    /// <summary>tcpcrypt: whether the peer is still there after a RST without MAC, and re-keying.</summary>
    Crypt,

    Count,
}

/// <summary>Deadlines as data: one optional instant per timer.</summary>
internal struct TimerTable
{
    private Slots _slots;

    public TimerTable()
    {
        ((Span<TcpInstant>)_slots).Fill(TcpInstant.Never);
    }

    public readonly TcpInstant Next
    {
        get
        {
            TcpInstant next = TcpInstant.Never;
            foreach (TcpInstant deadline in (ReadOnlySpan<TcpInstant>)_slots)
            {
                next = TcpInstant.Min(next, deadline);
            }

            return next;
        }
    }

    public readonly bool IsSet(TcpTimer timer) => !_slots[(int)timer].IsNever;

    public readonly TcpInstant this[TcpTimer timer] => _slots[(int)timer];

    public void Set(TcpTimer timer, TcpInstant deadline) => _slots[(int)timer] = deadline;

    public void Cancel(TcpTimer timer) => _slots[(int)timer] = TcpInstant.Never;

    public void CancelAll() => ((Span<TcpInstant>)_slots).Fill(TcpInstant.Never);

    /// <summary>Takes the earliest timer that is due, so that several run in deadline order.</summary>
    public bool TryTakeExpired(TcpInstant now, out TcpTimer timer)
    {
        timer = TcpTimer.Count;
        TcpInstant earliest = TcpInstant.Never;
        for (int i = 0; i < (int)TcpTimer.Count; i++)
        {
            if (_slots[i] <= now && _slots[i] < earliest)
            {
                earliest = _slots[i];
                timer = (TcpTimer)i;
            }
        }

        if (timer == TcpTimer.Count)
        {
            return false;
        }

        _slots[(int)timer] = TcpInstant.Never;
        return true;
    }

    [InlineArray((int)TcpTimer.Count)]
    private struct Slots
    {
        private TcpInstant _first;
    }
}
