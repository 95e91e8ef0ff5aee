using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

internal sealed partial class Ipv4Layer
{
    /// <summary>Whom a destination address names.</summary>
    private enum Audience
    {
        /// <summary>Nobody here.</summary>
        Foreign,

        /// <summary>One of the stack's addresses, or one that forwarding has mapped.</summary>
        Here,

        /// <summary>Every host of the subnet.</summary>
        Broadcast,
    }

    /// <summary>
    /// A packet arrived from the link, or was looped back: only a packet of the stack's own may carry one of its addresses as source.
    /// What the link put behind the datagram is cut off the slot (RFC 791; HI_IP_05).
    /// </summary>
    public void OnPacket(TcpInstant now, PacketSlot packet, bool isLooped = false)
    {
        _core.Counters.IpInReceives++;
        _core.Counters.IpInOctets += packet.Length;

        bool isSuperSegment = packet.GsoSize > 0;
        Ipv4ParseError error = Ipv4Header.TryParse(packet.Packet, out Ipv4Header ip, verifyChecksum: !IsChecksumLeftOut(packet), isSuperSegment);
        if (error != Ipv4ParseError.None)
        {
            _core.Drop(now, ReasonFor(error), packet.Packet);
            return;
        }

        packet.Length = ip.TotalLength;
        if (isSuperSegment && (ip.Protocol != IpProtocol.Tcp || ip.IsFragment))
        {
            // Only TCP segmentation was negotiated with a device; anything else has no length to believe.
            _core.Drop(now, DropReason.IpBadTotalLength, packet.Packet);
            return;
        }

        if (!IsAcceptableSource(ip, isLooped))
        {
            _core.Drop(now, DropReason.IpMartianSource, packet.Packet);
            return;
        }

        Audience audience = AudienceOf(ip.Destination, ip.Protocol);
        if (audience == Audience.Foreign)
        {
            _core.Drop(now, DropReason.IpNotLocalDestination, packet.Packet);
            return;
        }

        if (ip.HeaderLength > Ipv4Header.MinLength && !CheckOptions(now, ip))
        {
            return;
        }

        if (ip.IsFragment)
        {
            OnFragment(now, ip, audience);
        }
        else
        {
            Deliver(now, ip, packet, audience);
        }
    }

    /// <summary>A device that works on super-segments may leave the header checksum to whoever cuts them: then the field is zero. One that is there is checked.</summary>
    private static bool IsChecksumLeftOut(PacketSlot packet) =>
        (packet.GsoSize > 0 || packet.Checksum == ChecksumState.Partial) && packet.Length >= Ipv4Header.MinLength && packet.Packet[10] == 0 && packet.Packet[11] == 0;

    private static DropReason ReasonFor(Ipv4ParseError error) => error switch
    {
        Ipv4ParseError.NotVersion4 => DropReason.IpNotVersion4,
        Ipv4ParseError.BadHeaderLength => DropReason.IpBadHeaderLength,
        Ipv4ParseError.BadTotalLength => DropReason.IpBadTotalLength,
        Ipv4ParseError.BadChecksum => DropReason.IpBadChecksum,
        _ => DropReason.IpTooShort,
    };

    /// <summary>RFC 1122 §3.2.1.3: a source is one host. From the link it is never ourselves (LAND), nor where the packet goes.</summary>
    private bool IsAcceptableSource(scoped in Ipv4Header ip, bool isLooped) =>
        IsValidRemote(ip.Source) && (isLooped || (ip.Source != ip.Destination && !IsLocalAddress(ip.Source)));

    private Audience AudienceOf(Ipv4Address destination, byte protocol)
    {
        if (IsLocalAddress(destination))
        {
            return Audience.Here;
        }

        if (IsBroadcast(destination))
        {
            return Audience.Broadcast;
        }

        // Multicast: no group is ever joined. 127/8 and 0/8 never come from a link.
        return destination.IsUnicast && IsTakenElsewhere(destination, protocol) ? Audience.Here : Audience.Foreign;
    }

    /// <summary>Forwarders and transparent connections stand in for foreign addresses; ICMP is needed for both, for errors about what they send.</summary>
    private bool IsTakenElsewhere(Ipv4Address destination, byte protocol) => protocol switch
    {
        IpProtocol.Tcp => IsTakenByTcp(destination),
        IpProtocol.Udp => _core.Udp.IsMapped(destination),
        IpProtocol.Icmp => IsTakenByTcp(destination) || _core.Udp.IsMapped(destination),
        _ => false,
    };

    private bool IsTakenByTcp(Ipv4Address destination) => _core.Tcp.IsMapped(destination) || _core.Tcp.IsTransparent(destination);

    private bool CheckOptions(TcpInstant now, scoped in Ipv4Header ip)
    {
        switch (Ipv4Options.Check(ip.Options, out int errorAt))
        {
            case Ipv4OptionVerdict.SourceRoute:
                _core.Drop(now, DropReason.IpSourceRoute, ip.Octets);
                return false;
            case Ipv4OptionVerdict.Malformed:
                _core.Drop(now, DropReason.IpBadOptions, ip.Octets);
                _core.Icmp.SendError(now, ip, IcmpType.ParameterProblem, 0, (uint)errorAt << 24);
                return false;
            default:
                return true;
        }
    }

    private void OnFragment(TcpInstant now, scoped in Ipv4Header ip, Audience audience)
    {
        DropReason reason = _reassembler.OnFragment(now, ip, out PacketSlot? datagram);
        if (reason != DropReason.None)
        {
            _core.Drop(now, reason, ip.Octets);
            return;
        }

        if (datagram is not null)
        {
            if (Ipv4Header.TryParse(datagram.Packet, out Ipv4Header whole) == Ipv4ParseError.None)
            {
                Deliver(now, whole, datagram, audience);
            }

            _reassembler.Return(datagram);
        }
    }

    private void Deliver(TcpInstant now, scoped in Ipv4Header ip, PacketSlot packet, Audience audience)
    {
        switch (ip.Protocol)
        {
            case IpProtocol.Tcp when audience == Audience.Broadcast:
                // RFC 9293 MUST-57: TCP has one peer.
                _core.Drop(now, DropReason.IpBroadcastDestination, ip.Octets);
                break;
            case IpProtocol.Tcp:
                _core.Counters.IpInDelivers++;
                _core.Tcp.OnSegment(now, ip, packet);
                break;
            case IpProtocol.Udp:
                _core.Counters.IpInDelivers++;
                _core.Udp.OnDatagram(now, ip, packet);
                break;
            case IpProtocol.Icmp:
                _core.Counters.IpInDelivers++;
                _core.Icmp.OnMessage(now, ip, packet);
                break;
            default:
                _core.Drop(now, DropReason.IpUnknownProtocol, ip.Octets);
                SendUnreachable(now, ip, UnreachableCode.Protocol);
                break;
        }
    }
}
