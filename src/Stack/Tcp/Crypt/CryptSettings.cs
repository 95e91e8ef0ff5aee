using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>tcpcrypt's settings of one connection or listener; shared and never changed.</summary>
internal sealed record CryptSettings
{
    public TcpcryptPolicy Policy { get; init; } = TcpcryptPolicy.Opportunistic;

    public TcpcryptAwareness Awareness { get; init; }

    public TcpcryptCMode CMode { get; init; }

    public TcpcryptKeyExchange[] KeyExchanges { get; init; } = [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa];

    public TcpcryptCipher[] OfferedCiphers { get; init; } = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];

    public TcpcryptCipher[] CipherPreference { get; init; } = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];

    public TcpcryptDialect UnknownPeerDialect { get; init; } = TcpcryptDialect.Reference;

    public UnauthenticatedReset UnauthenticatedReset { get; init; } = UnauthenticatedReset.Verify;

    public bool AbortOnLostHandshake { get; init; } = true;

    public bool EarlyData { get; init; } = true;

    public bool AllowResumption { get; init; } = true;

    public bool PrepareRsaKey { get; init; }

    public int RsaKeySize { get; init; } = 4096;

    public long RekeyAfterBytes { get; init; } = 64L * 1024 * 1024 * 1024;

    public TimeSpan RekeyAfter { get; init; } = TimeSpan.FromHours(1);

    /// <summary>The two above, for all connections.</summary>
    public RekeyLimits RekeyLimits => field is { } known && known.AfterBytes == (ulong)RekeyAfterBytes && known.After == RekeyAfter
        ? known
        : field = new RekeyLimits { AfterBytes = (ulong)RekeyAfterBytes, After = RekeyAfter };

    public long? LegacyCipherByteLimit { get; init; }

    /// <summary>For tests: added to all offsets of dialect Draft at both ends, so that 2^32 is near.</summary>
    public ulong StartOffset { get; init; }

    /// <summary>PKCONF says which dialect we speak ([TD-132]).</summary>
    public bool SendsMarker { get; init; } = true;

    public bool IsRequired => Policy == TcpcryptPolicy.Required;

    public bool MayBeC => CMode is not (TcpcryptCMode.Never or TcpcryptCMode.NeverNoResumption);

    public bool MayBeS => CMode is not (TcpcryptCMode.Always or TcpcryptCMode.AlwaysNoResumption);

    /// <summary>The role that a resumed session must have had ([TD-13]); None for either.</summary>
    public TcpcryptRole ResumableRole => CMode switch
    {
        TcpcryptCMode.AlwaysNoResumption => TcpcryptRole.C,
        TcpcryptCMode.NeverNoResumption => TcpcryptRole.S,
        _ => TcpcryptRole.None,
    };

    /// <summary>Null where the policy is Disabled and nothing has to be answered.</summary>
    public static CryptSettings From(TcpcryptOptions options) => new()
    {
        Policy = options.Policy,
        Awareness = options.ApplicationAware,
        CMode = options.CMode,
        KeyExchanges = [.. options.KeyExchanges],
        OfferedCiphers = [.. options.OfferedCiphers],
        CipherPreference = [.. options.CipherPreference],
        UnknownPeerDialect = options.UnknownPeerDialect,
        UnauthenticatedReset = options.UnauthenticatedReset,
        AbortOnLostHandshake = options.AbortOnLostHandshake,
        EarlyData = options.EarlyData,
        AllowResumption = options.AllowResumption,
        PrepareRsaKey = options.PrepareRsaKey,
        RsaKeySize = options.RsaKeySize,
        RekeyAfterBytes = options.RekeyAfterBytes,
        RekeyAfter = options.RekeyAfter,
        LegacyCipherByteLimit = options.LegacyCipherByteLimit,
    };
}
