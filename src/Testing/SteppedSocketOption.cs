namespace Tcpcrypt.Testing;

/// <summary>Socket options. Values are integers; truth values are 0 and 1 (anything but 0 counts as 1). The Linux name stands in brackets.</summary>
public enum SteppedSocketOption
{
    /// <summary>The pending error as a <see cref="System.Net.Sockets.SocketError"/>; reading clears it. Cannot be set (SO_ERROR).</summary>
    Error,

    /// <summary>1 for a listening socket. Cannot be set (SO_ACCEPTCONN).</summary>
    AcceptConnections,

    /// <summary>Bind although old connections use the port (SO_REUSEADDR).</summary>
    ReuseAddress,

    /// <summary>Seconds; -1 = off: close sends what is queued in the background. 0 = close resets the connection (SO_LINGER).</summary>
    Linger,

    /// <summary>Send buffer in octets, exactly as set; 1 to 2^30 (SO_SNDBUF).</summary>
    SendBuffer,

    /// <summary>Receive buffer in octets, exactly as set; 1 to 2^30 (SO_RCVBUF).</summary>
    ReceiveBuffer,

    /// <summary>Keep-alive probes (SO_KEEPALIVE).</summary>
    KeepAlive,

    /// <summary>Urgent data stays in the stream; always 1 (SO_OOBINLINE, RFC 6093 §6).</summary>
    OutOfBandInline,

    /// <summary>Seconds without traffic before the first keep-alive probe: 1 to 32,767 (TCP_KEEPIDLE).</summary>
    KeepAliveIdle,

    /// <summary>Seconds between keep-alive probes: 1 to 32,767 (TCP_KEEPINTVL).</summary>
    KeepAliveInterval,

    /// <summary>Unanswered keep-alive probes after which the connection is given up: 1 to 127 (TCP_KEEPCNT).</summary>
    KeepAliveCount,

    /// <summary>Nagle's algorithm off (TCP_NODELAY).</summary>
    NoDelay,

    /// <summary>Segments that are not full wait (TCP_CORK).</summary>
    Cork,

    /// <summary>The largest segment to announce and to send, in octets: 88 to 32,767, or 0 for the path's own. Reading gives the size in use on a connection (TCP_MAXSEG).</summary>
    MaximumSegment,

    /// <summary>Milliseconds that data may stay unacknowledged; 0 = the stack's own limit (TCP_USER_TIMEOUT).</summary>
    UserTimeout,

    /// <summary>1 = ACKs are not delayed; 0 = as the stack's settings say (TCP_QUICKACK, but lasting).</summary>
    QuickAck,

    /// <summary>Milliseconds that an ACK may be delayed: 0 to 499. Linux has no such option.</summary>
    DelayedAck,

    /// <summary>The congestion control as a number of <see cref="Tcpcrypt.CongestionControl"/>; there are overloads with its name (TCP_CONGESTION).</summary>
    CongestionControl,

    /// <summary>The type-of-service octet: 0 to 255 (IP_TOS).</summary>
    TypeOfService,

    /// <summary>The time to live: 1 to 255 (IP_TTL).</summary>
    TimeToLive,

    /// <summary>The most payload octets per second; -1 = no bound (SO_MAX_PACING_RATE).</summary>
    MaxPacingRate,

    /// <summary>Seconds that a closed connection may wait in FIN-WAIT-2 for the peer's FIN: 1 to 120; 0 = as the stack's settings say (TCP_LINGER2).</summary>
    FinWait2Timeout,

    /// <summary>Octets never sent from which on a send would block, whatever room there is; the socket is writable again below half of that. 0 = none (TCP_NOTSENT_LOWAT).</summary>
    NotSentLowWater,

    /// <summary>Octets that must wait before the socket is readable; 0 = 1, and never more than the receive buffer holds (SO_RCVLOWAT).</summary>
    ReceiveLowWater,

    /// <summary>How often a SYN is repeated before connecting fails: 1 to 127; reading gives 0 where it was not set and the stack's time-out holds (TCP_SYNCNT).</summary>
    SynCount,

    /// <summary>
    /// Seconds that a listening socket leaves a connection without data half-open: the ACK that ends the handshake is ignored so long. 0 = off. Counted in repeats of the SYN,ACK,
    /// as on Linux: reading gives the value rounded up to 1, 3, 7, 15 … (TCP_DEFER_ACCEPT).
    /// </summary>
    DeferAccept,
}

/// <summary>What <see cref="SteppedSocket.Poll"/> finds, as Linux's poll(2) computes it.</summary>
[Flags]
public enum SteppedPollFlags
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>A receive (or accept) would not block: data, end of stream, or a connection (POLLIN).</summary>
    In = 1,

    /// <summary>Urgent data is ahead (POLLPRI).</summary>
    Priority = 2,

    /// <summary>A send would not block (POLLOUT).</summary>
    Out = 4,

    /// <summary>An error is pending (POLLERR).</summary>
    Error = 8,

    /// <summary>Both directions are shut, or there is no connection (POLLHUP).</summary>
    Hup = 16,

    /// <summary>The socket was closed (POLLNVAL).</summary>
    Invalid = 32,

    /// <summary>The peer has shut its sending side, or reading was shut here (POLLRDHUP).</summary>
    ReadHup = 64,
}
