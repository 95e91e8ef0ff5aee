using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// The primitives that tcpcrypt is made of. <see cref="Native"/> where the machine has AES instructions and a libcrypto that passes the self test, otherwise <see cref="Portable"/>.
/// Objects it creates belong to one thread at a time; the provider itself may be used from any.
/// </summary>
internal abstract class CryptoProvider
{
    /// <summary>The value in AppContext (runtimeconfig.json) that forces a provider: "Native" or "Portable".</summary>
    public const string Setting = "Tcpcrypt.Crypt.Provider";

    private static readonly Lazy<CryptoProvider> s_default = new(static () => Select(AppContext.GetData(Setting)));

    /// <summary>What this process uses.</summary>
    /// <exception cref="PlatformNotSupportedException">Native is forced and not available; the message says why.</exception>
    /// <exception cref="InvalidOperationException">The setting has a value that is neither of the two.</exception>
    public static CryptoProvider Default => s_default.Value;

    /// <summary>Own AES-NI kernels and libcrypto; null where the probe or the self test failed.</summary>
    public static CryptoProvider? Native => NativeCryptoProvider.Instance;

    /// <summary>System.Security.Cryptography.</summary>
    public static CryptoProvider Portable { get; } = new PortableCryptoProvider();

    /// <summary>For people: which provider, which library and version.</summary>
    public abstract string Name { get; }

    /// <param name="key">16 octets.</param>
    public abstract AesKey CreateAes(ReadOnlySpan<byte> key);

    /// <param name="key">Of any length; tcpcrypt uses 32 octets.</param>
    public abstract MacKey CreateHmacSha256(ReadOnlySpan<byte> key);

    /// <param name="key">16 octets.</param>
    public abstract MacKey CreateCmac(ReadOnlySpan<byte> key);

    /// <summary>What <see cref="Default"/> is under a setting.</summary>
    internal static CryptoProvider Select(object? setting) => Select(setting, Native, NativeCryptoProvider.Unavailable);

    /// <summary>The same, with what the probe found.</summary>
    internal static CryptoProvider Select(object? setting, CryptoProvider? native, string? unavailable) => setting switch
    {
        null => native ?? Portable,
        "Native" => native ?? throw new PlatformNotSupportedException($"{Setting} is Native, but {unavailable}."),
        "Portable" => Portable,
        _ => throw new InvalidOperationException($"{Setting} is \"{setting}\"; it can be \"Native\" or \"Portable\"."),
    };

    /// <summary>What both dialects allow for a modulus.</summary>
    internal static void CheckRsaBits(int bits)
    {
        if (bits is < 2048 or > 4096 || bits % 8 != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(bits), bits, "RSA moduli have 2048 to 4096 bits, a multiple of 8.");
        }
    }

    /// <summary>The keys of one direction, disposed of together.</summary>
    public virtual (AesKey Encryption, MacKey Authentication, AesKey Acknowledgment) CreateKeys(ReadOnlySpan<byte> encryption, bool isCmac, ReadOnlySpan<byte> authentication, ReadOnlySpan<byte> acknowledgment) =>
        (CreateAes(encryption), isCmac ? CreateCmac(authentication) : CreateHmacSha256(authentication), CreateAes(acknowledgment));

    /// <summary>HKDF-Expand (RFC 5869) of one secret to 32 octets for each of some tags.</summary>
    public virtual void Expand(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> tags, Span<byte> destination)
    {
        foreach (byte tag in tags)
        {
            HmacSha256(secret, [tag, 1], destination);
            destination = destination[SHA256.HashSizeInBytes..];
        }
    }

    /// <summary>HMAC-SHA-256 with a key used once.</summary>
    /// <param name="key">Of any length.</param>
    /// <param name="data">What is authenticated.</param>
    /// <param name="destination">32 octets.</param>
    public abstract void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination);

    /// <summary>A key pair from a private scalar that the caller drew at random.</summary>
    /// <param name="keyExchange">One of the two curves.</param>
    /// <param name="privateKey">The scalar, big-endian, 32 or 66 octets.</param>
    /// <returns>Null when the scalar is zero or not below the group's order: draw again.</returns>
    public abstract EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey);

    /// <summary>A fresh RSA key pair with exponent 3. Takes up to seconds.</summary>
    /// <param name="bits">2048 to 4096, a multiple of 8.</param>
    public abstract RsaKeyPair GenerateRsaKeyPair(int bits);

    /// <summary>An RSA key pair with exponent 3 from its numbers, big-endian.</summary>
    public abstract RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2);

    /// <summary>RSAES-OAEP (RFC 8017 §7.1) with exponent 3, MGF1 with the same hash, an empty label.</summary>
    /// <param name="modulus">Big-endian, without leading zeros.</param>
    /// <param name="hash">The hash of the dialect.</param>
    /// <param name="message">What is encrypted.</param>
    /// <param name="seed">Random octets, as many as the hash is long.</param>
    /// <param name="destination">As long as the modulus.</param>
    /// <returns>False when the modulus cannot be one: even, not of 2048 to 4096 bits in steps of 8 ([TD-65], [TD-122]), too small for the message.</returns>
    public abstract bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination);
}

/// <summary>The hash in RSAES-OAEP.</summary>
internal enum OaepHash
{
    /// <summary>Dialect Reference.</summary>
    Sha1,

    /// <summary>Dialect Draft.</summary>
    Sha256,
}

/// <summary>How the blocks of a segment's key stream are numbered.</summary>
internal enum CounterLayout
{
    /// <summary>[TD-74]: the block's position in the byte stream as 128 bits, big-endian, in steps of 16.</summary>
    Draft,

    /// <summary>Reference spec 6.2: 8 zero octets, then (position rounded down to 16) + i * 2^24 as 64 bits, little-endian; position is the segment's absolute sequence number.</summary>
    Reference,
}

/// <summary>An expanded AES-128 key. Disposing of it wipes it.</summary>
internal abstract class AesKey : IDisposable
{
    /// <summary>One block.</summary>
    public abstract void EncryptBlock(ReadOnlySpan<byte> input, Span<byte> output);

    /// <summary>destination = source XOR key stream. The first octet uses octet <c>position mod 16</c> of the first block. Source and destination are the same memory, or do not overlap.</summary>
    public abstract void XorKeyStream(CounterLayout layout, ulong position, ReadOnlySpan<byte> source, Span<byte> destination);

    public abstract void Dispose();
}

/// <summary>A keyed MAC, ready to be used again and again. Disposing of it wipes it.</summary>
internal abstract class MacKey : IDisposable
{
    /// <summary>The first 16 octets of the MAC over the two parts, one after the other; either may be empty.</summary>
    public abstract void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag);

    public abstract void Dispose();
}

/// <summary>A pair for one of the curves. Disposing of it wipes the private scalar.</summary>
internal abstract class EcKeyPair : IDisposable
{
    public abstract TcpcryptKeyExchange KeyExchange { get; }

    /// <summary>SEC 1 uncompressed: 04 X Y.</summary>
    public abstract ReadOnlySpan<byte> PublicKey { get; }

    /// <summary>The X coordinate of the shared point, leading zeros kept (32 or 66 octets). False for anything that is not an uncompressed point on the curve.</summary>
    public abstract bool TryDerive(ReadOnlySpan<byte> peerPublicKey, Span<byte> secret);

    public abstract void Dispose();
}

/// <summary>An RSA pair with exponent 3. Disposing of it wipes the private numbers.</summary>
internal abstract class RsaKeyPair : IDisposable
{
    /// <summary>Big-endian, without leading zeros.</summary>
    public abstract ReadOnlySpan<byte> Modulus { get; }

    /// <summary>Decrypts RSAES-OAEP. Every failure is the same false ([TD-122]).</summary>
    public abstract bool TryDecrypt(OaepHash hash, ReadOnlySpan<byte> ciphertext, Span<byte> message, out int written);

    public abstract void Dispose();
}
