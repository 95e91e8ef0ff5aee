using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Tcpcrypt;

/// <summary>
/// Connects what a stack forwards to the kernel's network: the two methods <c>ForwardAsync</c> are handlers for <see cref="IpStack.MapTcp"/> and <see cref="IpStack.MapUdp"/>.
/// </summary>
/// <remarks>
/// <code>Relay relay = new(); stack.MapTcp(everything, relay.ForwardAsync); stack.MapUdp(everything, relay.ForwardAsync);</code>
/// The target is dialled first and the client answered then, so that "connection refused" stays what it is. End of file on one side becomes FIN on the other while the
/// other direction goes on; a reset becomes a reset. Safe for use by several threads and several stacks.
/// </remarks>
public sealed class Relay
{
    private readonly RelayOptions _options;
    private readonly KernelDialer _dialer;
    private readonly ILogger _logger;
    private readonly LogLimiter _limiter;
    private int _active;

    /// <summary>Makes a relay.</summary>
    /// <param name="options">Limits, time-outs and how the kernel's sockets leave the host; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The kernel refused the mark or the device.</exception>
    /// <exception cref="PlatformNotSupportedException">A mark or a device on a system other than Linux.</exception>
    public Relay(RelayOptions? options = null)
    {
        _options = (options ?? new RelayOptions()).Validated();
        _dialer = new KernelDialer(_options);
        _logger = _options.LoggerFactory?.CreateLogger("Tcpcrypt.Relay") ?? NullLogger.Instance;
        _limiter = new LogLimiter(_options.TimeProvider);
    }

    /// <summary>TCP connections and UDP flows that are being relayed or dialled.</summary>
    public int Active => Volatile.Read(ref _active);

    /// <summary>Dials the request's destination through the kernel, answers the request accordingly, and relays until both sides are done.</summary>
    /// <param name="request">A request from <see cref="IpStack.MapTcp"/>.</param>
    /// <param name="cancellationToken">Ends the relay: both sides are reset.</param>
    /// <returns>A task that ends with the relay; failures of the network do not make it fail.</returns>
    public async Task ForwardAsync(TcpForwardRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (!TryEnter(request.Source, request.Destination))
        {
            request.Reject();
            return;
        }

        try
        {
            IPEndPoint? target = _options.Target is { } map ? map(request.Destination) : request.Destination;
            if (target is null)
            {
                request.Reject(ForwardReject.AdministrativelyProhibited);
                return;
            }

            Socket socket;
            try
            {
                socket = await _dialer.ConnectTcpAsync(target, cancellationToken).ConfigureAwait(false);
            }
            catch (RelayLoopException loop)
            {
                LogLevel level = _limiter.Level(LogLevel.Warning);
                ForwardLog.WouldLoop(_logger, level, request.Source, target, loop.Local);
                request.Reject(ForwardReject.AdministrativelyProhibited);
                return;
            }
            catch (SocketException error)
            {
                ForwardLog.DialFailed(_logger, request.Source, target, error);
                request.Reject(RejectionFor(error.SocketErrorCode));
                return;
            }

            TcpConnection connection;
            try
            {
                connection = await request.AcceptAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException or IOException)
            {
                // The client is gone: so is the reason for the socket. The server sees a reset, as it would from the client itself.
                ForwardLog.DialFailed(_logger, request.Source, target, error);
                socket.LingerState = new LingerOption(true, 0);
                socket.Dispose();
                return;
            }

            RelayOutcome outcome = await RelayAsync(connection, socket, cancellationToken).ConfigureAwait(false);
            if (_logger.IsEnabled(LogLevel.Debug))
            {
                ForwardLog.RelayEnded(_logger, request.Source, target, outcome.ToString());
            }
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    /// <summary>Relays a flow's datagrams through a UDP socket of the kernel until the flow is idle for too long.</summary>
    /// <param name="flow">A flow from <see cref="IpStack.MapUdp"/>.</param>
    /// <param name="cancellationToken">Ends the relay.</param>
    /// <returns>A task that ends with the relay; failures of the network do not make it fail.</returns>
    public async Task ForwardAsync(UdpFlow flow, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(flow);
        if (!TryEnter(flow.Source, flow.Destination))
        {
            return;
        }

        try
        {
            IPEndPoint? target = _options.Target is { } map ? map(flow.Destination) : flow.Destination;
            if (target is null)
            {
                return;
            }

            Socket socket;
            try
            {
                socket = _dialer.ConnectUdp(target);
            }
            catch (RelayLoopException loop)
            {
                LogLevel level = _limiter.Level(LogLevel.Warning);
                ForwardLog.WouldLoop(_logger, level, flow.Source, target, loop.Local);
                return;
            }
            catch (SocketException error)
            {
                ForwardLog.DialFailed(_logger, flow.Source, target, error);
                return;
            }

            using (socket)
            {
                await UdpRelay.RunAsync(flow, socket, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }

    /// <summary>Relays between a connection of the stack and a connected socket of the kernel until both directions have ended or one side was reset; then both are closed.</summary>
    /// <param name="connection">The stack's side; the relay owns it from now on.</param>
    /// <param name="socket">The kernel's side, a connected stream socket; the relay owns it from now on.</param>
    /// <param name="cancellationToken">Ends the relay: both sides are reset.</param>
    /// <returns>How it ended.</returns>
    public static Task<RelayOutcome> RelayAsync(TcpConnection connection, Socket socket, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(socket);
        return new TcpRelay(connection, socket).RunAsync(cancellationToken);
    }

    private bool TryEnter(IPEndPoint source, IPEndPoint destination)
    {
        if (Interlocked.Increment(ref _active) <= _options.MaxActive)
        {
            return true;
        }

        Interlocked.Decrement(ref _active);
        LogLevel level = _limiter.Level(LogLevel.Warning);
        ForwardLog.RelayFull(_logger, level, source, destination, _options.MaxActive);
        return false;
    }

    private static ForwardReject RejectionFor(SocketError error) => error switch
    {
        SocketError.HostUnreachable or SocketError.HostDown or SocketError.NetworkUnreachable or SocketError.NetworkDown or SocketError.TimedOut => ForwardReject.HostUnreachable,
        SocketError.AccessDenied => ForwardReject.AdministrativelyProhibited,
        _ => ForwardReject.Reset,
    };
}

/// <summary>How a relay of a TCP connection ended.</summary>
public enum RelayOutcome
{
    /// <summary>Both directions came to their end of file.</summary>
    Completed,

    /// <summary>The stack's side was reset or failed; the kernel's side was reset.</summary>
    StackFailed,

    /// <summary>The kernel's side was reset or failed; the stack's side was reset.</summary>
    KernelFailed,

    /// <summary>The token was cancelled; both sides were reset.</summary>
    Cancelled,
}
