namespace Tcpcrypt.Crypt;

/// <summary>The generations of one direction that are in use: very few at a time.</summary>
internal sealed class KeyRing : IDisposable
{
    private ShortList<DirectionKeys> _keys;
    private DirectionKeys? _latest;

    /// <summary>Keys below this generation are gone for ever.</summary>
    public long Floor { get; private set; }

    /// <summary>Null when there are none of that generation.</summary>
    public DirectionKeys? Find(long generation)
    {
        if (_latest is { } latest && latest.Generation == generation)
        {
            return latest;
        }

        for (int i = 0; i < _keys.Count; i++)
        {
            if (_keys[i].Generation == generation)
            {
                return _latest = _keys[i];
            }
        }

        return null;
    }

    public void Add(DirectionKeys keys)
    {
        _keys.Add(keys);
        _latest = keys;
    }

    /// <summary>The generation needs its master key no more: its keys exist, or never will.</summary>
    public bool IsSettled(long generation) => generation < Floor || Find(generation) is not null;

    public void ForgetBelow(long generation)
    {
        Floor = Math.Max(Floor, generation);
        for (int i = _keys.Count - 1; i >= 0; i--)
        {
            if (_keys[i].Generation < Floor)
            {
                _keys[i].Dispose();
                _keys.RemoveAt(i);
            }
        }

        _latest = null;
    }

    public void Dispose() => ForgetBelow(long.MaxValue);
}
