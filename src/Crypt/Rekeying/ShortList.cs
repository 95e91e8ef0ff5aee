namespace Tcpcrypt.Crypt;

/// <summary>A list that nearly always has at most one item, which it keeps without an object of its own. Not to be copied.</summary>
internal struct ShortList<T>
{
    private T _first;
    private List<T>? _more;

    public int Count { readonly get; private set; }

    public readonly T this[int index] => index == 0 ? _first : _more![index - 1];

    public void Add(T item)
    {
        if (Count++ == 0)
        {
            _first = item;
        }
        else
        {
            (_more ??= []).Add(item);
        }
    }

    public void RemoveAt(int index)
    {
        Count--;
        if (index > 0)
        {
            _more!.RemoveAt(index - 1);
        }
        else if (Count > 0)
        {
            _first = _more![0];
            _more.RemoveAt(0);
        }
        else
        {
            _first = default!;
        }
    }
}
