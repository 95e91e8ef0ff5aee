using System.Security.Cryptography;
using System.Text;
using NUnit.Framework;

namespace Tcpcrypt.Tests.Authentication;

[Spec("TD-117")]
internal sealed class TcpcryptAuthenticationTests
{
    private static readonly byte[] s_key = [.. Enumerable.Range(0, 32).Select(static octet => (byte)octet)];
    private static readonly byte[] s_sessionId = [.. Enumerable.Range(32, 32).Select(static octet => (byte)octet)];
    private static readonly byte[] s_context = "chat 1"u8.ToArray();

    // Computed from the documented octets by another program.
    [TestCase(TcpcryptRole.C, "", "581e22253a0d968d25d1fb0790ff9b6f9412f3e1090bbcf4989b46b9a12cf1fb")]
    [TestCase(TcpcryptRole.C, "chat 1", "f94c7e9a1c20d900be5d0660ca34e7a324850c09837ac71834adc78080119f6b")]
    [TestCase(TcpcryptRole.S, "", "c0a742dd5d3089db5ef245bf376dbe37326e56bb6aef9557b66871fde48fcd59")]
    [TestCase(TcpcryptRole.S, "chat 1", "1d05b99956e6b59e3aac6064c63cc609c14ea56734b30d62533337ab021c7ba9")]
    public void A_proof_has_the_documented_octets(TcpcryptRole role, string context, string expected)
    {
        byte[] proof = TcpcryptAuthentication.CreateProof(s_key, role, s_sessionId, Encoding.ASCII.GetBytes(context));
        Assert.That(Convert.ToHexStringLower(proof), Is.EqualTo(expected));
    }

    [Test]
    public void Each_side_accepts_the_others_proof([Values(TcpcryptRole.C, TcpcryptRole.S)] TcpcryptRole role)
    {
        byte[] proof = TcpcryptAuthentication.CreateProof(s_key, Other(role), s_sessionId, s_context);
        Assert.That(TcpcryptAuthentication.VerifyProof(s_key, role, s_sessionId, proof, s_context));
    }

    [Test]
    public void Ones_own_proof_sent_back_proves_nothing([Values(TcpcryptRole.C, TcpcryptRole.S)] TcpcryptRole role)
    {
        byte[] proof = TcpcryptAuthentication.CreateProof(s_key, role, s_sessionId, s_context);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] signature = TcpcryptAuthentication.Sign(key, role, s_sessionId, s_context);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(TcpcryptAuthentication.VerifyProof(s_key, role, s_sessionId, proof, s_context), Is.False);
            Assert.That(TcpcryptAuthentication.VerifySignature(key, role, s_sessionId, signature, s_context), Is.False);
        }
    }

    [Test]
    public void Another_session_key_context_or_any_changed_octet_fails()
    {
        byte[] proof = TcpcryptAuthentication.CreateProof(s_key, TcpcryptRole.C, s_sessionId, s_context);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Verify(s_key, s_sessionId, proof, s_context));
            Assert.That(Verify(s_key, Changed(s_sessionId, 31), proof, s_context), Is.False, "the man in the middle");
            Assert.That(Verify(Changed(s_key, 0), s_sessionId, proof, s_context), Is.False);
            Assert.That(Verify(s_key, s_sessionId, proof, "chat 2"u8.ToArray()), Is.False);
            Assert.That(Verify(s_key, s_sessionId, proof, []), Is.False);
            Assert.That(Verify(s_key, s_sessionId, [], s_context), Is.False);
            Assert.That(Verify(s_key, s_sessionId, proof[..31], s_context), Is.False);
            Assert.That(Verify(s_key, s_sessionId, [.. proof, 0], s_context), Is.False);
            for (int at = 0; at < proof.Length; at++)
            {
                Assert.That(Verify(s_key, s_sessionId, Changed(proof, at), s_context), Is.False);
            }
        }

        static bool Verify(byte[] key, byte[] sessionId, byte[] proof, byte[] context) => TcpcryptAuthentication.VerifyProof(key, TcpcryptRole.S, sessionId, proof, context);
    }

    [Test]
    public void Each_side_accepts_the_others_signature([Values(TcpcryptRole.C, TcpcryptRole.S)] TcpcryptRole role)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using ECDsa known = ECDsa.Create(key.ExportParameters(includePrivateParameters: false));
        byte[] signature = TcpcryptAuthentication.Sign(key, role, s_sessionId, s_context);
        Assert.That(signature, Has.Length.EqualTo(TcpcryptAuthentication.SignatureLength));
        Assert.That(TcpcryptAuthentication.VerifySignature(known, Other(role), s_sessionId, signature, s_context));
    }

    [Test]
    public void A_signature_is_over_the_documented_octets()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] signature = key.SignData([.. "tcpcrypt-auth-v1 sig\0S"u8, .. s_sessionId, .. s_context], HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        Assert.That(TcpcryptAuthentication.VerifySignature(key, TcpcryptRole.C, s_sessionId, signature, s_context));
    }

    [Test]
    public void A_signature_for_another_session_key_context_or_of_any_other_octets_fails()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using ECDsa other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        byte[] signature = TcpcryptAuthentication.Sign(key, TcpcryptRole.C, s_sessionId, s_context);
        byte[] proofStatement = key.SignData([.. "tcpcrypt-auth-v1 psk\0C"u8, .. s_sessionId, .. s_context], HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Verify(key, s_sessionId, signature, s_context));
            Assert.That(Verify(key, Changed(s_sessionId, 0), signature, s_context), Is.False);
            Assert.That(Verify(other, s_sessionId, signature, s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, signature, []), Is.False);
            Assert.That(Verify(key, s_sessionId, proofStatement, s_context), Is.False, "another label");
            Assert.That(Verify(key, s_sessionId, Changed(signature, 5), s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, [], s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, signature[..63], s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, [.. signature, 0], s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, new byte[64], s_context), Is.False);
            Assert.That(Verify(key, s_sessionId, [.. Enumerable.Repeat((byte)0xFF, 64)], s_context), Is.False);
        }

        static bool Verify(ECDsa key, byte[] sessionId, byte[] signature, byte[] context) => TcpcryptAuthentication.VerifySignature(key, TcpcryptRole.S, sessionId, signature, context);
    }

    [Test]
    public void A_connection_that_is_not_encrypted_cannot_be_authenticated()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => TcpcryptAuthentication.CreateProof(s_key, TcpcryptRole.None, s_sessionId), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.CreateProof(s_key, TcpcryptRole.C, []), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.VerifyProof(s_key, TcpcryptRole.C, [], new byte[32]), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.VerifyProof(s_key, TcpcryptRole.None, s_sessionId, new byte[32]), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.Sign(key, TcpcryptRole.None, s_sessionId), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.Sign(key, TcpcryptRole.C, new byte[31]), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.VerifySignature(key, TcpcryptRole.None, s_sessionId, new byte[64]), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.VerifySignature(key, TcpcryptRole.C, [], new byte[64]), Throws.ArgumentException);
        }
    }

    [Test]
    public void Keys_that_are_too_weak_or_of_another_kind_are_refused()
    {
        using ECDsa p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => TcpcryptAuthentication.CreateProof(s_key.AsSpan(0, 15), TcpcryptRole.C, s_sessionId), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.CreateProof(s_key.AsSpan(0, 16), TcpcryptRole.C, s_sessionId), Throws.Nothing);
            Assert.That(() => TcpcryptAuthentication.VerifyProof([], TcpcryptRole.C, s_sessionId, new byte[32]), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.Sign(p384, TcpcryptRole.C, s_sessionId), Throws.ArgumentException);
            Assert.That(() => TcpcryptAuthentication.VerifySignature(p384, TcpcryptRole.C, s_sessionId, new byte[64]), Throws.ArgumentException);
        }
    }

    private static TcpcryptRole Other(TcpcryptRole role) => role == TcpcryptRole.C ? TcpcryptRole.S : TcpcryptRole.C;

    private static byte[] Changed(byte[] octets, int at)
    {
        byte[] changed = [.. octets];
        changed[at] ^= 1;
        return changed;
    }
}
