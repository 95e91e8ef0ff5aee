namespace Tcpcrypt;

/// <summary>What tcpcrypt has done for one connection.</summary>
public sealed record TcpcryptStatus
{
    internal static readonly TcpcryptStatus Disabled = new() { Outcome = TcpcryptOutcome.DisabledHere };

    /// <summary>True when everything on this connection is encrypted and protected against change; it stays so to the end, unless nothing is ever heard that proves the same keys on the other side (<see cref="TcpcryptOutcome.KeysNotConfirmed"/>). Who the peer is, is another question: see <see cref="SessionId"/>.</summary>
    public bool IsEncrypted => Outcome == TcpcryptOutcome.Encrypted;

    /// <summary>How the handshake ended.</summary>
    public required TcpcryptOutcome Outcome { get; init; }

    /// <summary>The dialect spoken; <see cref="TcpcryptDialect.None"/> on a plain connection.</summary>
    public TcpcryptDialect Dialect { get; init; }

    /// <summary>This side's role: whether it owned the public key in the first connection of the session. Not necessarily who opened.</summary>
    public TcpcryptRole Role { get; init; }

    /// <summary>
    /// The session ID, 32 octets, the same on both sides and different for every connection; empty on a plain one. It is not secret. Only after it has been authenticated
    /// is it certain that nobody sits in between (<see cref="TcpcryptAuthentication"/>).
    /// </summary>
    public ReadOnlyMemory<byte> SessionId { get; init; }

    /// <summary>The key exchange of the session's first connection.</summary>
    public TcpcryptKeyExchange KeyExchange { get; init; }

    /// <summary>The cipher in use.</summary>
    public TcpcryptCipher Cipher { get; init; }

    /// <summary>The size of C's public key, in bits; 0 on a plain connection.</summary>
    public int PublicKeySize { get; init; }

    /// <summary>This side's short-lived public key: an RSA modulus, big-endian, or a point (04 X Y). Null on plain and resumed connections, and for S with RSA, which has none.</summary>
    public ReadOnlyMemory<byte>? LocalPublicKey { get; init; }

    /// <summary>The peer's short-lived public key, likewise.</summary>
    public ReadOnlyMemory<byte>? RemotePublicKey { get; init; }

    /// <summary>The keys come from an earlier connection's session, without public-key cryptography.</summary>
    public bool IsResumed { get; init; }

    /// <summary>This side says that its application knows of tcpcrypt (<see cref="TcpcryptOptions.ApplicationAware"/>).</summary>
    public bool LocalApplicationAware { get; init; }

    /// <summary>The peer said that its application knows of tcpcrypt. Someone on the path may have changed that unseen.</summary>
    public bool RemoteApplicationAware { get; init; }

    /// <summary>How often the sending keys of this side were replaced.</summary>
    public long RekeyCount { get; init; }
}
