using System.Net;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>Settings of one connect. Copied on use.</summary>
public sealed class TcpConnectOptions
{
    /// <summary>The local end; null or an any-address and port 0 = chosen by the stack (RFC 6056).</summary>
    public IPEndPoint? Local { get; set; }

    /// <summary>
    /// The application's own bound for the whole call, name resolution included; <see cref="System.Threading.Timeout.InfiniteTimeSpan"/> leaves it to the stack, which gives a SYN up
    /// after <see cref="TcpStackOptions.SynTimeout"/> (RFC 9293 MUST-23: at least 3 minutes).
    /// </summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary><see cref="Local"/> may be any address, not only one of the stack's: for forwarders that speak for others (the meaning of Linux's IP_TRANSPARENT).</summary>
    public bool Transparent { get; set; }

    /// <summary>The congestion control; null = as <see cref="TcpStackOptions.CongestionControl"/> says.</summary>
    public CongestionControl? CongestionControl { get; set; }

    /// <summary>Whether data leaves evenly over the round trip; null = as <see cref="TcpStackOptions.Pacing"/> says.</summary>
    public bool? Pacing { get; set; }

    /// <summary>The most payload octets per second that the connection sends: at least 1; null (the default) = no bound. It paces whatever <see cref="Pacing"/> says.</summary>
    public long? MaxPacingRate { get; set; }

    /// <summary>The largest segment that the connection announces and sends, in octets without options (MSS; TCP_MAXSEG): 88 to 65,495; null (the default) = what the route's MTU takes (RFC 6691).</summary>
    public int? MaximumSegmentSize { get; set; }

    /// <summary>Whether the connection is encrypted; null = as <see cref="TcpcryptOptions.Policy"/> says and <see cref="TcpcryptOptions.PolicySelector"/>.</summary>
    public TcpcryptPolicy? Policy { get; set; }

    /// <summary>The application-aware bit; null = as <see cref="TcpcryptOptions.ApplicationAware"/> says.</summary>
    public TcpcryptAwareness? ApplicationAware { get; set; }

    /// <summary>The role in tcpcrypt's handshake; null = as <see cref="TcpcryptOptions.CMode"/> says.</summary>
    public TcpcryptCMode? CMode { get; set; }

    /// <summary>Resume a session with the peer when there is one (<see cref="TcpcryptOptions.AllowResumption"/>).</summary>
    public bool AllowResumption { get; set; } = true;

    internal TcpConnectOptions Copy()
    {
        TcpConnectOptions copy = (TcpConnectOptions)MemberwiseClone();
        if (copy.Timeout <= TimeSpan.Zero && copy.Timeout != System.Threading.Timeout.InfiniteTimeSpan)
        {
            throw new ArgumentOutOfRangeException(nameof(Timeout), copy.Timeout, "TcpConnectOptions.Timeout is positive, or Timeout.InfiniteTimeSpan.");
        }

        if (copy.Transparent && copy.Local is null)
        {
            throw new ArgumentException("TcpConnectOptions.Transparent needs a Local address to use.", nameof(Transparent));
        }

        TcpOverrides.Validate(copy.CongestionControl, copy.MaxPacingRate, copy.MaximumSegmentSize);
        CryptOverrides.Validate(copy.Policy, copy.ApplicationAware, copy.CMode);
        return copy;
    }

    /// <summary>The core's settings for a connection of this stack.</summary>
    internal TcpEndpointOptions ToEndpointOptions(IpStackOptions stack, IPEndPoint remote)
    {
        TcpEndpointOptions options = TcpEndpointOptions.From(stack.Tcp);
        TcpOverrides.Apply(options, CongestionControl, Pacing, MaxPacingRate, MaximumSegmentSize);
        options.Crypt = CryptOverrides.Apply(stack.Tcpcrypt, Policy ?? stack.Tcpcrypt.PolicySelector?.Invoke(remote), ApplicationAware, CMode, AllowResumption);
        options.Transparent = Transparent;
        return options;
    }
}
