using System.Security.Cryptography;
using BigInteger = Org.BouncyCastle.Math.BigInteger;

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

/// <summary>RSA decryption by .NET. What BouncyCastle's numbers leave on the managed heap is not wiped: it has no way to.</summary>
internal sealed class PortableRsaKeyPair : RsaKeyPair
{
    private readonly RSA _key;
    private readonly byte[] _modulus;

    public PortableRsaKeyPair(BigInteger modulus, BigInteger privateExponent, BigInteger prime1, BigInteger prime2)
    {
        int length = (modulus.BitLength + 7) / 8;
        CryptoProvider.CheckRsaBits(modulus.BitLength);
        BigInteger lower1 = prime1.Subtract(BigInteger.One);
        BigInteger lower2 = prime2.Subtract(BigInteger.One);
        BigInteger product = privateExponent.Multiply(BigInteger.Three);
        if (prime1.CompareTo(BigInteger.One) <= 0 || prime2.CompareTo(BigInteger.One) <= 0 || !prime1.Multiply(prime2).Equals(modulus) ||
            !product.Mod(lower1).Equals(BigInteger.One) || !product.Mod(lower2).Equals(BigInteger.One))
        {
            throw new CryptographicException("The numbers are no RSA key with exponent 3.");
        }

        _modulus = Octets(modulus, length);
        RSAParameters parameters = new()
        {
            Modulus = _modulus,
            Exponent = [3],
            D = Octets(privateExponent, length),
            P = Octets(prime1, (length + 1) / 2),
            Q = Octets(prime2, (length + 1) / 2),
            DP = Octets(privateExponent.Mod(lower1), (length + 1) / 2),
            DQ = Octets(privateExponent.Mod(lower2), (length + 1) / 2),
            InverseQ = Octets(prime2.ModInverse(prime1), (length + 1) / 2),
        };
        try
        {
            _key = RSA.Create(parameters);
        }
        finally
        {
            foreach (byte[] number in (ReadOnlySpan<byte[]>)[parameters.D, parameters.P, parameters.Q, parameters.DP, parameters.DQ, parameters.InverseQ])
            {
                CryptographicOperations.ZeroMemory(number);
            }
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
        int length = number.GetLengthofByteArrayUnsigned();
        destination[..(destination.Length - length)].Clear();
        number.ToByteArrayUnsigned(destination[(destination.Length - length)..]);
    }

    private static byte[] Octets(BigInteger number, int length)
    {
        byte[] octets = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        int needed = number.GetLengthofByteArrayUnsigned();
        if (needed > length)
        {
            throw new CryptographicException("The RSA key's primes are not of one length.");
        }

        Write(number, octets);
        return octets;
    }
}
