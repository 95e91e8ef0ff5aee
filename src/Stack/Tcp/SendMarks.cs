namespace Tcpcrypt.Tcp;

/// <summary>What an application has said of how its octets belong together (MSG_MORE, MSG_EOR); made when it first does.</summary>
internal sealed class SendMarks
{
    /// <summary>Stream offsets behind records that are not acknowledged, in order.</summary>
    private readonly List<long> _recordEnds = [];

    /// <summary>More was announced: a segment that is not full waits for it, or for an ACK, or for the cork's time.</summary>
    public bool HoldsTail { get; set; }

    /// <summary>Where the octets end behind which more was announced: a segment that ends there has no PSH.</summary>
    public long OpenTail { get; set; } = -1;

    /// <summary>No segment reaches beyond this offset.</summary>
    public void EndRecord(long offset, long acknowledged)
    {
        int done = _recordEnds.BinarySearch(acknowledged);
        _recordEnds.RemoveRange(0, done < 0 ? ~done : done + 1);
        _recordEnds.Add(offset);
    }

    /// <summary>How many octets from an offset on may be in one segment.</summary>
    public long RestOfRecord(long offset)
    {
        int index = _recordEnds.BinarySearch(offset + 1);
        index = index < 0 ? ~index : index;
        return index < _recordEnds.Count ? _recordEnds[index] - offset : long.MaxValue;
    }

    public bool IsRecordEnd(long offset) => _recordEnds.BinarySearch(offset) >= 0;
}
