using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.LossRecovery;

[Flags]
internal enum SentFlags : byte
{
    None = 0,

    /// <summary>The peer holds it out of order (RFC 2018).</summary>
    Sacked = 1,

    /// <summary>Taken for lost, so not in the network any more.</summary>
    Lost = 2,

    /// <summary>Sent again, and that transmission is in the network.</summary>
    InRepeat = 4,

    /// <summary>Sent more than once: its acknowledgment says nothing about the RTT (Karn, RFC 6298 §3).</summary>
    Repeated = 8,
}

/// <summary>A run of sequence numbers that was transmitted together: a segment, or a super-segment.</summary>
internal struct SentSegment
{
    public Seq<Local> Start;

    /// <summary>The number behind it; a FIN is counted.</summary>
    public Seq<Local> End;

    /// <summary>When it was transmitted last.</summary>
    public TcpInstant SentAt;

    /// <summary>Payload octets per segment on the wire: the run is divided at multiples of it.</summary>
    public ushort SegmentSize;

    /// <summary>Which ACK it was sent behind (<see cref="Scoreboard.Round"/>).</summary>
    public ushort Round;

    public SentFlags Flags;

    public readonly int Length => End - Start;

    public readonly bool Is(SentFlags flags) => (Flags & flags) != 0;

    /// <summary>
    /// RFC 8985 §6.2 step 2: the order of transmission; of those sent at one time, the order of numbers. Where the clock stood still between a transmission and its ACK, a repeat has the time of the
    /// originals and a lower number, and yet it went out behind them: the ACK in between tells.
    /// </summary>
    public readonly bool IsSentBefore(in Transmission other) => SentAt < other.At || (SentAt == other.At && End < other.End && unchecked((short)(Round - other.Round)) <= 0);
}

/// <summary>What was delivered, by its place in the order of transmission.</summary>
internal readonly record struct Transmission(TcpInstant At, ushort Round, Seq<Local> End)
{
    public bool IsLaterThan(in Transmission other) => At > other.At || (At == other.At && End > other.End);
}
