using System.Buffers.Binary;
using System.Runtime.InteropServices;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>Our handshake with the recorded private keys and nonces says what was recorded, as C against the recorded S and as S against the recorded C.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class VectorHandshakeTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Full))]
    [Spec("TD-62")]
    [Spec("TD-65")]
    [Spec("TD-71")]
    [Spec("REF-4.1")]
    [Spec("REF-4.3")]
    public void As_C_it_sends_the_recorded_init1_and_understands_the_recorded_init2(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        byte[] pkConf = vector.Secret("pub_cipher_list");
        HandshakeError error = PkConfList.Choose(pkConf, [TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa, TcpcryptKeyExchange.EcdheP256], TcpcryptDialect.Reference, out TcpcryptKeyExchange keyExchange, out TcpcryptDialect dialect);
        Assert.That(error, Is.EqualTo(HandshakeError.None));
        Assert.That(keyExchange, Is.EqualTo(vector.PublicKeyCipher));
        Assert.That(dialect, Is.EqualTo(vector.Dialect));

        bool isRsa = keyExchange == TcpcryptKeyExchange.OaepRsa;
        using RsaKeyPair? rsaKey = isRsa ? _provider.ImportRsaKeyPair(vector.Secret("c_rsa_n"), vector.Secret("c_rsa_d"), vector.Secret("c_rsa_p"), vector.Secret("c_rsa_q")) : null;
        RecordedKeys keys = new(_provider, isRsa ? null : vector.Secret("c_priv"), vector.Secret("n_c"));
        using ClientHandshake handshake = new(_provider, dialect, pkConf, keyExchange, OfferedCiphers(vector), keys, rsaKey);
        TakeStaleOctets(vector, handshake);
        Assert.That(handshake.Init1.ToArray(), Is.EqualTo(vector.Secret("init1")));
        Assert.That(handshake.LocalPublicKey.ToArray(), Is.EqualTo(PublicKeyOfC(vector)));

        Assert.That(handshake.Complete(vector.Secret("init2"), vector.OwnApplicationBits, out TcpcryptSession? session), Is.EqualTo(HandshakeError.None));
        AssertSession(vector, session!, TcpcryptRole.C);
        Assert.That(handshake.RemotePublicKey?.ToArray(), Is.EqualTo(isRsa ? null : PublicKeyOfS(vector)));
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Full))]
    [Spec("TD-62")]
    [Spec("TD-65")]
    [Spec("TD-68")]
    [Spec("TD-134")]
    [Spec("REF-4.2")]
    [Spec("REF-4.4")]
    public void As_S_it_understands_the_recorded_init1_and_sends_the_recorded_init2(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        TcpcryptCipher other = vector.Cipher == TcpcryptCipher.Aes128Cmac ? TcpcryptCipher.Aes128HmacSha256 : TcpcryptCipher.Aes128Cmac;
        HandshakeError error = ServerHandshake.TryAccept(_provider, vector.Secret("pub_cipher_list"), vector.Secret("init1"), [vector.Cipher, other], out ServerHandshake? handshake);
        Assert.That(error, Is.EqualTo(HandshakeError.None));
        Assert.That(handshake!.Dialect, Is.EqualTo(vector.Dialect));
        Assert.That(handshake.KeyExchange, Is.EqualTo(vector.PublicKeyCipher));
        Assert.That(handshake.RemotePublicKey.ToArray(), Is.EqualTo(PublicKeyOfC(vector)));

        bool isRsa = vector.PublicKeyCipher == TcpcryptKeyExchange.OaepRsa;
        int hash = vector.Dialect == TcpcryptDialect.Draft ? 32 : 20;
        RecordedKeys keys = isRsa ? new(_provider, null, vector.Secret("pms"), new byte[hash]) : new(_provider, vector.Secret("s_priv"), vector.Secret("n_s"));
        Assert.That(handshake.Respond(keys, vector.OwnApplicationBits, out TcpcryptSession? session), Is.EqualTo(HandshakeError.None));
        if (!isRsa)
        {
            Assert.That(handshake.Init2.ToArray(), Is.EqualTo(vector.Secret("init2")));
            Assert.That(handshake.LocalPublicKey?.ToArray(), Is.EqualTo(PublicKeyOfS(vector)));
            AssertSession(vector, session!, TcpcryptRole.S);
            return;
        }

        // The seed of the recorded ciphertext is not known: ours is another ciphertext of the same R_S, which C's key opens.
        byte[] expected = vector.Secret("init2");
        Assert.That(handshake.Init2.Length, Is.EqualTo(expected.Length));
        Assert.That(handshake.Init2[..12].ToArray(), Is.EqualTo(expected[..12]));
        Assert.That(handshake.LocalPublicKey, Is.Null);
        using RsaKeyPair rsaKey = _provider.ImportRsaKeyPair(vector.Secret("c_rsa_n"), vector.Secret("c_rsa_d"), vector.Secret("c_rsa_p"), vector.Secret("c_rsa_q"));
        using ClientHandshake client = new(_provider, vector.Dialect, vector.Secret("pub_cipher_list"), vector.PublicKeyCipher, OfferedCiphers(vector), new RecordedKeys(_provider, null, vector.Secret("n_c")), rsaKey);
        TakeStaleOctets(vector, client);
        Assert.That(client.Complete(handshake.Init2.Span, vector.OwnApplicationBits, out TcpcryptSession? clientSession), Is.EqualTo(HandshakeError.None));
        Assert.That(clientSession!.Secret.ToArray(), Is.EqualTo(session!.Secret.ToArray()));
    }

    [Test]
    [Spec("TD-45")]
    [Spec("TD-48")]
    public void A_recorded_init1_without_a_common_cipher_is_declined()
    {
        VectorConnection vector = VectorConnection.Load("draft/decline");
        byte[] init1 = vector.Packets[2].Data;
        byte[] pkConf = vector.Packets[1].Suboptions.Single().Content;
        Assert.That(InitMessage.IsWellFormed1(init1, pkConf), Is.True);
        Assert.That(ServerHandshake.TryAccept(_provider, pkConf, init1, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? handshake), Is.EqualTo(HandshakeError.NoCommonAlgorithm));
        Assert.That(handshake, Is.Null);
    }

    /// <summary>Where the format says zero the daemon sends what its buffer held. We send zeros; here the recorded octets are put in, since ss[0] covers them.</summary>
    private static void TakeStaleOctets(VectorConnection vector, ClientHandshake handshake)
    {
        if (vector.Dialect == TcpcryptDialect.Reference)
        {
            Span<byte> init1 = MemoryMarshal.AsMemory(handshake.Init1).Span;
            foreach (int reserved in (ReadOnlySpan<int>)[8, 12, 13])
            {
                Assert.That(init1[reserved], Is.Zero);
                init1[reserved] = vector.Secret("init1")[reserved];
            }
        }
    }

    private static TcpcryptCipher[] OfferedCiphers(VectorConnection vector)
    {
        Assert.That(WireDialect.Of(vector.Dialect).TryRead1(vector.Secret("init1"), out Init1 init1), Is.True);
        return [.. init1.Ciphers.ToArray().Chunk(4).Select(static entry => (TcpcryptCipher)BinaryPrimitives.ReadUInt32BigEndian(entry))];
    }

    private static byte[] PublicKeyOfC(VectorConnection vector) => vector.Secret(vector.Dialect == TcpcryptDialect.Draft ? "pk_c" : vector.PublicKeyCipher == TcpcryptKeyExchange.OaepRsa ? "c_rsa_n" : "c_pub");

    private static byte[] PublicKeyOfS(VectorConnection vector) => vector.Secret(vector.Dialect == TcpcryptDialect.Draft ? "pk_s" : "s_pub");

    private static void AssertSession(VectorConnection vector, TcpcryptSession session, TcpcryptRole role)
    {
        Assert.That(session.Secret.ToArray(), Is.EqualTo(vector.Derived!.Value.Hex("ss")));
        Assert.That(session.Agreement, Is.EqualTo(new SessionAgreement
        {
            Dialect = vector.Dialect,
            Role = role,
            KeyExchange = vector.PublicKeyCipher,
            Cipher = vector.Cipher,
            PublicKeySize = vector.PublicKeyCipher switch { TcpcryptKeyExchange.EcdheP256 => 256, TcpcryptKeyExchange.EcdheP521 => 521, _ => 8 * vector.Secret("c_rsa_n").Length },
            ApplicationBits = vector.ApplicationBits,
        }));
    }
}
