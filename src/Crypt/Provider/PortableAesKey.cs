using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>Counter mode over a kept ECB transform: a transform costs 0.25 us a call, EncryptEcb ten times that.</summary>
internal sealed class PortableAesKey : AesKey
{
    private const int BlockLength = 16;
    private const int BatchLength = 64 * BlockLength;

    private readonly Aes _aes = Aes.Create();
    private readonly ICryptoTransform _ecb;
    private readonly byte[] _counters = GC.AllocateArray<byte>(BatchLength, pinned: true);
    private readonly byte[] _keyStream = GC.AllocateArray<byte>(BatchLength, pinned: true);

    public PortableAesKey(ReadOnlySpan<byte> key)
    {
        _ecb = PortableMode.CreateEncryptor(_aes, CipherMode.ECB, key);
    }

    public override void EncryptBlock(ReadOnlySpan<byte> input, Span<byte> output)
    {
        input[..BlockLength].CopyTo(_counters);
        _ecb.TransformBlock(_counters, 0, BlockLength, _keyStream, 0);
        _keyStream.AsSpan(0, BlockLength).CopyTo(output);
    }

    public override void XorKeyStream(CounterLayout layout, ulong position, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int offset = (int)(position % BlockLength);
        ulong first = position - (uint)offset;
        ulong block = 0;
        while (source.Length > 0)
        {
            int length = Math.Min(source.Length, BatchLength - offset);
            int counters = (offset + length + BlockLength - 1) / BlockLength * BlockLength;
            for (int at = 0; at < counters; at += BlockLength, block++)
            {
                WriteCounter(layout, first, block, _counters.AsSpan(at, BlockLength));
            }

            _ecb.TransformBlock(_counters, 0, counters, _keyStream, 0);
            Xor(source[..length], _keyStream.AsSpan(offset, length), destination);
            source = source[length..];
            destination = destination[length..];
            offset = 0;
        }
    }

    public override void Dispose()
    {
        _ecb.Dispose();
        _aes.Dispose();
        CryptographicOperations.ZeroMemory(_counters);
        CryptographicOperations.ZeroMemory(_keyStream);
    }

    private static void WriteCounter(CounterLayout layout, ulong first, ulong block, Span<byte> counter)
    {
        if (layout == CounterLayout.Draft)
        {
            // [TD-74]: the position, with the carry beyond 2^64.
            BinaryPrimitives.WriteUInt128BigEndian(counter, (UInt128)first + (block * BlockLength));
        }
        else
        {
            // Reference spec 6.2.
            BinaryPrimitives.WriteUInt64LittleEndian(counter, 0);
            BinaryPrimitives.WriteUInt64LittleEndian(counter[8..], unchecked(first + (block << 24)));
        }
    }

    private static void Xor(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> destination)
    {
        int index = 0;
        for (; index <= left.Length - Vector<byte>.Count; index += Vector<byte>.Count)
        {
            (MemoryMarshal.Read<Vector<byte>>(left[index..]) ^ MemoryMarshal.Read<Vector<byte>>(right[index..])).CopyTo(destination[index..]);
        }

        for (; index < left.Length; index++)
        {
            destination[index] = (byte)(left[index] ^ right[index]);
        }
    }
}

/// <summary>AES-128 as a kept transform without padding.</summary>
internal static class PortableMode
{
    public static ICryptoTransform CreateEncryptor(Aes aes, CipherMode mode, ReadOnlySpan<byte> key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, 16, nameof(key));
        aes.Mode = mode;
        aes.Padding = PaddingMode.None;
        byte[] copy = key.ToArray();
        byte[] zero = new byte[16];
        ICryptoTransform transform = aes.CreateEncryptor(copy, mode == CipherMode.ECB ? null : zero);
        CryptographicOperations.ZeroMemory(copy);
        return transform;
    }
}
