using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;
using Tcpcrypt.Tcp.Crypt;

namespace Tcpcrypt;

// RS0026: two overloads with optional parameters; their first parameters are of unrelated types, so no call can become ambiguous.
#pragma warning disable RS0026

// Active OPEN.
public sealed partial class IpStack
{
    private static readonly ActivitySource s_activities = new("Tcpcrypt.Stack");

    /// <summary>One span per connect and per forwarded connection.</summary>
    internal static ActivitySource Activities => s_activities;

    /// <summary>Connects to an address.</summary>
    /// <param name="remote">The address and port.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <param name="ct">Cancels the connect: nothing is left of it.</param>
    /// <returns>An established connection.</returns>
    /// <exception cref="SocketException">ConnectionRefused, TimedOut, HostUnreachable, NetworkUnreachable, AddressAlreadyInUse, AddressNotAvailable, NoBufferSpaceAvailable.</exception>
    /// <exception cref="TcpcryptException">The connection could not be encrypted under <see cref="TcpcryptPolicy.Required"/>, or its handshake broke half-way; under <see cref="TcpcryptPolicy.Opportunistic"/> the next attempts go plain for ten minutes.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="IOException">The stack's device has died.</exception>
    public ValueTask<TcpConnection> ConnectAsync(IPEndPoint remote, TcpConnectOptions? options = null, CancellationToken ct = default)
    {
        Endpoint4 endpoint = ToEndpoint(remote, nameof(remote));
        TcpConnectOptions settings = (options ?? new TcpConnectOptions()).Copy();
        return WithTimeoutAsync(remote, settings, token => ConnectOneAsync(endpoint, settings, token), ct);
    }

    /// <summary>Connects to a host by name: each of its IPv4 addresses is tried in turn.</summary>
    /// <param name="host">A name, or an address in text.</param>
    /// <param name="port">The port: 1 to 65,535.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <param name="ct">Cancels the connect: nothing is left of it.</param>
    /// <returns>An established connection.</returns>
    /// <exception cref="SocketException">As for an address (that of the address tried last); HostNotFound when the name has no IPv4 address.</exception>
    /// <exception cref="TcpcryptException">As for an address, when no other address would do: that of the last one it happened with, whatever was wrong with those tried later.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="IOException">The stack's device has died.</exception>
    public ValueTask<TcpConnection> ConnectAsync(string host, int port, TcpConnectOptions? options = null, CancellationToken ct = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        ArgumentOutOfRangeException.ThrowIfLessThan(port, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, 65_535);
        if (IPAddress.TryParse(host, out IPAddress? address))
        {
            return ConnectAsync(new IPEndPoint(address, port), options, ct);
        }

        TcpConnectOptions settings = (options ?? new TcpConnectOptions()).Copy();
        return WithTimeoutAsync(new DnsEndPoint(host, port), settings, token => ConnectByNameAsync(host, port, settings, token), ct);
    }

    private async ValueTask<TcpConnection> ConnectByNameAsync(string host, int port, TcpConnectOptions options, CancellationToken ct)
    {
        IPAddress[] addresses = Options.Resolver is { } resolver
            ? await resolver(host, ct).ConfigureAwait(false)
            : await ResolveAsync(host, ct).ConfigureAwait(false);

        SocketException? last = null;
        TcpcryptException? unencrypted = null;
        foreach (IPAddress address in addresses ?? [])
        {
            if (!Ipv4Address.TryFrom(address, out Ipv4Address value))
            {
                continue;
            }

            try
            {
                return await ConnectOneAsync(new Endpoint4(value, (ushort)port), options, ct).ConfigureAwait(false);
            }
            catch (SocketException exception)
            {
                last = exception;
            }
            catch (TcpcryptException exception)
            {
                // Nothing of the application's was sent, and the next one has a handshake of its own.
                unencrypted = exception;
            }
        }

        // Of a host that answers on one address and cannot encrypt, and is dead on another, the first is what its user can do something about.
        throw (Exception?)unencrypted ?? last ?? new SocketException((int)SocketError.HostNotFound, $"The name {host} has no IPv4 address.");
    }

    private static async Task<IPAddress[]> ResolveAsync(string host, CancellationToken ct)
    {
        try
        {
            return await Dns.GetHostAddressesAsync(host, AddressFamily.InterNetwork, ct).ConfigureAwait(false);
        }
        catch (SocketException exception)
        {
            // The framework's message does not say which name.
            throw new SocketException(exception.ErrorCode, $"The name {host} cannot be resolved: {exception.Message}");
        }
    }

    private async ValueTask<TcpConnection> ConnectOneAsync(Endpoint4 remote, TcpConnectOptions options, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        ThrowIfStopping();
        Endpoint4? local = options.Local is { } bound ? ToEndpoint(bound, nameof(TcpConnectOptions.Local)) : null;
        TcpEndpointOptions endpointOptions = options.ToEndpointOptions(Options, remote.ToIPEndPoint());
        endpointOptions.Session = await TakeSessionAsync(remote, options, ct).ConfigureAwait(false);
        (SocketError error, TcpConnection? connection) = await Host.InvokeAsync((Stack: this, local, remote, endpointOptions), static (state, core, now) =>
        {
            SocketError error = core.Tcp.Connect(now, state.local, state.remote, state.endpointOptions, out TcpEndpoint? endpoint);
            return (error, error == SocketError.Success ? TcpConnection.Create(state.Stack, endpoint!) : null);
        }).ConfigureAwait(false);
        if (connection is null)
        {
            throw StackErrors.ConnectFailed(error, remote.ToIPEndPoint());
        }

        ConnectionLink link = connection.Link;
        link.Attach();
        try
        {
            await link.WaitConnectedAsync(ct).ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
        }
        catch (OperationCanceledException)
        {
            await AbandonAsync(link).ConfigureAwait(false);
            throw;
        }

        if (link.IsConnected)
        {
            StackLog.Connected(Logger, connection.Endpoint.Id, connection.LocalEndPoint, connection.RemoteEndPoint);
            OnConnected(connection);
            return connection;
        }

        // Refused, timed out, unreachable; or the stack has stopped.
        if (Host.IsStopped)
        {
            throw StackErrors.Stopped(Host.StoppedReason());
        }

        // A stack that ends aborts the connection before it disposes of it.
        ObjectDisposedException.ThrowIf(link.IsDisposed || _stopping is not null, this);
        SocketError reason = connection.Endpoint.Error;
        link.Dispose();
        if (connection.Endpoint.IsCryptFailure)
        {
            throw StackErrors.CryptFailed(connection.Tcpcrypt.Outcome, remote.ToIPEndPoint(), reason);
        }

        throw StackErrors.ConnectFailed(reason == SocketError.Success ? SocketError.ConnectionAborted : reason, remote.ToIPEndPoint());
    }

    /// <summary>Asks a store of the application's own, which may take its time, for a session to resume. The stack's own store is asked inside of the core.</summary>
    private async ValueTask<TcpcryptSession?> TakeSessionAsync(Endpoint4 remote, TcpConnectOptions options, CancellationToken ct)
    {
        if (Options.Tcpcrypt is not { SessionStore: { } store, AllowResumption: true } || !options.AllowResumption || (options.Policy ?? Options.Tcpcrypt.Policy) == TcpcryptPolicy.Disabled)
        {
            return null;
        }

        TcpcryptRole roles = (CryptSettings.From(Options.Tcpcrypt) with { CMode = options.CMode ?? Options.Tcpcrypt.CMode }).ResumableRole;
        System.Net.IPAddress peer = remote.Address.ToIPAddress();
        if (Interlocked.Increment(ref _storeCalls) > StoreCallLimit)
        {
            Interlocked.Decrement(ref _storeCalls);
            await CountStoreFailureAsync().ConfigureAwait(false);
            return null;
        }

        Task<TcpcryptSession?> taking = Task.Factory.StartNew(() => TakeCopy(store, peer, roles), CancellationToken.None, TaskCreationOptions.None, TaskScheduler.Default);
        try
        {
            return await taking.WaitAsync(s_storePatience, Options.TimeProvider, ct).ConfigureAwait(false);
        }
        catch (Exception) when (!ct.IsCancellationRequested)
        {
            // Whatever is wrong with an application's store, the connection goes on with a full handshake.
            await CountStoreFailureAsync().ConfigureAwait(false);
            return null;
        }
        finally
        {
            if (!taking.IsCompleted)
            {
                // Nobody waits for it any more.
                _ = taking.ContinueWith(static late => (late.IsCompletedSuccessfully ? late.Result : null)?.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            }
        }
    }

    /// <summary>How long a connect waits for an application's store of sessions, and how many calls of it may hang.</summary>
    private static readonly TimeSpan s_storePatience = TimeSpan.FromSeconds(1);

    private const int StoreCallLimit = 16;

    private int _storeCalls;

    /// <summary>A copy of what the store gives, which may be in another's hands, or wiped (then it throws); null where it may not be used here.</summary>
    private TcpcryptSession? TakeCopy(ITcpcryptSessionStore store, System.Net.IPAddress peer, TcpcryptRole roles)
    {
        try
        {
            using TcpcryptSession? taken = store.TakeForPeer(peer, roles);
            return taken is { CanOpen: true } && taken.HasRole(roles) ? taken.Copy() : null;
        }
        finally
        {
            Interlocked.Decrement(ref _storeCalls);
        }
    }

    private ValueTask<bool> CountStoreFailureAsync() => Host.InvokeAsync(0, static (_, core, _) =>
    {
        core.Counters.CryptStoreFailures++;
        return true;
    });

    /// <summary>The application gets a connection, by connect, accept or forward.</summary>
    internal void OnConnected(TcpConnection connection)
    {
        Metrics?.ConnectionOpened(connection);
        if (Logger.IsEnabled(LogLevel.Debug))
        {
            TcpcryptStatus status = connection.Tcpcrypt;
            StackLog.Encryption(Logger, connection.Endpoint.Id, status.Outcome, status.Dialect, status.Role, status.KeyExchange, status.Cipher, status.IsResumed);
        }
    }

    /// <summary>Leaves nothing of a connect that nobody waits for any more: when this ends, its TCB is gone.</summary>
    private async ValueTask AbandonAsync(ConnectionLink link)
    {
        link.Abort();
        link.Dispose();
        try
        {
            await Host.InvokeAsync(0, static (_, _, _) => true).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // The stack is gone, and the TCB with it.
        }
    }

    /// <summary>Bounds a connect by <see cref="TcpConnectOptions.Timeout"/>, and traces it.</summary>
    private async ValueTask<TcpConnection> WithTimeoutAsync(EndPoint remote, TcpConnectOptions options, Func<CancellationToken, ValueTask<TcpConnection>> connect, CancellationToken ct)
    {
        using Activity? activity = s_activities.StartActivity("tcp connect", ActivityKind.Client);
        activity?.SetTag("network.transport", "tcp");
        bool isBounded = options.Timeout != Timeout.InfiniteTimeSpan;
        using CancellationTokenSource? timeout = isBounded ? new CancellationTokenSource(options.Timeout, Options.TimeProvider) : null;
        using CancellationTokenSource? either = isBounded ? CancellationTokenSource.CreateLinkedTokenSource(ct, timeout!.Token) : null;
        try
        {
            return await connect(either?.Token ?? ct).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (timeout is { IsCancellationRequested: true } && !ct.IsCancellationRequested)
        {
            SocketException exception = StackErrors.ConnectTimedOut(remote, options.Timeout);
            activity?.SetStatus(ActivityStatusCode.Error, "timed_out");
            throw exception;
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // With the caller's token, not with the inner one.
            throw new OperationCanceledException(ct);
        }
        catch (SocketException exception)
        {
            activity?.SetStatus(ActivityStatusCode.Error, exception.SocketErrorCode.ToString());
            throw;
        }
        catch (TcpcryptException exception)
        {
            activity?.SetStatus(ActivityStatusCode.Error, exception.Outcome.ToString());
            throw;
        }
    }
}
