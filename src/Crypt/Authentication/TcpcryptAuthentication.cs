using System.Security.Cryptography;

namespace Tcpcrypt;

/// <summary>
/// Who is at the other end: a pre-shared key or a signature over the session ID. tcpcrypt by itself keeps listeners out but not a man in the middle, who would run two handshakes and have two session IDs ([TD-117]).
/// Whoever proves a secret over the session ID of this connection is the one who holds its keys.
/// </summary>
/// <remarks>
/// Both sides send their own proof as the first data and check the other's before they act on anything else; no one needs to wait for the other. When a check fails: flush the session and abort the connection.
/// The proof names the sender's role, so that one sent back proves nothing, and a context, so that a proof for one protocol is none for another. docs/authentication.md has the octets and the recipe.
/// </remarks>
public static class TcpcryptAuthentication
{
    /// <summary>The length of a proof by a pre-shared key.</summary>
    public const int ProofLength = 32;

    /// <summary>The length of a signature.</summary>
    public const int SignatureLength = 64;

    /// <summary>The shortest pre-shared key that is taken. What counts is its entropy: 128 bits. A password is not enough, since who sits in the middle once can try passwords against the proof at leisure.</summary>
    public const int PreSharedKeyLengthMin = 16;

    private const int SessionIdLength = 32;

    private static ReadOnlySpan<byte> ProofLabel => "tcpcrypt-auth-v1 psk\0"u8;

    private static ReadOnlySpan<byte> SignatureLabel => "tcpcrypt-auth-v1 sig\0"u8;

    /// <summary>The proof that this side knows the pre-shared key.</summary>
    /// <param name="preSharedKey">At least 16 octets, drawn at random.</param>
    /// <param name="localRole">This side's role, from the connection's status.</param>
    /// <param name="sessionId">The session ID, from the connection's status: 32 octets.</param>
    /// <param name="context">What the proof is for, such as the name of the protocol; the same on both sides.</param>
    /// <returns><see cref="ProofLength"/> octets to send.</returns>
    /// <exception cref="ArgumentException">The connection is not encrypted (no role, no session ID), or the key is too short.</exception>
    public static byte[] CreateProof(ReadOnlySpan<byte> preSharedKey, TcpcryptRole localRole, ReadOnlySpan<byte> sessionId, ReadOnlySpan<byte> context = default)
    {
        Check(localRole, sessionId);
        CheckKey(preSharedKey);
        return HMACSHA256.HashData(preSharedKey, Statement(ProofLabel, localRole, sessionId, context));
    }

    /// <summary>Whether what the other side sent proves that it knows the pre-shared key. Takes the same time wherever a proof is wrong.</summary>
    /// <param name="preSharedKey">The key.</param>
    /// <param name="localRole">This side's role: the proof must be the other role's.</param>
    /// <param name="sessionId">The session ID of this side.</param>
    /// <param name="proof">What was received; may be anything.</param>
    /// <param name="context">What the proof is for.</param>
    /// <exception cref="ArgumentException">The connection is not encrypted (no role, no session ID), or the key is too short.</exception>
    public static bool VerifyProof(ReadOnlySpan<byte> preSharedKey, TcpcryptRole localRole, ReadOnlySpan<byte> sessionId, ReadOnlySpan<byte> proof, ReadOnlySpan<byte> context = default)
    {
        Check(localRole, sessionId);
        CheckKey(preSharedKey);
        Span<byte> expected = stackalloc byte[ProofLength];
        HMACSHA256.HashData(preSharedKey, Statement(ProofLabel, Other(localRole), sessionId, context), expected);
        bool isRight = CryptographicOperations.FixedTimeEquals(expected, proof);
        CryptographicOperations.ZeroMemory(expected);
        return isRight;
    }

    /// <summary>This side's signature: ECDSA over P-256 with SHA-256.</summary>
    /// <param name="key">The private key, on P-256.</param>
    /// <param name="localRole">This side's role, from the connection's status.</param>
    /// <param name="sessionId">The session ID, from the connection's status: 32 octets.</param>
    /// <param name="context">What the signature is for, such as the name of the protocol; the same on both sides.</param>
    /// <returns><see cref="SignatureLength"/> octets to send: r and s, 32 octets each, big-endian.</returns>
    /// <exception cref="ArgumentException">The connection is not encrypted (no role, no session ID), or the key is not on P-256.</exception>
    public static byte[] Sign(ECDsa key, TcpcryptRole localRole, ReadOnlySpan<byte> sessionId, ReadOnlySpan<byte> context = default)
    {
        Check(localRole, sessionId);
        CheckKey(key);
        return key.SignData(Statement(SignatureLabel, localRole, sessionId, context), HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    /// <summary>Whether what the other side sent is its signature.</summary>
    /// <param name="peerKey">The public key that is known to be the other side's.</param>
    /// <param name="localRole">This side's role: the signature must be the other role's.</param>
    /// <param name="sessionId">The session ID of this side.</param>
    /// <param name="signature">What was received; may be anything.</param>
    /// <param name="context">What the signature is for.</param>
    /// <exception cref="ArgumentException">The connection is not encrypted (no role, no session ID), or the key is not on P-256.</exception>
    public static bool VerifySignature(ECDsa peerKey, TcpcryptRole localRole, ReadOnlySpan<byte> sessionId, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> context = default)
    {
        Check(localRole, sessionId);
        CheckKey(peerKey);
        return signature.Length == SignatureLength &&
            peerKey.VerifyData(Statement(SignatureLabel, Other(localRole), sessionId, context), signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    /// <summary>Label, role, session ID, context. All but the last have a fixed length: no two statements are the same octets.</summary>
    private static byte[] Statement(ReadOnlySpan<byte> label, TcpcryptRole role, ReadOnlySpan<byte> sessionId, ReadOnlySpan<byte> context) =>
        [.. label, role == TcpcryptRole.C ? (byte)'C' : (byte)'S', .. sessionId, .. context];

    private static TcpcryptRole Other(TcpcryptRole role) => role == TcpcryptRole.C ? TcpcryptRole.S : TcpcryptRole.C;

    private static void Check(TcpcryptRole localRole, ReadOnlySpan<byte> sessionId)
    {
        if (localRole is not (TcpcryptRole.C or TcpcryptRole.S))
        {
            throw new ArgumentException("The role is C or S: a connection that is not encrypted cannot be authenticated.", nameof(localRole));
        }

        if (sessionId.Length != SessionIdLength)
        {
            throw new ArgumentException($"A session ID has {SessionIdLength} octets: a connection that is not encrypted has none and cannot be authenticated.", nameof(sessionId));
        }
    }

    private static void CheckKey(ReadOnlySpan<byte> preSharedKey)
    {
        if (preSharedKey.Length < PreSharedKeyLengthMin)
        {
            throw new ArgumentException($"A pre-shared key has at least {PreSharedKeyLengthMin} octets, drawn at random.", nameof(preSharedKey));
        }
    }

    private static void CheckKey(ECDsa key)
    {
        ArgumentNullException.ThrowIfNull(key);
        ECCurve curve = key.ExportParameters(includePrivateParameters: false).Curve;
        if (!curve.IsNamed || curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
        {
            throw new ArgumentException("The key is to be on P-256 (nistP256).", nameof(key));
        }
    }
}
