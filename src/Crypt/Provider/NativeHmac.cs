using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// HMAC-SHA-256 (RFC 2104) on two kept states: behind the inner and the outer pad. A MAC takes a copy of one, adds the data, and puts the digest through the other.
/// The padding of SHA-256 is written here, so that a short message is two calls and SHA256_Final's wiping is spared.
/// </summary>
internal static unsafe class Sha256Hmac
{
    /// <summary>Behind whole blocks a state is eight 32-bit words, in native order.</summary>
    public const int StateLength = 32;

    /// <summary>SHA256_CTX: the state, the length in bits as 64 bits, 64 octets of data and two counts.</summary>
    private const int ContextLength = 112;
    private const int BlockLength = 64;
    private const int TailLength = 4 * BlockLength;

    // FIPS 180-4 §5.3.3
    private static ReadOnlySpan<uint> InitialState => [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19];

    /// <summary>The two states for a key.</summary>
    [SkipLocalsInit]
    public static void SetKey(byte* inner, byte* outer, ReadOnlySpan<byte> key)
    {
        byte* context = stackalloc byte[ContextLength];
        byte* pad = stackalloc byte[BlockLength];
        Span<byte> padding = new(pad, BlockLength);
        padding.Clear();
        if (key.Length <= BlockLength)
        {
            key.CopyTo(padding);
        }
        else
        {
            LibCrypto.SHA256_Init(context);
            Update(context, key);
            LibCrypto.SHA256_Final(pad, context);
        }

        SetState(context, pad, inner, 0x3636363636363636);
        SetState(context, pad, outer, 0x3636363636363636 ^ 0x5C5C5C5C5C5C5C5C);
        CryptographicOperations.ZeroMemory(padding);
        CryptographicOperations.ZeroMemory(new Span<byte>(context, ContextLength));
    }

    /// <summary>The MAC.</summary>
    [SkipLocalsInit]
    public static void Compute(byte* inner, byte* outer, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> mac)
    {
        byte* context = stackalloc byte[ContextLength];
        byte* tail = stackalloc byte[TailLength];
        LibCrypto.SHA256_Init(context);
        Unsafe.CopyBlock(context, inner, StateLength);
        int rest = first.Length % BlockLength;
        if (rest + second.Length <= TailLength - 9)
        {
            if (rest != first.Length)
            {
                Update(context, first[..^rest]);
            }

            Span<byte> data = new(tail, TailLength);
            first[^rest..].CopyTo(data);
            second.CopyTo(data[rest..]);
            int length = Pad(tail, rest + second.Length, BlockLength + (ulong)first.Length + (ulong)second.Length);
            LibCrypto.SHA256_Update(context, tail, (nuint)length);
            WriteState(context, tail, 32);
        }
        else
        {
            *(ulong*)(context + StateLength) = BlockLength * 8;
            Update(context, first);
            Update(context, second);
            LibCrypto.SHA256_Final(tail, context);
        }

        Pad(tail, 32, BlockLength + 32);
        Unsafe.CopyBlock(context, outer, StateLength);
        LibCrypto.SHA256_Transform(context, tail);
        fixed (byte* output = mac)
        {
            WriteState(context, output, mac.Length);
        }

        CryptographicOperations.ZeroMemory(new Span<byte>(tail, TailLength));
        CryptographicOperations.ZeroMemory(new Span<byte>(context, ContextLength));
    }

    /// <summary>The state behind a pad; the block is left with this pad.</summary>
    private static void SetState(byte* context, byte* block, byte* state, ulong mask)
    {
        for (int index = 0; index < BlockLength / sizeof(ulong); index++)
        {
            ((ulong*)block)[index] ^= mask;
        }

        InitialState.CopyTo(new Span<uint>(context, InitialState.Length));
        LibCrypto.SHA256_Transform(context, block);
        Unsafe.CopyBlock(state, context, StateLength);
    }

    // FIPS 180-4 §5.1.1: a one bit, zeros, the length in bits as 64 bits; returns whole blocks.
    private static int Pad(byte* tail, int length, ulong total)
    {
        int padded = (length + 9 + BlockLength - 1) / BlockLength * BlockLength;
        new Span<byte>(tail + length, padded - length).Clear();
        tail[length] = 0x80;
        BinaryPrimitives.WriteUInt64BigEndian(new Span<byte>(tail + padded - 8, 8), total * 8);
        return padded;
    }

    private static void WriteState(byte* state, byte* output, int length)
    {
        uint* words = (uint*)state;
        for (int index = 0; index < length / 4; index++)
        {
            Unsafe.WriteUnaligned(output + (4 * index), BinaryPrimitives.ReverseEndianness(words[index]));
        }
    }

    private static void Update(byte* state, ReadOnlySpan<byte> data)
    {
        fixed (byte* octets = data)
        {
            LibCrypto.SHA256_Update(state, octets, (nuint)data.Length);
        }
    }
}

/// <summary>A kept key for <see cref="Sha256Hmac"/>.</summary>
internal sealed unsafe class NativeHmac : MacKey
{
    public const int KeptLength = 2 * Sha256Hmac.StateLength;

    private readonly SecretMemory _memory;
    private readonly int _offset;

    public NativeHmac(ReadOnlySpan<byte> key)
        : this(key, new SecretMemory(KeptLength), 0)
    {
    }

    /// <summary>Keeps the states in a part of somebody's memory.</summary>
    public NativeHmac(ReadOnlySpan<byte> key, SecretMemory memory, int offset)
    {
        _memory = memory;
        _offset = offset;
        Sha256Hmac.SetKey(States, States + Sha256Hmac.StateLength, key);
    }

    private byte* States => (byte*)_memory.Pointer + _offset;

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        byte* states = States;
        Sha256Hmac.Compute(states, states + Sha256Hmac.StateLength, first, second, tag[..16]);
        GC.KeepAlive(this);
    }

    public override void Dispose() => _memory.Dispose();
}

/// <summary>HMAC-SHA-256 by a kept EVP_MAC, for builds of libcrypto without the deprecated SHA256_*: 0.16 us more for each MAC.</summary>
internal sealed unsafe class EvpHmac : MacKey
{
    // Fetching looks an algorithm up by name under a lock: once for all.
    private static readonly nint s_algorithm = Fetch();

    private readonly MacHandle _context = new(LibCrypto.EVP_MAC_CTX_new((void*)s_algorithm));

    public EvpHmac(ReadOnlySpan<byte> key)
    {
        LibCrypto.Param* parameters = stackalloc LibCrypto.Param[2];
        byte empty = 0;
        fixed (byte* name = "digest"u8, digest = "SHA256"u8, octets = key)
        {
            parameters[0] = new LibCrypto.Param { Key = name, DataType = LibCrypto.ParamUtf8String, Data = digest, DataSize = 6 };
            parameters[1] = default;

            // No pointer would mean: the key as before.
            NativeCall.Check(LibCrypto.EVP_MAC_init(_context.Pointer, octets == null ? &empty : octets, (nuint)key.Length, parameters) == 1);
        }
    }

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        Span<byte> mac = stackalloc byte[SHA256.HashSizeInBytes];
        ComputeWhole(first, second, mac);
        mac[..16].CopyTo(tag);
    }

    /// <summary>All 32 octets.</summary>
    public void ComputeWhole(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> mac)
    {
        nint context = _context.Pointer;
        nuint length;
        fixed (byte* from = first, then = second, output = mac)
        {
            NativeCall.Check(LibCrypto.EVP_MAC_update(context, from, (nuint)first.Length) == 1);
            NativeCall.Check(LibCrypto.EVP_MAC_update(context, then, (nuint)second.Length) == 1);
            NativeCall.Check(LibCrypto.EVP_MAC_final(context, output, &length, (nuint)mac.Length) == 1);
        }

        NativeCall.Check(LibCrypto.EVP_MAC_init(context, null, 0, null) == 1);
        GC.KeepAlive(this);
    }

    public override void Dispose() => _context.Dispose();

    private static nint Fetch()
    {
        fixed (byte* name = "HMAC"u8)
        {
            return NativeCall.Check((nint)LibCrypto.EVP_MAC_fetch(null, name, null));
        }
    }
}
