using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>The next session of a chain and, in Draft, the two behind it ([TD-103]): no more than their secrets and identifiers, since most of them are never asked for.</summary>
internal sealed class SessionWindow : IDisposable
{
    private const int Size = 1 + TcpcryptSession.LookAhead;

    private readonly CryptoProvider _provider;
    private readonly byte[] _secrets;
    private Identifiers _identifiers;

    /// <summary>Takes over the secret of the session, which is disposed of.</summary>
    public SessionWindow(TcpcryptSession session)
    {
        _provider = session.Provider;
        Agreement = session.Agreement;
        Chain = session.SharedChain;
        Index = session.Index;

        // Pinned, so that no copy is left behind by the garbage collector.
        _secrets = GC.AllocateUninitializedArray<byte>((Agreement.Dialect == TcpcryptDialect.Draft ? Size : 1) * KeySchedule.SecretLength, pinned: true);
        session.Secret.CopyTo(_secrets);
        _identifiers[0] = Key(session.Identifier);
        session.Dispose();
        for (int ahead = 1; ahead < Count; ahead++)
        {
            Derive(ahead);
        }
    }

    public SessionAgreement Agreement { get; }

    public SessionChain Chain { get; }

    /// <summary>Of the next session.</summary>
    public long Index { get; private set; }

    public int Count => _secrets.Length / KeySchedule.SecretLength;

    /// <summary>Of all sessions in the window, in order.</summary>
    public ReadOnlySpan<(ulong Head, byte Tail)> Keys => ((ReadOnlySpan<(ulong, byte)>)_identifiers)[..Count];

    /// <summary>An identifier as a key.</summary>
    public static (ulong Head, byte Tail) Key(ReadOnlySpan<byte> identifier) => (MemoryMarshal.Read<ulong>(identifier), identifier[8]);

    /// <summary>Whether one of the roles is this chain's; None stands for either ([TD-13]).</summary>
    public bool HasRole(TcpcryptRole roles) => roles == TcpcryptRole.None || roles == Agreement.Role;

    /// <summary>The next session, as an object of its own.</summary>
    public TcpcryptSession Create() => new(_provider, Secret(0), Agreement, Chain, Index);

    /// <summary>Wipes the next session: the one behind it is the next. Draft only.</summary>
    public void Advance()
    {
        _secrets.AsSpan(KeySchedule.SecretLength).CopyTo(_secrets);
        for (int ahead = 1; ahead < Count; ahead++)
        {
            _identifiers[ahead - 1] = _identifiers[ahead];
        }

        Index++;
        Derive(Count - 1);
    }

    public void Dispose() => CryptographicOperations.ZeroMemory(_secrets);

    private Span<byte> Secret(int ahead) => _secrets.AsSpan(ahead * KeySchedule.SecretLength, KeySchedule.SecretLength);

    /// <summary>A secret from the one before it, and its identifier.</summary>
    private void Derive(int ahead)
    {
        Span<byte> id = stackalloc byte[KeySchedule.SecretLength];
        KeySchedule.Expand(_provider, Secret(ahead - 1), KeySchedule.NextKey, Secret(ahead));
        KeySchedule.Expand(_provider, Secret(ahead), KeySchedule.SessionId, id);
        _identifiers[ahead] = Key(id);
    }

    [InlineArray(Size)]
    private struct Identifiers
    {
        private (ulong Head, byte Tail) _first;
    }
}
