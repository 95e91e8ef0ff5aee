using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// The segments themselves: header fields, options, payload (RFC 9293 §3.1, §3.2).
internal sealed partial class TcpEndpoint
{
    private void Build(TcpInstant now, in SendDecision decision, PacketSlot into)
    {
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        SegmentPlan? plan = PlanSegment(now, decision.Seq, decision.Length, decision.HasFin);
        int tagOffset = WriteOptions(now, ref options, plan);
        int offset = SegmentWriter.PayloadOffset(options.Length);
        if (decision.Length > 0)
        {
            SendQueue.CopyTo(OffsetOf(decision.Seq), into.Room.Span.Slice(offset, decision.Length));
        }

        int mss = SegmentMss(now, decision.Seq, out _);
        Seq<Local> end = decision.Seq + decision.Length;
        TcpFlags flags = TcpFlags.Ack;

        // MUST-61: PSH on the last octet that is queued, unless more was announced.
        long edge = OffsetOf(end);
        if (decision.Length > 0 && (edge == SendQueue.Tail ? _marks is null || _marks.OpenTail != edge : _marks is { } marks && marks.IsRecordEnd(edge)))
        {
            flags |= TcpFlags.Psh;
        }

        if (decision.HasFin)
        {
            flags |= TcpFlags.Fin;
        }

        ushort urgent = 0;
        if (_snd.HasUrgent && _snd.Up > decision.Seq)
        {
            // RFC 9293 §3.8.5; beyond 16 bits 65535 is sent (RFC 7323 appendix A), and the pointer follows as data goes out.
            flags |= TcpFlags.Urg;
            urgent = (ushort)Math.Min(_snd.Up - decision.Seq, 0xFFFF);
        }

        Write(now, into, decision.Seq, flags, options.Written, decision.Length, decision.Length > mss && !decision.IsPathProbe ? mss : 0, urgent, isNewData: decision.Kind == SendKind.Data && decision.Length > 0);
        Protect(now, into, decision.Seq, decision.Length + (decision.HasFin ? 1 : 0), tagOffset, plan);
    }

    private void BuildAck(TcpInstant now, Seq<Local> seq, PacketSlot into) => BuildBare(now, seq, TcpFlags.Ack, into);

    private void BuildBare(TcpInstant now, Seq<Local> seq, TcpFlags flags, PacketSlot into, bool wantSync = false)
    {
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        byte[] unknown = TakeUnknownOpcodes();
        SegmentPlan? plan = PlanSegment(now, seq, 0, hasFin: false, wantSync, unknown.Length == 0 ? 0 : 2 + unknown.Length);
        int tagOffset = WriteOptions(now, ref options, plan, unknown);
        Write(now, into, seq, flags, options.Written, 0, 0, 0);
        Protect(now, into, seq, 0, tagOffset, plan);
    }

    private void Write(TcpInstant now, PacketSlot into, Seq<Local> seq, TcpFlags flags, scoped ReadOnlySpan<byte> options, int length, int gsoSize, ushort urgent, bool mayFragment = false, bool isNewData = false)
    {
        ushort window = WindowField(now);
        mayFragment |= _mayFragment;
        int count = gsoSize > 0 ? (length + gsoSize - 1) / gsoSize : 1;
        flags = MarkEcn(flags, isNewData, out Ecn ecn);
        SegmentWriter.Write(
            into,
            new SegmentFields
            {
                Tuple = Tuple,
                Seq = seq,
                Ack = _rcv.Nxt,
                Flags = flags,
                Window = window,
                UrgentPointer = urgent,
                Identification = mayFragment ? _core.Ip.NextIdentification(Tuple.Local.Address, Tuple.Remote.Address, IpProtocol.Tcp) : _ipIdentification,
                TimeToLive = Options.TimeToLive,
                TypeOfService = (byte)((Options.TypeOfService & 0xFC) | (int)ecn),
                MayFragment = mayFragment,
                Options = options,
            },
            length,
            gsoSize);
        _ipIdentification += (ushort)count;
        _segmentsSent += count;
        _core.Counters.TcpOutSegs += count;
        OnAckSent();
    }

    /// <summary>A segment with ACK leaves: nothing is owed any more.</summary>
    private void OnAckSent()
    {
        _ackNow = false;
        _dupAckPending = false;
        _duplicate = null;
        _unackedText = 0;
        _ts.LastAckSent = _rcv.Nxt;
        _timers.Cancel(TcpTimer.DelayedAck);
    }

    /// <summary>Writes the options of the moment; returns where the tag of the MAC option is in the segment, -1 without one.</summary>
    private int WriteOptions(TcpInstant now, ref TcpOptionWriter options, in SegmentPlan? plan, scoped ReadOnlySpan<byte> unknown = default)
    {
        if (IsProtected)
        {
            return WriteProtectedOptions(now, ref options, plan, unknown);
        }

        if (_ts.IsOn)
        {
            options.NoOperation();
            options.NoOperation();
            options.Timestamps(TsVal(now), _ts.Recent);
        }

        int blocks = SackBlockCount;
        if (blocks > 0)
        {
            options.NoOperation();
            options.NoOperation();
            WriteSack(ref options, blocks);
        }

        if (_crypt is { } crypt)
        {
            WriteSetupCrypt(ref options, crypt);
        }

        return -1;
    }

    private uint TsVal(TcpInstant now) => unchecked(now.Milliseconds + _ts.Offset);

    /// <summary>SYN or, in simultaneous open, SYN,ACK.</summary>
    private bool TryEmitSyn(TcpInstant now, PacketSlot into)
    {
        if (!_synPending)
        {
            if ((_ackNow || _dupAckPending) && !IsCryptSetup)
            {
                BuildAck(now, _snd.Nxt, into);
                return true;
            }

            return false;
        }

        _synPending = false;
        bool isReply = State == TcpState.SynReceived;
        TcpFlags flags = isReply ? TcpFlags.Syn | TcpFlags.Ack : TcpFlags.Syn;
        if (isReply && _agreed.Ecn)
        {
            flags |= TcpFlags.Ece;
        }
        else if (!isReply && IsAskingForEcn)
        {
            _hasAskedEcn = true;
            flags |= TcpFlags.Ece | TcpFlags.Cwr;
        }

        _synTransmissions++;
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        TcpStackOptions stack = _core.Options.Tcp;
        _tcp.WriteSynOptions(
            ref options,
            AdvertisedMss,
            isReply ? _agreed.Sack : stack.SelectiveAcknowledgments,
            isReply ? _ts.IsOn : stack.Timestamps,
            TsVal(now),
            isReply ? _ts.Recent : 0,
            (isReply ? _agreed.WindowScaling : stack.WindowScaling) ? _rcv.Shift : null);
        WriteSynCrypt(ref options, isReply);
        _synWindow = (uint)Math.Min(ReceiveBufferSize, 0xFFFF);
        SegmentWriter.Write(
            into,
            new SegmentFields
            {
                Tuple = Tuple,
                Seq = _snd.Iss,
                Ack = isReply ? _rcv.Nxt : default,
                Flags = flags,
                Window = (ushort)_synWindow,
                Identification = _ipIdentification++,
                TimeToLive = Options.TimeToLive,
                TypeOfService = (byte)(Options.TypeOfService & 0xFC),
                Options = options.Written,
            },
            0);
        _snd.Nxt = _snd.Iss + 1;
        _segmentsSent++;
        _core.Counters.TcpOutSegs++;
        ArmSyn(now);
        if (_synTransmissions == 1)
        {
            _isTiming = true;
            _timedAt = now;
        }
        else
        {
            _isTiming = false;
            _core.Counters.TcpRetransSegs++;
        }

        if (isReply)
        {
            OnAckSent();
        }

        return true;
    }
}
