using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Ip;
using Tcpcrypt.Udp;

namespace Tcpcrypt;

public sealed partial class IpStack
{
    /// <summary>Opens a UDP socket.</summary>
    /// <param name="local">One of the stack's addresses, or 0.0.0.0 for all; port 0 lets the stack choose one at random (RFC 6056).</param>
    /// <param name="cancellationToken">Ends the wait for the stack; no socket is left open.</param>
    /// <returns>The socket.</returns>
    /// <exception cref="ArgumentException"><paramref name="local"/> is not IPv4.</exception>
    /// <exception cref="SocketException">The port is taken (AddressAlreadyInUse), or the address is not the stack's (AddressNotAvailable).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    public ValueTask<StackUdpSocket> BindUdpAsync(IPEndPoint local, CancellationToken cancellationToken = default)
    {
        Endpoint4 end = ApiArgument.Local(local);
        cancellationToken.ThrowIfCancellationRequested();
        ThrowIfStopping();
        return BindAsync();

        async ValueTask<StackUdpSocket> BindAsync()
        {
            (SocketError error, StackUdpSocket? socket) = await Host.InvokeAsync((Host, End: end), static (state, core, _) =>
            {
                SocketError bound = core.Udp.Bind(state.End, out UdpEndpoint? endpoint);
                if (bound != SocketError.Success)
                {
                    return (bound, (StackUdpSocket?)null);
                }

                // The owner is set before the lock is released: no datagram's event is missed.
                StackUdpSocket created = new(state.Host, endpoint!);
                endpoint!.Owner = created;
                return (bound, created);
            }).ConfigureAwait(false);
            if (socket is null)
            {
                throw new SocketException((int)error);
            }

            socket.Attach();
            if (cancellationToken.IsCancellationRequested)
            {
                await socket.DisposeAsync().ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
            }

            return socket;
        }
    }

    /// <summary>Sends one ICMP echo request and waits for its answer.</summary>
    /// <param name="target">An IPv4 host.</param>
    /// <param name="options">How to ask; null for the defaults.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The answer, an ICMP error's report, or <see cref="System.Net.NetworkInformation.IPStatus.TimedOut"/>: no answer is no exception.</returns>
    /// <exception cref="ArgumentException"><paramref name="target"/> is not IPv4, or an option is out of range.</exception>
    /// <exception cref="SocketException">The request could not be sent: no route (NetworkUnreachable), output queue full (NoBufferSpaceAvailable).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    public ValueTask<EchoReply> PingAsync(IPAddress target, EchoOptions? options = null, CancellationToken cancellationToken = default)
    {
        Ipv4Address address = ApiArgument.Address(target);
        EchoOptions how = (options ?? new EchoOptions()).Validated();
        cancellationToken.ThrowIfCancellationRequested();
        return new EchoCall(Host).RunAsync(address, how, cancellationToken);
    }

    /// <summary>One echo request under way.</summary>
    private sealed class EchoCall : ICoreEventSink, IHostClient
    {
        private readonly StackHost _host;
        private readonly StackOperation<EchoReply> _operation;
        private EchoExchange? _exchange;

        public EchoCall(StackHost host)
        {
            _host = host;
            _operation = new StackOperation<EchoReply>(host);
        }

        public async ValueTask<EchoReply> RunAsync(Ipv4Address target, EchoOptions options, CancellationToken cancellationToken)
        {
            try
            {
                SocketError error = await _host.InvokeAsync((Call: this, Target: target, Options: options), static (state, core, now) =>
                {
                    SocketError sent = core.Icmp.SendEcho(now, state.Target, state.Options.DataLength, state.Options.Ttl, state.Options.DontFragment, state.Options.Timeout, out EchoExchange? exchange);
                    if (exchange is not null)
                    {
                        state.Call._exchange = exchange;
                        exchange.Owner = state.Call;
                    }

                    return sent;
                }).ConfigureAwait(false);
                if (error != SocketError.Success)
                {
                    throw new SocketException((int)error);
                }

                _host.Attach(this);
                using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static (state, token) => ((EchoCall)state!).Cancel(token), this);
                return await _operation.Task.ConfigureAwait(false);
            }
            finally
            {
                _host.Detach(this);
            }
        }

        public void OnCoreEvents(CoreEvents events)
        {
            if ((events & CoreEvents.Closed) != 0 && _exchange is { } exchange)
            {
                IPAddress? from = exchange.From.IsAny ? null : exchange.From.ToIPAddress();
                _operation.TrySetResult(new EchoReply(exchange.Status, from, exchange.RoundTrip, exchange.TimeToLive, exchange.PathMtu));
            }
        }

        public void OnHostStopped(Exception reason) => _operation.TryFail(reason);

        private void Cancel(CancellationToken token)
        {
            if (_operation.TryFail(new OperationCanceledException(token)))
            {
                _host.Post(_exchange!, static (exchange, _, _) => exchange.Cancel());
            }
        }
    }
}
