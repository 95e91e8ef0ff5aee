using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>Settings of a listener. Copied on use.</summary>
public sealed class TcpListenOptions
{
    /// <summary>Established connections that may wait to be accepted: 1 to 65,535. When so many wait, the last step of further handshakes is ignored (and repeated by the peer), never refused.</summary>
    public int Backlog { get; set; } = 512;

    /// <summary>The congestion control of accepted connections; null = as <see cref="TcpStackOptions.CongestionControl"/> says.</summary>
    public CongestionControl? CongestionControl { get; set; }

    /// <summary>Whether data leaves evenly over the round trip; null = as <see cref="TcpStackOptions.Pacing"/> says.</summary>
    public bool? Pacing { get; set; }

    /// <summary>The most payload octets per second that an accepted connection sends: at least 1; null (the default) = no bound. It paces whatever <see cref="Pacing"/> says.</summary>
    public long? MaxPacingRate { get; set; }

    /// <summary>The largest segment that accepted connections announce and send, in octets without options (MSS; TCP_MAXSEG): 88 to 65,495; null (the default) = what the route's MTU takes (RFC 6691).</summary>
    public int? MaximumSegmentSize { get; set; }

    /// <summary>Whether accepted connections are encrypted; null = as <see cref="TcpcryptOptions.Policy"/> says.</summary>
    public TcpcryptPolicy? Policy { get; set; }

    /// <summary>The application-aware bit; null = as <see cref="TcpcryptOptions.ApplicationAware"/> says.</summary>
    public TcpcryptAwareness? ApplicationAware { get; set; }

    /// <summary>The role in tcpcrypt's handshake; null = as <see cref="TcpcryptOptions.CMode"/> says.</summary>
    public TcpcryptCMode? CMode { get; set; }

    /// <summary>Where continuations of the listener and its connections run; null = as <see cref="IpStackOptions.Scheduling"/> says.</summary>
    public ContinuationScheduling? Scheduling { get; set; }

    internal TcpListenOptions Copy()
    {
        TcpListenOptions copy = (TcpListenOptions)MemberwiseClone();
        if (copy.Backlog is < 1 or > 65_535)
        {
            throw new ArgumentOutOfRangeException(nameof(Backlog), copy.Backlog, "TcpListenOptions.Backlog is 1 to 65,535.");
        }

        if (copy.Scheduling is { } scheduling && !Enum.IsDefined(scheduling))
        {
            throw new ArgumentOutOfRangeException(nameof(Scheduling), scheduling, "TcpListenOptions.Scheduling is no ContinuationScheduling.");
        }

        TcpOverrides.Validate(copy.CongestionControl, copy.MaxPacingRate, copy.MaximumSegmentSize);
        CryptOverrides.Validate(copy.Policy, copy.ApplicationAware, copy.CMode);
        return copy;
    }

    /// <summary>The core's settings for a listener of this stack.</summary>
    internal TcpEndpointOptions ToEndpointOptions(IpStackOptions stack)
    {
        TcpEndpointOptions options = TcpEndpointOptions.From(stack.Tcp);
        TcpOverrides.Apply(options, CongestionControl, Pacing, MaxPacingRate, MaximumSegmentSize);
        options.Crypt = CryptOverrides.Apply(stack.Tcpcrypt, Policy, ApplicationAware, CMode);
        return options;
    }
}
