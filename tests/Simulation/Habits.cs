namespace Tcpcrypt.Simulation;

/// <summary>What an application does that one would rather not have of it; each is absent in most.</summary>
/// <param name="ReadsSingly">It reads one octet at a time.</param>
/// <param name="StallAt">After so many octets it reads nothing for <paramref name="Stall"/>: the window closes and stays closed.</param>
/// <param name="Stall">How long that is.</param>
/// <param name="NeverReads">It writes, and never reads.</param>
/// <param name="Leaves">How it goes before the end, if it does.</param>
/// <param name="LeavesAt">After so many octets, sent and received.</param>
/// <param name="LeavesAfter">And at the latest after so long.</param>
internal sealed record Habits(bool ReadsSingly, int StallAt, TimeSpan Stall, bool NeverReads, Leaving Leaves, int LeavesAt, TimeSpan LeavesAfter)
{
    /// <summary>An application as it should be.</summary>
    public static Habits Good { get; } = new(false, 0, TimeSpan.Zero, false, Leaving.AtTheEnd, 0, TimeSpan.Zero);

    /// <summary>The other side may wait for something that does not come.</summary>
    public bool KeepsWaiting => Stall > TimeSpan.Zero || NeverReads || Leaves != Leaving.AtTheEnd;

    /// <summary>It connects anew from the same port, to a side that may still believe in the old connection.</summary>
    public bool ComesBack => Leaves == Leaving.Aborts && LeavesAfter.Seconds % 2 == 1;

    public static Habits Draw(Random random, int octets)
    {
        bool neverReads = random.Next(20) == 0;
        bool stalls = random.Next(12) == 0;
        Leaving leaves = random.Next(12) == 0 || neverReads ? (Leaving)random.Next(1, 3) : Leaving.AtTheEnd;
        return new Habits(
            ReadsSingly: random.Next(10) == 0,
            StallAt: random.Next(octets + 1),
            Stall: stalls ? TimeSpan.FromSeconds(random.Next(1, 600)) : TimeSpan.Zero,
            NeverReads: neverReads,
            Leaves: leaves,
            LeavesAt: random.Next(octets + 1),
            LeavesAfter: TimeSpan.FromSeconds(random.Next(1, 900)));
    }

    public override string ToString() =>
        $"{(ReadsSingly ? ", reads singly" : "")}{(Stall > TimeSpan.Zero ? $", stalls at {StallAt} for {Stall.TotalSeconds} s" : "")}{(NeverReads ? ", never reads" : "")}"
        + (Leaves != Leaving.AtTheEnd ? $", {Leaves} at {LeavesAt} or {LeavesAfter.TotalSeconds} s{(ComesBack ? ", comes back" : "")}" : "");
}

internal enum Leaving
{
    /// <summary>When both streams are through.</summary>
    AtTheEnd,

    /// <summary>By a close in the middle: a reset, where something is unread or comes later.</summary>
    Closes,

    /// <summary>By a reset. Where that is lost it is as if the host had crashed and come back: it knows nothing of the connection.</summary>
    Aborts,
}
