namespace Tcpcrypt.Crypt;

/// <summary>SYNC_REQ and SYNC_OK ([TD-87..90]): proof that the peer is alive now, since a tag is valid again when its segment is replayed.</summary>
internal sealed class SyncClock
{
    private uint _answered;

    /// <summary>The clock of the last SYNC_REQ that was sent; 0 before the first.</summary>
    public uint LastRequest { get; private set; }

    /// <summary>The clock of the next SYNC_REQ: a counter, so no uptime leaks and each is fresh ([TD-87]). Null when the counter is used up, after 2^32 of them.</summary>
    public uint? NextRequest => LastRequest == uint.MaxValue ? null : LastRequest + 1;

    /// <summary>A SYNC_REQ is to be answered ([TD-88]).</summary>
    public bool IsOkOwed { get; private set; }

    /// <summary>What SYNC_OK says: the highest clock received ([TD-88]).</summary>
    public uint Highest { get; private set; }

    /// <summary>The last SYNC_REQ was answered ([TD-90]).</summary>
    public bool IsAnswered => LastRequest != 0 && _answered == LastRequest;

    /// <summary>Whether a SYNC_REQ with this clock, or a later one, was answered.</summary>
    public bool HasAnswered(uint clock) => clock != 0 && _answered >= clock;

    /// <summary>A SYNC_REQ with <see cref="NextRequest"/> left.</summary>
    public void OnRequestSent() => LastRequest = NextRequest ?? LastRequest;

    /// <summary>A SYNC_OK with <see cref="Highest"/> left: it answers all requests so far.</summary>
    public void OnOkSent() => IsOkOwed = false;

    /// <summary>A SYNC_REQ came in a segment with a valid tag, acceptable to TCP or not ([TD-88], [TD-128]).</summary>
    public void OnRequest(uint clock)
    {
        Highest = Math.Max(Highest, clock);
        IsOkOwed = true;
    }

    /// <summary>A SYNC_OK came in a segment with a valid tag.</summary>
    /// <returns>A sign of life: it answers our last request ([TD-90]). What is older may be a replay; what we never asked counts for nothing.</returns>
    public bool OnOk(uint clock)
    {
        if (clock > LastRequest)
        {
            return false;
        }

        _answered = Math.Max(_answered, clock);
        return LastRequest != 0 && clock == LastRequest;
    }
}
