using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>Packets with right checksums, whatever else is in them.</summary>
internal static class Packets
{
    public static readonly Ipv4Address Us = Ipv4Address.Parse("192.168.0.1");
    public static readonly Ipv4Address Them = Ipv4Address.Parse("10.0.0.1");

    public static byte[] Ip(byte protocol, ReadOnlySpan<byte> payload, Ipv4Address? source = null, Ipv4Address? destination = null, ushort identification = 1, ushort flagsAndOffset = 0, byte typeOfService = 0)
    {
        byte[] packet = new byte[Math.Min(Ipv4Header.MinLength + payload.Length, PacketSlot.MaxPacketLength)];
        payload[..(packet.Length - Ipv4Header.MinLength)].CopyTo(packet.AsSpan(Ipv4Header.MinLength));
        Ipv4Header.Write(packet, protocol, source ?? Them, destination ?? Us, identification, 64, typeOfService, flagsAndOffset);
        return packet;
    }

    public static byte[] Tcp(Endpoint4 from, Endpoint4 to, uint seq, uint ack, TcpFlags flags, ushort window, ushort urgent, ReadOnlySpan<byte> options, ReadOnlySpan<byte> data, byte typeOfService = 0)
    {
        int header = TcpHeader.MinLength + ((options.Length + 3) & ~3);
        byte[] packet = new byte[Ipv4Header.MinLength + header + data.Length];
        Ipv4Header.Write(packet, IpProtocol.Tcp, from.Address, to.Address, 1, 64, typeOfService);
        Span<byte> tcp = packet.AsSpan(Ipv4Header.MinLength);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], to.Port);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], seq);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], ack);
        tcp[12] = (byte)(header << 2);
        tcp[13] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], window);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[18..], urgent);
        options.CopyTo(tcp[TcpHeader.MinLength..]);
        data.CopyTo(tcp[header..]);
        FixChecksums(packet);
        return packet;
    }

    /// <summary>Makes the checksums of the IP header and of what it carries right, as far as there is a place for them.</summary>
    public static void FixChecksums(Span<byte> packet)
    {
        int header = packet.Length > 0 ? (packet[0] & 15) * 4 : 0;
        if (header < Ipv4Header.MinLength || header > packet.Length)
        {
            return;
        }

        Set(packet[..header], 10, 0);
        if ((BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3FFF) == 0)
        {
            FixTransport(packet, header);
        }
    }

    private static void FixTransport(Span<byte> packet, int header)
    {
        Span<byte> transport = packet[header..];
        int at = packet[9] switch { IpProtocol.Icmp => 2, IpProtocol.Tcp => TcpHeader.ChecksumOffset, IpProtocol.Udp => UdpHeader.ChecksumOffset, _ => -1 };
        if (at < 0 || transport.Length < at + 2)
        {
            return;
        }

        int length = packet[9] == IpProtocol.Udp ? Math.Clamp(BinaryPrimitives.ReadUInt16BigEndian(transport[4..]), UdpHeader.Length, transport.Length) : transport.Length;
        ulong pseudo = packet[9] == IpProtocol.Icmp ? 0 : InternetChecksum.PseudoHeader(Ipv4Address.Read(packet[12..]), Ipv4Address.Read(packet[16..]), packet[9], length);
        Set(transport[..length], at, pseudo);
    }

    private static void Set(Span<byte> octets, int at, ulong seed)
    {
        BinaryPrimitives.WriteUInt16BigEndian(octets[at..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(octets[at..], InternetChecksum.Finish(InternetChecksum.Sum(octets, seed)));
    }
}
