using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>TCP segments in IPv4 packets without IP options, as whoever stands beside the path makes and alters them.</summary>
internal static class Segments
{
    private const int Header = 40;

    /// <summary>A whole TCP segment, not a fragment.</summary>
    public static bool IsSegment(ReadOnlySpan<byte> packet) => packet.Length >= Header && packet[0] == 0x45 && packet[9] == IpProtocol.Tcp && (packet[6] & 0x3F) == 0 && packet[7] == 0;

    public static TcpFlags Flags(ReadOnlySpan<byte> packet) => (TcpFlags)packet[33];

    public static Ecn EcnOf(ReadOnlySpan<byte> packet) => (Ecn)(packet[1] & 3);

    public static int SourcePort(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt16BigEndian(packet[20..]);

    public static int DestinationPort(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt16BigEndian(packet[22..]);

    public static uint Seq(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt32BigEndian(packet[24..]);

    public static uint Ack(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt32BigEndian(packet[28..]);

    public static int Window(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt16BigEndian(packet[34..]);

    /// <summary>Where the payload begins.</summary>
    public static int DataAt(ReadOnlySpan<byte> packet) => 20 + ((packet[32] >> 4) * 4);

    public static byte[] WithPort(byte[] packet, bool isSource, int port)
    {
        byte[] changed = [.. packet];
        BinaryPrimitives.WriteUInt16BigEndian(changed.AsSpan(isSource ? 20 : 22), (ushort)port);
        return Fixed(changed);
    }

    public static byte[] WithWindow(byte[] packet, int window)
    {
        byte[] changed = [.. packet];
        BinaryPrimitives.WriteUInt16BigEndian(changed.AsSpan(34), (ushort)window);
        return Fixed(changed);
    }

    public static byte[] WithCongestionExperienced(byte[] packet)
    {
        byte[] changed = [.. packet];
        changed[1] |= (byte)Ecn.Ce;
        return Fixed(changed);
    }

    /// <summary>Another number in four octets, and other flags.</summary>
    public static byte[] Altered(byte[] packet, int at, uint number, TcpFlags flags)
    {
        byte[] changed = [.. packet];
        BinaryPrimitives.WriteUInt32BigEndian(changed.AsSpan(at), number);
        changed[33] = (byte)flags;
        return Fixed(changed);
    }

    public static bool HasOption(ReadOnlySpan<byte> packet, byte kind)
    {
        int end = DataAt(packet);
        for (int at = Header; at < end && packet[at] != 0;)
        {
            if (packet[at] == kind)
            {
                return true;
            }

            at += packet[at] == 1 ? 1 : at + 1 < end ? Math.Max((int)packet[at + 1], 2) : end;
        }

        return false;
    }

    /// <summary>Options of some kinds are overwritten with no-operations; the packet itself when there are none.</summary>
    public static byte[] Without(byte[] packet, ReadOnlySpan<byte> kinds)
    {
        byte[]? changed = null;
        int end = DataAt(packet);
        for (int at = Header; at < end && packet[at] != 0;)
        {
            int length = packet[at] == 1 ? 1 : at + 1 < end ? packet[at + 1] : 0;
            if (packet[at] != 1 && (length < 2 || at + length > end))
            {
                break;
            }

            if (kinds.Contains(packet[at]))
            {
                changed ??= [.. packet];
                changed.AsSpan(at, length).Fill(1);
            }

            at += length;
        }

        return changed is null ? packet : Fixed(changed);
    }

    /// <summary>A part of the payload with a copy of the headers; FIN and PSH stay with the last octet, CWR with the first.</summary>
    public static byte[] Part(ReadOnlySpan<byte> packet, int offset, int length)
    {
        int data = DataAt(packet);
        byte[] part = [.. packet[..data], .. packet.Slice(data + offset, length)];
        TcpFlags flags = Flags(packet);
        flags &= data + offset + length < packet.Length ? ~(TcpFlags.Fin | TcpFlags.Psh) : ~TcpFlags.None;
        flags &= offset > 0 ? ~TcpFlags.Cwr : ~TcpFlags.None;
        part[33] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(part.AsSpan(2), (ushort)part.Length);
        BinaryPrimitives.WriteUInt32BigEndian(part.AsSpan(24), unchecked(Seq(packet) + (uint)offset));
        return Fixed(part);
    }

    /// <summary>The segment with the payload of the one before it in front of its own.</summary>
    public static byte[] Joined(ReadOnlySpan<byte> before, ReadOnlySpan<byte> packet)
    {
        ReadOnlySpan<byte> front = before[DataAt(before)..];
        int data = DataAt(packet);
        byte[] joined = [.. packet[..data], .. front, .. packet[data..]];
        BinaryPrimitives.WriteUInt16BigEndian(joined.AsSpan(2), (ushort)joined.Length);
        BinaryPrimitives.WriteUInt32BigEndian(joined.AsSpan(24), unchecked(Seq(packet) - (uint)front.Length));
        return Fixed(joined);
    }

    /// <summary>A segment out of nothing.</summary>
    public static byte[] Make(Ipv4Address source, int sourcePort, Ipv4Address destination, int destinationPort, uint seq, uint ack, TcpFlags flags, ReadOnlySpan<byte> payload)
    {
        byte[] packet = new byte[Header + payload.Length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = IpProtocol.Tcp;
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(12), source.Value);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(16), destination.Value);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), (ushort)sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), (ushort)destinationPort);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(24), seq);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(28), ack);
        packet[32] = 5 << 4;
        packet[33] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(34), 8192);
        payload.CopyTo(packet.AsSpan(Header));
        return Fixed(packet);
    }

    /// <summary>An ICMP error about a segment: type 3, from <paramref name="from"/> to the segment's sender (RFC 792).</summary>
    /// <param name="from">Who says so.</param>
    /// <param name="segment">The segment; its first 48 octets are quoted.</param>
    /// <param name="code">4 = too big.</param>
    /// <param name="mtu">What would not have been (RFC 1191 §4).</param>
    public static byte[] Unreachable(Ipv4Address from, ReadOnlySpan<byte> segment, byte code, int mtu)
    {
        int quoted = Math.Min(segment.Length, 48);
        byte[] icmp = new byte[28 + quoted];
        icmp[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(2), (ushort)icmp.Length);
        icmp[8] = 64;
        icmp[9] = IpProtocol.Icmp;
        BinaryPrimitives.WriteUInt32BigEndian(icmp.AsSpan(12), from.Value);
        segment.Slice(12, 4).CopyTo(icmp.AsSpan(16));
        icmp[20] = 3;
        icmp[21] = code;
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(26), (ushort)mtu);
        segment[..quoted].CopyTo(icmp.AsSpan(28));
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(0, 20))));
        return FixedIcmp(icmp);
    }

    /// <summary>The message's checksum put right.</summary>
    public static byte[] FixedIcmp(byte[] icmp)
    {
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(22), 0);
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(22), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(20))));
        return icmp;
    }

    /// <summary>The checksums put right.</summary>
    public static byte[] Fixed(byte[] packet)
    {
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), 0);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(0, 20))));
        Span<byte> tcp = packet.AsSpan(20);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], 0);
        ulong pseudo = InternetChecksum.PseudoHeader(Ipv4Address.Read(packet.AsSpan(12)), Ipv4Address.Read(packet.AsSpan(16)), IpProtocol.Tcp, tcp.Length);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], InternetChecksum.Finish(InternetChecksum.Sum(tcp, pseudo)));
        return packet;
    }
}
