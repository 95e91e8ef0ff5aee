using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>HMAC-SHA-256 (RFC 2104) on a kept IncrementalHash.</summary>
internal sealed class PortableHmac(ReadOnlySpan<byte> key) : MacKey
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        Span<byte> mac = stackalloc byte[SHA256.HashSizeInBytes];
        _hash.AppendData(first);
        _hash.AppendData(second);
        _hash.GetHashAndReset(mac);
        mac[..16].CopyTo(tag);
        CryptographicOperations.ZeroMemory(mac);
    }

    public override void Dispose() => _hash.Dispose();
}

/// <summary>
/// AES-128-CMAC (RFC 4493) on a kept CBC transform. It is never reset: CBC XORs the previous output into the next block, so the first block of a message is XORed with that
/// output beforehand and the two cancel.
/// </summary>
internal sealed class PortableCmac : MacKey
{
    private const int BlockLength = 16;
    private const int BatchLength = 64 * BlockLength;

    private readonly Aes _aes = Aes.Create();
    private readonly ICryptoTransform _cbc;
    private readonly byte[] _input = GC.AllocateArray<byte>(BatchLength, pinned: true);
    private readonly byte[] _output = GC.AllocateArray<byte>(BatchLength, pinned: true);
    private readonly byte[] _state = GC.AllocateArray<byte>(3 * BlockLength, pinned: true);
    private int _filled;
    private bool _begun;

    public PortableCmac(ReadOnlySpan<byte> key)
    {
        _cbc = PortableMode.CreateEncryptor(_aes, CipherMode.CBC, key);

        // RFC 4493 §2.3: L = AES(0), K1 = 2 L, K2 = 4 L.
        _filled = BlockLength;
        Flush();
        Double(Previous, Key1);
        Double(Key1, Key2);
        _begun = false;
    }

    private Span<byte> Previous => _state.AsSpan(0, BlockLength);

    private Span<byte> Key1 => _state.AsSpan(BlockLength, BlockLength);

    private Span<byte> Key2 => _state.AsSpan(2 * BlockLength, BlockLength);

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        Append(first);
        Append(second);
        int partial = _filled % BlockLength;
        if (_filled == 0 || partial != 0)
        {
            Span<byte> padding = _input.AsSpan(_filled, BlockLength - partial);
            padding.Clear();
            padding[0] = 0x80;
            _filled += padding.Length;
            Xor(Key2, _input.AsSpan(_filled - BlockLength));
        }
        else
        {
            Xor(Key1, _input.AsSpan(_filled - BlockLength));
        }

        Flush();
        _begun = false;
        Previous.CopyTo(tag);
    }

    public override void Dispose()
    {
        _cbc.Dispose();
        _aes.Dispose();
        CryptographicOperations.ZeroMemory(_input);
        CryptographicOperations.ZeroMemory(_output);
        CryptographicOperations.ZeroMemory(_state);
    }

    // A full batch waits until there is more: the last block of a message is treated differently.
    private void Append(ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            if (_filled == BatchLength)
            {
                Flush();
            }

            int count = Math.Min(data.Length, BatchLength - _filled);
            data[..count].CopyTo(_input.AsSpan(_filled));
            _filled += count;
            data = data[count..];
        }
    }

    private void Flush()
    {
        if (!_begun)
        {
            Xor(Previous, _input);
            _begun = true;
        }

        _cbc.TransformBlock(_input, 0, _filled, _output, 0);
        _output.AsSpan(_filled - BlockLength, BlockLength).CopyTo(Previous);
        _filled = 0;
    }

    private static void Xor(ReadOnlySpan<byte> block, Span<byte> target)
    {
        ReadOnlySpan<ulong> left = MemoryMarshal.Cast<byte, ulong>(block);
        Span<ulong> right = MemoryMarshal.Cast<byte, ulong>(target);
        right[0] ^= left[0];
        right[1] ^= left[1];
    }

    // Times x in GF(2^128), without a branch on the secret.
    private static void Double(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int carry = 0;
        for (int index = BlockLength - 1; index >= 0; index--)
        {
            int shifted = (source[index] << 1) | carry;
            destination[index] = (byte)shifted;
            carry = shifted >> 8;
        }

        destination[^1] ^= (byte)(0x87 & -carry);
    }
}
