using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// <see cref="AesNi"/> for everything made of AES blocks, libcrypto for SHA-256 and public keys: a segment of 1400 octets costs half of what it does with
/// <see cref="PortableCryptoProvider"/>, a short one a fifth, a P-256 exchange a fifth.
/// </summary>
internal sealed unsafe class NativeCryptoProvider : CryptoProvider
{
    private static readonly Probe s_probe = Try();

    private readonly bool _hashStates;

    /// <param name="hashStates">Use SHA1_* and SHA256_*; else EVP only.</param>
    private NativeCryptoProvider(bool hashStates)
    {
        _hashStates = hashStates;
        Name = $"Native (AES-NI, {Marshal.PtrToStringUTF8((nint)LibCrypto.OpenSSL_version(0))}{(hashStates ? "" : ", EVP only")})";
    }

    /// <summary>The provider of this process, or null.</summary>
    public static NativeCryptoProvider? Instance => s_probe.Provider;

    /// <summary>The same as it is on a libcrypto without the deprecated functions, for tests; or null.</summary>
    public static NativeCryptoProvider? EvpOnly => s_probe.EvpOnly;

    /// <summary>Why there is no provider; null when there is one.</summary>
    public static string? Unavailable => s_probe.Reason;

    public override string Name { get; }

    public override AesKey CreateAes(ReadOnlySpan<byte> key) => new NativeAesKey(key);

    public override MacKey CreateHmacSha256(ReadOnlySpan<byte> key) => _hashStates ? new NativeHmac(key) : new EvpHmac(key);

    public override MacKey CreateCmac(ReadOnlySpan<byte> key) => new NativeCmac(key);

    /// <remarks>All in one piece of memory: of SafeHandles the garbage collector keeps books.</remarks>
    public override (AesKey Encryption, MacKey Authentication, AesKey Acknowledgment) CreateKeys(ReadOnlySpan<byte> encryption, bool isCmac, ReadOnlySpan<byte> authentication, ReadOnlySpan<byte> acknowledgment)
    {
        if (!isCmac && !_hashStates)
        {
            return base.CreateKeys(encryption, isCmac, authentication, acknowledgment);
        }

        SecretMemory memory = new((2 * NativeAesKey.KeptLength) + (isCmac ? NativeCmac.KeptLength : NativeHmac.KeptLength));
        return (new NativeAesKey(encryption, memory, 0),
            isCmac ? new NativeCmac(authentication, memory, 2 * NativeAesKey.KeptLength) : new NativeHmac(authentication, memory, 2 * NativeAesKey.KeptLength),
            new NativeAesKey(acknowledgment, memory, NativeAesKey.KeptLength));
    }

    public override void Expand(ReadOnlySpan<byte> secret, ReadOnlySpan<byte> tags, Span<byte> destination)
    {
        if (!_hashStates)
        {
            base.Expand(secret, tags, destination);
            return;
        }

        byte* states = stackalloc byte[2 * Sha256Hmac.StateLength];
        Sha256Hmac.SetKey(states, states + Sha256Hmac.StateLength, secret);
        foreach (byte tag in tags)
        {
            Sha256Hmac.Compute(states, states + Sha256Hmac.StateLength, [tag, 1], default, destination[..SHA256.HashSizeInBytes]);
            destination = destination[SHA256.HashSizeInBytes..];
        }

        CryptographicOperations.ZeroMemory(new Span<byte>(states, 2 * Sha256Hmac.StateLength));
    }

    public override void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination)
    {
        destination = destination[..SHA256.HashSizeInBytes];
        if (!_hashStates)
        {
            using EvpHmac hmac = new(key);
            hmac.ComputeWhole(data, default, destination);
            return;
        }

        byte* states = stackalloc byte[2 * Sha256Hmac.StateLength];
        Sha256Hmac.SetKey(states, states + Sha256Hmac.StateLength, key);
        Sha256Hmac.Compute(states, states + Sha256Hmac.StateLength, data, default, destination);
        CryptographicOperations.ZeroMemory(new Span<byte>(states, 2 * Sha256Hmac.StateLength));
    }

    public override EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey) =>
        EcCurves.IsScalar(keyExchange, privateKey) ? new NativeEcKeyPair(keyExchange, privateKey) : null;

    public override RsaKeyPair GenerateRsaKeyPair(int bits) => NativeRsaKeyPair.Generate(bits);

    public override RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2) =>
        NativeRsaKeyPair.Import(modulus, privateExponent, prime1, prime2);

    /// <remarks>
    /// A square and a product, each reduced by a division: 41 us at 4096 bits, where BN_mod_exp takes 60, 18 of them for a Montgomery context that is used twice.
    /// </remarks>
    public override bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination)
    {
        if (!Oaep.Fits(modulus, hash, message.Length))
        {
            return false;
        }

        int length = modulus.Length;
        byte* encoded = stackalloc byte[length];
        Oaep.Encode(new Digest(_hashStates), hash, message, seed, new Span<byte>(encoded, length));
        nint context = LibCrypto.BN_CTX_new();
        nint result = LibCrypto.BN_new();
        nint number = LibCrypto.BN_bin2bn(encoded, length, 0);
        nint n = 0;
        try
        {
            fixed (byte* octets = modulus, output = destination[..length])
            {
                n = LibCrypto.BN_bin2bn(octets, length, 0);
                NativeCall.Check(context != 0 && result != 0 && number != 0 && n != 0);
                NativeCall.Check(LibCrypto.BN_mod_sqr(result, number, n, context) == 1);
                NativeCall.Check(LibCrypto.BN_mod_mul(result, result, number, n, context) == 1);
                NativeCall.Check(LibCrypto.BN_bn2binpad(result, output, length) == length);
            }
        }
        finally
        {
            LibCrypto.BN_clear_free(n);
            LibCrypto.BN_clear_free(number);
            LibCrypto.BN_clear_free(result);
            LibCrypto.BN_CTX_free(context);
            CryptographicOperations.ZeroMemory(new Span<byte>(encoded, length));
        }

        return true;
    }

    // Whatever is wrong with the machine or the library, the answer is a reason and never an exception.
    [SuppressMessage("Design", "CA1031", Justification = "any failure means: use the portable provider")]
    private static Probe Try()
    {
        try
        {
            if (!AesNi.IsSupported)
            {
                return new Probe(null, null, "the processor has no AES instructions");
            }

            if (!LibCrypto.TryLoad(out string? reason))
            {
                return new Probe(null, null, reason);
            }

            NativeCryptoProvider evpOnly = new(hashStates: false);
            NativeCryptoProvider provider = LibCrypto.HasHashStates ? new(hashStates: true) : evpOnly;
            return ProviderSelfTest.Run(provider) is { } failed
                ? new Probe(null, null, $"{provider.Name}: {failed} is wrong")
                : new Probe(provider, evpOnly, null);
        }
        catch (Exception exception)
        {
            return new Probe(null, null, $"{exception.GetType().Name}: {exception.Message}");
        }
    }

    private sealed record Probe(NativeCryptoProvider? Provider, NativeCryptoProvider? EvpOnly, string? Reason);

    // SHA256_CTX has 112 octets, SHA_CTX 96.
    private const int HashContextLength = 112;

    private readonly struct Digest(bool hashStates) : IOaepDigest
    {
        public void Hash(OaepHash hash, ReadOnlySpan<byte> data, Span<byte> destination)
        {
            byte* state = stackalloc byte[HashContextLength];
            fixed (byte* octets = data, output = destination)
            {
                if (!hashStates)
                {
                    NativeCall.Check(LibCrypto.EVP_Digest(octets, (nuint)data.Length, output, null, hash == OaepHash.Sha1 ? LibCrypto.EVP_sha1() : LibCrypto.EVP_sha256(), null) == 1);
                }
                else if (hash == OaepHash.Sha1)
                {
                    LibCrypto.SHA1_Init(state);
                    LibCrypto.SHA1_Update(state, octets, (nuint)data.Length);
                    LibCrypto.SHA1_Final(output, state);
                }
                else
                {
                    LibCrypto.SHA256_Init(state);
                    LibCrypto.SHA256_Update(state, octets, (nuint)data.Length);
                    LibCrypto.SHA256_Final(output, state);
                }
            }
        }
    }
}
