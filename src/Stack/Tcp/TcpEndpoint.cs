using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Read first: RFC 9293 §3.3 (variables), §3.10 (event processing); RFC 5681, 6582, 6298 (sending); RFC 7323 (options); RFC 5961 (blind attacks).

/// <summary>
/// One connection in the core: the TCB and what may happen to it. User calls are in UserCalls, RFC 9293 §3.10.7 in SegmentArrives, what goes out in
/// Output, §3.10.8 in Timeouts.
/// </summary>
internal sealed partial class TcpEndpoint : CoreObject
{
    private readonly TcpLayer _tcp;
    private readonly StackCore _core;

    private SendVariables _snd;
    private ReceiveVariables _rcv;
    private TimestampVariables _ts;
    private SynAgreement _agreed;
    private RttEstimator _rtt;
    private TimerTable _timers = new();
    private CongestionController _congestion;
    private Reassembler? _reassembler;

    /// <summary>Stream offset of the peer's FIN; -1 while not seen. Fixed by the first acceptable one.</summary>
    private long _finOffset = -1;

    /// <summary>The listener that gets the connection when tcpcrypt's handshake is over.</summary>
    private TcpListener? _listener;

    private bool _isFinQueued;
    private bool _isFinSent;
    private bool _isDetached;
    private bool _discardsInput;

    private TcpEndpoint(TcpLayer tcp, long id, FourTuple tuple, TcpEndpointOptions options)
    {
        _tcp = tcp;
        _core = tcp.Core;
        Id = id;
        Tuple = tuple;
        Options = options;
        SendQueue = new ByteQueue(_core.Blocks);
        ReceiveQueue = new ByteQueue(_core.Blocks);
        TcpStackOptions stack = _core.Options.Tcp;
        _tunedReceiveBuffer = options.FirstReceiveBuffer(stack);
        _tunedSendBuffer = options.FirstSendBuffer(stack);
        _rtt = new RttEstimator(stack.InitialRto, stack.MinRto, stack.MaxRto);
        _congestion = CongestionController.Create(options.CongestionControl, null);
        _rcv.UrgentOffset = -1;
        _rcv.Shift = stack.WindowScaling ? options.WindowShift(stack) : (byte)0;
        _ts.Offset = tcp.Isn.TimestampOffset(tuple);
        _ipIdentification = tcp.Isn.Identification(tuple);
        _receiveBufferSeen = options.ReceiveBufferSize;
        IsLoopback = _core.Ip.IsLocalAddress(tuple.Remote.Address);
    }

    public long Id { get; }

    public FourTuple Tuple { get; }

    public TcpState State { get; private set; } = TcpState.Closed;

    public TcpEndpointOptions Options { get; }

    /// <summary>What the application has written and the peer has not yet acknowledged. Its consumer is the core; the application appends at most <see cref="SendSpace"/> octets and calls <see cref="OnSend(TcpInstant)"/>.</summary>
    public ByteQueue SendQueue { get; }

    /// <summary>In-order data for the application, which reads, releases and calls <see cref="OnReceive"/>.</summary>
    public ByteQueue ReceiveQueue { get; }

    /// <summary>Octets that may still be appended to <see cref="SendQueue"/>; never negative. Safe from the application's thread.</summary>
    public int SendSpace
    {
        get
        {
            // Where the stack's memory is used up a connection keeps room for one small block, so that it is slow and not stuck.
            int size = _core.Blocks.IsExhausted ? Math.Min(SendBufferSize, BlockPool.SmallSize) : SendBufferSize;
            return (int)Math.Max(0, Math.Min(size - SendQueue.Length, _sendLimit - SendQueue.Tail));
        }
    }

    /// <summary>Why the connection ended; Success while all is well and after an orderly close.</summary>
    public SocketError Error { get; private set; }

    /// <summary>True when the peer's FIN was reached or the application shut down reading.</summary>
    public bool IsReadClosed => IsFinReceived || _discardsInput;

    /// <summary>True when the peer's FIN has been received in order.</summary>
    public bool IsFinReceived { get; private set; }

    /// <summary>True when the application has closed the sending side.</summary>
    public bool IsWriteClosed => _isFinQueued;

    /// <summary>True when the connection has no TCB any more (CLOSED, or handed to the TIME-WAIT table).</summary>
    public bool IsClosed { get; private set; }

    /// <summary>The handshake, TCP's or tcpcrypt's, is under way.</summary>
    public bool IsHandshaking => !IsClosed && (State is TcpState.SynSent or TcpState.SynReceived || IsCryptSetup);

    /// <summary>True once the connection has been ESTABLISHED.</summary>
    public bool WasEstablished { get; private set; }

    /// <summary>When it became ESTABLISHED.</summary>
    public TcpInstant EstablishedAt { get; private set; }

    /// <summary>SRTT; zero before the first measurement.</summary>
    public TimeSpan SmoothedRtt => _rtt.Srtt;

    /// <summary>The remote address is the stack's own: what is sent comes back.</summary>
    public bool IsLoopback { get; }

    /// <summary>The connection came from a listener or a forward (RFC 9293 MUST-11).</summary>
    public bool IsPassive { get; private set; }

    /// <summary>Octets queued that were never sent. Safe from any thread, then approximate.</summary>
    public long Unsent => Math.Max(0, SendQueue.Tail - Math.Max(OffsetOf(_snd.Nxt), SendQueue.Head));

    /// <summary>Octets of urgent data not yet read: how far the urgent mark is ahead of the application (RFC 9293 MUST-33); null without urgent data.</summary>
    public int? UrgentOctetsAhead => _rcv.UrgentOffset > ReceiveQueue.Head ? (int)Math.Min(_rcv.UrgentOffset - ReceiveQueue.Head, int.MaxValue) : null;

    /// <summary>The pending soft error (ICMP, R1), which reading clears (RFC 9293 MUST-47).</summary>
    public SocketError TakeSoftError()
    {
        SocketError error = _softError;
        _softError = SocketError.Success;
        return error;
    }

    public override TcpInstant Deadline => _timers.Next;

    /// <summary>The ready list's link (<see cref="TcpLayer"/>).</summary>
    internal TcpEndpoint? NextReady;

    internal bool IsReady;

    /// <summary>Its place in a list of <see cref="MemoryPolicy"/>; null for those that were never in one, which are most.</summary>
    internal LinkedListNode<TcpEndpoint>? MemoryNode;

    /// <summary>Octets of blocks that hold text out of order.</summary>
    internal long HeldMemory => _reassembler?.Memory ?? 0;

    private SocketError _softError;
    private long _bytesSent;
    private long _bytesReceived;
    private long _bytesRetransmitted;
    private long _segmentsSent;
    private long _segmentsReceived;
    private uint _retransmissions;
    private uint _timeouts;

    /// <summary>FlightSize (RFC 5681 §2): sent and not acknowledged, in octets of sequence space.</summary>
    private uint FlightSize => unchecked(_snd.Nxt.Value - _snd.Una.Value);

    /// <summary>Our SYN has been acknowledged. (SND.UNA comes to be ISS again after 4 GiB.)</summary>
    private bool _isSynAcked;

    /// <summary>The sequence number of the send queue's head: the stream begins behind the SYN and behind INIT1 or INIT2 ([TD-62]).</summary>
    private Seq<Local> HeadSeq => (_isSynAcked ? _snd.Una : _snd.Iss + 1) + _unackedInit;

    /// <summary>The stream offset of a sequence number; SendQueue.Head is what was acknowledged.</summary>
    private long OffsetOf(Seq<Local> seq)
    {
        long offset = SendQueue.Head + (seq - HeadSeq);

        // When our FIN is acknowledged SND.UNA is one behind the data's end.
        return _isFinAcked ? offset + 1 : offset;
    }

    /// <summary>An active OPEN: SYN-SENT with a SYN to send.</summary>
    public static TcpEndpoint Open(TcpLayer tcp, TcpInstant now, long id, FourTuple tuple, TcpEndpointOptions options)
    {
        TcpEndpoint endpoint = new(tcp, id, tuple, options);
        endpoint._snd.Iss = tcp.Isn.Next(now, tuple);
        endpoint._snd.Sml = endpoint._snd.Iss;
        endpoint._snd.Una = endpoint._snd.Iss;
        endpoint._snd.Nxt = endpoint._snd.Iss;
        endpoint._snd.Up = endpoint._snd.Iss;
        endpoint._agreed = new SynAgreement { PeerMss = SynAgreement.DefaultMss };
        endpoint._openedAt = now;
        endpoint._firstUnackedAt = now;
        endpoint._lastReceivedAt = now;
        endpoint.State = TcpState.SynSent;
        endpoint._synPending = true;
        endpoint.OpenCrypt(now);
        endpoint.RefreshPathMtu(now);
        endpoint.MarkReady();
        return endpoint;
    }

    /// <summary>A passive OPEN whose handshake is complete but for the processing of its last ACK: SYN-RECEIVED, rebuilt from the SYN cache's entry.</summary>
    public static TcpEndpoint FromHalfOpen(TcpLayer tcp, TcpInstant now, long id, HalfOpen half)
    {
        TcpEndpoint endpoint = new(tcp, id, half.Tuple, half.Options.Copy());
        endpoint.IsPassive = true;
        endpoint._snd.Iss = half.Iss;
        endpoint._snd.Sml = half.Iss;
        endpoint._snd.Una = half.Iss;
        endpoint._snd.Nxt = half.Iss + 1;
        endpoint._snd.Up = half.Iss;
        endpoint._rcv.Irs = half.Irs;
        endpoint._rcv.Nxt = half.Irs + 1;
        endpoint._rcv.Adv = half.Irs + 1 + half.Window;
        endpoint._rcv.Shift = half.Shift;
        endpoint._ts.Recent = half.TsRecent;
        endpoint._ts.RecentAt = now;
        endpoint._ts.LastAckSent = half.Irs + 1;
        endpoint._openedAt = half.ArrivedAt;
        endpoint._firstUnackedAt = now;
        endpoint._lastReceivedAt = now;
        endpoint.Agree(half.Agreed);
        endpoint.State = TcpState.SynReceived;
        endpoint._synTransmissions = half.Transmissions;
        endpoint._crypt = half.Crypt;
        if (endpoint.IsCryptSetup)
        {
            // Part of INIT1, or noise, does not end SYN-RECEIVED, and no other timer runs.
            endpoint._timers.Set(TcpTimer.Crypt, now + s_handshakeTimeout);
        }

        if (half.Transmissions == 1)
        {
            endpoint._timedAt = half.SentAt;
            endpoint._isTiming = true;
        }

        endpoint.RefreshPathMtu(now);
        return endpoint;
    }

    /// <summary>A passive OPEN by a forwarder: SYN-RECEIVED with a SYN,ACK to send.</summary>
    public static TcpEndpoint FromForward(TcpLayer tcp, TcpInstant now, long id, HalfOpen half)
    {
        TcpEndpoint endpoint = FromHalfOpen(tcp, now, id, half);
        endpoint._snd.Nxt = half.Iss;
        endpoint._synTransmissions = 0;
        endpoint._isTiming = false;
        endpoint._synPending = true;
        endpoint.ResumeOffered(now);
        endpoint.MarkReady();
        return endpoint;
    }

    /// <summary>Puts the connection on the list of those that have something to send.</summary>
    internal void MarkReady() => _tcp.MarkReady(this);

    /// <summary>After every entry: the queue learns the earliest deadline.</summary>
    private void UpdateDeadline()
    {
        if (IsClosed)
        {
            _core.Deadlines.Remove(this);
        }
        else
        {
            _core.Deadlines.Update(this);
        }
    }

    private void Agree(in SynAgreement agreed)
    {
        _agreed = agreed;
        _ts.IsOn = agreed.Timestamps;
        _snd.Shift = agreed.WindowScaling ? agreed.PeerShift : (byte)0;
        if (!agreed.WindowScaling)
        {
            _rcv.Shift = 0;
        }
    }

    private void Enter(TcpState state) => State = state;

    private void Establish(TcpInstant now)
    {
        WasEstablished = true;
        EstablishedAt = now;
        StartPathSearch();
        _core.Counters.TcpCurrEstab++;
        Enter(TcpState.Established);
        _lastReceivedAt = now;
        _congestion.Smss = EffectiveMss;
        if (_synTransmissions > 1)
        {
            _rtt.OnSynTimeout(TimeSpan.FromSeconds(3));
        }

        // RFC 5681 §3.1: one segment when the SYN or SYN,ACK was lost (RFC 6928 §2 asks it only after more than one repetition).
        _congestion.Cwnd = _synTransmissions > 2 ? EffectiveMss : InitialWindow;
        _usageEnd = _snd.Una;
        _cwndUsedAt = now;
        _quickAcks = 16;
        ArmKeepAlive(now);
        if (!IsCryptSetup)
        {
            Announce();
        }
        else
        {
            _timers.Set(TcpTimer.Crypt, now + s_handshakeTimeout);
        }
    }

    /// <summary>The application may have the connection: TCP's handshake is over, and tcpcrypt's ([TD-15]).</summary>
    private void Announce()
    {
        if (_rekeying is null)
        {
            _timers.Cancel(TcpTimer.Crypt);
        }

        if (_crypt is { IsSetup: false, IsEncrypting: false } crypt)
        {
            _core.Counters.CountCryptPlain(crypt.Outcome);
        }

        // What went wrong on the way is no reason to take the connect for failed.
        _softError = SocketError.Success;
        _core.Raise(this, CoreEvents.Connected | CoreEvents.Writable);
        LeaveListener(succeeded: true);
    }

    /// <summary>The end of the TCB: leaves all tables and queues; what was received can still be read unless the connection was aborted.</summary>
    private void Finish(SocketError error, TcpInstant? now = null)
    {
        if (IsClosed)
        {
            return;
        }

        IsClosed = true;
        if (WasEstablished)
        {
            _core.Counters.TcpCurrEstab--;
        }
        else
        {
            _core.Counters.TcpAttemptFails++;
        }

        Error = error;
        _timers.CancelAll();
        _core.Deadlines.Remove(this);
        _sent.Clear();
        _reassembler?.Clear();
        SendQueue.Discard();
        if (_isDetached)
        {
            ReceiveQueue.Discard();
        }

        _tcp.Forget(this);
        _tcp.Memory.Forget(this);
        if (State != TcpState.TimeWait)
        {
            Enter(TcpState.Closed);
        }

        CloseCrypt(now ?? _lastReceivedAt);
        LeaveListener(succeeded: false);

        _core.Raise(this, CoreEvents.Closed | CoreEvents.Readable | CoreEvents.Writable);
    }

    /// <summary>TIME-WAIT: a compact record answers from now on.</summary>
    private void EnterTimeWait(TcpInstant now)
    {
        Enter(TcpState.TimeWait);
        _tcp.TimeWait.Add(now, this, new TimeWaitRecord
        {
            Tuple = Tuple,
            SndNxt = _snd.Nxt,
            RcvNxt = _rcv.Nxt,
            Window = WindowField(now),
            WindowShift = _rcv.Shift,
            HasTimestamps = _ts.IsOn,
            TsRecent = _ts.Recent,
            TsOffset = _ts.Offset,
            TypeOfService = Options.TypeOfService,
            TimeToLive = Options.TimeToLive,
            Watcher = _isDetached ? null : this,
            Crypt = TakeTimeWaitCrypt(),
        });
        Finish(SocketError.Success);
    }

    /// <summary>Told by the TIME-WAIT table when 2 MSL have passed.</summary>
    internal void OnTimeWaitOver() => Enter(TcpState.Closed);
}
