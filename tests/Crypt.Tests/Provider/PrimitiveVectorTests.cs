using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

/// <summary>What is a primitive in the two files of vectors.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class PrimitiveVectorTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [Test]
    [Spec("REF-6.3")]
    public void Hmac_is_the_first_16_octets()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("reference", "hmac_sha256_128"))
        {
            byte[] data = entry.Hex("data");
            using MacKey key = _provider.CreateHmacSha256(entry.Hex("key"));
            foreach (int cut in (int[])[0, data.Length / 3, data.Length])
            {
                Assert.That(Compute(key, data[..cut], data[cut..]), Is.EqualTo(entry.Hex("mac")));
            }
        }
    }

    [TestCase("draft")]
    [TestCase("reference")]
    [Spec("TD-69")]
    [Spec("REF-5")]
    public void Hkdf_extracts(string dialect)
    {
        foreach (JsonElement entry in PrimitiveVectors.List(dialect, "hkdf_extract"))
        {
            byte[] secret = new byte[KeySchedule.SecretLength];
            KeySchedule.Extract(_provider, entry.Hex("salt"), entry.Hex("ikm"), secret);
            Assert.That(secret, Is.EqualTo(entry.Hex("prk")));
        }
    }

    [TestCase("draft", "hkdf_expand")]
    [TestCase("reference", "hkdf_expand_32")]
    [Spec("TD-69")]
    [Spec("REF-5")]
    public void Hkdf_expands(string dialect, string list)
    {
        foreach (JsonElement entry in PrimitiveVectors.List(dialect, list))
        {
            byte[] expected = entry.Hex("okm");
            byte[] output = new byte[expected.Length];
            KeySchedule.Expand(_provider, entry.Hex("prk"), entry.Hex("info"), output);
            Assert.That(output, Is.EqualTo(expected));
        }
    }

    [Test]
    [Spec("TD-74")]
    public void Draft_encrypts_by_position()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "asm_encrypt"))
        {
            using AesKey key = _provider.CreateAes(entry.Hex("k_enc"));
            byte[] data = entry.Hex("plaintext");
            key.XorKeyStream(CounterLayout.Draft, entry.Number("seq"), data, data);
            Assert.That(data, Is.EqualTo(entry.Hex("ciphertext")), $"position {entry.Number("seq")}");
        }
    }

    [Test]
    [Spec("TD-74")]
    public void Draft_ciphertext_does_not_depend_on_the_cuts()
    {
        JsonElement vector = PrimitiveVectors.Get("draft", "segmentation");
        byte[] plaintext = vector.Hex("plaintext");
        byte[] expected = vector.Hex("ciphertext");
        ulong position = vector.Number("seq");
        using AesKey key = _provider.CreateAes(vector.Hex("k_enc"));
        for (int length = 1; length <= plaintext.Length; length++)
        {
            byte[] ciphertext = new byte[plaintext.Length];
            for (int at = 0; at < plaintext.Length; at += length)
            {
                int count = Math.Min(length, plaintext.Length - at);
                key.XorKeyStream(CounterLayout.Draft, position + (uint)at, plaintext.AsSpan(at, count), ciphertext.AsSpan(at, count));
            }

            Assert.That(ciphertext, Is.EqualTo(expected), $"cut every {length} octets");
        }
    }

    [Test]
    [Spec("REF-6.2")]
    public void Reference_key_stream_follows_the_daemons_counter()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("reference", "aes_ctr"))
        {
            byte[] expected = entry.Hex("keystream");
            byte[] output = new byte[expected.Length];
            using AesKey key = _provider.CreateAes(entry.Hex("k_enc").AsSpan(0, 16));
            key.XorKeyStream(CounterLayout.Reference, entry.Number("wire_seq"), output, output);
            Assert.That(output, Is.EqualTo(expected), $"number {entry.Number("wire_seq")}, {expected.Length} octets");
        }
    }

    [Test]
    [Spec("TD-77")]
    public void Draft_acknowledgment_mac_is_one_block()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "ack_mac"))
        {
            using AesKey key = _provider.CreateAes(entry.Hex("k_ack"));
            byte[] block = new byte[16];
            entry.Hex("up").CopyTo(block, 8);
            key.EncryptBlock(block, block);
            Assert.That(block, Is.EqualTo(entry.Hex("mac2")));
        }
    }

    [Test]
    [Spec("REF-6.3")]
    public void Reference_acknowledgment_mac_is_one_block()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("reference", "ack_mac"))
        {
            using AesKey key = _provider.CreateAes(entry.Hex("k_ack").AsSpan(0, 16));
            byte[] block = new byte[16];
            entry.Hex("a").CopyTo(block, 0);
            key.EncryptBlock(block, block);
            Assert.That(block, Is.EqualTo(entry.Hex("out")));
        }
    }

    [Test]
    [Spec("TD-68")]
    public void Cmac_is_right()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "cmac"))
        {
            byte[] data = entry.Hex("msg");
            using MacKey key = _provider.CreateCmac(entry.Hex("key"));
            for (int cut = 0; cut <= data.Length; cut++)
            {
                Assert.That(Compute(key, data[..cut], data[cut..]), Is.EqualTo(entry.Hex("mac")));
            }
        }
    }

    private static byte[] Compute(MacKey key, byte[] first, byte[] second)
    {
        byte[] tag = new byte[16];
        key.Compute(first, second, tag);
        return tag;
    }
}
