namespace Tcpcrypt.Crypt;

/// <summary>What re-keying says about a segment that is about to leave: its keys, its suboptions, and how far it may reach.</summary>
internal readonly record struct SegmentPlan
{
    /// <summary>The generation of the keys that protect it.</summary>
    public required long Generation { get; init; }

    /// <summary>The offset behind the last octet that it may have: segments never mix generations ([TD-93]). FIN counts as an octet.</summary>
    public required ulong End { get; init; }

    /// <summary>It carries REKEY with <see cref="KeyLsb"/>.</summary>
    public bool HasRekey { get; init; }

    /// <summary>The clock of the SYNC_REQ that it carries.</summary>
    public uint? SyncRequest { get; init; }

    /// <summary>The clock of the SYNC_OK that it carries.</summary>
    public uint? SyncOk { get; init; }

    /// <summary>It is the first of its generation: this host initiates ([TD-91]).</summary>
    public bool Starts { get; init; }

    public byte KeyLsb => unchecked((byte)Generation);

    /// <summary>Octets of suboptions.</summary>
    public int SuboptionsLength => (HasRekey ? SegmentRekeying.RekeyLength : 0) + (SyncRequest is null ? 0 : SegmentRekeying.SyncLength) + (SyncOk is null ? 0 : SegmentRekeying.SyncLength);
}
