using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.LossRecovery;

/// <summary>What a reduction of the window can be taken back with, once it turns out that nothing was lost.</summary>
internal sealed class Undo
{
    /// <summary>The episode can still be taken back.</summary>
    public bool IsPossible;

    /// <summary>The episode began since later segments had arrived, not since time had run out: when it was for nothing, the path reorders.</summary>
    public bool IsOvertaken;

    /// <summary>TSval of the episode's first repeat (RFC 3522's RetransmitTS).</summary>
    public uint? RepeatedAt;

    /// <summary>Octets sent again in the episode and not yet reported as duplicates; -1 before the first.</summary>
    public long Repeats;

    /// <summary>When <see cref="RepeatedAt"/> was.</summary>
    public TcpInstant RepeatedSince;

    public long PriorCwnd;

    /// <summary>0: congestion was signalled too, which is not taken back.</summary>
    public long PriorSsthresh;

    public void OnRepeated(int octets, uint tsVal, TcpInstant now)
    {
        if (RepeatedAt is null)
        {
            RepeatedAt = tsVal;
            RepeatedSince = now;
        }

        Repeats = Math.Max(Repeats, 0) + octets;
    }

    public void OnDuplicate(int octets)
    {
        if (IsPossible && Repeats > 0)
        {
            Repeats = Math.Max(Repeats - octets, 0);
        }
    }
}
