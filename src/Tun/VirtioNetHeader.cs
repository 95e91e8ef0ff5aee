using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Tcpcrypt.Tun;

/// <summary>
/// struct virtio_net_hdr, in front of every packet of a TUN device with IFF_VNET_HDR: what is known about the checksum, and how a super-segment is cut.
/// "Legacy" layout of the virtio specification §5.1.6: ten octets in the machine's own byte order.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 2)]
internal struct VirtioNetHeader
{
    public const int Length = 10;

    public const byte FlagNeedsChecksum = 1;
    public const byte FlagDataValid = 2;
    public const byte GsoNone = 0;
    public const byte GsoTcp4 = 1;
    public const byte GsoEcn = 0x80;

    private const byte Tcp = 6;
    private const byte Udp = 17;
    private const int TcpChecksumOffset = 16;
    private const int UdpChecksumOffset = 6;
    private const byte TcpCwr = 0x80;

    public byte Flags;
    public byte GsoType;
    public ushort HeaderLength;
    public ushort GsoSize;
    public ushort ChecksumStart;
    public ushort ChecksumOffset;

    /// <summary>
    /// Reads the header that the kernel put in front of the packet in <paramref name="slot"/>, whose Length is set already. Nothing in it is believed that the packet itself
    /// does not bear out: an unfinished checksum that is not where TCP or UDP have theirs is left to be verified (and to fail).
    /// </summary>
    /// <returns>False when the packet is a super-segment that is not ours to have: it must be dropped.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> octets, PacketSlot slot)
    {
        slot.GsoSize = 0;
        slot.HeaderLength = 0;
        slot.Checksum = ChecksumState.Unverified;
        VirtioNetHeader header = MemoryMarshal.Read<VirtioNetHeader>(octets);
        if ((header.Flags & (FlagNeedsChecksum | FlagDataValid)) == 0 && header.GsoType == GsoNone)
        {
            return true;
        }

        bool known = TryFindTransport(slot.Packet, out byte protocol, out int transport, out int payload);
        if ((header.Flags & FlagNeedsChecksum) != 0)
        {
            if (known && header.ChecksumStart == transport && header.ChecksumOffset == (protocol == Tcp ? TcpChecksumOffset : UdpChecksumOffset))
            {
                slot.Checksum = ChecksumState.Partial;
                slot.HeaderLength = payload;
            }
        }
        else if ((header.Flags & FlagDataValid) != 0)
        {
            slot.Checksum = ChecksumState.Verified;
        }

        if (header.GsoType == GsoNone)
        {
            return true;
        }

        // Only TSO for IPv4 was asked for (TUNSETOFFLOAD); a size of 0 would cut for ever.
        if ((header.GsoType & ~GsoEcn) != GsoTcp4 || !known || protocol != Tcp || header.GsoSize == 0)
        {
            return false;
        }

        if (slot.Length - payload > header.GsoSize)
        {
            slot.GsoSize = header.GsoSize;
            slot.HeaderLength = payload;
        }

        return true;
    }

    /// <summary>Writes the header that tells the kernel what is left to do for the packet.</summary>
    /// <exception cref="ArgumentException">The packet is not an IPv4 TCP or UDP packet with an unfinished checksum, or a super-segment without one.</exception>
    public static void Encode(PacketSlot slot, Span<byte> octets)
    {
        VirtioNetHeader header = default;
        if (slot.Checksum == ChecksumState.Partial)
        {
            if (!TryFindTransport(slot.Packet, out byte protocol, out int transport, out int payload))
            {
                throw new ArgumentException("A packet with an unfinished checksum must be an unfragmented IPv4 TCP or UDP packet.", nameof(slot));
            }

            header.Flags = FlagNeedsChecksum;
            header.ChecksumStart = (ushort)transport;
            header.ChecksumOffset = protocol == Tcp ? (ushort)TcpChecksumOffset : (ushort)UdpChecksumOffset;
            if (slot.GsoSize > 0)
            {
                if (protocol != Tcp || slot.GsoSize > ushort.MaxValue)
                {
                    throw new ArgumentException("A super-segment must be a TCP one, cut to at most 65535 octets.", nameof(slot));
                }

                // CWR goes on the first segment only (RFC 3168 §6.1.2): the kernel must know before it cuts.
                header.GsoType = (slot.Packet[transport + 13] & TcpCwr) != 0 ? (byte)(GsoTcp4 | GsoEcn) : GsoTcp4;
                header.GsoSize = (ushort)slot.GsoSize;
                header.HeaderLength = (ushort)payload;
            }
        }
        else if (slot.GsoSize > 0)
        {
            throw new ArgumentException("A super-segment must have an unfinished checksum (ChecksumState.Partial).", nameof(slot));
        }

        MemoryMarshal.Write(octets, header);
    }

    // The bounds of an unfragmented IPv4 packet's transport header: after true, transport..payload is inside the packet and holds the checksum field.
    private static bool TryFindTransport(ReadOnlySpan<byte> packet, out byte protocol, out int transport, out int payload)
    {
        protocol = 0;
        transport = payload = 0;
        if (packet.Length < 20 || packet[0] >> 4 != 4)
        {
            return false;
        }

        transport = (packet[0] & 15) * 4;
        protocol = packet[9];
        bool isFragment = (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3FFF) != 0;
        if (transport < 20 || isFragment)
        {
            return false;
        }

        if (protocol == Udp)
        {
            payload = transport + 8;
            return payload <= packet.Length;
        }

        if (protocol != Tcp || transport + 20 > packet.Length)
        {
            return false;
        }

        int tcpLength = (packet[transport + 12] >> 4) * 4;
        payload = transport + tcpLength;
        return tcpLength >= 20 && payload <= packet.Length;
    }
}
