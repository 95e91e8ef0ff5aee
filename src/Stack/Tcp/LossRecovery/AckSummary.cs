using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.LossRecovery;

/// <summary>What one ACK tells the sender, gathered while the scoreboard takes it in.</summary>
internal struct AckSummary
{
    public AckSummary(TcpInstant now, Seq<Local> una, Seq<Local> nxt, Seq<Local> recoveryPoint, TimeSpan minRtt, uint? tsEcr)
    {
        FirstSentAt = LastSentAt = FirstSackedAt = TcpInstant.Never;
        Now = now;
        PriorUna = una;
        ReorderedAt = nxt;
        RecoveryPoint = recoveryPoint;
        MinRtt = minRtt;
        TsEcr = tsEcr;
    }

    public TcpInstant Now { get; }

    /// <summary>SND.UNA before this ACK.</summary>
    public Seq<Local> PriorUna { get; }

    public Seq<Local> RecoveryPoint { get; }

    public TimeSpan MinRtt { get; }

    /// <summary>The echo of our timestamp; null without one.</summary>
    public uint? TsEcr { get; }

    /// <summary>When the oldest octet in flight became so.</summary>
    public TcpInstant UnackedSince { get; init; }

    /// <summary>The retransmission timer has expired since the last progress.</summary>
    public bool IsAfterTimeout { get; init; }

    /// <summary>ECE: a segment of ours met congestion (RFC 3168 §6.1.2).</summary>
    public bool IsCongestionEcho { get; init; }

    /// <summary>SND.UNA moved.</summary>
    public bool IsAdvance { get; set; }

    /// <summary>Neither data nor a window update nor an advance (RFC 5681 §2).</summary>
    public bool IsDuplicate { get; set; }

    /// <summary>How many ACKs on the wire this was.</summary>
    public int Count { get; set; } = 1;

    /// <summary>Octets that this ACK was the first to tell of, cumulatively or by a block (DeliveredData of RFC 6937).</summary>
    public long Delivered { get; set; }

    /// <summary>A block told of something new.</summary>
    public bool HasSacked { get; set; }

    /// <summary>The first block was a D-SACK (RFC 2883).</summary>
    public bool IsDuplicateSack { get; set; }

    /// <summary>The D-SACK tells of the tail loss probe.</summary>
    public bool IsProbeDuplicate { get; set; }

    /// <summary>Something acknowledged cumulatively had been sent more than once: no RTT (Karn).</summary>
    public bool HasRepeated { get; set; }

    /// <summary>Something below the recovery point that was sent only once has arrived (RFC 5682 §3.1 step 3).</summary>
    public bool HasOriginal { get; set; }

    public bool IsReordered { get; set; }

    /// <summary>The lowest number that was overtaken.</summary>
    public Seq<Local> ReorderedAt { get; set; }

    /// <summary>When the first, and the last, run that was sent only once was sent; never without one.</summary>
    public TcpInstant FirstSentAt { get; private set; }
    public TcpInstant LastSentAt { get; private set; }

    /// <summary>The same of runs told of by blocks.</summary>
    public TcpInstant FirstSackedAt { get; private set; }

    /// <summary>RACK.xmit_ts, RACK.end_seq candidates (RFC 8985 §6.2 step 2): the run sent last of those delivered.</summary>
    public Transmission RackLatest { get; private set; }

    /// <summary>
    /// RACK.rtt. Deviation: of the run that is last in sequence, those acknowledged cumulatively before those of blocks, not of the one sent last; as in Linux. An ACK for a repeat and for originals behind it
    /// says how long these took, and what was sent with them has as long.
    /// </summary>
    public TimeSpan RackRtt { get; private set; }
    public bool HasRack { get; private set; }
    private bool _hasRackRtt;

    public void OnOriginal(in SentSegment run, bool isCumulative)
    {
        if (isCumulative)
        {
            FirstSentAt = FirstSentAt.IsNever ? run.SentAt : FirstSentAt;
            LastSentAt = run.SentAt;
        }
        else
        {
            FirstSackedAt = FirstSackedAt.IsNever ? run.SentAt : FirstSackedAt;
        }

        HasOriginal |= run.End <= RecoveryPoint;
    }

    public void OnDelivered(in SentSegment run, Seq<Local> end, bool isCumulative)
    {
        // An ACK of a repeat sooner than the path allows is for the original (RFC 8985 §6.2 step 2).
        if (run.Is(SentFlags.Repeated) && Now - run.SentAt < MinRtt)
        {
            return;
        }

        if (isCumulative || !_hasRackRtt)
        {
            RackRtt = Now - run.SentAt;
            _hasRackRtt |= isCumulative;
        }

        Transmission delivered = new(run.SentAt, run.Round, end);
        if (!HasRack || delivered.IsLaterThan(RackLatest))
        {
            HasRack = true;
            RackLatest = delivered;
        }
    }
}
