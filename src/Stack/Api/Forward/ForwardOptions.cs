namespace Tcpcrypt;

/// <summary>How a connection request to a mapped destination is refused.</summary>
public enum ForwardReject
{
    /// <summary>RST: the client sees "connection refused".</summary>
    Reset,

    /// <summary>ICMP destination unreachable, code 1 (RFC 792).</summary>
    HostUnreachable,

    /// <summary>ICMP destination unreachable, code 13 (RFC 1812 §5.2.7.1).</summary>
    AdministrativelyProhibited,

    /// <summary>Nothing is answered. A repeated SYN is a new request.</summary>
    Drop,
}

/// <summary>Settings of <see cref="IpStack.MapTcp"/>.</summary>
public sealed class TcpForwardOptions
{
    /// <summary>Requests that may wait for an answer at once: 1 to 65,536; 1024 at first. Further SYNs are dropped and counted (TcpForwardLimit).</summary>
    public int MaxInFlight { get; set; } = 1024;

    /// <summary>Requests of one source address that may wait for an answer at once: 1 to <see cref="MaxInFlight"/>; 64 at first.</summary>
    public int MaxInFlightPerSource { get; set; } = 64;

    /// <summary>How long a request may wait for an answer before it is refused with RST; 30 seconds at first.</summary>
    public TimeSpan DecisionTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Probes on idle connections that were accepted: 60 s, 30 s, 9 at first, since a relay must notice clients that have vanished. Null: none.</summary>
    public TcpKeepAlive? KeepAlive { get; set; } = new(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), 9);

    /// <summary>The congestion control of accepted connections; null = as <see cref="TcpStackOptions.CongestionControl"/> says.</summary>
    public CongestionControl? CongestionControl { get; set; }

    /// <summary>Whether data leaves evenly over the round trip; null = as <see cref="TcpStackOptions.Pacing"/> says.</summary>
    public bool? Pacing { get; set; }

    /// <summary>The most payload octets per second that an accepted connection sends: at least 1; null (the default) = no bound.</summary>
    public long? MaxPacingRate { get; set; }

    /// <summary>
    /// MSS clamping: the largest segment that accepted connections announce and send, in octets without options: 88 to 65,495; null (the default) = what the route's MTU takes. For clients behind
    /// a tunnel that tells nobody of its smaller MTU (RFC 2923 §2.1).
    /// </summary>
    public int? MaximumSegmentSize { get; set; }

    /// <summary>Whether accepted connections are encrypted; null = as <see cref="TcpcryptOptions.Policy"/> says. <see cref="TcpForwardRequest.AcceptAsync(TcpcryptPolicy, CancellationToken)"/> decides otherwise for one.</summary>
    public TcpcryptPolicy? Policy { get; set; }

    /// <summary>The application-aware bit; null = as <see cref="TcpcryptOptions.ApplicationAware"/> says.</summary>
    public TcpcryptAwareness? ApplicationAware { get; set; }

    /// <summary>The role in tcpcrypt's handshake; null = as <see cref="TcpcryptOptions.CMode"/> says.</summary>
    public TcpcryptCMode? CMode { get; set; }

    internal TcpForwardOptions Validated()
    {
        TcpForwardOptions copy = (TcpForwardOptions)MemberwiseClone();
        ApiArgument.InRange(copy.MaxInFlight, 1, 65_536, nameof(MaxInFlight));
        ApiArgument.InRange(copy.MaxInFlightPerSource, 1, copy.MaxInFlight, nameof(MaxInFlightPerSource));
        ApiArgument.Positive(copy.DecisionTimeout, nameof(DecisionTimeout));
        ApiArgument.KeepAlive(copy.KeepAlive, nameof(KeepAlive));
        TcpOverrides.Validate(copy.CongestionControl, copy.MaxPacingRate, copy.MaximumSegmentSize);
        CryptOverrides.Validate(copy.Policy, copy.ApplicationAware, copy.CMode);
        return copy;
    }
}

/// <summary>Settings of <see cref="IpStack.MapUdp"/>.</summary>
public sealed class UdpForwardOptions
{
    /// <summary>A flow without a datagram in either direction ends after this time; 120 seconds at first (RFC 4787 REQ-5 wants at least that).</summary>
    public TimeSpan IdleTimeout { get; set; } = TimeSpan.FromSeconds(120);

    /// <summary>Flows that may exist at once: 1 to 1,000,000; 4096 at first. Datagrams that would open more are dropped and counted (UdpFlowLimit).</summary>
    public int MaxFlows { get; set; } = 4096;

    internal UdpForwardOptions Validated()
    {
        UdpForwardOptions copy = (UdpForwardOptions)MemberwiseClone();
        ApiArgument.InRange(copy.MaxFlows, 1, 1_000_000, nameof(MaxFlows));
        ApiArgument.Positive(copy.IdleTimeout, nameof(IdleTimeout));
        return copy;
    }
}
