using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.LossRecovery;

/// <summary>RACK's variables (RFC 8985 §5.2): the latest delivery in order of transmission, and how much the path reorders.</summary>
internal struct Rack
{
    /// <summary>Three duplicates, until the path shows that it reorders by more (RFC 5681).</summary>
    private const int LeastReordering = 3;

    private const int MostReordering = 300;

    /// <summary>A quarter of next to nothing says nothing of how packets overtake one another: less than this no timer is set for (as in Linux, which waits for two ticks of its clock at least).</summary>
    private static readonly TimeSpan s_leastWindow = TimeSpan.FromMilliseconds(1);

    /// <summary>Recoveries for which a larger reordering window is kept (RFC 8985 §6.2 step 4).</summary>
    private const int Persistence = 16;

    private ushort _steps = 1;
    private ushort _persist;
    private Seq<Local> _roundEnd;
    private bool _isInRound;

    public Rack()
    {
    }

    /// <summary>RACK.xmit_ts, RACK.end_seq.</summary>
    public Transmission Latest { get; private set; } = new(new TcpInstant(-1), 0, default);

    /// <summary>RACK.rtt.</summary>
    public TimeSpan Rtt { get; private set; }

    /// <summary>Something was delivered since losses were looked for.</summary>
    public bool IsAdvanced { get; set; }

    /// <summary>RACK.reordering_seen.</summary>
    public readonly bool IsReorderingSeen => ReorderingsSeen > 0;

    /// <summary>ACKs that have shown reordering; stops at the most that it holds.</summary>
    public ushort ReorderingsSeen { get; private set; }

    /// <summary>By how many segments the path is known to reorder, three at least.</summary>
    public ushort ReorderingSegments { get; private set; } = LeastReordering;

    public void OnDelivered(TimeSpan rtt, in Transmission delivered)
    {
        Rtt = rtt;
        IsAdvanced = true;
        if (delivered.IsLaterThan(Latest))
        {
            Latest = delivered;
        }
    }

    public void OnReordering(int octets, int segmentSize)
    {
        if (octets > 0)
        {
            ReorderingsSeen = (ushort)Math.Min(ReorderingsSeen + 1, ushort.MaxValue);
            ReorderingSegments = (ushort)Math.Clamp((octets + segmentSize - 1) / segmentSize, ReorderingSegments, MostReordering);
        }
    }

    /// <summary>RFC 8985 §6.2 step 4: a D-SACK means that the window was too small; once a round trip it grows.</summary>
    public void OnDuplicateSack(Seq<Local> una, Seq<Local> nxt)
    {
        if (_isInRound && una < _roundEnd)
        {
            return;
        }

        _isInRound = true;
        _roundEnd = nxt;
        _steps = (ushort)Math.Min(_steps + 1, 255);
        _persist = Persistence;
    }

    /// <summary>A recovery came to its end without an undo.</summary>
    public void OnRecoveryOver()
    {
        if (_persist > 0)
        {
            _persist--;
        }

        if (_persist == 0)
        {
            _steps = 1;
        }
    }

    /// <summary>A recovery turned out to be for nothing.</summary>
    public void OnSpurious() => _persist = (ushort)Math.Min(_persist + 1, Persistence);

    public void ForgetReordering() => ReorderingSegments = LeastReordering;

    /// <summary>RACK.reo_wnd (RFC 8985 §6.2 step 4): how much later a segment may come than one sent after it.</summary>
    public readonly TimeSpan ReorderingWindow(bool isRecovering, bool isThresholdReached, in RttEstimator rtt)
    {
        if (!IsReorderingSeen && (isRecovering || isThresholdReached))
        {
            return TimeSpan.Zero;
        }

        TimeSpan window = TimeSpan.FromTicks(rtt.MinRtt.Ticks / 4 * _steps);
        window = window < rtt.Srtt ? window : rtt.Srtt;
        return window > s_leastWindow ? window : s_leastWindow;
    }
}
