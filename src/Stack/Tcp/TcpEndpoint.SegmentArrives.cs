using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// RFC 9293 §3.10.7: SYN-SENT, then the numbered steps of §3.10.7.4. CLOSED and LISTEN are in TcpLayer, passive SYN-RECEIVED before the ACK in SynCache.
internal sealed partial class TcpEndpoint
{
    private static readonly TimeSpan s_tsRecentLifetime = TimeSpan.FromDays(24);

    /// <summary>When anything acceptable was heard last: for keep-alive.</summary>
    private TcpInstant _lastReceivedAt;

    private TokenBucket _challengeBucket = new(10, TimeSpan.FromMilliseconds(500));
    private TokenBucket _strayBucket = new(20, TimeSpan.FromMilliseconds(100));

    public SegmentVerdict OnSegment(TcpInstant now, scoped in Segment seg)
    {
        _segmentsReceived += seg.Count;
        SegmentVerdict verdict = State == TcpState.SynSent ? OnSegmentSynSent(now, seg)
            : _crypt is { State: not CryptState.Disabled } crypt ? OnSegmentWithCrypt(now, seg, crypt)
            : OnSegmentPlain(now, seg);
        if (!IsClosed && (_ackNow || _dupAckPending || HasSomethingToSend))
        {
            MarkReady();
        }

        UpdateDeadline();
        return verdict;
    }

    private SegmentVerdict OnSegmentPlain(TcpInstant now, scoped in Segment seg)
    {
        if (IsStrayInit1(seg))
        {
            AbortCrypt(now, _crypt!, TcpcryptOutcome.HandshakeLost);
            return DropReason.CryptRefused;
        }

        return OnSegmentSynchronized(now, seg);
    }

    // RFC 9293 §3.10.7.3.
    private SegmentVerdict OnSegmentSynSent(TcpInstant now, scoped in Segment seg)
    {
        // First, check the ACK bit.
        if (seg.IsAck && (seg.Ack <= _snd.Iss || seg.Ack > _snd.Nxt))
        {
            if (!seg.IsRst)
            {
                _tcp.SendControl(Tuple, seg.Ack, default, TcpFlags.Rst, 0, null, Options.TimeToLive, Options.TypeOfService);
                _core.Counters.TcpOutRsts++;
            }

            return DropReason.TcpSynSentUnacceptable;
        }

        // Second, check the RST bit.
        if (seg.IsRst)
        {
            if (!seg.IsAck)
            {
                return DropReason.TcpResetIgnored;
            }

            Finish(SocketError.ConnectionRefused);
            return DropReason.TcpReset;
        }

        // Fourth, check the SYN bit; fifth, neither SYN nor RST: drop. (A FIN is not looked at in SYN-SENT.)
        if (!seg.IsSyn)
        {
            return DropReason.TcpNoAck;
        }

        SynOptions options = SynOptions.Parse(seg.Options);
        if (_crypt is { IsSetup: true } && NegotiateSyn(now, seg, options) is { IsDrop: true } verdict)
        {
            return verdict;
        }

        _rcv.Irs = seg.Seq;
        _rcv.Nxt = seg.Seq + 1;
        _rcv.Adv = _rcv.Nxt + _synWindow;
        _rcv.UrgentOffset = -1;
        Agree(SynAgreement.From(options, _core.Options.Tcp) with { Ecn = AgreesToEcn(seg) });
        _ts.LastAckSent = _rcv.Nxt;
        if (_ts.IsOn)
        {
            _ts.Recent = options.TsVal;
            _ts.RecentAt = now;
        }

        // The window in a SYN is never scaled (RFC 7323 §2.2).
        _snd.Wnd = seg.WindowField;
        _snd.MaxWnd = _snd.Wnd;
        _snd.Wl1 = seg.Seq;
        _snd.Wl2 = seg.Ack;
        RefreshPathMtu(now);

        if (!seg.IsAck)
        {
            // Simultaneous open (RFC 9293 §3.5, MUST-10): SYN,ACK with our ISS.
            Enter(TcpState.SynReceived);
            _synPending = true;
            _rtt.OnProgress();
            ResumeOffered(now);
            return SegmentVerdict.Processed;
        }

        _snd.Una = seg.Ack;
        _isSynAcked = true;
        TakeHandshakeRtt(now);
        _rtt.OnProgress();
        _timers.Cancel(TcpTimer.Retransmit);
        if (_crypt is { State: CryptState.NextKSent })
        {
            ResumeOffered(now);
        }

        Establish(now);
        _ackNow = true;
        if (_crypt is { State: not CryptState.Disabled })
        {
            // Data on this SYN,ACK would have no MAC.
            OnSynAckWithCrypt(now);
            return SegmentVerdict.Processed;
        }

        // Seventh and eighth steps for what rides on the SYN,ACK. Its sequence number counts from behind the SYN.
        ProcessUrgent(seg, seg.Seq + 1);
        AcceptText(now, seg, seg.Seq + 1);
        if (IsClosed)
        {
            return SegmentVerdict.Processed;
        }

        ProcessFin(now);
        if (_isFinQueued)
        {
            EnterClosing();
        }

        return SegmentVerdict.Processed;
    }

    // RFC 9293 §3.10.7.4: other states. Order matters; each step may drop the segment, and says why.
    private SegmentVerdict OnSegmentSynchronized(TcpInstant now, scoped in Segment seg, bool isTimestampOptional = false)
    {
        if (!isTimestampOptional && CheckTimestamp(now, seg) is { IsDrop: true } old) { return old; }                    // RFC 7323 §5.3, R1
        if (CheckSequence(now, seg) is { IsDrop: true } unacceptable) { return unacceptable; }   // first
        if (CheckReset(now, seg) is { IsDrop: true } reset) { return reset; }                    // second, RFC 5961 §3.2
        if (CheckSyn(now, seg) is { IsDrop: true } syn) { return syn; }                          // fourth, RFC 5961 §4.2
        if (ProcessAck(now, seg) is { IsDrop: true } ack) { return ack; }                        // fifth
        if (IsClosed)
        {
            return SegmentVerdict.Processed;
        }

        UpdateTsRecent(now, seg);
        ProcessUrgent(seg, seg.Seq);                                                            // sixth
        if (AcceptText(now, seg, seg.Seq) is { IsDrop: true } text) { return text; }            // seventh
        ProcessFin(now);                                                                        // eighth
        return SegmentVerdict.Processed;
    }

    /// <summary>PAWS, and the rule that timestamps once agreed are on every segment (RFC 7323 §3.2, §5).</summary>
    private SegmentVerdict CheckTimestamp(TcpInstant now, scoped in Segment seg)
    {
        if (!_ts.IsOn || seg.IsRst)
        {
            return SegmentVerdict.Processed;
        }

        if (!seg.HasTimestamps)
        {
            // RFC 7323 §3.2: SHOULD silently drop; must not abort.
            return DropReason.TcpMissingTimestamp;
        }

        // Under MAC there are no segments of an earlier lap of the numbers, but the timestamps' values are not covered ([TD-78]): who alters one could shut the peer out.
        if (!IsProtected && Acceptability.IsTimestampOlder(seg.TsVal, _ts.Recent) && now - _ts.RecentAt < s_tsRecentLifetime)
        {
            // R1: acknowledge and drop. A bare old ACK needs no answer each time, or two hosts could keep each other busy.
            RequestStrayAck(now, hasData: seg.Len > 0);
            return DropReason.TcpPaws;
        }

        return SegmentVerdict.Processed;
    }

    /// <summary>First: the sequence number (RFC 9293 §3.10.7.4).</summary>
    private SegmentVerdict CheckSequence(TcpInstant now, scoped in Segment seg)
    {
        if (Acceptability.IsAcceptable(seg.Seq, seg.Len, _rcv.Nxt, _rcv.Wnd) || IsFinAtClosedWindow(seg))
        {
            return SegmentVerdict.Processed;
        }

        if (seg.IsRst)
        {
            return DropReason.TcpOutsideWindow;
        }

        // Crossing closes and opens: the peer's SYN,ACK or FIN is repeated below RCV.NXT, yet its ACK is news (RFC 9293 appendix A.2).
        bool isRepeat = seg.End <= _rcv.Nxt && _rcv.Nxt - seg.Seq <= Math.Max(seg.Len, 1);

        // Dialect Reference leaves the window out of the MAC: who forges a large one makes both sides send beyond the other's, and then neither would hear an ACK again. Under MAC it is the peer's.
        bool isAuthenticBeyond = IsProtected && seg.Seq > _rcv.Nxt;
        if (seg.IsAck && (isRepeat || isAuthenticBeyond || (_rcv.Wnd == 0 && seg.Seq == _rcv.Nxt)))
        {
            // MUST-66: with a zero window ACK, URG (and RST, below for the exact number) are still processed.
            if (_rcv.Wnd == 0 && seg.Seq == _rcv.Nxt)
            {
                ProcessUrgent(seg, seg.Seq);
            }

            if (seg.IsSyn && State == TcpState.SynReceived)
            {
                // Simultaneous open: the SYN,ACK answers our SYN.
                ProcessAck(now, seg);
                _ackNow = true;
                return DropReason.TcpDuplicateData;
            }

            if (!seg.IsSyn && ProcessAck(now, seg) is { IsDrop: false } && isRepeat && !IsClosed)
            {
                // The last segment again: our ACK was lost. Its echo must be of this transmission, or the sender takes all its time-outs for the RTT
                // (RFC 7323 §4.3 asks for SEG.SEQ =< Last.ACK.sent only; Linux does so too).
                UpdateTsRecent(now, seg);
            }
        }

        if (!IsClosed)
        {
            RequestStrayAck(now, hasData: seg.Len > 0, isOldData: seg.Payload.Length > 0 && seg.End <= _rcv.Nxt);
            NoteDuplicate(now, seg.Seq, Seq<Remote>.Min(seg.Seq + (uint)seg.Payload.Length, _rcv.Nxt));
        }

        return _rcv.Wnd == 0 || seg.Seq > _rcv.Nxt ? DropReason.TcpOutsideWindow : DropReason.TcpDuplicateData;
    }

    /// <summary>
    /// Deviation: a bare FIN needs no room, so it is taken though the window is closed, as in Linux. Some hosts send it all the same, and would go on repeating it.
    /// </summary>
    private bool IsFinAtClosedWindow(scoped in Segment seg) => _rcv.Wnd == 0 && seg.IsFin && !seg.IsSyn && seg.Payload.Length == 0 && seg.Seq == _rcv.Nxt;

    /// <summary>Second: RST (RFC 9293 §3.10.7.4; RFC 5961 §3.2).</summary>
    private SegmentVerdict CheckReset(TcpInstant now, scoped in Segment seg)
    {
        if (!seg.IsRst)
        {
            return SegmentVerdict.Processed;
        }

        if (seg.Seq != _rcv.Nxt)
        {
            RequestChallengeAck(now);
            return DropReason.TcpResetChallenged;
        }

        CloseByReset();
        return DropReason.TcpReset;
    }

    /// <summary>The peer's RST is believed.</summary>
    private void CloseByReset()
    {
        switch (State)
        {
            case TcpState.SynReceived:
                Finish(SocketError.ConnectionRefused);
                break;
            case TcpState.Closing or TcpState.LastAck:
                // What we had to say may be lost; what the peer sent is all here (§3.10.7.4: CLOSED). Nothing fails for it, but who asks is told.
                _softError = SocketError.ConnectionReset;
                Finish(SocketError.Success);
                break;
            default:
                _core.Counters.TcpEstabResets++;

                // Queues are flushed: octets not yet read are gone (§3.10.7.4).
                ReceiveQueue.Discard();
                Finish(SocketError.ConnectionReset);
                break;
        }
    }

    /// <summary>Fourth: SYN (RFC 5961 §4.2: challenge, whatever its sequence number).</summary>
    private SegmentVerdict CheckSyn(TcpInstant now, scoped in Segment seg)
    {
        if (!seg.IsSyn)
        {
            return SegmentVerdict.Processed;
        }

        RequestChallengeAck(now);
        return DropReason.TcpSynChallenged;
    }

    /// <summary>Fifth: ACK.</summary>
    private SegmentVerdict ProcessAck(TcpInstant now, scoped in Segment seg)
    {
        if (!seg.IsAck)
        {
            return DropReason.TcpNoAck;
        }

        if (State == TcpState.SynReceived)
        {
            if (seg.Ack <= _snd.Una || seg.Ack > _snd.Nxt)
            {
                _tcp.SendControl(Tuple, seg.Ack, default, TcpFlags.Rst, 0, null, Options.TimeToLive, Options.TypeOfService);
                _core.Counters.TcpOutRsts++;
                return DropReason.TcpAckUnacceptable;
            }

            UpdateWindow(seg);
            _snd.Una = _snd.Iss + 1;
            _isSynAcked = true;
            TakeHandshakeRtt(now);
            _rtt.OnProgress();
            _timers.Cancel(TcpTimer.Retransmit);
            Establish(now);
            if (_isFinQueued)
            {
                EnterClosing();
            }
        }

        // RFC 5961 §5.2, which tightens RFC 9293's "older is a duplicate".
        if (!Acceptability.IsAckInRange(seg.Ack, _snd.Una, _snd.Nxt, _snd.MaxWnd))
        {
            if (seg.Ack > _snd.Nxt)
            {
                RequestStrayAck(now, hasData: seg.Len > 0);
                return DropReason.TcpAckUnacceptable;
            }

            RequestChallengeAck(now);
            return DropReason.TcpAckTooOld;
        }

        if (IsLifeSign(seg))
        {
            _lastReceivedAt = now;
            _keepAliveProbes = 0;
        }

        _sent.BeginRound();
        AckSummary ack = new(now, _snd.Una, _snd.Nxt, _recover, _rtt.MinRtt, _ts.IsOn && seg.HasTimestamps ? seg.TsEcr : null)
        {
            Count = seg.Count,
            UnackedSince = _firstUnackedAt,
            IsAfterTimeout = _rtt.Backoff > 0,
            IsCongestionEcho = _agreed.Ecn && (seg.Flags & (TcpFlags.Ece | TcpFlags.Syn)) == TcpFlags.Ece,
        };
        if (_marks is { } marks)
        {
            marks.HoldsTail = false;
        }

        bool isWindowSame = unchecked((uint)seg.WindowField << _snd.Shift) == _snd.Wnd;
        bool wasInFlight = FlightSize > 0;
        if (seg.Ack > _snd.Una)
        {
            OnAckAdvance(seg, ref ack);
            if (IsClosed)
            {
                return SegmentVerdict.Processed;
            }
        }
        else
        {
            ack.IsDuplicate = seg.Ack == _snd.Una && (wasInFlight || _isProbeOut) && seg.Payload.Length == 0 && !seg.IsFin && !seg.IsSyn && isWindowSame && _snd.Wnd > 0;
        }

        if (seg.Ack >= _snd.Una)
        {
            UpdateWindow(seg, ack.IsAdvance);
            OnWindow(now);
        }

        if (_agreed.Sack)
        {
            ProcessSack(seg, ref ack);
        }

        if (wasInFlight)
        {
            TakeRttSample(ack);
            Recover(ref ack);
        }
        else if (ack.IsDuplicateSack || _isProbeOut)
        {
            // All is acknowledged, and yet there is news: a repeat or a probe was not needed.
            Recover(ref ack);
        }

        AccountSending(now);
        return SegmentVerdict.Processed;
    }

    /// <summary>SND.UNA &lt; SEG.ACK =&lt; SND.NXT: octets of ours have arrived.</summary>
    private void OnAckAdvance(scoped in Segment seg, ref AckSummary ack)
    {
        TcpInstant now = ack.Now;
        long octets = unchecked((uint)(seg.Ack - _snd.Una));
        bool isFinAcked = _isFinSent && !_isFinAcked && seg.Ack == _snd.Nxt;
        int initOctets = (int)Math.Min(octets, _unackedInit);
        long dataOctets = octets - initOctets - (isFinAcked ? 1 : 0);

        ack.IsAdvance = true;
        _sent.Acknowledge(seg.Ack, ref ack);
        SendQueue.Release(SendQueue.Head + dataOctets);
        _snd.Una = seg.Ack;
        _unackedInit -= initOctets;
        if (initOctets > 0 && _unackedInit == 0)
        {
            _crypt!.Init = default;
        }

        _isFinAcked |= isFinAcked;
        if (_snd.HasUrgent && _snd.Una >= _snd.Up)
        {
            _snd.HasUrgent = false;
        }

        // RFC 6298 §5.2-5.3, and progress ends the back-off.
        _rtt.OnProgress();
        _retries = 0;
        _isR1Reported = false;
        _firstUnackedAt = now;
        if (FlightSize == 0)
        {
            _timers.Cancel(TcpTimer.Retransmit);
        }
        else
        {
            ArmRetransmit(now);
        }

        if (dataOctets >= EffectiveMss)
        {
            _largestAcked = Math.Max(_largestAcked, SegmentMtu);
            _pendingMtu = 0;
        }

        if (dataOctets > 0)
        {
            CheckPathProbe(now);
            TuneSendBuffer();
            _core.Raise(this, CoreEvents.Writable);
        }

        if (isFinAcked)
        {
            OnFinAcked(now);
        }
    }

    /// <summary>Our FIN is acknowledged: FIN-WAIT-1 → FIN-WAIT-2, CLOSING → TIME-WAIT, LAST-ACK → CLOSED.</summary>
    private void OnFinAcked(TcpInstant now)
    {
        _core.Raise(this, CoreEvents.WriteClosed);
        switch (State)
        {
            case TcpState.FinWait1:
                Enter(TcpState.FinWait2);
                if (_isDetached || IsReadSpent)
                {
                    _timers.Set(TcpTimer.FinWait2, now + FinWait2Timeout);
                }

                break;
            case TcpState.Closing:
                if (_ackNow)
                {
                    // The peer's FIN came in the same batch: its ACK leaves before the TCB does.
                    SendAckNow(now);
                }

                EnterTimeWait(now);
                break;
            case TcpState.LastAck:
                Finish(SocketError.Success);
                break;
            default:
                break;
        }
    }

    /// <summary>
    /// The window of a segment that is not older than the last update (SND.WL1, SND.WL2). An advance brings its window too, as in Linux: the old one, counted from the
    /// new SND.UNA, would reach beyond what the peer has ever offered.
    /// </summary>
    private void UpdateWindow(scoped in Segment seg, bool isAdvance = false)
    {
        if (isAdvance || _snd.Wl1 < seg.Seq || (_snd.Wl1 == seg.Seq && _snd.Wl2 <= seg.Ack) || State == TcpState.SynReceived)
        {
            _snd.Wnd = seg.IsSyn ? seg.WindowField : (uint)seg.WindowField << _snd.Shift;   // RFC 7323 §2.2: never scaled in a SYN
            _snd.Wl1 = seg.Seq;
            _snd.Wl2 = seg.Ack;
            _snd.MaxWnd = Math.Max(_snd.MaxWnd, _snd.Wnd);
        }
    }

    /// <summary>RFC 7323 §4.3: TS.Recent follows segments that span Last.ACK.sent, so that delayed ACKs echo the earliest.</summary>
    private void UpdateTsRecent(TcpInstant now, scoped in Segment seg)
    {
        if (_ts.IsOn && seg.HasTimestamps && !seg.IsRst && seg.Seq <= _ts.LastAckSent && !(Acceptability.IsTimestampOlder(seg.TsVal, _ts.Recent) && now - _ts.RecentAt < s_tsRecentLifetime))
        {
            _ts.Recent = seg.TsVal;
            _ts.RecentAt = now;
        }
    }

    /// <summary>Sixth: URG. The pointer may be anything; it moves a mark and touches no data (RFC 9293 §3.8.5, RFC 6093).</summary>
    private void ProcessUrgent(scoped in Segment seg, Seq<Remote> first)
    {
        if (!seg.IsUrg || IsFinReceived || State is not (TcpState.SynReceived or TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2))
        {
            return;
        }

        long offset = StreamOffset(first) + seg.UrgentPointer;
        if (offset > _rcv.UrgentOffset && offset > ReceiveQueue.Head)
        {
            _rcv.UrgentOffset = offset;
            _core.Raise(this, CoreEvents.Urgent);
        }
    }
}
