using System.Net;

namespace Tcpcrypt;

/// <summary>tcpcrypt's settings of a stack (draft-bittau-tcp-crypt). The defaults encrypt every connection whose other side can do it. docs/tcpcrypt.md explains them.</summary>
/// <remarks>C is the side that owns the public key, by default the one that opens; S is the other (<see cref="TcpcryptRole"/>).</remarks>
public sealed class TcpcryptOptions
{
    /// <summary>Whether connections are encrypted, unless a listener, a connect or <see cref="PolicySelector"/> says otherwise.</summary>
    public TcpcryptPolicy Policy { get; set; } = TcpcryptPolicy.Opportunistic;

    /// <summary>Chooses the policy for a destination that is connected to; null, or an answer of null, leaves it at <see cref="Policy"/>. Asked when the connect itself names no policy, on the connecting thread.</summary>
    public Func<IPEndPoint, TcpcryptPolicy?>? PolicySelector { get; set; }

    /// <summary>The application-aware bit of listeners and connects that do not set their own.</summary>
    public TcpcryptAwareness ApplicationAware { get; set; }

    /// <summary>Which roles this side takes, where a listener or connect does not say otherwise.</summary>
    public TcpcryptCMode CMode { get; set; }

    /// <summary>The key exchanges supported, in the order in which S prefers them (PKCONF). C takes the first of its peer's that is in this list; see <see cref="PrepareRsaKey"/> for OAEP-RSA.</summary>
    public IList<TcpcryptKeyExchange> KeyExchanges { get; set; } = [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa];

    /// <summary>The ciphers that C offers, in its order.</summary>
    public IList<TcpcryptCipher> OfferedCiphers { get; set; } = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];

    /// <summary>The ciphers that S accepts, in the order in which it prefers them.</summary>
    public IList<TcpcryptCipher> CipherPreference { get; set; } = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];

    /// <summary>
    /// C makes its RSA key when the stack starts, so that OAEP-RSA can be chosen wherever the peer prefers it; while it is in use, the next one is made before <see cref="KeyLifetime"/> is over. Otherwise C takes OAEP-RSA only
    /// when nothing else is in common, and makes a key then, which takes about a second.
    /// </summary>
    public bool PrepareRsaKey { get; set; }

    /// <summary>The size of C's RSA key, in bits: 2048 to 4096, a multiple of 512. In dialect Reference always 4096.</summary>
    public int RsaKeySize { get; set; } = 4096;

    /// <summary>How long C uses one RSA key: at most two minutes ([TD-67]). Pairs for ECDHE are used once.</summary>
    public TimeSpan KeyLifetime { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>The dialect that C speaks to a peer whose PKCONF has no dialect marker: <see cref="TcpcryptDialect.Reference"/>, since tcpcryptd is the only other implementation known.</summary>
    public TcpcryptDialect UnknownPeerDialect { get; set; } = TcpcryptDialect.Reference;

    /// <summary>What a RST without a valid MAC does to an encrypted connection.</summary>
    public UnauthenticatedReset UnauthenticatedReset { get; set; } = UnauthenticatedReset.Verify;

    /// <summary>
    /// Abort when INIT1 is acknowledged without an answer ([TD-49]). False goes on in plain as the draft says, at the risk that the peer's application has been handed INIT1.
    /// Under <see cref="TcpcryptPolicy.Required"/>, and in dialect Reference, the connection is always aborted.
    /// </summary>
    public bool AbortOnLostHandshake { get; set; } = true;

    /// <summary>S sends protected data right behind INIT2 (dialect Draft; [TD-82]). In dialect Reference it always waits.</summary>
    public bool EarlyData { get; set; } = true;

    /// <summary>Resume sessions of earlier connections, and keep sessions for later ones.</summary>
    public bool AllowResumption { get; set; } = true;

    /// <summary>How long a session may wait for its next connection.</summary>
    public TimeSpan SessionLifetime { get; set; } = TimeSpan.FromMinutes(30);

    /// <summary>Chains of sessions kept in memory at most, each good for one connection after the other: 1 to 1,000,000. The oldest goes first.</summary>
    public int SessionCacheSize { get; set; } = 4096;

    /// <summary>Where sessions are kept, such as a store that several servers share; null = in this stack's own memory (<see cref="TcpcryptSessionCache"/>).</summary>
    public ITcpcryptSessionStore? SessionStore { get; set; }

    /// <summary>New keys after so many octets in one direction (dialect Draft): at least 1 MiB.</summary>
    public long RekeyAfterBytes { get; set; } = 64L * 1024 * 1024 * 1024;

    /// <summary>New keys after so long (dialect Draft): at least one minute.</summary>
    public TimeSpan RekeyAfter { get; set; } = TimeSpan.FromHours(1);

    /// <summary>
    /// Octets in one direction after which a connection in dialect Reference is closed; null = never. Its only cipher repeats key stream after 16 MiB, which is logged as a warning once.
    /// What was written up to the limit is sent, and FIN behind it; the write that goes beyond it fails with <see cref="TcpcryptException"/>. Where it is the peer who goes beyond it, what it has sent up to there can be read, then reads fail
    /// likewise, and a peer that does not close either is reset.
    /// </summary>
    public long? LegacyCipherByteLimit { get; set; }

    /// <summary>Handshakes whose public-key work may wait for a worker: 1 to 100,000. When so many wait, SYNs with CRYPT are dropped; what is opened here is not refused.</summary>
    public int HandshakeQueueSize { get; set; } = 1024;

    /// <summary>Handshakes worked on at the same time; null = one per processor.</summary>
    public int? HandshakeWorkers { get; set; }

    /// <summary>Pairs for ECDHE P-256 that are made ahead of time while nothing else is to be done: 0 to 10,000.</summary>
    public int PreparedKeys { get; set; } = 64;

    /// <summary>The TCP option kind of CRYPT: the same on both sides. 69 is what tcpcryptd uses.</summary>
    public byte CryptOptionKind { get; set; } = 69;

    /// <summary>The TCP option kind of MAC: the same on both sides. 70 is what tcpcryptd uses.</summary>
    public byte MacOptionKind { get; set; } = 70;

    /// <summary>A file that the secrets of every encrypted connection are appended to, so that captures can be decrypted (docs/key-log.md); one file per stack. Whoever reads it reads the connections: null, the default, writes none.</summary>
    public string? KeyLogPath { get; set; }

    internal TcpcryptOptions Copy()
    {
        TcpcryptOptions copy = (TcpcryptOptions)MemberwiseClone();
        copy.KeyExchanges = [.. KeyExchanges ?? []];
        copy.OfferedCiphers = [.. OfferedCiphers ?? []];
        copy.CipherPreference = [.. CipherPreference ?? []];
        copy.Validate();
        return copy;
    }

    private void Validate()
    {
        Check(nameof(Policy), Policy, Enum.IsDefined(Policy), "is a TcpcryptPolicy");
        Check(nameof(ApplicationAware), ApplicationAware, Enum.IsDefined(ApplicationAware), "is a TcpcryptAwareness");
        Check(nameof(CMode), CMode, Enum.IsDefined(CMode), "is a TcpcryptCMode");
        Check(nameof(KeyExchanges), KeyExchanges.Count, IsList(KeyExchanges) && !KeyExchanges.Contains(TcpcryptKeyExchange.None), "names at least one key exchange, and each once");
        Check(nameof(OfferedCiphers), OfferedCiphers.Count, IsList(OfferedCiphers) && !OfferedCiphers.Contains(TcpcryptCipher.None), "names at least one cipher, and each once");
        Check(nameof(CipherPreference), CipherPreference.Count, IsList(CipherPreference) && !CipherPreference.Contains(TcpcryptCipher.None), "names at least one cipher, and each once");
        Check(nameof(RsaKeySize), RsaKeySize, RsaKeySize is >= 2048 and <= 4096 && RsaKeySize % 512 == 0, "is 2048 to 4096 and a multiple of 512");
        Check(nameof(KeyLifetime), KeyLifetime, KeyLifetime > TimeSpan.Zero && KeyLifetime <= TimeSpan.FromMinutes(2), "is positive and at most two minutes");
        Check(nameof(UnknownPeerDialect), UnknownPeerDialect, UnknownPeerDialect is TcpcryptDialect.Draft or TcpcryptDialect.Reference, "is Draft or Reference");
        Check(nameof(UnauthenticatedReset), UnauthenticatedReset, Enum.IsDefined(UnauthenticatedReset), "is Accept, Verify or Ignore");
        Check(nameof(SessionLifetime), SessionLifetime, SessionLifetime > TimeSpan.Zero, "is positive");
        Check(nameof(SessionCacheSize), SessionCacheSize, SessionCacheSize is >= 1 and <= 1_000_000, "is 1 to 1,000,000");
        Check(nameof(RekeyAfterBytes), RekeyAfterBytes, RekeyAfterBytes >= 1024 * 1024, "is at least 1 MiB");
        Check(nameof(RekeyAfter), RekeyAfter, RekeyAfter >= TimeSpan.FromMinutes(1), "is at least one minute");
        Check(nameof(LegacyCipherByteLimit), LegacyCipherByteLimit ?? 0, LegacyCipherByteLimit is null or > 0, "is positive");
        Check(nameof(HandshakeQueueSize), HandshakeQueueSize, HandshakeQueueSize is >= 1 and <= 100_000, "is 1 to 100,000");
        Check(nameof(HandshakeWorkers), HandshakeWorkers ?? 0, HandshakeWorkers is null or (>= 1 and <= 1024), "is 1 to 1024");
        Check(nameof(PreparedKeys), PreparedKeys, PreparedKeys is >= 0 and <= 10_000, "is 0 to 10,000");
        bool areKindsGood = CryptOptionKind > 8 && MacOptionKind > 8 && CryptOptionKind != MacOptionKind && CryptOptionKind is not (16 or 17 or 19) && MacOptionKind is not (16 or 17 or 19);
        Check(nameof(CryptOptionKind), CryptOptionKind, areKindsGood, "and MacOptionKind are two different option kinds that nothing else uses");
    }

    private static bool IsList<T>(IList<T> list)
        where T : struct, Enum => list.Count > 0 && list.All(Enum.IsDefined) && list.Distinct().Count() == list.Count;

    private static void Check(string property, object value, bool isGood, string rule)
    {
        if (!isGood)
        {
            throw new ArgumentException($"TcpcryptOptions.{property} {rule}; it is {value}.", property);
        }
    }
}
