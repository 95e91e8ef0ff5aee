using System.Diagnostics;

namespace Tcpcrypt.Crypt;

/// <summary>
/// Re-keying of one connection in dialect Draft ([TD-91..100]): which generation of keys each segment has, which are tried on arrival, when generations change and which are done with. It holds no keys.
/// </summary>
/// <remarks>
/// <para>Before a segment is built: <see cref="Plan"/>; when it leaves: <see cref="OnSent"/>. On arrival: <see cref="TryGetCandidates"/>, then, with the tag right and the segment taken by TCP, <see cref="OnOpened"/>, before anything is
/// sent in answer. SYNC_REQ and SYNC_OK go to <see cref="Sync"/> directly, in front of it; SYNC_REQ of a segment that TCP discards as well. Then <see cref="OldestSend"/> and <see cref="OldestReceive"/> say what can be wiped.</para>
/// <para>When <see cref="NeedsAck"/>, a bare ACK is due; <see cref="GetDeadline"/> says when that may next change by time alone.</para>
/// </remarks>
internal sealed class SegmentRekeying
{
    public const int RekeyLength = 2;
    public const int SyncLength = 5;

    /// <summary>Room for suboptions beside MAC and timestamps ([TD-110]).</summary>
    public const int SuboptionsRoom = 10;

    /// <summary>The most generations between any two segments on their way: the peer tells them apart by 8 bits ([TD-92], [TD-94]).</summary>
    private const int SpreadMax = 126;

    /// <summary>How often a bare ACK that initiates is repeated without any data to carry the label; after that, the next data does.</summary>
    private const int RepeatsMax = 15;

    private static readonly TimeSpan s_longestRepeat = TimeSpan.FromSeconds(60);

    private readonly RekeyLimits _limits;
    private readonly GenerationMap _sent;
    private readonly PendingGenerations _pending = new();

    // Since the transmit generation changed.
    private TimeSpan _since;
    private ulong _sentBytes;
    private ulong _receivedBytes;

    // RekeyAsync waits for this generation.
    private long _target;
    private TimeSpan? _lastInitiated;

    // How labelling ends ([TD-96]); all about the current transmit generation.
    private ulong _firstOctet;
    private bool _isQuiet;
    private bool _isBareStart;
    private bool _hasSentLabel;
    private bool _isPeerSettled;
    private uint _firstClock;
    private ulong _syncNumber;
    private TimeSpan _repeatAt;
    private int _repeats;

    private bool _isRekeyOwed;

    /// <param name="sync">The connection's clocks.</param>
    /// <param name="limits">Limits.</param>
    /// <param name="sent">SND.NXT as an offset when the connection becomes encrypting: octets before it are not protected.</param>
    /// <param name="now">The time.</param>
    public SegmentRekeying(SyncClock sync, RekeyLimits limits, ulong sent, TimeSpan now)
    {
        Sync = sync;
        _limits = limits;
        _sent = new GenerationMap(sent);
        _since = now;
    }

    public SyncClock Sync { get; }

    /// <summary>t.</summary>
    public long Transmit { get; private set; }

    /// <summary>u: what segments without a label are taken for ([TD-97]).</summary>
    public long Receive { get; private set; }

    /// <summary>Segments carry REKEY: the peer may not have the current generation yet.</summary>
    public bool IsLabelling { get; private set; }

    /// <summary>The last generation that the peer is known to have.</summary>
    public long Settled { get; private set; }

    /// <summary>Send keys below are done with: all octets under them are acknowledged ([TD-98]).</summary>
    public long OldestSend => _sent.Oldest ?? Transmit;

    /// <summary>
    /// Receive keys below are done with ([TD-98]). Not when the octets under them are here: the peer repeats them, with their old label, until it has our acknowledgment, and must be answered.
    /// It stops labelling only then, so a segment without a label says that nothing older than its generation will be repeated.
    /// </summary>
    public long OldestReceive { get; private set; }

    /// <summary>RekeyAsync: asks for a new generation, initiated as soon as the rules allow it ([TD-92]).</summary>
    /// <returns>The generation that is waited for: done when <see cref="Settled"/> has reached it, whichever side initiated.</returns>
    public long Request() => _target = Math.Max(_target, Transmit + 1);

    /// <summary>Whether this host may initiate now ([TD-92]): not too soon, and not with too many generations on their way in either direction.</summary>
    public bool MayInitiate(TimeSpan now) =>
        (_lastInitiated is not { } last || now - last >= _limits.LeastInterval || _sentBytes >= _limits.LeastBytes) &&
        Transmit - OldestSend < SpreadMax && Transmit - OldestReceive < SpreadMax;

    /// <summary>A bare ACK is due: REKEY after a switch ([TD-95]), SYNC_OK ([TD-88]), an initiation without data, or its repetition.</summary>
    /// <param name="now">The time.</param>
    /// <param name="hasUnsentData">New data is about to leave and will initiate instead.</param>
    public bool NeedsAck(TimeSpan now, bool hasUnsentData) =>
        _isRekeyOwed || Sync.IsOkOwed || (IsRepeating && IsSyncDue(now)) || (!hasUnsentData && MayStartBare(now));

    /// <summary>When <see cref="NeedsAck"/> may become true by time; null: not without an event.</summary>
    public TimeSpan? GetDeadline(TimeSpan now) =>
        IsRepeating ? _repeatAt
        : _target > Transmit && !IsLabelling && _lastInitiated + _limits.LeastInterval is { } next && next > now ? next
        : null;

    /// <summary>Plans a segment; changes nothing.</summary>
    /// <param name="now">The time.</param>
    /// <param name="offset">Offset of the sequence number. Octets between SND.UNA and the last one sent are repeated, what follows is new.</param>
    /// <param name="dataEnd">Offset behind the data that would go; equal to <paramref name="offset"/> without data.</param>
    /// <param name="fin">FIN would go behind the data.</param>
    /// <param name="hasUnsentData">For a bare ACK: new data is about to leave and will initiate instead.</param>
    /// <param name="wantSync">A SYNC_REQ is wanted, as on keep-alives ([TD-89]).</param>
    /// <param name="room">Octets for suboptions: REKEY and SYNC_OK first, SYNC_REQ waits ([TD-110]).</param>
    public SegmentPlan Plan(TimeSpan now, ulong offset, ulong dataEnd, bool fin, bool hasUnsentData = false, bool wantSync = false, int room = SuboptionsRoom)
    {
        ulong end = dataEnd + (fin ? 1UL : 0);
        bool isBare = end == offset;
        bool starts = isBare
            ? offset == _sent.End && !hasUnsentData && MayStartBare(now) && room >= RekeyLength + SyncLength + (Sync.IsOkOwed ? SyncLength : 0)
            : dataEnd > offset && dataEnd > _sent.End && MayInitiate(now) && IsDue(now);
        long generation = Transmit + (starts ? 1 : 0);
        if (!isBare && offset < _sent.End)
        {
            // Repeated octets keep their keys; new ones may follow in the same segment when they have the same.
            (long first, ulong rangeEnd) = _sent.Find(offset);
            end = rangeEnd == _sent.End && first == generation ? end : Math.Min(end, rangeEnd);
            starts = false;
            generation = first;
        }

        bool hasRekey = IsLabelling || starts;
        bool hasOk = Sync.IsOkOwed && room >= SyncLength + (hasRekey ? RekeyLength : 0);
        bool hasRequest = ((isBare && starts) || wantSync || (isBare && generation == Transmit && offset == _sent.End && IsSyncDue(now))) &&
            room >= SyncLength + (hasRekey ? RekeyLength : 0) + (hasOk ? SyncLength : 0);
        return new SegmentPlan
        {
            Generation = generation,
            End = end,
            HasRekey = hasRekey,
            Starts = starts,
            SyncOk = hasOk ? Sync.Highest : null,
            SyncRequest = hasRequest ? Sync.NextRequest : null,
        };
    }

    /// <summary>A planned segment leaves.</summary>
    /// <param name="now">The time.</param>
    /// <param name="plan">The plan; nothing has happened since it was made.</param>
    /// <param name="offset">Offset of the sequence number, as planned.</param>
    /// <param name="end">Offset behind its last octet, FIN included; not above the plan's.</param>
    /// <param name="rto">The retransmission time-out, for repeating a bare ACK that initiates.</param>
    public void OnSent(TimeSpan now, in SegmentPlan plan, ulong offset, ulong end, TimeSpan rto)
    {
        Debug.Assert(end <= plan.End, "a segment never mixes generations");
        if (plan.Starts)
        {
            _lastInitiated = now;
            Switch(now, plan.Generation);
            _isBareStart = end == offset;
        }

        if (end > _sent.End)
        {
            _sentBytes += end - _sent.End;
            _sent.Append(end, plan.Generation);
        }

        if (plan.SyncOk is not null)
        {
            Sync.OnOkSent();
        }

        bool isOfTransmit = plan.HasRekey && plan.Generation == Transmit;
        if (isOfTransmit)
        {
            _hasSentLabel = true;
            _isRekeyOwed = false;
        }

        if (plan.SyncRequest is { } clock)
        {
            Sync.OnRequestSent();
            OnRequestSent(now, clock, isOfTransmit && end >= _sent.End, rto);
        }
    }

    /// <summary>Which receive keys to try on a segment, at most two ([TD-124]).</summary>
    /// <param name="keyLsb">KeyLSB of REKEY; null without a label.</param>
    /// <param name="first">The first to try.</param>
    /// <param name="second">The second; equal to the first when there is none.</param>
    /// <returns>False: the segment is dropped ([TD-94]).</returns>
    public bool TryGetCandidates(byte? keyLsb, out long first, out long second)
    {
        if (keyLsb is { } label)
        {
            bool isKnown = ExtendedNumber.TryExtendGeneration(Transmit, label, out first);
            second = first;
            return isKnown && first >= OldestReceive;
        }

        // [TD-97]: u, then u-1. But while the peer has to follow us, t: it may have stopped labelling for [TD-96] (b) with its labelled segments lost, and what is under u-1 it repeats with a label.
        first = Math.Max(Receive, OldestReceive);
        second = Transmit > first ? Transmit : Math.Max(first - 1, OldestReceive);
        return true;
    }

    /// <summary>A segment with a valid tag went through TCP.</summary>
    /// <param name="now">The time.</param>
    /// <param name="generation">The keys that opened it.</param>
    /// <param name="hasLabel">It had REKEY.</param>
    /// <param name="offset">Offset of its sequence number.</param>
    /// <param name="octets">Its data.</param>
    /// <param name="received">RCV.NXT as an offset, this segment included.</param>
    /// <param name="acknowledged">SND.UNA as an offset, this segment included.</param>
    public void OnOpened(TimeSpan now, long generation, bool hasLabel, ulong offset, int octets, ulong received, ulong acknowledged)
    {
        _sent.Acknowledge(acknowledged);
        _receivedBytes += (ulong)octets;
        if (generation > Receive)
        {
            _pending.Add(offset, generation);
        }

        if (_pending.TryTake(received, out long ready))
        {
            Receive = Math.Max(Receive, ready);
            if (ready > Transmit)
            {
                // [TD-95]: the peer re-keyed, we follow and say so at once.
                Switch(now, ready);
                _isRekeyOwed = true;
            }
        }

        if (!hasLabel)
        {
            OldestReceive = Math.Max(OldestReceive, generation);
            _isPeerSettled |= generation == Transmit;
        }

        if (_receivedBytes >= _limits.AfterBytes)
        {
            Request();
        }

        Settle();
    }

    /// <summary>An initiating bare ACK waits for its answer, or RekeyAsync for the end of labelling, and no data will bring it about.</summary>
    private bool IsRepeating => CanSync && _repeats <= RepeatsMax && (_isBareStart || _target > Settled);

    /// <summary>Only a bare ACK can carry the label on, and SYNC_REQ under it proves what no data does.</summary>
    private bool CanSync => IsLabelling && _sent.IsEmpty && _sent.End == _firstOctet && Sync.NextRequest is not null;

    private bool IsDue(TimeSpan now) => _target > Transmit || _sentBytes >= _limits.AfterBytes || now - _since >= _limits.After;

    // [TD-92]: not without data while one is running.
    private bool MayStartBare(TimeSpan now) => _target > Transmit && !IsLabelling && MayInitiate(now) && Sync.NextRequest is not null;

    /// <summary>
    /// A bare ACK asks for the proof that [TD-96] (a) needs: to repeat an initiation, where (b) proves nothing, or where somebody waits and the peer may have nothing to say.
    /// </summary>
    private bool IsSyncDue(TimeSpan now) =>
        CanSync && (_isBareStart || !_isQuiet || _target > Settled) && (_firstClock == 0 || now >= _repeatAt);

    private void Switch(TimeSpan now, long generation)
    {
        Transmit = generation;
        IsLabelling = true;
        _since = now;
        _sentBytes = 0;
        _receivedBytes = 0;
        _firstOctet = _sent.End;
        _isQuiet = _sent.IsEmpty;
        _isBareStart = false;
        _hasSentLabel = false;
        _isPeerSettled = false;
        _firstClock = 0;
        _repeats = 0;
    }

    private void OnRequestSent(TimeSpan now, uint clock, bool isProof, TimeSpan rto)
    {
        if (!isProof)
        {
            // Its answer, which may stand for earlier requests too, does not say that the peer took a segment of this generation.
            _firstClock = 0;
            return;
        }

        _firstClock = _firstClock == 0 ? clock : _firstClock;
        _syncNumber = _sent.End;
        TimeSpan wait = rto * (1 << Math.Min(_repeats, 10));
        _repeatAt = now + (wait > s_longestRepeat ? s_longestRepeat : wait);
        _repeats++;
    }

    /// <summary>
    /// Labelling ends when the peer has the generation for sure ([TD-96]): (a) an octet first sent under it is acknowledged, or a SYNC_REQ under it is answered with its number covered;
    /// (b) the peer uses the generation without a label. The peer may have learnt from an acknowledgment in a repeated segment of older keys that we switched, and not have taken
    /// one of this generation; so (b) counts only when no octets were on their way at the switch, and all are acknowledged.
    /// </summary>
    private void Settle()
    {
        if (IsLabelling && (_sent.Start > _firstOctet
            || (Sync.HasAnswered(_firstClock) && _sent.Start >= _syncNumber)
            || (_isPeerSettled && _isQuiet && _hasSentLabel && _sent.IsEmpty)))
        {
            IsLabelling = false;
            _isRekeyOwed = false;
            Settled = Transmit;
        }
    }
}
