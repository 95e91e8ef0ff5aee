namespace Tcpcrypt.Crypt;

/// <summary>What can go wrong with INIT1, INIT2 or the list in PKCONF.</summary>
internal enum HandshakeError
{
    None,

    /// <summary>Wrong magic, lengths, point, modulus or padding: one reason for all, the connection is aborted ([TD-50], [TD-122]).</summary>
    Malformed,

    /// <summary>Nothing in common: the connection goes on in plain ([TD-45], [TD-48]).</summary>
    NoCommonAlgorithm,
}

/// <summary>Entropy and ephemeral keys for a handshake. Called from the thread that does the public-key work.</summary>
internal interface IHandshakeKeys
{
    /// <summary>Random octets for nonces, OAEP seeds and R_S.</summary>
    void Fill(Span<byte> destination);

    /// <summary>A fresh pair; the caller owns it.</summary>
    EcKeyPair TakePair(TcpcryptKeyExchange keyExchange);
}

/// <summary>The list in PKCONF ([TD-56], [TD-132]).</summary>
internal static class PkConfList
{
    public const int EntryLength = 3;

    /// <summary>The most that is ever sent: three key exchanges and the marker.</summary>
    public const int MaxLength = 4 * EntryLength;

    /// <summary>Writes the key exchanges in order, and the dialect marker 00f004 last; returns the length.</summary>
    public static int Write(ReadOnlySpan<TcpcryptKeyExchange> keyExchanges, bool withMarker, Span<byte> destination) => throw new NotImplementedException();

    /// <summary>C's choice: the first entry that C supports ([TD-56]), and the dialect ([TD-133]).</summary>
    public static HandshakeError Choose(ReadOnlySpan<byte> list, ReadOnlySpan<TcpcryptKeyExchange> supported, TcpcryptDialect unknownPeer, out TcpcryptKeyExchange keyExchange, out TcpcryptDialect dialect) =>
        throw new NotImplementedException();
}

/// <summary>INIT1 and INIT2 as messages in the byte stream ([TD-62..64]; reference spec 4).</summary>
internal static class InitMessage
{
    /// <summary>The longest message that is gathered ([TD-64]).</summary>
    public const int MaxLength = 1024;

    /// <summary>Octets that must be there before <see cref="TryReadLength1"/> and <see cref="TryReadLength2"/> can tell.</summary>
    public const int PrefixLength = 8;

    /// <summary>Reads dialect and total length from the first octets of INIT1 ([TD-134]); false when it is neither dialect's or too long.</summary>
    public static bool TryReadLength1(ReadOnlySpan<byte> message, out TcpcryptDialect dialect, out int length) => throw new NotImplementedException();

    /// <summary>Reads the total length of INIT2 in a dialect; false when it is malformed or too long.</summary>
    public static bool TryReadLength2(TcpcryptDialect dialect, ReadOnlySpan<byte> message, out int length) => throw new NotImplementedException();

    /// <summary>How long INIT1 will be: what does not fit the MSS is not offered ([TD-64]).</summary>
    public static int Length1(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, int publicKeyLength, int ciphers) => throw new NotImplementedException();

    /// <summary>How long INIT2 will be.</summary>
    public static int Length2(TcpcryptKeyExchange keyExchange, int publicKeyLength) => throw new NotImplementedException();

    /// <summary>The length of PK_C in octets, for the two curves.</summary>
    public static int PublicKeyLength(TcpcryptKeyExchange keyExchange) => throw new NotImplementedException();

    /// <summary>True when the octets are a well-formed INIT1 of a key exchange in the list, or a well-formed INIT2 ([TD-49]).</summary>
    public static bool IsWellFormed1(ReadOnlySpan<byte> message, ReadOnlySpan<byte> pkConf) => throw new NotImplementedException();

    public static bool IsWellFormed2(TcpcryptDialect dialect, ReadOnlySpan<byte> message) => throw new NotImplementedException();
}

/// <summary>C's side of a key exchange: INIT1 at once, the keys when INIT2 is here. Disposing of it wipes what is left of it.</summary>
internal sealed class ClientHandshake : IDisposable
{
    /// <param name="provider">The primitives.</param>
    /// <param name="dialect">What INIT1 speaks.</param>
    /// <param name="pkConf">The list as S sent it, marker and unknown entries included ([TD-71]).</param>
    /// <param name="keyExchange">C's choice out of it.</param>
    /// <param name="ciphers">sym-cipher-list, in C's order. Dialect Reference: 00000100 only.</param>
    /// <param name="keys">Nonce and, for the curves, the pair.</param>
    /// <param name="rsaKey">For OAEP-RSA; stays the caller's.</param>
    public ClientHandshake(CryptoProvider provider, TcpcryptDialect dialect, ReadOnlySpan<byte> pkConf, TcpcryptKeyExchange keyExchange, ReadOnlySpan<TcpcryptCipher> ciphers, IHandshakeKeys keys, RsaKeyPair? rsaKey) =>
        throw new NotImplementedException();

    /// <summary>The whole message.</summary>
    public ReadOnlyMemory<byte> Init1 => throw new NotImplementedException();

    /// <summary>PK_C.</summary>
    public ReadOnlyMemory<byte> LocalPublicKey => throw new NotImplementedException();

    /// <summary>PK_S with the curves; null with RSA. Valid after <see cref="Complete"/>.</summary>
    public ReadOnlyMemory<byte>? RemotePublicKey => throw new NotImplementedException();

    /// <summary>The public-key work of C: session with index 0 and role C.</summary>
    /// <param name="init2">The whole message.</param>
    /// <param name="applicationBits">Bit 0 C's, bit 1 S's (reference spec 5); ignored in dialect Draft.</param>
    /// <param name="session">The session; null on error.</param>
    public HandshakeError Complete(ReadOnlySpan<byte> init2, byte applicationBits, out TcpcryptSession? session) => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}

/// <summary>S's side of a key exchange: <see cref="TryAccept"/> is cheap and finds what is malformed, <see cref="Respond"/> is the public-key work.</summary>
internal sealed class ServerHandshake : IDisposable
{
    /// <summary>Reads INIT1 and chooses the cipher by S's preference (Draft) or C's list (Reference).</summary>
    /// <param name="provider">The primitives.</param>
    /// <param name="pkConf">The list as we sent it.</param>
    /// <param name="init1">The whole message; copied.</param>
    /// <param name="preference">Our ciphers in our order.</param>
    /// <param name="handshake">The handshake to go on with; null on error.</param>
    public static HandshakeError TryAccept(CryptoProvider provider, ReadOnlySpan<byte> pkConf, ReadOnlySpan<byte> init1, ReadOnlySpan<TcpcryptCipher> preference, out ServerHandshake? handshake) =>
        throw new NotImplementedException();

    public TcpcryptDialect Dialect => throw new NotImplementedException();

    public TcpcryptKeyExchange KeyExchange => throw new NotImplementedException();

    /// <summary>The whole INIT2. Valid after <see cref="Respond"/>.</summary>
    public ReadOnlyMemory<byte> Init2 => throw new NotImplementedException();

    /// <summary>PK_C.</summary>
    public ReadOnlyMemory<byte> RemotePublicKey => throw new NotImplementedException();

    /// <summary>PK_S with the curves; null with RSA.</summary>
    public ReadOnlyMemory<byte>? LocalPublicKey => throw new NotImplementedException();

    /// <summary>The public-key work of S: session with index 0 and role S.</summary>
    public HandshakeError Respond(IHandshakeKeys keys, byte applicationBits, out TcpcryptSession? session) => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
