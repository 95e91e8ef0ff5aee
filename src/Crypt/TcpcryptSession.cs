using System.Security.Cryptography;
using Tcpcrypt.Crypt;

namespace Tcpcrypt;

/// <summary>
/// The secret ss[i] of a session and what was agreed with it: enough to protect one connection and to derive the next one's secret.
/// An <see cref="ITcpcryptSessionStore"/> keeps them between connections. Disposing of it wipes the secret.
/// </summary>
public sealed class TcpcryptSession : IDisposable
{
    internal const int IdentifierLength = 9;

    private readonly CryptoProvider _provider;
    private readonly byte[] _secret = GC.AllocateUninitializedArray<byte>(KeySchedule.SecretLength, pinned: true);
    private readonly byte[] _sessionId = new byte[KeySchedule.SecretLength];

    internal TcpcryptSession(CryptoProvider provider, ReadOnlySpan<byte> secret, SessionAgreement agreement)
    {
        _provider = provider;
        secret.CopyTo(_secret);
        Agreement = agreement;
        KeySchedule.Expand(provider, secret, KeySchedule.SessionId, _sessionId);
    }

    internal CryptoProvider Provider => _provider;

    internal SessionAgreement Agreement { get; }

    /// <summary>ss[i].</summary>
    internal ReadOnlySpan<byte> Secret => _secret;

    /// <summary>What NEXTK1 carries: the first 9 octets of the session ID.</summary>
    internal ReadOnlySpan<byte> Identifier => _sessionId.AsSpan(0, IdentifierLength);

    /// <summary>SID[i], 32 octets, equal at both ends; not secret.</summary>
    public ReadOnlyMemory<byte> SessionId => _sessionId;

    /// <summary>ss[i+1], with the same agreement ([TD-106]).</summary>
    internal TcpcryptSession Next() => Next(Agreement.ApplicationBits);

    /// <summary>ss[i+1] with the application bits of the connection that ran under ss[i]: in dialect Reference they enter the next connection's keys, not its own (reference spec 5).</summary>
    internal TcpcryptSession Next(byte applicationBits)
    {
        Span<byte> next = stackalloc byte[KeySchedule.SecretLength];
        KeySchedule.Expand(_provider, _secret, KeySchedule.NextKey, next);
        TcpcryptSession session = new(_provider, next, applicationBits == Agreement.ApplicationBits ? Agreement : Agreement with { ApplicationBits = applicationBits });
        CryptographicOperations.ZeroMemory(next);
        return session;
    }

    /// <inheritdoc/>
    public void Dispose() => CryptographicOperations.ZeroMemory(_secret);
}

/// <summary>What holds for every connection of a session.</summary>
internal sealed record SessionAgreement
{
    public required TcpcryptDialect Dialect { get; init; }

    /// <summary>This host's role in the first connection: it decides the direction of the keys for ever ([TD-106]).</summary>
    public required TcpcryptRole Role { get; init; }

    public required TcpcryptKeyExchange KeyExchange { get; init; }

    public required TcpcryptCipher Cipher { get; init; }

    /// <summary>Of C's public key, in bits.</summary>
    public required int PublicKeySize { get; init; }

    /// <summary>Reference spec 5: bit 0 C's application bit, bit 1 S's; of the first connection its own, of a resumed one those of the connection before it. 0 in dialect Draft.</summary>
    public byte ApplicationBits { get; init; }
}
