using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// What to send: decided once, by Decide; TryEmit executes it. RFC 9293 §3.8 (windows, Nagle, SWS), RFC 5681 (how much), RFC 6691 (MSS).
internal sealed partial class TcpEndpoint
{
    private enum SendKind
    {
        Nothing,
        Acknowledge,
        Data,
        Retransmit,

        /// <summary>INIT1 or INIT2, for the first time or again.</summary>
        Init,
    }

    /// <summary>What to send and why; or what to wait for.</summary>
    /// <param name="Kind">Nothing, a bare ACK, new data (with or without FIN), or a retransmission.</param>
    /// <param name="Seq">The first sequence number.</param>
    /// <param name="Length">Payload octets; more than one segment's worth makes a super-segment.</param>
    /// <param name="HasFin">FIN rides along.</param>
    /// <param name="IsProbe">A tail loss probe (RFC 8985 §7): the congestion window does not hold it back.</param>
    /// <param name="WaitFor">With Nothing: the timer that must run so that the wait ends by itself.</param>
    /// <param name="IsPathProbe">One segment, larger than those known to arrive (RFC 4821).</param>
    private readonly record struct SendDecision(SendKind Kind, Seq<Local> Seq = default, int Length = 0, bool HasFin = false, TcpTimer? WaitFor = null, bool IsProbe = false, bool IsPathProbe = false);

    /// <summary>A lowered path MTU is forgotten after ten minutes (RFC 1191 §6.3): so often a connection looks whether a larger one may be tried.</summary>
    private static readonly TimeSpan s_pathMtuAge = TimeSpan.FromMinutes(1);

    private bool _synPending;
    private int _synTransmissions;
    private uint _synWindow;
    private TcpInstant _openedAt;
    private ushort _ipIdentification;
    private int _pathMtu;
    private int _pathMtuGeneration;
    private TcpInstant _pathMtuSeenAt;
    private bool _mayFragment;
    private int _largestAcked;
    private int _pendingMtu;
    private bool _isFinAcked;
    private bool _forceSend;
    private TcpInstant _lastSentAt;

    private int AdvertisedMss => _tcp.AdvertisedMss(Options, Tuple.Remote.Address);

    /// <summary>Eff.snd.MSS (RFC 9293 MUST-16): payload octets of a full segment with the options that every segment carries.</summary>
    private int EffectiveMss
    {
        get
        {
            int mss = Math.Min(_agreed.PeerMss, Math.Min(_pathMtu, _search?.Verified ?? int.MaxValue) - SegmentWriter.PayloadOffset(0));
            if (Options.MaximumSegmentSize is int limit)
            {
                mss = Math.Min(mss, Math.Max(limit, SynAgreement.PeerMssFloor));
            }

            return Math.Max(mss - FixedOptionsLength, 8);
        }
    }

    /// <summary>The size of the segments that the peer sends, for ACK pacing and SWS avoidance.</summary>
    private int ReceiveMss => _rcvMss;

    /// <summary>Octets of the options that every segment carries: timestamps and MAC. With a MAC nothing is spent on alignment inside, so that one SACK block fits beside both ([TD-110]).</summary>
    private int FixedOptionsLength => IsProtected ? (_ts.IsOn ? 28 : 20) : _ts.IsOn ? SynAgreement.TimestampsLength : 0;

    private bool CanSendData => State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.Closing or TcpState.LastAck;

    private bool HasSomethingToSend => _synPending || _repeatsHead || _isProbeDue || _sent.Lost > 0 || (_isFinQueued && !_isFinSent) || Unsent > 0;

    /// <summary>Builds the next packet, if there is one to send.</summary>
    public bool TryEmit(TcpInstant now, PacketSlot into)
    {
        if (IsClosed)
        {
            return false;
        }

        bool emitted;
        if (State is TcpState.SynSent or TcpState.SynReceived)
        {
            emitted = TryEmitSyn(now, into);
        }
        else
        {
            if (_pathMtuGeneration != _tcp.PathMtuGeneration || now - _pathMtuSeenAt > s_pathMtuAge)
            {
                RefreshPathMtu(now);
            }

            SendDecision decision = Decide(now);
            emitted = Execute(now, decision, into);
            AccountSending(now);
        }

        if (_rekeying is not null)
        {
            UpdateCryptTimer(now);
        }

        UpdateDeadline();
        return emitted;
    }

    private SendDecision Decide(TcpInstant now)
    {
        if (_crypt is { IsPkConfPending: true } or { IsFarewellDue: true })
        {
            // What tcpcrypt has to say rides on a bare ACK: no data segment has room set aside for it.
            return new SendDecision(SendKind.Acknowledge);
        }

        SendDecision decision = DecideData(now);
        if (decision.Kind != SendKind.Nothing || !(_ackNow || _dupAckPending || IsRekeyAckDue(now)))
        {
            return decision;
        }

        if (IsCryptSetup || IsInit2Alone)
        {
            // [TD-15], [TD-63]: INIT1 is acknowledged by INIT2 only, and there is no ACK without CRYPT.
            _ackNow = _dupAckPending = false;
            return decision;
        }

        return decision with { Kind = SendKind.Acknowledge };
    }

    private SendDecision DecideData(TcpInstant now)
    {
        _isWindowLimited = false;
        if (!CanSendData)
        {
            return default;
        }

        if (_unackedInit > 0 && !_isInitSent)
        {
            return new SendDecision(SendKind.Init);
        }

        if (IsHeldByPace(now) && HasSomethingToSend && !_isProbeDue && !_repeatsHead)
        {
            return new SendDecision(SendKind.Nothing, WaitFor: TcpTimer.Pacing);
        }

        if (DecideRepeat(now, out SendDecision repeat))
        {
            return repeat;
        }

        if (IsStreamHeld)
        {
            return default;
        }

        bool isFinDue = _isFinQueued && !_isFinSent;
        long unsent = _isFinSent ? 0 : SendQueue.Tail - OffsetOf(_snd.Nxt);
        if (unsent <= 0 && !isFinDue)
        {
            return default;
        }

        long queued = unsent;
        if (_marks is { } marks && unsent > 0)
        {
            unsent = Math.Min(unsent, marks.RestOfRecord(OffsetOf(_snd.Nxt)));
        }

        int usable = _snd.Una + _snd.Wnd - _snd.Nxt;
        uint flight = FlightSize;
        int fullSize = SegmentMss(now, _snd.Nxt, out long sameKeys);
        if (usable <= 0)
        {
            // RFC 9293 §3.8.6.1: only probes learn that a closed window has opened. With data in flight the retransmission timer does it.
            _isWindowLimited = true;
            return flight == 0 ? new SendDecision(SendKind.Nothing, WaitFor: TcpTimer.Persist) : default;
        }

        if (unsent == 0)
        {
            return new SendDecision(SendKind.Data, _snd.Nxt, 0, HasFin: true);
        }

        long allowed = CwndAfterPause(now) - Pipe;
        if (allowed < Math.Min(Math.Min(unsent, usable), EffectiveMss))
        {
            ValidateCwnd(now, isLimited: true);
        }

        if (_search is not null && DecidePathProbe(now, fullSize, Math.Min(unsent, usable), Math.Min(allowed, sameKeys), out SendDecision probe))
        {
            return probe;
        }

        long room = Math.Min(usable, allowed);
        int length = (int)Math.Min(Math.Min(unsent, room), MaxPayload(fullSize));
        if (length <= 0)
        {
            return default;
        }

        // Nagle (SHLD-7) as RFC 9293 §A.3 has it: less than a full segment waits while another such one is unacknowledged, not behind full ones.
        // What another record follows has nothing to wait for.
        bool mayPush = isFinDue || unsent < queued || (!IsTailHeld && (Options.NoDelay || flight == 0 || !IsSmallOutstanding));
        bool isTail = length == unsent;
        if (length >= fullSize && room >= Math.Min(unsent, EffectiveMss))
        {
            // SHLD-28: full segments; the odd rest goes along only when it may be pushed. There is room for one when it would do without the options of the moment too: what
            // a segment says of others, forged ones perhaps (RFC 2883), must not decide whether it goes.
            int rest = length % fullSize;
            if (rest != 0 && !(isTail && mayPush))
            {
                length -= rest;
                isTail = false;
            }
        }
        else if (!isTail || !mayPush)
        {
            // RFC 9293 §3.8.6.2.1 (MUST-38): wait, unless half of the largest window ever seen can be filled.
            bool isWindowHalf = room == usable && length >= _snd.MaxWnd / 2 && mayPush;
            if (!isWindowHalf && !_forceSend)
            {
                _isWindowLimited = room == usable && usable < Math.Min(unsent, EffectiveMss);
                TcpTimer? wait = IsTailHeld && isTail ? TcpTimer.Cork : flight > 0 ? null : TcpTimer.Persist;
                return new SendDecision(SendKind.Nothing, WaitFor: wait);
            }
        }

        bool hasFin = isFinDue && isTail && unsent == queued && usable > length;
        return new SendDecision(SendKind.Data, _snd.Nxt, length, hasFin);
    }

    /// <summary>What is lost goes before what is new (RFC 6675 §5, NextSeg). True when this decides, if only to wait.</summary>
    private bool DecideRepeat(TcpInstant now, out SendDecision decision)
    {
        decision = default;
        if (_sent.Count == 0)
        {
            return false;
        }

        if (_isProbeDue)
        {
            _isProbeDue = false;
            decision = DecideProbe(now) with { IsProbe = true };
            return decision.Kind != SendKind.Nothing;
        }

        if (_repeatsHead)
        {
            decision = DecideRepeat(now, 0, long.MaxValue);
            return true;
        }

        if (_frto == Frto.NewData)
        {
            if (_snd.Nxt > _recover || MayBeNew)
            {
                // RFC 5682 §3.1 step 2.b: no repeats until the next ACK has told.
                return false;
            }

            _frto = Frto.Off;
        }

        int index = _sent.NextLost();
        if (index < 0)
        {
            return false;
        }

        decision = DecideRepeat(now, index, _congestion.Cwnd - Pipe);
        return true;
    }

    private bool MayBeNew => Unsent > 0 && _snd.Una + _snd.Wnd > _snd.Nxt;

    private SendDecision DecideRepeat(TcpInstant now, int index, long room)
    {
        if (_unackedInit > 0 && _sent[index].Start < HeadSeq)
        {
            return room > 0 ? new SendDecision(SendKind.Init) : default;
        }

        int mss = SegmentMss(now, _sent[index].Start, out long sameKeys);

        // What went out in small pieces goes again as a segment (RFC 9293 §3.8.6.2.1: few large ones): the window is counted in octets, and as many packets as it has octets would only be lost again.
        _sent.JoinLost(index, (int)Math.Min(Math.Min(mss, sameKeys), room));
        SentSegment run = _sent[index];
        if (room < Math.Min(run.Length, EffectiveMss))
        {
            ValidateCwnd(now, isLimited: true);
            return default;
        }

        // RFC 9293 SHLD-16: within the window; the first segment goes even when the peer took its window back (MAY-7), or nothing would ever tell.
        int window = _snd.Una + _snd.Wnd - run.Start;
        long limit = run.Start == _snd.Una ? Math.Max(window, mss) : window;
        limit = Math.Min(Math.Min(limit, MaxPayload(mss)), Math.Min(sameKeys, run.Length));
        return limit <= 0 ? default : Retransmission(run.Start, (int)Math.Min(limit, Math.Max(room - (room % mss), mss)));
    }

    private bool IsSmallOutstanding => _snd.Sml > _snd.Una && _snd.Sml <= _snd.Nxt;

    private bool IsTailHeld => Options.Cork || _marks is { HoldsTail: true };

    /// <summary>A segment's payload when the options of the moment (SACK blocks, re-keying) are counted too, and how many octets from there on may be in one segment (keys, records).</summary>
    private int SegmentMss(TcpInstant now, Seq<Local> seq, out long limit)
    {
        int mss;
        if (IsProtected)
        {
            mss = ProtectedSegmentMss(now, seq, out limit);
        }
        else
        {
            limit = long.MaxValue;
            mss = EffectiveMss - SackOptionLength(SackBlockCount);
        }

        if (_marks is { } marks)
        {
            limit = Math.Min(limit, marks.RestOfRecord(OffsetOf(seq)));
        }

        return mss;
    }

    /// <summary>Bounded by the option area, and by tiny segments: eight octets are left for data.</summary>
    private int SackBlockCount => SackBlocks(Math.Min(_ts.IsOn ? 3 : 4, Math.Max((EffectiveMss - 12) / 8, 0)));

    private static int SackOptionLength(int blocks) => blocks == 0 ? 0 : 4 + (8 * blocks);

    private SendDecision Retransmission(Seq<Local> seq, int limit)
    {
        int flight = _snd.Nxt - seq;
        bool finInRange = _isFinSent && !_isFinAcked;
        int data = finInRange ? flight - 1 : flight;
        int length = Math.Min(data, limit);
        return new SendDecision(SendKind.Retransmit, seq, length, HasFin: finInRange && length == data);
    }

    /// <summary>The most payload that one packet may carry: whole segments up to the super-segment limit; one segment with URG, whose pointer no offload moves on, and where each needs an identification of its own.</summary>
    private int MaxPayload(int mss)
    {
        // A MAC covers one segment ([TD-116]); a duplicate is reported in one only (RFC 2883 §4).
        if (_snd.HasUrgent || _mayFragment || IsProtected || _duplicate is not null)
        {
            return mss;
        }

        int room = Math.Min(_core.Options.MaxSuperSegment, PacketSlot.MaxPacketLength) - SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength);
        if (IsPaced)
        {
            room = Math.Min(room, PacedPayload(mss));
        }

        return Math.Max(room / mss, 1) * mss;
    }

    private bool Execute(TcpInstant now, in SendDecision decision, PacketSlot into)
    {
        switch (decision.Kind)
        {
            case SendKind.Acknowledge:
                BuildAck(now, _snd.Nxt, into);
                return true;
            case SendKind.Data:
                EmitData(now, decision, into);
                return true;
            case SendKind.Retransmit:
                EmitRetransmission(now, decision, into);
                return true;
            case SendKind.Init:
                EmitInit(now, into);
                return true;
            default:
                if (decision.WaitFor is TcpTimer timer && !_timers.IsSet(timer))
                {
                    if (timer == TcpTimer.Persist)
                    {
                        _firstUnackedAt = now;
                    }

                    _timers.Set(timer, timer switch { TcpTimer.Pacing => _pacedUntil, _ => now + _rtt.Rto });
                }

                return false;
        }
    }

    private void EmitData(TcpInstant now, in SendDecision decision, PacketSlot into)
    {
        if (FlightSize == 0)
        {
            RestartAfterPause(now);
            _firstUnackedAt = now;
        }

        if (now - _lastTextAt < Options.DelayedAck)
        {
            // A reply soon after data: an interactive exchange, whose ACKs ride on the replies.
            _quickAcks = 0;
        }

        Build(now, decision, into);
        _snd.Nxt = decision.Seq + decision.Length + (decision.HasFin ? 1 : 0);
        if (decision.Length % (into.GsoSize > 0 ? into.GsoSize : SegmentMss(now, decision.Seq, out _)) != 0)
        {
            _snd.Sml = _snd.Nxt;
        }

        _isFinSent |= decision.HasFin;
        _bytesSent += decision.Length;
        _lastSentAt = now;
        _forceSend = false;
        _timers.Cancel(TcpTimer.Persist);
        _timers.Cancel(TcpTimer.Cork);
        OnSent(now, decision, into.GsoSize);
        if (decision.IsPathProbe)
        {
            _search!.OnSent(decision.Seq, _snd.Nxt);
        }

        ValidateCwnd(now, isLimited: false);
    }

    private void OnSent(TcpInstant now, in SendDecision decision, int gsoSize)
    {
        int octets = decision.Length + (decision.HasFin ? 1 : 0);
        _sent.Append(decision.Seq, octets, now, gsoSize > 0 ? gsoSize : octets);
        _prr?.OnSent(octets);
        Pace(now, octets);
        if (!IsTransmitTimerSet)
        {
            ArmRetransmit(now);     // RFC 6298 §5.1
        }

        if (decision.IsProbe)
        {
            OnProbeSent(now, isRepeat: false);
        }
        else
        {
            ScheduleProbe(now, isAdvance: false);
        }
    }

    private void EmitRetransmission(TcpInstant now, in SendDecision decision, PacketSlot into)
    {
        Build(now, decision, into);
        int octets = decision.Length + (decision.HasFin ? 1 : 0);
        OnRepeated(now, decision.Seq, octets, into.GsoSize);
        int count = into.GsoSize > 0 ? (decision.Length + into.GsoSize - 1) / into.GsoSize : 1;
        _retransmissions += (uint)count;
        _bytesRetransmitted += decision.Length;
        _core.Counters.TcpRetransSegs += count;
        if (decision.IsProbe)
        {
            OnProbeSent(now, isRepeat: true);
        }
    }

    /// <summary>Part of what is in flight was sent again.</summary>
    private void OnRepeated(TcpInstant now, Seq<Local> start, int octets, int gsoSize)
    {
        if (_search is { IsOut: true } search && start < search.End && start + octets > search.Start)
        {
            // What arrives now need not be the probe.
            search.OnInconclusive();
        }

        int index = _sent.Find(start);
        if (_sent[index].Start < start)
        {
            _sent.Split(index, start - _sent[index].Start);
            index++;
        }

        _sent.Retransmit(index, octets, now, gsoSize > 0 ? gsoSize : octets);
        if (_sent[index].Length < octets && index + 1 < _sent.Count && !_sent[index + 1].Is(SentFlags.Sacked))
        {
            // The FIN was a segment of its own, and rides along now.
            _sent.Retransmit(index + 1, 1, now, 1);
        }

        (_undo ??= new Undo()).OnRepeated(octets, TsVal(now), now);
        _prr?.OnSent(octets);
        Pace(now, octets);
        _lastSentAt = now;
        _isTiming = false;          // Karn (RFC 6298 §3)

        // The repeat of the head starts the timer anew. Not when the peer asked for it: as long as it asks, there would be no time-out.
        if ((start == _snd.Una && !_repeatsHead) || !IsTransmitTimerSet)
        {
            ArmRetransmit(now);
        }

        _repeatsHead = false;
    }

    private void RefreshPathMtu(TcpInstant now)
    {
        _pathMtuGeneration = _tcp.PathMtuGeneration;
        _pathMtuSeenAt = now;
        _pathMtu = _core.Ip.PathMtu(now, Tuple.Remote.Address);
        _mayFragment = _core.Ip.MayFragment(now, Tuple.Remote.Address);
        _congestion.Smss = EffectiveMss;
    }
}
