namespace Tcpcrypt.Crypt;

/// <summary>
/// Walks the options of a header by position. Always advances and always ends: at EOL, as TCP does ([TD-10]), and at an illegal length, which <see cref="IsMalformed"/> tells.
/// NOPs are stepped over.
/// </summary>
internal ref struct OptionWalk(ReadOnlySpan<byte> options)
{
    private const byte EndOfList = 0;
    private const byte NoOperation = 1;

    private readonly ReadOnlySpan<byte> _options = options;
    private int _next;

    public byte Kind { get; private set; }

    /// <summary>Where the option's kind is.</summary>
    public int Start { get; private set; }

    /// <summary>Kind and length counted.</summary>
    public int Length { get; private set; }

    /// <summary>The walk stopped at an option with a length of 0 or 1, or past the header; <see cref="Kind"/> and <see cref="Start"/> are that option's.</summary>
    public bool IsMalformed { get; private set; }

    public readonly ReadOnlySpan<byte> Content => _options.Slice(Start + 2, Length - 2);

    public bool MoveNext()
    {
        while (_next < _options.Length && _options[_next] == NoOperation)
        {
            _next++;
        }

        if (_next >= _options.Length || _options[_next] == EndOfList)
        {
            return false;
        }

        Kind = _options[_next];
        Start = _next;
        Length = _next + 1 < _options.Length ? _options[_next + 1] : 0;
        if (Length < 2 || Length > _options.Length - Start)
        {
            IsMalformed = true;
            _next = _options.Length;
            return false;
        }

        _next += Length;
        return true;
    }
}
