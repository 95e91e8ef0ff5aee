using System.Net.NetworkInformation;

namespace Tcpcrypt;

/// <summary>A connection's variables at one instant. Times are <see cref="TimeSpan.Zero"/> and counts 0 where nothing was measured yet.</summary>
public sealed record TcpInfo
{
    /// <summary>The state.</summary>
    public TcpState State { get; init; } = TcpState.Closed;

    /// <summary>The smoothed round-trip time (RFC 6298).</summary>
    public TimeSpan SmoothedRtt { get; init; }

    /// <summary>The round-trip time's variation (RFC 6298).</summary>
    public TimeSpan RttVariation { get; init; }

    /// <summary>The least round-trip time seen.</summary>
    public TimeSpan MinRtt { get; init; }

    /// <summary>The retransmission time-out, back-off included.</summary>
    public TimeSpan RetransmissionTimeout { get; init; }

    /// <summary>Payload octets per segment, options already subtracted.</summary>
    public int SendMss { get; init; }

    /// <summary>The peer's MSS option, or 536 without one.</summary>
    public int PeerMss { get; init; }

    /// <summary>The MSS that was announced.</summary>
    public int AdvertisedMss { get; init; }

    /// <summary>The path MTU in use, in octets.</summary>
    public int PathMtu { get; init; }

    /// <summary>The congestion window, in octets.</summary>
    public long CongestionWindow { get; init; }

    /// <summary>The slow-start threshold, in octets; <see cref="long.MaxValue"/> before the first loss.</summary>
    public long SlowStartThreshold { get; init; }

    /// <summary>The window the peer offers, scaled, in octets.</summary>
    public long PeerWindow { get; init; }

    /// <summary>The window announced to the peer, in octets.</summary>
    public long ReceiveWindow { get; init; }

    /// <summary>True when window scaling is in use.</summary>
    public bool WindowScaling { get; init; }

    /// <summary>The peer's window shift count.</summary>
    public int PeerWindowScale { get; init; }

    /// <summary>The own window shift count.</summary>
    public int ReceiveWindowScale { get; init; }

    /// <summary>The size of the segments that the peer sends, in payload octets, as far as it was seen.</summary>
    public int ReceiveMss { get; init; }

    /// <summary>True when timestamps are in use.</summary>
    public bool Timestamps { get; init; }

    /// <summary>True when selective acknowledgments are in use.</summary>
    public bool SelectiveAcknowledgments { get; init; }

    /// <summary>True when ECN is in use.</summary>
    public bool ExplicitCongestionNotification { get; init; }

    /// <summary>Payload octets sent for the first time.</summary>
    public long BytesSent { get; init; }

    /// <summary>Payload octets acknowledged.</summary>
    public long BytesAcknowledged { get; init; }

    /// <summary>Payload octets received in order.</summary>
    public long BytesReceived { get; init; }

    /// <summary>Payload octets sent again.</summary>
    public long BytesRetransmitted { get; init; }

    /// <summary>Segments sent (super-segments counted by what goes on the wire).</summary>
    public long SegmentsSent { get; init; }

    /// <summary>Segments received.</summary>
    public long SegmentsReceived { get; init; }

    /// <summary>Retransmissions.</summary>
    public long Retransmissions { get; init; }

    /// <summary>Retransmission time-outs.</summary>
    public long Timeouts { get; init; }

    /// <summary>Consecutive time-outs, or probes of a closed window, without progress.</summary>
    public int Backoff { get; init; }

    /// <summary>Probes of a closed window and keep-alive probes that the peer has not answered.</summary>
    public int Probes { get; init; }

    /// <summary>Octets sent and not acknowledged (FlightSize).</summary>
    public long Unacknowledged { get; init; }

    /// <summary>Octets queued and not yet sent.</summary>
    public long Unsent { get; init; }

    /// <summary>Octets received and not yet read.</summary>
    public long Readable { get; init; }

    /// <summary>Octets held out of order.</summary>
    public long OutOfOrder { get; init; }

    /// <summary>The congestion control's name: "cubic" or "reno".</summary>
    public string CongestionControl { get; init; } = "";

    /// <summary>Payload octets per second that pacing allows at the moment; null where nothing is paced.</summary>
    public long? PacingRate { get; init; }

    /// <summary>Octets in flight that the peer holds out of order (SACK).</summary>
    public long Sacked { get; init; }

    /// <summary>Octets in flight that are taken for lost.</summary>
    public long Lost { get; init; }

    /// <summary>Octets in flight that were sent more than once.</summary>
    public long Repeated { get; init; }

    /// <summary>By how many segments the path is known to reorder: 3 at least, the threshold of duplicate ACKs.</summary>
    public int Reordering { get; init; }

    /// <summary>ACKs that have shown reordering on the path; 65,535 stands for that and more.</summary>
    public int ReorderingsSeen { get; init; }

    /// <summary>Duplicates that the peer has told of (D-SACK, RFC 2883).</summary>
    public long DuplicateSacks { get; init; }

    /// <summary>Segments received out of order.</summary>
    public long OutOfOrderSegments { get; init; }

    /// <summary>Time since payload was last sent; since the connection was established when none was.</summary>
    public TimeSpan SinceDataSent { get; init; }

    /// <summary>Time since payload last came in order; since the connection was established when none has.</summary>
    public TimeSpan SinceDataReceived { get; init; }

    /// <summary>Time since an acknowledgment last came; since the connection was established when none has.</summary>
    public TimeSpan SinceAckReceived { get; init; }

    /// <summary>The time in which there was something to send or unacknowledged.</summary>
    public TimeSpan BusyTime { get; init; }

    /// <summary>The part of <see cref="BusyTime"/> in which the peer's window was what held data back.</summary>
    public TimeSpan WindowLimitedTime { get; init; }

    /// <summary>"open", "disorder" (something arrived out of order), "cwr" (congestion was signalled), "recovery" (fast recovery) or "loss" (after a time-out).</summary>
    public string RecoveryState { get; init; } = "open";
}
