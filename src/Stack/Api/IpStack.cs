using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;
using Tcpcrypt.Tcp.Crypt;
using TcpListener = Tcpcrypt.Tcp.TcpListener;

namespace Tcpcrypt;

/// <summary>A TCP/IPv4 host of its own, on a packet device. Thread-safe.</summary>
/// <remarks>
/// Unlike sockets of a kernel, nothing of it outlives the process: end it with <see cref="StopAsync"/> or <see cref="DisposeAsync"/>, or peers wait for answers that never come.
/// </remarks>
public sealed partial class IpStack : IAsyncDisposable
{
    /// <summary>How long <see cref="DisposeAsync"/> lets connections drain.</summary>
    private static readonly TimeSpan s_disposeTimeout = TimeSpan.FromSeconds(5);

    /// <summary>How long a connection that has nothing left to send may wait for the peer's FIN while the stack stops.</summary>
    private static readonly TimeSpan s_finWaitTimeout = TimeSpan.FromSeconds(1);

    private readonly PacketDevice _device;
    private readonly Lock _stopLock = new();
    private readonly CancellationTokenSource _patience = new();
    private volatile Task? _stopping;
    private KeyLog? _keyLog;

    private IpStack(PacketDevice device, IpStackOptions options)
    {
        _device = device;
        Options = options;
        Logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger<IpStack>();
        Host = new StackHost(
            device,
            new StackCoreOptions
            {
                Addresses = [.. options.Addresses],
                Routes = [.. options.Routes],
                Mtu = device.Mtu,
                Tcp = options.Tcp,
                RespondToEcho = options.RespondToEcho,
                MemoryLimit = options.MemoryLimit,
                Crypt = ToCrypt(options.Tcpcrypt, options.TimeProvider),
            },
            new StackHostOptions
            {
                TimeProvider = options.TimeProvider,
                Scheduling = options.Scheduling,
                Spin = TimeSpan.FromMicroseconds(options.SpinMicroseconds),
                Logger = Logger,
                Handshakes = new HandshakePoolOptions
                {
                    QueueSize = options.Tcpcrypt.HandshakeQueueSize,
                    Workers = options.Tcpcrypt.HandshakeWorkers ?? Environment.ProcessorCount,
                    PreparedKeys = options.Tcpcrypt.PreparedKeys,
                    PreparedRsaBits = options.Tcpcrypt.PrepareRsaKey ? options.Tcpcrypt.RsaKeySize : 0,
                    KeyLifetime = options.Tcpcrypt.KeyLifetime,
                },
            });
        OnCreated();
    }

    internal StackHost Host { get; }

    /// <summary>The stack's own copy, validated.</summary>
    internal IpStackOptions Options { get; }

    internal ILogger Logger { get; }

    internal PacketDevice Device => _device;

    /// <summary>Ends when the stack has stopped; faults with <see cref="IOException"/> when the device died. All calls pending then fail alike.</summary>
    public Task Completion => Host.Completion;

    /// <summary>Starts a stack on a device. The device stays the caller's: dispose of it after the stack.</summary>
    /// <param name="device">The device; nothing else may read or write it.</param>
    /// <param name="options">Settings; copied.</param>
    /// <param name="ct">Cancels the start.</param>
    /// <returns>A running stack.</returns>
    /// <exception cref="ArgumentException">An option is out of range; the exception names it.</exception>
    /// <exception cref="IOException"><see cref="TcpcryptOptions.KeyLogPath"/> cannot be opened, or another stack writes to it.</exception>
    /// <exception cref="UnauthorizedAccessException"><see cref="TcpcryptOptions.KeyLogPath"/> may not be written to.</exception>
    public static ValueTask<IpStack> StartAsync(PacketDevice device, IpStackOptions options, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(options);
        ct.ThrowIfCancellationRequested();
        if (device.Queues.Count == 0)
        {
            throw new ArgumentException($"The device {device.Name} has no queue.", nameof(device));
        }

        if (device.Mtu is < 68 or > PacketSlot.MaxPacketLength)
        {
            throw new ArgumentException($"The device {device.Name} has an MTU of {device.Mtu} octets; IPv4 needs 68 to 65,535.", nameof(device));
        }

        IpStack stack = new(device, options.Copy());
        stack.StartKeyLog();
        stack.Host.Start();
        StackLog.Started(stack.Logger, device.Name, device.Mtu, device.Offloads, string.Join(", ", stack.Options.Addresses));
        StackLog.TcpcryptIsOn(stack.Logger, stack.Options.Tcpcrypt.Policy, CryptoProvider.Default.Name);
        return ValueTask.FromResult(stack);
    }

    private void StartKeyLog()
    {
        if (Options.Tcpcrypt.KeyLogPath is { } path)
        {
            _keyLog = new KeyLog(path, Logger);
            Host.Core.Crypt!.OnEncrypted = _keyLog.Add;
            StackLog.KeyLogIsOn(Logger, path);
        }
    }

    /// <summary>Listens for TCP connections.</summary>
    /// <param name="local">A local address or the any-address, and a port; port 0 is chosen by the stack.</param>
    /// <param name="options">Settings; null for the defaults.</param>
    /// <param name="ct">Cancels the call.</param>
    /// <returns>A listener.</returns>
    /// <exception cref="SocketException"><see cref="SocketError.AddressAlreadyInUse"/>, <see cref="SocketError.AddressNotAvailable"/>.</exception>
    public async ValueTask<TcpConnectionListener> ListenAsync(IPEndPoint local, TcpListenOptions? options = null, CancellationToken ct = default)
    {
        Endpoint4 endpoint = ToEndpoint(local, nameof(local));
        TcpListenOptions settings = (options ?? new TcpListenOptions()).Copy();
        ct.ThrowIfCancellationRequested();
        ThrowIfStopping();
        (SocketError error, TcpConnectionListener? listener) = await Host.InvokeAsync((Stack: this, endpoint, settings), static (state, core, _) =>
        {
            (IpStack stack, Endpoint4 local, TcpListenOptions settings) = state;
            SocketError error = core.Tcp.Listen(local, settings.ToEndpointOptions(stack.Options), settings.Backlog, out TcpListener? listener);
            return (error, error == SocketError.Success ? new TcpConnectionListener(stack, listener!, settings.Scheduling ?? stack.Options.Scheduling) : null);
        }).ConfigureAwait(false);
        if (listener is null)
        {
            throw StackErrors.ListenFailed(error, local);
        }

        listener.Attach();
        StackLog.Listening(Logger, listener.LocalEndPoint, settings.Backlog);
        return listener;
    }

    /// <summary>
    /// Ends the stack: listeners close, connections may go on until their applications close them, or until the token fires; then the rest is reset. Calls pending after that fail with
    /// <see cref="ObjectDisposedException"/>. Idempotent.
    /// </summary>
    /// <param name="ct">Ends the patience, not the stop.</param>
    /// <returns>A task that ends when the stack has stopped.</returns>
    public async Task StopAsync(CancellationToken ct = default)
    {
        // Whichever call's token fires first.
        using CancellationTokenRegistration registration = ct.UnsafeRegister(static patience => ((CancellationTokenSource)patience!).Cancel(), _patience);
        Task stopping;
        lock (_stopLock)
        {
            stopping = _stopping ??= StopCoreAsync(_patience.Token);
        }

        await stopping.ConfigureAwait(false);
    }

    private void ThrowIfStopping() => ObjectDisposedException.ThrowIf(_stopping is not null, this);

    /// <summary>Closes all connections and listeners of the stack and stops it. What is queued for sending has 5 s to reach the peers; then the rest is reset. Pending calls fail with <see cref="ObjectDisposedException"/>. Idempotent.</summary>
    /// <returns>A task that ends when the stack has stopped.</returns>
    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource timeout = new(s_disposeTimeout, Options.TimeProvider);
        Task stopping = StopAsync(timeout.Token);
        foreach (IHostClient client in Host.GetClients())
        {
            if (client is ConnectionLink link)
            {
                if (link.Endpoint.IsCryptSetup)
                {
                    // Nobody has it yet and nothing was sent on it: not worth waiting for.
                    link.Abort();
                }

                link.Dispose();
            }
        }

        await stopping.ConfigureAwait(false);
    }

    private async Task StopCoreAsync(CancellationToken ct)
    {
        // Not under the caller's lock.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        OnStopping();
        foreach (IHostClient client in Host.GetClients())
        {
            if (client is IAsyncDisposable listener)
            {
                await listener.DisposeAsync().ConfigureAwait(false);
            }
        }

        await DrainAsync(ct).ConfigureAwait(false);
        int aborted = 0;
        try
        {
            aborted = await Host.InvokeAsync(0, static (_, core, now) =>
            {
                TcpEndpoint[] endpoints = [.. core.Tcp.Endpoints];
                foreach (TcpEndpoint endpoint in endpoints)
                {
                    endpoint.Abort(now);
                }

                return endpoints.Length;
            }).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // The device is gone: nobody can be told.
        }

        await Host.DisposeAsync().ConfigureAwait(false);
        if (_keyLog is { } keyLog)
        {
            await keyLog.DisposeAsync().ConfigureAwait(false);
        }

        OnStopped();
        StackLog.Stopped(Logger, _device.Name, aborted);
    }

    /// <summary>Waits until all connections are closed; not for long when only the peers' FINs are missing.</summary>
    private async Task DrainAsync(CancellationToken ct)
    {
        ConnectionLink[] links = [.. Host.GetClients().OfType<ConnectionLink>()];
        try
        {
            foreach (ConnectionLink link in links)
            {
                while (!link.IsClosed && !(link.IsDrained && link.IsDisposed))
                {
                    await link.WaitDrainedAsync(ct).ConfigureAwait(false);
                    if (!link.IsDisposed)
                    {
                        // Half-closed: the application still reads.
                        await link.WaitClosedAsync(ct).ConfigureAwait(false);
                    }
                }
            }

            using CancellationTokenSource patience = new(s_finWaitTimeout, Options.TimeProvider);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
            foreach (ConnectionLink link in links)
            {
                await link.WaitClosedAsync(either.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The patience is over.
        }
    }

    private static CryptLayerOptions ToCrypt(TcpcryptOptions options, TimeProvider time) => new()
    {
        Settings = CryptSettings.From(options),
        Kinds = new CryptOptionKinds(options.CryptOptionKind, options.MacOptionKind),
        Sessions = options.AllowResumption ? options.SessionStore ?? new TcpcryptSessionCache(time, options.SessionCacheSize, options.SessionLifetime) : null,
        AreSessionsLocal = options.SessionStore is null,
    };

    /// <summary>For the other parts of this class: the host exists and does not run yet.</summary>
    partial void OnCreated();

    /// <summary>For the other parts of this class: stop taking new work.</summary>
    partial void OnStopping();

    /// <summary>For the other parts of this class: the host runs no more.</summary>
    partial void OnStopped();

    internal static Endpoint4 ToEndpoint(IPEndPoint endPoint, string paramName)
    {
        ArgumentNullException.ThrowIfNull(endPoint, paramName);
        return Ipv4Address.TryFrom(endPoint.Address, out Ipv4Address address)
            ? new Endpoint4(address, (ushort)endPoint.Port)
            : throw new ArgumentException($"{endPoint.Address} is not an IPv4 address; this stack speaks IPv4 only.", paramName);
    }
}
