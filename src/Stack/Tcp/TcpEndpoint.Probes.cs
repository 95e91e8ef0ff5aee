using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// The timers of what is in flight: RTO (RFC 6298), and the tail loss probe that comes before it (RFC 8985 §7).
internal sealed partial class TcpEndpoint
{
    /// <summary>WCDelAckT: the longest that a peer is expected to delay an ACK (RFC 8985 §7.2).</summary>
    private static readonly TimeSpan s_worstDelayedAck = TimeSpan.FromMilliseconds(200);

    private static readonly TimeSpan s_leastProbeWait = TimeSpan.FromMilliseconds(2);

    /// <summary>TLP.end_seq while a probe is out.</summary>
    private Seq<Local> _probeEnd;
    private bool _isProbeOut;
    private bool _isProbeRepeat;

    /// <summary>The probe goes out with the next packet.</summary>
    private bool _isProbeDue;

    private bool IsTransmitTimerSet => _timers.IsSet(TcpTimer.Retransmit) || _timers.IsSet(TcpTimer.LossProbe);

    private bool MayProbe => _agreed.Sack && _unackedInit == 0 && !_isProbeOut && _sent.Count > 0 && _lossState is LossState.Open or LossState.Reduced && _core.Options.Tcp.TailLossProbe;

    /// <summary>Starts the retransmission timer anew (RFC 6298 §5.1, §5.3); it never runs past the user time-out, which is looked at when it expires.</summary>
    private void ArmRetransmit(TcpInstant now)
    {
        TcpInstant due = now + _rtt.Rto;
        if (Options.UserTimeout > TimeSpan.Zero)
        {
            TcpInstant limit = _firstUnackedAt + Options.UserTimeout;
            due = limit > now ? TcpInstant.Min(due, limit) : due;
        }

        _timers.Cancel(TcpTimer.LossProbe);
        _timers.Set(TcpTimer.Retransmit, due);
    }

    /// <summary>TLP_calc_PTO(): two round trips, and time for a delayed ACK when a single segment is out. The probe takes the timer's place, and the time-out follows it.</summary>
    private void ScheduleProbe(TcpInstant now, bool isAdvance)
    {
        if (!MayProbe)
        {
            return;
        }

        // A round trip too short to be seen says nothing of how long the answer takes.
        TimeSpan wait = _rtt.Srtt > TimeSpan.Zero ? 2 * _rtt.Srtt : _core.Options.Tcp.InitialRto;
        wait += FlightSize <= EffectiveMss ? s_worstDelayedAck : s_leastProbeWait;
        TcpInstant timeout = (isAdvance ? now : _sent[0].SentAt) + _rtt.Rto;
        TcpInstant due = TcpInstant.Min(now + wait, timeout);
        if (Options.UserTimeout > TimeSpan.Zero && _firstUnackedAt + Options.UserTimeout <= due)
        {
            return;
        }

        _timers.Cancel(TcpTimer.Retransmit);
        _timers.Set(TcpTimer.LossProbe, due);
    }

    /// <summary>After an ACK: the timer starts anew with progress, and never runs out while something is in flight.</summary>
    private void UpdateProbe(in AckSummary ack)
    {
        if (_sent.Count == 0)
        {
            if (FlightSize == 0)
            {
                _timers.Cancel(TcpTimer.Retransmit);
            }

            _timers.Cancel(TcpTimer.LossProbe);
            _timers.Cancel(TcpTimer.Reordering);
            _isProbeDue = false;
            return;
        }

        if (ack.IsAdvance)
        {
            ScheduleProbe(ack.Now, isAdvance: true);
        }
        else if (_timers.IsSet(TcpTimer.LossProbe) && !MayProbe)
        {
            // A loss is in sight: back to the time-out of what was sent first.
            _timers.Cancel(TcpTimer.LossProbe);
            ArmRetransmit(_sent[0].SentAt);
        }
    }

    /// <summary>TLP_send_probe(): new data when there is some, else the last segment again; either makes the peer tell what it has.</summary>
    private void OnProbeTimeout(TcpInstant now)
    {
        ArmRetransmit(now);
        if (MayProbe)
        {
            _isProbeDue = true;
            MarkReady();
        }
    }

    private SendDecision DecideProbe(TcpInstant now)
    {
        int usable = _snd.Una + _snd.Wnd - _snd.Nxt;
        int mss = SegmentMss(now, _snd.Nxt, out long whole);
        if (Unsent > 0 && usable > 0)
        {
            int length = (int)Math.Min(Math.Min(Unsent, usable), Math.Min(mss, whole));
            return new SendDecision(SendKind.Data, _snd.Nxt, length, HasFin: _isFinQueued && length == Unsent && usable > length);
        }

        SentSegment last = _sent[_sent.Count - 1];
        int size = SegmentMss(now, last.Start, out long same);
        int payload = last.Length - (_isFinSent && !_isFinAcked ? 1 : 0);
        int start = payload <= 0 ? 0 : (payload - 1) / last.SegmentSize * last.SegmentSize;
        return last.Is(SentFlags.Sacked) ? default : Retransmission(last.Start + start, (int)Math.Min(size, same));
    }

    /// <summary>The probe has left.</summary>
    private void OnProbeSent(TcpInstant now, bool isRepeat)
    {
        _isProbeDue = false;
        _isProbeOut = true;
        _isProbeRepeat = isRepeat;
        _probeEnd = _snd.Nxt;
        _core.Counters.TcpLossProbes++;
        ArmRetransmit(now);
    }

    /// <summary>RFC 8985 §7.4.2: whether the probe repaired a loss, which congestion control must hear of.</summary>
    private void OnProbeAnswered(in AckSummary ack)
    {
        if (!_isProbeOut || _snd.Una < _probeEnd)
        {
            return;
        }

        if (!_isProbeRepeat || ack.IsProbeDuplicate)
        {
            ForgetProbe();
        }
        else if (_snd.Una > _probeEnd)
        {
            // Nobody told of a duplicate: the original was lost, and the probe was its repair.
            ForgetProbe();
            EnterReduced(ack.Now);
            EndReduction();
            if (_lossState == LossState.Reduced)
            {
                _lossState = LossState.Open;
                TryOpen();
            }

            _core.Counters.TcpLossProbeRepairs++;
        }
        else if (!ack.IsAdvance && ack.IsDuplicate && !ack.HasSacked)
        {
            // Both have arrived.
            ForgetProbe();
        }
    }

    private void ForgetProbe()
    {
        _isProbeOut = false;
        _isProbeRepeat = false;
        _isProbeDue = false;
    }
}
