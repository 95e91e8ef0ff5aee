using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>Known answers for a provider that depends on a library found at run time, in 1.4 ms (some 40 with compilation, once for a process): a wrong result here is a reason not to use it, not an error.</summary>
internal static class ProviderSelfTest
{
    /// <summary>The name of the first primitive that gives a wrong answer, or null.</summary>
    public static string? Run(CryptoProvider provider) =>
        !Aes(provider) ? "AES" :
        !Cmac(provider) ? "CMAC" :
        !Hmac(provider) ? "HMAC" :
        !Curve(provider, TcpcryptKeyExchange.EcdheP256, "A785BEA4641B98E22C5351CC5AED8DE5B08619CF6EAE15308B04071C4CA38789") ? "P-256" :
        !Curve(provider, TcpcryptKeyExchange.EcdheP521, "34A640A2EBE57271E6DFC4D4930690C174AB920042FDBDFBE8B598E3CC26A121") ? "P-521" :
        !Rsa(provider) ? "RSA" :
        null;

    // FIPS 197 C.1; the counter modes against single blocks.
    private static bool Aes(CryptoProvider provider)
    {
        using AesKey key = provider.CreateAes(Counting(16));
        byte[] block = Convert.FromHexString("00112233445566778899AABBCCDDEEFF");
        key.EncryptBlock(block, block);
        if (!block.AsSpan().SequenceEqual(Convert.FromHexString("69C4E0D86A7B0430D8CDB78070B4C55A")))
        {
            return false;
        }

        const int Offset = 5;
        ulong first = unchecked(0 - 64UL);
        byte[] stream = new byte[400];
        byte[] input = new byte[16];
        foreach (CounterLayout layout in (ReadOnlySpan<CounterLayout>)[CounterLayout.Draft, CounterLayout.Reference])
        {
            Array.Clear(stream);
            key.XorKeyStream(layout, first + Offset, stream, stream);
            for (int index = 0; index < stream.Length; index++)
            {
                uint number = (uint)(index + Offset) / 16;
                if (layout == CounterLayout.Draft)
                {
                    BinaryPrimitives.WriteUInt128BigEndian(input, (UInt128)first + (16 * number));
                }
                else
                {
                    Array.Clear(input);
                    BinaryPrimitives.WriteUInt64LittleEndian(input.AsSpan(8), unchecked(first + ((ulong)number << 24)));
                }

                key.EncryptBlock(input, block);
                if (stream[index] != block[(index + Offset) % 16])
                {
                    return false;
                }
            }
        }

        return true;
    }

    // RFC 4493 §4, example 3, at every cut.
    private static bool Cmac(CryptoProvider provider)
    {
        byte[] message = Convert.FromHexString("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411");
        byte[] tag = new byte[16];
        using MacKey key = provider.CreateCmac(Convert.FromHexString("2B7E151628AED2A6ABF7158809CF4F3C"));
        for (int cut = 0; cut <= message.Length; cut++)
        {
            key.Compute(message.AsSpan(0, cut), message.AsSpan(cut), tag);
            if (!tag.AsSpan().SequenceEqual(Convert.FromHexString("DFA66747DE9AE63030CA32611497C827")))
            {
                return false;
            }
        }

        return true;
    }

    // RFC 4231, case 2; then lengths and cuts around the blocks, against System.Security.Cryptography.
    private static bool Hmac(CryptoProvider provider)
    {
        byte[] mac = new byte[32];
        provider.HmacSha256("Jefe"u8, "what do ya want for nothing?"u8, mac);
        if (!mac.AsSpan().SequenceEqual(Convert.FromHexString("5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843")))
        {
            return false;
        }

        byte[] data = Counting(600);
        byte[] tag = new byte[16];
        foreach (int keyLength in (ReadOnlySpan<int>)[0, 32, 64, 131])
        {
            using MacKey key = provider.CreateHmacSha256(Counting(keyLength));
            foreach (int length in (ReadOnlySpan<int>)[0, 55, 56, 64, 119, 128, 400, 600])
            {
                byte[] expected = HMACSHA256.HashData(Counting(keyLength), data.AsSpan(0, length));
                provider.HmacSha256(Counting(keyLength), data.AsSpan(0, length), mac);
                if (!mac.AsSpan().SequenceEqual(expected))
                {
                    return false;
                }

                foreach (int cut in (ReadOnlySpan<int>)[0, length / 3, length])
                {
                    key.Compute(data.AsSpan(0, cut), data.AsSpan(cut, length - cut), tag);
                    if (!tag.AsSpan().SequenceEqual(expected.AsSpan(0, 16)))
                    {
                        return false;
                    }
                }
            }
        }

        return true;
    }

    // The scalar 00 01 02 ...; SHA-256 over the public key and the secret shared with oneself.
    private static bool Curve(CryptoProvider provider, TcpcryptKeyExchange keyExchange, string expected)
    {
        int length = EcCurves.FieldLength(keyExchange);
        using EcKeyPair? pair = provider.CreateEcKeyPair(keyExchange, Counting(length));
        byte[] secret = new byte[length];
        return pair is not null && pair.TryDerive(pair.PublicKey, secret) &&
            SHA256.HashData([.. pair.PublicKey, .. secret]).AsSpan().SequenceEqual(Convert.FromHexString(expected));
    }

    // Any odd number will do for a modulus: the cube is taken again by other means.
    private static bool Rsa(CryptoProvider provider)
    {
        byte[] modulus = Counting(Oaep.MinModulusLength);
        modulus[0] = 0xC5;
        byte[] seed = Counting(32);
        byte[] result = new byte[modulus.Length];
        byte[] encoded = new byte[modulus.Length];
        foreach (OaepHash hash in (ReadOnlySpan<OaepHash>)[OaepHash.Sha1, OaepHash.Sha256])
        {
            if (!provider.TryRsaEncrypt(modulus, hash, seed, seed.AsSpan(0, Oaep.HashLength(hash)), result))
            {
                return false;
            }

            Oaep.Encode(default(PortableCryptoProvider.Digest), hash, seed, seed.AsSpan(0, Oaep.HashLength(hash)), encoded);
            BigInteger cube = BigInteger.ModPow(new BigInteger(encoded, isUnsigned: true, isBigEndian: true), 3, new BigInteger(modulus, isUnsigned: true, isBigEndian: true));
            if (new BigInteger(result, isUnsigned: true, isBigEndian: true) != cube)
            {
                return false;
            }
        }

        return true;
    }

    private static byte[] Counting(int length)
    {
        byte[] octets = new byte[length];
        for (int index = 0; index < length; index++)
        {
            octets[index] = (byte)index;
        }

        return octets;
    }
}
