using System.Buffers.Binary;
using System.Diagnostics;
using Tcpcrypt.Core;

namespace Tcpcrypt.Wire;

/// <summary>The fields of a segment to send; payload and options apart.</summary>
internal readonly ref struct SegmentFields
{
    public required FourTuple Tuple { get; init; }
    public required Seq<Local> Seq { get; init; }
    public Seq<Remote> Ack { get; init; }
    public required TcpFlags Flags { get; init; }
    public ushort Window { get; init; }
    public ushort UrgentPointer { get; init; }
    public ushort Identification { get; init; }
    public byte TimeToLive { get; init; }
    public byte TypeOfService { get; init; }

    /// <summary>Leaves the don't-fragment bit out: the path's MTU is below what a segment is cut to. The identification must be unique then (RFC 6864 §4.2).</summary>
    public bool MayFragment { get; init; }
    public ReadOnlySpan<byte> Options { get; init; }
}

/// <summary>The only writer of TCP headers: IP header, TCP header, options. The checksum is left to the device or the software offload (RFC 9293 MUST-2).</summary>
internal static class SegmentWriter
{
    /// <summary>Where the payload belongs in the slot, given the length of the (padded) options.</summary>
    public static int PayloadOffset(int optionsLength) => Ipv4Header.MinLength + TcpHeader.MinLength + optionsLength;

    /// <summary>Writes the headers in front of a payload of <paramref name="payloadLength"/> octets that is (or will be) at <see cref="PayloadOffset"/>.</summary>
    /// <param name="into">The slot; it becomes the packet.</param>
    /// <param name="fields">The header fields; the options are a multiple of 4 octets long.</param>
    /// <param name="payloadLength">Payload octets.</param>
    /// <param name="gsoSize">Payload octets per segment when this is a super-segment, else 0.</param>
    public static void Write(PacketSlot into, scoped in SegmentFields fields, int payloadLength, int gsoSize = 0)
    {
        int headerLength = PayloadOffset(fields.Options.Length);
        into.Length = headerLength + payloadLength;
        into.HeaderLength = headerLength;
        into.GsoSize = gsoSize;
        into.Checksum = ChecksumState.Partial;

        Span<byte> packet = into.Packet;
        FourTuple tuple = fields.Tuple;
        Ipv4Header.Write(packet, IpProtocol.Tcp, tuple.Local.Address, tuple.Remote.Address, fields.Identification, fields.TimeToLive, fields.TypeOfService, fields.MayFragment ? (ushort)0 : Ipv4Header.DontFragment);

        Span<byte> tcp = packet[Ipv4Header.MinLength..];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, tuple.Local.Port);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], tuple.Remote.Port);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], fields.Seq.Value);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], fields.Ack.Value);
        tcp[12] = (byte)((TcpHeader.MinLength + fields.Options.Length) << 2);
        tcp[13] = (byte)fields.Flags;
        BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], fields.Window);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], InternetChecksum.Fold(InternetChecksum.PseudoHeader(tuple.Local.Address, tuple.Remote.Address, IpProtocol.Tcp, tcp.Length)));
        BinaryPrimitives.WriteUInt16BigEndian(tcp[18..], fields.UrgentPointer);
        fields.Options.CopyTo(tcp[TcpHeader.MinLength..]);
        Debug.Assert(TcpHeader.TryParse(tcp, out _), "what was written parses back");
    }
}

/// <summary>Lays out options in a 40-octet area, padded with NOP to words so that the common layouts match Linux's.</summary>
internal ref struct TcpOptionWriter(Span<byte> area)
{
    private readonly Span<byte> _area = area;

    public int Length { get; private set; }

    public readonly ReadOnlySpan<byte> Written => _area[..Length];

    public void MaximumSegmentSize(int mss)
    {
        Span<byte> option = Take(TcpOptionKind.MaximumSegmentSize, 4);
        BinaryPrimitives.WriteUInt16BigEndian(option[2..], (ushort)mss);
    }

    public void SackPermitted() => Take(TcpOptionKind.SackPermitted, 2);

    public void Timestamps(uint tsVal, uint tsEcr)
    {
        Span<byte> option = Take(TcpOptionKind.Timestamps, 10);
        BinaryPrimitives.WriteUInt32BigEndian(option[2..], tsVal);
        BinaryPrimitives.WriteUInt32BigEndian(option[6..], tsEcr);
    }

    public void WindowScale(byte shift) => Take(TcpOptionKind.WindowScale, 3)[2] = shift;

    public void Sack(scoped ReadOnlySpan<SackBlock> blocks)
    {
        Span<byte> option = Take(TcpOptionKind.Sack, 2 + (8 * blocks.Length));
        for (int i = 0; i < blocks.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(option[(2 + (8 * i))..], blocks[i].Left.Value);
            BinaryPrimitives.WriteUInt32BigEndian(option[(6 + (8 * i))..], blocks[i].Right.Value);
        }
    }

    /// <summary>An option of any kind.</summary>
    public void Option(byte kind, scoped ReadOnlySpan<byte> content) => content.CopyTo(Take(kind, 2 + content.Length)[2..]);

    /// <summary>NOPs up to the next word: the header's length is counted in words.</summary>
    public void Pad()
    {
        while (Length % 4 != 0)
        {
            NoOperation();
        }
    }

    public void NoOperation() => _area[Length++] = TcpOptionKind.NoOperation;

    private Span<byte> Take(byte kind, int length)
    {
        Span<byte> option = _area.Slice(Length, length);
        option[0] = kind;
        option[1] = (byte)length;
        Length += length;
        return option;
    }
}

/// <summary>A range of the peer's octets that we hold out of order (RFC 2018 §3): Left is the first, Right is one behind the last.</summary>
internal readonly record struct SackBlock(Seq<Remote> Left, Seq<Remote> Right);
