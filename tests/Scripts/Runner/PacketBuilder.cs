using System.Buffers.Binary;
using System.Globalization;
using Tcpcrypt.Core;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>Makes inbound packets out of what the script says.</summary>
/// <remarks>
/// Mutations, in braces behind the packet: checksum bad | 0, ipchecksum bad, doff N (words), reserved N (the three bits), source a.b.c.d, destination a.b.c.d, length N (IP total
/// length), truncate N (octets left of the packet), protocol N, version N, ihl N (words), fragment N (flags and offset field), data N (each payload octet), trailer N (octets behind the packet).
/// </remarks>
internal sealed class PacketBuilder(Ipv4Address local, Ipv4Address remote)
{
    private ushort _identification;

    public byte[] Tcp(TcpSpec spec, Connection connection)
    {
        byte[] options = Options(spec.Options!, connection);
        byte[] segment = new byte[20 + options.Length + spec.Length];
        BinaryPrimitives.WriteUInt16BigEndian(segment, connection.RemotePort);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), connection.LocalPort);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(4), spec.Sequence);

        // ACK without a number is 0 in the script's terms, as in packetdrill.
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(8), spec.Flags.HasFlag(ScriptFlags.Ack) ? connection.ToLive(spec.Ack ?? 0) : spec.Ack is { } ack ? connection.ToLive(ack) : 0);
        segment[12] = (byte)((5 + (options.Length / 4)) << 4);
        segment[13] = (byte)spec.Flags;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(14), spec.Window ?? 0);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(18), spec.Urgent ?? 0);
        options.CopyTo(segment, 20);
        Span<byte> payload = segment.AsSpan(20 + options.Length);
        Pattern.Fill(payload, spec.Flags.HasFlag(ScriptFlags.S) ? 0 : spec.Sequence - connection.RemoteIsn - 1);
        if (Mutation(spec, "data") is { } octet)
        {
            payload.Fill((byte)octet);
        }

        if (Mutation(spec, "doff") is { } offset)
        {
            segment[12] = (byte)((segment[12] & 15) | (offset << 4));
        }

        if (Mutation(spec, "reserved") is { } reserved)
        {
            segment[12] |= (byte)((reserved & 7) << 1);
        }

        return Packet(spec, IpProtocol.Tcp, segment, TcpHeader.ChecksumOffset);
    }

    public byte[] Udp(UdpSpec spec, Connection connection)
    {
        byte[] datagram = new byte[UdpHeader.Length + spec.Length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, connection.RemotePort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), connection.LocalPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        Pattern.Fill(datagram.AsSpan(UdpHeader.Length), 0);
        return Packet(spec, IpProtocol.Udp, datagram, UdpHeader.ChecksumOffset);
    }

    public byte[] Icmp(IcmpSpec spec, Connection connection)
    {
        bool isEcho = spec.Type is IcmpType.Echo or IcmpType.EchoReply;
        byte[] body = isEcho ? [.. Enumerable.Range(0, 56).Select(i => Pattern.At(i))] : Quote(spec, connection);
        byte[] message = new byte[IcmpHeader.Length + body.Length];
        body.CopyTo(message, IcmpHeader.Length);
        uint rest = isEcho ? ((uint)spec.Id << 16) | 1 : (uint)(spec.Mtu ?? 0);
        IcmpHeader.Write(message, spec.Type, spec.Code ?? 0, rest);
        if (spec.Mutations.ContainsKey("checksum"))
        {
            message[2] ^= 1;
        }

        return Packet(spec, IpProtocol.Icmp, message, null);
    }

    /// <summary>The header of the stack's packet and the first 8 octets behind it, which is all that RFC 792 promises.</summary>
    private byte[] Quote(IcmpSpec spec, Connection connection)
    {
        byte[] quoted = new byte[28];
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(20), connection.LocalPort);
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(22), connection.RemotePort);
        int headers = 40;
        if (spec.QuotesUdp)
        {
            headers = 28;
            BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(24), (ushort)(8 + spec.QuotedLength));
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(quoted.AsSpan(24), connection.ToLive(spec.QuotedSequence));
        }

        byte protocol = spec.QuotesUdp ? IpProtocol.Udp : IpProtocol.Tcp;
        Ipv4Header.Write(quoted.AsSpan(0, 20), protocol, local, remote, 0);
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(2), (ushort)(headers + spec.QuotedLength));
        FixHeaderChecksum(quoted);
        return quoted;
    }

    private static byte[] Options(IReadOnlyList<OptionSpec> specs, Connection connection)
    {
        List<byte> octets = [];
        foreach (OptionSpec spec in specs)
        {
            switch (spec)
            {
                case NopOption:
                    octets.Add(1);
                    break;
                case EolOption:
                    octets.Add(0);
                    break;
                case MssOption mss:
                    octets.AddRange([2, 4, (byte)(mss.Value >> 8), (byte)mss.Value]);
                    break;
                case WindowScaleOption scale:
                    octets.AddRange([3, 3, scale.Shift]);
                    break;
                case SackPermittedOption:
                    octets.AddRange([4, 2]);
                    break;
                case SackOption sack:
                    octets.AddRange([5, (byte)(2 + (8 * sack.Blocks.Count))]);
                    foreach ((uint left, uint right) in sack.Blocks)
                    {
                        Add(octets, connection.ToLive(left));
                        Add(octets, connection.ToLive(right));
                    }

                    break;
                case TimestampOption timestamp:
                    octets.AddRange([8, 10]);
                    Add(octets, timestamp.Value ?? 0);
                    Add(octets, connection.TimestampToLive(timestamp.Echo ?? 0));
                    break;
                case OtherOption other:
                    byte[] content = Convert.FromHexString(other.ContentHex);
                    octets.AddRange([other.Kind, (byte)(2 + content.Length), .. content]);
                    break;
                case RawOctets raw:
                    octets.AddRange(Convert.FromHexString(raw.Hex));
                    break;
                default:
                    throw new InvalidOperationException(spec.GetType().Name);
            }
        }

        // Padding: end-of-list, then zeros (RFC 9293 §3.1).
        while (octets.Count % 4 != 0)
        {
            octets.Add(0);
        }

        return octets.Count <= 40 ? [.. octets] : throw new InvalidOperationException($"{octets.Count} octets of TCP options do not fit a header.");
    }

    private static void Add(List<byte> octets, uint value) => octets.AddRange([(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value]);

    private byte[] Packet(PacketSpec spec, byte protocol, byte[] payload, int? checksumOffset)
    {
        Ipv4Address source = Address(spec, "source") ?? remote;
        Ipv4Address destination = Address(spec, "destination") ?? local;
        if (checksumOffset is { } offset)
        {
            ulong pseudo = InternetChecksum.PseudoHeader(source, destination, protocol, payload.Length);
            ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(payload, pseudo));
            if (spec.Mutations.TryGetValue("checksum", out string? wrong))
            {
                checksum = wrong == "bad" ? (ushort)(checksum ^ 0x0101) : ushort.Parse(wrong, CultureInfo.InvariantCulture);
            }

            BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(offset), checksum);
        }

        byte[] packet = new byte[20 + payload.Length];
        payload.CopyTo(packet, 20);
        byte tos = (byte)((spec.Ip.TypeOfService ?? 0) | (spec.Ip.Ecn is { } ecn and not EcnSpec.AnyEct ? (byte)ecn : 0));
        Ipv4Header.Write(packet, (byte)(Mutation(spec, "protocol") ?? protocol), source, destination, ++_identification, spec.Ip.TimeToLive ?? 64, tos);
        MutateHeader(spec, packet);
        if (Mutation(spec, "truncate") is { } left)
        {
            Array.Resize(ref packet, Math.Min(left, packet.Length));
        }

        if (Mutation(spec, "trailer") is { } more)
        {
            Array.Resize(ref packet, packet.Length + more);
        }

        return packet;
    }

    private static void MutateHeader(PacketSpec spec, byte[] packet)
    {
        if (Mutation(spec, "length") is { } length)
        {
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)length);
        }

        if (Mutation(spec, "version") is { } version)
        {
            packet[0] = (byte)((packet[0] & 15) | (version << 4));
        }

        if (Mutation(spec, "ihl") is { } words)
        {
            packet[0] = (byte)((packet[0] & 0xF0) | words);
        }

        if (Mutation(spec, "fragment") is { } fragment)
        {
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), (ushort)fragment);
        }

        FixHeaderChecksum(packet);
        if (spec.Mutations.ContainsKey("ipchecksum"))
        {
            packet[10] ^= 1;
        }
    }

    private static void FixHeaderChecksum(byte[] packet)
    {
        packet[10] = 0;
        packet[11] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(0, 20))));
    }

    private static int? Mutation(PacketSpec spec, string key) =>
        spec.Mutations.TryGetValue(key, out string? value)
            ? value.StartsWith("0x", StringComparison.Ordinal) ? Convert.ToInt32(value, 16) : int.Parse(value, CultureInfo.InvariantCulture)
            : null;

    private static Ipv4Address? Address(PacketSpec spec, string key) => spec.Mutations.TryGetValue(key, out string? value) ? Ipv4Address.Parse(value) : null;
}
