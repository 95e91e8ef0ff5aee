namespace Tcpcrypt.Tcp;

/// <summary>The settings of one connection. Applications change them at any time; <see cref="TcpEndpoint.OnOptionsChanged"/> makes the core act on it.</summary>
internal sealed class TcpEndpointOptions
{
    public bool NoDelay { get; set; }

    /// <summary>Holds back segments that are not full until switched off, the connection is closed, or 200 ms have passed (TCP_CORK).</summary>
    public bool Cork { get; set; }

    public bool KeepAlive { get; set; }

    public TimeSpan KeepAliveIdle { get; set; } = TimeSpan.FromHours(2);

    public TimeSpan KeepAliveInterval { get; set; } = TimeSpan.FromSeconds(75);

    public int KeepAliveCount { get; set; } = 9;

    /// <summary>How long data may stay unacknowledged (RFC 5482 semantics); zero = the stack's R2.</summary>
    public TimeSpan UserTimeout { get; set; }

    /// <summary>Null: close in the background. Zero: close sends RST.</summary>
    public TimeSpan? Linger { get; set; }

    /// <summary>Bounds the MSS announced and the segments sent; null = by MTU (TCP_MAXSEG).</summary>
    public int? MaximumSegmentSize { get; set; }

    public int SendBufferSize { get; set; }

    public int ReceiveBufferSize { get; set; }

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
        SendBufferSize = stack.SendBufferSize,
        ReceiveBufferSize = stack.ReceiveBufferSize,
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
