using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>A received segment with the names of RFC 9293 §3.3.1 (SEG.*), parsed once.</summary>
internal readonly ref struct Segment
{
    public Seq<Remote> Seq { get; private init; }
    public Seq<Local> Ack { get; private init; }
    public TcpFlags Flags { get; private init; }

    /// <summary>The window field as it stands, unscaled.</summary>
    public ushort WindowField { get; private init; }
    public ushort UrgentPointer { get; private init; }
    public ReadOnlySpan<byte> Options { get; private init; }

    /// <summary>The whole segment. Writable: a protected one is decrypted in place, which <see cref="Payload"/> sees.</summary>
    public Span<byte> Octets { get; private init; }
    public ReadOnlySpan<byte> Payload { get; private init; }
    public bool HasTimestamps { get; private init; }
    public uint TsVal { get; private init; }
    public uint TsEcr { get; private init; }
    public Ecn Ecn { get; private init; }

    /// <summary>Payload octets per wire segment when this is a super-segment, else 0.</summary>
    public int GsoSize { get; private init; }

    /// <summary>SEG.LEN: octets of sequence space, SYN and FIN included.</summary>
    public int Len => Payload.Length + (IsSyn ? 1 : 0) + (IsFin ? 1 : 0);

    public bool IsSyn => (Flags & TcpFlags.Syn) != 0;
    public bool IsFin => (Flags & TcpFlags.Fin) != 0;
    public bool IsRst => (Flags & TcpFlags.Rst) != 0;
    public bool IsAck => (Flags & TcpFlags.Ack) != 0;
    public bool IsUrg => (Flags & TcpFlags.Urg) != 0;

    /// <summary>The sequence number behind the segment.</summary>
    public Seq<Remote> End => Seq + Len;

    /// <summary>How many segments this was on the wire.</summary>
    public int Count => GsoSize > 0 ? Math.Max(1, (Payload.Length + GsoSize - 1) / GsoSize) : 1;

    /// <summary>Reads a segment in memory that is the core's for as long as it is processed.</summary>
    public static Segment From(scoped in TcpHeader header, ReadOnlySpan<byte> octets, Ecn ecn, int gsoSize)
    {
        int headerLength = header.HeaderLength;
        ReadOnlySpan<byte> options = octets[TcpHeader.MinLength..headerLength];
        bool hasTimestamps = TryReadTimestamps(options, out uint tsVal, out uint tsEcr);
        return new Segment
        {
            Seq = header.Seq,
            Ack = header.Ack,
            Flags = header.Flags,
            WindowField = header.Window,
            UrgentPointer = header.UrgentPointer,
            Options = options,
            Octets = MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(octets), octets.Length),
            Payload = octets[headerLength..],
            HasTimestamps = hasTimestamps,
            TsVal = tsVal,
            TsEcr = tsEcr,
            Ecn = ecn,
            GsoSize = gsoSize,
        };
    }

    private static bool TryReadTimestamps(ReadOnlySpan<byte> options, out uint tsVal, out uint tsEcr)
    {
        // The layout of nearly every segment: NOP NOP TS(10) (RFC 7323 App. A).
        if (options.Length >= 12 && BinaryPrimitives.ReadUInt32BigEndian(options) == 0x0101_080A)
        {
            tsVal = BinaryPrimitives.ReadUInt32BigEndian(options[4..]);
            tsEcr = BinaryPrimitives.ReadUInt32BigEndian(options[8..]);
            return true;
        }

        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == TcpOptionKind.Timestamps && reader.Current.Content.Length == 8)
            {
                tsVal = BinaryPrimitives.ReadUInt32BigEndian(reader.Current.Content);
                tsEcr = BinaryPrimitives.ReadUInt32BigEndian(reader.Current.Content[4..]);
                return true;
            }
        }

        tsVal = 0;
        tsEcr = 0;
        return false;
    }
}
