using System.Buffers.Binary;
using System.Text;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests;

/// <summary>
/// A segment as a test writes and reads it: <c>Seg.Ack(101) with { Wnd = 0 }</c>. Numbers are relative: 0 is the SYN, 1 the first octet.
/// What is null the <see cref="Peer"/> fills in with the number that a well-behaved host would send.
/// </summary>
internal sealed record Seg
{
    public uint? Seq { get; init; }
    public uint? AckNo { get; init; }
    public TcpFlags Flags { get; init; }
    public ushort Wnd { get; init; } = 65_535;
    public ushort Urg { get; init; }
    public byte[] Options { get; init; } = [];
    public byte[] Data { get; init; } = [];

    /// <summary>Adds the timestamps option; null on a connection with timestamps: the peer's clock.</summary>
    public (uint Val, uint Ecr)? Ts { get; init; }

    public bool NoTs { get; init; }

    /// <summary>A data offset field that lies, in words.</summary>
    public int? DataOffset { get; init; }

    /// <summary>The low four bits of the data offset's octet.</summary>
    public int Reserved { get; init; }

    /// <summary>Xored into the right checksum.</summary>
    public ushort ChecksumError { get; init; }

    public bool IsSyn => (Flags & TcpFlags.Syn) != 0;
    public bool IsAck => (Flags & TcpFlags.Ack) != 0;
    public bool IsRst => (Flags & TcpFlags.Rst) != 0;
    public bool IsFin => (Flags & TcpFlags.Fin) != 0;

    /// <summary>Octets of sequence space.</summary>
    public uint Len => (uint)Data.Length + (IsSyn ? 1u : 0) + (IsFin ? 1u : 0);

    public static Seg Syn(params byte[] options) => new() { Seq = 0, AckNo = 0, Flags = TcpFlags.Syn, Options = options };

    public static Seg SynAck(params byte[] options) => new() { Seq = 0, AckNo = 1, Flags = TcpFlags.Syn | TcpFlags.Ack, Options = options };

    public static Seg Ack(uint? ack = null) => new() { AckNo = ack, Flags = TcpFlags.Ack };

    public static Seg Bytes(byte[] data, uint? seq = null) => new() { Seq = seq, Flags = TcpFlags.Ack | TcpFlags.Psh, Data = data };

    public static Seg Text(string text, uint? seq = null) => Bytes(Encoding.ASCII.GetBytes(text), seq);

    public static Seg Fin(uint? seq = null) => new() { Seq = seq, Flags = TcpFlags.Fin | TcpFlags.Ack };

    public static Seg Rst(uint? seq = null) => new() { Seq = seq, AckNo = 0, Flags = TcpFlags.Rst };

    public override string ToString() => $"<{Flags} SEQ={Seq} ACK={AckNo} LEN={Data.Length} WND={Wnd}>";

    /// <summary>The IPv4 packet; sequence numbers absolute.</summary>
    public byte[] ToPacket(Endpoint4 from, Endpoint4 to, uint seq, uint ack)
    {
        byte[] options = Padded(Options);
        byte[] packet = new byte[40 + options.Length + Data.Length];
        Ipv4Header.Write(packet, IpProtocol.Tcp, from.Address, to.Address, 1);
        Span<byte> tcp = packet.AsSpan(20);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], to.Port);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], seq);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], ack);
        tcp[12] = (byte)(((DataOffset ?? ((20 + options.Length) / 4)) << 4) | Reserved);
        tcp[13] = (byte)Flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], Wnd);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[18..], Urg);
        options.CopyTo(tcp[20..]);
        Data.CopyTo(tcp[(20 + options.Length)..]);
        FixChecksums(packet);
        packet[36] ^= (byte)(ChecksumError >> 8);
        packet[37] ^= (byte)ChecksumError;
        return packet;
    }

    /// <summary>Makes both checksums right, whatever the rest of the packet is.</summary>
    public static void FixChecksums(Span<byte> packet)
    {
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(packet[10..], InternetChecksum.Finish(InternetChecksum.Sum(packet[..20])));
        if (packet.Length >= 38)
        {
            Span<byte> tcp = packet[20..];
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], 0);
            ulong pseudo = InternetChecksum.PseudoHeader(Ipv4Address.Read(packet[12..]), Ipv4Address.Read(packet[16..]), IpProtocol.Tcp, tcp.Length);
            BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], InternetChecksum.Finish(InternetChecksum.Sum(tcp, pseudo)));
        }
    }

    /// <summary>The blocks of the SACK option, if there is one, relative to <paramref name="isn"/>.</summary>
    public List<(uint Left, uint Right)> SackBlocks(uint isn)
    {
        List<(uint, uint)> blocks = [];
        TcpOptionReader reader = new(Options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == TcpOptionKind.Sack)
            {
                for (ReadOnlySpan<byte> rest = reader.Current.Content; rest.Length >= 8; rest = rest[8..])
                {
                    blocks.Add(unchecked((BinaryPrimitives.ReadUInt32BigEndian(rest) - isn, BinaryPrimitives.ReadUInt32BigEndian(rest[4..]) - isn)));
                }
            }
        }

        return blocks;
    }

    private static byte[] Padded(byte[] options) => options.Length % 4 == 0 ? options : [.. options, .. new byte[4 - (options.Length % 4)]];
}
