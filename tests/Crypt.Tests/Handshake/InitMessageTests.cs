using System.Buffers.Binary;
using CsCheck;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Handshake;

/// <summary>INIT1 and INIT2 of both dialects: what is accepted, and that everything else is not.</summary>
internal sealed class InitMessageTests
{
    private const TcpcryptDialect Draft = TcpcryptDialect.Draft;
    private const TcpcryptDialect Reference = TcpcryptDialect.Reference;
    private const TcpcryptKeyExchange P256 = TcpcryptKeyExchange.EcdheP256;
    private const TcpcryptKeyExchange P521 = TcpcryptKeyExchange.EcdheP521;
    private const TcpcryptKeyExchange Rsa = TcpcryptKeyExchange.OaepRsa;

    [TestCase(P256, 65, 117, 110)]
    [TestCase(P521, 133, 185, 178)]
    [TestCase(Rsa, 256, 308, 268)]
    [TestCase(Rsa, 512, 564, 524)]
    [Spec("TD-64")]
    [Spec("TD-68")]
    public void Lengths_with_one_cipher_are_those_of_the_specification(TcpcryptKeyExchange keyExchange, int keyLength, int length1, int length2)
    {
        Assert.That(InitMessage.Length1(keyLength, 1), Is.EqualTo(length1));
        Assert.That(InitMessage.Length2(keyExchange, keyLength), Is.EqualTo(length2));
        Assert.That(InitMessage.Length1(keyLength, 3), Is.EqualTo(length1 + 8));
        Assert.That(Init.Message1(Draft, keyExchange, keyLength, 0x100), Has.Length.EqualTo(length1));
        Assert.That(keyExchange == Rsa ? keyLength : InitMessage.PublicKeyLength(keyExchange), Is.EqualTo(keyLength));
    }

    [TestCase("00000075" + "2911" + "0001", Draft, 117, TestName = "Draft")]
    [TestCase("15101a0e" + "00000075", Reference, 117, TestName = "Reference")]
    [TestCase("15101a0e" + "29110075", TcpcryptDialect.None, 0, TestName = "Reference's magic with a length above the limit, though 2911 follows")]
    [TestCase("00000400" + "2911" + "0001", Draft, 1024, TestName = "Draft, longest")]
    [TestCase("00000401" + "2911" + "0001", TcpcryptDialect.None, 0, TestName = "Draft, too long")]
    [TestCase("ffffffff" + "2911" + "0001", TcpcryptDialect.None, 0, TestName = "Draft, length 2^32 - 1")]
    [TestCase("0000002f" + "2911" + "0001", TcpcryptDialect.None, 0, TestName = "Draft, too short for a nonce")]
    [TestCase("15101a0e" + "00000400", Reference, 1024, TestName = "Reference, longest")]
    [TestCase("15101a0e" + "00000401", TcpcryptDialect.None, 0, TestName = "Reference, too long")]
    [TestCase("15101a0e" + "00000000", TcpcryptDialect.None, 0, TestName = "Reference, length 0")]
    [TestCase("00000075" + "2912" + "0001", TcpcryptDialect.None, 0, TestName = "neither magic")]
    [TestCase("474554202f20485454502f312e31", TcpcryptDialect.None, 0, TestName = "something else")]
    [TestCase("00000075" + "291100", TcpcryptDialect.None, 0, TestName = "seven octets")]
    [TestCase("", TcpcryptDialect.None, 0, TestName = "nothing")]
    [Spec("TD-64")]
    [Spec("TD-134")]
    public void The_first_octets_of_init1_tell_dialect_and_length(string prefix, TcpcryptDialect expected, int expectedLength)
    {
        bool isRead = InitMessage.TryReadLength1(Convert.FromHexString(prefix), out TcpcryptDialect dialect, out int length);
        Assert.That(isRead, Is.EqualTo(expected != TcpcryptDialect.None));
        Assert.That(length, Is.EqualTo(expectedLength));
        if (isRead)
        {
            Assert.That(dialect, Is.EqualTo(expected));
        }
    }

    [TestCase(Draft, "0000006e" + "8310" + "0062", 110)]
    [TestCase(Draft, "00000401" + "8310" + "0062", 0)]
    [TestCase(Draft, "0000000b" + "8310" + "0062", 0)]
    [TestCase(Draft, "0000006e" + "2911" + "0062", 0)]
    [TestCase(Draft, "0000006e" + "8310" + "00", 0)]
    [TestCase(Draft, "097105e0" + "0000006e", 0)]
    [TestCase(Reference, "097105e0" + "0000006e", 110)]
    [TestCase(Reference, "097105e0" + "00000401", 0)]
    [TestCase(Reference, "097105e0" + "ffffffff", 0)]
    [TestCase(Reference, "0000006e" + "8310" + "0062", 0)]
    [Spec("TD-64")]
    public void The_first_octets_of_init2_tell_its_length(TcpcryptDialect dialect, string prefix, int expected)
    {
        Assert.That(InitMessage.TryReadLength2(dialect, Convert.FromHexString(prefix), out int length), Is.EqualTo(expected > 0));
        Assert.That(length, Is.EqualTo(expected));
    }

    [TestCase(P256, 65)]
    [TestCase(P521, 133)]
    [TestCase(Rsa, 256)]
    [TestCase(Rsa, 320)]
    [TestCase(Rsa, 512)]
    [Spec("TD-62")]
    [Spec("TD-65")]
    [Spec("REF-4.1")]
    public void A_well_formed_init1_is_taken_apart_and_written_the_same(TcpcryptKeyExchange keyExchange, int keyLength)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            byte[] message = Init.Message1(dialect, keyExchange, keyLength, 0x100, 0x300);
            Assert.That(InitMessage.TryRead1(message, Init.AllOffered, out WireDialect? wire, out Init1 init1), Is.True);
            Assert.That(wire!.Name, Is.EqualTo(dialect));
            Assert.That(init1.KeyExchange, Is.EqualTo(keyExchange));
            Assert.That(Convert.ToHexString(init1.Ciphers), Is.EqualTo("0000010000000300"));
            Assert.That(init1.Nonce.ToArray(), Is.EqualTo(Enumerable.Repeat((byte)0x77, 32)));
            Assert.That(init1.PublicKey.Length, Is.EqualTo(keyLength));

            byte[] written = new byte[InitMessage.Length1(keyLength, 2)];
            wire.Write1(written, keyExchange, [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac], init1.Nonce, init1.PublicKey);
            Assert.That(written, Is.EqualTo(message));
        }
    }

    /// <summary>Lengths that agree with each other, contents that are not acceptable.</summary>
    private static IEnumerable<TestCaseData> UnacceptableKeys()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            yield return Case("P-256 key of 64 octets", P256, 64);
            yield return Case("P-256 key of 66 octets", P256, 66);
            yield return Case("P-256 key of 133 octets", P256, 133);
            yield return Case("P-256 without a key", P256, 0);
            yield return Case("P-256 key of one octet, infinity", P256, 1, 0);
            yield return Case("P-256 compressed key", P256, 33, 2);
            yield return Case("P-256 key with the octet of a compressed one", P256, 65, 3);
            yield return Case("P-256 hybrid key", P256, 65, 6);
            yield return Case("P-521 key of 132 octets", P521, 132);
            yield return Case("P-521 key of 65 octets", P521, 65);
            yield return Case("P-521 key of 134 octets", P521, 134);
            yield return Case("P-521 hybrid key", P521, 133, 7);
            yield return Case("RSA of 2040 bits", Rsa, 255);
            yield return Case("RSA of 512 bits", Rsa, 64);
            yield return Case("RSA without a key", Rsa, 0);
            yield return Case("RSA of 4104 bits", Rsa, 513);
            yield return Case("RSA of 4608 bits", Rsa, 576);
            yield return Case("RSA modulus with a leading zero", Rsa, 512, 0);
            yield return Case("RSA modulus of one bit less", Rsa, 256, 0x7f);
            yield return Case("even RSA modulus", Rsa, 256, null, 0x92);
            yield return Case("a key exchange nobody offered", (TcpcryptKeyExchange)0x000300, 65);
            yield return Case("the marker as key exchange", (TcpcryptKeyExchange)0x00f004, 65);
            yield return Case("key exchange 0", TcpcryptKeyExchange.None, 65);

            TestCaseData Case(string name, TcpcryptKeyExchange keyExchange, int keyLength, byte? first = null, byte? last = null)
            {
                byte[] message = Init.Message1(dialect, keyExchange, keyLength, 0x100);
                message[^Math.Max(keyLength, 1)] = first ?? message[^Math.Max(keyLength, 1)];
                message[^1] = last ?? message[^1];
                return new TestCaseData(message).SetName($"{dialect}: {name}");
            }
        }

        yield return new TestCaseData(Init.Message1(Reference, Rsa, 257, 0x100)).SetName("Reference: RSA of 2056 bits, no multiple of 512");
        yield return new TestCaseData(Init.Message1(Draft, P256, 65, [.. Enumerable.Repeat(0x100u, 250)])).SetName("Draft: longer than 1024 octets");
        yield return new TestCaseData(Init.Message1(Reference, P256, 65, [.. Enumerable.Repeat(0x100u, 250)])).SetName("Reference: longer than 1024 octets");
    }

    [TestCaseSource(nameof(UnacceptableKeys))]
    [Spec("TD-50")]
    [Spec("TD-65")]
    [Spec("TD-122")]
    [Spec("REF-4.3")]
    public void An_init1_with_an_unacceptable_key_is_malformed(byte[] message)
    {
        Assert.That(InitMessage.IsWellFormed1(message, Init.AllOffered), Is.False);
        Assert.That(ServerHandshake.TryAccept(CryptoProvider.Portable, Init.AllOffered, message, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? handshake), Is.EqualTo(HandshakeError.Malformed));
        Assert.That(handshake, Is.Null);
    }

    [Test]
    [Spec("TD-65")]
    public void Draft_takes_rsa_moduli_of_any_number_of_octets() => Assert.That(InitMessage.IsWellFormed1(Init.Message1(Draft, Rsa, 257, 0x100), Init.AllOffered), Is.True);

    [TestCase("000200", P521, 133)]
    [TestCase("000201000100", P256, 65)]
    [TestCase("00f004", P256, 65)]
    [TestCase("", P256, 65)]
    [Spec("TD-50")]
    public void An_init1_of_a_key_exchange_that_was_not_offered_is_malformed(string pkConf, TcpcryptKeyExchange keyExchange, int keyLength)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            Assert.That(InitMessage.IsWellFormed1(Init.Message1(dialect, keyExchange, keyLength, 0x100), Convert.FromHexString(pkConf)), Is.False);
        }
    }

    [TestCase(Draft, 6, 2)]
    [TestCase(Draft, 8, 33)]
    [TestCase(Draft, 8, 31)]
    [TestCase(Draft, 10, 64)]
    [TestCase(Draft, 10, 66)]
    [TestCase(Draft, 10, 0xffff)]
    [TestCase(Draft, 6, 0xffff)]
    [TestCase(Reference, 14, 0xffff)]
    [TestCase(Reference, 14, 20)]
    [TestCase(Reference, 14, 2)]
    [TestCase(Reference, 14, 0)]
    [Spec("TD-50")]
    [Spec("HI_ENC_04")]
    public void Counts_and_lengths_that_do_not_agree_are_malformed(TcpcryptDialect dialect, int at, int value)
    {
        byte[] message = Init.Message1(dialect, P256, 65, 0x100);
        Assert.That(InitMessage.IsWellFormed1(message, Init.AllOffered), Is.True);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at), (ushort)value);
        Assert.That(InitMessage.IsWellFormed1(message, Init.AllOffered), Is.False);
    }

    [TestCase(31)]
    [TestCase(33)]
    [TestCase(0)]
    [Spec("TD-65")]
    public void A_nonce_of_another_length_is_malformed_though_all_lengths_agree(int nonce)
    {
        byte[] message = Init.Message1(Draft, P256, 65, 0x100);
        byte[] changed = [.. message[..16], .. new byte[nonce], .. message[48..]];
        changed[9] = (byte)nonce;
        changed[3] = (byte)changed.Length;
        Assert.That(WireDialect.Draft.TryRead1(changed, out _), Is.True, "the lengths agree");
        Assert.That(InitMessage.IsWellFormed1(changed, Init.AllOffered), Is.False);
    }

    [Test]
    [Spec("TD-50")]
    public void The_octet_before_the_key_exchange_must_be_zero_in_Draft()
    {
        byte[] message = Init.Message1(Draft, P256, 65, 0x100);
        message[48] = 1;
        Assert.That(InitMessage.IsWellFormed1(message, Init.AllOffered), Is.False);
    }

    [Test]
    [Spec("REF-4.1")]
    public void The_octets_that_the_daemon_does_not_clear_are_not_looked_at()
    {
        byte[] message = Init.Message1(Reference, P256, 65, 0x100);
        (message[8], message[12], message[13]) = (2, 1, 1);
        Assert.That(InitMessage.TryRead1(message, Init.AllOffered, out _, out Init1 init1), Is.True);
        Assert.That(init1.KeyExchange, Is.EqualTo(P256));
    }

    [Test]
    [Spec("TD-50")]
    [Spec("HI_ENC_04")]
    public void Cut_short_or_with_an_octet_too_many_a_message_is_malformed()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            byte[] message1 = Init.Message1(dialect, P256, 65, 0x100, 0x300);
            byte[] message2 = Init.Message2(dialect, TcpcryptCipher.Aes128HmacSha256, Init.PointMaterial(65));
            Assert.That(InitMessage.IsWellFormed1(message1, Init.AllOffered), Is.True);
            Assert.That(InitMessage.IsWellFormed2(dialect, message2), Is.True);
            for (int length = 0; length < message1.Length; length++)
            {
                Assert.That(InitMessage.IsWellFormed1(message1.AsSpan(0, length), Init.AllOffered), Is.False);
            }

            for (int length = 0; length < message2.Length; length++)
            {
                Assert.That(InitMessage.IsWellFormed2(dialect, message2.AsSpan(0, length)), Is.False);
            }

            Assert.That(InitMessage.IsWellFormed1([.. message1, 0], Init.AllOffered), Is.False);
            Assert.That(InitMessage.IsWellFormed2(dialect, [.. message2, 0]), Is.False);
        }
    }

    [TestCase(Draft, TcpcryptCipher.Aes128HmacSha256, 65, ExpectedResult = true)]
    [TestCase(Draft, TcpcryptCipher.Aes128Cmac, 133, ExpectedResult = true)]
    [TestCase(Reference, TcpcryptCipher.Aes128HmacSha256, 133, ExpectedResult = true)]
    [TestCase(Reference, TcpcryptCipher.Aes128Cmac, 65, ExpectedResult = false, TestName = "Reference has no CMAC")]
    [TestCase(Draft, (TcpcryptCipher)0x200, 65, ExpectedResult = false, TestName = "Poly1305 is not implemented")]
    [TestCase(Draft, TcpcryptCipher.None, 65, ExpectedResult = false, TestName = "cipher 0")]
    [TestCase(Draft, TcpcryptCipher.Aes128HmacSha256, 64, ExpectedResult = false, TestName = "a point too short")]
    [TestCase(Draft, TcpcryptCipher.Aes128HmacSha256, 134, ExpectedResult = false, TestName = "a point too long")]
    [Spec("TD-49")]
    public bool An_init2_is_well_formed_with_key_material_of_some_key_exchange(TcpcryptDialect dialect, TcpcryptCipher cipher, int pointLength) =>
        InitMessage.IsWellFormed2(dialect, Init.Message2(dialect, cipher, Init.PointMaterial(pointLength)));

    [Test]
    [Spec("TD-49")]
    public void An_init2_is_of_one_dialect()
    {
        Assert.That(InitMessage.IsWellFormed2(Reference, Init.Message2(Draft, TcpcryptCipher.Aes128HmacSha256, Init.PointMaterial(65))), Is.False);
        Assert.That(InitMessage.IsWellFormed2(Draft, Init.Message2(Reference, TcpcryptCipher.Aes128HmacSha256, Init.PointMaterial(65))), Is.False);
        Assert.That(InitMessage.IsWellFormed2(Draft, Init.Message2(Draft, TcpcryptCipher.Aes128HmacSha256, new byte[256])), Is.True);
        Assert.That(InitMessage.IsWellFormed2(Draft, Init.Message2(Draft, TcpcryptCipher.Aes128HmacSha256, new byte[513])), Is.False);
        Assert.That(InitMessage.IsWellFormed2(Reference, Init.Message2(Reference, TcpcryptCipher.Aes128HmacSha256, new byte[257])), Is.False);
    }

    private static IEnumerable<TestCaseData> UnacceptableAnswers()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            byte[] point = Init.PointMaterial(65);
            yield return Case("a cipher that C did not list", TcpcryptCipher.Aes128Cmac, point);
            yield return Case("an unknown cipher", (TcpcryptCipher)0x400, point);
            yield return Case("cipher 0", TcpcryptCipher.None, point);
            yield return Case("N_S of 31 octets", TcpcryptCipher.Aes128HmacSha256, [31, .. point[1..]]);
            yield return Case("N_S of 33 octets", TcpcryptCipher.Aes128HmacSha256, [33, .. point[1..]]);
            yield return Case("N_S of 0 octets", TcpcryptCipher.Aes128HmacSha256, [0, .. point[1..]]);
            yield return Case("no key material", TcpcryptCipher.Aes128HmacSha256, []);
            yield return Case("one octet of key material", TcpcryptCipher.Aes128HmacSha256, [32]);
            yield return Case("key material too short", TcpcryptCipher.Aes128HmacSha256, point[..^1]);
            yield return Case("key material too long", TcpcryptCipher.Aes128HmacSha256, [.. point, 0]);
            yield return Case("a compressed point", TcpcryptCipher.Aes128HmacSha256, [.. point[..33], 2, .. point[34..]]);
            yield return Case("a hybrid point", TcpcryptCipher.Aes128HmacSha256, [.. point[..33], 6, .. point[34..]]);
            yield return Case("a point of P-521", TcpcryptCipher.Aes128HmacSha256, Init.PointMaterial(133));
            yield return Case("an RSA ciphertext", TcpcryptCipher.Aes128HmacSha256, new byte[256]);

            TestCaseData Case(string name, TcpcryptCipher cipher, byte[] material) => new TestCaseData(dialect, Init.Message2(dialect, cipher, material)).SetName($"{dialect}: {name}");
        }
    }

    [TestCaseSource(nameof(UnacceptableAnswers))]
    [Spec("TD-50")]
    [Spec("TD-65")]
    [Spec("REF-4.2")]
    public void An_init2_that_does_not_answer_the_init1_is_malformed(TcpcryptDialect dialect, byte[] message)
    {
        Assert.That(InitMessage.TryRead1(Init.Message1(dialect, P256, 65, 0x100), Init.AllOffered, out WireDialect? wire, out Init1 init1), Is.True);
        Assert.That(InitMessage.TryRead2(wire!, init1, Init.Message2(dialect, TcpcryptCipher.Aes128HmacSha256, Init.PointMaterial(65)), out _), Is.True);
        Assert.That(InitMessage.TryRead2(wire!, init1, message, out _), Is.False);
    }

    [TestCase(256, 255)]
    [TestCase(256, 257)]
    [TestCase(256, 512)]
    [TestCase(512, 256)]
    [Spec("TD-65")]
    public void An_rsa_ciphertext_is_as_long_as_the_modulus(int modulus, int ciphertext)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[Draft, Reference])
        {
            Assert.That(InitMessage.TryRead1(Init.Message1(dialect, Rsa, modulus, 0x100), Init.AllOffered, out WireDialect? wire, out Init1 init1), Is.True);
            Assert.That(InitMessage.TryRead2(wire!, init1, Init.Message2(dialect, TcpcryptCipher.Aes128HmacSha256, new byte[modulus]), out _), Is.True);
            Assert.That(InitMessage.TryRead2(wire!, init1, Init.Message2(dialect, TcpcryptCipher.Aes128HmacSha256, new byte[ciphertext]), out _), Is.False);
        }
    }

    [Test]
    [Spec("TD-50")]
    [Spec("HI_ENC_04")]
    public void Any_octets_have_an_outcome()
    {
        byte[][] starts = [[], [0x15, 0x10, 0x1a, 0x0e, 0, 0], [0, 0], [0x09, 0x71, 0x05, 0xe0, 0, 0]];
        Gen.Select(Gen.Int[0, starts.Length - 1], Gen.Byte.Array[0, 700], Gen.Int[0, 5], Gen.Bool).Sample(
            (start, rest, plant, isDraft) =>
            {
                byte[] message = [.. starts[start], .. rest];
                if (message.Length > 12 && plant > 0)
                {
                    // Lengths and magic that fit, so that what follows is reached.
                    BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(isDraft ? 0 : 4), (uint)message.Length);
                    message[isDraft ? 4 : 0] = isDraft ? (plant < 4 ? (byte)0x29 : (byte)0x83) : message[0];
                    message[isDraft ? 5 : 1] = isDraft ? (plant < 4 ? (byte)0x11 : (byte)0x10) : message[1];
                }

                InitMessage.TryReadLength1(message, out _, out int length1);
                InitMessage.TryReadLength2(isDraft ? Draft : Reference, message, out int length2);
                bool isInit1 = InitMessage.IsWellFormed1(message, Init.AllOffered);
                bool isInit2 = InitMessage.IsWellFormed2(isDraft ? Draft : Reference, message);
                return length1 <= InitMessage.MaxLength && length2 <= InitMessage.MaxLength && (!isInit1 || length1 == message.Length) && (!isInit2 || length2 == message.Length);
            },
            iter: 15_000);
    }
}
