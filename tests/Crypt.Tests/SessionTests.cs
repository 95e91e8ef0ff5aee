using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests;

/// <summary>The secret of a session and its successor.</summary>
internal sealed class SessionTests
{
    private static TcpcryptSession Create(byte applicationBits = 0) => new(CryptoProvider.Portable, [.. Enumerable.Range(1, 32).Select(static i => (byte)i)], new SessionAgreement
    {
        Dialect = TcpcryptDialect.Reference,
        Role = TcpcryptRole.S,
        KeyExchange = TcpcryptKeyExchange.EcdheP256,
        Cipher = TcpcryptCipher.Aes128HmacSha256,
        PublicKeySize = 256,
        ApplicationBits = applicationBits,
    });

    [Test]
    [Spec("TD-101")]
    public void Disposing_wipes_the_secret_and_leaves_the_session_id()
    {
        TcpcryptSession session = Create();
        byte[] id = session.SessionId.ToArray();
        ReadOnlySpan<byte> secret = session.Secret;
        session.Dispose();
        Assert.That(secret.IndexOfAnyExcept((byte)0), Is.EqualTo(-1));
        Assert.That(session.SessionId.ToArray(), Is.EqualTo(id));
        Assert.That(session.Identifier.ToArray(), Is.EqualTo(id[..9]));
    }

    [Test]
    [Spec("TD-106")]
    [Spec("REF-8")]
    public void The_next_session_keeps_the_agreement_but_for_the_application_bits()
    {
        using TcpcryptSession session = Create(3);
        using TcpcryptSession same = session.Next();
        using TcpcryptSession other = session.Next(1);
        Assert.That(same.Agreement, Is.EqualTo(session.Agreement));
        Assert.That(other.Agreement, Is.EqualTo(session.Agreement with { ApplicationBits = 1 }));
        Assert.That(other.Secret.ToArray(), Is.EqualTo(same.Secret.ToArray()));
        Assert.That(same.Secret.ToArray(), Is.Not.EqualTo(session.Secret.ToArray()));
    }
}
