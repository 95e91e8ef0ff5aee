namespace Tcpcrypt;

/// <summary>What tcpcrypt has done for one connection.</summary>
public sealed record TcpcryptStatus
{
    internal static readonly TcpcryptStatus Disabled = new() { Outcome = TcpcryptOutcome.DisabledHere };

    /// <summary>True when everything on this connection is encrypted and authenticated. It never becomes false again.</summary>
    public bool IsEncrypted => Outcome == TcpcryptOutcome.Encrypted;

    /// <summary>How the handshake ended.</summary>
    public required TcpcryptOutcome Outcome { get; init; }

    /// <summary>The dialect spoken; <see cref="TcpcryptDialect.None"/> on a plain connection.</summary>
    public TcpcryptDialect Dialect { get; init; }

    /// <summary>This side's role.</summary>
    public TcpcryptRole Role { get; init; }

    /// <summary>
    /// The session ID, 32 octets, the same on both sides and different for every connection; empty on a plain one. It is not secret. Only after it has been authenticated
    /// is it certain that nobody sits in between.
    /// </summary>
    public ReadOnlyMemory<byte> SessionId { get; init; }

    /// <summary>The key exchange of the session.</summary>
    public TcpcryptKeyExchange KeyExchange { get; init; }

    /// <summary>The cipher in use.</summary>
    public TcpcryptCipher Cipher { get; init; }

    /// <summary>The size of C's public key, in bits; 0 on a plain connection.</summary>
    public int PublicKeySize { get; init; }

    /// <summary>PK_C, or PK_S with ECDHE; null where there is none and on resumed connections.</summary>
    public ReadOnlyMemory<byte>? LocalPublicKey { get; init; }

    /// <summary>The peer's PK_C, or PK_S with ECDHE; null where there is none and on resumed connections.</summary>
    public ReadOnlyMemory<byte>? RemotePublicKey { get; init; }

    /// <summary>The keys come from an earlier connection's session, without public-key cryptography.</summary>
    public bool IsResumed { get; init; }

    /// <summary>This side said that its application knows of tcpcrypt.</summary>
    public bool LocalApplicationAware { get; init; }

    /// <summary>The peer said that its application knows of tcpcrypt.</summary>
    public bool RemoteApplicationAware { get; init; }

    /// <summary>How often the sending keys of this side were replaced.</summary>
    public long RekeyCount { get; init; }
}
