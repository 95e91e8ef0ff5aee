namespace Tcpcrypt.Crypt;

/// <summary>When keys are renewed, and how often they may be.</summary>
internal sealed record RekeyLimits
{
    /// <summary>Octets in one direction after which a generation is renewed ([TD-100]).</summary>
    public ulong AfterBytes { get; init; } = 64UL << 30;

    /// <summary>Age after which the next data renews a generation ([TD-100]).</summary>
    public TimeSpan After { get; init; } = TimeSpan.FromHours(1);

    /// <summary>This host initiates again after this time ... ([TD-92])</summary>
    public TimeSpan LeastInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>... or after this many octets sent ([TD-92]).</summary>
    public ulong LeastBytes { get; init; } = 1 << 20;
}
