using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Fast retransmit and NewReno recovery (RFC 5681 §3.2, RFC 6582), limited transmit (RFC 3042), RTT measurement (RFC 6298 §3).
internal sealed partial class TcpEndpoint
{
    private enum Recovery
    {
        Open,

        /// <summary>After three duplicate ACKs, until the recovery point is acknowledged.</summary>
        Fast,

        /// <summary>After a time-out, until the recovery point is acknowledged.</summary>
        Loss,
    }

    private Recovery _recovery;

    /// <summary>SND.NXT when loss was found (RFC 6582's recover, plus one).</summary>
    private Seq<Local> _recover;
    private bool _hasRecovered;

    /// <summary>Recovery by time-out: next sequence number to send again.</summary>
    private Seq<Local> _rexmitNxt;
    private bool _rexmitOnce;
    private bool _lossIsPathMtu;
    private bool _hasPartialAck;
    private int _dupAcks;
    private int _retries;
    private bool _isR1Reported;
    private TcpInstant _firstUnackedAt;

    /// <summary>TSval of the last time-out's retransmission.</summary>
    private uint _timeoutTsVal;

    private bool _isTiming;
    private Seq<Local> _timedEnd;
    private TcpInstant _timedAt;

    /// <summary>RFC 3042: the first two duplicate ACKs let one new segment out each.</summary>
    private long LimitedTransmit => _recovery == Recovery.Open ? (long)Math.Min(_dupAcks, 2) * _congestion.Smss : 0;

    private void OnDuplicateAck(TcpInstant now, int count)
    {
        _dupAcks += count;
        switch (_recovery)
        {
            case Recovery.Fast:
                // RFC 5681 §3.2 step 4; no more than is outstanding, or made-up duplicates would inflate without end.
                _congestion.Cwnd = Math.Min(_congestion.Cwnd + ((long)count * _congestion.Smss), _congestion.Ssthresh + FlightSize);
                break;
            case Recovery.Open when _dupAcks >= 3 && (!_hasRecovered || _snd.Una > _recover):
                _congestion.OnLoss(now, FlightSize);
                _congestion.Cwnd = _congestion.Ssthresh + (3L * _congestion.Smss);
                _recovery = Recovery.Fast;
                _recover = _snd.Nxt;
                _hasRecovered = true;
                _hasPartialAck = false;
                _rexmitOnce = true;
                _core.Counters.TcpFastRetransmits++;
                break;
            default:
                break;
        }
    }

    /// <summary>New data was acknowledged: what it means for the window.</summary>
    private void OnAckForRecovery(TcpInstant now, long acked, uint flightBefore)
    {
        _dupAcks = 0;
        if (acked >= EffectiveMss)
        {
            _largestAcked = Math.Max(_largestAcked, Math.Min(_pathMtu, _agreed.PeerMss + SegmentWriter.PayloadOffset(0)));
            _pendingMtu = 0;
        }

        switch (_recovery)
        {
            case Recovery.Fast when _snd.Una >= _recover:
                // RFC 6582 §3.2 step 3, full acknowledgment: no burst.
                _congestion.Cwnd = Math.Min(_congestion.Ssthresh, Math.Max(FlightSize, _congestion.Smss) + _congestion.Smss);
                _recovery = Recovery.Open;
                break;
            case Recovery.Fast:
                // Partial acknowledgment: the next hole is lost too.
                _rexmitOnce = true;
                _hasPartialAck = true;
                _congestion.Cwnd = Math.Max(_congestion.Cwnd - acked, _congestion.Smss);
                if (acked >= _congestion.Smss)
                {
                    _congestion.Cwnd += _congestion.Smss;
                }

                break;
            default:
                if (_recovery == Recovery.Loss && _snd.Una >= _recover)
                {
                    _recovery = Recovery.Open;
                    _lossIsPathMtu = false;
                }

                // RFC 7661 in its simplest form: a window that was not used is not proven, so it does not grow.
                bool isLimited = _congestion.Cwnd < _congestion.Ssthresh ? 2L * flightBefore >= _congestion.Cwnd : flightBefore + _congestion.Smss >= _congestion.Cwnd;
                if (acked > 0 && (isLimited || _recovery == Recovery.Loss))
                {
                    _congestion.OnAck(now, acked, _rtt.Srtt);
                }

                break;
        }
    }

    /// <summary>One measurement at a time (RFC 6298 §3), by Karn never from what was sent twice; then timestamps tell (RFC 7323 §4.1).</summary>
    private void TakeRttSample(TcpInstant now, scoped in Segment seg)
    {
        if (_isTiming)
        {
            if (seg.Ack >= _timedEnd)
            {
                _isTiming = false;
                _rtt.OnSample(now - _timedAt);
            }
        }
        else if (_ts.IsOn && seg.HasTimestamps && seg.TsEcr != 0 && unchecked((int)(TsVal(now) - seg.TsEcr)) is >= 0 and int elapsed
            && !(_recovery == Recovery.Loss && Acceptability.IsTimestampOlder(seg.TsEcr, _timeoutTsVal)))
        {
            // After a time-out an echo from before it may be stale (the peer's ACK of the hole was lost, and repetitions below RCV.NXT do not renew TS.Recent):
            // taken as a sample it would add all time-outs to the RTT, and time-outs would grow without end.
            TimeSpan sample = TimeSpan.FromMilliseconds(elapsed);
            if (IsProtected)
            {
                // No MAC covers the echo ([TD-78]): our own clock tells, and the echo only what it cannot, after a time-out, within what has passed since anything was acknowledged. Otherwise who alters echoes decides how long a loss stays unrepaired.
                if (_rtt.Backoff == 0)
                {
                    return;
                }

                sample = TimeSpan.FromTicks(Math.Max(Math.Min(sample.Ticks, (now - _firstUnackedAt).Ticks), _rtt.MinRtt.Ticks));
            }

            _rtt.OnSample(sample);
        }
    }
}
