namespace Tcpcrypt.Tcp;

/// <summary>The settings of one connection. Applications change them at any time; <see cref="TcpEndpoint.OnOptionsChanged"/> makes the core act on it.</summary>
internal sealed class TcpEndpointOptions
{
    public bool NoDelay { get; set; }

    /// <summary>Holds back segments that are not full until switched off, the connection is closed, or a retransmission time-out has passed (TCP_CORK; as Linux does: 200 ms at least).</summary>
    public bool Cork { get; set; }

    public bool KeepAlive { get; set; }

    public TimeSpan KeepAliveIdle { get; set; } = TimeSpan.FromHours(2);

    public TimeSpan KeepAliveInterval { get; set; } = TimeSpan.FromSeconds(75);

    public int KeepAliveCount { get; set; } = 9;

    /// <summary>How long data may stay unacknowledged (RFC 5482 semantics); zero = the stack's R2.</summary>
    public TimeSpan UserTimeout { get; set; }

    /// <summary>How often a SYN is repeated (TCP_SYNCNT); null = until the stack's time-out.</summary>
    public int? SynRetransmissions { get; set; }

    /// <summary>A listener's: so many time-outs of the SYN,ACK an ACK without data does not end the handshake (TCP_DEFER_ACCEPT).</summary>
    public int DeferredSynAcks { get; set; }

    /// <summary>Null: close in the background. Zero: close sends RST.</summary>
    public TimeSpan? Linger { get; set; }

    /// <summary>How long FIN-WAIT-2 lasts once the application is gone (TCP_LINGER2); null = as the stack says.</summary>
    public TimeSpan? FinWait2Timeout { get; set; }

    /// <summary>Bounds the MSS announced and the segments sent; null = by MTU (TCP_MAXSEG).</summary>
    public int? MaximumSegmentSize { get; set; }

    /// <summary>Zero = automatic.</summary>
    public int SendBufferSize { get; set; }

    /// <summary>Zero = automatic.</summary>
    public int ReceiveBufferSize { get; set; }

    /// <summary>The receive buffer at the start: 128 KiB where it is automatic, and no more than it may become.</summary>
    public int FirstReceiveBuffer(TcpStackOptions stack) => ReceiveBufferSize > 0 ? ReceiveBufferSize : Math.Min(128 * 1024, stack.MaxReceiveBufferSize);

    /// <summary>The send buffer at the start: 1 MiB where it is automatic (what an application writes ahead costs memory only when it does), and no more than it may become.</summary>
    public int FirstSendBuffer(TcpStackOptions stack) => SendBufferSize > 0 ? SendBufferSize : Math.Min(1024 * 1024, stack.MaxSendBufferSize);

    /// <summary>The shift for the largest window that may come to be announced.</summary>
    public byte WindowShift(TcpStackOptions stack) => SynAgreement.ShiftFor(ReceiveBufferSize > 0 ? ReceiveBufferSize : stack.MaxReceiveBufferSize);

    public byte TypeOfService { get; set; }

    public byte TimeToLive { get; set; } = 64;

    public TimeSpan DelayedAck { get; set; }

    public CongestionControl CongestionControl { get; set; }

    /// <summary>Data leaves at the pace of the congestion window, not in bursts.</summary>
    public bool Pacing { get; set; }

    /// <summary>The most payload octets per second; paces also without <see cref="Pacing"/>. Null = no bound (SO_MAX_PACING_RATE).</summary>
    public long? MaxPacingRate { get; set; }

    /// <summary>May use an address that is not the stack's own (forwarders; IP_TRANSPARENT).</summary>
    public bool Transparent { get; set; }

    /// <summary>Bind although connections in TIME-WAIT use the port (SO_REUSEADDR).</summary>
    public bool ReuseAddress { get; set; }

    public static TcpEndpointOptions From(TcpStackOptions stack) => new()
    {
        SendBufferSize = stack.SendBufferSize ?? 0,
        ReceiveBufferSize = stack.ReceiveBufferSize ?? 0,
        DelayedAck = stack.DelayedAck,
        CongestionControl = stack.CongestionControl,
        Pacing = stack.Pacing,
    };

    /// <summary>tcpcrypt's settings; null = the stack's.</summary>
    public Crypt.CryptSettings? Crypt { get; set; }

    /// <summary>The session that an active open offers to resume; the connection owns it.</summary>
    public TcpcryptSession? Session { get; set; }

    public TcpEndpointOptions Copy() => (TcpEndpointOptions)MemberwiseClone();
}
