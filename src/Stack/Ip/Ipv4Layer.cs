using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

/// <summary>How a destination is reached.</summary>
internal readonly record struct Ipv4Route(Ipv4Address Source, int Mtu);

/// <summary>IPv4 of one stack: addresses, routes, input validation, reassembly, output (RFC 791, RFC 1122 §3).</summary>
internal sealed partial class Ipv4Layer
{
    private readonly StackCore _core;
    private readonly RouteTable _routes;
    private readonly PathMtuCache _pathMtus;
    private readonly IdentificationSource _identifications;
    private readonly Reassembler _reassembler;

    public Ipv4Layer(StackCore core)
    {
        _core = core;
        _routes = new RouteTable(core.Options.Addresses, core.Options.Routes, core.Options.Mtu);
        _pathMtus = new PathMtuCache(core.Random);
        _identifications = new IdentificationSource(core.Random);
        _reassembler = new Reassembler(core);
    }

    /// <summary>Octets held for datagrams that are not yet complete.</summary>
    public int ReassemblyOctets => _reassembler.Memory;

    /// <summary>True for an address of the stack's own.</summary>
    public bool IsLocalAddress(Ipv4Address address) => _routes.IsLocal(address);

    /// <summary>True for 255.255.255.255 and the directed broadcast address of a connected subnet.</summary>
    public bool IsBroadcast(Ipv4Address address) => address == Ipv4Address.Broadcast || _routes.IsSubnetBroadcast(address);

    /// <summary>True when the address can be the far end of a connection: a unicast host, not a connected subnet's broadcast address.</summary>
    public bool IsValidRemote(Ipv4Address address) => address.IsUnicast && !_routes.IsSubnetBroadcast(address);

    /// <summary>Finds the route to a destination; false = network unreachable.</summary>
    public bool TryRoute(Ipv4Address destination, out Ipv4Route route) => _routes.TryFind(destination, out route);

    /// <summary>The MTU of the path to a destination, in octets: the route's, or less where ICMP said so.</summary>
    public int PathMtu(TcpInstant now, Ipv4Address destination) =>
        _pathMtus.Get(now, destination, _routes.TryFind(destination, out Ipv4Route route) ? route.Mtu : _core.Options.Mtu);

    /// <summary>Lowers the path MTU (RFC 1191 §3); the caller has checked the hint (RFC 5927 §7). Never below <see cref="PathMtuCache.Floor"/>, never a raise.</summary>
    public void OnPathMtu(TcpInstant now, Ipv4Address destination, int mtu)
    {
        if (_routes.TryFind(destination, out Ipv4Route route) && _pathMtus.Lower(now, destination, mtu, route.Mtu))
        {
            // Whoever learnt it (a ping, say): connections to the same destination look again.
            _core.Tcp.PathMtuGeneration++;
        }
    }

    /// <summary>True when packets to this destination must leave without the don't-fragment bit: its path MTU was reported below the floor.</summary>
    public bool MayFragment(TcpInstant now, Ipv4Address destination) => _pathMtus.MayFragment(now, destination);

    /// <summary>The identification for the next packet (RFC 6864, RFC 7739: per destination and keyed; no global counter).</summary>
    public ushort NextIdentification(Ipv4Address source, Ipv4Address destination, byte protocol) => _identifications.Next(source, destination, protocol);

    /// <summary>Sends an ICMP destination unreachable about a packet, rate-limited and only where RFC 1122 §3.2.2 allows it.</summary>
    public void SendUnreachable(TcpInstant now, scoped in Ipv4Header about, byte code, int nextHopMtu = 0) =>
        _core.Icmp.SendError(now, about, IcmpType.DestinationUnreachable, code, (uint)nextHopMtu & 0xFFFF);
}
