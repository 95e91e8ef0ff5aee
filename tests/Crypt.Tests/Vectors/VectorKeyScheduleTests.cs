using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>Every secret and key of the recorded connections, from the messages and private keys on.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class VectorKeyScheduleTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("TD-69")]
    [Spec("TD-70")]
    [Spec("REF-5")]
    public void Session_ids_master_keys_and_keys_of_every_generation_follow_from_ss(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        JsonElement derived = vector.Derived!.Value;
        using TcpcryptSession session = vector.Session(_provider, TcpcryptRole.C);
        Assert.That(session.SessionId.ToArray(), Is.EqualTo(derived.Hex("sid")));
        using (TcpcryptSession next = session.Next(openedHere: false, vector.OwnApplicationBits))
        {
            Assert.That(next.Secret.ToArray(), Is.EqualTo(derived.Hex("nk")));
        }

        using MasterKeyChain chain = new(_provider, WireDialect.Of(vector.Dialect), vector.ApplicationBits, session.Secret);
        for (int generation = 0; generation < vector.Generations; generation++)
        {
            JsonElement expected = vector.Generation(generation);
            byte[] masterKey = chain.Get(generation).ToArray();
            Assert.That(masterKey, Is.EqualTo(expected.Hex("mk")), $"mk[{generation}]");
            AssertKeys(masterKey, KeySchedule.KeyC, "c_", expected);
            AssertKeys(masterKey, KeySchedule.KeyS, "s_", expected);
        }
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("TD-101")]
    [Spec("TD-106")]
    [Spec("REF-8")]
    public void A_resumed_connection_has_the_next_secret_of_the_one_before(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        if (vector.ResumedFrom is not { } former)
        {
            Assert.That(vector.KeyExchange, Is.Not.Null);
            return;
        }

        using TcpcryptSession session = former.Session(_provider, TcpcryptRole.C).Next(openedHere: false, former.OwnApplicationBits);
        Assert.That(session.Secret.ToArray(), Is.EqualTo(vector.Derived!.Value.Hex("ss")));
        Assert.That(session.Agreement.ApplicationBits, Is.EqualTo(vector.ApplicationBits), "mk uses the bits of the connection before");
    }

    [TestCaseSource(typeof(VectorConnection), nameof(VectorConnection.Encrypted))]
    [Spec("REF-8")]
    public void What_both_ends_kept_for_the_next_connection_is_what_we_keep(string connection)
    {
        VectorConnection vector = VectorConnection.Load(connection);
        if (!vector.Derived!.Value.TryGetProperty("next", out JsonElement expected))
        {
            Assert.That(vector.Dialect == TcpcryptDialect.Draft || vector.Name == "reference/rst", Is.True, "only these have no such record");
            return;
        }

        using TcpcryptSession next = vector.Session(_provider, TcpcryptRole.S).Next(openedHere: false, vector.OwnApplicationBits);
        using MasterKeyChain chain = new(_provider, WireDialect.Reference, next.Agreement.ApplicationBits, next.Secret);
        Assert.That(next.SessionId.ToArray(), Is.EqualTo(expected.Hex("sid")));
        Assert.That(chain.Get(0).ToArray(), Is.EqualTo(expected.Hex("mk")));
        using TcpcryptSession afterNext = next.Next();
        Assert.That(afterNext.Secret.ToArray(), Is.EqualTo(expected.Hex("nk")));
    }

    [Test]
    [Spec("TD-71")]
    public void The_authors_daemon_agrees_with_the_key_schedule_of_the_text()
    {
        VectorConnection vector = VectorConnection.LoadWitness();
        JsonElement derived = vector.Derived!.Value;
        byte[] secret = FirstSecret(vector.KeyExchange!.Value);
        Assert.That(secret, Is.EqualTo(derived.Hex("ss")));
        using TcpcryptSession session = vector.Session(_provider, TcpcryptRole.S);
        Assert.That(session.SessionId.ToArray(), Is.EqualTo(derived.Hex("sid")));
        using MasterKeyChain chain = new(_provider, WireDialect.Draft, 0, secret);
        Assert.That(chain.Get(0).ToArray(), Is.EqualTo(derived.Hex("mk")));
        using TcpcryptSession next = session.Next();
        Assert.That(next.Secret.ToArray(), Is.EqualTo(derived.Hex("nk")));
        AssertKeys(chain.Get(0).ToArray(), KeySchedule.KeyC, "c_", derived);
        AssertKeys(chain.Get(0).ToArray(), KeySchedule.KeyS, "s_", derived);
    }

    [Test]
    [Spec("TD-69")]
    [Spec("TD-71")]
    public void The_first_secret_covers_lists_messages_and_premaster_secret()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "prk"))
        {
            Assert.That(FirstSecret(entry), Is.EqualTo(entry.Hex("prk")));
        }
    }

    [Test]
    [Spec("TD-69")]
    public void The_chain_of_master_keys_goes_on_by_itself()
    {
        using MasterKeyChain chain = new(_provider, WireDialect.Draft, 0, PrimitiveVectors.Get("draft", "rekey_chain_ss").GetString() is { } ss ? Convert.FromHexString(ss) : []);
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "rekey_chain"))
        {
            Assert.That(chain.Get(entry.GetProperty("generation").GetInt64()).ToArray(), Is.EqualTo(entry.Hex("mk")));
        }
    }

    private byte[] FirstSecret(JsonElement vector)
    {
        byte[] message1 = vector.Hex("init1");
        byte[] message2 = vector.Hex("init2");
        byte[] secret = new byte[KeySchedule.SecretLength];
        Assert.That(WireDialect.Draft.TryRead1(message1, out Init1 init1), Is.True);
        Assert.That(WireDialect.Draft.TryRead2(message2, out Init2 init2), Is.True);
        WireDialect.Draft.FirstSecret(_provider, vector.Hex("pub_cipher_list"), init1, init2, vector.Hex("pms"), secret);
        return secret;
    }

    private void AssertKeys(byte[] masterKey, byte tag, string prefix, JsonElement expected)
    {
        byte[] k = new byte[KeySchedule.SecretLength];
        KeySchedule.Expand(_provider, masterKey, tag, k);
        Assert.That(k, Is.EqualTo(expected.Hex(prefix + "prk")), prefix + "prk");
        foreach ((byte use, string name) in (ReadOnlySpan<(byte, string)>)[(KeySchedule.Encryption, "enc"), (KeySchedule.Authentication, "mac"), (KeySchedule.Acknowledgment, "ack")])
        {
            byte[] expectedKey = expected.Hex(prefix + name);
            byte[] key = new byte[expectedKey.Length];
            KeySchedule.Expand(_provider, k, use, key);
            Assert.That(key, Is.EqualTo(expectedKey), prefix + name);
        }
    }
}
