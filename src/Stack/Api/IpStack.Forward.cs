using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Tcpcrypt.Core;
using Tcpcrypt.Host;

namespace Tcpcrypt;

public sealed partial class IpStack
{
    private readonly Lock _forwardLock = new();
    private ForwardRuntime? _forwardRuntime;

    /// <summary>Hands connection requests (SYNs) to a range of destinations to a handler: a gateway, a proxy, a server for many addresses.</summary>
    /// <param name="destinations">The destinations, which need not be the stack's addresses: <c>0.0.0.0/0</c> is everything. Addresses of the stack itself go first to its listeners.</param>
    /// <param name="handler">Called for each request, several at once; it answers the request. Its token is cancelled when the stack ends. When it throws, the exception is logged,
    /// a request not answered is refused with RST, and a connection that it accepted is reset. When it returns without an answer, another may still give it within the
    /// <see cref="TcpForwardOptions.DecisionTimeout"/>. With <see cref="ContinuationScheduling.Inline"/> it starts on the stack's loop thread and must not block.</param>
    /// <param name="options">Limits and time-outs; null for the defaults.</param>
    /// <returns>Dispose it to take no more requests; connections that were accepted go on.</returns>
    /// <exception cref="ArgumentException"><paramref name="destinations"/> is not IPv4, or an option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public IDisposable MapTcp(IPNetwork destinations, Func<TcpForwardRequest, CancellationToken, Task> handler, TcpForwardOptions? options = null)
    {
        (Ipv4Address network, int prefixLength) = ApiArgument.Network(destinations);
        ArgumentNullException.ThrowIfNull(handler);
        TcpForwardOptions validated = (options ?? new TcpForwardOptions()).Validated();
        TcpForwardMapping mapping = new(Forwards, network, prefixLength, handler, validated);
        mapping.Start();
        return mapping;
    }

    /// <summary>Hands datagram flows to a range of destinations to a handler. A flow is one source and one destination, each an address with a port.</summary>
    /// <param name="destinations">The destinations, which need not be the stack's addresses. Datagrams to a socket of the stack go to that.</param>
    /// <param name="handler">Called for each new flow, several at once. The flow ends when the handler does; its token is cancelled when the stack ends. An exception is logged.</param>
    /// <param name="options">Limits and time-outs; null for the defaults.</param>
    /// <returns>Dispose it to take no more flows; those that exist go on.</returns>
    /// <exception cref="ArgumentException"><paramref name="destinations"/> is not IPv4, or an option is out of range.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public IDisposable MapUdp(IPNetwork destinations, Func<UdpFlow, CancellationToken, Task> handler, UdpForwardOptions? options = null)
    {
        (Ipv4Address network, int prefixLength) = ApiArgument.Network(destinations);
        ArgumentNullException.ThrowIfNull(handler);
        UdpForwardOptions validated = (options ?? new UdpForwardOptions()).Validated();
        UdpForwardMapping mapping = new(Forwards, network, prefixLength, handler, validated);
        mapping.Start();
        return mapping;
    }

    /// <summary>Takes no more forwarded requests and flows: the first step of a clean stop. Those accepted go on.</summary>
    private void StopForwarding()
    {
        lock (_forwardLock)
        {
            _forwardRuntime?.StopMappings();
        }
    }

    private ForwardRuntime Forwards
    {
        get
        {
            lock (_forwardLock)
            {
                ThrowIfEnded();
                if (_forwardRuntime is null)
                {
                    ILogger logger = Options.LoggerFactory?.CreateLogger("Tcpcrypt.IpStack.Forward") ?? NullLogger.Instance;
                    _forwardRuntime = new ForwardRuntime(this, logger);
                    Host.Attach(_forwardRuntime);
                }

                return _forwardRuntime;
            }
        }
    }

    /// <summary>Counts what the mappings do.</summary>
    internal ForwardCounters ForwardCounters { get; } = new();
}
