using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Host;

namespace Tcpcrypt.Benchmarks;

/// <summary>
/// An RSA key for a load generator: its modulus is a product of primes of 64 bits, so that decryption takes a fraction of a millisecond instead of six. For S, which sees the modulus only, the work is
/// the same. With an honest key clients on the same machine could not keep the server busy, and what was measured would be its waking up. It protects nothing.
/// </summary>
internal sealed class LightRsaKeyPair : RsaKeyPair
{
    private const int PrimeBits = 64;

    // The product of so many primes has no leading zero: 0.99^64 > 1/2.
    private const ulong LeastPrime = ulong.MaxValue / 100 * 99;

    private readonly ulong[] _primes;
    private readonly BigInteger[] _units;
    private readonly BigInteger _modulus;
    private readonly byte[] _octets;

    public LightRsaKeyPair(int bits)
    {
        Random random = new();
        HashSet<ulong> primes = [];
        while (primes.Count < bits / PrimeBits)
        {
            ulong candidate = LeastPrime + ((ulong)random.NextInt64() % (ulong.MaxValue - LeastPrime));
            if (candidate % 6 == 5 && IsPrime(candidate))
            {
                primes.Add(candidate);
            }
        }

        _primes = [.. primes];
        _modulus = primes.Aggregate(BigInteger.One, static (product, prime) => product * prime);
        _octets = _modulus.ToByteArray(isUnsigned: true, isBigEndian: true);
        _units = [.. _primes.Select(prime => _modulus / prime * Power((ulong)(_modulus / prime % prime), prime - 2, prime))];
    }

    public override ReadOnlySpan<byte> Modulus => _octets;

    /// <summary>Gives the key to a stack, as if it had made it itself.</summary>
    public static void GiveTo(IpStack stack, int bits)
    {
        HandshakePool pool = PoolOf(stack.Host)!;
        pool.GetRsaKey(bits).Dispose();
        KeysOf(pool)[bits] = (new LightRsaKeyPair(bits), stack.Host.Now);
    }

    public override bool TryDecrypt(OaepHash hash, ReadOnlySpan<byte> ciphertext, Span<byte> message, out int written)
    {
        BigInteger number = new(ciphertext, isUnsigned: true, isBigEndian: true);
        BigInteger sum = BigInteger.Zero;
        for (int i = 0; i < _primes.Length; i++)
        {
            // The inverse of 3 modulo p - 1, where p is 2 modulo 3.
            ulong prime = _primes[i];
            ulong exponent = (ulong)(((2 * (UInt128)(prime - 1)) + 1) / 3);
            sum += _units[i] * Power((ulong)(number % prime), exponent, prime);
        }

        Span<byte> encoded = stackalloc byte[_octets.Length];
        encoded.Clear();
        sum %= _modulus;
        sum.TryWriteBytes(encoded[(_octets.Length - sum.GetByteCount(isUnsigned: true))..], out _, isUnsigned: true, isBigEndian: true);
        return TryDecode(encoded, message, out written);
    }

    public override void Dispose()
    {
        // There is no secret in it.
    }

    /// <summary>EME-OAEP with SHA-256 (RFC 8017 §7.1.2), for messages that are known to be good.</summary>
    private static bool TryDecode(Span<byte> encoded, Span<byte> message, out int written)
    {
        const int Length = SHA256.HashSizeInBytes;
        Span<byte> seed = encoded[1..(1 + Length)];
        Span<byte> block = encoded[(1 + Length)..];
        Mask(block, seed);
        Mask(seed, block);
        Span<byte> rest = block[Length..];
        int one = rest.IndexOfAnyExcept((byte)0);
        written = rest.Length - one - 1;
        return one >= 0 && rest[one] == 1 && written <= message.Length && rest[(one + 1)..].TryCopyTo(message);
    }

    private static void Mask(ReadOnlySpan<byte> source, Span<byte> target)
    {
        Span<byte> input = stackalloc byte[source.Length + 4];
        Span<byte> output = stackalloc byte[SHA256.HashSizeInBytes];
        source.CopyTo(input);
        for (int offset = 0; offset < target.Length; offset += output.Length)
        {
            BinaryPrimitives.WriteInt32BigEndian(input[^4..], offset / output.Length);
            SHA256.HashData(input, output);
            for (int i = 0; i < output.Length && offset + i < target.Length; i++)
            {
                target[offset + i] ^= output[i];
            }
        }
    }

    private static ulong Power(ulong value, ulong exponent, ulong modulus)
    {
        ulong result = 1;
        for (; exponent > 0; exponent >>= 1)
        {
            if ((exponent & 1) == 1)
            {
                result = (ulong)((UInt128)result * value % modulus);
            }

            value = (ulong)((UInt128)value * value % modulus);
        }

        return result;
    }

    /// <summary>Miller and Rabin with the bases that are enough below 2^64.</summary>
    private static bool IsPrime(ulong number)
    {
        int twos = BitOperations.TrailingZeroCount(number - 1);
        foreach (ulong witness in (ReadOnlySpan<ulong>)[2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])
        {
            ulong value = Power(witness, (number - 1) >> twos, number);
            bool isPassed = value == 1 || value == number - 1;
            for (int i = 1; i < twos && !isPassed; i++)
            {
                value = (ulong)((UInt128)value * value % number);
                isPassed = value == number - 1;
            }

            if (!isPassed)
            {
                return false;
            }
        }

        return true;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_handshakes")]
    private static extern ref HandshakePool? PoolOf(StackHost host);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_rsaKeys")]
    private static extern ref Dictionary<int, (RsaKeyPair Key, TcpInstant MadeAt)> KeysOf(HandshakePool pool);
}
