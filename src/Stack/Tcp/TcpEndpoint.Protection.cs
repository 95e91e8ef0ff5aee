using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// ENCRYPTING: every segment out under MAC, nothing in without ([TD-74..90]; reference spec 6).
internal sealed partial class TcpEndpoint
{
    /// <summary>Octets in one direction after which the cipher of dialect Reference repeats its key stream (reference spec 13).</summary>
    private const long LegacyCipherSafe = 16 * 1024 * 1024;

    /// <summary>How often the peer is asked after a RST without MAC, within the time it has for an answer.</summary>
    private const int VerifyProbes = 10;

    private static readonly TimeSpan s_verifyTime = TimeSpan.FromSeconds(3);

    /// <summary>How often our sending keys were replaced.</summary>
    public long RekeyCount => _rekeying?.Transmit ?? 0;

    /// <summary>Generations of keys, and SYNC; null where dialect Reference has neither.</summary>
    private SegmentRekeying? _rekeying;

    /// <summary>The last generation of keys that the peer is known to have.</summary>
    private long _settledGeneration;

    /// <summary>Dialect Reference, past 16 MiB in one direction: no longer confidential for certain.</summary>
    public bool IsLegacyCipherWorn { get; private set; }

    /// <summary>Segments of ours carry a MAC.</summary>
    private bool IsProtected => _crypt is { IsEncrypting: true };

    /// <summary>Dialect Reference: C has not shown yet that it has the keys. Until then it must hear nothing but INIT2: anything else makes the daemon go plain (reference spec 3.1).</summary>
    private bool IsInit2Alone => _crypt is { IsEncrypting: true, IsDraft: false, Role: TcpcryptRole.S, WasAuthenticated: false } && _unackedInit > 0;

    /// <summary>Offset of one of our sequence numbers from the ISN, in 64 bits ([TD-75]): the stream's own offset is one already.</summary>
    private ulong SendOffset(CryptBlock crypt, Seq<Local> seq) => unchecked(crypt.Settings.StartOffset + 1 + (ulong)crypt.SentPrefix + (ulong)OffsetOf(seq));

    /// <summary>Offset of one of the peer's sequence numbers; the nearest one to RCV.NXT ([TD-79]).</summary>
    private ulong ReceiveOffset(CryptBlock crypt, Seq<Remote> seq) => unchecked(crypt.Settings.StartOffset + 1 + (ulong)crypt.ReceivedPrefix + (ulong)StreamOffset(seq));

    // ---- Out ----

    /// <summary>One block fits beside MAC and timestamps, two without timestamps ([TD-110]).</summary>
    private int ProtectedSackBlocks => SackBlocks(_ts.IsOn ? 1 : 2);

    /// <summary>What re-keying says about a segment that is about to leave; null where there is none.</summary>
    private SegmentPlan? PlanSegment(TcpInstant now, Seq<Local> seq, int length, bool hasFin, bool wantSync = false, int unknown = 0)
    {
        if (_rekeying is not { } rekeying)
        {
            return null;
        }

        ulong offset = SendOffset(_crypt!, seq);
        return rekeying.Plan(now.SinceStart, offset, offset + (ulong)length, hasFin, Unsent > 0 && !IsStreamHeld, wantSync, SegmentRekeying.SuboptionsRoom - unknown);
    }

    /// <summary>The opcodes that the next bare ACK has to name ([TD-4], [TD-47]), as far as they fit; the rest is left for the one after it.</summary>
    private byte[] TakeUnknownOpcodes()
    {
        if (_crypt is not { IsEncrypting: true, UnknownOpcodes: not 0 } crypt)
        {
            return [];
        }

        byte[] opcodes = CryptOptions.OpcodesOf(crypt.UnknownOpcodes);
        int most = SegmentRekeying.SuboptionsRoom - 2 - (_rekeying is { IsLabelling: true } ? 2 : 0);
        crypt.UnknownOpcodes = 0;
        if (opcodes.Length > most)
        {
            foreach (byte left in opcodes.AsSpan(most))
            {
                crypt.UnknownOpcodes |= 1UL << (left - Opcode.FirstMandatory);
            }

            opcodes = opcodes[..most];
        }

        return opcodes;
    }

    private int WriteProtectedOptions(TcpInstant now, ref TcpOptionWriter options, in SegmentPlan? plan, scoped ReadOnlySpan<byte> unknown)
    {
        CryptBlock crypt = _crypt!;
        if (_ts.IsOn)
        {
            options.Timestamps(TsVal(now), _ts.Recent);
        }

        int tagOffset = TcpHeader.MinLength + options.Length + 2;
        options.Option(crypt.Layer.Kinds.Mac, stackalloc byte[16]);
        if (plan is { } said && (said.SuboptionsLength > 0 || unknown.Length > 0))
        {
            Span<byte> area = stackalloc byte[SegmentRekeying.SuboptionsRoom];
            SuboptionWriter writer = new(area);
            if (said.HasRekey)
            {
                writer.Fixed(Opcode.Rekey, [said.KeyLsb]);
            }

            if (said.SyncOk is { } ok)
            {
                writer.Clock(Opcode.SyncOk, ok);
            }

            if (said.SyncRequest is { } request)
            {
                writer.Clock(Opcode.SyncRequest, request);
            }

            if (unknown.Length > 0)
            {
                writer.Variable(Opcode.Unknown, unknown);
            }

            options.Option(crypt.Layer.Kinds.Crypt, writer.Written);
        }
        else if (ProtectedSackBlocks is > 0 and int blocks)
        {
            WriteSack(ref options, blocks);
        }

        options.Pad();
        return tagOffset;
    }

    /// <summary>The last step before a segment leaves: encrypted, and under MAC. Does nothing for plain ones.</summary>
    private void Protect(TcpInstant now, PacketSlot packet, Seq<Local> seq, int length, int tagOffset, in SegmentPlan? plan)
    {
        if (tagOffset < 0)
        {
            return;
        }

        CryptBlock crypt = _crypt!;
        ulong offset = SendOffset(crypt, seq);
        crypt.Protection!.Seal(packet.Packet[Ipv4Header.MinLength..], tagOffset, offset, ReceiveOffset(crypt, _rcv.Nxt), plan?.Generation ?? 0);
        if (plan is { } said)
        {
            _core.Counters.CryptRekeys += said.Starts ? 1 : 0;
            _rekeying!.OnSent(now.SinceStart, said, offset, offset + (ulong)length, _rtt.Rto);
        }
    }

    /// <summary>Payload of a full segment that starts at a sequence number, with the options of the moment, and how far it may reach: segments do not mix generations of keys ([TD-93]).</summary>
    private int ProtectedSegmentMss(TcpInstant now, Seq<Local> seq, out long limit)
    {
        int sent = _snd.Nxt - seq - (_isFinSent && !_isFinAcked ? 1 : 0);
        SegmentPlan? plan = PlanSegment(now, seq, sent > 0 ? sent : (int)Math.Clamp(Unsent, 1, int.MaxValue), hasFin: false);
        int crypt = plan is { SuboptionsLength: > 0 } said ? 2 + said.SuboptionsLength : 0;
        int sack = crypt == 0 && ProtectedSackBlocks is > 0 and int blocks ? 2 + (8 * blocks) : 0;
        int options = ((_ts.IsOn ? 10 : 0) + 18 + crypt + sack + 3) & ~3;
        limit = plan is { } planned ? (long)Math.Min(planned.End - SendOffset(_crypt!, seq), long.MaxValue) : long.MaxValue;
        return Math.Max(EffectiveMss + FixedOptionsLength - options, 8);
    }

    private void StartProtection(TcpInstant now, CryptBlock crypt)
    {
        if (crypt.IsDraft)
        {
            _rekeying = new SegmentRekeying(new SyncClock(), crypt.Settings.RekeyLimits, SendOffset(crypt, HeadSeq), now.SinceStart);
        }
        else if (crypt.Settings.LegacyCipherByteLimit is { } limit)
        {
            _sendLimit = limit;
        }
    }

    /// <summary>Asks for new keys ([TD-91]); returns the generation that the peer will know in the end, -1 where there is no re-keying.</summary>
    public long RequestRekey(TcpInstant now)
    {
        if (IsClosed || _rekeying is not { } rekeying)
        {
            return -1;
        }

        long target = rekeying.Request();
        MarkReady();
        UpdateCryptTimer(now);
        UpdateDeadline();
        return target;
    }

    /// <summary>The last generation of keys that the peer is known to have. Safe from any thread.</summary>
    public long SettledGeneration => Volatile.Read(ref _settledGeneration);

    /// <summary>A bare ACK is due for re-keying or SYNC.</summary>
    private bool IsRekeyAckDue(TcpInstant now) => _rekeying is { } rekeying && rekeying.NeedsAck(now.SinceStart, Unsent > 0 && !IsStreamHeld);

    private void UpdateCryptTimer(TcpInstant now)
    {
        TcpInstant due = _verification?.AskAt ?? TcpInstant.Never;
        if (_rekeying?.GetDeadline(now.SinceStart) is { } at && at > now.SinceStart)
        {
            // What is due already is decided with the next segment, not by time.
            due = TcpInstant.Min(due, TcpInstant.Zero + at);
        }

        if (due.IsNever)
        {
            _timers.Cancel(TcpTimer.Crypt);
        }
        else
        {
            _timers.Set(TcpTimer.Crypt, due);
        }
    }

    // ---- In ----

    private SegmentVerdict OnSegmentProtected(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (options.TagOffset < 0 || !TryOpen(seg, options, crypt, out long generation))
        {
            return OnUnauthenticated(now, seg, options, crypt);
        }

        crypt.OnAuthenticated(Tuple.Remote.Address);
        if (options.Has(Suboptions.Init1 | Suboptions.Init2) && seg.Payload.Length > 0)
        {
            // Reference spec 6.4: the daemon's defective repetition of INIT2. Its data is nobody's.
            SendStrayAck(now);
            return DropReason.CryptInitRepeated;
        }

        if (crypt.IsDraft && options.Has(Suboptions.UnknownMandatory))
        {
            // [TD-4]: the state stays as it was before the segment.
            crypt.UnknownOpcodes |= options.UnknownMandatory;
            SendStrayAck(now);
            return DropReason.CryptUnknownOpcode;
        }

        ulong offset = ReceiveOffset(crypt, seg.Seq);
        bool isAlive = IsLifeSign(seg);
        if (_rekeying is { } rekeying)
        {
            // [TD-128]: also in a segment that TCP goes on to discard, such as a keep-alive.
            if (options.Has(Suboptions.SyncRequest))
            {
                rekeying.Sync.OnRequest(options.SyncRequestClock);
            }

            isAlive |= options.Has(Suboptions.SyncOk) && rekeying.Sync.OnOk(options.SyncOkClock);
        }

        if (isAlive)
        {
            _lastReceivedAt = now;
            _keepAliveProbes = 0;
            EndVerify();
        }

        SegmentVerdict verdict = OnSegmentSynchronized(now, seg, isTimestampOptional: !crypt.IsDraft && !seg.HasTimestamps);
        if (!IsClosed)
        {
            AfterProtected(now, seg, crypt, generation, options.Has(Suboptions.Rekey | Suboptions.RekeyStream), offset);
        }

        return verdict;
    }

    /// <summary>TCP has taken the segment: what it means for the generations of keys.</summary>
    private void AfterProtected(TcpInstant now, scoped in Segment seg, CryptBlock crypt, long generation, bool hasLabel, ulong offset)
    {
        if (_rekeying is not { } rekeying)
        {
            CheckLegacyLimit(now, crypt);
            return;
        }

        rekeying.OnOpened(now.SinceStart, generation, hasLabel, offset, seg.Payload.Length, ReceiveOffset(crypt, _rcv.Nxt), SendOffset(crypt, _snd.Una));
        crypt.Protection!.ForgetSend(rekeying.OldestSend);
        crypt.Protection.ForgetReceive(rekeying.OldestReceive);
        if (rekeying.Settled != _settledGeneration)
        {
            Volatile.Write(ref _settledGeneration, rekeying.Settled);
            _core.Raise(this, CoreEvents.Rekeyed);
        }

        if (IsRekeyAckDue(now))
        {
            MarkReady();
        }

        UpdateCryptTimer(now);
    }

    private bool TryOpen(scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt, out long generation)
    {
        generation = 0;
        long other = 0;
        if (_rekeying is { } rekeying)
        {
            byte? label = options.Has(Suboptions.Rekey | Suboptions.RekeyStream) ? options.KeyLsb : null;
            if (options.HasKeyLsbConflict || !rekeying.TryGetCandidates(label, out generation, out other))
            {
                return false;
            }
        }

        int tagOffset = TcpHeader.MinLength + options.TagOffset;
        ulong sequence = ReceiveOffset(crypt, seg.Seq);
        ulong acknowledgment = seg.IsAck ? SendOffset(crypt, seg.Ack) : 0;
        if (crypt.Protection!.TryOpen(seg.Octets, tagOffset, sequence, acknowledgment, generation))
        {
            return true;
        }

        if (other == generation || !crypt.Protection.TryOpen(seg.Octets, tagOffset, sequence, acknowledgment, other))
        {
            return false;
        }

        generation = other;
        return true;
    }

    /// <summary>Dialect Reference repeats key stream after 16 MiB (reference spec 13): a warning then, and the end of the connection where the user has set a limit.</summary>
    private void CheckLegacyLimit(TcpInstant now, CryptBlock crypt)
    {
        if (!IsLegacyCipherWorn && Math.Max(_bytesSent, _bytesReceived) > LegacyCipherSafe)
        {
            IsLegacyCipherWorn = true;
            _core.Raise(this, CoreEvents.Notice);
        }

        if (!IsReadSpent && crypt.Settings.LegacyCipherByteLimit is { } limit && _bytesReceived > limit)
        {
            IsReadSpent = true;
            _core.Raise(this, CoreEvents.ReadSpent | CoreEvents.Readable);
            SpendCipher(now);
        }
    }

    /// <summary>How far the stream may go under one key; then nothing more is taken from the application.</summary>
    private long _sendLimit = long.MaxValue;

    /// <summary>The limit was reached: nothing more is taken from the application.</summary>
    public bool IsCipherSpent { get; private set; }

    /// <summary>By the peer: what it still sends is neither taken nor acknowledged.</summary>
    public bool IsReadSpent { get; private set; }

    private void CheckSendLimit(TcpInstant now)
    {
        if (SendQueue.Tail >= _sendLimit)
        {
            SpendCipher(now);
        }
    }

    /// <summary>The end that <see cref="CryptSettings.LegacyCipherByteLimit"/> asks for: all that was written goes out, and FIN behind it.</summary>
    private void SpendCipher(TcpInstant now)
    {
        if (IsCipherSpent)
        {
            return;
        }

        IsCipherSpent = true;
        _core.Raise(this, CoreEvents.CipherSpent | CoreEvents.Writable);
        if (Owner is null)
        {
            // Otherwise it is for the owner to say that nobody appends any more, by CLOSE.
            CloseSend(now);
        }
    }

    /// <summary>No MAC, or a wrong one: dropped without effect; three kinds may have an answer that changes nothing ([TD-83]; reference spec 6.4).</summary>
    private SegmentVerdict OnUnauthenticated(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (options.HasMac)
        {
            return DropReason.CryptBadMac;
        }

        if (seg.IsRst)
        {
            return OnUnauthenticatedReset(now, seg, crypt);
        }

        if (seg.IsSyn)
        {
            if (seg.Seq != _rcv.Irs)
            {
                RequestChallengeAck(now);
            }
            else if (!seg.IsAck && State == TcpState.SynReceived && _strayBucket.TryTake(now))
            {
                _synPending = true;
                MarkReady();
            }
            else
            {
                SendStrayAck(now);
            }
        }
        else if (options.Has(Suboptions.Init2) && crypt.Role == TcpcryptRole.C && IsInit2Number(seg.Seq, crypt))
        {
            // Without this ACK S would wait for ever; the daemon gives the connection up after ten repetitions (reference spec 6.4).
            SendStrayAck(now);
        }
        else if (options.Has(Suboptions.Init1) && crypt.Role == TcpcryptRole.S && _unackedInit > 0)
        {
            RepeatInit2(now);
        }

        return DropReason.CryptNoMac;
    }

    private void RepeatInit2(TcpInstant now)
    {
        if (_isInitSent && _strayBucket.TryTake(now))
        {
            _repeatsHead = true;
            MarkReady();
        }
    }

    /// <summary>Where INIT2 starts, and where the daemon's repetition of it says that it starts: it has been shifted by its own length (reference spec 6.4).</summary>
    private bool IsInit2Number(Seq<Remote> seq, CryptBlock crypt) => seq == _rcv.Irs + 1 || (!crypt.IsDraft && seq == _rcv.Irs + 1 + crypt.ReceivedPrefix);

    private void SendStrayAck(TcpInstant now)
    {
        if (_strayBucket.TryTake(now))
        {
            SendAckNow(now);
        }
    }

    // ---- RST without MAC ([TD-85]) ----

    /// <summary>A reset that is looked into: since when, how long the peer has, and when it is asked next.</summary>
    private sealed class Verification(TcpInstant since, TimeSpan patience)
    {
        public TcpInstant Since { get; } = since;
        public TimeSpan Patience { get; } = patience;
        public TcpInstant AskAt { get; set; } = since;
        public int Probes { get; set; }
    }

    private Verification? _verification;

    private SegmentVerdict OnUnauthenticatedReset(TcpInstant now, scoped in Segment seg, CryptBlock crypt)
    {
        if (seg.Seq != _rcv.Nxt || crypt.Settings.UnauthenticatedReset == UnauthenticatedReset.Ignore)
        {
            return DropReason.CryptResetIgnored;
        }

        if (crypt.Settings.UnauthenticatedReset == UnauthenticatedReset.Accept)
        {
            return CheckReset(now, seg);
        }

        if (_verification is null)
        {
            // By the time-out of now: that of data in flight grows as fast as time passes.
            _verification = new Verification(now, TimeSpan.FromTicks(Math.Max(2 * _rtt.Rto.Ticks, s_verifyTime.Ticks)));
            OnVerifyTimeout(now, _verification);
        }

        return DropReason.CryptResetIgnored;
    }

    private void OnCryptTimeout(TcpInstant now)
    {
        if (_crypt is { IsSetup: true } crypt)
        {
            AbortCrypt(now, crypt, TcpcryptOutcome.HandshakeTimedOut);
        }
        else if (_verification is { } verification && now >= verification.AskAt)
        {
            OnVerifyTimeout(now, verification);
        }
    }

    /// <summary>SEQ = SND.NXT-1 and no data (RFC 9293 SHLD-12); with SYNC_REQ, since the answer to a mere probe could be a replay ([TD-89]).</summary>
    private void SendKeepAlive(TcpInstant now) => SendBare(now, _snd.Nxt - 1, wantSync: true);

    /// <summary>Asks the peer, under MAC, whether it still has the connection; gives up when it has had long enough and said nothing.</summary>
    private void OnVerifyTimeout(TcpInstant now, Verification verification)
    {
        if (verification.Probes >= VerifyProbes && now >= verification.Since + verification.Patience)
        {
            _core.Counters.CryptResetsVerified++;
            CloseByReset();
            return;
        }

        verification.Probes++;
        SendKeepAlive(now);
        verification.AskAt = now + (verification.Patience / VerifyProbes);
        UpdateCryptTimer(now);
    }

    private void EndVerify() => _verification = null;

    /// <summary>The segment shows that the peer is there now ([TD-90]): it acknowledges or brings something new. Without keys any acceptable segment does.</summary>
    private bool IsLifeSign(scoped in Segment seg) => !IsProtected || seg.Ack > _snd.Una || seg.End > _rcv.Nxt || !_crypt!.IsDraft;

    // ---- TIME-WAIT ----

    private TimeWaitCrypt? TakeTimeWaitCrypt()
    {
        if (_crypt is not { IsEncrypting: true, Protection: { } protection } crypt)
        {
            return null;
        }

        crypt.Protection = null;
        return new TimeWaitCrypt(protection, _rekeying, crypt.Layer.Kinds, SendOffset(crypt, _snd.Nxt), ReceiveOffset(crypt, _rcv.Nxt));
    }
}
