using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;
using Tcpcrypt.Tests.Vectors;

namespace Tcpcrypt.Tests.Handshake;

/// <summary>C and S of ours with each other, and what an attacker between them can change.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class HandshakeTests(string name)
{
    private const TcpcryptCipher Hmac = TcpcryptCipher.Aes128HmacSha256;
    private const TcpcryptCipher Cmac = TcpcryptCipher.Aes128Cmac;

    private CryptoProvider _provider = null!;
    private RsaKeyPair _rsa2048 = null!;
    private RsaKeyPair _rsa4096 = null!;

    [OneTimeSetUp]
    public void SetUp()
    {
        _provider = Providers.Get(name);
        _rsa2048 = Import("draft/rsa");
        _rsa4096 = Import("reference/rsa");
    }

    [OneTimeTearDown]
    public void TearDown()
    {
        _rsa2048?.Dispose();
        _rsa4096?.Dispose();
    }

    private static IEnumerable<TestCaseData> Combinations()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            foreach (TcpcryptKeyExchange keyExchange in (TcpcryptKeyExchange[])[TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa])
            {
                yield return new TestCaseData(dialect, keyExchange, Hmac, 4096);
            }
        }

        yield return new TestCaseData(TcpcryptDialect.Draft, TcpcryptKeyExchange.EcdheP256, Cmac, 0);
        yield return new TestCaseData(TcpcryptDialect.Draft, TcpcryptKeyExchange.OaepRsa, Cmac, 2048);
    }

    [TestCaseSource(nameof(Combinations))]
    [Spec("TD-32")]
    [Spec("TD-33")]
    [Spec("TD-65")]
    [Spec("TD-70")]
    public void Both_sides_get_the_same_session_in_opposite_roles(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, TcpcryptCipher cipher, int rsaBits)
    {
        RsaKeyPair? rsaKey = keyExchange == TcpcryptKeyExchange.OaepRsa ? rsaBits == 2048 ? _rsa2048 : _rsa4096 : null;
        byte[] pkConf = PkConf(dialect, keyExchange);
        using ClientHandshake client = new(_provider, dialect, pkConf, keyExchange, [cipher], new SeededKeys(_provider, 1), rsaKey);
        Assert.That(ServerHandshake.TryAccept(_provider, pkConf, client.Init1.Span, [Cmac, Hmac], out ServerHandshake? server), Is.EqualTo(HandshakeError.None));
        Assert.That(server!.Respond(new SeededKeys(_provider, 2), 2, out TcpcryptSession? atS), Is.EqualTo(HandshakeError.None));
        Assert.That(client.Complete(server.Init2.Span, 2, out TcpcryptSession? atC), Is.EqualTo(HandshakeError.None));

        Assert.That(atC!.SessionId.ToArray(), Is.EqualTo(atS!.SessionId.ToArray()));
        Assert.That(atC.Secret.ToArray(), Is.EqualTo(atS.Secret.ToArray()));
        Assert.That(atC.Agreement, Is.EqualTo(atS.Agreement with { Role = TcpcryptRole.C }));
        Assert.That(atS.Agreement.Role, Is.EqualTo(TcpcryptRole.S));
        Assert.That(atC.Agreement.Cipher, Is.EqualTo(cipher));
        Assert.That(atC.Agreement.KeyExchange, Is.EqualTo(keyExchange));
        Assert.That(atC.Agreement.ApplicationBits, Is.EqualTo(dialect == TcpcryptDialect.Reference ? 2 : 0));
        Assert.That(atC.Agreement.PublicKeySize, Is.EqualTo(keyExchange switch { TcpcryptKeyExchange.EcdheP256 => 256, TcpcryptKeyExchange.EcdheP521 => 521, _ => rsaBits }));

        Assert.That(client.LocalPublicKey.ToArray(), Is.EqualTo(server.RemotePublicKey.ToArray()));
        Assert.That(client.RemotePublicKey?.ToArray(), Is.EqualTo(server.LocalPublicKey?.ToArray()));
        Assert.That(client.RemotePublicKey is null, Is.EqualTo(keyExchange == TcpcryptKeyExchange.OaepRsa));
        Assert.That(client.Init1.Length, Is.EqualTo(InitMessage.Length1(client.LocalPublicKey.Length, 1)));
        Assert.That(server.Init2.Length, Is.EqualTo(InitMessage.Length2(keyExchange, client.LocalPublicKey.Length)));
        Assert.That(InitMessage.IsWellFormed2(dialect, server.Init2.Span), Is.True);
    }

    [TestCaseSource(nameof(Combinations))]
    [Spec("TD-65")]
    public void A_peer_on_another_provider_gets_the_same_session(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, TcpcryptCipher cipher, int rsaBits)
    {
        RsaKeyPair? rsaKey = keyExchange == TcpcryptKeyExchange.OaepRsa ? rsaBits == 2048 ? _rsa2048 : _rsa4096 : null;
        byte[] pkConf = PkConf(dialect, keyExchange);
        CryptoProvider other = Providers.Get(Providers.All.First(another => another != name));
        using ClientHandshake client = new(_provider, dialect, pkConf, keyExchange, [cipher], new SeededKeys(_provider, 1), rsaKey);
        ServerHandshake.TryAccept(other, pkConf, client.Init1.Span, [cipher], out ServerHandshake? server);
        server!.Respond(new SeededKeys(other, 2), 0, out TcpcryptSession? atS);
        client.Complete(server.Init2.Span, 0, out TcpcryptSession? atC);
        Assert.That(atC!.SessionId.ToArray(), Is.EqualTo(atS!.SessionId.ToArray()));

        using SegmentProtection protectionAtC = new(atC, 1, 2);
        using SegmentProtection protectionAtS = new(atS, 2, 1);
        byte[] plain = Protection.TestSegment.Build("MAC0101", 500);
        byte[] segment = [.. plain];
        protectionAtC.Seal(segment, 22, 1, 1, 0);
        Assert.That(protectionAtS.TryOpen(segment, 22, 1, 1, 0), Is.True);
        Assert.That(segment[40..], Is.EqualTo(plain[40..]));
    }

    [TestCase(TcpcryptDialect.Draft, new[] { Hmac, Cmac }, new[] { Cmac, Hmac }, Cmac, TestName = "Draft: S's preference")]
    [TestCase(TcpcryptDialect.Draft, new[] { Cmac, Hmac }, new[] { Hmac }, Hmac, TestName = "Draft: the only one of S")]
    [TestCase(TcpcryptDialect.Draft, new[] { (TcpcryptCipher)0x200, Cmac }, new[] { (TcpcryptCipher)0x200, Cmac }, Cmac, TestName = "Draft: unknown ones are passed over")]
    [TestCase(TcpcryptDialect.Reference, new[] { (TcpcryptCipher)0x12345678, Cmac, Hmac }, new[] { Cmac, Hmac }, Hmac, TestName = "Reference: the first of C's that the dialect has")]
    [Spec("TD-68")]
    [Spec("REF-4.4")]
    public void The_cipher_is_chosen_by_the_dialects_rule(TcpcryptDialect dialect, TcpcryptCipher[] offered, TcpcryptCipher[] preference, TcpcryptCipher expected)
    {
        byte[] init1 = Offer(dialect, offered);
        Assert.That(ServerHandshake.TryAccept(_provider, PkConf(dialect, TcpcryptKeyExchange.EcdheP256), init1, preference, out ServerHandshake? server), Is.EqualTo(HandshakeError.None));
        server!.Respond(new SeededKeys(_provider, 2), 0, out TcpcryptSession? session);
        Assert.That(session!.Agreement.Cipher, Is.EqualTo(expected));
    }

    [TestCase(TcpcryptDialect.Draft, new[] { Cmac }, HandshakeError.NoCommonAlgorithm)]
    [TestCase(TcpcryptDialect.Draft, new[] { (TcpcryptCipher)0x200 }, HandshakeError.NoCommonAlgorithm)]
    [TestCase(TcpcryptDialect.Draft, new TcpcryptCipher[0], HandshakeError.NoCommonAlgorithm)]
    [TestCase(TcpcryptDialect.Reference, new[] { (TcpcryptCipher)0x200 }, HandshakeError.Malformed)]
    [TestCase(TcpcryptDialect.Reference, new TcpcryptCipher[0], HandshakeError.Malformed)]
    [Spec("TD-45")]
    [Spec("TD-48")]
    [Spec("REF-3.6")]
    public void Without_a_common_cipher_Draft_goes_plain_and_Reference_aborts(TcpcryptDialect dialect, TcpcryptCipher[] offered, HandshakeError expected)
    {
        HandshakeError error = ServerHandshake.TryAccept(_provider, PkConf(dialect, TcpcryptKeyExchange.EcdheP256), Offer(dialect, offered), [Hmac], out ServerHandshake? server);
        Assert.That(error, Is.EqualTo(expected));
        Assert.That(server, Is.Null);
    }

    [Test]
    [Spec("TD-136")]
    public void C_does_not_offer_what_the_dialect_does_not_have() =>
        Assert.That(() => new ClientHandshake(_provider, TcpcryptDialect.Reference, [0, 2, 0], TcpcryptKeyExchange.EcdheP256, [Hmac, Cmac], new SeededKeys(_provider, 1), null), Throws.ArgumentException);

    [TestCase(TcpcryptDialect.Draft)]
    [TestCase(TcpcryptDialect.Reference)]
    [Spec("TD-71")]
    [Spec("TD-117")]
    public void No_bit_of_init1_can_be_changed_without_notice(TcpcryptDialect dialect)
    {
        byte[] pkConf = PkConf(dialect, TcpcryptKeyExchange.EcdheP256);
        int accepted = 0;
        using ClientHandshake model = new(_provider, dialect, pkConf, TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
        for (int bit = 0; bit < 8 * model.Init1.Length; bit++)
        {
            byte[] init1 = model.Init1.ToArray();
            init1[bit / 8] ^= (byte)(1 << (bit % 8));
            if (ServerHandshake.TryAccept(_provider, pkConf, init1, [Hmac], out ServerHandshake? server) != HandshakeError.None || server!.Respond(new SeededKeys(_provider, 2), 0, out TcpcryptSession? atS) != HandshakeError.None)
            {
                continue;
            }

            accepted++;
            using ClientHandshake client = new(_provider, dialect, pkConf, TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
            Assert.That(client.Complete(server.Init2.Span, 0, out TcpcryptSession? atC), Is.EqualTo(HandshakeError.None));
            Assert.That(atC!.SessionId.Span.SequenceEqual(atS!.SessionId.Span), Is.False, $"bit {bit}");
        }

        // The nonce at least can be changed into another good one.
        Assert.That(accepted, Is.GreaterThanOrEqualTo(256));
    }

    [TestCase(TcpcryptDialect.Draft)]
    [TestCase(TcpcryptDialect.Reference)]
    [Spec("TD-50")]
    [Spec("TD-71")]
    [Spec("TD-117")]
    public void No_bit_of_init2_can_be_changed_without_notice(TcpcryptDialect dialect)
    {
        byte[] pkConf = PkConf(dialect, TcpcryptKeyExchange.EcdheP256);
        using ClientHandshake model = new(_provider, dialect, pkConf, TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
        ServerHandshake.TryAccept(_provider, pkConf, model.Init1.Span, [Hmac], out ServerHandshake? server);
        server!.Respond(new SeededKeys(_provider, 2), 0, out TcpcryptSession? atS);
        int accepted = 0;
        for (int bit = 0; bit < 8 * server.Init2.Length; bit++)
        {
            byte[] init2 = server.Init2.ToArray();
            init2[bit / 8] ^= (byte)(1 << (bit % 8));
            using ClientHandshake client = new(_provider, dialect, pkConf, TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
            HandshakeError error = client.Complete(init2, 0, out TcpcryptSession? atC);
            Assert.That(error, Is.EqualTo(atC is null ? HandshakeError.Malformed : HandshakeError.None));
            accepted += atC is null ? 0 : 1;
            Assert.That(atC is not null && atC.SessionId.Span.SequenceEqual(atS!.SessionId.Span), Is.False, $"bit {bit}");
        }

        Assert.That(accepted, Is.EqualTo(256), "the bits of N_S and no others: no other point is on the curve");
    }

    [TestCase("000200", TestName = "the marker stripped")]
    [TestCase("00020000020100f004", TestName = "an entry more")]
    [TestCase("00020000f00400f004", TestName = "the marker twice")]
    [Spec("TD-71")]
    [Spec("TD-137")]
    public void A_changed_list_makes_another_session(string received)
    {
        byte[] sent = PkConf(TcpcryptDialect.Draft, TcpcryptKeyExchange.EcdheP256);
        using ClientHandshake client = new(_provider, TcpcryptDialect.Draft, Convert.FromHexString(received), TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
        ServerHandshake.TryAccept(_provider, sent, client.Init1.Span, [Hmac], out ServerHandshake? server);
        server!.Respond(new SeededKeys(_provider, 2), 0, out TcpcryptSession? atS);
        client.Complete(server.Init2.Span, 0, out TcpcryptSession? atC);
        Assert.That(atC!.SessionId.ToArray(), Is.Not.EqualTo(atS!.SessionId.ToArray()));
    }

    [TestCase(TcpcryptKeyExchange.EcdheP256)]
    [TestCase(TcpcryptKeyExchange.EcdheP521)]
    [Spec("TD-50")]
    [Spec("TD-122")]
    [Spec("HI_ENC_05")]
    public void A_point_that_is_not_on_the_curve_is_malformed(TcpcryptKeyExchange keyExchange)
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            byte[] pkConf = PkConf(dialect, keyExchange);
            using ClientHandshake client = new(_provider, dialect, pkConf, keyExchange, [Hmac], new SeededKeys(_provider, 1), null);
            byte[] init1 = client.Init1.ToArray();
            init1[^1] ^= 1;
            Assert.That(ServerHandshake.TryAccept(_provider, pkConf, init1, [Hmac], out ServerHandshake? server), Is.EqualTo(HandshakeError.None));
            Assert.That(server!.Respond(new SeededKeys(_provider, 2), 0, out TcpcryptSession? session), Is.EqualTo(HandshakeError.Malformed));
            Assert.That(session, Is.Null);
            Assert.That(server.Init2.Length, Is.Zero);

            ServerHandshake.TryAccept(_provider, pkConf, client.Init1.Span, [Hmac], out server);
            server!.Respond(new SeededKeys(_provider, 2), 0, out _);
            byte[] init2 = server.Init2.ToArray();
            init2[^1] ^= 1;
            Assert.That(client.Complete(init2, 0, out session), Is.EqualTo(HandshakeError.Malformed));
            Assert.That(session, Is.Null);
        }
    }

    [Test]
    [Spec("TD-50")]
    [Spec("TD-122")]
    public void A_ciphertext_that_does_not_decrypt_to_48_octets_is_malformed_like_any_other()
    {
        byte[] pkConf = PkConf(TcpcryptDialect.Draft, TcpcryptKeyExchange.OaepRsa);
        byte[] wrongLength = new byte[256];
        byte[] wrongHash = new byte[256];
        Assert.That(_provider.TryRsaEncrypt(_rsa2048.Modulus, OaepHash.Sha256, new byte[47], new byte[32], wrongLength), Is.True);
        Assert.That(_provider.TryRsaEncrypt(_rsa2048.Modulus, OaepHash.Sha1, new byte[48], new byte[20], wrongHash), Is.True);
        foreach (byte[] material in (byte[][])[wrongLength, wrongHash, new byte[256], [.. Enumerable.Repeat((byte)0xff, 256)]])
        {
            using ClientHandshake client = new(_provider, TcpcryptDialect.Draft, pkConf, TcpcryptKeyExchange.OaepRsa, [Hmac], new SeededKeys(_provider, 1), _rsa2048);
            Assert.That(client.Complete(Init.Message2(TcpcryptDialect.Draft, Hmac, material), 0, out TcpcryptSession? session), Is.EqualTo(HandshakeError.Malformed));
            Assert.That(session, Is.Null);
        }
    }

    [Test]
    [Spec("TD-67")]
    public void A_handshake_completes_once()
    {
        byte[] pkConf = PkConf(TcpcryptDialect.Draft, TcpcryptKeyExchange.EcdheP256);
        using ClientHandshake client = new(_provider, TcpcryptDialect.Draft, pkConf, TcpcryptKeyExchange.EcdheP256, [Hmac], new SeededKeys(_provider, 1), null);
        ServerHandshake.TryAccept(_provider, pkConf, client.Init1.Span, [Hmac], out ServerHandshake? server);
        server!.Respond(new SeededKeys(_provider, 2), 0, out _);
        Assert.That(client.Complete(server.Init2.Span, 0, out _), Is.EqualTo(HandshakeError.None));
        Assert.That(client.Complete(server.Init2.Span, 0, out TcpcryptSession? again), Is.EqualTo(HandshakeError.Malformed), "the private key is gone");
        Assert.That(again, Is.Null);
    }

    private static byte[] PkConf(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange)
    {
        byte[] list = new byte[PkConfList.MaxLength];
        return list[..PkConfList.Write([keyExchange], dialect == TcpcryptDialect.Draft, list)];
    }

    /// <summary>INIT1 with a real key and any ciphers.</summary>
    private byte[] Offer(TcpcryptDialect dialect, TcpcryptCipher[] ciphers)
    {
        using EcKeyPair pair = new SeededKeys(_provider, 3).TakePair(TcpcryptKeyExchange.EcdheP256);
        byte[] init1 = Init.Message1(dialect, TcpcryptKeyExchange.EcdheP256, 65, [.. ciphers.Select(static cipher => (uint)cipher)]);
        pair.PublicKey.CopyTo(init1.AsSpan(init1.Length - 65));
        return init1;
    }

    private RsaKeyPair Import(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        return _provider.ImportRsaKeyPair(vector.Secret("c_rsa_n"), vector.Secret("c_rsa_d"), vector.Secret("c_rsa_p"), vector.Secret("c_rsa_q"));
    }
}
