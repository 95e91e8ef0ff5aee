using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// RFC 9293 §3.10.8 and §3.8: one method per timer.
internal sealed partial class TcpEndpoint
{
    private int _persistBackoff;
    private int _unansweredProbes;

    /// <summary>Probes since the application has closed, answered or not.</summary>
    private int _orphanProbes;
    private int _keepAliveProbes;

    public override void OnDeadline(TcpInstant now)
    {
        while (!IsClosed && _timers.TryTakeExpired(now, out TcpTimer timer))
        {
            switch (timer)
            {
                case TcpTimer.Retransmit:
                    OnRetransmitTimeout(now);
                    break;
                case TcpTimer.LossProbe:
                    OnProbeTimeout(now);
                    break;
                case TcpTimer.Reordering:
                    OnReorderingTimeout(now);
                    break;
                case TcpTimer.Persist:
                    OnPersistTimeout(now);
                    break;
                case TcpTimer.DelayedAck:
                    _ackNow = true;
                    break;
                case TcpTimer.KeepAlive:
                    OnKeepAliveTimeout(now);
                    break;
                case TcpTimer.Cork:
                    Push();
                    break;
                case TcpTimer.FinWait2 when IsReadSpent && !_isDetached:
                    // The peer has more to say, and nobody listens.
                    GiveUp(now, SocketError.ConnectionAborted);
                    break;
                case TcpTimer.FinWait2:
                    Finish(SocketError.Success);
                    break;
                case TcpTimer.Crypt:
                    OnCryptTimeout(now);
                    break;
                default:
                    break;
            }
        }

        if (!IsClosed)
        {
            MarkReady();
        }

        UpdateDeadline();
    }

    /// <summary>RFC 6298 §5.4-5.7; RFC 5681 §3.1; R1 and R2 of RFC 9293 §3.8.3.</summary>
    private void OnRetransmitTimeout(TcpInstant now)
    {
        _timeouts++;
        _core.Counters.TcpTimeouts++;
        if (State is TcpState.SynSent or TcpState.SynReceived)
        {
            OnSynTimeout(now);
            return;
        }

        if (OnPkConfTimeout(now))
        {
            return;
        }

        if (IsGivenUp(now, ++_retries))
        {
            GiveUp(now, SocketError.TimedOut);
            return;
        }

        if (_retries >= _core.Options.Tcp.R1Retransmissions && !_isR1Reported)
        {
            // SHLD-9: the application is told between R1 and R2.
            _isR1Reported = true;
            _softError = SocketError.TimedOut;
            _core.Raise(this, CoreEvents.Notice);
        }

        if (_pendingMtu != 0)
        {
            // RFC 5927 §7.2: the held claim was true after all.
            ApplyPathMtu(now, _pendingMtu);
        }

        CheckBlackHole(now);
        EnterLoss(now);
        ForgetProbe();
        _timers.Cancel(TcpTimer.Reordering);
        _repeatsHead = false;
        _isTiming = false;
        _rtt.OnTimeout();
        ArmRetransmit(now);
    }

    private void OnSynTimeout(TcpInstant now)
    {
        // MUST-22, MUST-23: R2 for a SYN is three minutes at least; a user time-out goes before it, and the application's own count.
        int? count = IsPassive ? _core.Options.Tcp.SynAckRetransmissions : Options.SynRetransmissions;
        if (now >= SynDeadline || _synTransmissions > count)
        {
            if (IsProtected)
            {
                // [TD-107]: the peer may have gone on in plain, and takes what it sends for delivered.
                SendResetOfOurs(now);
            }

            // A soft error on the way tells more than "timed out".
            Finish(_softError is SocketError.Success ? SocketError.TimedOut : _softError, now);
            return;
        }

        _rtt.OnTimeout();
        _synPending = true;
        ArmSyn(now);
    }

    private TcpInstant SynDeadline => Options.UserTimeout > TimeSpan.Zero ? _openedAt + Options.UserTimeout
        : Options.SynRetransmissions is null || IsPassive ? _openedAt + _core.Options.Tcp.SynTimeout
        : TcpInstant.Never;

    /// <summary>The last wait ends with the limit.</summary>
    private void ArmSyn(TcpInstant now) => _timers.Set(TcpTimer.Retransmit, TcpInstant.Min(now + _rtt.Rto, SynDeadline));

    /// <summary>R2, or the user time-out (RFC 5482 semantics).</summary>
    private bool IsGivenUp(TcpInstant now, int attempts) => Options.UserTimeout > TimeSpan.Zero
        ? now - _firstUnackedAt >= Options.UserTimeout
        : attempts > (_isDetached ? Math.Min(_core.Options.Tcp.OrphanRetransmissions, _core.Options.Tcp.R2Retransmissions) : _core.Options.Tcp.R2Retransmissions);

    /// <summary>
    /// Zero-window probe (RFC 9293 §3.8.6.1), or the override of the sender's SWS avoidance when the window is small. As Linux does, the probe is an empty
    /// segment with an acknowledged sequence number: the peer must answer it with its window, and no octet is sent that it would have to throw away.
    /// </summary>
    private void OnPersistTimeout(TcpInstant now)
    {
        bool hasData = Unsent > 0 || (_isFinQueued && !_isFinSent);
        if (!hasData || FlightSize > 0)
        {
            return;
        }

        if (_snd.Una + _snd.Wnd - _snd.Nxt > 0)
        {
            _forceSend = true;
            return;
        }

        // Deviation: RFC 9293 MUST-37 would have us probe for ever. Nobody waits for an orphan, and a peer could keep any number of them; as Linux does, answers do not count then.
        _unansweredProbes++;
        if (IsGivenUp(now, _isDetached ? ++_orphanProbes : _unansweredProbes))
        {
            GiveUp(now, SocketError.TimedOut);
            return;
        }

        _core.Counters.TcpZeroWindowProbes++;
        SendBare(now, _snd.Una - 1);
        _persistBackoff++;

        // SHLD-30: exponentially, bounded as the RTO is.
        TimeSpan wait = TimeSpan.FromTicks(Math.Min(_rtt.Rto.Ticks << Math.Min(_persistBackoff, 20), _core.Options.Tcp.MaxRto.Ticks));
        TcpInstant due = now + wait;
        _timers.Set(TcpTimer.Persist, Options.UserTimeout > TimeSpan.Zero ? TcpInstant.Min(due, _firstUnackedAt + Options.UserTimeout) : due);
    }

    /// <summary>A window update, or the answer to a probe: MUST-37, probes that are answered never end the connection.</summary>
    private void OnWindow(TcpInstant now)
    {
        _unansweredProbes = 0;
        if (_snd.Wnd == 0)
        {
            if (FlightSize > 0 && IsTransmitTimerSet)
            {
                // SHLD-17: no time-out for what lies beyond an edge that the peer moved, as long as it answers.
                _retries = 0;
            }

            return;
        }

        if (_timers.IsSet(TcpTimer.Persist) && _snd.Una + _snd.Wnd - _snd.Nxt > 0)
        {
            _timers.Cancel(TcpTimer.Persist);
            _persistBackoff = 0;
            _orphanProbes = 0;
        }
    }

    private void ArmKeepAlive(TcpInstant now)
    {
        _keepAliveProbes = 0;
        if (!Options.KeepAlive || !WasEstablished || IsClosed)
        {
            _timers.Cancel(TcpTimer.KeepAlive);
            return;
        }

        TcpInstant due = _lastReceivedAt + Options.KeepAliveIdle;
        _timers.Set(TcpTimer.KeepAlive, due > now ? due : now + Options.KeepAliveInterval);
    }

    /// <summary>RFC 9293 §3.8.4 (MUST-24..29): only on an idle connection with nothing outstanding; several probes must stay unanswered.</summary>
    private void OnKeepAliveTimeout(TcpInstant now)
    {
        if (!Options.KeepAlive)
        {
            return;
        }

        TcpInstant idleSince = _lastReceivedAt;
        if (FlightSize > 0 || Unsent > 0)
        {
            _timers.Set(TcpTimer.KeepAlive, now + Options.KeepAliveIdle);
            return;
        }

        if (now < idleSince + Options.KeepAliveIdle)
        {
            _timers.Set(TcpTimer.KeepAlive, idleSince + Options.KeepAliveIdle);
            return;
        }

        bool isOver = Options.UserTimeout > TimeSpan.Zero ? now - idleSince >= Options.UserTimeout && _keepAliveProbes > 0 : _keepAliveProbes >= Options.KeepAliveCount;
        if (isOver)
        {
            GiveUp(now, SocketError.TimedOut);
            return;
        }

        // SHLD-12: SEQ = SND.NXT-1, no data.
        _keepAliveProbes++;
        _core.Counters.TcpKeepAlives++;
        SendKeepAlive(now);
        _timers.Set(TcpTimer.KeepAlive, now + Options.KeepAliveInterval);
    }
}
