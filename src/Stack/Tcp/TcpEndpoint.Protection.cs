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
    /// <summary>How often the peer is asked after a RST without MAC, within the time it has for an answer.</summary>
    private const int VerifyProbes = 10;

    private static readonly TimeSpan s_verifyTime = TimeSpan.FromSeconds(3);

    /// <summary>How often our sending keys were replaced.</summary>
    public long RekeyCount => 0;

    /// <summary>Segments of ours carry a MAC.</summary>
    private bool IsProtected => _crypt is { IsEncrypting: true };

    /// <summary>Offset of one of our sequence numbers from the ISN, in 64 bits ([TD-75]): the stream's own offset is one already.</summary>
    private ulong SendOffset(CryptBlock crypt, Seq<Local> seq) => unchecked(crypt.Settings.StartOffset + 1 + (ulong)crypt.SentPrefix + (ulong)OffsetOf(seq));

    /// <summary>Offset of one of the peer's sequence numbers; the nearest one to RCV.NXT ([TD-79]).</summary>
    private ulong ReceiveOffset(CryptBlock crypt, Seq<Remote> seq) => unchecked(crypt.Settings.StartOffset + 1 + (ulong)crypt.ReceivedPrefix + (ulong)StreamOffset(seq));

    // ---- Out ----

    /// <summary>The options of a protected segment without what <see cref="FixedOptionsLength"/> counts: SACK or CRYPT, with their padding.</summary>
    private int ProtectedOptionsLength
    {
        get
        {
            int crypt = CryptOptionLength;
            int sack = crypt == 0 && _agreed.Sack && _reassembler is { IsEmpty: false } ? ProtectedSackBlocks * 8 + 2 : 0;
            int all = (_ts.IsOn ? 10 : 0) + 18 + crypt + sack;
            return ((all + 3) & ~3) - FixedOptionsLength;
        }
    }

    /// <summary>One block fits beside MAC and timestamps, two without timestamps ([TD-110]).</summary>
    private int ProtectedSackBlocks => _agreed.Sack && _reassembler is { IsEmpty: false } ? Math.Min(_reassembler.RangeCount, _ts.IsOn ? 1 : 2) : 0;

    /// <summary>Octets of the CRYPT option that segments carry at the moment.</summary>
    private int CryptOptionLength => 0;

    private int WriteProtectedOptions(TcpInstant now, ref TcpOptionWriter options)
    {
        CryptBlock crypt = _crypt!;
        if (_ts.IsOn)
        {
            options.Timestamps(TsVal(now), _ts.Recent);
        }

        int tagOffset = TcpHeader.MinLength + options.Length + 2;
        options.Option(crypt.Layer.Kinds.Mac, stackalloc byte[16]);
        int blocks = ProtectedSackBlocks;
        if (blocks > 0)
        {
            WriteSack(ref options, blocks);
        }

        options.Pad();
        return tagOffset;
    }

    /// <summary>The last step before a segment leaves: encrypted, and under MAC. Does nothing for plain ones.</summary>
    private void Protect(PacketSlot packet, Seq<Local> seq, int tagOffset)
    {
        if (tagOffset < 0)
        {
            return;
        }

        CryptBlock crypt = _crypt!;
        crypt.Protection!.Seal(packet.Packet[Ipv4Header.MinLength..], tagOffset, SendOffset(crypt, seq), ReceiveOffset(crypt, _rcv.Nxt), 0);
    }

    /// <summary>How many octets from a sequence number on were first sent under the same keys ([TD-93]).</summary>
    private static long GenerationEnd(Seq<Local> seq)
    {
        _ = seq;
        return long.MaxValue;
    }

    private void StartProtection(TcpInstant now, CryptBlock crypt)
    {
        _ = now;
        _ = crypt;
    }

    // ---- In ----

    private SegmentVerdict OnSegmentProtected(TcpInstant now, scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        if (options.TagOffset < 0 || !TryOpen(seg, options, crypt))
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

        if (!seg.HasTimestamps && _ts.IsOn && !crypt.IsDraft && !seg.IsRst)
        {
            // Reference spec 12: the daemon's first MACed ACK comes without.
            return OnSegmentSynchronized(now, seg, isTimestampOptional: true);
        }

        SegmentVerdict verdict = OnSegmentSynchronized(now, seg);
        if (_verifySince != default && IsLifeSign(seg))
        {
            EndVerify();
        }

        return verdict;
    }

    private bool TryOpen(scoped in Segment seg, scoped in CryptOptions options, CryptBlock crypt)
    {
        ulong acknowledgment = seg.IsAck ? SendOffset(crypt, seg.Ack) : 0;
        return crypt.Protection!.TryOpen(seg.Octets, TcpHeader.MinLength + options.TagOffset, ReceiveOffset(crypt, seg.Seq), acknowledgment, 0);
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
        else if (options.Has(Suboptions.Init2) && crypt.Role == TcpcryptRole.C && seg.Seq == _rcv.Irs + 1)
        {
            // Without this ACK S would wait for ever.
            SendStrayAck(now);
        }
        else if (options.Has(Suboptions.Init1) && crypt.Role == TcpcryptRole.S && _unackedInit > 0 && _isInitSent && _strayBucket.TryTake(now))
        {
            _rexmitOnce = true;
            MarkReady();
        }

        return DropReason.CryptNoMac;
    }

    private void SendStrayAck(TcpInstant now)
    {
        if (_strayBucket.TryTake(now))
        {
            SendAckNow(now);
        }
    }

    // ---- RST without MAC ([TD-85]) ----

    private TcpInstant _verifySince;
    private int _verifyProbes;

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

        if (_verifySince == default)
        {
            _verifySince = now;
            _verifyProbes = 0;
            OnVerifyTimeout(now);
        }

        return DropReason.CryptResetIgnored;
    }

    private void OnCryptTimeout(TcpInstant now)
    {
        if (_verifySince != default)
        {
            OnVerifyTimeout(now);
        }
    }

    private void SendKeepAlive(TcpInstant now) => SendBare(now, _snd.Nxt - 1);

    /// <summary>Asks the peer, under MAC, whether it still has the connection; gives up when it has had long enough and said nothing.</summary>
    private void OnVerifyTimeout(TcpInstant now)
    {
        TimeSpan patience = TimeSpan.FromTicks(Math.Max(2 * _rtt.Rto.Ticks, s_verifyTime.Ticks));
        if (_verifyProbes >= VerifyProbes && now >= _verifySince + patience)
        {
            _core.Counters.CryptResetsVerified++;
            _core.Counters.TcpEstabResets++;
            ReceiveQueue.Discard();
            Finish(SocketError.ConnectionReset);
            return;
        }

        _verifyProbes++;
        SendKeepAlive(now);
        _timers.Set(TcpTimer.Crypt, now + (patience / VerifyProbes));
    }

    private void EndVerify()
    {
        _verifySince = default;
        _timers.Cancel(TcpTimer.Crypt);
    }

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
        return new TimeWaitCrypt(protection, crypt.Layer.Kinds, SendOffset(crypt, _snd.Nxt), ReceiveOffset(crypt, _rcv.Nxt), 0);
    }
}
