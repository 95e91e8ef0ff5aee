using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Org.BouncyCastle.Crypto.Generators;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Security;
using BigInteger = Org.BouncyCastle.Math.BigInteger;

namespace Tcpcrypt.Crypt;

/// <summary>The primitives out of System.Security.Cryptography, with objects that are kept where they can be; BouncyCastle makes RSA keys with exponent 3 and exponentiates without padding.</summary>
internal sealed class PortableCryptoProvider : CryptoProvider
{
    // BouncyCastle's advice for the error of Miller-Rabin: 2^-100.
    private const int Certainty = 100;

    public override string Name => "Portable (System.Security.Cryptography, BouncyCastle)";

    public override AesKey CreateAes(ReadOnlySpan<byte> key) => new PortableAesKey(key);

    public override MacKey CreateHmacSha256(ReadOnlySpan<byte> key) => new PortableHmac(key);

    public override MacKey CreateCmac(ReadOnlySpan<byte> key) => new PortableCmac(key);

    public override void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination) => HMACSHA256.HashData(key, data, destination);

    public override EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey) =>
        EcCurves.IsScalar(keyExchange, privateKey) ? new PortableEcKeyPair(keyExchange, privateKey) : null;

    public override RsaKeyPair GenerateRsaKeyPair(int bits)
    {
        CheckRsaBits(bits);
        RsaKeyPairGenerator generator = new();
        generator.Init(new RsaKeyGenerationParameters(BigInteger.Three, new SecureRandom(), bits, Certainty));
        RsaPrivateCrtKeyParameters key = (RsaPrivateCrtKeyParameters)generator.GenerateKeyPair().Private;
        return new PortableRsaKeyPair(key.Modulus, key.Exponent, key.P, key.Q);
    }

    public override RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2) =>
        new PortableRsaKeyPair(new(1, modulus), new(1, privateExponent), new(1, prime1), new(1, prime2));

    /// <remarks>The exponent is public and 3, so the time depends on the message in no more than the reductions' last steps.</remarks>
    public override bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination)
    {
        if (!Oaep.Fits(modulus, hash, message.Length))
        {
            return false;
        }

        Span<byte> encoded = stackalloc byte[modulus.Length];
        Oaep.Encode(default(Digest), hash, message, seed, encoded);
        BigInteger result = new BigInteger(1, encoded).ModPow(BigInteger.Three, new BigInteger(1, modulus));
        CryptographicOperations.ZeroMemory(encoded);
        PortableRsaKeyPair.Write(result, destination[..modulus.Length]);
        return true;
    }

    internal readonly struct Digest : IOaepDigest
    {
        [SuppressMessage("Security", "CA5350", Justification = "SHA-1 inside of OAEP is what dialect Reference speaks")]
        public void Hash(OaepHash hash, ReadOnlySpan<byte> data, Span<byte> destination)
        {
            if (hash == OaepHash.Sha1)
            {
                SHA1.HashData(data, destination);
            }
            else
            {
                SHA256.HashData(data, destination);
            }
        }
    }
}
