using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

internal sealed partial class IcmpLayer
{
    /// <summary>RFC 1812 §4.3.2.3: as much of the datagram as fits without the error exceeding 576 octets.</summary>
    private const int MaxErrorLength = 576;

    /// <summary>Sends an error about a packet, where RFC 1122 §3.2.2 allows one and the rate limit leaves room.</summary>
    public void SendError(TcpInstant now, scoped in Ipv4Header about, byte type, byte code, uint rest)
    {
        if (!MayReport(about) || !_core.Ip.TryRoute(about.Source, out Ipv4Route route))
        {
            return;
        }

        if (!_limiter.TryTake(now, about.Source))
        {
            _core.Counters.IcmpOutRateLimited++;
            _core.Counters.CountDrop(DropReason.IcmpRateLimited);
            return;
        }

        int room = Math.Min(MaxErrorLength, _core.Ip.PathMtu(now, about.Source)) - Ipv4Header.MinLength - IcmpHeader.Length;
        ReadOnlySpan<byte> quote = about.Octets[..Math.Min(about.TotalLength, room)];
        if (_core.Ip.BeginDatagram(now, about.Source, IcmpHeader.Length + quote.Length, dontFragment: false, out OutgoingDatagram error) != SocketError.Success)
        {
            return;
        }

        quote.CopyTo(error.Payload[IcmpHeader.Length..]);
        IcmpHeader.Write(error.Payload, type, code, rest);
        _core.Counters.IcmpOutMsgs++;
        _core.Counters.IcmpOutErrors++;

        // RFC 1122 §3.2.1.3: from the address that the packet went to; in the place of a mapped one stands the stack itself.
        Ipv4Address source = _core.Ip.IsLocalAddress(about.Destination) ? about.Destination : route.Source;
        _core.Ip.SendDatagram(error, IpProtocol.Icmp, source, Ipv4Layer.DefaultTimeToLive, typeOfService: 0);
    }

    /// <summary>
    /// RFC 1122 §3.2.2: never about an ICMP error, a broadcast or multicast, a fragment other than the first, or a packet whose source is not one host.
    /// An ICMP message too short or unknown might be an error.
    /// </summary>
    private bool MayReport(scoped in Ipv4Header about)
    {
        if (about.FragmentOffset != 0 || !_core.Ip.IsValidRemote(about.Source) || !_core.Ip.IsValidRemote(about.Destination))
        {
            return false;
        }

        return about.Protocol != IpProtocol.Icmp
            || (about.Payload.Length > 0 && about.Payload[0] is IcmpType.Echo or IcmpType.EchoReply or (>= 13 and <= 18));
    }
}
