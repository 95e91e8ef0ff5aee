using System.Buffers.Binary;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Protection;

/// <summary>Builds segments, and tells in the slow way, from the specifications, what of a segment is covered.</summary>
internal static class TestSegment
{
    public const byte Ack = 0x10;

    /// <summary>A segment with ports 1000 and 2000, window 0x1234, and the options given in hex; a MAC option stands as "MAC".</summary>
    public static byte[] Build(string options, int dataLength, uint seq = 1001, uint ack = 2001, byte flags = Ack)
    {
        byte[] optionOctets = Convert.FromHexString(options.Replace("MAC", "4612" + new string('0', 32), StringComparison.Ordinal));
        byte[] segment = new byte[20 + optionOctets.Length + dataLength];
        BinaryPrimitives.WriteUInt16BigEndian(segment, 1000);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), 2000);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(4), seq);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(8), ack);
        segment[12] = (byte)((20 + optionOctets.Length) / 4 << 4);
        segment[13] = flags;
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(14), 0x1234);
        optionOctets.CopyTo(segment, 20);
        for (int i = 0; i < dataLength; i++)
        {
            segment[20 + optionOctets.Length + i] = (byte)(i * 7);
        }

        return segment;
    }

    /// <summary>Where the parser finds the tag; -1 without.</summary>
    public static int TagOffset(ReadOnlySpan<byte> segment)
    {
        int headerLength = segment.Length < 20 ? 0 : (segment[12] >> 4) * 4;
        if (headerLength < 20 || headerLength > segment.Length)
        {
            return -1;
        }

        int offset = CryptOptions.Parse(segment[20..headerLength], CryptOptionKinds.Default, isOpeningSyn: false).TagOffset;
        return offset < 0 ? -1 : 20 + offset;
    }

    /// <summary>Everything that must not change for the tag to hold, as text; null when the segment cannot hold one there.</summary>
    public static string? Covered(TcpcryptDialect dialect, byte[] segment, int tagOffset, ulong sequence, ulong acknowledgment)
    {
        int headerLength = (segment[12] >> 4) * 4;
        if (headerLength < 20 || headerLength > segment.Length)
        {
            return null;
        }

        bool isDraft = dialect == TcpcryptDialect.Draft;
        bool hasMac = false;
        List<byte> options = [];
        int at = 20;
        while (at < headerLength && segment[at] != 0)
        {
            if (segment[at] == 1)
            {
                options.AddRange(isDraft ? [1] : []);
                at++;
                continue;
            }

            int length = at + 1 < headerLength ? segment[at + 1] : 0;
            if (length < 2 || at + length > headerLength)
            {
                return null;
            }

            bool isMac = at + 2 == tagOffset && length == 18;
            hasMac |= isMac;
            if (isMac || segment[at] is 8 or 16 or 17 or 19)
            {
                options.AddRange(isDraft ? [segment[at], (byte)length] : []);
            }
            else
            {
                options.AddRange(segment[at..(at + length)]);
            }

            at += length;
        }

        if (!hasMac)
        {
            return null;
        }

        options.AddRange(isDraft ? segment[at..headerLength] : []);
        string header = isDraft
            ? $"{segment.Length} {Convert.ToHexString(segment[12..16])} {Convert.ToHexString(segment[18..20])} {sequence} {((segment[13] & Ack) != 0 ? acknowledgment : 0)}"
            : $"{segment.Length} {headerLength} {segment[13]} {Convert.ToHexString(segment[18..20])} {Convert.ToHexString(segment[4..12])}";
        return $"{header} | {Convert.ToHexString([.. options])} | {Convert.ToHexString(segment[headerLength..])} | {Convert.ToHexString(segment[tagOffset..(tagOffset + 16)])}";
    }
}
