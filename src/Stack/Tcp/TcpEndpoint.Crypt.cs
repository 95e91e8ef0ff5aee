using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Where TCP meets tcpcrypt: what SYNs say and what they lead to, and the ways out of the handshake. What is between is in CryptSetup, what is encrypted in Protection.
internal sealed partial class TcpEndpoint
{
    private CryptBlock? _crypt;

    /// <summary>Octets of our INIT1 or INIT2 that are not acknowledged; they come before the stream in sequence space.</summary>
    private int _unackedInit;
    private bool _isInitSent;

    /// <summary>What tcpcrypt has done; null where the stack has none.</summary>
    public TcpcryptStatus? CryptStatus => _crypt?.GetStatus(RekeyCount);

    /// <summary>Everything on the connection is under MAC.</summary>
    public bool IsEncrypted => IsProtected;

    /// <summary>The connection failed because it could not be encrypted, or because its handshake broke.</summary>
    public bool IsCryptFailure { get; private set; }

    /// <summary>The connection was encrypted here, broke, and nothing ever came that showed the same keys on the other side ([TD-72]).</summary>
    public bool IsNeverConfirmed { get; private set; }

    /// <summary>How long tcpcrypt's handshake took after TCP's own; zero when a session was resumed.</summary>
    public TimeSpan CryptDuration { get; private set; }

    /// <summary>tcpcrypt's handshake is not over.</summary>
    public bool IsCryptSetup => _crypt is { IsSetup: true };

    /// <summary>Nothing of the stream may be sent yet: the handshake is under way ([TD-15]), or S of dialect Reference waits for C (reference spec 3.1).</summary>
    private bool IsStreamHeld => _crypt is { } crypt && (crypt.IsSetup || (crypt.IsEncrypting && crypt.Role == TcpcryptRole.S && _unackedInit > 0 && !(crypt.IsDraft && crypt.Settings.EarlyData)));

    /// <summary>No later connection resumes this one's session ([TD-105]).</summary>
    public void FlushCryptSession() => _crypt?.FlushSession();

    /// <summary>From ESTABLISHED to ENCRYPTING or DISABLED; then the peer is taken to be gone, or the path to be broken for tcpcrypt.</summary>
    private static readonly TimeSpan s_handshakeTimeout = TimeSpan.FromSeconds(10);

    /// <summary>The listener gets the connection when the handshake is over. Until then it holds no place in the accept queue.</summary>
    internal void HandOverTo(TcpListener listener)
    {
        _listener = listener;
        listener.OnHandshake(this);
        _tcp.SynCache.InHandshake++;
    }

    /// <summary>The connection is the listener's, or nobody's.</summary>
    private void LeaveListener(bool succeeded)
    {
        if (_listener is { } listener)
        {
            _listener = null;
            _tcp.SynCache.InHandshake--;
            listener.OnHandshakeOver(this, succeeded);
        }
    }

    private void OpenCrypt(TcpInstant now)
    {
        if (_core.Crypt is not { } layer)
        {
            Options.Session?.Dispose();
            return;
        }

        CryptSettings settings = Options.Crypt ?? layer.Settings;
        TcpcryptSession? session = Options.Session;
        Options.Session = null;
        if (session is null && settings is { AllowResumption: true, Policy: not TcpcryptPolicy.Disabled } && layer is { Sessions: { } sessions, AreSessionsLocal: true })
        {
            session = sessions.TakeForPeer(Tuple.Remote.Address.ToIPAddress(), settings.ResumableRole);
        }

        _crypt = CryptBlock.ForOpener(now, layer, settings, Tuple.Remote, session);
    }

    private void CloseCrypt(TcpInstant now)
    {
        if (_crypt is { } crypt)
        {
            if (crypt.IsSetup)
            {
                crypt.Outcome = Error == SocketError.TimedOut ? TcpcryptOutcome.HandshakeTimedOut : TcpcryptOutcome.HandshakeFailed;
                if (WasEstablished && Error is SocketError.TimedOut or SocketError.ConnectionReset)
                {
                    // TCP's own handshake was over: what broke is tcpcrypt's.
                    IsCryptFailure = true;
                    crypt.Layer.CountFailed(Tuple, crypt.Outcome);
                    if (crypt.IsOpener)
                    {
                        crypt.Layer.PlainDestinations.Add(now, Tuple.Remote);
                    }
                }
            }
            else if (crypt is { IsEncrypting: true, WasAuthenticated: false } && Error is SocketError.TimedOut or SocketError.ConnectionReset)
            {
                // [TD-72]: nothing valid was ever heard, so the keys differ, or something on the path edits segments.
                crypt.Outcome = TcpcryptOutcome.KeysNotConfirmed;
                IsNeverConfirmed = true;
                _core.Counters.CryptFailures++;
                if (crypt.IsOpener && Error == SocketError.TimedOut)
                {
                    // The next connection is to work.
                    crypt.Layer.PlainDestinations.Add(now, Tuple.Remote);
                }
            }

            crypt.Close();
        }
    }

    // ---- What SYNs say ----

    private void WriteSynCrypt(ref TcpOptionWriter options, bool isReply)
    {
        if (_crypt is not { } crypt)
        {
            return;
        }

        if (isReply)
        {
            WriteSynAckCrypt(ref options, crypt);
            return;
        }

        bool isUnanswered = crypt.IsSetup && _synTransmissions > 2 && !crypt.Settings.IsRequired;
        if (isUnanswered && crypt.Offered is null)
        {
            // [TD-52]: something on the path may drop SYNs with options that it does not know.
            crypt.Disable(TcpcryptOutcome.SynUnanswered);
        }

        // With NEXTK1 the peer may be encrypting for long, and then it cannot go plain any more: its answer decides.
        crypt.IsSynPlain = isUnanswered;
        if (crypt.IsSetup && !isUnanswered)
        {
            Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
            SuboptionWriter writer = new(area);
            crypt.WriteSyn(ref writer);
            options.Option(crypt.Layer.Kinds.Crypt, writer.Written);
            options.Pad();
        }
    }

    /// <summary>The CRYPT option of a SYN,ACK; none where there is nothing to say.</summary>
    private static void WriteSynAckCrypt(ref TcpOptionWriter options, CryptBlock crypt)
    {
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        SuboptionWriter writer = new(area);
        crypt.WriteSynAck(ref writer);
        if (writer.Length > 0)
        {
            options.Option(crypt.Layer.Kinds.Crypt, writer.Written);
            options.Pad();
        }
    }

    /// <summary>The CRYPT option of the segments in between: PKCONF of an opener that is S, and what is said on the way to plain TCP.</summary>
    private static void WriteSetupCrypt(ref TcpOptionWriter options, CryptBlock crypt)
    {
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        SuboptionWriter writer = new(area);
        if (crypt.IsPkConfPending)
        {
            crypt.IsPkConfPending = false;
            crypt.WritePkConf(ref writer);
        }
        else if (crypt is { IsFarewellDue: true, Farewell: { } farewell })
        {
            crypt.Farewell = null;
            foreach (byte octet in farewell)
            {
                writer.Opcode(octet);
            }
        }
        else
        {
            return;
        }

        options.Option(crypt.Layer.Kinds.Crypt, writer.Written);
        options.Pad();
    }

    /// <summary>A SYN or SYN,ACK in SYN-SENT, before TCP acts on it.</summary>
    private SegmentVerdict NegotiateSyn(TcpInstant now, scoped in Segment seg, in SynOptions synOptions)
    {
        CryptBlock crypt = _crypt!;
        CryptOptions options = CryptOptions.Parse(seg.Options, crypt.Layer.Kinds, isOpeningSyn: !seg.IsAck);
        int peerMss = SynAgreement.From(synOptions, _core.Options.Tcp).PeerMss;
        if (!seg.IsAck)
        {
            if (crypt.OnSimultaneousSyn(options, peerMss, AdvertisedMss) == CryptBlock.SynAction.Drop)
            {
                return DropReason.CryptSetup;
            }
        }
        else
        {
            crypt.OnSynAck(options, peerMss, AdvertisedMss);
        }

        if (crypt.IsRefused || crypt.IsAborting)
        {
            // No control block of the peer's is to be left over.
            _core.Counters.TcpOutRsts++;
            (Seq<Local> seq, TcpFlags flags) = seg.IsAck ? (seg.Ack, TcpFlags.Rst) : (_snd.Iss, TcpFlags.Rst | TcpFlags.Ack);
            _tcp.SendControl(Tuple, seq, seg.Seq + 1, flags, 0, null, Options.TimeToLive, Options.TypeOfService);
            FailCrypt(crypt.Outcome);
            return DropReason.CryptRefused;
        }

        return SegmentVerdict.Processed;
    }

    /// <summary>ESTABLISHED by a SYN,ACK: what comes next.</summary>
    private void OnSynAckWithCrypt(TcpInstant now)
    {
        CryptBlock crypt = _crypt!;
        switch (crypt.State)
        {
            case CryptState.CMode:
                StartClient(crypt);
                break;
            case CryptState.SMode:
                // [TD-53]: PKCONF is repeated by our own timer.
                ArmPkConf(now);
                break;
            default:
                break;
        }
    }

    /// <summary>NEXTK1 was answered with NEXTK2, or is by us: ENCRYPTING with the keys of the session ([TD-22], [TD-27], [TD-28]).</summary>
    private void ResumeOffered(TcpInstant now)
    {
        if (_crypt is not { State: CryptState.NextKSent, Offered: { } session } crypt)
        {
            return;
        }

        crypt.Offered = null;
        crypt.IsResumed = true;
        EnterEncrypting(now, crypt, session, new SegmentProtection(session, _snd.Iss.Value, _rcv.Irs.Value));
    }

    /// <summary>S as opener has sent PKCONF and hears nothing ([TD-53]). True when the timer was this.</summary>
    private bool OnPkConfTimeout(TcpInstant now)
    {
        if (_crypt is not { State: CryptState.SMode, IsOpener: true, IsWorking: false } crypt)
        {
            return false;
        }

        if (IsGivenUp(now, ++_retries))
        {
            GiveUp(now, SocketError.TimedOut);
            return true;
        }

        crypt.IsPkConfPending = true;
        _rtt.OnTimeout();
        ArmPkConf(now);
        return true;
    }

    /// <summary>A SYN,ACK that comes again so soon was doubled by the path.</summary>
    private static readonly TimeSpan s_doubledWithin = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// Not early: the daemon sends INIT1 every 100 ms, and goes plain when it hears PKCONF in between (reference spec 3.5). Where PKCONF was lost, its kernel says so by a SYN,ACK after one second, which
    /// comes before this.
    /// </summary>
    private void ArmPkConf(TcpInstant now)
    {
        _crypt!.PkConfAt = now;
        ArmRetransmit(now);
        TimeSpan least = 1.5 * _core.Options.Tcp.InitialRto;
        if (Options.UserTimeout <= TimeSpan.Zero && _rtt.Rto < least)
        {
            _timers.Set(TcpTimer.Retransmit, now + least);
        }
    }

    /// <summary>To DISABLED in a segment that TCP now sees as any other.</summary>
    private SegmentVerdict GoOnPlain(TcpInstant now, scoped in Segment seg, CryptBlock crypt, bool isConsumed = false)
    {
        if (crypt.Settings.IsRequired)
        {
            AbortCrypt(now, crypt, crypt.Outcome);
            return DropReason.CryptRefused;
        }

        if (FlightSize == 0)
        {
            // The repetition of PKCONF.
            _timers.Cancel(TcpTimer.Retransmit);
        }

        bool wasAnnounced = WasEstablished;
        SegmentVerdict verdict = SegmentVerdict.Processed;
        if (isConsumed)
        {
            ProcessAck(now, seg);
            _ackNow = true;
        }
        else
        {
            verdict = OnSegmentSynchronized(now, seg);
            if (State == TcpState.SynReceived && !IsClosed && !IsTransmitTimerSet)
            {
                // The segment that ended tcpcrypt's handshake is none that ends TCP's (it lacks the timestamp, say): the SYN,ACK is repeated as without tcpcrypt, and the connection given up in time.
                ArmRetransmit(now);
            }
        }

        if (wasAnnounced && !IsClosed)
        {
            Announce();
        }

        if (!IsClosed)
        {
            MarkReady();
        }

        return verdict;
    }

    private void EnterEncrypting(TcpInstant now, CryptBlock crypt, TcpcryptSession session, SegmentProtection protection)
    {
        crypt.Layer.OnEncrypted?.Invoke(this, session);
        crypt.Encrypt(session, protection);
        _core.Counters.CountCryptEncrypted(crypt.Agreement!.Dialect, crypt.Agreement.KeyExchange, crypt.IsResumed);
        CryptDuration = WasEstablished ? now - EstablishedAt : TimeSpan.Zero;
        _congestion.Smss = EffectiveMss;
        StartProtection(now, crypt);
        if (WasEstablished)
        {
            Announce();
        }
    }

    /// <summary>The window stays as it was promised: INIT takes sequence space and no room in the queue.</summary>
    private void KeepWindow() => _rcv.Adv = Seq<Remote>.Max(_rcv.Adv, _rcv.Nxt);

    /// <summary>The handshake broke: RST, and the destination is tried in plain for a while ([TD-50], [TD-130]).</summary>
    private void AbortCrypt(TcpInstant now, CryptBlock crypt, TcpcryptOutcome outcome)
    {
        if (crypt.IsOpener && outcome is TcpcryptOutcome.HandshakeLost or TcpcryptOutcome.HandshakeFailed or TcpcryptOutcome.HandshakeTimedOut)
        {
            crypt.Layer.PlainDestinations.Add(now, Tuple.Remote);
        }

        SendResetOfOurs(now);
        crypt.Disable(outcome);
        FailCrypt(outcome);
    }

    private void FailCrypt(TcpcryptOutcome outcome)
    {
        _core.Crypt!.CountFailed(Tuple, outcome);
        IsCryptFailure = true;
        Finish(SocketError.ConnectionAborted);
    }
}
