using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>A hash as <see cref="Oaep"/> needs it: a struct, so that the calls are direct.</summary>
internal interface IOaepDigest
{
    void Hash(OaepHash hash, ReadOnlySpan<byte> data, Span<byte> destination);
}

/// <summary>EME-OAEP encoding with an empty label (RFC 8017 §7.1.1) and MGF1 (B.2.1), and what a modulus must be.</summary>
internal static class Oaep
{
    /// <summary>The longest modulus, 4096 bits ([TD-65]): buffers on the stack are as long.</summary>
    public const int MaxModulusLength = 512;

    /// <summary>The shortest modulus, 2048 bits ([TD-122]).</summary>
    public const int MinModulusLength = 256;

    private static ReadOnlySpan<byte> EmptySha1 =>
        [0xDA, 0x39, 0xA3, 0xEE, 0x5E, 0x6B, 0x4B, 0x0D, 0x32, 0x55, 0xBF, 0xEF, 0x95, 0x60, 0x18, 0x90, 0xAF, 0xD8, 0x07, 0x09];

    private static ReadOnlySpan<byte> EmptySha256 =>
    [
        0xE3, 0xB0, 0xC4, 0x42, 0x98, 0xFC, 0x1C, 0x14, 0x9A, 0xFB, 0xF4, 0xC8, 0x99, 0x6F, 0xB9, 0x24,
        0x27, 0xAE, 0x41, 0xE4, 0x64, 0x9B, 0x93, 0x4C, 0xA4, 0x95, 0x99, 0x1B, 0x78, 0x52, 0xB8, 0x55,
    ];

    public static int HashLength(OaepHash hash) => hash == OaepHash.Sha1 ? 20 : 32;

    /// <summary>True for an odd number of 2048 to 4096 bits, a multiple of 8, without leading zeros ([TD-65]), with room for the message.</summary>
    public static bool Fits(ReadOnlySpan<byte> modulus, OaepHash hash, int messageLength) =>
        modulus.Length is >= MinModulusLength and <= MaxModulusLength && modulus[0] >= 0x80 && (modulus[^1] & 1) == 1 && messageLength <= modulus.Length - (2 * HashLength(hash)) - 2;

    /// <summary>Writes EM, as long as the modulus: 00, masked seed, masked DB.</summary>
    /// <param name="digest">Who computes the hash.</param>
    /// <param name="hash">Which hash.</param>
    /// <param name="message">M; <see cref="Fits"/> said that there is room.</param>
    /// <param name="seed">As long as the hash.</param>
    /// <param name="encoded">EM.</param>
    public static void Encode<TDigest>(TDigest digest, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> encoded)
        where TDigest : struct, IOaepDigest
    {
        int length = HashLength(hash);
        if (seed.Length != length)
        {
            throw new ArgumentException($"The seed has {seed.Length} octets, the hash {length}.", nameof(seed));
        }

        // DB = lHash || PS || 01 || M
        Span<byte> maskedSeed = encoded[1..(1 + length)];
        Span<byte> block = encoded[(1 + length)..];
        encoded[0] = 0;
        seed.CopyTo(maskedSeed);
        block.Clear();
        (hash == OaepHash.Sha1 ? EmptySha1 : EmptySha256).CopyTo(block);
        block[^(message.Length + 1)] = 1;
        message.CopyTo(block[^message.Length..]);

        Mask(digest, hash, seed, block);
        Mask(digest, hash, block, maskedSeed);
    }

    // target ^= MGF1(source): hashes of the source with a counter behind it.
    private static void Mask<TDigest>(TDigest digest, OaepHash hash, ReadOnlySpan<byte> source, Span<byte> target)
        where TDigest : struct, IOaepDigest
    {
        Span<byte> input = stackalloc byte[MaxModulusLength + 4];
        Span<byte> output = stackalloc byte[HashLength(hash)];
        input = input[..(source.Length + 4)];
        source.CopyTo(input);
        for (int counter = 0; target.Length > 0; counter++)
        {
            BinaryPrimitives.WriteInt32BigEndian(input[^4..], counter);
            digest.Hash(hash, input, output);
            int count = Math.Min(output.Length, target.Length);
            for (int index = 0; index < count; index++)
            {
                target[index] ^= output[index];
            }

            target = target[count..];
        }

        CryptographicOperations.ZeroMemory(input);
        CryptographicOperations.ZeroMemory(output);
    }
}
