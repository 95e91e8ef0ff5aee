namespace Tcpcrypt;

/// <summary>How a sender decides on its congestion window.</summary>
public enum CongestionControl
{
    /// <summary>CUBIC (RFC 9438) with HyStart++ (RFC 9406).</summary>
    Cubic,

    /// <summary>Slow start and congestion avoidance of RFC 5681.</summary>
    NewReno,
}

/// <summary>TCP settings of a stack; the defaults suit hosts and servers on ordinary networks.</summary>
public sealed class TcpStackOptions
{
    /// <summary>Offer and accept window scaling (RFC 7323 §2).</summary>
    public bool WindowScaling { get; set; } = true;

    /// <summary>Offer and accept timestamps (RFC 7323 §3).</summary>
    public bool Timestamps { get; set; } = true;

    /// <summary>Offer and accept selective acknowledgments (RFC 2018); blocks are sent for what is held out of order.</summary>
    public bool SelectiveAcknowledgments { get; set; } = true;

    /// <summary>Explicit congestion notification (RFC 3168): null, the default, agrees to it when a peer asks; true asks for it too; false does neither. Connections that offer tcpcrypt run without.</summary>
    public bool? ExplicitCongestionNotification { get; set; }

    /// <summary>The congestion control of new connections.</summary>
    public CongestionControl CongestionControl { get; set; } = CongestionControl.Cubic;

    /// <summary>
    /// Data of new connections leaves evenly over the round trip instead of in bursts: at twice the congestion window per round trip in slow start, at 1.2 times later. Kinder to short queues,
    /// at the price of more packets and timers. <see cref="TcpConnection.MaxPacingRate"/> paces a single connection.
    /// </summary>
    public bool Pacing { get; set; }

    /// <summary>Send a probe about two round trips after the last segment, so that a loss at the end needs no time-out (TLP, RFC 8985 §7). Needs selective acknowledgments.</summary>
    public bool TailLossProbe { get; set; } = true;

    /// <summary>
    /// A congestion window that the application leaves unused decays, while nothing is sent down to the initial one (RFC 2861, RFC 5681 §4.1). False keeps it, for long-lived connections on paths that do not
    /// change: after a pause what is queued leaves in one burst. Without decay an unused window does not grow either.
    /// </summary>
    public bool WindowDecay { get; set; } = true;

    /// <summary>The initial congestion window in segments (RFC 6928): 1 to 100.</summary>
    public int InitialWindowSegments { get; set; } = 10;

    /// <summary>
    /// The receive buffer of new connections, in octets: 1 to 1 GiB. It bounds the window announced. Null: automatic, from 128 KiB up to <see cref="MaxReceiveBufferSize"/>, by what the application
    /// takes in a round trip.
    /// </summary>
    public int? ReceiveBufferSize { get; set; }

    /// <summary>The send buffer of new connections, in octets: 1 to 1 GiB. Null: automatic, from 1 MiB up to <see cref="MaxSendBufferSize"/>, twice the congestion window.</summary>
    public int? SendBufferSize { get; set; }

    /// <summary>How large an automatic receive buffer may become, in octets: 1 to 1 GiB. The window scale is chosen by it.</summary>
    public int MaxReceiveBufferSize { get; set; } = 6 * 1024 * 1024;

    /// <summary>How large an automatic send buffer may become, in octets: 1 to 1 GiB.</summary>
    public int MaxSendBufferSize { get; set; } = 4 * 1024 * 1024;

    /// <summary>Whether connections find the path MTU by probing (RFC 4821), beside what ICMP tells.</summary>
    public PathMtuProbing PathMtuProbing { get; set; } = PathMtuProbing.OnBlackHole;

    /// <summary>The segment size that probing begins with and falls back to, in octets of payload and options: 512 to 65,495 (RFC 4821 §7.2: 1024).</summary>
    public int PathMtuProbeBase { get; set; } = 1024;

    /// <summary>How long an ACK may wait for another segment or for data to ride on (RFC 9293 MUST-40: below 0.5 s). Zero switches delaying off.</summary>
    public TimeSpan DelayedAck { get; set; } = TimeSpan.FromMilliseconds(40);

    /// <summary>Acknowledge at once at a connection's start and after loss, while the sender's window is small; delaying begins later.</summary>
    public bool QuickAck { get; set; } = true;

    /// <summary>The retransmission time-out before the first measurement (RFC 6298 §2.1).</summary>
    public TimeSpan InitialRto { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The least retransmission time-out. Deviation from RFC 6298 §2.4 (1 s): 200 ms as Linux does, since modern delayed ACKs stay below it.</summary>
    public TimeSpan MinRto { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The greatest retransmission time-out (RFC 6298 §2.5: at least 60 s; 120 s as Linux has it), and the longest wait between zero-window probes.</summary>
    public TimeSpan MaxRto { get; set; } = TimeSpan.FromSeconds(120);

    /// <summary>R1: retransmissions of one segment after which the application gets a notice (RFC 9293 SHLD-10: at least 3).</summary>
    public int R1Retransmissions { get; set; } = 3;

    /// <summary>R2: retransmissions of one segment after which the connection is given up (15 is about 15 minutes, SHLD-11). A user time-out goes before it.</summary>
    public int R2Retransmissions { get; set; } = 15;

    /// <summary>R2 for a SYN of ours (RFC 9293 MUST-23: at least 3 minutes).</summary>
    public TimeSpan SynTimeout { get; set; } = TimeSpan.FromSeconds(180);

    /// <summary>How often a SYN,ACK is repeated before a half-open connection is forgotten.</summary>
    public int SynAckRetransmissions { get; set; } = 5;

    /// <summary>2 MSL. Deviation from RFC 9293 MUST-13 (4 minutes): 60 s, as all modern hosts.</summary>
    public TimeSpan TimeWait { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>How long a connection that the application has closed may wait in FIN-WAIT-2 for the peer's FIN.</summary>
    public TimeSpan FinWait2Timeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Half-open connections that all listeners together may hold: 1 or more.</summary>
    public int SynCacheSize { get; set; } = 4096;

    /// <summary>Answer SYNs beyond <see cref="SynCacheSize"/> by SYN cookies (RFC 4987 §3.6): nothing is kept, and whoever answers gets in. Otherwise the oldest half-open connection gives way.</summary>
    public bool SynCookies { get; set; } = true;

    /// <summary>Connections in TIME-WAIT that are remembered: 0 or more; the oldest gives way.</summary>
    public int TimeWaitLimit { get; set; } = 65_536;

    /// <summary>
    /// Connections that the application has closed and that are not finished: what they have sent is not acknowledged, or the peer has not closed. The oldest is reset when there is one more.
    /// 0 or more; 0 resets every connection that is closed before it is finished.
    /// </summary>
    public int OrphanLimit { get; set; } = 65_536;

    /// <summary>
    /// R2 for such a connection, when that is less: retransmissions of one segment, or probes of a closed window, answered or not, after which it is given up. 1 to 255; 8, the default, are about 100 seconds.
    /// </summary>
    public int OrphanRetransmissions { get; set; } = 8;

    /// <summary>
    /// At the stack's memory limit a connection gives way (it is reset) when its peer has acknowledged nothing for this long although there is something to send, the one that holds most first. Positive.
    /// </summary>
    public TimeSpan StalledTimeout { get; set; } = TimeSpan.FromSeconds(60);

    /// <summary>Connections that may exist at once.</summary>
    public int ConnectionLimit { get; set; } = 1_000_000;

    /// <summary>Challenge ACKs per second for the whole stack (RFC 5961 §7), randomised against side channels (CVE-2016-5696).</summary>
    public int ChallengeAcksPerSecond { get; set; } = 1000;

    /// <summary>The first port for outgoing connections (RFC 6056).</summary>
    public int EphemeralPortFirst { get; set; } = 32_768;

    /// <summary>The last port for outgoing connections.</summary>
    public int EphemeralPortLast { get; set; } = 60_999;

    internal TcpStackOptions Copy() => (TcpStackOptions)MemberwiseClone();
}
