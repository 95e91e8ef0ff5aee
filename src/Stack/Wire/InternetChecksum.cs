using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Tcpcrypt.Core;

namespace Tcpcrypt.Wire;

/// <summary>The one's-complement sum of IP, TCP, UDP and ICMP (RFC 1071), with incremental update (RFC 1624).</summary>
internal static class InternetChecksum
{
    /// <summary>The running sum of <paramref name="octets"/> added to <paramref name="seed"/>, as 16-bit big-endian words, not yet folded. An odd last octet is padded with zero, so only the last piece may be odd.</summary>
    public static ulong Sum(ReadOnlySpan<byte> octets, ulong seed = 0)
    {
        // RFC 1071 §2.B: the sum is independent of byte order, so it is taken in native order and swapped once at the end.
        ulong native = 0;
        if (Vector.IsHardwareAccelerated && octets.Length >= 4 * Vector<byte>.Count)
        {
            // 32-bit lanes are widened to 64 bits: no carry can be lost.
            ReadOnlySpan<Vector<uint>> vectors = MemoryMarshal.Cast<byte, Vector<uint>>(octets);
            Vector<ulong> low = Vector<ulong>.Zero;
            Vector<ulong> high = Vector<ulong>.Zero;
            foreach (Vector<uint> vector in vectors)
            {
                Vector.Widen(vector, out Vector<ulong> lower, out Vector<ulong> upper);
                low += lower;
                high += upper;
            }

            native = Vector.Sum(low + high);
            octets = octets[(vectors.Length * Vector<byte>.Count)..];
        }

        while (octets.Length >= 4)
        {
            native += MemoryMarshal.Read<uint>(octets);
            octets = octets[4..];
        }

        if (octets.Length >= 2)
        {
            native += MemoryMarshal.Read<ushort>(octets);
            octets = octets[2..];
        }

        if (octets.Length == 1)
        {
            native += BitConverter.IsLittleEndian ? octets[0] : (uint)octets[0] << 8;
        }

        ushort folded = Fold(native);
        return seed + (BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(folded) : folded);
    }

    /// <summary>Folds a running sum to 16 bits.</summary>
    public static ushort Fold(ulong sum)
    {
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)((sum & 0xFFFF) + (sum >> 16));
    }

    /// <summary>The checksum field for a running sum: its one's complement.</summary>
    public static ushort Finish(ulong sum) => (ushort)~Fold(sum);

    /// <summary>The pseudo header's sum (RFC 9293 §3.1): addresses, protocol, transport length.</summary>
    public static ulong PseudoHeader(Ipv4Address source, Ipv4Address destination, byte protocol, int length) =>
        (source.Value >> 16) + (source.Value & 0xFFFF) + (destination.Value >> 16) + (destination.Value & 0xFFFF) + protocol + (uint)length;

    /// <summary>True when octets that include their checksum field add up (RFC 1071 §1.3).</summary>
    public static bool IsValid(ReadOnlySpan<byte> octets, ulong seed = 0) => Fold(Sum(octets, seed)) == 0xFFFF;

    /// <summary>The checksum after one 16-bit word changed: HC' = ~(~HC + ~m + m') (RFC 1624 eqn. 3).</summary>
    public static ushort Update(ushort checksum, ushort oldWord, ushort newWord) =>
        Finish((ulong)(ushort)~checksum + (ushort)~oldWord + newWord);
}
