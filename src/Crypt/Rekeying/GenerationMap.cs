using System.Diagnostics;

namespace Tcpcrypt.Crypt;

/// <summary>Which generation of keys the octets that are not acknowledged yet were first sent under ([TD-93]). It grows with the offset, so a few ranges say it all.</summary>
internal sealed class GenerationMap(ulong end)
{
    // The first octet of each range; a range ends where the next begins, the last at End.
    private ShortList<(ulong Start, long Generation)> _ranges;

    /// <summary>The offset behind all octets ever sent.</summary>
    public ulong End { get; private set; } = end;

    /// <summary>The offset of the first octet that is not acknowledged; <see cref="End"/> when all are.</summary>
    public ulong Start { get; private set; } = end;

    /// <summary>Every octet ever sent is acknowledged.</summary>
    public bool IsEmpty => Start == End;

    /// <summary>The generation of the oldest octet that is not acknowledged; null when all are.</summary>
    public long? Oldest => IsEmpty ? null : _ranges[0].Generation;

    /// <summary>The generation of an octet that was sent, and where its range ends.</summary>
    public (long Generation, ulong End) Find(ulong offset)
    {
        Debug.Assert(offset >= Start && offset < End, "what is acknowledged is not repeated");
        int index = _ranges.Count - 1;
        while (index > 0 && _ranges[index].Start > offset)
        {
            index--;
        }

        return (_ranges[index].Generation, index + 1 < _ranges.Count ? _ranges[index + 1].Start : End);
    }

    /// <summary>Octets leave for the first time.</summary>
    public void Append(ulong end, long generation)
    {
        if (_ranges.Count == 0 || _ranges[_ranges.Count - 1].Generation != generation)
        {
            _ranges.Add((End, generation));
        }

        End = end;
    }

    /// <summary>SND.UNA has moved.</summary>
    public void Acknowledge(ulong una)
    {
        Start = Math.Clamp(una, Start, End);
        while (_ranges.Count > 0 && (_ranges.Count > 1 ? _ranges[1].Start : End) <= Start)
        {
            _ranges.RemoveAt(0);
        }
    }
}
