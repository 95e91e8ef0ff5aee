using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// Everything that differs between the dialects (draft spec 16): the codec of INIT1 and INIT2, what goes into ss[0] and mk, the counter, what the tag covers, the hash in OAEP.
/// Has no state.
/// </summary>
internal abstract class WireDialect
{
    public static readonly WireDialect Draft = new DraftDialect();
    public static readonly WireDialect Reference = new ReferenceDialect();

    public static WireDialect Of(TcpcryptDialect dialect) => dialect switch
    {
        TcpcryptDialect.Draft => Draft,
        TcpcryptDialect.Reference => Reference,
        _ => throw new ArgumentOutOfRangeException(nameof(dialect)),
    };

    public abstract TcpcryptDialect Name { get; }

    public abstract OaepHash OaepHash { get; }

    public abstract CounterLayout CounterLayout { get; }

    /// <summary>There are generations of keys beyond 0.</summary>
    public abstract bool HasRekeying { get; }

    /// <summary>What S answers to a list of ciphers without one in common.</summary>
    public abstract HandshakeError NoCommonCipher { get; }

    public abstract bool Knows(TcpcryptCipher cipher);

    /// <summary>RSA moduli are multiples of so many octets.</summary>
    public abstract int ModulusStep { get; }

    /// <summary>S's choice; None without a common cipher.</summary>
    /// <param name="offered">sym-cipher-list.</param>
    /// <param name="preference">S's ciphers in S's order.</param>
    public abstract TcpcryptCipher Choose(ReadOnlySpan<byte> offered, ReadOnlySpan<TcpcryptCipher> preference);

    /// <summary>Length of INIT1 from its first eight octets; false when they are not this dialect's.</summary>
    public abstract bool TryReadLength1(ReadOnlySpan<byte> prefix, out uint length);

    /// <summary>Length of INIT2 from its first eight octets; false when they are not this dialect's.</summary>
    public abstract bool TryReadLength2(ReadOnlySpan<byte> prefix, out uint length);

    /// <summary>Takes a whole INIT1 apart; false unless all lengths agree. What the fields hold is not looked at.</summary>
    public abstract bool TryRead1(ReadOnlySpan<byte> message, out Init1 init1);

    /// <summary>Takes a whole INIT2 apart; false unless all lengths agree.</summary>
    public abstract bool TryRead2(ReadOnlySpan<byte> message, out Init2 init2);

    public abstract void Write1(Span<byte> message, TcpcryptKeyExchange keyExchange, ReadOnlySpan<TcpcryptCipher> ciphers, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> publicKey);

    public abstract void Write2(Span<byte> message, TcpcryptCipher cipher, ReadOnlySpan<byte> keyMaterial);

    /// <summary>ss[0].</summary>
    public abstract void FirstSecret(CryptoProvider provider, ReadOnlySpan<byte> pkConf, in Init1 init1, in Init2 init2, ReadOnlySpan<byte> premaster, Span<byte> secret);

    /// <summary>mk[j] from mk[j-1], or mk[0] from ss. The two may be the same memory.</summary>
    public abstract void NextMasterKey(CryptoProvider provider, byte applicationBits, ReadOnlySpan<byte> secret, Span<byte> masterKey);

    /// <summary>The numbers that protect a segment.</summary>
    /// <param name="header">The header of the segment.</param>
    /// <param name="sequence">64-bit offset of the sequence number.</param>
    /// <param name="acknowledgment">64-bit offset of the acknowledgment number.</param>
    /// <param name="senderIsn">The ISN of the segment's sender.</param>
    /// <param name="receiverIsn">The ISN of the segment's receiver.</param>
    public abstract SegmentNumbers Number(ReadOnlySpan<byte> header, ulong sequence, ulong acknowledgment, uint senderIsn, uint receiverIsn);

    /// <summary>The first half of the tag: over everything but the acknowledgment number. False when the options cannot be walked or have no MAC option at that place.</summary>
    /// <param name="key">The key of the segment's sender.</param>
    /// <param name="segment">Header and ciphertext.</param>
    /// <param name="headerLength">Length of the header, within the segment.</param>
    /// <param name="tagOffset">Where the tag is.</param>
    /// <param name="sequence">The number from <see cref="Number"/>.</param>
    /// <param name="tag">16 octets.</param>
    public abstract bool TryAuthenticate(MacKey key, ReadOnlySpan<byte> segment, int headerLength, int tagOffset, ulong sequence, Span<byte> tag);

    /// <summary>The block whose encryption is the second half of the tag.</summary>
    public abstract void WriteAcknowledgmentBlock(ulong acknowledgment, Span<byte> block);

    /// <summary>The session that INIT1, INIT2 and PMS make, with index 0.</summary>
    public TcpcryptSession CreateSession(CryptoProvider provider, ReadOnlySpan<byte> pkConf, in Init1 init1, in Init2 init2, ReadOnlySpan<byte> premaster, TcpcryptRole role, byte applicationBits)
    {
        Span<byte> secret = stackalloc byte[KeySchedule.SecretLength];
        FirstSecret(provider, pkConf, init1, init2, premaster, secret);
        TcpcryptSession session = new(provider, secret, new SessionAgreement
        {
            Dialect = Name,
            Role = role,
            KeyExchange = init1.KeyExchange,
            Cipher = init2.Cipher,
            PublicKeySize = Algorithms.PublicKeySize(init1.KeyExchange, init1.PublicKey.Length),
            ApplicationBits = Name == TcpcryptDialect.Reference ? applicationBits : (byte)0,
        });
        CryptographicOperations.ZeroMemory(secret);
        return session;
    }

    /// <summary>Kinds whose content a middlebox may change: timestamps, Skeeter, Bubba, MD5 ([TD-78]; reference spec 6.3). The MAC option is known by its place.</summary>
    protected static bool IsUnprotected(byte kind) => kind is 8 or 16 or 17 or 19;
}

/// <summary>The 64-bit numbers of a segment in its dialect.</summary>
/// <param name="KeyStream">Position of the first data octet.</param>
/// <param name="Sequence">Covered by the first half of the tag.</param>
/// <param name="Acknowledgment">Covered by the second half.</param>
internal readonly record struct SegmentNumbers(ulong KeyStream, ulong Sequence, ulong Acknowledgment);
