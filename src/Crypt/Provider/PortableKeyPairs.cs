using System.Numerics;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>Elliptic curves by ECDiffieHellman, which checks points itself.</summary>
internal sealed class PortableEcKeyPair : EcKeyPair
{
    private readonly ECDiffieHellman _key;
    private readonly byte[] _publicKey;

    /// <param name="keyExchange">The curve.</param>
    /// <param name="privateKey">A scalar in range; .NET computes the point.</param>
    public PortableEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey)
    {
        KeyExchange = keyExchange;
        byte[] scalar = GC.AllocateUninitializedArray<byte>(privateKey.Length, pinned: true);
        privateKey.CopyTo(scalar);
        try
        {
            _key = ECDiffieHellman.Create(new ECParameters { Curve = Curve, D = scalar });
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
        }

        ECPoint point = _key.ExportParameters(includePrivateParameters: false).Q;
        _publicKey = [EcCurves.Uncompressed, .. point.X!, .. point.Y!];
    }

    public override TcpcryptKeyExchange KeyExchange { get; }

    public override ReadOnlySpan<byte> PublicKey => _publicKey;

    private ECCurve Curve => KeyExchange == TcpcryptKeyExchange.EcdheP256 ? ECCurve.NamedCurves.nistP256 : ECCurve.NamedCurves.nistP521;

    public override bool TryDerive(ReadOnlySpan<byte> peerPublicKey, Span<byte> secret)
    {
        if (!EcCurves.IsUncompressed(KeyExchange, peerPublicKey))
        {
            return false;
        }

        int length = EcCurves.FieldLength(KeyExchange);
        try
        {
            ECPoint point = new() { X = peerPublicKey.Slice(1, length).ToArray(), Y = peerPublicKey[(1 + length)..].ToArray() };
            using ECDiffieHellman peer = ECDiffieHellman.Create(new ECParameters { Curve = Curve, Q = point });
            using ECDiffieHellmanPublicKey peerKey = peer.PublicKey;
            byte[] shared = _key.DeriveRawSecretAgreement(peerKey);
            secret = secret[..length];
            secret[..(length - shared.Length)].Clear();
            shared.CopyTo(secret[(length - shared.Length)..]);
            CryptographicOperations.ZeroMemory(shared);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    public override void Dispose() => _key.Dispose();
}

/// <summary>RSA decryption by .NET. What BigInteger leaves on the managed heap is not wiped: there is no way to.</summary>
internal sealed class PortableRsaKeyPair : RsaKeyPair
{
    private readonly RSA _key;
    private readonly byte[] _modulus;

    public PortableRsaKeyPair(BigInteger modulus, BigInteger privateExponent, BigInteger prime1, BigInteger prime2)
    {
        CryptoProvider.CheckRsaBits((int)Math.Min(modulus.GetBitLength(), int.MaxValue));
        BigInteger lower1 = prime1 - 1;
        BigInteger lower2 = prime2 - 1;
        if (lower1 < 1 || lower2 < 1 || prime1 * prime2 != modulus || 3 * privateExponent % lower1 != 1 || 3 * privateExponent % lower2 != 1)
        {
            throw NoKey();
        }

        BigInteger inverse = BigInteger.ModPow(prime2, prime1 - 2, prime1);
        if (inverse * prime2 % prime1 != 1)
        {
            throw NoKey();
        }

        int length = (int)modulus.GetBitLength() / 8;
        int half = (length + 1) / 2;
        _modulus = Octets(modulus, length);
        RSAParameters parameters = new()
        {
            Modulus = _modulus,
            Exponent = [3],
            D = Octets(privateExponent, length),
            P = Octets(prime1, half),
            Q = Octets(prime2, half),
            DP = Octets(privateExponent % lower1, half),
            DQ = Octets(privateExponent % lower2, half),
            InverseQ = Octets(inverse, half),
        };
        try
        {
            _key = RSA.Create(parameters);
        }
        finally
        {
            Wipe(parameters);
        }
    }

    public override ReadOnlySpan<byte> Modulus => _modulus;

    public override bool TryDecrypt(OaepHash hash, ReadOnlySpan<byte> ciphertext, Span<byte> message, out int written)
    {
        written = 0;
        if (ciphertext.Length != _modulus.Length)
        {
            return false;
        }

        Span<byte> clear = stackalloc byte[_modulus.Length];
        try
        {
            if (!_key.TryDecrypt(ciphertext, clear, hash == OaepHash.Sha1 ? RSAEncryptionPadding.OaepSHA1 : RSAEncryptionPadding.OaepSHA256, out int length) || length > message.Length)
            {
                return false;
            }

            clear[..length].CopyTo(message);
            written = length;
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(clear);
        }
    }

    public override void Dispose() => _key.Dispose();

    /// <summary>A number, big-endian, with leading zeros.</summary>
    public static void Write(BigInteger number, Span<byte> destination)
    {
        int zeros = destination.Length - number.GetByteCount(isUnsigned: true);
        destination[..zeros].Clear();
        number.TryWriteBytes(destination[zeros..], out _, isUnsigned: true, isBigEndian: true);
    }

    /// <summary>Wipes the private numbers of a key.</summary>
    public static void Wipe(in RSAParameters parameters)
    {
        foreach (byte[]? number in (ReadOnlySpan<byte[]?>)[parameters.D, parameters.P, parameters.Q, parameters.DP, parameters.DQ, parameters.InverseQ])
        {
            CryptographicOperations.ZeroMemory(number);
        }
    }

    private static byte[] Octets(BigInteger number, int length)
    {
        if (number.GetByteCount(isUnsigned: true) > length)
        {
            throw NoKey();
        }

        byte[] octets = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        Write(number, octets);
        return octets;
    }

    private static CryptographicException NoKey() => new("The numbers are no RSA key with exponent 3, or its primes are not of one length.");
}
