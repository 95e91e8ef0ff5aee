using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

public sealed partial class IpStack
{
    /// <summary>Of entries without a control block.</summary>
    private static readonly TcpcryptStatus s_pending = new() { Outcome = TcpcryptOutcome.Pending };

    private readonly Lock _captureLock = new();
    private CaptureHub? _captures;

    /// <summary>The stack's instruments; null without a meter factory.</summary>
    internal StackMetrics? Metrics { get; private set; }

    /// <summary>The stack's counters now. Cheap, and never waits; counters that change meanwhile may be one packet apart.</summary>
    /// <returns>The counters.</returns>
    public IpStackStatistics GetStatistics() => IpStackStatistics.From(Host.Core, ForwardCounters, Volatile.Read(ref _captures)?.Lost ?? 0);

    /// <summary>The connection table now: half-open connections (SYN-RECEIVED) and TIME-WAIT entries included, listeners not.</summary>
    /// <returns>One entry per connection, in no order. Costs time in proportion to their number, during which the stack waits.</returns>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public IReadOnlyList<TcpConnectionInfo> GetConnections() => Host.Query(0, static (_, core, now) =>
    {
        TcpInfo none = new();
        List<TcpConnectionInfo> connections = [];
        foreach (TcpEndpoint endpoint in core.Tcp.Endpoints)
        {
            connections.Add(new(endpoint.Id, endpoint.Tuple.Local.ToIPEndPoint(), endpoint.Tuple.Remote.ToIPEndPoint(), endpoint.State, endpoint.GetInfo(now), endpoint.CryptStatus ?? TcpcryptStatus.Disabled));
        }

        foreach (FourTuple tuple in core.Tcp.SynReceiveds)
        {
            connections.Add(new(0, tuple.Local.ToIPEndPoint(), tuple.Remote.ToIPEndPoint(), TcpState.SynReceived, none, s_pending));
        }

        foreach (FourTuple tuple in core.Tcp.TimeWaits)
        {
            connections.Add(new(0, tuple.Local.ToIPEndPoint(), tuple.Remote.ToIPEndPoint(), TcpState.TimeWait, none, s_pending));
        }

        return connections;
    });

    /// <summary>Records the stack's packets in pcapng format, as Wireshark and tcpdump read it.</summary>
    /// <param name="pcapng">Gets the capture; it stays open when the capture ends. Written by one task, flushed whenever nothing more is waiting.</param>
    /// <param name="options">What to record, and limits; null for the defaults.</param>
    /// <returns>The capture. Dispose it to end it and to write what is left.</returns>
    /// <remarks>Recording costs the stack one copy of each packet. A stream that is too slow loses packets, which are counted; it never slows the stack down.</remarks>
    /// <exception cref="ArgumentException"><paramref name="pcapng"/> cannot be written to, or an option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public PacketCapture StartCapture(Stream pcapng, CaptureOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(pcapng);
        if (!pcapng.CanWrite)
        {
            throw new ArgumentException("The stream cannot be written to.", nameof(pcapng));
        }

        CaptureOptions validated = (options ?? new CaptureOptions()).Validated();
        CaptureHub hub;
        lock (_captureLock)
        {
            ThrowIfEnded();
            hub = _captures ??= new CaptureHub(Host);
        }

        PacketCapture capture = new(Host, hub, pcapng, validated, Device.Name);
        capture.Start();
        return capture;
    }

    partial void OnCreated()
    {
        if (Options.MeterFactory is { } factory)
        {
            Metrics = new StackMetrics(Host, ForwardCounters, factory, Device.Name);
        }
    }

    partial void OnStopping() => StopForwarding();

    partial void OnStopped() => Metrics?.Stop();

    private void ThrowIfEnded()
    {
        ThrowIfStopping();
        if (Host.IsStopped)
        {
            throw Host.StoppedReason();
        }
    }
}
