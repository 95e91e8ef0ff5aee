using System.Security.Cryptography;
using System.Text.Json;
using NUnit.Framework;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Encodings;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Parameters;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class RsaKeyPairTests(string name)
{
    private static readonly byte[] s_message = AesKeyTests.Octets(48);

    private CryptoProvider _provider = null!;
    private RsaKeyPair _key = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _provider = Providers.Get(name);
        _key = Import(_provider, ConnectionVectors.KeyExchange("draft", "rsa"));
    }

    [OneTimeTearDown]
    public void TearDown() => _key?.Dispose();

    [TestCase("draft", OaepHash.Sha256, 12)]
    [TestCase("reference", OaepHash.Sha1, 12)]
    [Spec("TD-66")]
    [Spec("REF-4")]
    public void Secrets_of_the_captured_connections_decrypt(string dialect, OaepHash hash, int kxOffset)
    {
        JsonElement vector = ConnectionVectors.KeyExchange(dialect, "rsa");
        using RsaKeyPair key = Import(_provider, vector);
        Assert.That(key.Modulus.ToArray(), Is.EqualTo(vector.Hex("c_rsa_n")));
        Assert.That(Decrypt(key, hash, vector.Hex("init2")[kxOffset..]), Is.EqualTo(vector.Hex("pms")));
    }

    [Test]
    [Spec("TD-66")]
    public void Encryption_is_the_same_in_all_providers_and_decrypts_in_all([Values] OaepHash hash, [Values(0, 1, 48, 190)] int length)
    {
        JsonElement vector = ConnectionVectors.KeyExchange("draft", "rsa");
        byte[] message = AesKeyTests.Octets(length);
        byte[] seed = AesKeyTests.Octets(Oaep.HashLength(hash));
        byte[] ciphertext = Encrypt(_provider, hash, message, seed)!;
        using RsaKeyPair portable = Import(CryptoProvider.Portable, vector);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ciphertext, Is.EqualTo(Encrypt(CryptoProvider.Portable, hash, message, seed)));
            Assert.That(Decrypt(_key, hash, ciphertext), Is.EqualTo(message));
            Assert.That(Decrypt(portable, hash, ciphertext), Is.EqualTo(message));
        }

        RsaKeyParameters privateKey = new(true, new(1, vector.Hex("c_rsa_n")), new(1, vector.Hex("c_rsa_d")));
        OaepEncoding decoder = new(new RsaEngine(), hash == OaepHash.Sha1 ? new Sha1Digest() : new Sha256Digest());
        decoder.Init(false, privateKey);
        Assert.That(decoder.ProcessBlock(ciphertext, 0, ciphertext.Length), Is.EqualTo(message), "BouncyCastle decrypts ours");

        OaepEncoding encoder = new(new RsaEngine(), hash == OaepHash.Sha1 ? new Sha1Digest() : new Sha256Digest());
        encoder.Init(true, new RsaKeyParameters(false, privateKey.Modulus, Org.BouncyCastle.Math.BigInteger.Three));
        Assert.That(Decrypt(_key, hash, encoder.ProcessBlock(message, 0, message.Length)), Is.EqualTo(message), "and we its");
    }

    [Test]
    [Spec("TD-122")]
    public void Every_failure_to_decrypt_is_the_same_false([Values] OaepHash hash)
    {
        byte[] good = Encrypt(_provider, hash, s_message, new byte[Oaep.HashLength(hash)])!;
        byte[] modulus = _key.Modulus.ToArray();
        Dictionary<string, byte[]> bad = new()
        {
            ["first octet"] = Flipped(good, 0),
            ["in the middle"] = Flipped(good, 100),
            ["last octet"] = Flipped(good, good.Length - 1),
            ["zero"] = new byte[good.Length],
            ["one"] = [.. new byte[good.Length - 1], 1],
            ["the modulus"] = modulus,
            ["above the modulus"] = [.. Enumerable.Repeat((byte)0xFF, good.Length)],
            ["short"] = good[..^1],
            ["long"] = [.. good, 0],
            ["empty"] = [],
            ["with the other hash"] = Encrypt(_provider, hash == OaepHash.Sha1 ? OaepHash.Sha256 : OaepHash.Sha1, s_message, new byte[hash == OaepHash.Sha1 ? 32 : 20])!,
        };
        foreach ((string what, byte[] ciphertext) in bad)
        {
            byte[] message = new byte[256];
            Assert.That(_key.TryDecrypt(hash, ciphertext, message, out int written), Is.False, what);
            Assert.That(written, Is.Zero, what);
            Assert.That(message, Is.All.Zero, what);
        }

        byte[] tooSmall = new byte[s_message.Length - 1];
        Assert.That(_key.TryDecrypt(hash, good, tooSmall, out _), Is.False, "no room for the message");
        Assert.That(tooSmall, Is.All.Zero);
        Assert.That(Decrypt(_key, hash, good), Is.EqualTo(s_message), "and goes on with a good one");
    }

    [Test]
    [Spec("TD-122")]
    public void Numbers_that_cannot_be_a_modulus_are_refused()
    {
        byte[] modulus = _key.Modulus.ToArray();
        Dictionary<string, byte[]> bad = new()
        {
            ["empty"] = [],
            ["even"] = [.. modulus[..^1], (byte)(modulus[^1] & 0xFE)],
            ["2040 bits"] = modulus[1..],
            ["2047 bits"] = [0x7F, .. modulus[1..]],
            ["leading zero"] = [0, .. modulus],
            ["4104 bits"] = [.. modulus, .. modulus, 1],
            ["zero"] = new byte[256],
            ["one"] = [1],
        };
        foreach ((string what, byte[] number) in bad)
        {
            byte[] destination = new byte[600];
            Assert.That(_provider.TryRsaEncrypt(number, OaepHash.Sha256, s_message, new byte[32], destination.AsSpan(0, number.Length)), Is.False, what);
            Assert.That(destination, Is.All.Zero, what);
        }
    }

    [TestCase(OaepHash.Sha1, 256 - 42)]
    [TestCase(OaepHash.Sha256, 256 - 66)]
    public void Longest_message_fits_and_one_octet_more_does_not(OaepHash hash, int longest)
    {
        byte[] seed = new byte[Oaep.HashLength(hash)];
        Assert.That(Decrypt(_key, hash, Encrypt(_provider, hash, AesKeyTests.Octets(longest), seed)!), Is.EqualTo(AesKeyTests.Octets(longest)));
        Assert.That(Encrypt(_provider, hash, AesKeyTests.Octets(longest + 1), seed), Is.Null);
    }

    [Test]
    public void Any_odd_modulus_of_an_allowed_length_gives_the_cube([Values(256, 257, 384, 511, 512)] int length)
    {
        Random random = new(length);
        for (int round = 0; round < 20; round++)
        {
            byte[] modulus = new byte[length];
            random.NextBytes(modulus);
            modulus[0] |= 0x80;
            modulus[^1] |= 1;
            byte[] seed = new byte[32];
            random.NextBytes(seed);
            byte[] result = new byte[length];
            byte[] expected = new byte[length];
            Assert.That(_provider.TryRsaEncrypt(modulus, OaepHash.Sha256, s_message, seed, result), Is.True);

            Oaep.Encode(default(PortableCryptoProvider.Digest), OaepHash.Sha256, s_message, seed, expected);
            byte[] number = new Org.BouncyCastle.Math.BigInteger(1, expected).ModPow(Org.BouncyCastle.Math.BigInteger.Three, new(1, modulus)).ToByteArrayUnsigned();
            Assert.That(result, Is.EqualTo((byte[])[.. new byte[length - number.Length], .. number]));
        }
    }

    [Test]
    public void Generated_key_has_exponent_3_and_works()
    {
        using RsaKeyPair key = _provider.GenerateRsaKeyPair(2048);
        Assert.That(key.Modulus.Length, Is.EqualTo(256));
        Assert.That(key.Modulus[0], Is.GreaterThanOrEqualTo((byte)0x80));
        byte[] ciphertext = new byte[256];
        Assert.That(_provider.TryRsaEncrypt(key.Modulus, OaepHash.Sha256, s_message, new byte[32], ciphertext), Is.True);
        Assert.That(Decrypt(key, OaepHash.Sha256, ciphertext), Is.EqualTo(s_message));
    }

    [TestCase(1024)]
    [TestCase(2047)]
    [TestCase(4104)]
    public void Keys_of_other_lengths_are_not_generated(int bits) => Assert.That(() => _provider.GenerateRsaKeyPair(bits), Throws.InstanceOf<ArgumentException>());

    [Test]
    public void Numbers_that_do_not_belong_together_are_no_key()
    {
        JsonElement vector = ConnectionVectors.KeyExchange("draft", "rsa");
        byte[] n = vector.Hex("c_rsa_n");
        byte[] d = vector.Hex("c_rsa_d");
        byte[] p = vector.Hex("c_rsa_p");
        byte[] q = vector.Hex("c_rsa_q");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => _provider.ImportRsaKeyPair(n, Flipped(d, 200), p, q), Throws.InstanceOf<CryptographicException>());
            Assert.That(() => _provider.ImportRsaKeyPair(n, d, Flipped(p, 100), q), Throws.InstanceOf<CryptographicException>());
            Assert.That(() => _provider.ImportRsaKeyPair(Flipped(n, 100), d, p, q), Throws.InstanceOf<CryptographicException>());
            Assert.That(() => _provider.ImportRsaKeyPair(n, d, n, [1]), Throws.InstanceOf<CryptographicException>());
            Assert.That(() => _provider.ImportRsaKeyPair(n, d, [], []), Throws.InstanceOf<CryptographicException>());
            Assert.That(() => _provider.ImportRsaKeyPair(p, d, p, q), Throws.InstanceOf<ArgumentException>());
        }
    }

    [Test]
    public void Primes_may_be_given_in_either_order()
    {
        JsonElement vector = ConnectionVectors.KeyExchange("draft", "rsa");
        using RsaKeyPair key = _provider.ImportRsaKeyPair(vector.Hex("c_rsa_n"), vector.Hex("c_rsa_d"), vector.Hex("c_rsa_q"), vector.Hex("c_rsa_p"));
        Assert.That(Decrypt(key, OaepHash.Sha256, vector.Hex("kx_s")), Is.EqualTo(vector.Hex("pms")));
    }

    private static byte[] Flipped(byte[] octets, int index) => [.. octets[..index], (byte)(octets[index] ^ 0x10), .. octets[(index + 1)..]];

    private static RsaKeyPair Import(CryptoProvider provider, JsonElement vector) =>
        provider.ImportRsaKeyPair(vector.Hex("c_rsa_n"), vector.Hex("c_rsa_d"), vector.Hex("c_rsa_p"), vector.Hex("c_rsa_q"));

    private byte[]? Encrypt(CryptoProvider provider, OaepHash hash, byte[] message, byte[] seed)
    {
        byte[] ciphertext = new byte[_key.Modulus.Length];
        return provider.TryRsaEncrypt(_key.Modulus, hash, message, seed, ciphertext) ? ciphertext : null;
    }

    private static byte[]? Decrypt(RsaKeyPair key, OaepHash hash, byte[] ciphertext)
    {
        byte[] message = new byte[ciphertext.Length];
        return key.TryDecrypt(hash, ciphertext, message, out int written) ? message[..written] : null;
    }
}
