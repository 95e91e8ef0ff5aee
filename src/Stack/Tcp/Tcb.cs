using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>
/// The send sequence variables (RFC 9293 §3.3.1).
/// <code>
///            1         2          3          4
///       ----------|----------|----------|----------
///              SND.UNA    SND.NXT    SND.UNA+SND.WND
///  1 acknowledged, 2 in flight, 3 may be sent now, 4 not yet
/// </code>
/// </summary>
internal struct SendVariables
{
    /// <summary>SND.UNA: oldest unacknowledged sequence number.</summary>
    public Seq<Local> Una;

    /// <summary>SND.NXT: next sequence number to be sent for the first time.</summary>
    public Seq<Local> Nxt;

    /// <summary>SND.WND: the peer's window, scaled, in octets.</summary>
    public uint Wnd;

    /// <summary>SND.WL1, SND.WL2: segment sequence and acknowledgment number of the last window update.</summary>
    public Seq<Remote> Wl1;
    public Seq<Local> Wl2;

    /// <summary>ISS: our initial sequence number.</summary>
    public Seq<Local> Iss;

    /// <summary>SND.UP: the octet behind the urgent data.</summary>
    public Seq<Local> Up;
    public bool HasUrgent;

    /// <summary>SND.SML (draft-minshall-nagle): behind the last segment sent that was not full.</summary>
    public Seq<Local> Sml;

    /// <summary>MAX.SND.WND (RFC 5961 §5.2): the largest window seen.</summary>
    public uint MaxWnd;

    /// <summary>Snd.Wind.Shift (RFC 7323 §2.2).</summary>
    public byte Shift;
}

/// <summary>
/// The receive sequence variables (RFC 9293 §3.3.1).
/// <code>
///            1          2          3
///        ----------|----------|----------
///               RCV.NXT    RCV.ADV = RCV.NXT+RCV.WND
///  1 received, 2 the window announced, 3 not allowed
/// </code>
/// </summary>
internal struct ReceiveVariables
{
    /// <summary>RCV.NXT: next sequence number expected.</summary>
    public Seq<Remote> Nxt;

    /// <summary>The right edge of the window: it never moves left (RFC 9293 SHLD-14).</summary>
    public Seq<Remote> Adv;

    /// <summary>IRS: the peer's initial sequence number.</summary>
    public Seq<Remote> Irs;

    /// <summary>Stream offset behind the urgent data (RCV.UP); -1 without.</summary>
    public long UrgentOffset;

    /// <summary>Rcv.Wind.Shift (RFC 7323 §2.2).</summary>
    public byte Shift;

    /// <summary>RCV.WND.</summary>
    public readonly uint Wnd => unchecked(Adv.Value - Nxt.Value);
}

/// <summary>The timestamps' state (RFC 7323 §4).</summary>
internal struct TimestampVariables
{
    public bool IsOn;

    /// <summary>TS.Recent, and when it was taken (§5.5: invalid after 24 days).</summary>
    public uint Recent;
    public Core.TcpInstant RecentAt;

    /// <summary>Last.ACK.sent.</summary>
    public Seq<Remote> LastAckSent;

    /// <summary>Added to the clock in TSval (§5.4).</summary>
    public uint Offset;
}

/// <summary>What the two SYNs agreed on; settled once.</summary>
internal readonly record struct SynAgreement
{
    /// <summary>The peer's MSS option or 536 (RFC 9293 MUST-15).</summary>
    public required int PeerMss { get; init; }

    public bool WindowScaling { get; init; }

    /// <summary>The peer's shift, at most 14 (RFC 7323 §2.3).</summary>
    public byte PeerShift { get; init; }

    public bool Timestamps { get; init; }

    public bool Sack { get; init; }

    /// <summary>Explicit congestion notification (RFC 3168 §6.1.1): settled by flags, not by an option.</summary>
    public bool Ecn { get; init; }

    /// <summary>The least MSS believed: below it options alone would not leave room for data (CVE-2019-11479).</summary>
    public const int PeerMssFloor = 48;

    public const int DefaultMss = 536;

    /// <summary>Octets of the timestamps option with its padding (RFC 7323 appendix A).</summary>
    public const int TimestampsLength = 12;

    /// <summary>Combines the peer's options with what we offer.</summary>
    public static SynAgreement From(in SynOptions peer, TcpStackOptions ours) => new()
    {
        PeerMss = Math.Max(peer.MaximumSegmentSize ?? DefaultMss, (ushort)PeerMssFloor),
        WindowScaling = ours.WindowScaling && peer.WindowScale is not null,
        PeerShift = ours.WindowScaling ? Math.Min(peer.WindowScale ?? 0, (byte)14) : (byte)0,
        Timestamps = ours.Timestamps && peer.HasTimestamps,
        Sack = ours.SelectiveAcknowledgments && peer.SackPermitted,
    };

    /// <summary>The shift that lets a receive buffer be announced in 16 bits (RFC 7323 §2.3).</summary>
    public static byte ShiftFor(int receiveBuffer)
    {
        byte shift = 0;
        while (shift < 14 && receiveBuffer >> shift > 0xFFFF)
        {
            shift++;
        }

        return shift;
    }
}

/// <summary>What became of a received segment: processed, or dropped and why.</summary>
internal readonly record struct SegmentVerdict(Core.DropReason Reason)
{
    public static readonly SegmentVerdict Processed;

    public bool IsDrop => Reason != Core.DropReason.None;

    public static implicit operator SegmentVerdict(Core.DropReason reason) => new(reason);
}
