using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>Pure predicates on sequence numbers: RFC 9293 §3.4, RFC 5961, RFC 7323 §5.</summary>
internal static class Acceptability
{
    /// <summary>The four-row segment test of RFC 9293 §3.10.7.4, first.</summary>
    public static bool IsAcceptable(Seq<Remote> seq, int length, Seq<Remote> rcvNxt, uint rcvWnd)
    {
        if (length == 0)
        {
            return rcvWnd == 0 ? seq == rcvNxt : IsInWindow(seq, rcvNxt, rcvWnd);
        }

        return rcvWnd > 0 && (IsInWindow(seq, rcvNxt, rcvWnd) || IsInWindow(seq + (length - 1), rcvNxt, rcvWnd) || Covers(seq, length, rcvNxt));
    }

    /// <summary>RCV.NXT =&lt; SEQ &lt; RCV.NXT + RCV.WND.</summary>
    public static bool IsInWindow(Seq<Remote> seq, Seq<Remote> rcvNxt, uint rcvWnd) => unchecked(seq.Value - rcvNxt.Value) < rcvWnd;

    /// <summary>RFC 5961 §5.2: SND.UNA - MAX.SND.WND =&lt; SEG.ACK =&lt; SND.NXT.</summary>
    public static bool IsAckInRange(Seq<Local> ack, Seq<Local> una, Seq<Local> nxt, uint maxSndWnd) => ack <= nxt && una - ack <= (long)maxSndWnd;

    /// <summary>RFC 7323 §5.2: the timestamp is older than the most recent one (modulo 2^32).</summary>
    public static bool IsTimestampOlder(uint tsVal, uint tsRecent) => unchecked((int)(tsVal - tsRecent)) < 0;

    /// <summary>True for a segment that starts before the window and ends behind it (a super-segment over a small window): some octet of it is in the window.</summary>
    private static bool Covers(Seq<Remote> seq, int length, Seq<Remote> rcvNxt) => seq <= rcvNxt && seq + length > rcvNxt;
}
