using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>RSA with exponent 3 by EVP_PKEY: blinded, and the padding is decoded in constant time by libcrypto itself.</summary>
internal sealed unsafe class NativeRsaKeyPair : RsaKeyPair
{
    private const int Numbers = 8;

    private readonly PkeyHandle _key;
    private readonly byte[] _modulus;

    private NativeRsaKeyPair(nint key)
    {
        _key = new PkeyHandle(key);
        nint number = 0;
        fixed (byte* name = "n"u8)
        {
            NativeCall.Check(LibCrypto.EVP_PKEY_get_bn_param(key, name, &number) == 1);
        }

        using BigNumber modulus = new(number);
        _modulus = new byte[(LibCrypto.BN_num_bits(number) + 7) / 8];
        fixed (byte* octets = _modulus)
        {
            NativeCall.Check(LibCrypto.BN_bn2binpad(number, octets, _modulus.Length) == _modulus.Length);
        }
    }

    public override ReadOnlySpan<byte> Modulus => _modulus;

    /// <summary>A fresh key.</summary>
    public static NativeRsaKeyPair Generate(int bits)
    {
        CryptoProvider.CheckRsaBits(bits);
        nint key = 0;
        nint exponent = LibCrypto.BN_new();
        nint context = NewContext();
        try
        {
            NativeCall.Check(LibCrypto.BN_set_word(exponent, 3) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_keygen_init(context) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_generate(context, &key) == 1);
        }
        finally
        {
            LibCrypto.EVP_PKEY_CTX_free(context);
            LibCrypto.BN_clear_free(exponent);
        }

        return new NativeRsaKeyPair(key);
    }

    /// <summary>A key from its numbers, which must belong together.</summary>
    public static NativeRsaKeyPair Import(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2)
    {
        using BigNumber n = Number(modulus);
        using BigNumber d = Number(privateExponent);
        using BigNumber p = Number(prime1);
        using BigNumber q = Number(prime2);
        CryptoProvider.CheckRsaBits(LibCrypto.BN_num_bits(n.Pointer));
        if (LibCrypto.BN_num_bits(p.Pointer) < 2 || LibCrypto.BN_num_bits(q.Pointer) < 2)
        {
            throw NoKey();
        }

        using BigNumber e = Number([3]);
        using BigNumber exponent1 = Number([]);
        using BigNumber exponent2 = Number([]);
        using BigNumber coefficient = Number([]);
        nint context = NativeCall.Check(LibCrypto.BN_CTX_new());
        try
        {
            using BigNumber product = Number([]);
            NativeCall.Check(LibCrypto.BN_mul(product.Pointer, p.Pointer, q.Pointer, context) == 1);
            if (LibCrypto.BN_cmp(product.Pointer, n.Pointer) != 0 || !TryReduce(d, p, exponent1, context) || !TryReduce(d, q, exponent2, context) ||
                LibCrypto.BN_mod_inverse(coefficient.Pointer, q.Pointer, p.Pointer, context) == 0)
            {
                LibCrypto.ERR_clear_error();
                throw NoKey();
            }
        }
        finally
        {
            LibCrypto.BN_CTX_free(context);
        }

        // OSSL_PARAM wants the numbers in native byte order; all as long as the modulus is simplest.
        int length = modulus.Length;
        using SecretMemory octets = new(Numbers * length);
        LibCrypto.Param* parameters = stackalloc LibCrypto.Param[Numbers + 1];
        fixed (byte* nameN = "n"u8, nameE = "e"u8, nameD = "d"u8, nameP = "rsa-factor1"u8, nameQ = "rsa-factor2"u8, nameDP = "rsa-exponent1"u8, nameDQ = "rsa-exponent2"u8, nameQInv = "rsa-coefficient1"u8)
        {
            int count = 0;
            Add(nameN, n);
            Add(nameE, e);
            Add(nameD, d);
            Add(nameP, p);
            Add(nameQ, q);
            Add(nameDP, exponent1);
            Add(nameDQ, exponent2);
            Add(nameQInv, coefficient);
            parameters[count] = default;

            void Add(byte* name, BigNumber number)
            {
                byte* at = (byte*)octets.Pointer + (count * length);
                NativeCall.Check(LibCrypto.BN_bn2nativepad(number.Pointer, at, length) == length);
                parameters[count++] = new LibCrypto.Param { Key = name, DataType = LibCrypto.ParamUnsignedInteger, Data = at, DataSize = (nuint)length };
            }

            nint key = 0;
            nint importing = NewContext();
            try
            {
                NativeCall.Check(LibCrypto.EVP_PKEY_fromdata_init(importing) == 1);
                NativeCall.Check(LibCrypto.EVP_PKEY_fromdata(importing, &key, LibCrypto.PkeyKeyPair, parameters) == 1);
            }
            finally
            {
                LibCrypto.EVP_PKEY_CTX_free(importing);
            }

            return new NativeRsaKeyPair(key);
        }
    }

    public override bool TryDecrypt(OaepHash hash, ReadOnlySpan<byte> ciphertext, Span<byte> message, out int written)
    {
        written = 0;
        nint key = _key.Pointer;
        if (ciphertext.Length != _modulus.Length)
        {
            return false;
        }

        byte* clear = stackalloc byte[Oaep.MaxModulusLength];
        nuint length = Oaep.MaxModulusLength;
        nint context = NativeCall.Check(LibCrypto.EVP_PKEY_CTX_new_from_pkey(null, key, null));
        try
        {
            NativeCall.Check(LibCrypto.EVP_PKEY_decrypt_init(context) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_CTX_set_rsa_padding(context, LibCrypto.RsaOaepPadding) == 1);
            NativeCall.Check(LibCrypto.EVP_PKEY_CTX_set_rsa_oaep_md(context, hash == OaepHash.Sha1 ? LibCrypto.EVP_sha1() : LibCrypto.EVP_sha256()) == 1);
            fixed (byte* octets = ciphertext)
            {
                if (LibCrypto.EVP_PKEY_decrypt(context, clear, &length, octets, (nuint)ciphertext.Length) != 1 || length > (nuint)message.Length)
                {
                    return false;
                }
            }

            new ReadOnlySpan<byte>(clear, (int)length).CopyTo(message);
            written = (int)length;
            return true;
        }
        finally
        {
            LibCrypto.ERR_clear_error();
            LibCrypto.EVP_PKEY_CTX_free(context);
            CryptographicOperations.ZeroMemory(new Span<byte>(clear, Oaep.MaxModulusLength));
            GC.KeepAlive(this);
        }
    }

    public override void Dispose() => _key.Dispose();

    private static nint NewContext()
    {
        fixed (byte* name = "RSA"u8)
        {
            return NativeCall.Check(LibCrypto.EVP_PKEY_CTX_new_from_name(null, name, null));
        }
    }

    private static BigNumber Number(ReadOnlySpan<byte> octets)
    {
        fixed (byte* from = octets)
        {
            BigNumber number = new(octets.IsEmpty ? LibCrypto.BN_new() : LibCrypto.BN_bin2bn(from, octets.Length, 0));
            LibCrypto.BN_set_flags(number.Pointer, LibCrypto.BnFlagConstantTime);
            return number;
        }
    }

    // reduced = d mod (prime - 1); false unless 3 d = 1 there.
    private static bool TryReduce(BigNumber exponent, BigNumber prime, BigNumber reduced, nint context)
    {
        using BigNumber lower = Number([]);
        using BigNumber product = Number([]);
        NativeCall.Check(LibCrypto.BN_copy(lower.Pointer, prime.Pointer) != 0);
        NativeCall.Check(LibCrypto.BN_sub_word(lower.Pointer, 1) == 1);
        NativeCall.Check(LibCrypto.BN_div(0, reduced.Pointer, exponent.Pointer, lower.Pointer, context) == 1);
        NativeCall.Check(LibCrypto.BN_copy(product.Pointer, reduced.Pointer) != 0);
        NativeCall.Check(LibCrypto.BN_mul_word(product.Pointer, 3) == 1);
        NativeCall.Check(LibCrypto.BN_div(0, product.Pointer, product.Pointer, lower.Pointer, context) == 1);
        return LibCrypto.BN_is_one(product.Pointer) == 1;
    }

    private static CryptographicException NoKey() => new("The numbers are no RSA key with exponent 3.");
}
