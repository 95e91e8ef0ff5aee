using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

/// <summary>Packets as a test wants them; every field that matters can be named.</summary>
internal static class Packets
{
    public static byte[] Ip(
        byte protocol, Ipv4Address source, Ipv4Address destination, ReadOnlySpan<byte> payload,
        byte[]? options = null, byte ttl = 64, byte tos = 0, ushort id = 1, int offset = 0, bool more = false, bool dontFragment = false)
    {
        int headerLength = 20 + (options?.Length ?? 0);
        byte[] packet = new byte[headerLength + payload.Length];
        payload.CopyTo(packet.AsSpan(headerLength));
        ushort flags = (ushort)((offset / 8) | (more ? Ipv4Header.MoreFragments : 0) | (dontFragment ? Ipv4Header.DontFragment : 0));
        Ipv4Header.Write(packet, protocol, source, destination, id, ttl, tos, flags);
        if (options is not null)
        {
            packet[0] = (byte)(0x40 | (headerLength / 4));
            options.CopyTo(packet, 20);
        }

        return FixChecksum(packet);
    }

    /// <summary>Recomputes the IP header checksum after a test changed a field.</summary>
    public static byte[] FixChecksum(byte[] packet)
    {
        int length = Math.Min((packet[0] & 15) * 4, packet.Length);
        packet[10] = packet[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(0, length))));
        return packet;
    }

    public static byte[] Change(byte[] packet, int index, byte value)
    {
        byte[] copy = (byte[])packet.Clone();
        copy[index] = value;
        return copy;
    }

    public static byte[] UdpPart(Endpoint4 source, Endpoint4 destination, ReadOnlySpan<byte> data)
    {
        byte[] datagram = new byte[8 + data.Length];
        data.CopyTo(datagram.AsSpan(8));
        UdpHeader.Write(datagram, source, destination);
        return datagram;
    }

    public static byte[] Udp(Ipv4Address source, ushort sourcePort, Ipv4Address destination, ushort destinationPort, ReadOnlySpan<byte> data, byte[]? options = null, byte ttl = 64, byte tos = 0) =>
        Ip(IpProtocol.Udp, source, destination, UdpPart(new(source, sourcePort), new(destination, destinationPort), data), options, ttl, tos);

    public static byte[] IcmpPart(byte type, byte code, uint rest, ReadOnlySpan<byte> body)
    {
        byte[] message = new byte[8 + body.Length];
        body.CopyTo(message.AsSpan(8));
        IcmpHeader.Write(message, type, code, rest);
        return message;
    }

    public static byte[] Icmp(Ipv4Address source, Ipv4Address destination, byte type, byte code, uint rest, ReadOnlySpan<byte> body, byte[]? options = null, byte ttl = 64, byte tos = 0) =>
        Ip(IpProtocol.Icmp, source, destination, IcmpPart(type, code, rest, body), options, ttl, tos);

    public static byte[] Echo(Ipv4Address source, Ipv4Address destination, ushort id, ushort sequence, ReadOnlySpan<byte> data, byte[]? options = null, byte ttl = 64, byte tos = 0) =>
        Icmp(source, destination, IcmpType.Echo, 0, ((uint)id << 16) | sequence, data, options, ttl, tos);

    public static byte[] TcpPart(Endpoint4 source, Endpoint4 destination, TcpFlags flags, uint seq = 1, uint ack = 0, ushort window = 65535, ReadOnlySpan<byte> data = default, byte[]? options = null)
    {
        int headerLength = 20 + (options?.Length ?? 0);
        byte[] segment = new byte[headerLength + data.Length];
        BinaryPrimitives.WriteUInt16BigEndian(segment, source.Port);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), destination.Port);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(4), seq);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(8), ack);
        segment[12] = (byte)(headerLength << 2);
        segment[13] = (byte)flags;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(14), window);
        options?.CopyTo(segment, 20);
        data.CopyTo(segment.AsSpan(headerLength));
        ulong pseudo = InternetChecksum.PseudoHeader(source.Address, destination.Address, IpProtocol.Tcp, segment.Length);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(16), InternetChecksum.Finish(InternetChecksum.Sum(segment, pseudo)));
        return segment;
    }

    public static byte[] Tcp(Ipv4Address source, ushort sourcePort, Ipv4Address destination, ushort destinationPort, TcpFlags flags, uint seq = 1, uint ack = 0, ReadOnlySpan<byte> data = default, byte[]? options = null, byte[]? ipOptions = null, byte ttl = 64) =>
        Ip(IpProtocol.Tcp, source, destination, TcpPart(new(source, sourcePort), new(destination, destinationPort), flags, seq, ack, 65535, data, options), ipOptions, ttl, dontFragment: true);

    /// <summary>The fragments of an unfragmented packet, each with <paramref name="size"/> octets of its payload.</summary>
    public static List<byte[]> Fragment(byte[] packet, int size, ushort id = 7)
    {
        Assert.That(Ipv4Header.TryParse(packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
        List<byte[]> fragments = [];
        for (int at = 0; at < ip.Payload.Length; at += size)
        {
            int count = Math.Min(size, ip.Payload.Length - at);
            fragments.Add(Ip(ip.Protocol, ip.Source, ip.Destination, ip.Payload.Slice(at, count), at == 0 && ip.Options.Length > 0 ? ip.Options.ToArray() : null, ip.TimeToLive, ip.TypeOfService, id, at, more: at + count < ip.Payload.Length));
        }

        return fragments;
    }

    /// <summary>Octets 0, 1, 2, … so that a misplaced one is seen.</summary>
    public static byte[] Pattern(int length)
    {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++)
        {
            data[i] = (byte)(i * 7 % 251);
        }

        return data;
    }
}
