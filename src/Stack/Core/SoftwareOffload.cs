using System.Buffers.Binary;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Core;

/// <summary>
/// What a network card would do, in software: cuts a super-segment into ordinary packets and completes checksums, for devices without offloads, the stepped
/// stack and captures. Nothing here throws on what a packet contains: what is no TCP/IPv4 super-segment counts as one packet.
/// </summary>
internal static class SoftwareOffload
{
    private const int SequenceOffset = 4;
    private const int FlagsOffset = 13;

    /// <summary>How many ordinary packets a slot holds: 1 unless it is a super-segment.</summary>
    public static int SegmentCount(PacketSlot packet)
    {
        if (packet.GsoSize <= 0 || !TryFindHeaders(packet.Packet, out _, out int headers))
        {
            return 1;
        }

        return Math.Max(1, (packet.Length - headers + packet.GsoSize - 1) / packet.GsoSize);
    }

    /// <summary>
    /// Writes packet <paramref name="index"/> of <paramref name="source"/> into another slot, with complete checksums: identification counts up, the sequence number
    /// moves on, FIN and PSH are on the last segment only, CWR is on the first only (as Linux's tcp_gso_segment; RFC 3168 §6.1.2).
    /// </summary>
    /// <remarks>The urgent pointer is copied as it is, which no card does better: segments with URG are not to be sent as super-segments.</remarks>
    public static void Segment(PacketSlot source, int index, PacketSlot into)
    {
        ReadOnlySpan<byte> packet = source.Packet;
        if (source.GsoSize <= 0 || !TryFindHeaders(packet, out int ipLength, out int headers))
        {
            into.CopyFrom(source);
            CompleteChecksum(into);
            return;
        }

        int start = index * source.GsoSize;
        ReadOnlySpan<byte> payload = packet[headers..];
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(start, Math.Max(1, payload.Length), nameof(index));
        int count = Math.Min(source.GsoSize, payload.Length - start);
        bool isLast = start + count == payload.Length;

        into.Clear();
        into.Length = headers + count;
        into.HeaderLength = headers;
        Span<byte> segment = into.Packet;
        packet[..headers].CopyTo(segment);
        payload.Slice(start, count).CopyTo(segment[headers..]);

        BinaryPrimitives.WriteUInt16BigEndian(segment[2..], (ushort)segment.Length);
        BinaryPrimitives.WriteUInt16BigEndian(segment[4..], unchecked((ushort)(BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) + index)));
        WriteIpChecksum(segment[..ipLength]);

        Span<byte> tcp = segment[ipLength..];
        BinaryPrimitives.WriteUInt32BigEndian(tcp[SequenceOffset..], unchecked(BinaryPrimitives.ReadUInt32BigEndian(tcp[SequenceOffset..]) + (uint)start));
        TcpFlags flags = (TcpFlags)tcp[FlagsOffset];
        if (!isLast)
        {
            flags &= ~(TcpFlags.Fin | TcpFlags.Psh);
        }

        if (index > 0)
        {
            flags &= ~TcpFlags.Cwr;
        }

        tcp[FlagsOffset] = (byte)flags;
        WriteTransportChecksum(segment, ipLength, TcpHeader.ChecksumOffset);
    }

    /// <summary>Completes the transport checksum of a packet whose state is <see cref="ChecksumState.Partial"/>; others have theirs already. A super-segment stays one.</summary>
    public static void CompleteChecksum(PacketSlot packet)
    {
        if (packet.Checksum != ChecksumState.Partial)
        {
            return;
        }

        packet.Checksum = ChecksumState.Unverified;
        Span<byte> octets = packet.Packet;
        if (Ipv4Header.TryParse(octets, out Ipv4Header ip, verifyChecksum: false, isSuperSegment: packet.GsoSize > 0) != Ipv4ParseError.None || ip.IsFragment)
        {
            return;
        }

        int headerLength = ip.HeaderLength;
        int totalLength = ip.TotalLength;
        if (ip.Protocol == IpProtocol.Tcp && totalLength >= headerLength + TcpHeader.MinLength)
        {
            WriteTransportChecksum(octets[..totalLength], headerLength, TcpHeader.ChecksumOffset);
        }
        else if (ip.Protocol == IpProtocol.Udp && totalLength >= headerLength + UdpHeader.Length)
        {
            WriteTransportChecksum(octets[..totalLength], headerLength, UdpHeader.ChecksumOffset);
        }
    }

    /// <summary>Both header lengths; false when the packet is not TCP over IPv4.</summary>
    private static bool TryFindHeaders(ReadOnlySpan<byte> packet, out int ipLength, out int headers)
    {
        ipLength = 0;
        headers = 0;
        if (Ipv4Header.TryParse(packet, out Ipv4Header ip, verifyChecksum: false, isSuperSegment: true) != Ipv4ParseError.None
            || ip.Protocol != IpProtocol.Tcp || !TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
        {
            return false;
        }

        ipLength = ip.HeaderLength;
        headers = ipLength + tcp.HeaderLength;
        return true;
    }

    private static void WriteIpChecksum(Span<byte> header)
    {
        header[10] = 0;
        header[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Finish(InternetChecksum.Sum(header)));
    }

    private static void WriteTransportChecksum(Span<byte> packet, int ipLength, int checksumOffset)
    {
        Span<byte> transport = packet[ipLength..];
        transport[checksumOffset] = 0;
        transport[checksumOffset + 1] = 0;
        byte protocol = packet[9];
        ulong pseudo = InternetChecksum.PseudoHeader(Ipv4Address.Read(packet[12..]), Ipv4Address.Read(packet[16..]), protocol, transport.Length);
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(transport, pseudo));

        // RFC 768: a computed zero is sent as all ones, since zero says that there is no checksum.
        BinaryPrimitives.WriteUInt16BigEndian(transport[checksumOffset..], protocol == IpProtocol.Udp && checksum == 0 ? (ushort)0xFFFF : checksum);
    }
}
