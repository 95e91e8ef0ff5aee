namespace Tcpcrypt.Crypt;

/// <summary>Joins octets.</summary>
internal ref struct SpanWriter(Span<byte> area)
{
    private readonly Span<byte> _area = area;
    private int _length;

    public readonly ReadOnlySpan<byte> Written => _area[.._length];

    public void Write(scoped ReadOnlySpan<byte> octets)
    {
        octets.CopyTo(_area[_length..]);
        _length += octets.Length;
    }
}
