using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// When to acknowledge, and the window to announce (RFC 9293 §3.8.6.2.2-3, RFC 5681 §4.2, RFC 5961 §7).
internal sealed partial class TcpEndpoint
{
    private bool _ackNow;
    private bool _dupAckPending;
    private int _quickAcks;
    private int _unackedText;
    private int _rcvMss = SynAgreement.DefaultMss;
    private TcpInstant _lastTextAt;

    /// <summary>What a connection may have unread however little memory there is. Two stacks full of what they have to send would each wait for the other's window for ever.</summary>
    private int LeastReceiveBuffer => Math.Min(ReceiveBufferSize, Math.Max(ReceiveMss, BlockPool.SmallSize));

    /// <summary>The window to announce (RFC 9293 §3.8.6.2.2, MUST-39): never less than the peer has been promised, and no creeping by small steps.</summary>
    private uint TargetWindow()
    {
        uint current = _rcv.Wnd;
        int size = _core.Blocks.IsTight ? LeastReceiveBuffer : ReceiveBufferSize;
        long free = size - ReceiveQueue.Length;
        long most = 0xFFFFL << _rcv.Shift;
        free = Math.Clamp(free, 0, most);
        return free - current < Math.Min(size / 2, ReceiveMss) && current != 0 && free < Math.Min(size, most)
            ? current
            : (uint)Math.Max(free, current);
    }

    private ushort WindowField(TcpInstant now)
    {
        TuneReceiveBuffer(now);
        uint current = _rcv.Wnd;
        uint target = TargetWindow();
        if (target < Math.Min(ReceiveBufferSize / 2, ReceiveMss) && current == 0)
        {
            target = 0;
        }

        uint field = target >> _rcv.Shift;
        if (field << _rcv.Shift < current)
        {
            // RFC 7323 §2.4: rounding must not move the right edge back.
            field++;
        }

        field = Math.Min(field, 0xFFFF);
        uint window = field << _rcv.Shift;
        if (window > current)
        {
            _rcv.Adv = _rcv.Nxt + window;
        }

        return (ushort)field;
    }

    /// <summary>Text arrived in order: when to acknowledge (RFC 9293 SHLD-18, SHLD-19; RFC 5681 §4.2).</summary>
    private void AcknowledgeText(TcpInstant now, int octets, bool filledGap)
    {
        _unackedText += octets;
        _lastTextAt = now;
        if (filledGap || _reassembler is { IsEmpty: false } || _unackedText > _rcvMss || Options.DelayedAck <= TimeSpan.Zero)
        {
            _ackNow = true;
        }
        else if (_quickAcks > 0 && _core.Options.Tcp.QuickAck)
        {
            _quickAcks--;
            _ackNow = true;
        }
        else if (!_timers.IsSet(TcpTimer.DelayedAck))
        {
            _timers.Set(TcpTimer.DelayedAck, now + Options.DelayedAck);
            _core.Counters.TcpDelayedAcks++;
        }
    }

    /// <summary>A duplicate ACK for each out-of-order segment: when one is owed already, that one leaves now.</summary>
    private void RequestDuplicateAck(TcpInstant now)
    {
        if (_dupAckPending)
        {
            SendAckNow(now);
        }

        _dupAckPending = true;
    }

    /// <summary>RFC 5961 §7: challenge ACKs are throttled, per connection and for the stack.</summary>
    private void RequestChallengeAck(TcpInstant now)
    {
        if (_challengeBucket.TryTake(now) && _tcp.ChallengeAcks.TryTake(now))
        {
            _core.Counters.TcpChallengeAcks++;
            SendAckNow(now);
        }
        else
        {
            _core.Counters.TcpChallengeAcksSuppressed++;
        }
    }

    /// <summary>The ACK that answers an unacceptable segment. For repeated data it is always sent; bare segments are limited, so that two hosts cannot keep each other busy.</summary>
    private void RequestStrayAck(TcpInstant now, bool hasData, bool isOldData = false)
    {
        if (hasData || isOldData || _strayBucket.TryTake(now))
        {
            RequestDuplicateAck(now);
        }
    }

    /// <summary>An ACK on its own, at once.</summary>
    private void SendAckNow(TcpInstant now) => SendBare(now, _snd.Nxt);

    private void SendBare(TcpInstant now, Seq<Local> seq, bool wantSync = false)
    {
        if (_crypt is { IsSetup: true } crypt)
        {
            // [TD-15]: there is no ACK without CRYPT; our last message says the same.
            RepeatSetup(now, crypt);
            return;
        }

        if (IsInit2Alone)
        {
            RepeatInit2(now);
            return;
        }

        if (_core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is { } slot)
        {
            BuildBare(now, seq, TcpFlags.Ack, slot, wantSync);
            _core.Send(slot);
        }
    }
}
