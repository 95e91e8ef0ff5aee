using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>Half-open connections: bounded (RFC 4987 §3.3). Beyond the bound a SYN is answered by a cookie (§3.6), or the oldest gives way. RFC 9293 §3.10.7.4 for SYN-RECEIVED until the handshake's last ACK.</summary>
internal sealed partial class SynCache(TcpLayer tcp)
{
    private readonly LinkedList<HalfOpen> _byAge = new();
    private readonly StackCore _core = tcp.Core;

    public int Count => _byAge.Count;

    /// <summary>Connections in tcpcrypt's handshake, which count as half-open ones: they hold no place in an accept queue.</summary>
    internal int InHandshake { get; set; }

    /// <summary>A SYN for a listener (RFC 9293 §3.10.7.2, third). Data on it is not acknowledged: the peer sends it again.</summary>
    public SegmentVerdict OnSyn(TcpInstant now, TcpListener listener, in FourTuple tuple, scoped in Segment seg, Seq<Local>? minimumIsn)
    {
        if (_core.Crypt is { Sessions: { } store, AreSessionsLocal: false } layer && (listener.Options.Crypt ?? layer.Settings) is { AllowResumption: true, Policy: not TcpcryptPolicy.Disabled } settings)
        {
            CryptOptions crypt = CryptOptions.Parse(seg.Options, layer.Kinds, isOpeningSyn: true);
            if (crypt.Has(Suboptions.AnyNextK1))
            {
                // The application's store may take its time: the SYN is answered when the store has answered. One that is repeated meanwhile has waited enough, or the opener would go plain: it is answered as a miss.
                if (_lookUps.TryGetValue(tuple, out TcpInstant since))
                {
                    if (now - since < s_storePatience)
                    {
                        return DropReason.CryptQueueFull;
                    }

                    _lookUps.Remove(tuple);
                    _core.Counters.CryptStoreFailures++;
                }
                else if (layer.Workers.TryQueue(new LookUp(this, store, listener, tuple, seg, crypt.SessionIdentifier, settings.ResumableRole, minimumIsn)))
                {
                    _lookUps.Add(tuple, now);
                    return SegmentVerdict.Processed;
                }
                else
                {
                    _core.Counters.CryptStoreFailures++;
                }

                return OnSyn(now, listener, tuple, seg, minimumIsn, null);
            }
        }

        return OnSyn(now, listener, tuple, seg, minimumIsn, null);
    }

    /// <summary>As above; <paramref name="session"/> is what a store of the application's own had for NEXTK1.</summary>
    private SegmentVerdict OnSyn(TcpInstant now, TcpListener listener, in FourTuple tuple, scoped in Segment seg, Seq<Local>? minimumIsn, TcpcryptSession? session)
    {
        SynOptions options = SynOptions.Parse(seg.Options);
        if (options.IsMalformed)
        {
            // RFC 9293 MUST-7: survive; a SYN whose options cannot be read is not worth a connection.
            session?.Dispose();
            return DropReason.TcpSynMalformedOptions;
        }

        if (listener.IsFull)
        {
            _core.Counters.TcpAcceptQueueOverflows++;
            session?.Dispose();
            return DropReason.TcpAcceptQueueFull;
        }

        HalfOpen half = Create(now, listener, listener.Options, tuple, seg, options, minimumIsn, session);
        if (half.Crypt is { } crypt && ActOnCrypt(now, half, crypt, listener, seg) is { } verdict)
        {
            return verdict;
        }

        if (_byAge.Count >= _core.Options.Tcp.SynCacheSize)
        {
            _core.Counters.TcpSynCacheOverflows++;
            if (half.Crypt is { State: CryptState.SMode } asked)
            {
                // [TD-58]: nothing is kept, and the opener can encrypt all the same.
                SendSynAckWithCookie(now, half, asked);
                return SegmentVerdict.Processed;
            }

            if (_core.Options.Tcp.SynCookies && minimumIsn is null && half.Crypt is null or { State: CryptState.Disabled })
            {
                SendSynAckWithIsnCookie(now, half);
                return SegmentVerdict.Processed;
            }

            _core.Counters.CountDrop(DropReason.TcpSynCacheFull);
            Remove(_byAge.First!.Value);
        }

        half.Node = _byAge.AddLast(half);
        listener.HalfOpenCount++;
        tcp.Add(half, tuple);
        SendSynAck(now, half);
        return SegmentVerdict.Processed;
    }

    /// <summary>What a SYN,ACK would say, with no entry made: for forwards, which decide first.</summary>
    public HalfOpen Create(TcpInstant now, TcpListener? listener, TcpEndpointOptions endpointOptions, in FourTuple tuple, scoped in Segment seg, in SynOptions options, Seq<Local>? minimumIsn, TcpcryptSession? session = null)
    {
        TcpStackOptions stack = _core.Options.Tcp;
        SynAgreement agreed = SynAgreement.From(options, stack);
        Seq<Local> iss = tcp.Isn.Next(now, tuple);
        if (minimumIsn is { } least && iss < least)
        {
            iss = least;
        }

        CryptBlock? crypt = listener is null ? null : AnswerCrypt(endpointOptions, tuple.Remote.Address, seg.Options, agreed, session);
        agreed = agreed with { Ecn = stack.ExplicitCongestionNotification is not false && crypt is not { IsSetup: true } && TcpEndpoint.IsEcnSetupSyn(seg) };
        return new HalfOpen(this)
        {
            Tuple = tuple,
            Listener = listener,
            Options = endpointOptions,
            Iss = iss,
            Irs = seg.Seq,
            Agreed = agreed,
            Window = (uint)Math.Min(endpointOptions.FirstReceiveBuffer(_core.Options.Tcp), 0xFFFF),
            Shift = agreed.WindowScaling ? endpointOptions.WindowShift(_core.Options.Tcp) : (byte)0,
            TsRecent = options.TsVal,
            ArrivedAt = now,
            Crypt = crypt,
        };
    }

    /// <summary>tcpcrypt's answer to a SYN; null where the stack has no tcpcrypt.</summary>
    public CryptBlock? AnswerCrypt(TcpEndpointOptions endpointOptions, Ipv4Address remote, ReadOnlySpan<byte> synOptions, SynAgreement agreed, TcpcryptSession? session = null)
    {
        if (_core.Crypt is not { } layer)
        {
            return null;
        }

        CryptSettings settings = endpointOptions.Crypt ?? layer.Settings;
        CryptOptions options = CryptOptions.Parse(synOptions, layer.Kinds, isOpeningSyn: true);
        if (session is null && options.Has(Suboptions.AnyNextK1) && settings is { AllowResumption: true, Policy: not TcpcryptPolicy.Disabled } && layer is { Sessions: { } sessions, AreSessionsLocal: true })
        {
            session = sessions.Take(options.SessionIdentifier, settings.ResumableRole);
        }

        return CryptBlock.ForListener(layer, settings, options, agreed.PeerMss, tcp.AdvertisedMss(endpointOptions, remote), session);
    }

    /// <summary>What a SYN's CRYPT option asks beyond an entry: RST under policy Required, nothing while the workers are busy, a control block at once for a session that is resumed.</summary>
    private SegmentVerdict? ActOnCrypt(TcpInstant now, HalfOpen half, CryptBlock crypt, TcpListener listener, scoped in Segment seg)
    {
        if (crypt.IsRefused)
        {
            crypt.Layer.CountFailed(half.Tuple, crypt.Outcome);
            tcp.SendResetFor(half.Tuple, seg);
            return DropReason.CryptRefused;
        }

        if (crypt.IsSetup && crypt.State != CryptState.NextKSent && crypt.Layer.Workers.IsFull)
        {
            return DropReason.CryptQueueFull;
        }

        if (crypt.State != CryptState.NextKSent)
        {
            return null;
        }

        if (tcp.IsFull)
        {
            crypt.Close();
            return DropReason.TcpMemoryLimit;
        }

        // [TD-22]: ENCRYPTING from here on. The segment that ends TCP's handshake must have a valid MAC, so it needs a control block.
        TcpEndpoint endpoint = TcpEndpoint.FromForward(tcp, now, tcp.NextId(), half);
        tcp.Add(endpoint, half.Tuple);
        _core.Counters.TcpPassiveOpens++;
        endpoint.HandOverTo(listener);
        return SegmentVerdict.Processed;
    }

    public SegmentVerdict OnSegment(TcpInstant now, HalfOpen half, scoped in Segment seg)
    {
        Seq<Remote> rcvNxt = half.Irs + 1;
        if (seg.IsSyn && !seg.IsAck && !seg.IsRst && seg.Seq == half.Irs)
        {
            // The SYN again: our SYN,ACK was lost, or is late. Without CRYPT: the peer has gone plain, since something on the path drops what it does not know ([TD-52]).
            if (half.Crypt is { IsSetup: true } crypt && !crypt.Settings.IsRequired && !CryptOptions.Parse(seg.Options, crypt.Layer.Kinds, isOpeningSyn: true).HasCrypt)
            {
                crypt.Disable(TcpcryptOutcome.PeerDidNotOffer);
            }

            if (half.AckBucket.TryTake(now))
            {
                SendSynAck(now, half);
            }

            return SegmentVerdict.Processed;
        }

        if (half.Agreed.Timestamps && !seg.IsRst)
        {
            // [TD-112]: INIT segments may come without.
            if (!seg.HasTimestamps && half.Crypt is not { IsSetup: true })
            {
                return DropReason.TcpMissingTimestamp;
            }

            if (seg.HasTimestamps && Acceptability.IsTimestampOlder(seg.TsVal, half.TsRecent))
            {
                SendAck(now, half);
                return DropReason.TcpPaws;
            }
        }

        if (!Acceptability.IsAcceptable(seg.Seq, seg.Len, rcvNxt, half.Window) && !IsPkConfProbe(half, seg))
        {
            if (!seg.IsRst && half.Crypt is not { IsSetup: true })
            {
                SendAck(now, half);
            }

            return DropReason.TcpOutsideWindow;
        }

        if (seg.IsRst)
        {
            if (seg.Seq != rcvNxt)
            {
                SendAck(now, half);
                return DropReason.TcpResetChallenged;
            }

            // Back to LISTEN; the user is not told (RFC 9293 §3.10.7.4, second).
            _core.Counters.TcpAttemptFails++;
            Remove(half);
            return DropReason.TcpReset;
        }

        if (seg.IsSyn)
        {
            // Fourth: from a passive OPEN, back to LISTEN.
            _core.Counters.TcpAttemptFails++;
            Remove(half);
            return DropReason.TcpSynChallenged;
        }

        if (!seg.IsAck)
        {
            return DropReason.TcpNoAck;
        }

        if (seg.Ack != half.Iss + 1)
        {
            // The SYN may have been answered by a cookie the first time, while the cache was full.
            if ((OnCookie(now, half.Listener!, half.Tuple, seg, half) ?? OnIsnCookie(now, half.Listener!, half.Tuple, seg, half)) is { } verdict)
            {
                return verdict;
            }

            _core.Counters.TcpOutRsts++;
            tcp.SendControl(half.Tuple, seg.Ack, default, TcpFlags.Rst, 0, null, half.Options.TimeToLive, half.Options.TypeOfService);
            return DropReason.TcpAckUnacceptable;
        }

        TcpListener listener = half.Listener!;
        if (half.Waits <= half.Options.DeferredSynAcks && seg.Len == 0 && half.Crypt is not { IsSetup: true })
        {
            half.IsDeferred = true;
            return DropReason.TcpAcceptDeferred;
        }

        if (listener.IsFull || tcp.IsFull || (half.Crypt is { IsSetup: true } && InHandshake >= _core.Options.Tcp.SynCacheSize))
        {
            // The ACK is dropped, never answered by RST: the peer believes in the connection and sends again (design: accept queue).
            _core.Counters.TcpAcceptQueueOverflows++;
            return DropReason.TcpAcceptQueueFull;
        }

        Remove(half);
        TcpEndpoint endpoint = TcpEndpoint.FromHalfOpen(tcp, now, tcp.NextId(), half);
        tcp.Add(endpoint, half.Tuple);
        _core.Counters.TcpPassiveOpens++;
        if (half.Crypt is not { IsSetup: true })
        {
            listener.Enqueue(endpoint);
        }
        else
        {
            endpoint.HandOverTo(listener);
        }

        return endpoint.OnSegment(now, seg);
    }

    /// <summary>A kernel's window probe, one number too low, that carries the PKCONF which was lost before (reference spec 12).</summary>
    private static bool IsPkConfProbe(HalfOpen half, scoped in Segment seg) =>
        half.Crypt is { State: CryptState.HelloSent } crypt && seg.Seq == half.Irs && CryptOptions.Parse(seg.Options, crypt.Layer.Kinds, isOpeningSyn: false).Has(Suboptions.AnyPkConf);

    public void OnDeadline(TcpInstant now, HalfOpen half)
    {
        if (half.Waits > _core.Options.Tcp.SynAckRetransmissions && (!half.IsDeferred || half.Waits > half.Options.DeferredSynAcks))
        {
            _core.Counters.TcpAttemptFails++;
            Remove(half);
            return;
        }

        if (half.IsDeferred && half.Waits < half.Options.DeferredSynAcks)
        {
            // The peer has the SYN,ACK; it comes once more at the end, so that an ACK can still make the connection.
            ArmSynAck(now, half);
            return;
        }

        _core.Counters.TcpTimeouts++;
        _core.Counters.TcpRetransSegs++;
        SendSynAck(now, half);
    }

    public void Remove(HalfOpen half)
    {
        if (half.Node is { } node)
        {
            _byAge.Remove(node);
            half.Node = null;
            half.Listener!.HalfOpenCount--;
        }

        // Whoever runs the timers asks again for the deadline when the entry has had its turn.
        half.RepeatAt = TcpInstant.Never;
        _core.Deadlines.Remove(half);
        tcp.Remove(half.Tuple, half);
    }

    public void RemoveAll(TcpListener listener)
    {
        for (LinkedListNode<HalfOpen>? node = _byAge.First; node is not null;)
        {
            LinkedListNode<HalfOpen>? next = node.Next;
            if (node.Value.Listener == listener)
            {
                Remove(node.Value);
            }

            node = next;
        }
    }

    private uint TsVal(TcpInstant now, HalfOpen half) => unchecked(now.Milliseconds + tcp.Isn.TimestampOffset(half.Tuple));

    private void ArmSynAck(TcpInstant now, HalfOpen half)
    {
        TimeSpan wait = TimeSpan.FromTicks(_core.Options.Tcp.InitialRto.Ticks << Math.Min(half.Waits, 10));
        half.Waits++;
        half.RepeatAt = now + (wait > _core.Options.Tcp.MaxRto ? _core.Options.Tcp.MaxRto : wait);
        _core.Deadlines.Update(half);
    }

    private void SendSynAck(TcpInstant now, HalfOpen half)
    {
        ArmSynAck(now, half);
        half.Transmissions++;
        half.SentAt = now;
        if (_core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is not { } slot)
        {
            return;
        }

        Span<byte> content = stackalloc byte[TcpHeader.MaxOptionsLength];
        SuboptionWriter writer = new(content);
        half.Crypt?.WriteSynAck(ref writer);
        WriteSynAck(half, slot, TsVal(now, half), half.Crypt?.Layer.Kinds.Crypt ?? 0, writer.Written);
        _core.Send(slot);
    }

    /// <summary>The SYN,ACK, with a CRYPT option unless <paramref name="suboptions"/> is empty.</summary>
    private void WriteSynAck(HalfOpen half, PacketSlot slot, uint tsVal, byte cryptKind, scoped ReadOnlySpan<byte> suboptions)
    {
        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        tcp.WriteSynOptions(ref options, tcp.AdvertisedMss(half.Options, half.Tuple.Remote.Address), half.Agreed.Sack, half.Agreed.Timestamps, tsVal, half.TsRecent, half.Agreed.WindowScaling ? half.Shift : null);
        if (suboptions.Length > 0)
        {
            options.Option(cryptKind, suboptions);
            options.Pad();
        }

        SegmentWriter.Write(
            slot,
            new SegmentFields
            {
                Tuple = half.Tuple,
                Seq = half.Iss,
                Ack = half.Irs + 1,
                Flags = TcpFlags.Syn | TcpFlags.Ack | (half.Agreed.Ecn ? TcpFlags.Ece : 0),
                Window = (ushort)half.Window,
                TimeToLive = half.Options.TimeToLive,
                TypeOfService = (byte)(half.Options.TypeOfService & 0xFC),
                Options = options.Written,
            },
            0);
        _core.Counters.TcpOutSegs++;
    }

    private void SendAck(TcpInstant now, HalfOpen half)
    {
        // Setup has no ACK without CRYPT ([TD-15]): the daemon would take it for the end of tcpcrypt.
        if (half.Crypt is not { IsSetup: true } && half.AckBucket.TryTake(now) && tcp.ChallengeAcks.TryTake(now))
        {
            (uint, uint)? timestamps = half.Agreed.Timestamps ? (TsVal(now, half), half.TsRecent) : null;
            tcp.SendControl(half.Tuple, half.Iss + 1, half.Irs + 1, TcpFlags.Ack, (ushort)Math.Min(half.Window >> half.Shift, 0xFFFF), timestamps, half.Options.TimeToLive, half.Options.TypeOfService);
        }
    }
}
