using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>The primitives out of System.Security.Cryptography, with objects that are kept where they can be; what it lacks of RSA with exponent 3 is done with big integers.</summary>
internal sealed class PortableCryptoProvider : CryptoProvider
{
    public override string Name => "Portable (System.Security.Cryptography)";

    public override AesKey CreateAes(ReadOnlySpan<byte> key) => new PortableAesKey(key);

    public override MacKey CreateHmacSha256(ReadOnlySpan<byte> key) => new PortableHmac(key);

    public override MacKey CreateCmac(ReadOnlySpan<byte> key) => new PortableCmac(key);

    public override void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination) => HMACSHA256.HashData(key, data, destination);

    public override EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey) =>
        EcCurves.IsScalar(keyExchange, privateKey) ? new PortableEcKeyPair(keyExchange, privateKey) : null;

    /// <remarks>
    /// .NET makes keys with exponent 65537 only. Its primes are taken instead: those that are 2 modulo 3, every second one, whichever keys they come from. That takes two to three times as long.
    /// </remarks>
    public override RsaKeyPair GenerateRsaKeyPair(int bits)
    {
        CheckRsaBits(bits);
        BigInteger first = BigInteger.Zero;
        while (true)
        {
            using RSA source = RSA.Create(bits);
            RSAParameters parameters = source.ExportParameters(includePrivateParameters: true);
            BigInteger[] primes = [Number(parameters.P), Number(parameters.Q)];
            PortableRsaKeyPair.Wipe(parameters);
            foreach (BigInteger prime in primes)
            {
                if (prime % 3 != 2)
                {
                    continue;
                }

                if ((first * prime).GetBitLength() != bits || first == prime)
                {
                    first = prime;
                    continue;
                }

                // Both primes less one are 1 modulo 3, so 2 phi + 1 is a multiple of 3, and a third of it the inverse of 3.
                return new PortableRsaKeyPair(first * prime, ((2 * (first - 1) * (prime - 1)) + 1) / 3, first, prime);
            }
        }
    }

    public override RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2) =>
        new PortableRsaKeyPair(Number(modulus), Number(privateExponent), Number(prime1), Number(prime2));

    /// <remarks>.NET does not encrypt without padding, and with padding it draws the seed itself.</remarks>
    public override bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination)
    {
        if (!Oaep.Fits(modulus, hash, message.Length))
        {
            return false;
        }

        Span<byte> encoded = stackalloc byte[modulus.Length];
        Oaep.Encode(default(Digest), hash, message, seed, encoded);
        BigInteger n = Number(modulus);
        BigInteger number = Number(encoded);
        CryptographicOperations.ZeroMemory(encoded);
        PortableRsaKeyPair.Write(number * number % n * number % n, destination[..modulus.Length]);
        return true;
    }

    private static BigInteger Number(ReadOnlySpan<byte> octets) => new(octets, isUnsigned: true, isBigEndian: true);

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
