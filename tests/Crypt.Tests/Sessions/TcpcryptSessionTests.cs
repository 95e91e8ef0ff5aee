using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Sessions;

internal sealed class TcpcryptSessionTests
{
    [Test]
    [Spec("TD-73")]
    public void A_disposed_session_gives_no_secret_and_no_successor_but_still_its_ID()
    {
        TcpcryptSession session = TestSessions.Create(1);
        byte[] id = session.SessionId.ToArray();
        session.Dispose();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => session.Next(), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => session.Export(), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(TestSessions.IsWiped(session));
            Assert.That(session.SessionId.ToArray(), Is.EqualTo(id));
            Assert.That(session.Chain.ToArray(), Is.EqualTo(id));
        }
    }

    [Test]
    [Spec("TD-106")]
    public void Successors_keep_agreement_and_chain_and_change_secret_and_ID()
    {
        TcpcryptSession first = TestSessions.Create(1, TcpcryptRole.S);
        TcpcryptSession second = first.Next();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(second.Agreement, Is.EqualTo(first.Agreement));
            Assert.That(second.Chain.ToArray(), Is.EqualTo(first.SessionId.ToArray()));
            Assert.That(second.SessionId.ToArray(), Is.Not.EqualTo(first.SessionId.ToArray()));
            Assert.That(second.Secret.ToArray(), Is.Not.EqualTo(first.Secret.ToArray()));
            Assert.That(second.Index, Is.EqualTo(1));
        }
    }

    [Test]
    [Spec("REF-8")]
    [Spec("REF-5")]
    public void Reference_sessions_go_in_one_direction_and_carry_the_application_bits_of_the_connection_before()
    {
        TcpcryptSession opened = TestSessions.Create(1, dialect: TcpcryptDialect.Reference).Next(openedHere: true, applicationBits: 3);
        TcpcryptSession accepted = TestSessions.Create(1, dialect: TcpcryptDialect.Reference).Next(openedHere: false, applicationBits: 1);
        TcpcryptSession draft = TestSessions.Create(1).Next(openedHere: false, applicationBits: 3);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((opened.CanOpen, opened.CanListen, opened.Agreement.ApplicationBits), Is.EqualTo((true, false, (byte)3)));
            Assert.That((accepted.CanOpen, accepted.CanListen, accepted.Agreement.ApplicationBits), Is.EqualTo((false, true, (byte)1)));
            Assert.That((draft.CanOpen, draft.CanListen, draft.Agreement.ApplicationBits), Is.EqualTo((true, true, (byte)0)));
            Assert.That(opened.GetIdentifiers(), Is.Empty);
            Assert.That(opened.Find(opened.Identifier), Is.Null);
            Assert.That(accepted.GetIdentifiers(), Has.Count.EqualTo(1));
        }
    }

    [Test]
    [Spec("TD-103")]
    public void A_listener_recognises_a_session_by_its_own_identifier_and_the_next_two()
    {
        TcpcryptSession session = TestSessions.At(7, 4);
        IReadOnlyList<ReadOnlyMemory<byte>> identifiers = session.GetIdentifiers();
        Assert.That(identifiers.Select(static identifier => Convert.ToHexString(identifier.Span)),
            Is.EqualTo(new[] { 4, 5, 6 }.Select(static index => Convert.ToHexString(TestSessions.Identifier(7, index)))));
        for (int index = 3; index <= 7; index++)
        {
            TcpcryptSession? found = session.Find(TestSessions.Identifier(7, index));
            Assert.That(found?.Index, Is.EqualTo(index is >= 4 and <= 6 ? index : null));
            found?.Dispose();
        }

        Assert.That(TestSessions.IsWiped(session), Is.False, "what is found is a session of its own");
    }

    [Test]
    [Spec("TD-103")]
    public void An_exported_session_is_the_same_session([Values(TcpcryptRole.C, TcpcryptRole.S)] TcpcryptRole role, [Values(TcpcryptDialect.Draft, TcpcryptDialect.Reference)] TcpcryptDialect dialect, [Values] bool openedHere)
    {
        TcpcryptSession session = TestSessions.At(9, 300, role, dialect).Next(openedHere, 2);
        byte[] octets = session.Export();
        TcpcryptSession copy = TcpcryptSession.Import(octets);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(octets, Has.Length.EqualTo(TcpcryptSession.ExportLength));
            Assert.That(copy.Agreement, Is.EqualTo(session.Agreement));
            Assert.That(copy.Index, Is.EqualTo(301));
            Assert.That(copy.Chain.ToArray(), Is.EqualTo(session.Chain.ToArray()));
            Assert.That(copy.SessionId.ToArray(), Is.EqualTo(session.SessionId.ToArray()));
            Assert.That(copy.Next().Secret.ToArray(), Is.EqualTo(session.Next().Secret.ToArray()));
            Assert.That(copy.Export(), Is.EqualTo(octets));
        }
    }

    [Test]
    public void The_export_has_the_documented_layout()
    {
        TcpcryptSession session = TestSessions.At(2, 1, TcpcryptRole.S);
        Assert.That(Convert.ToHexString(session.Export()), Is.EqualTo("0101020000000200" + "00000100" + "00000100" + "0000000000000001" +
            Convert.ToHexString(session.Chain.Span) + Convert.ToHexString(session.Secret)));
    }

    [TestCase(0, 2, Description = "version")]
    [TestCase(1, 0, Description = "dialect")]
    [TestCase(1, 3, Description = "dialect")]
    [TestCase(2, 0, Description = "role")]
    [TestCase(3, 2, Description = "flags")]
    [TestCase(4, 4, Description = "application bits")]
    [TestCase(7, 7, Description = "key exchange")]
    [TestCase(10, 2, Description = "cipher")]
    [TestCase(12, 0x80, Description = "negative size")]
    [TestCase(16, 0x80, Description = "negative index")]
    public void What_cannot_be_a_session_is_not_imported(int offset, byte value)
    {
        byte[] octets = TestSessions.Create(1).Export();
        octets[offset] = value;
        Assert.That(() => TcpcryptSession.Import(CryptoProvider.Portable, octets), Throws.InstanceOf<FormatException>());
    }

    [Test]
    public void Another_length_is_not_imported()
    {
        byte[] octets = TestSessions.Create(1).Export();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => TcpcryptSession.Import(CryptoProvider.Portable, octets.AsSpan(1)), Throws.InstanceOf<FormatException>());
            Assert.That(() => TcpcryptSession.Import(CryptoProvider.Portable, [.. octets, 0]), Throws.InstanceOf<FormatException>());
            Assert.That(() => TcpcryptSession.Import(CryptoProvider.Portable, []), Throws.InstanceOf<FormatException>());
        }
    }
}
