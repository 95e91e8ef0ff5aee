using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// What is lost, and how fast to go on: RACK-TLP (RFC 8985) over a SACK scoreboard (RFC 2018, 6675), NewReno's rule without SACK (RFC 6582), PRR (RFC 6937),
// F-RTO (RFC 5682). Finding losses is here; what was none is in Undo, RTO and probes are in Probes, windows in Congestion/.
internal sealed partial class TcpEndpoint
{
    private enum LossState
    {
        Open,

        /// <summary>Something was delivered out of order; nothing is taken for lost yet.</summary>
        Disorder,

        /// <summary>The window is being reduced without a loss: congestion was signalled.</summary>
        Reduced,

        /// <summary>A loss was found; until the recovery point is acknowledged.</summary>
        Recovery,

        /// <summary>After a time-out; until the recovery point is acknowledged.</summary>
        Loss,
    }

    /// <summary>RFC 5682: whether the last time-out was spurious.</summary>
    private enum Frto
    {
        Off,

        /// <summary>The head was sent again; the first ACK decides whether to go on.</summary>
        HeadRepeated,

        /// <summary>New data is sent instead of repeats; the second ACK decides.</summary>
        NewData,
    }

    private Scoreboard _sent = new();
    private LossState _lossState;

    /// <summary>SND.NXT when the episode began (RecoveryPoint of RFC 6675).</summary>
    private Seq<Local> _recover;

    /// <summary>Without SACK: octets that duplicate ACKs tell of.</summary>
    private long _dupAcked;

    /// <summary>The first run goes out again, whatever the window says: the peer has shown that it is missing.</summary>
    private bool _repeatsHead;

    private int _retries;
    private bool _isR1Reported;
    private TcpInstant _firstUnackedAt;

    private Rack _rack = new();

    // Most connections never lose anything: these come with the first loss.
    private Prr? _prr;
    private Undo? _undo;
    private Frto _frto;

    /// <summary>TSval of the last time-out's retransmission.</summary>
    private uint _timeoutTsVal;

    // The handshake's measurement; data is measured by the scoreboard's times.
    private bool _isTiming;
    private TcpInstant _timedAt;

    /// <summary>Octets in the network, by all that is known.</summary>
    private long Pipe => _sent.Pipe - _dupAcked;

    private bool IsInReduction => _lossState is LossState.Reduced or LossState.Recovery;

    /// <summary>RFC 6675's DupThresh and what reordering made of it, in octets.</summary>
    private long DuplicateThreshold => (long)_rack.ReorderingSegments * _congestion.Smss;

    /// <summary>What an ACK means for loss recovery and the congestion window.</summary>
    private void Recover(ref AckSummary ack)
    {
        TcpInstant now = ack.Now;
        long markedBefore = _sent.MarkedLost;
        if (!_agreed.Sack)
        {
            CountDuplicates(ref ack);
        }

        if (ack.HasRack)
        {
            _rack.OnDelivered(ack.RackRtt, ack.RackLatest);
        }

        if (ack.IsReordered)
        {
            _rack.OnReordering(_sent.HighestSacked - ack.ReorderedAt, _congestion.Smss);
        }

        if (ack.IsDuplicateSack)
        {
            _rack.OnDuplicateSack(_snd.Una, _snd.Nxt);
        }

        if (ack.IsCongestionEcho)
        {
            // Whatever else was spurious, this is not: nothing is taken back.
            _core.Counters.TcpCongestionEchoes++;
            _undo?.PriorSsthresh = 0;
        }

        OnProbeAnswered(ack);
        FindLosses(ref ack);
        long newlyLost = _sent.MarkedLost - markedBefore;
        if (IsInReduction)
        {
            Reduce(ack.Delivered, newlyLost, ack.IsAdvance);
        }
        else if (ack.Delivered > 0 && (ack.IsAdvance || _rack.IsReorderingSeen) && IsCwndLimited)
        {
            _congestion.OnAck(new AckSample(now, ack.Delivered, LatestRtt(ack), _rtt.Srtt, _rtt.MinRtt, _snd.Una, _snd.Nxt));
        }

        UpdateProbe(ack);
    }

    /// <summary>RFC 6937 §3: cwnd = pipe + sndcnt. Never less than a segment: where nothing is left in the network only a time-out would go on.</summary>
    private void Reduce(long delivered, long newlyLost, bool isAdvance) =>
        _congestion.Cwnd = Math.Max(Pipe + _prr!.Reduce(delivered, newlyLost, isAdvance, Pipe, _congestion.Ssthresh, _congestion.Smss), _congestion.Smss);

    /// <summary>Without SACK each duplicate ACK stands for a segment that has left the network (RFC 5681 §3.2, RFC 6675's pipe by counting).</summary>
    private void CountDuplicates(ref AckSummary ack)
    {
        long size = _congestion.Smss;
        if (ack.IsAdvance)
        {
            // Without blocks nothing tells whether an original or its repeat is acknowledged (RFC 5682 §2).
            ack.HasOriginal &= !ack.HasRepeated;

            // The hole's own segment was not among the duplicates.
            long known = Math.Min(_dupAcked, Math.Max(ack.Delivered - size, 0));
            ack.Delivered = Math.Max(ack.Delivered - _dupAcked, Math.Min(size, ack.Delivered));
            _dupAcked = _lossState is LossState.Recovery ? _dupAcked - known : 0;
        }
        else if (ack.IsDuplicate)
        {
            // At least one segment is missing, or there would be no duplicates.
            long most = Math.Max(_sent.Octets - Math.Max(_sent.Lost, size), 0);
            long more = Math.Min(ack.Count * size, Math.Max(most - _dupAcked, 0));
            _dupAcked += more;
            ack.Delivered += more;
        }

        _dupAcked = Math.Min(_dupAcked, Math.Max(_sent.Octets - _sent.Lost, 0));
    }

    private void FindLosses(ref AckSummary ack)
    {
        TcpInstant now = ack.Now;
        if (_sent.Count > 0 && _sent[0].Is(SentFlags.Sacked))
        {
            // The peer told of the head and does not acknowledge it: it has thrown it away (RFC 2018 §8). A short time-out settles it.
            _timers.Cancel(TcpTimer.LossProbe);
            TimeSpan patience = TimeSpan.FromTicks(Math.Max(_rtt.Srtt.Ticks / 2, TimeSpan.TicksPerMillisecond * 10));
            _timers.Set(TcpTimer.Retransmit, now + patience);
            if (_lossState == LossState.Open)
            {
                // What is sent meanwhile must not put a probe in the timer's place.
                TryOpen();
            }

            return;
        }

        if (_lossState == LossState.Open)
        {
            _undo?.RepeatedAt = null;
        }
        else if (_snd.Una >= _recover && IsEpisodeOver(ack))
        {
            return;
        }

        long inRepeatBefore = _sent.InRepeat;
        switch (_lossState)
        {
            case LossState.Recovery:
                if (ack.IsAdvance && TryUndoPartial(ack))
                {
                    return;
                }

                if (TryUndoByDuplicateSack())
                {
                    TryOpen();
                }

                MarkLosses(now, ack);
                if (_lossState != LossState.Recovery && _sent.Lost > 0)
                {
                    // The undo took the episode back, and yet there is a loss.
                    EnterRecovery(now);
                }

                return;
            case LossState.Loss:
                OnAckAfterTimeout(ref ack);
                MarkLosses(now, ack);
                if (_lossState == LossState.Loss && _sent.InRepeat >= inRepeatBefore)
                {
                    return;
                }

                break;
            default:
                if (_lossState <= LossState.Disorder)
                {
                    _ = TryUndoByDuplicateSack();
                }

                MarkLosses(now, ack);
                break;
        }

        if (_sent.Lost > 0)
        {
            if (!IsPathProbeLost(now))
            {
                EnterRecovery(now, ack.IsCongestionEcho);
            }

            return;
        }

        if (ack.IsCongestionEcho)
        {
            EnterReduced(now);
        }

        TryOpen();
    }

    /// <summary>SND.UNA has reached the recovery point. True when there is nothing more to do for this ACK.</summary>
    private bool IsEpisodeOver(in AckSummary ack)
    {
        switch (_lossState)
        {
            case LossState.Reduced when _snd.Una != _recover:
                EndReduction();
                _lossState = LossState.Open;
                return false;
            case LossState.Recovery:
                _dupAcked = 0;
                if (TryUndoRecovery(ack))
                {
                    return true;
                }

                EndReduction();
                return false;
            default:
                return false;
        }
    }

    /// <summary>RACK's time rule (RFC 8985 §6.2) with SACK, else the third duplicate and each partial ACK (RFC 6582 §3.2).</summary>
    private void MarkLosses(TcpInstant now, in AckSummary ack)
    {
        if (_agreed.Sack)
        {
            if (_rack.IsAdvanced)
            {
                _timers.Cancel(TcpTimer.Reordering);
                _rack.IsAdvanced = false;
                DetectByTime(now);
            }
        }
        else if (_sent.Count > 0 && ((_lossState < LossState.Recovery && _dupAcked >= DuplicateThreshold) || (_lossState == LossState.Recovery && ack.IsAdvance)))
        {
            MarkHeadLost();
        }
    }

    private void MarkHeadLost()
    {
        if (!_sent[0].Is(SentFlags.Lost))
        {
            int mss = _sent[0].SegmentSize;
            if (_sent[0].Length > mss)
            {
                _sent.Split(0, mss);
            }

            _sent.MarkLost(0);
        }
    }

    /// <summary>RACK_detect_loss(): what was sent long enough before something that has arrived is lost; when that is to come, a timer waits for it.</summary>
    private void DetectByTime(TcpInstant now)
    {
        TimeSpan window = _rack.ReorderingWindow(_lossState >= LossState.Recovery, _sent.Sacked >= DuplicateThreshold, _rtt);
        TimeSpan wait = TimeSpan.Zero;
        for (int i = 0; i < _sent.Count; i++)
        {
            ref SentSegment run = ref _sent[i];
            if (!run.IsSentBefore(_rack.Latest))
            {
                if (run.Start >= _sent.RepeatEdge)
                {
                    // From here on nothing was sent twice, so nothing was sent earlier.
                    break;
                }

                continue;
            }

            if (run.Is(SentFlags.Sacked) || (run.Flags & (SentFlags.Lost | SentFlags.InRepeat)) == SentFlags.Lost)
            {
                continue;
            }

            TimeSpan remaining = _rack.Rtt + window - (now - run.SentAt);
            if (remaining <= TimeSpan.Zero)
            {
                _sent.MarkLost(i);
            }
            else if (remaining > wait)
            {
                wait = remaining;
            }
        }

        if (wait > TimeSpan.Zero)
        {
            _timers.Set(TcpTimer.Reordering, now + wait);
        }
    }

    /// <summary>RFC 8985 §6.2 step 5: the reordering window has passed.</summary>
    private void OnReorderingTimeout(TcpInstant now)
    {
        long pipe = Pipe;
        long markedBefore = _sent.MarkedLost;
        DetectByTime(now);
        if (Pipe == pipe || _sent.Lost == 0 || (_lossState < LossState.Reduced && IsPathProbeLost(now)))
        {
            return;
        }

        if (_lossState != LossState.Recovery)
        {
            EnterRecovery(now);
        }

        Reduce(_congestion.Smss, _sent.MarkedLost - markedBefore, isAdvance: false);
    }

    // ---- Episodes ----

    private void EnterRecovery(TcpInstant now, bool isCongestionEcho = false)
    {
        _core.Counters.TcpFastRetransmits++;
        Undo undo = BeginUndo(isOvertaken: true);
        undo.PriorSsthresh = 0;
        if (!IsInReduction)
        {
            BeginReduction(now);
            undo.PriorSsthresh = isCongestionEcho ? 0 : undo.PriorSsthresh;
        }

        _lossState = LossState.Recovery;
        _frto = Frto.Off;
    }

    /// <summary>Congestion was signalled without a loss (RFC 3168 §6.1.2).</summary>
    private void EnterReduced(TcpInstant now)
    {
        _undo?.PriorSsthresh = 0;
        if (_lossState < LossState.Reduced)
        {
            _undo?.IsPossible = false;
            BeginReduction(now);
            _lossState = LossState.Reduced;
        }
    }

    private void BeginReduction(TcpInstant now)
    {
        _recover = _snd.Nxt;
        ForgetProbe();
        RememberWindow();
        _prr = new Prr(_congestion.Cwnd);
        _isCwrDue = _agreed.Ecn;
        _congestion.OnCongestion(now, FlightSize);
    }

    private void EndReduction()
    {
        if (_undo is { IsPossible: true } || _lossState == LossState.Reduced)
        {
            _congestion.Cwnd = _congestion.Ssthresh;
        }
    }

    /// <summary>Open, or Disorder while something is out of order.</summary>
    private void TryOpen()
    {
        if (_sent.InRepeat == 0)
        {
            _undo?.RepeatedAt = null;
        }

        if (_lossState == LossState.Reduced)
        {
            return;
        }

        LossState state = _sent.Sacked + _sent.Lost + _sent.InRepeat + _dupAcked > 0 ? LossState.Disorder : LossState.Open;
        if (_lossState != state)
        {
            _lossState = state;
            _recover = _snd.Nxt;
        }
    }

    /// <summary>ssthresh as it is, or what a window that proved itself is worth (RFC 7661, RFC 2861).</summary>
    private long CurrentSsthresh => IsInReduction ? _congestion.Ssthresh : Math.Max(_congestion.Ssthresh, (_congestion.Cwnd >> 1) + (_congestion.Cwnd >> 2));

    // ---- After a time-out ----

    /// <summary>RFC 5681 §3.1, RFC 6298 §5.4: what is out is lost, but for what was sent within the last round trip (RFC 8985 §6.3).</summary>
    private void EnterLoss(TcpInstant now)
    {
        bool isNew = _lossState < LossState.Recovery;
        MarkAllLost(now);
        if (_lossState <= LossState.Disorder || _recover <= _snd.Una || (_lossState == LossState.Loss && _retries <= 1))
        {
            RememberWindow();
            _congestion.OnTimeout(now, FlightSize);
            BeginUndo(isOvertaken: false);
        }

        _isCwrDue = _agreed.Ecn;
        _dupAcked = 0;
        _congestion.Cwnd = Pipe + _congestion.Smss;
        if (_lossState <= LossState.Disorder && _sent.Sacked >= 3L * _congestion.Smss)
        {
            // So much disorder, and still a time-out: the path reorders less than was believed.
            _rack.ForgetReordering();
        }

        _lossState = LossState.Loss;
        _recover = _snd.Nxt;
        _timeoutTsVal = TsVal(now);

        // RFC 5682 §3.1 step 1: not when the time-outs go on, nor in the middle of another recovery.
        _frto = isNew || _retries > 1 ? Frto.HeadRepeated : Frto.Off;
    }

    private void MarkAllLost(TcpInstant now)
    {
        if (_sent.Count > 0 && _sent[0].Is(SentFlags.Sacked))
        {
            _sent.ForgetSacks();
            _rack.ForgetReordering();
        }

        for (int i = 0; i < _sent.Count; i++)
        {
            ref SentSegment run = ref _sent[i];
            if (run.Is(SentFlags.Sacked) || (i > 0 && _rack.Rtt - (now - run.SentAt) > TimeSpan.Zero))
            {
                continue;
            }

            _sent.MarkLost(i);
        }
    }

    /// <summary>RFC 5682 §3.1, with SACK §3.2; else slow start through what is lost.</summary>
    private void OnAckAfterTimeout(ref AckSummary ack)
    {
        bool isRecovered = _snd.Una >= _recover;
        if (ack.IsAdvance && TryUndoLoss(ack, isProven: false))
        {
            return;
        }

        if (_frto != Frto.Off)
        {
            if (ack.HasOriginal && TryUndoLoss(ack, isProven: true))
            {
                // Step 3.b: something arrived that was never sent again.
                return;
            }

            if (_snd.Nxt > _recover)
            {
                if (ack.HasSacked || ack.IsDuplicate)
                {
                    // Step 3.a: the loss was real.
                    _frto = Frto.Off;
                }
            }
            else if (ack.IsAdvance && !isRecovered)
            {
                // Step 2.b: new data, when there is some, and see.
                _recover = _snd.Nxt;
                _frto = Unsent > 0 && _snd.Una + _snd.Wnd > _snd.Nxt ? Frto.NewData : Frto.Off;
                if (_frto == Frto.NewData)
                {
                    return;
                }
            }
        }

        if (isRecovered)
        {
            _ = TryUndoRecovery(ack);
        }
    }

    // ---- Measurement ----

    /// <summary>RFC 6298 §3: never from what was sent twice (Karn); then timestamps tell (RFC 7323 §4.1).</summary>
    private void TakeRttSample(in AckSummary ack)
    {
        if (ack.FirstSentAt is { IsNever: false } first && !ack.HasRepeated)
        {
            _rtt.OnSample(ack.Now, ack.Now - first);
        }
        else if (ack.FirstSackedAt is { IsNever: false } sacked)
        {
            _rtt.OnSample(ack.Now, ack.Now - sacked);
        }
        else if (ack.IsAdvance && ack.TsEcr is uint echo && echo != 0 && unchecked((int)(TsVal(ack.Now) - echo)) is >= 0 and int elapsed
            && !(_lossState == LossState.Loss && Acceptability.IsTimestampOlder(echo, _timeoutTsVal)))
        {
            // After a time-out an echo from before it may be stale (the peer's ACK of the hole was lost, and repetitions below RCV.NXT do not renew TS.Recent):
            // taken as a sample it would add all time-outs to the RTT, and time-outs would grow without end.
            TimeSpan sample = TimeSpan.FromMilliseconds(elapsed);
            if (IsProtected)
            {
                // No MAC covers the echo ([TD-78]): our own clock tells, and the echo only what it cannot, after a time-out, within what has passed since anything was acknowledged. Otherwise who alters echoes decides how long a loss stays unrepaired.
                if (!ack.IsAfterTimeout)
                {
                    return;
                }

                sample = TimeSpan.FromTicks(Math.Max(Math.Min(sample.Ticks, (ack.Now - ack.UnackedSince).Ticks), _rtt.MinRtt.Ticks));
            }

            _rtt.OnSample(ack.Now, sample);
        }
    }

    /// <summary>The SYN's round trip, when it was sent once.</summary>
    private void TakeHandshakeRtt(TcpInstant now)
    {
        if (_isTiming)
        {
            _isTiming = false;
            _rtt.OnSample(now, now - _timedAt);
        }
    }

    private static TimeSpan LatestRtt(in AckSummary ack) =>
        ack.LastSentAt is { IsNever: false } last && !ack.HasRepeated ? ack.Now - last
        : ack.FirstSackedAt is { IsNever: false } sacked ? ack.Now - sacked : TimeSpan.Zero;
}
