using System.Buffers.Binary;

namespace Tcpcrypt.Tests;

/// <summary>TCP options, octet by octet.</summary>
internal static class Opt
{
    public static readonly byte[] SackOk = [4, 2];

    public static byte[] Mss(int mss) => [2, 4, (byte)(mss >> 8), (byte)mss];

    public static byte[] Scale(int shift) => [3, 3, (byte)shift];

    public static byte[] Ts(uint val, uint ecr)
    {
        byte[] option = [8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(2), val);
        BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(6), ecr);
        return option;
    }

    public static byte[] Sack(params ReadOnlySpan<(uint Left, uint Right)> blocks)
    {
        byte[] option = new byte[2 + (8 * blocks.Length)];
        option[0] = 5;
        option[1] = (byte)option.Length;
        for (int i = 0; i < blocks.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(2 + (8 * i)), blocks[i].Left);
            BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(6 + (8 * i)), blocks[i].Right);
        }

        return option;
    }
}
