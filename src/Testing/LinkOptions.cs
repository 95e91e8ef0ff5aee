namespace Tcpcrypt.Testing;

/// <summary>What a <see cref="SteppedLink"/> does to packets, each direction for itself.</summary>
public sealed class LinkOptions
{
    /// <summary>From the first stack to the second.</summary>
    public LinkDirection AToB { get; set; } = new();

    /// <summary>From the second stack to the first.</summary>
    public LinkDirection BToA { get; set; } = new();

    /// <summary>A link that treats both directions alike.</summary>
    /// <param name="both">What happens in either direction.</param>
    /// <returns>The options.</returns>
    public static LinkOptions Symmetric(LinkDirection both) => new() { AToB = both, BToA = both };

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(AToB, nameof(AToB));
        ArgumentNullException.ThrowIfNull(BToA, nameof(BToA));
        AToB.Validate();
        BToA.Validate();
    }
}

/// <summary>One direction of a link. Probabilities are per packet, from 0 (never) to 1 (always), and independent of one another.</summary>
/// <remarks>A packet meets, in this order: <see cref="Rewrite"/>, <see cref="Drop"/>, <see cref="Loss"/>, <see cref="Corrupt"/>, <see cref="QueueLimit"/>, <see cref="BitsPerSecond"/>, <see cref="Delay"/> and <see cref="Jitter"/>, <see cref="Reorder"/>, <see cref="Duplicate"/>.</remarks>
public sealed record LinkDirection
{
    /// <summary>Propagation delay.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>Extra delay from zero up to this, evenly distributed. It never reorders: a packet waits for the one before it.</summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>Bits of IP packet per second; 0 = no limit.</summary>
    public long BitsPerSecond { get; init; }

    /// <summary>Packets that may wait for or be in transmission when <see cref="BitsPerSecond"/> limits the rate; further ones are dropped (tail drop). 0 = no limit.</summary>
    public int QueueLimit { get; init; }

    /// <summary>Probability that a packet is lost.</summary>
    public double Loss { get; init; }

    /// <summary>Probability that a packet is held back by <see cref="ReorderDelay"/>, so that later ones overtake it.</summary>
    public double Reorder { get; init; }

    /// <summary>How long a reordered packet is held back.</summary>
    public TimeSpan ReorderDelay { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Probability that a packet is delivered twice, the copy right behind it.</summary>
    public double Duplicate { get; init; }

    /// <summary>Probability that one bit of a packet, anywhere in it, is turned over.</summary>
    public double Corrupt { get; init; }

    /// <summary>A hand-made loss: returns true for a packet to drop. Called with the packet's number in this direction (from 0) and its octets; null = none. It must depend on nothing else, or runs do not repeat.</summary>
    public Func<long, ReadOnlyMemory<byte>, bool>? Drop { get; init; }

    /// <summary>A middlebox: returns what goes on instead of a packet, which may be nothing (the packet is lost), the packet itself, or several in the order in which they leave; each then meets everything else for itself.
    /// Called with the packet's number among those sent by the stack in this direction (from 0) and its octets, which must not be changed in place; checksums are its business. Null = none. It must depend on nothing else, or runs do not repeat.</summary>
    public Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>>? Rewrite { get; init; }

    internal void Validate()
    {
        CheckTime(Delay, nameof(Delay));
        CheckTime(Jitter, nameof(Jitter));
        CheckTime(ReorderDelay, nameof(ReorderDelay));
        ArgumentOutOfRangeException.ThrowIfNegative(BitsPerSecond, nameof(BitsPerSecond));
        ArgumentOutOfRangeException.ThrowIfNegative(QueueLimit, nameof(QueueLimit));
        CheckProbability(Loss, nameof(Loss));
        CheckProbability(Reorder, nameof(Reorder));
        CheckProbability(Duplicate, nameof(Duplicate));
        CheckProbability(Corrupt, nameof(Corrupt));
    }

    private static void CheckTime(TimeSpan time, string name)
    {
        if (time < TimeSpan.Zero || time > TimeSpan.FromDays(1))
        {
            throw new ArgumentOutOfRangeException(name, time, "A link's times are from zero to one day.");
        }
    }

    private static void CheckProbability(double probability, string name)
    {
        if (!(probability is >= 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(name, probability, "A probability is from 0 to 1.");
        }
    }
}

/// <summary>What became of a packet on a link.</summary>
public enum LinkFate
{
    /// <summary>It will be delivered (or was, when told on delivery).</summary>
    Delivered,

    /// <summary>It will be delivered later than packets sent after it.</summary>
    Reordered,

    /// <summary>It will be delivered twice.</summary>
    Duplicated,

    /// <summary>It will be delivered with one bit changed.</summary>
    Corrupted,

    /// <summary>It was lost by chance or by <see cref="LinkDirection.Drop"/>.</summary>
    Lost,

    /// <summary>The queue was full.</summary>
    QueueFull,
}

/// <summary>A packet that was put on a link, for traces.</summary>
/// <param name="TimeNs">When it was sent, in nanoseconds.</param>
/// <param name="FromA">True when the first stack sent it.</param>
/// <param name="Packet">The packet as it was sent, or as <see cref="LinkDirection.Rewrite"/> made it.</param>
/// <param name="Fate">What becomes of it.</param>
public readonly record struct LinkPacket(long TimeNs, bool FromA, ReadOnlyMemory<byte> Packet, LinkFate Fate);

/// <summary>Counters of one direction of a link.</summary>
public sealed class LinkCounters
{
    /// <summary>Packets put on the link.</summary>
    public long Sent { get; internal set; }

    /// <summary>Octets of the packets put on the link.</summary>
    public long SentOctets { get; internal set; }

    /// <summary>Packets that arrived, copies included.</summary>
    public long Delivered { get; internal set; }

    /// <summary>Packets lost by chance or by <see cref="LinkDirection.Drop"/>.</summary>
    public long Lost { get; internal set; }

    /// <summary>Packets dropped by the full queue.</summary>
    public long QueueFull { get; internal set; }

    /// <summary>Packets held back so that others overtake.</summary>
    public long Reordered { get; internal set; }

    /// <summary>Packets doubled.</summary>
    public long Duplicated { get; internal set; }

    /// <summary>Packets with a bit turned over.</summary>
    public long Corrupted { get; internal set; }
}
