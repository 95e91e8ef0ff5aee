using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>HKDF (RFC 5869) with HMAC-SHA-256 as both dialects use it ([TD-69]; reference spec 5), and the tags that go into it.</summary>
internal static class KeySchedule
{
    public const int SecretLength = 32;

    public const byte NextKey = 1;
    public const byte SessionId = 2;
    public const byte Rekey = 3;
    public const byte KeyC = 4;
    public const byte KeyS = 5;
    public const byte Encryption = 6;
    public const byte Authentication = 7;
    public const byte Acknowledgment = 8;

    /// <summary>HKDF-Extract.</summary>
    public static void Extract(CryptoProvider provider, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> input, Span<byte> secret) => provider.HmacSha256(salt, input, secret);

    /// <summary>HKDF-Expand for at most 32 octets, with a tag of one octet as info.</summary>
    public static void Expand(CryptoProvider provider, ReadOnlySpan<byte> secret, byte tag, Span<byte> destination) => Expand(provider, secret, [tag], destination);

    /// <summary>HKDF-Expand for at most 32 octets.</summary>
    public static void Expand(CryptoProvider provider, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> info, Span<byte> destination)
    {
        Span<byte> input = stackalloc byte[info.Length + 1];
        info.CopyTo(input);
        input[^1] = 1;
        Span<byte> output = stackalloc byte[SecretLength];
        provider.HmacSha256(secret, input, output);
        output[..destination.Length].CopyTo(destination);
        CryptographicOperations.ZeroMemory(output);
    }
}
