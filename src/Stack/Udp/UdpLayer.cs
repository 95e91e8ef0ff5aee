using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Udp;

/// <summary>UDP of one stack (RFC 768, RFC 1122 §4.1): ports, demultiplexing, errors; mapped destinations in UdpForwarding.cs.</summary>
internal sealed partial class UdpLayer
{
    /// <summary>The longest payload: 65,535 less the headers of IP and UDP.</summary>
    public const int MaxPayloadLength = Ipv4Layer.MaxPayloadLength - UdpHeader.Length;

    private readonly StackCore _core;

    /// <summary>The endpoints of each port; there is at most one for a local address, and none beside one for the any address.</summary>
    private readonly Dictionary<ushort, UdpEndpoint> _ports = [];

    public UdpLayer(StackCore core)
    {
        _core = core;
        _flows = new Dictionary<FourTuple, UdpFlowEndpoint>(new KeyedComparer(core.Random));
        _flowBudget = new OctetBudget(core.Options.MemoryLimit / 16);
    }

    /// <summary>A datagram for a local, mapped or broadcast address.</summary>
    public void OnDatagram(TcpInstant now, scoped in Ipv4Header ip, PacketSlot packet)
    {
        if (!UdpHeader.TryParse(ip.Payload, out UdpHeader udp))
        {
            _core.Counters.UdpInErrors++;
            _core.Drop(now, DropReason.UdpMalformed, ip.Octets);
            return;
        }

        // Before anything else: a damaged datagram must not even cause a port unreachable (HI_UDP_03).
        if (packet.Checksum == ChecksumState.Unverified && udp.Checksum != 0
            && !InternetChecksum.IsValid(udp.Octets, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Udp, udp.Octets.Length)))
        {
            _core.Counters.UdpInErrors++;
            _core.Drop(now, DropReason.UdpBadChecksum, ip.Octets);
            return;
        }

        FourTuple tuple = new(ip.Destination, udp.DestinationPort, ip.Source, udp.SourcePort);
        UdpArrival about = new(0, udp.Payload.Length, tuple.Remote, ip.Destination, ip.TimeToLive, ip.TypeOfService);
        DropReason reason;
        if (Find(tuple) is { } endpoint)
        {
            reason = endpoint.TryQueue(udp.Payload, about) ? DropReason.None : DropReason.UdpQueueFull;
            if (reason == DropReason.None)
            {
                _core.Raise(endpoint, CoreEvents.Readable);
            }
        }
        else
        {
            reason = OnMapped(now, tuple, udp.Payload, about);
        }

        switch (reason)
        {
            case DropReason.None:
                _core.Counters.UdpInDatagrams++;
                return;
            case DropReason.UdpNoPort:
                _core.Counters.UdpNoPorts++;
                _core.Drop(now, reason, ip.Octets);

                // The error quotes the datagram as its sender sent it: not with the checksum that the device left to us.
                SoftwareOffload.CompleteChecksum(packet);
                _core.Ip.SendUnreachable(now, ip, UnreachableCode.Port);
                return;
            default:
                _core.Counters.UdpInErrors++;
                _core.Drop(now, reason, ip.Octets);
                return;
        }
    }

    /// <summary>An error about a datagram of ours: told to a connected endpoint only, since no other can say which of its peers it is about (RFC 1122 §4.1.3.3).</summary>
    public void OnIcmpError(TcpInstant now, scoped in IcmpError error)
    {
        // Datagrams leave without the don't-fragment bit: no router has reason to say that one was too big.
        if (!error.IsFragmentationNeeded && Find(error.Tuple) is { Remote: { } } endpoint)
        {
            endpoint.SetError(error.SocketError);
            _core.Raise(endpoint, CoreEvents.Notice);
            return;
        }

        _core.Counters.CountDrop(DropReason.IcmpNoSuchFlow);
    }

    /// <summary>Binds a port. Port 0 = one is chosen (RFC 6056); the any address = all local ones. Fails with AddressNotAvailable or AddressAlreadyInUse.</summary>
    public SocketError Bind(Endpoint4 local, out UdpEndpoint? endpoint)
    {
        endpoint = null;
        if (!local.Address.IsAny && !_core.Ip.IsLocalAddress(local.Address))
        {
            return SocketError.AddressNotAvailable;
        }

        ushort port = local.Port;
        if (port == 0 ? !TryChoosePort(local.Address, out port) : IsTaken(local))
        {
            return SocketError.AddressAlreadyInUse;
        }

        endpoint = new UdpEndpoint(this, local with { Port = port });
        _ports.TryGetValue(port, out UdpEndpoint? others);
        endpoint.NextOnPort = others;
        _ports[port] = endpoint;
        return SocketError.Success;
    }

    internal SocketError Connect(UdpEndpoint endpoint, Endpoint4 remote)
    {
        if (endpoint.IsClosed)
        {
            return SocketError.OperationAborted;
        }

        SocketError error = CheckRemote(remote, out Ipv4Route route);
        if (error != SocketError.Success)
        {
            return error;
        }

        if (endpoint.Local.Address.IsAny)
        {
            endpoint.Local = endpoint.Local with { Address = route.Source };
        }

        endpoint.Remote = remote;
        return SocketError.Success;
    }

    /// <summary>Sends a datagram; checksums are always computed (RFC 1122 §4.1.3.4).</summary>
    internal SocketError Send(TcpInstant now, Endpoint4 local, Endpoint4 remote, ReadOnlySpan<byte> payload, byte timeToLive, byte typeOfService)
    {
        if (payload.Length > MaxPayloadLength)
        {
            return SocketError.MessageSize;
        }

        SocketError error = CheckRemote(remote, out Ipv4Route route);
        if (error == SocketError.Success)
        {
            error = _core.Ip.BeginDatagram(now, remote.Address, UdpHeader.Length + payload.Length, dontFragment: false, out OutgoingDatagram datagram);
            if (error == SocketError.Success)
            {
                Endpoint4 source = local.Address.IsAny ? local with { Address = route.Source } : local;
                payload.CopyTo(datagram.Payload[UdpHeader.Length..]);
                UdpHeader.Write(datagram.Payload, source, remote);
                error = _core.Ip.SendDatagram(datagram, IpProtocol.Udp, source.Address, Math.Max(timeToLive, (byte)1), typeOfService);
            }
        }

        if (error == SocketError.Success)
        {
            _core.Counters.UdpOutDatagrams++;
        }

        return error;
    }

    internal void Close(UdpEndpoint endpoint)
    {
        if (endpoint.IsClosed)
        {
            return;
        }

        endpoint.IsClosed = true;
        endpoint.Discard();
        ushort port = endpoint.Local.Port;
        UdpEndpoint first = _ports[port];
        if (first == endpoint)
        {
            if (endpoint.NextOnPort is { } next)
            {
                _ports[port] = next;
            }
            else
            {
                _ports.Remove(port);
            }
        }
        else
        {
            while (first.NextOnPort != endpoint)
            {
                first = first.NextOnPort!;
            }

            first.NextOnPort = endpoint.NextOnPort;
        }

        endpoint.NextOnPort = null;
        _core.Raise(endpoint, CoreEvents.Closed);
    }

    /// <summary>Connected to this very peer, else bound to this address, else bound to all.</summary>
    private UdpEndpoint? Find(in FourTuple tuple)
    {
        if (!_ports.TryGetValue(tuple.Local.Port, out UdpEndpoint? candidate))
        {
            return null;
        }

        UdpEndpoint? any = null;
        for (; candidate is not null; candidate = candidate.NextOnPort)
        {
            bool isPeer = candidate.Remote is null || candidate.Remote == tuple.Remote;
            if (isPeer && candidate.Local.Address == tuple.Local.Address)
            {
                return candidate;
            }

            if (isPeer && candidate.Local.Address.IsAny && !IsMappedElsewhere(tuple.Local.Address))
            {
                any = candidate;
            }
        }

        return any;
    }

    /// <summary>"All local addresses" does not include those that only stand for somebody else.</summary>
    private bool IsMappedElsewhere(Ipv4Address address) => _mappings.Count > 0 && !_core.Ip.IsLocalAddress(address) && !_core.Ip.IsBroadcast(address);

    private SocketError CheckRemote(Endpoint4 remote, out Ipv4Route route)
    {
        route = default;
        if (remote.Port == 0)
        {
            return SocketError.InvalidArgument;
        }

        if (_core.Ip.IsBroadcast(remote.Address))
        {
            return SocketError.AccessDenied;
        }

        if (_core.Ip.TryRoute(remote.Address, out route))
        {
            return SocketError.Success;
        }

        _core.Counters.CountDrop(DropReason.IpNoRoute);
        return SocketError.NetworkUnreachable;
    }

    private bool IsTaken(Endpoint4 local)
    {
        _ports.TryGetValue(local.Port, out UdpEndpoint? other);
        for (; other is not null; other = other.NextOnPort)
        {
            if (local.Address.IsAny || other.Local.Address.IsAny || other.Local.Address == local.Address)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>RFC 6056 §3.3.1: a random start, then the next free one.</summary>
    private bool TryChoosePort(Ipv4Address address, out ushort port)
    {
        int first = _core.Options.Tcp.EphemeralPortFirst;
        int count = _core.Options.Tcp.EphemeralPortLast - first + 1;
        uint start = _core.Random.NextUInt32() % (uint)count;
        for (int i = 0; i < count; i++)
        {
            port = (ushort)(first + ((start + i) % count));
            if (!IsTaken(new Endpoint4(address, port)))
            {
                return true;
            }
        }

        port = 0;
        return false;
    }
}
