namespace Tcpcrypt.Crypt;

/// <summary>Generations of valid segments that wait for what is missing before them ([TD-95], [TD-97]). Bounded: of too many the lowest is given up, which the higher ones make up for.</summary>
internal sealed class PendingGenerations
{
    private const int CountMax = 16;

    // Both numbers grow along the list: what another entry gives earlier and higher is not kept.
    private List<(ulong Offset, long Generation)>? _entries;

    public void Add(ulong offset, long generation)
    {
        _entries ??= [];
        foreach ((ulong other, long otherGeneration) in _entries)
        {
            if (other <= offset && otherGeneration >= generation)
            {
                return;
            }
        }

        _entries.RemoveAll(entry => entry.Offset >= offset && entry.Generation <= generation);
        int index = _entries.FindIndex(entry => entry.Offset > offset);
        _entries.Insert(index < 0 ? _entries.Count : index, (offset, generation));
        if (_entries.Count > CountMax)
        {
            _entries.RemoveAt(0);
        }
    }

    /// <summary>The highest generation whose segment has nothing missing before it.</summary>
    public bool TryTake(ulong received, out long generation)
    {
        generation = 0;
        if (_entries is null)
        {
            return false;
        }

        int ready = 0;
        while (ready < _entries.Count && _entries[ready].Offset <= received)
        {
            generation = _entries[ready].Generation;
            ready++;
        }

        _entries.RemoveRange(0, ready);
        return ready > 0;
    }
}
