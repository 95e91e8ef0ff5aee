using System.Net;
using Microsoft.Extensions.Logging;

namespace Tcpcrypt;

/// <summary>Settings of a <see cref="Relay"/>.</summary>
public sealed class RelayOptions
{
    /// <summary>Where the relay connects to for a destination; null as result refuses it (AdministrativelyProhibited). Without this it is the destination itself.</summary>
    /// <remarks>Whatever the host reaches, clients of the stack reach through the relay, services that listen on this machine only included: restrict it where clients are not trusted.</remarks>
    public Func<IPEndPoint, IPEndPoint?>? Target { get; set; }

    /// <summary>How long a TCP connect may take; 20 seconds at first. Keep it below <see cref="TcpForwardOptions.DecisionTimeout"/>.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>Probes on idle connections of the kernel's side: 60 s, 30 s, 9 at first (whole seconds). Null: none.</summary>
    public TcpKeepAlive? KeepAlive { get; set; } = new(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), 9);

    /// <summary>TCP connections and UDP flows that may be relayed at once: 1 to 1,000,000; 10,000 at first. Each needs one file descriptor. More are refused.</summary>
    public int MaxActive { get; set; } = 10_000;

    /// <summary>The firewall mark (SO_MARK) of the kernel's sockets, for a policy rule that routes them past the stack's device. Needs CAP_NET_ADMIN. Linux only.</summary>
    public int? Mark { get; set; }

    /// <summary>The interface that the kernel's sockets are bound to (SO_BINDTODEVICE), such as <c>eth0</c>. Linux only.</summary>
    public string? BindToDevice { get; set; }

    /// <summary>The kernel's own addresses on the stack's links (a TUN device's host address). A dial that the kernel would send from one of them would come back to the stack, and is refused.</summary>
    public IList<IPAddress> LinkAddresses { get; set; } = [];

    /// <summary>The clock for <see cref="ConnectTimeout"/>.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;

    /// <summary>Where the relay logs.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    internal RelayOptions Validated()
    {
        RelayOptions copy = (RelayOptions)MemberwiseClone();
        copy.LinkAddresses = [.. LinkAddresses];
        ApiArgument.Positive(copy.ConnectTimeout, nameof(ConnectTimeout));
        ApiArgument.InRange(copy.MaxActive, 1, 1_000_000, nameof(MaxActive));
        ApiArgument.KeepAlive(copy.KeepAlive, nameof(KeepAlive));
        if (copy.BindToDevice is { Length: 0 or > 15 })
        {
            throw new ArgumentException($"{nameof(BindToDevice)} is the name of an interface: 1 to 15 characters.", nameof(BindToDevice));
        }

        if ((copy.Mark is not null || copy.BindToDevice is not null) && !OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException($"{nameof(Mark)} and {nameof(BindToDevice)} are Linux's.");
        }

        return copy;
    }
}
