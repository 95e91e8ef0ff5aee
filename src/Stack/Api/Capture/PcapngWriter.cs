using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Tcpcrypt;

/// <summary>Which way a captured packet went: the low bits of epb_flags.</summary>
internal enum CaptureDirection : uint
{
    Unknown = 0,
    Inbound = 1,
    Outbound = 2,
}

/// <summary>Formats pcapng blocks (draft-ietf-opsawg-pcapng): little-endian, one section, one interface of raw IP packets, times in nanoseconds.</summary>
internal sealed class PcapngWriter
{
    /// <summary>The largest interface statistics block: kept free for the end.</summary>
    public const int StatisticsLength = 24 + 12 + 12 + 12 + 12 + 4;

    private const uint SectionHeader = 0x0A0D_0D0A;
    private const uint ByteOrderMagic = 0x1A2B_3C4D;
    private const uint InterfaceDescription = 1;
    private const uint InterfaceStatistics = 5;
    private const uint EnhancedPacket = 6;
    private const ushort LinkTypeRaw = 101;

    private const ushort OptEnd = 0;
    private const ushort OptComment = 1;
    private const ushort ShbUserApplication = 4;
    private const ushort IfName = 2;
    private const ushort IfTimestampResolution = 9;
    private const ushort EpbFlags = 2;
    private const ushort EpbDropCount = 4;
    private const ushort IsbStartTime = 2;
    private const ushort IsbEndTime = 3;
    private const ushort IsbReceived = 4;
    private const ushort IsbDropped = 5;

    private readonly ArrayBufferWriter<byte> _block = new(2048);

    /// <summary>The header of the file.</summary>
    public ReadOnlyMemory<byte> WriteHeader(string application, string interfaceName, int snapLength)
    {
        _block.ResetWrittenCount();
        int start = Begin(SectionHeader);
        UInt32(ByteOrderMagic);
        UInt16(1);
        UInt16(0);
        UInt64(ulong.MaxValue);             // the section's length: not known
        Text(ShbUserApplication, application);
        EndOptions();
        End(start);

        start = Begin(InterfaceDescription);
        UInt16(LinkTypeRaw);
        UInt16(0);
        UInt32((uint)snapLength);
        Text(IfName, interfaceName);
        Option(IfTimestampResolution, [9]);
        EndOptions();
        End(start);
        return _block.WrittenMemory;
    }

    /// <summary>One packet. <paramref name="lost"/>: packets that were lost since the one before.</summary>
    public ReadOnlyMemory<byte> WritePacket(long unixNanoseconds, ReadOnlySpan<byte> captured, int originalLength, CaptureDirection direction, string? comment, long lost)
    {
        _block.ResetWrittenCount();
        int start = Begin(EnhancedPacket);
        UInt32(0);
        Time(unixNanoseconds);
        UInt32((uint)captured.Length);
        UInt32((uint)originalLength);
        Padded(captured);
        if (comment is not null)
        {
            Text(OptComment, comment);
        }

        Option(EpbFlags, (uint)direction);
        if (lost > 0)
        {
            Option(EpbDropCount, (ulong)lost);
        }

        EndOptions();
        End(start);
        return _block.WrittenMemory;
    }

    /// <summary>The end: what was seen and lost.</summary>
    public ReadOnlyMemory<byte> WriteStatistics(long startNanoseconds, long endNanoseconds, long received, long dropped)
    {
        _block.ResetWrittenCount();
        int start = Begin(InterfaceStatistics);
        UInt32(0);
        Time(endNanoseconds);
        Option(IsbStartTime, startNanoseconds);
        Option(IsbEndTime, endNanoseconds);
        Option(IsbReceived, (ulong)received);
        Option(IsbDropped, (ulong)dropped);
        EndOptions();
        End(start);
        return _block.WrittenMemory;
    }

    /// <summary>A block's type and room for its length; returns where the block starts.</summary>
    private int Begin(uint type)
    {
        int start = _block.WrittenCount;
        UInt32(type);
        UInt32(0);
        return start;
    }

    /// <summary>The block's length, behind it and, afterwards, in front.</summary>
    private void End(int start)
    {
        uint length = (uint)(_block.WrittenCount - start + sizeof(uint));
        UInt32(length);

        // The writer gives out its memory read-only; what was just written is ours all the same.
        Span<byte> front = System.Runtime.InteropServices.MemoryMarshal.AsMemory(_block.WrittenMemory).Span[(start + sizeof(uint))..];
        BinaryPrimitives.WriteUInt32LittleEndian(front, length);
    }

    /// <summary>A time as pcapng splits it: the high 32 bits first.</summary>
    private void Time(long nanoseconds)
    {
        UInt32((uint)(nanoseconds >> 32));
        UInt32(unchecked((uint)nanoseconds));
    }

    private void Text(ushort code, string text) => Option(code, Encoding.UTF8.GetBytes(text));

    private void Option(ushort code, uint value)
    {
        Span<byte> octets = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(octets, value);
        Option(code, octets);
    }

    private void Option(ushort code, ulong value)
    {
        Span<byte> octets = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(octets, value);
        Option(code, octets);
    }

    private void Option(ushort code, long time)
    {
        UInt16(code);
        UInt16(sizeof(long));
        Time(time);
    }

    private void Option(ushort code, ReadOnlySpan<byte> value)
    {
        UInt16(code);
        UInt16((ushort)value.Length);
        Padded(value);
    }

    private void EndOptions() => UInt32(OptEnd);

    private void Padded(ReadOnlySpan<byte> octets)
    {
        _block.Write(octets);
        int padding = -octets.Length & 3;
        _block.GetSpan(4)[..padding].Clear();
        _block.Advance(padding);
    }

    private void UInt16(ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_block.GetSpan(sizeof(ushort)), value);
        _block.Advance(sizeof(ushort));
    }

    private void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_block.GetSpan(sizeof(uint)), value);
        _block.Advance(sizeof(uint));
    }

    private void UInt64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_block.GetSpan(sizeof(ulong)), value);
        _block.Advance(sizeof(ulong));
    }
}
