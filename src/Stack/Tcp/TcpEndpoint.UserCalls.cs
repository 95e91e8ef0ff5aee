using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// RFC 9293 §3.10.1-3.10.6: SEND, RECEIVE, CLOSE, ABORT. All are called under the core's lock.
internal sealed partial class TcpEndpoint
{
    /// <summary>The receive buffer's size when the options were last looked at: a larger one may be worth a window update.</summary>
    private int _receiveBufferSeen;
    private bool _wasNoDelay;

    /// <summary>Null until the application says how its octets belong together.</summary>
    private SendMarks? _marks;

    /// <summary>SEND: octets were appended to <see cref="SendQueue"/>.</summary>
    public void OnSend(TcpInstant now)
    {
        if (_marks is { } marks)
        {
            marks.HoldsTail = false;
        }

        if (IsClosed)
        {
            SendQueue.Discard();
            return;
        }

        if (_core.Blocks.IsExhausted)
        {
            _tcp.Memory.TryRelieve(now);
            if (IsClosed)
            {
                return;
            }
        }

        CheckSendLimit(now);
        MarkReady();
    }

    /// <summary>SEND with a word about what follows. More: the segment that is not full waits for it (Linux: MSG_MORE). The end of a record: what follows is in segments of its own (MSG_EOR).</summary>
    public void OnSend(TcpInstant now, bool isMore, bool endsRecord)
    {
        OnSend(now);
        if (IsClosed || !(isMore || endsRecord))
        {
            return;
        }

        _marks ??= new SendMarks();
        if (isMore)
        {
            _marks.HoldsTail = true;
            _marks.OpenTail = SendQueue.Tail;
        }

        if (endsRecord)
        {
            _marks.EndRecord(SendQueue.Tail, SendQueue.Head);
        }
    }

    /// <summary>What waits for more, or for an ACK, waits no longer.</summary>
    private void Push()
    {
        _forceSend |= Unsent > 0;
        if (_marks is { } marks)
        {
            marks.HoldsTail = false;
            marks.OpenTail = -1;
        }
    }

    /// <summary>SEND with the URGENT flag: everything queued so far is urgent (RFC 9293 MUST-30, MUST-31).</summary>
    public void OnSendUrgent(TcpInstant now)
    {
        if (IsClosed)
        {
            return;
        }

        // SND.UP is the octet behind the urgent data (MUST-62).
        _snd.Up = SequenceOf(SendQueue.Tail);
        _snd.HasUrgent = true;
        CheckSendLimit(now);
        MarkReady();
    }

    /// <summary>RECEIVE: octets were released from <see cref="ReceiveQueue"/>; the window may open (RFC 9293 §3.8.6.2.2).</summary>
    public void OnReceive(TcpInstant now)
    {
        if (IsClosed || State == TcpState.SynSent || IsFinReceived)
        {
            return;
        }

        TuneReceiveBuffer(now);

        // An update is worth a segment when the window the peer sees is at most half of what it could be, and would at least double.
        uint current = _rcv.Wnd;
        uint target = TargetWindow();
        int least = Math.Min(ReceiveBufferSize / 2, ReceiveMss);
        if (target >= current + (uint)Math.Max(least, 1) && current <= (uint)ReceiveBufferSize / 2 && target >= 2 * (ulong)current)
        {
            _ackNow = true;
            MarkReady();
        }
    }

    /// <summary>Settings changed: Nagle, cork, keep-alive, buffers take effect at once.</summary>
    public void OnOptionsChanged(TcpInstant now)
    {
        if (IsClosed)
        {
            return;
        }

        if (!Options.Cork)
        {
            _timers.Cancel(TcpTimer.Cork);
        }

        if (Options.NoDelay && !_wasNoDelay)
        {
            OnNoDelay(now);
        }

        _wasNoDelay = Options.NoDelay;
        _congestion = CongestionController.Create(Options.CongestionControl, _congestion);
        _timers.Cancel(TcpTimer.Pacing);
        _pacedUntil = TcpInstant.Min(_pacedUntil, now + s_paceQuantum);
        RefreshPathMtu(now);
        ArmKeepAlive(now);
        if (Options.ReceiveBufferSize > (_receiveBufferSeen > 0 ? _receiveBufferSeen : _tunedReceiveBuffer))
        {
            OnReceive(now);
        }

        _receiveBufferSeen = Options.ReceiveBufferSize;
        MarkReady();
        UpdateDeadline();
    }

    /// <summary>TCP_NODELAY was set, perhaps once more: as on Linux what waits goes out, cork or not.</summary>
    public void OnNoDelay(TcpInstant now)
    {
        if (IsClosed || Unsent == 0)
        {
            return;
        }

        _forceSend = true;
        MarkReady();
        UpdateDeadline();
    }

    /// <summary>CLOSE: no more sends; queued data goes out, then FIN (shutdown for writing).</summary>
    public void CloseSend(TcpInstant now)
    {
        if (_isFinQueued)
        {
            return;
        }

        _isFinQueued = true;
        if (IsClosed)
        {
            return;
        }

        if (State == TcpState.SynSent)
        {
            // RFC 9293 §3.10.4: SYN-SENT: delete the TCB. Queued sends are lost.
            Finish(SocketError.OperationAborted);
            return;
        }

        // In SYN-RECEIVED the FIN waits for ESTABLISHED (§3.10.4).
        EnterClosing();
        MarkReady();
    }

    /// <summary>Shutdown for reading: what is unread and what still arrives is discarded and acknowledged.</summary>
    public void CloseReceive(TcpInstant now)
    {
        if (!_discardsInput)
        {
            _discardsInput = true;
            ReceiveQueue.Discard();
            OnReceive(now);
            _core.Raise(this, CoreEvents.ReadClosed | CoreEvents.Readable);
        }
    }

    /// <summary>The application lets go of the connection: FIN after queued data; RST when received data is unread or linger is zero (RFC 9293 SHLD-3, RFC 2525 §2.17).</summary>
    public void Close(TcpInstant now)
    {
        if (_isDetached)
        {
            return;
        }

        _isDetached = true;
        if (IsClosed)
        {
            ReceiveQueue.Discard();
            return;
        }

        if (Options.Linger == TimeSpan.Zero || ReceiveQueue.Length > 0 || _reassembler is { Length: > 0 })
        {
            Abort(now);
            return;
        }

        CloseSend(now);
        if (State == TcpState.FinWait2)
        {
            _timers.Set(TcpTimer.FinWait2, now + FinWait2Timeout);
        }

        if (!IsClosed)
        {
            _tcp.Memory.AddOrphan(now, this);
        }

        UpdateDeadline();
    }

    /// <summary>ABORT: RST in the synchronized states, queues dropped (RFC 9293 §3.10.5).</summary>
    public void Abort(TcpInstant now)
    {
        _isDetached = true;
        if (IsClosed)
        {
            ReceiveQueue.Discard();
            return;
        }

        if (State is TcpState.SynReceived or TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.CloseWait or TcpState.Closing or TcpState.LastAck)
        {
            SendResetOfOurs(now);
        }

        Finish(SocketError.ConnectionAborted);
    }

    /// <summary>The stack gives the connection up by itself (time-outs): RST to the peer, an error for the application.</summary>
    private void GiveUp(TcpInstant now, SocketError error)
    {
        if (State is not (TcpState.SynSent or TcpState.Closed))
        {
            SendResetOfOurs(now);
        }

        Finish(error, now);
    }

    /// <summary>Gives the connection up because of a segment. The RST answers it: its SEQ is what the peer waits for, so that it is believed at once (RFC 5961 §3.2).</summary>
    private void GiveUp(TcpInstant now, SocketError error, scoped in Segment seg)
    {
        if (IsProtected)
        {
            GiveUp(now, error);
            return;
        }

        _core.Counters.TcpOutRsts++;
        _core.Counters.TcpEstabResets++;
        _tcp.SendControl(Tuple, seg.Ack, default, TcpFlags.Rst, 0, null, Options.TimeToLive, Options.TypeOfService);
        Finish(error);
    }

    /// <summary>There is something to send, and nothing of it was acknowledged for <see cref="TcpStackOptions.StalledTimeout"/>.</summary>
    internal bool IsStalled(TcpInstant now) =>
        WasEstablished && SendQueue.Length > 0 && (FlightSize > 0 || _timers.IsSet(TcpTimer.Persist)) && now - _firstUnackedAt >= _core.Options.Tcp.StalledTimeout;

    /// <summary>The stack needs the place or the memory for others.</summary>
    internal void GiveWay(TcpInstant now) => GiveUp(now, SocketError.NoBufferSpaceAvailable);

    private void SendResetOfOurs(TcpInstant now)
    {
        // SEQ = SND.NXT; where the peer took its window back, the window's edge: behind it the RST would be unacceptable.
        Seq<Local> seq = Seq<Local>.Min(_snd.Nxt, _snd.Una + Math.Max(_snd.Wnd, 1));
        _core.Counters.TcpOutRsts++;
        if (WasEstablished)
        {
            _core.Counters.TcpEstabResets++;
        }

        if (IsProtected)
        {
            // [TD-81]: under MAC, or the peer would not believe it.
            if (_core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is { } slot)
            {
                BuildBare(now, seq, TcpFlags.Rst | TcpFlags.Ack, slot);
                _core.Send(slot);
            }

            return;
        }

        _tcp.SendControl(Tuple, seq, _rcv.Nxt, TcpFlags.Rst | TcpFlags.Ack, 0, timestamps: _ts.IsOn ? (TsVal(now), _ts.Recent) : null, Options.TimeToLive, Options.TypeOfService);
    }

    private TimeSpan FinWait2Timeout => Options.FinWait2Timeout ?? _core.Options.Tcp.FinWait2Timeout;

    private void EnterClosing()
    {
        if (State == TcpState.Established)
        {
            Enter(TcpState.FinWait1);
        }
        else if (State == TcpState.CloseWait)
        {
            Enter(TcpState.LastAck);
        }
    }

    private Seq<Local> SequenceOf(long offset) => HeadSeq + unchecked((uint)(offset - SendQueue.Head));
}
