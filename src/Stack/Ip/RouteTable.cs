using System.Net;
using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>
/// The stack's addresses and what they reach. Each address brings its connected subnet; further routes are looked up by longest prefix; without any
/// further route everything is reached through the link. Fixed for the stack's life.
/// </summary>
internal sealed class RouteTable
{
    private readonly uint[] _addresses;
    private readonly uint[] _broadcasts;
    private readonly Entry[] _entries;
    private readonly int _linkMtu;

    public RouteTable(IReadOnlyList<IPPrefixAddress> addresses, IReadOnlyList<StackRoute> routes, int linkMtu)
    {
        _linkMtu = linkMtu;
        List<uint> own = [];
        List<uint> broadcasts = [];
        List<Entry> connected = [];
        foreach (IPPrefixAddress interfaceAddress in addresses)
        {
            Ipv4Address address = Convert(interfaceAddress.Address);
            uint mask = Mask(interfaceAddress.PrefixLength);
            own.Add(address.Value);
            connected.Add(new Entry(address.Value & mask, mask, address, linkMtu));
            if (interfaceAddress.PrefixLength <= 30)
            {
                // RFC 3021: a /31 has no broadcast address, and a /32 no subnet.
                broadcasts.Add(address.Value | ~mask);
            }
        }

        Ipv4Address first = own.Count > 0 ? new(own[0]) : default;
        List<Entry> entries = [];
        foreach (StackRoute route in routes)
        {
            uint mask = Mask(route.Destination.PrefixLength);
            Ipv4Address source = route.Source is { } chosen ? Convert(chosen) : first;
            entries.Add(new Entry(Convert(route.Destination.BaseAddress).Value & mask, mask, source, Math.Min(route.Mtu ?? linkMtu, linkMtu)));
        }

        entries.AddRange(connected);
        if (routes.Count == 0)
        {
            entries.Add(new Entry(0, 0, first, linkMtu));
        }

        _addresses = [.. own];
        _broadcasts = [.. broadcasts];

        // OrderBy is stable: an explicit route goes before a connected subnet of the same length.
        _entries = [.. entries.OrderByDescending(entry => entry.Mask)];
    }

    public bool IsLocal(Ipv4Address address) => _addresses.AsSpan().Contains(address.Value);

    /// <summary>True for the directed broadcast address of a connected subnet.</summary>
    public bool IsSubnetBroadcast(Ipv4Address address) => _broadcasts.AsSpan().Contains(address.Value) && !IsLocal(address);

    /// <summary>Finds how a unicast destination is reached; packets to the stack itself come from the address they go to.</summary>
    public bool TryFind(Ipv4Address destination, out Ipv4Route route)
    {
        route = default;
        if (!destination.IsUnicast || IsSubnetBroadcast(destination))
        {
            return false;
        }

        if (IsLocal(destination))
        {
            route = new Ipv4Route(destination, _linkMtu);
            return true;
        }

        foreach (ref readonly Entry entry in _entries.AsSpan())
        {
            if ((destination.Value & entry.Mask) == entry.Network)
            {
                route = new Ipv4Route(entry.Source, entry.Mtu);
                return !entry.Source.IsAny;
            }
        }

        return false;
    }

    private static uint Mask(int prefixLength) => prefixLength == 0 ? 0 : uint.MaxValue << (32 - prefixLength);

    private static Ipv4Address Convert(IPAddress address) =>
        Ipv4Address.TryFrom(address, out Ipv4Address result) ? result : throw new ArgumentException($"{address} is not an IPv4 address: give the stack IPv4 addresses and routes only.");

    private readonly record struct Entry(uint Network, uint Mask, Ipv4Address Source, int Mtu);
}
