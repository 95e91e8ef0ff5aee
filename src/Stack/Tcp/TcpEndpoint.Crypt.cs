using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Where TCP meets tcpcrypt's handshake: the setup states (specs: [TD-14] to [TD-64]). What is encrypted already is in Protection.
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

    private bool IsCryptSetup => _crypt is { IsSetup: true };

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

    private void CloseCrypt()
    {
        if (_crypt is { } crypt)
        {
            if (crypt.IsSetup)
            {
                crypt.Outcome = Error == SocketError.TimedOut ? TcpcryptOutcome.HandshakeTimedOut : TcpcryptOutcome.HandshakeFailed;
                if (crypt.IsOpener && WasEstablished && Error is SocketError.TimedOut or SocketError.ConnectionReset)
                {
                    crypt.Layer.PlainDestinations.Add(_lastReceivedAt, Tuple.Remote);
                }
            }
            else if (crypt is { IsEncrypting: true, IsOpener: true, WasAuthenticated: false } && Error == SocketError.TimedOut)
            {
                // [TD-72]: nothing valid was ever heard, so something on the path edits segments. The next connection is to work.
                crypt.Layer.PlainDestinations.Add(_lastReceivedAt, Tuple.Remote);
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

        if (crypt.IsSetup && _synTransmissions > 2 && !crypt.Settings.IsRequired)
        {
            // [TD-52]: something on the path may drop SYNs with options that it does not know.
            crypt.Disable(TcpcryptOutcome.SynUnanswered);
        }

        if (crypt.IsSetup)
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
                ArmRetransmit(now);
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
        _core.Counters.CryptResumptions++;
        EnterEncrypting(now, crypt, session, new SegmentProtection(session, _snd.Iss.Value, _rcv.Irs.Value));
    }

    // ---- The setup states between the SYNs and ENCRYPTING or DISABLED ----

    private SegmentVerdict OnSegmentWithCrypt(TcpInstant now, scoped in Segment seg, CryptBlock crypt)
    {
        CryptOptions options = CryptOptions.Parse(seg.Options, crypt.Layer.Kinds, isOpeningSyn: seg.IsSyn && !seg.IsAck);
        return crypt.IsEncrypting ? OnSegmentProtected(now, seg, options, crypt) : OnSegmentSetup(now, seg, options, crypt);
    }

    private SegmentVerdict OnSegmentSetup(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (_ts.IsOn && seg.HasTimestamps && !seg.IsRst && Acceptability.IsTimestampOlder(seg.TsVal, _ts.Recent))
        {
            return DropReason.TcpPaws;
        }

        if (seg.IsSyn && !(seg.IsAck && State == TcpState.SynReceived && seg.Seq == _rcv.Irs))
        {
            // Its SYN or SYN,ACK again: what we said last was lost.
            RepeatSetup(now, crypt);
            return DropReason.CryptInitRepeated;
        }

        bool isInit = options.Has(crypt.State == CryptState.CMode ? Suboptions.Init2 : Suboptions.Init1);
        if (!seg.IsSyn && !isInit && !Acceptability.IsAcceptable(seg.Seq, seg.Len, _rcv.Nxt, _rcv.Wnd))
        {
            return DropReason.TcpOutsideWindow;
        }

        if (seg.IsRst)
        {
            return CheckReset(now, seg);
        }

        if (!seg.IsAck || seg.Ack < _snd.Una || seg.Ack > _snd.Nxt || (State == TcpState.SynReceived && seg.Ack == _snd.Una))
        {
            return DropReason.TcpAckUnacceptable;
        }

        return crypt.State switch
        {
            CryptState.CMode => OnSegmentCMode(now, seg, options, crypt),
            CryptState.SMode => OnSegmentSMode(now, seg, options, crypt),
            _ => OnSegmentHelloSent(now, seg, options, crypt),
        };
    }

    /// <summary>A listener that plays C waits for PKCONF ([TD-23]).</summary>
    private SegmentVerdict OnSegmentHelloSent(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (options.HasMac)
        {
            return DropReason.CryptSetup;
        }

        if (options.Has(Suboptions.AnyPkConf) && !options.Has(Suboptions.Decline | Suboptions.UnknownMandatory))
        {
            crypt.OnPkConf(options, _agreed.PeerMss, AdvertisedMss);
        }
        else if (options.Has(Suboptions.UnknownMandatory))
        {
            crypt.Decline(TcpcryptOutcome.NoCommonAlgorithm, options.UnknownMandatoryOpcode);
        }
        else
        {
            crypt.Disable(options.Has(Suboptions.Decline) ? TcpcryptOutcome.PeerDeclined : TcpcryptOutcome.PeerDidNotOffer);
        }

        if (crypt.State != CryptState.CMode)
        {
            return GoOnPlain(now, seg, crypt);
        }

        ProcessAck(now, seg);
        StartClient(crypt);
        return SegmentVerdict.Processed;
    }

    private SegmentVerdict OnSegmentSMode(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (crypt.IsWorking)
        {
            // INIT1 is here, and what comes behind it is under MAC.
            return DropReason.CryptInitRepeated;
        }

        if (options.Has(Suboptions.UnknownMandatory))
        {
            // [TD-43]; INIT1 beside it is consumed as where there is no common algorithm ([TD-48]).
            int consumed = 0;
            if (options.Has(Suboptions.Init1) && GatherInit(seg, crypt, TcpcryptDialect.None, out consumed) != true)
            {
                AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
                return DropReason.CryptRefused;
            }

            _rcv.Nxt += consumed;
            KeepWindow();
            crypt.Decline(TcpcryptOutcome.NoCommonAlgorithm, options.UnknownMandatoryOpcode);
            return GoOnPlain(now, seg, crypt, isConsumed: consumed > 0);
        }

        if (seg.IsSyn || options.Has(Suboptions.Decline | Suboptions.AnyPkConf))
        {
            // In simultaneous open two Defaults are both S ([TD-44], [TD-61]).
            crypt.Disable(options.Has(Suboptions.Decline) ? TcpcryptOutcome.PeerDeclined : TcpcryptOutcome.RoleConflict);
            return GoOnPlain(now, seg, crypt);
        }

        if (!options.Has(Suboptions.Init1))
        {
            if (options.HasMac)
            {
                return DropReason.CryptSetup;
            }

            if (seg.Payload.Length > 0 && seg.Seq == _rcv.Irs + 1 && InitMessage.IsWellFormed1(seg.Payload, crypt.PkConf) && (crypt.Settings.AbortOnLostHandshake || crypt.Settings.IsRequired))
            {
                // [TD-49]: INIT1 whose option was lost on the way. It is no application's data.
                AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeLost);
                return DropReason.CryptRefused;
            }

            crypt.Disable(TcpcryptOutcome.PeerDidNotOffer);
            return GoOnPlain(now, seg, crypt);
        }

        switch (GatherInit(seg, crypt, TcpcryptDialect.None, out int length))
        {
            case null:
                return SegmentVerdict.Processed;
            case false:
                AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
                return DropReason.CryptRefused;
        }

        HandshakeError error = ServerHandshake.TryAccept(CryptoProvider.Default, crypt.PkConf, crypt.Gathered, crypt.Settings.CipherPreference, out ServerHandshake? handshake);
        if (error == HandshakeError.NoCommonAlgorithm)
        {
            // [TD-48]: INIT1's octets are acknowledged and delivered to nobody.
            _rcv.Nxt += length;
            KeepWindow();
            crypt.Decline(TcpcryptOutcome.NoCommonAlgorithm, Opcode.Init1);
            return GoOnPlain(now, seg, crypt, isConsumed: true);
        }

        if (handshake is null)
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
            return DropReason.CryptRefused;
        }

        ServerWork work = new(this, handshake, crypt.ApplicationBits, _snd.Iss.Value, _rcv.Irs.Value, length);
        if (!crypt.Layer.Workers.TryQueue(work))
        {
            // INIT1 comes again.
            return DropReason.CryptQueueFull;
        }

        crypt.IsWorking = true;
        _timers.Cancel(TcpTimer.Retransmit);
        ProcessAck(now, seg);
        return SegmentVerdict.Processed;
    }

    /// <summary>S went plain, and what comes first is INIT1 all the same: a bare ACK was quicker, late or forged. It is no application's data ([TD-49]).</summary>
    private bool IsStrayInit1(scoped in Segment seg) =>
        _crypt is { State: CryptState.Disabled, Role: TcpcryptRole.S } crypt && _rcv.Nxt == _rcv.Irs + 1 && seg.Seq == _rcv.Nxt && seg.Payload.Length > 0
        && (crypt.Settings.AbortOnLostHandshake || crypt.Settings.IsRequired)
        && (InitMessage.IsWellFormed1(seg.Payload, crypt.PkConf) || CryptOptions.Parse(seg.Options, crypt.Layer.Kinds, isOpeningSyn: false).Has(Suboptions.Init1));

    /// <summary>S's public-key work is done: INIT2, and ENCRYPTING ([TD-32]).</summary>
    internal void OnServerReady(TcpInstant now, ServerWork work)
    {
        CryptBlock crypt = _crypt!;
        crypt.IsWorking = false;
        if (IsClosed || crypt.State != CryptState.SMode)
        {
            work.Dispose();
            return;
        }

        if (work.Error != HandshakeError.None)
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
            return;
        }

        _rcv.Nxt += work.Init1Length;
        KeepWindow();
        crypt.ReceivedPrefix = work.Init1Length;
        crypt.SentPrefix = work.Init2.Length;
        crypt.Init = work.Init2;
        crypt.LocalPublicKey = work.LocalPublicKey;
        crypt.RemotePublicKey = work.RemotePublicKey;
        _unackedInit = work.Init2.Length;
        _core.Counters.CryptHandshakes++;
        EnterEncrypting(now, crypt, work.TakeSession(), work.TakeProtection());
        MarkReady();
        UpdateDeadline();
    }

    private void StartClient(CryptBlock crypt)
    {
        crypt.IsWorking = true;
        crypt.Layer.Workers.Queue(new ClientStartWork(this, crypt));
    }

    /// <summary>INIT1 is made: it leaves as the first segment behind the SYN,ACK.</summary>
    internal void OnClientStarted(TcpInstant now, ClientHandshake? handshake)
    {
        CryptBlock crypt = _crypt!;
        crypt.IsWorking = false;
        if (IsClosed || crypt.State != CryptState.CMode || handshake is null)
        {
            handshake?.Dispose();
            if (!IsClosed && crypt.State == CryptState.CMode)
            {
                AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
            }

            return;
        }

        crypt.Client = handshake;
        crypt.Init = handshake.Init1;
        crypt.SentPrefix = handshake.Init1.Length;
        _unackedInit = handshake.Init1.Length;
        MarkReady();
        UpdateDeadline();
    }

    private SegmentVerdict OnSegmentCMode(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (options.Has(Suboptions.Init2))
        {
            return OnInit2(now, seg, options, crypt);
        }

        if (options.HasMac)
        {
            // [TD-40]: S's data has overtaken INIT2.
            crypt.Hold(seg.Octets);
            return SegmentVerdict.Processed;
        }

        if (crypt.IsWorking)
        {
            // INIT1 is being made, or INIT2 is here: nothing without MAC can be S's answer any more.
            return DropReason.CryptInitRepeated;
        }

        bool isInitCovered = _isInitSent && seg.Ack >= _snd.Iss + 1 + crypt.SentPrefix;
        if (!isInitCovered)
        {
            RepeatSetup(now, crypt);
            return DropReason.CryptSetup;
        }

        if (options.Has(Suboptions.Decline))
        {
            // [TD-47], [TD-48]: INIT1 was consumed by S.
            crypt.Disable(options.Has(Suboptions.Unknown) && options.UnknownOpcodes.Contains(Opcode.Init1) ? TcpcryptOutcome.NoCommonAlgorithm : TcpcryptOutcome.PeerDeclined);
            return GoOnPlain(now, seg, crypt);
        }

        // [TD-49]: S may have handed INIT1 to its application, or may be encrypting already.
        bool isInit2 = seg.Payload.Length > 0 && seg.Seq == _rcv.Irs + 1 && InitMessage.IsWellFormed2(crypt.Dialect, seg.Payload);
        if (isInit2 || crypt.Dialect == TcpcryptDialect.Reference || crypt.Settings.AbortOnLostHandshake || crypt.Settings.IsRequired)
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeLost);
            return DropReason.CryptRefused;
        }

        crypt.Disable(TcpcryptOutcome.HandshakeLost);
        return GoOnPlain(now, seg, crypt);
    }

    private SegmentVerdict OnInit2(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (crypt.IsWorking || crypt.Client is null)
        {
            return DropReason.CryptInitRepeated;
        }

        if (options.Has(Suboptions.UnknownMandatory))
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
            return DropReason.CryptRefused;
        }

        switch (GatherInit(seg, crypt, crypt.Dialect, out int length))
        {
            case null:
                return SegmentVerdict.Processed;
            case false:
                AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
                return DropReason.CryptRefused;
        }

        ClientFinishWork work = new(this, crypt.Client, crypt.Gathered.ToArray(), crypt.ApplicationBits, _snd.Iss.Value, _rcv.Irs.Value);
        crypt.IsWorking = true;
        crypt.ReceivedPrefix = length;
        crypt.Layer.Workers.Queue(work);
        ProcessAck(now, seg);
        return SegmentVerdict.Processed;
    }

    /// <summary>C's public-key work is done: ENCRYPTING, and S is told at once ([TD-33]).</summary>
    internal void OnClientReady(TcpInstant now, ClientFinishWork work)
    {
        CryptBlock crypt = _crypt!;
        crypt.IsWorking = false;
        if (IsClosed || crypt.State != CryptState.CMode)
        {
            work.Dispose();
            return;
        }

        if (work.Error != HandshakeError.None)
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeFailed);
            return;
        }

        _rcv.Nxt += crypt.ReceivedPrefix;
        KeepWindow();
        _unackedInit = 0;
        _snd.Una = Seq<Local>.Max(_snd.Una, _snd.Iss + 1 + crypt.SentPrefix);
        crypt.LocalPublicKey = work.Handshake.LocalPublicKey;
        crypt.RemotePublicKey = work.Handshake.RemotePublicKey;
        _core.Counters.CryptHandshakes++;
        EnterEncrypting(now, crypt, work.TakeSession(), work.TakeProtection());
        SendAckNow(now);
        if (crypt.Held is { } held)
        {
            foreach (byte[] segment in held)
            {
                OnHeldSegment(now, segment);
            }

            held.Clear();
        }

        if (!IsClosed)
        {
            MarkReady();
            UpdateDeadline();
        }
    }

    private void OnHeldSegment(TcpInstant now, byte[] octets)
    {
        if (!IsClosed && TcpHeader.TryParse(octets, out TcpHeader header) && OnSegment(now, Segment.From(header, octets, Ecn.NotEct, 0)) is { IsDrop: true } dropped)
        {
            _core.Counters.CountDrop(dropped.Reason);
        }
    }

    /// <summary>Adds the segment's part of an INIT message ([TD-64]): true when all of it is there, null when more must come, false when it is malformed.</summary>
    private bool? GatherInit(scoped in Segment seg, CryptBlock crypt, TcpcryptDialect dialect, out int length)
    {
        int offset = seg.Seq - (_rcv.Irs + 1);
        bool isKnown = dialect == TcpcryptDialect.None ? InitMessage.TryReadLength1(seg.Payload, out _, out length) : InitMessage.TryReadLength2(dialect, seg.Payload, out length);
        if (offset == -1 && isKnown && length == seg.Payload.Length)
        {
            // Reference spec 12: a kernel's window probe carries the whole message, one number too low.
            offset = 0;
        }

        ReadOnlySpan<byte> part = seg.Payload;
        if (offset < 0)
        {
            part = part[(int)Math.Min(-(long)offset, part.Length)..];
            offset = 0;
        }

        crypt.Gather(offset, part);
        if (crypt.Gathered.Length < InitMessage.PrefixLength)
        {
            length = 0;
            return null;
        }

        bool isReadable = dialect == TcpcryptDialect.None ? InitMessage.TryReadLength1(crypt.Gathered, out _, out length) : InitMessage.TryReadLength2(dialect, crypt.Gathered, out length);
        return !isReadable || crypt.Gathered.Length > length || seg.IsFin ? false : crypt.Gathered.Length == length ? true : null;
    }

    private void EmitInit(TcpInstant now, PacketSlot into)
    {
        CryptBlock crypt = _crypt!;
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        if (_ts.IsOn)
        {
            options.NoOperation();
            options.NoOperation();
            options.Timestamps(TsVal(now), _ts.Recent);
        }

        Span<byte> content = stackalloc byte[TcpHeader.MaxOptionsLength];
        SuboptionWriter writer = new(content);
        if (crypt.Role == TcpcryptRole.C && crypt.AckCookie is { } cookie)
        {
            writer.Variable(Opcode.AckCookie, cookie);
        }

        writer.Opcode(crypt.Role == TcpcryptRole.C ? Opcode.Init1 : Opcode.Init2);
        options.Option(crypt.Layer.Kinds.Crypt, writer.Written);
        options.Pad();

        bool isFirst = !_isInitSent;
        Seq<Local> seq = _snd.Iss + 1;
        crypt.Init.Span.CopyTo(into.Room.Span[SegmentWriter.PayloadOffset(options.Length)..]);
        Write(now, into, seq, TcpFlags.Ack | TcpFlags.Psh, options.Written, crypt.Init.Length, 0, 0);
        _rexmitOnce = false;
        _lastSentAt = now;
        if (isFirst)
        {
            _isInitSent = true;
            _snd.Nxt = seq + crypt.Init.Length;
            _firstUnackedAt = now;
            _isTiming = true;
            _timedEnd = _snd.Nxt;
            _timedAt = now;
        }
        else
        {
            if (_recovery == Recovery.Loss)
            {
                _rexmitNxt = Seq<Local>.Max(_rexmitNxt, seq + crypt.Init.Length);
            }

            _retransmissions++;
            _core.Counters.TcpRetransSegs++;
            _isTiming = false;
        }

        if (!_timers.IsSet(TcpTimer.Retransmit))
        {
            ArmRetransmit(now);
        }
    }

    /// <summary>The peer shows that our last message of the handshake was lost.</summary>
    private void RepeatSetup(TcpInstant now, CryptBlock crypt)
    {
        if (crypt.IsWorking || !_strayBucket.TryTake(now))
        {
            return;
        }

        switch (crypt.State)
        {
            case CryptState.CMode when crypt.Client is null:
                StartClient(crypt);
                break;
            case CryptState.CMode when _isInitSent && FlightSize > 0:
                _rexmitOnce = true;
                break;
            case CryptState.SMode when crypt.IsOpener && State != TcpState.SynReceived:
                crypt.IsPkConfPending = true;
                break;
            case CryptState.SMode or CryptState.HelloSent when State == TcpState.SynReceived:
                _synPending = true;
                break;
            default:
                return;
        }

        MarkReady();
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
        ArmRetransmit(now);
        return true;
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
        _ = outcome;
        _core.Counters.CryptFailures++;
        IsCryptFailure = true;
        Finish(SocketError.ConnectionAborted);
    }
}
