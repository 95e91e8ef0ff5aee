using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// The setup states of tcpcrypt, between the SYNs and ENCRYPTING or DISABLED: INIT1, INIT2 and their loss ([TD-15] to [TD-59]).
internal sealed partial class TcpEndpoint
{
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

        // Reference spec 12: a kernel's window probe carries what is waited for, one number too low.
        bool isAwaited = crypt.State switch
        {
            CryptState.CMode => options.Has(Suboptions.Init2),
            CryptState.HelloSent => options.Has(Suboptions.AnyPkConf) && seg.Seq == _rcv.Irs,
            _ => options.Has(Suboptions.Init1),
        };
        if (!seg.IsSyn && !isAwaited && !Acceptability.IsAcceptable(seg.Seq, seg.Len, _rcv.Nxt, _rcv.Wnd))
        {
            return DropReason.TcpOutsideWindow;
        }

        // S's, under MAC, that has overtaken INIT2 or what is done with it waits for the keys as its data does.
        if (seg.IsRst && !(crypt.State == CryptState.CMode && options.HasMac && seg.Seq != _rcv.Nxt))
        {
            // While S works on INIT1 that is not acknowledged, and what C says next stands behind it.
            if (crypt is { State: CryptState.SMode, IsWorking: true } && seg.Seq == _rcv.Nxt + crypt.Gathered.Length)
            {
                CloseByReset();
                return DropReason.TcpReset;
            }

            return CheckReset(now, seg);
        }

        if (IsShiftedInit2(seg, options, crypt))
        {
            if (++_shiftedInit2s < InitLostAfter)
            {
                return DropReason.CryptInitRepeated;
            }

            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeLost);
            return DropReason.CryptRefused;
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

    /// <summary>Repetitions of INIT2 by the daemon after which INIT2 itself is taken to be lost.</summary>
    private const int InitLostAfter = 2;

    private int _shiftedInit2s;

    /// <summary>
    /// The daemon's repetition of an INIT2 that never came: both numbers too high by the lengths of the messages, and encrypted (reference spec 6.4). There is no way to the keys any more, and after ten of them
    /// the daemon forgets the connection: its application would be handed an INIT1 that is sent again.
    /// </summary>
    private bool IsShiftedInit2(scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt) =>
        crypt is { State: CryptState.CMode, Dialect: TcpcryptDialect.Reference, IsWorking: false } && _isInitSent && options.Has(Suboptions.Init2) && seg.IsAck && seg.Payload.Length > 0
        && seg.Seq == _rcv.Irs + 1 + seg.Payload.Length && seg.Ack == _snd.Iss + 1 + (2 * crypt.SentPrefix);

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
            crypt.Decline(TcpcryptOutcome.NoCommonAlgorithm, CryptOptions.OpcodesOf(options.UnknownMandatory));
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
            crypt.Decline(TcpcryptOutcome.NoCommonAlgorithm, CryptOptions.OpcodesOf(options.UnknownMandatory));
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
            // INIT1 comes again. The daemon repeats it only when it is given the SYN,ACK again (reference spec 3.1).
            if (State == TcpState.SynReceived)
            {
                ArmRetransmit(now);
            }

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
        AcknowledgeInit(now, crypt);
        crypt.Init = default;
        crypt.LocalPublicKey = work.Handshake.LocalPublicKey;
        crypt.RemotePublicKey = work.Handshake.RemotePublicKey;
        EnterEncrypting(now, crypt, work.TakeSession(), work.TakeProtection());
        SendAckNow(now);
        foreach (byte[] segment in crypt.TakeHeld())
        {
            OnHeldSegment(now, segment);
        }

        if (!IsClosed)
        {
            MarkReady();
            UpdateDeadline();
        }
    }

    /// <summary>INIT2 acknowledges INIT1, whatever its ACK says.</summary>
    private void AcknowledgeInit(TcpInstant now, CryptBlock crypt)
    {
        Seq<Local> end = _snd.Iss + 1 + crypt.SentPrefix;
        if (_snd.Una < end)
        {
            AckSummary ack = new(now, _snd.Una, _snd.Nxt, _recover, _rtt.MinRtt, null);
            _sent.Acknowledge(end, ref ack);
            _snd.Una = end;
            TakeRttSample(ack);
            UpdateProbe(ack);
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

        int capacity = offset == 0 && isKnown ? length : InitMessage.MaxLength;
        ReadOnlySpan<byte> part = seg.Payload;
        if (offset < 0)
        {
            part = part[(int)Math.Min(-(long)offset, part.Length)..];
            offset = 0;
        }

        crypt.Gather(offset, part, capacity);
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

        // One segment, always ([TD-64]): where the path has no room for it routers may cut the packet, which either dialect's peer puts together. When nothing comes back the path may be such a one and not say so (RFC 2923 §2.1).
        bool mayFragment = SegmentWriter.PayloadOffset(options.Length) + crypt.Init.Length > _pathMtu || _retries > 1;
        Write(now, into, seq, TcpFlags.Ack | TcpFlags.Psh, options.Written, crypt.Init.Length, 0, 0, mayFragment);
        _lastSentAt = now;
        if (isFirst)
        {
            _isInitSent = true;
            _snd.Nxt = seq + crypt.Init.Length;
            _firstUnackedAt = now;
            OnSent(now, new SendDecision(SendKind.Init, seq, crypt.Init.Length), gsoSize: 0);
        }
        else
        {
            OnRepeated(now, seq, crypt.Init.Length, gsoSize: 0);
            _retransmissions++;
            _core.Counters.TcpRetransSegs++;
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
                _repeatsHead = true;
                break;
            case CryptState.SMode when crypt.IsOpener && State != TcpState.SynReceived:
                if (now - crypt.PkConfAt < s_doubledWithin)
                {
                    return;
                }

                crypt.IsPkConfPending = true;
                ArmPkConf(now);
                break;
            case CryptState.SMode or CryptState.HelloSent when State == TcpState.SynReceived:
                _synPending = true;
                break;
            default:
                return;
        }

        MarkReady();
    }
}
