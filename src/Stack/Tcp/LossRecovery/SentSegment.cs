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

    public SentFlags Flags;

    public readonly int Length => End - Start;

    public readonly bool Is(SentFlags flags) => (Flags & flags) != 0;

    /// <summary>RFC 8985 §6.2 step 2: the order of transmission; of those sent at one time, the order of numbers.</summary>
    public readonly bool IsSentBefore(TcpInstant at, Seq<Local> end) => SentAt < at || (SentAt == at && End < end);
}
