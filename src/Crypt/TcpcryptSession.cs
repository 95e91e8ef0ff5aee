using System.Security.Cryptography;
using Tcpcrypt.Crypt;

namespace Tcpcrypt;

/// <summary>
/// The secret ss[i] of a session and what was agreed with it: enough to protect one connection and to derive the next one's secret.
/// An <see cref="ITcpcryptSessionStore"/> keeps them between connections. Disposing of it wipes the secret; the rest stays readable.
/// </summary>
public sealed partial class TcpcryptSession : IDisposable
{
    internal const int IdentifierLength = 9;

    /// <summary>How many indices of a chain a listener recognises beyond the expected one: SYNs get lost and overtake each other ([TD-103]).</summary>
    internal const int LookAhead = 2;

    private readonly CryptoProvider _provider;
    private byte[] _secret = GC.AllocateUninitializedArray<byte>(KeySchedule.SecretLength, pinned: true);
    private readonly byte[] _sessionId = new byte[KeySchedule.SecretLength];
    private readonly SessionChain _chain;
    private volatile bool _isDisposed;

    /// <summary>ss[0]: a chain begins.</summary>
    internal TcpcryptSession(CryptoProvider provider, ReadOnlySpan<byte> secret, SessionAgreement agreement)
        : this(provider, secret, agreement, null, 0)
    {
    }

    /// <summary>ss[index] of a chain.</summary>
    internal TcpcryptSession(CryptoProvider provider, ReadOnlySpan<byte> secret, SessionAgreement agreement, SessionChain? chain, long index)
    {
        _provider = provider;
        secret.CopyTo(_secret);
        Agreement = agreement;
        Index = index;
        KeySchedule.Expand(provider, secret, KeySchedule.SessionId, _sessionId);
        _chain = chain ?? new SessionChain(_sessionId);
    }

    internal CryptoProvider Provider => _provider;

    internal SessionAgreement Agreement { get; }

    /// <summary>ss[i].</summary>
    internal ReadOnlySpan<byte> Secret
    {
        get
        {
            // The keys of a wiped secret are known to everybody.
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _secret;
        }
    }

    /// <summary>What NEXTK1 carries: the first 9 octets of the session ID.</summary>
    internal ReadOnlySpan<byte> Identifier => _sessionId.AsSpan(0, IdentifierLength);

    /// <summary>The chain was flushed or missed: nothing of it may be used again.</summary>
    internal bool IsChainDropped => _chain.IsDropped;

    /// <summary>What it shares with the others of its chain.</summary>
    internal SessionChain SharedChain => _chain;

    /// <summary>SID[i], 32 octets, equal at both ends; not secret.</summary>
    public ReadOnlyMemory<byte> SessionId => _sessionId;

    /// <summary>SID[0], 32 octets: what all sessions have in common that were derived from one key exchange. Not secret.</summary>
    public ReadOnlyMemory<byte> Chain => _chain.Id;

    /// <summary>i: how many connections of the chain came before.</summary>
    public long Index { get; }

    /// <summary>This host's role in the first connection of the chain.</summary>
    public TcpcryptRole Role => Agreement.Role;

    /// <summary>What the connection that uses it will speak ([TD-135]).</summary>
    public TcpcryptDialect Dialect => Agreement.Dialect;

    /// <summary>A connection to the peer may offer it. Draft: always ([TD-102]); Reference: when the connection before was opened here as well.</summary>
    public bool CanOpen => Agreement.CanOpen;

    /// <summary>A listener may recognise it. Draft: always; Reference: when the connection before was accepted here as well.</summary>
    public bool CanListen => Agreement.CanListen;

    /// <summary>Whether one of the roles is this session's; None stands for either ([TD-13]).</summary>
    internal bool HasRole(TcpcryptRole roles) => roles == TcpcryptRole.None || roles == Role;

    /// <summary>
    /// The identifiers of nine octets by which a listener recognises the session in a NEXTK1: its own and, in Draft, those of the two that follow. Empty when a listener may not.
    /// </summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> GetIdentifiers()
    {
        if (!CanListen)
        {
            return [];
        }

        List<ReadOnlyMemory<byte>> identifiers = [_sessionId.AsMemory(0, IdentifierLength)];
        TcpcryptSession last = this;
        for (int ahead = 0; ahead < LookAheadHere; ahead++)
        {
            TcpcryptSession next = last.Next();
            DisposeUnlessThis(last);
            identifiers.Add(next._sessionId.AsMemory(0, IdentifierLength));
            last = next;
        }

        DisposeUnlessThis(last);
        return identifiers;
    }

    /// <summary>The session that an identifier of <see cref="GetIdentifiers"/> means: this one or, in Draft, one of the two that follow.</summary>
    /// <returns>A session of its own, to be disposed of by the caller; null when the identifier is none of them.</returns>
    public TcpcryptSession? Find(ReadOnlySpan<byte> identifier)
    {
        if (!CanListen)
        {
            return null;
        }

        TcpcryptSession candidate = new(_provider, Secret, Agreement, _chain, Index);
        for (int ahead = 0; !CryptographicOperations.FixedTimeEquals(candidate.Identifier, identifier); ahead++)
        {
            TcpcryptSession? next = ahead < LookAheadHere ? candidate.Next() : null;
            candidate.Dispose();
            if (next is null)
            {
                return null;
            }

            candidate = next;
        }

        return candidate;
    }

    /// <summary>ss[i+1], with the same agreement ([TD-106]).</summary>
    public TcpcryptSession Next() => Next(Agreement);

    /// <summary>ss[i+1] as a connection leaves it: Reference resumes in the same direction only, and with the application bits of the connection before (reference spec 5, 8).</summary>
    internal TcpcryptSession Next(bool openedHere, byte applicationBits = 0) =>
        Next(Agreement with { OpenedHere = openedHere, ApplicationBits = Dialect == TcpcryptDialect.Reference ? applicationBits : (byte)0 });

    /// <summary>The same session, with a secret of its own to be wiped.</summary>
    internal TcpcryptSession Copy() => new(_provider, Secret, Agreement, _chain, Index);

    internal void DropChain() => _chain.IsDropped = true;

    /// <summary>Nobody gets this index, or one below, from this process again: two connections under one ss[i] would share a key stream.</summary>
    internal void MarkTaken() => _chain.MarkTaken(Index);

    /// <summary>The index was not given out yet.</summary>
    internal bool IsUnused => Index >= _chain.NextUnused;

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        CryptographicOperations.ZeroMemory(_secret);
        _secret = [];       // what was wiped need not be kept
    }

    private int LookAheadHere => Dialect == TcpcryptDialect.Draft ? LookAhead : 0;

    private TcpcryptSession Next(SessionAgreement agreement)
    {
        Span<byte> next = stackalloc byte[KeySchedule.SecretLength];
        KeySchedule.Expand(_provider, Secret, KeySchedule.NextKey, next);
        TcpcryptSession session = new(_provider, next, agreement, _chain, Index + 1);
        CryptographicOperations.ZeroMemory(next);
        return session;
    }

    private void DisposeUnlessThis(TcpcryptSession session)
    {
        if (session != this)
        {
            session.Dispose();
        }
    }
}

/// <summary>What the sessions of a chain share in this process.</summary>
internal sealed class SessionChain(byte[] id)
{
    public byte[] Id { get; } = id;

    private long _nextUnused;

    public volatile bool IsDropped;

    public long NextUnused => Volatile.Read(ref _nextUnused);

    public void MarkTaken(long index)
    {
        long seen = NextUnused;
        while (index >= seen)
        {
            long before = Interlocked.CompareExchange(ref _nextUnused, index + 1, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
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

    /// <summary>This host opened the connection before. Matters to dialect Reference only (reference spec 8).</summary>
    public bool OpenedHere { get; init; }

    /// <inheritdoc cref="TcpcryptSession.CanOpen"/>
    public bool CanOpen => Dialect == TcpcryptDialect.Draft || OpenedHere;

    /// <inheritdoc cref="TcpcryptSession.CanListen"/>
    public bool CanListen => Dialect == TcpcryptDialect.Draft || !OpenedHere;
}
