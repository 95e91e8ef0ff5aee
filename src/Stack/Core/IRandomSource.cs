using System.Runtime.InteropServices;

namespace Tcpcrypt.Core;

/// <summary>Where the core's unpredictable values come from (ISN secret, ports, hash keys). Production uses the operating system's generator, tests a seed.</summary>
internal interface IRandomSource
{
    /// <summary>Fills <paramref name="destination"/> with random octets.</summary>
    void Fill(Span<byte> destination);
}

internal static class RandomSourceExtensions
{
    public static uint NextUInt32(this IRandomSource random)
    {
        uint value = 0;
        random.Fill(MemoryMarshal.AsBytes(new Span<uint>(ref value)));
        return value;
    }

    public static ulong NextUInt64(this IRandomSource random)
    {
        ulong value = 0;
        random.Fill(MemoryMarshal.AsBytes(new Span<ulong>(ref value)));
        return value;
    }
}
