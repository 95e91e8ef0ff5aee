using System.Buffers.Binary;
using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

internal sealed partial class IcmpLayer
{
    /// <summary>RFC 792: an error quotes at least 8 octets behind the IP header, enough for ports and sequence number.</summary>
    private const int MinQuotedTransport = 8;

    private const int MinMtu = 68;

    /// <summary>
    /// An error about a packet of ours, or so it says. The quote is cut short, its checksum may be stale and its length may lie: it is read by its own
    /// rules, not by those of <see cref="Ipv4Header"/> (RFC 1122 §3.2.2, RFC 5927 §4).
    /// </summary>
    private DropReason OnError(TcpInstant now, scoped in Ipv4Header ip, scoped in IcmpHeader message)
    {
        if (!IsKnownCode(message.Type, message.Code))
        {
            return DropReason.IcmpUnknownType;
        }

        ReadOnlySpan<byte> quote = message.Body;
        if (quote.Length < Ipv4Header.MinLength || quote[0] >> 4 != 4)
        {
            return DropReason.IcmpBadQuote;
        }

        int headerLength = (quote[0] & 15) * 4;
        int quotedLength = BinaryPrimitives.ReadUInt16BigEndian(quote[2..]);
        bool isFirstFragment = (BinaryPrimitives.ReadUInt16BigEndian(quote[6..]) & 0x1FFF) == 0;
        Ipv4Address source = Ipv4Address.Read(quote[12..]);
        Ipv4Address destination = Ipv4Address.Read(quote[16..]);
        if (headerLength < Ipv4Header.MinLength || quote.Length < headerLength + MinQuotedTransport || quotedLength < headerLength + MinQuotedTransport || !isFirstFragment)
        {
            return DropReason.IcmpBadQuote;
        }

        // The error went to whoever sent the packet.
        if (source != ip.Destination || !_core.Ip.IsValidRemote(destination))
        {
            return DropReason.IcmpBadQuote;
        }

        ReadOnlySpan<byte> transport = quote[headerLength..];
        int nextHopMtu = message is { Type: IcmpType.DestinationUnreachable, Code: UnreachableCode.FragmentationNeeded }
            ? message.NextHopMtu == 0 ? PathMtuCache.PlateauBelow(quotedLength) : Math.Max(MinMtu, (int)message.NextHopMtu)
            : 0;
        if (quote[9] == IpProtocol.Icmp)
        {
            return OnEchoError(now, ip.Source, destination, transport, message.Type, message.Code, nextHopMtu);
        }

        IcmpError error = new()
        {
            Type = message.Type,
            Code = message.Code,
            Reporter = ip.Source,
            Tuple = new FourTuple(source, BinaryPrimitives.ReadUInt16BigEndian(transport), destination, BinaryPrimitives.ReadUInt16BigEndian(transport[2..])),
            Sequence = new Seq<Local>(BinaryPrimitives.ReadUInt32BigEndian(transport[4..])),
            QuotedLength = quotedLength,
            NextHopMtu = nextHopMtu,
        };
        switch (quote[9])
        {
            case IpProtocol.Tcp:
                _core.Tcp.OnIcmpError(now, error);
                return DropReason.None;
            case IpProtocol.Udp:
                _core.Udp.OnIcmpError(now, error);
                return DropReason.None;
            default:
                return DropReason.IcmpNoSuchFlow;
        }
    }

    private static bool IsKnownCode(byte type, byte code) => type switch
    {
        IcmpType.DestinationUnreachable => code <= 15,
        IcmpType.TimeExceeded => code <= 1,
        _ => code <= 2,
    };

    private DropReason OnEchoError(TcpInstant now, Ipv4Address reporter, Ipv4Address target, ReadOnlySpan<byte> quotedMessage, byte type, byte code, int nextHopMtu)
    {
        // Errors about errors do not exist (RFC 1122 §3.2.2); replies of ours nobody waits for.
        if (quotedMessage[0] != IcmpType.Echo)
        {
            return DropReason.IcmpBadQuote;
        }

        if (!_exchanges.TryGetValue(BinaryPrimitives.ReadUInt32BigEndian(quotedMessage[4..]), out EchoExchange? exchange) || exchange.Target != target)
        {
            return DropReason.IcmpNoSuchFlow;
        }

        if (nextHopMtu > 0)
        {
            _core.Ip.OnPathMtu(now, target, nextHopMtu);
        }

        End(now, exchange, StatusOf(type, code), reporter, 0, nextHopMtu);
        return DropReason.None;
    }

    private static IPStatus StatusOf(byte type, byte code) => (type, code) switch
    {
        (IcmpType.TimeExceeded, 0) => IPStatus.TtlExpired,
        (IcmpType.TimeExceeded, _) => IPStatus.TtlReassemblyTimeExceeded,
        (IcmpType.ParameterProblem, _) => IPStatus.ParameterProblem,
        (_, UnreachableCode.Net or 6 or 11) => IPStatus.DestinationNetworkUnreachable,
        (_, UnreachableCode.Host or 7 or 8 or 12) => IPStatus.DestinationHostUnreachable,
        (_, UnreachableCode.Port) => IPStatus.DestinationPortUnreachable,
        (_, UnreachableCode.FragmentationNeeded) => IPStatus.PacketTooBig,
        (_, UnreachableCode.SourceRouteFailed) => IPStatus.BadRoute,

        // The enumeration has one value for both: 2 protocol, 9, 10, 13 to 15 prohibited.
        _ => IPStatus.DestinationProhibited,
    };
}
