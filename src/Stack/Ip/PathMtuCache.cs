using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>
/// Path MTUs learnt from ICMP (RFC 1191). Reports only ever lower an entry, and it is forgotten ten minutes later, so that a longer path is found again
/// (§6.3); the number of entries is bounded, the oldest gives way.
/// </summary>
/// <remarks>
/// Deviation: RFC 1191 §3 allows 68 octets. Below 552 the path MTU is taken as 552 and <see cref="MayFragment"/> says that the don't-fragment bit is to be
/// cleared, as Linux does: otherwise a forged report makes a stack send 28 octets of payload per packet.
/// </remarks>
internal sealed class PathMtuCache(IRandomSource random)
{
    /// <summary>The least MTU that a report can bring about.</summary>
    public const int Floor = 552;

    public const int Capacity = 4096;

    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(10);

    /// <summary>RFC 1191 §7.1: the MTUs that exist, for routers that do not say theirs.</summary>
    private static readonly int[] s_plateaus = [65_535, 32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

    private readonly Dictionary<Ipv4Address, Entry> _entries = new(new KeyedComparer(random));

    /// <summary>Destinations, the one that expires first in front.</summary>
    private readonly LinkedList<Ipv4Address> _byAge = new();

    public int Count => _entries.Count;

    /// <summary>The greatest plateau below the length of a packet that was too big (RFC 1191 §5).</summary>
    public static int PlateauBelow(int length)
    {
        foreach (int plateau in s_plateaus)
        {
            if (plateau < length)
            {
                return plateau;
            }
        }

        return s_plateaus[^1];
    }

    /// <summary>The path's MTU: the route's, or less where a report said so.</summary>
    public int Get(TcpInstant now, Ipv4Address destination, int routeMtu) =>
        _entries.Count > 0 && TryGet(now, destination, out Entry entry) ? Math.Min(entry.Mtu, routeMtu) : routeMtu;

    /// <summary>True when the path's MTU was reported below <see cref="Floor"/>: packets must leave without the don't-fragment bit.</summary>
    public bool MayFragment(TcpInstant now, Ipv4Address destination) =>
        _entries.Count > 0 && TryGet(now, destination, out Entry entry) && entry.IsBelowFloor;

    /// <summary>A report. Returns false when it changed nothing: it can only lower.</summary>
    public bool Lower(TcpInstant now, Ipv4Address destination, int mtu, int routeMtu)
    {
        bool isBelowFloor = mtu < Math.Min(Floor, routeMtu);
        mtu = Math.Max(mtu, Math.Min(Floor, routeMtu));
        bool isKnown = TryGet(now, destination, out Entry old);
        int current = isKnown ? Math.Min(old.Mtu, routeMtu) : routeMtu;
        if (mtu >= current && !(isBelowFloor && !old.IsBelowFloor))
        {
            return false;
        }

        if (isKnown)
        {
            _byAge.Remove(old.Age!);
        }
        else if (_entries.Count >= Capacity)
        {
            _entries.Remove(_byAge.First!.Value);
            _byAge.RemoveFirst();
        }

        _entries[destination] = new Entry(Math.Min(mtu, current), isBelowFloor || old.IsBelowFloor, now + Lifetime, _byAge.AddLast(destination));
        return true;
    }

    private bool TryGet(TcpInstant now, Ipv4Address destination, out Entry entry)
    {
        if (!_entries.TryGetValue(destination, out entry))
        {
            return false;
        }

        if (now < entry.Expires)
        {
            return true;
        }

        _byAge.Remove(entry.Age!);
        _entries.Remove(destination);
        entry = default;
        return false;
    }

    private readonly record struct Entry(int Mtu, bool IsBelowFloor, TcpInstant Expires, LinkedListNode<Ipv4Address>? Age);
}
