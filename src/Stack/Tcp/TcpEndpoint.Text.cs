using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// RFC 9293 §3.10.7.4, seventh and eighth: segment text and FIN. In order to the receive queue, ahead of RCV.NXT to the reassembler.
internal sealed partial class TcpEndpoint
{
    /// <summary>Seventh: segment text. <paramref name="first"/> is the sequence number of the first payload octet.</summary>
    private SegmentVerdict AcceptText(TcpInstant now, scoped in Segment seg, Seq<Remote> first)
    {
        ReadOnlySpan<byte> payload = seg.Payload;
        if (payload.Length == 0 && !seg.IsFin)
        {
            OnMarked(seg);
            return SegmentVerdict.Processed;
        }

        if (State is TcpState.CloseWait or TcpState.Closing or TcpState.LastAck)
        {
            // Nothing comes behind a FIN; a repeated one wants its ACK again.
            _ackNow = true;
            return payload.Length > 0 ? DropReason.TcpDuplicateData : SegmentVerdict.Processed;
        }

        long start = StreamOffset(first);
        long end = start + payload.Length;
        long next = StreamOffset(_rcv.Nxt);
        long edge = next + _rcv.Wnd;
        if (_isDetached && end > next)
        {
            // SHLD-3: the application is gone, so new data cannot be delivered: the peer learns it by RST.
            GiveUp(now, SocketError.ConnectionAborted, seg);
            return DropReason.TcpAfterClose;
        }

        if (IsReadSpent && payload.Length > 0 && end > next)
        {
            _ackNow = true;
            return DropReason.TcpAfterClose;
        }

        OnMarked(seg);
        bool hasFin = seg.IsFin;
        bool hasRepeated = start < next;
        if (start < next)
        {
            int trim = (int)Math.Min(next - start, payload.Length);
            payload = payload[trim..];
            start += trim;
            NoteDuplicate(now, first, first + (uint)trim);
            if (trim > 0 && payload.Length == 0 && !(hasFin && end == next))
            {
                _ackNow = true;
                return DropReason.TcpDuplicateData;
            }
        }

        if (end > edge)
        {
            // The window bounds us, not the peer's wishes; a FIN behind it goes too.
            payload = payload[..(int)Math.Max(0, Math.Min(payload.Length, edge - start))];
            hasFin = false;
        }

        if (_finOffset >= 0)
        {
            payload = payload[..(int)Math.Max(0, Math.Min(payload.Length, _finOffset - start))];
        }
        else if (hasFin && end >= next && end <= edge)
        {
            _finOffset = end;
        }

        if (seg.GsoSize > 0 || seg.Payload.Length > _rcvMss)
        {
            _rcvMss = Math.Min(seg.GsoSize > 0 ? seg.GsoSize : seg.Payload.Length, AdvertisedMss);
        }

        if (start > next)
        {
            _outOfOrderSegments++;
            return HoldOutOfOrder(now, start, payload);
        }

        if (payload.Length > 0 && _core.Blocks.IsExhausted && !_discardsInput)
        {
            payload = FitMemory(now, payload);
            if (payload.Length == 0)
            {
                return DropReason.TcpMemoryLimit;
            }
        }

        if (payload.Length > 0)
        {
            int octets = payload.Length;
            bool filledGap = _reassembler is { IsEmpty: false };
            while (payload.Length > 0)
            {
                // What is held already stays as it is: the first octets received win, in order or not.
                int gap = _reassembler is { IsEmpty: false } ? (int)Math.Min(_reassembler.Start - StreamOffset(_rcv.Nxt), payload.Length) : payload.Length;
                Deliver(payload[..gap]);
                payload = payload[gap..];
                Seq<Remote> left = _rcv.Nxt;
                int repeated = (int)Math.Min(DeliverHeld(), payload.Length);
                payload = payload[repeated..];
                if (!hasRepeated)
                {
                    // Of several the first (RFC 2883 §4).
                    NoteDuplicate(now, left, left + (uint)repeated);
                    hasRepeated = repeated > 0;
                }
            }

            MeasureText(now, seg);
            AcknowledgeText(now, octets, filledGap);
        }

        return SegmentVerdict.Processed;
    }

    /// <summary>As much of <paramref name="payload"/> as there is memory for; the rest is not acknowledged and comes again.</summary>
    private ReadOnlySpan<byte> FitMemory(TcpInstant now, ReadOnlySpan<byte> payload)
    {
        bool isRelieved = _tcp.Memory.TryRelieve(now);
        if (IsClosed)
        {
            return default;
        }

        return isRelieved ? payload : payload[..(int)Math.Clamp(LeastReceiveBuffer - ReceiveQueue.Length, 0, payload.Length)];
    }

    /// <summary>What is held out of order is thrown away: the peer keeps it until it is acknowledged, whatever was SACKed (RFC 2018 §8).</summary>
    internal void GiveUpHeld()
    {
        _reassembler?.Clear();
        _tcp.Memory.OnHeld(this);
    }

    private void Deliver(ReadOnlySpan<byte> payload)
    {
        if (_discardsInput)
        {
            _discarded += payload.Length;
        }
        else
        {
            ReceiveQueue.Append(payload);
            _core.Raise(this, CoreEvents.Readable);
        }

        _rcv.Nxt += (uint)payload.Length;
        _bytesReceived += payload.Length;
    }

    /// <summary>Delivers the octets held that continue the stream, none behind the FIN; returns how many.</summary>
    private long DeliverHeld()
    {
        if (_reassembler is not { IsEmpty: false })
        {
            return 0;
        }

        long moved = _reassembler.MoveTo(_discardsInput ? null : ReceiveQueue, StreamOffset(_rcv.Nxt), _finOffset >= 0 ? _finOffset : long.MaxValue);
        _tcp.Memory.OnHeld(this);
        _rcv.Nxt += (uint)moved;
        _bytesReceived += moved;
        if (_discardsInput)
        {
            _discarded += moved;
        }

        return moved;
    }

    private SegmentVerdict HoldOutOfOrder(TcpInstant now, long start, ReadOnlySpan<byte> payload)
    {
        // RFC 5681 §4.2: an out-of-order segment is acknowledged at once; several in one batch give several duplicate ACKs.
        RequestDuplicateAck(now);
        _quickAcks = Math.Max(_quickAcks, 16);
        if (payload.Length == 0)
        {
            return SegmentVerdict.Processed;
        }

        _core.Counters.TcpOutOfOrder++;
        _reassembler ??= new Reassembler(_core.Blocks);
        long limit = _tcp.Memory.MayHold(this) ? Math.Max(2L * ReceiveBufferSize, BlockPool.LargeSize) : 0;
        bool isHeld = _reassembler.Insert(start, payload, limit, out bool isConflict, out bool isDuplicate);
        _tcp.Memory.OnHeld(this);
        if (_reassembler.Repeated is var (left, right))
        {
            long next = StreamOffset(_rcv.Nxt);
            NoteDuplicate(now, _rcv.Nxt + (uint)(left - next), _rcv.Nxt + (uint)(right - next));
        }

        if (isConflict)
        {
            _core.Counters.TcpOverlapConflicts++;
        }

        return !isHeld ? DropReason.TcpReassemblyLimit : isDuplicate ? DropReason.TcpDuplicateData : SegmentVerdict.Processed;
    }

    /// <summary>Eighth: the peer's FIN, once everything before it is here.</summary>
    private void ProcessFin(TcpInstant now)
    {
        if (_finOffset < 0 || IsFinReceived || StreamOffset(_rcv.Nxt) != _finOffset)
        {
            return;
        }

        IsFinReceived = true;
        _rcv.Nxt += 1;
        GiveUpHeld();

        // The peer has nothing more to send: that some of it came twice is no news any more (as in Linux).
        _duplicate = null;
        if (_rcv.Adv < _rcv.Nxt)
        {
            _rcv.Adv = _rcv.Nxt;
        }

        _ackNow = true;
        switch (State)
        {
            case TcpState.Established:
                Enter(TcpState.CloseWait);
                break;
            case TcpState.FinWait1:
                Enter(TcpState.Closing);
                break;
            case TcpState.FinWait2:
                // The ACK of the FIN leaves before the TCB does.
                SendAckNow(now);
                _core.Raise(this, CoreEvents.ReadClosed | CoreEvents.Readable);
                EnterTimeWait(now);
                return;
            default:
                break;
        }

        _core.Raise(this, CoreEvents.ReadClosed | CoreEvents.Readable);
    }

    /// <summary>The stream offset of a sequence number near RCV.NXT: offset 0 is IRS+1.</summary>
    private long StreamOffset(Seq<Remote> seq)
    {
        long next = ReceiveQueue.Tail + _discarded;
        return next + (seq - _rcv.Nxt) + (IsFinReceived ? 1 : 0);
    }

    /// <summary>Octets that were acknowledged and thrown away after <see cref="CloseReceive"/>.</summary>
    private long _discarded;
}
