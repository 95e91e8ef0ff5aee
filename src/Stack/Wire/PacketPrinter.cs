using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Tcpcrypt.Core;

namespace Tcpcrypt.Wire;

/// <summary>
/// One line of text for a packet, in the notation of tcpdump and packetdrill:
/// <c>10.0.0.1:4000 > 10.0.0.2:80 S 1:1(0) win 65535 &lt;mss 1460,nop,wscale 7&gt;</c>. Any octets give some text; nothing throws.
/// </summary>
internal static class PacketPrinter
{
    /// <summary>The text of a slot's packet; of a super-segment with its segment size.</summary>
    public static string Format(PacketSlot packet) =>
        Format(packet.Packet, isSuperSegment: packet.GsoSize > 0) + (packet.GsoSize > 0 ? string.Create(CultureInfo.InvariantCulture, $" gso {packet.GsoSize}") : "");

    /// <summary>The text of a packet, with sequence and acknowledgment numbers relative to two starts.</summary>
    public static string Format(ReadOnlySpan<byte> packet, uint sequenceStart = 0, uint acknowledgmentStart = 0, bool isSuperSegment = false)
    {
        Ipv4ParseError error = Ipv4Header.TryParse(packet, out Ipv4Header ip, verifyChecksum: false, isSuperSegment);
        if (error != Ipv4ParseError.None)
        {
            return string.Create(CultureInfo.InvariantCulture, $"[not IPv4: {error}, {packet.Length} octets]");
        }

        StringBuilder text = new();
        if (ip.FragmentOffset > 0)
        {
            AppendAddresses(text, ip);
            text.Append(CultureInfo.InvariantCulture, $"protocol {ip.Protocol}");
        }
        else if (ip.Protocol == IpProtocol.Tcp && TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
        {
            AppendTcp(text, ip, tcp, sequenceStart, acknowledgmentStart);
        }
        else if (ip.Protocol == IpProtocol.Udp && ip.Payload.Length >= UdpHeader.Length)
        {
            AppendUdp(text, ip);
        }
        else if (ip.Protocol == IpProtocol.Icmp && IcmpHeader.TryParse(ip.Payload, out IcmpHeader icmp))
        {
            AppendAddresses(text, ip);
            AppendIcmp(text, icmp);
        }
        else
        {
            AppendAddresses(text, ip);
            text.Append(CultureInfo.InvariantCulture, $"protocol {ip.Protocol} ({ip.Payload.Length})");
        }

        if (ip.IsFragment)
        {
            text.Append(CultureInfo.InvariantCulture, $" fragment {ip.Identification}:{ip.FragmentOffset}({ip.Payload.Length}){(ip.HasMoreFragments ? "+" : "")}");
        }

        return text.ToString();
    }

    /// <summary>The letters of control bits, in packetdrill's order: <c>S.</c> is SYN,ACK; without any it is <c>-</c>.</summary>
    public static string Format(TcpFlags flags)
    {
        ReadOnlySpan<(TcpFlags Flag, char Letter)> letters =
        [
            (TcpFlags.Fin, 'F'), (TcpFlags.Syn, 'S'), (TcpFlags.Rst, 'R'), (TcpFlags.Psh, 'P'),
            (TcpFlags.Ack, '.'), (TcpFlags.Urg, 'U'), (TcpFlags.Ece, 'E'), (TcpFlags.Cwr, 'W'),
        ];
        Span<char> text = stackalloc char[letters.Length];
        int count = 0;
        foreach ((TcpFlags flag, char letter) in letters)
        {
            if ((flags & flag) != 0)
            {
                text[count++] = letter;
            }
        }

        return count == 0 ? "-" : new string(text[..count]);
    }

    private static void AppendAddresses(StringBuilder text, scoped in Ipv4Header ip) => text.Append(CultureInfo.InvariantCulture, $"{ip.Source} > {ip.Destination} ");

    private static void AppendTcp(StringBuilder text, scoped in Ipv4Header ip, scoped in TcpHeader tcp, uint sequenceStart, uint acknowledgmentStart)
    {
        uint first = unchecked(tcp.Seq.Value - sequenceStart);
        uint end = unchecked(first + (uint)tcp.Payload.Length);
        text.Append(CultureInfo.InvariantCulture, $"{ip.Source}:{tcp.SourcePort} > {ip.Destination}:{tcp.DestinationPort} {Format(tcp.Flags)} {first}:{end}({tcp.Payload.Length})");
        if ((tcp.Flags & TcpFlags.Ack) != 0)
        {
            text.Append(CultureInfo.InvariantCulture, $" ack {unchecked(tcp.Ack.Value - acknowledgmentStart)}");
        }

        text.Append(CultureInfo.InvariantCulture, $" win {tcp.Window}");
        if ((tcp.Flags & TcpFlags.Urg) != 0)
        {
            text.Append(CultureInfo.InvariantCulture, $" urg {tcp.UrgentPointer}");
        }

        if (!tcp.Options.IsEmpty)
        {
            AppendOptions(text, tcp.Options, acknowledgmentStart);
        }
    }

    private static void AppendOptions(StringBuilder text, ReadOnlySpan<byte> options, uint acknowledgmentStart)
    {
        char separator = '<';
        while (!options.IsEmpty)
        {
            text.Append(separator == '<' ? " <" : ",");
            separator = ',';
            byte kind = options[0];
            if (kind == TcpOptionKind.EndOfList)
            {
                text.Append("eol");
                break;
            }

            if (kind == TcpOptionKind.NoOperation)
            {
                text.Append("nop");
                options = options[1..];
                continue;
            }

            if (options.Length < 2 || options[1] < 2 || options[1] > options.Length)
            {
                text.Append(CultureInfo.InvariantCulture, $"malformed {kind}");
                break;
            }

            AppendOption(text, kind, options[2..options[1]], acknowledgmentStart);
            options = options[options[1]..];
        }

        text.Append('>');
    }

    private static void AppendOption(StringBuilder text, byte kind, ReadOnlySpan<byte> content, uint acknowledgmentStart)
    {
        switch (kind)
        {
            case TcpOptionKind.MaximumSegmentSize when content.Length == 2:
                text.Append(CultureInfo.InvariantCulture, $"mss {BinaryPrimitives.ReadUInt16BigEndian(content)}");
                break;
            case TcpOptionKind.WindowScale when content.Length == 1:
                text.Append(CultureInfo.InvariantCulture, $"wscale {content[0]}");
                break;
            case TcpOptionKind.SackPermitted when content.Length == 0:
                text.Append("sackOK");
                break;
            case TcpOptionKind.Sack when content.Length > 0 && content.Length % 8 == 0:
                text.Append("sack");
                for (int i = 0; i < content.Length; i += 8)
                {
                    uint left = unchecked(BinaryPrimitives.ReadUInt32BigEndian(content[i..]) - acknowledgmentStart);
                    uint right = unchecked(BinaryPrimitives.ReadUInt32BigEndian(content[(i + 4)..]) - acknowledgmentStart);
                    text.Append(CultureInfo.InvariantCulture, $" {left}:{right}");
                }

                break;
            case TcpOptionKind.Timestamps when content.Length == 8:
                text.Append(CultureInfo.InvariantCulture, $"TS val {BinaryPrimitives.ReadUInt32BigEndian(content)} ecr {BinaryPrimitives.ReadUInt32BigEndian(content[4..])}");
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $"option {kind}");
                if (!content.IsEmpty)
                {
                    text.Append(' ').Append(Convert.ToHexStringLower(content));
                }

                break;
        }
    }

    private static void AppendUdp(StringBuilder text, scoped in Ipv4Header ip)
    {
        ReadOnlySpan<byte> udp = ip.Payload;
        int length = BinaryPrimitives.ReadUInt16BigEndian(udp[4..]) - UdpHeader.Length;
        text.Append(CultureInfo.InvariantCulture, $"{ip.Source}:{BinaryPrimitives.ReadUInt16BigEndian(udp)} > {ip.Destination}:{BinaryPrimitives.ReadUInt16BigEndian(udp[2..])} udp ({length})");
    }

    private static void AppendIcmp(StringBuilder text, scoped in IcmpHeader icmp)
    {
        switch (icmp.Type)
        {
            case IcmpType.Echo or IcmpType.EchoReply:
                string direction = icmp.Type == IcmpType.Echo ? "request" : "reply";
                text.Append(CultureInfo.InvariantCulture, $"icmp echo {direction} id {icmp.Identifier} seq {icmp.SequenceNumber} ({icmp.Body.Length})");
                return;
            case IcmpType.DestinationUnreachable:
                text.Append("icmp unreachable ").Append(UnreachableName(icmp.Code));
                if (icmp.Code == UnreachableCode.FragmentationNeeded)
                {
                    text.Append(CultureInfo.InvariantCulture, $" mtu {icmp.NextHopMtu}");
                }

                break;
            case IcmpType.TimeExceeded:
                text.Append(icmp.Code == 0 ? "icmp time exceeded" : "icmp reassembly time exceeded");
                break;
            case IcmpType.ParameterProblem:
                text.Append(CultureInfo.InvariantCulture, $"icmp parameter problem at {icmp.Pointer}");
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $"icmp type {icmp.Type} code {icmp.Code} ({icmp.Body.Length})");
                return;
        }

        AppendQuote(text, icmp.Body);
    }

    /// <summary>A quoted packet is cut short and its lengths may lie: only the ends are shown.</summary>
    private static void AppendQuote(StringBuilder text, ReadOnlySpan<byte> quote)
    {
        int headerLength = quote.Length >= Ipv4Header.MinLength ? (quote[0] & 15) * 4 : 0;
        if (headerLength < Ipv4Header.MinLength)
        {
            text.Append(" [no quote]");
            return;
        }

        Ipv4Address source = Ipv4Address.Read(quote[12..]);
        Ipv4Address destination = Ipv4Address.Read(quote[16..]);
        if (quote[9] is IpProtocol.Tcp or IpProtocol.Udp && quote.Length >= headerLength + 4)
        {
            ushort sourcePort = BinaryPrimitives.ReadUInt16BigEndian(quote[headerLength..]);
            ushort destinationPort = BinaryPrimitives.ReadUInt16BigEndian(quote[(headerLength + 2)..]);
            string protocol = quote[9] == IpProtocol.Tcp ? "tcp" : "udp";
            text.Append(CultureInfo.InvariantCulture, $" [{source}:{sourcePort} > {destination}:{destinationPort} {protocol}]");
        }
        else
        {
            text.Append(CultureInfo.InvariantCulture, $" [{source} > {destination} protocol {quote[9]}]");
        }
    }

    private static string UnreachableName(byte code) => code switch
    {
        UnreachableCode.Net => "net",
        UnreachableCode.Host => "host",
        UnreachableCode.Protocol => "protocol",
        UnreachableCode.Port => "port",
        UnreachableCode.FragmentationNeeded => "fragmentation needed",
        UnreachableCode.SourceRouteFailed => "source route failed",
        UnreachableCode.AdministrativelyProhibited => "administratively prohibited",
        _ => string.Create(CultureInfo.InvariantCulture, $"code {code}"),
    };
}
