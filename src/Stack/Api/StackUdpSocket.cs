using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Udp;

namespace Tcpcrypt;

/// <summary>A UDP socket of an <see cref="IpStack"/> (RFC 768): made by <see cref="IpStack.BindUdpAsync"/>.</summary>
/// <remarks>
/// Safe for use by several threads; several receives may wait at once and are served in order. Datagrams that arrive while 256 KiB are waiting
/// are dropped and counted. Multicast and broadcast are not supported.
/// </remarks>
public sealed class StackUdpSocket : IAsyncDisposable, ICoreEventSink, IDatagramSource<UdpReceive>
{
    /// <summary>The longest payload that fits an IPv4 packet, in octets: 65,535 less the IP and UDP headers.</summary>
    internal const int MaxPayload = 65_507;

    private readonly StackHost _host;
    private readonly HostEnd _hostEnd;
    private readonly UdpEndpoint _endpoint;
    private readonly DatagramReader<UdpReceive> _reader;
    private SocketError _connectError;

    /// <summary>The peer, as a reference: other threads see the old one or the new one, not a mixture.</summary>
    private IPEndPoint? _remote;
    private bool _hasNotice;
    private int _isDisposed;

    internal StackUdpSocket(StackHost host, UdpEndpoint endpoint)
    {
        _host = host;
        _endpoint = endpoint;
        _hostEnd = new HostEnd(host, _ => End(host.StoppedReason));
        _reader = new DatagramReader<UdpReceive>(host, this);
    }

    /// <summary>The local end. The address is 0.0.0.0 when the socket was bound to all of the stack's addresses.</summary>
    public IPEndPoint LocalEndPoint => _endpoint.Local.ToIPEndPoint();

    /// <summary>The peer given to <see cref="Connect"/>; null before.</summary>
    public IPEndPoint? RemoteEndPoint => Volatile.Read(ref _remote);

    /// <summary>The time to live of what is sent: 1 to 255, 64 at first.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Zero: a host never sends it (RFC 1122 §3.2.1.7).</exception>
    public byte Ttl
    {
        get => _endpoint.TimeToLive;
        set
        {
            ArgumentOutOfRangeException.ThrowIfZero(value);
            _endpoint.TimeToLive = value;
        }
    }

    /// <summary>The type of service (DSCP and ECN) of what is sent; 0 at first.</summary>
    public byte TypeOfService
    {
        get => _endpoint.TypeOfService;
        set => _endpoint.TypeOfService = value;
    }

    /// <summary>Fixes or changes the peer: only its datagrams are received, and ICMP errors about what is sent to it are reported by the next call (RFC 1122 §4.1.3.3).</summary>
    /// <param name="remote">The peer; its port is not 0.</param>
    /// <remarks>Does not wait. When the stack is busy at this moment, an error is thrown by the next send or receive instead.</remarks>
    /// <exception cref="ArgumentException"><paramref name="remote"/> is not an IPv4 end point with a port.</exception>
    /// <exception cref="SocketException">There is no route to the peer (NetworkUnreachable).</exception>
    /// <exception cref="ObjectDisposedException">The socket was disposed.</exception>
    public void Connect(IPEndPoint remote)
    {
        Endpoint4 target = ApiArgument.Remote(remote);
        ThrowIfDisposed();
        ValueTask<SocketError> connected = _host.InvokeAsync((_endpoint, target), static (state, _, now) => state._endpoint.Connect(now, state.target));
        if (!connected.IsCompleted)
        {
            Volatile.Write(ref _remote, target.ToIPEndPoint());
            _ = KeepErrorAsync(connected);
            return;
        }

#pragma warning disable CA1849 // Completed: nothing waits here.
        ThrowIfError(connected.Result);
#pragma warning restore CA1849
        Volatile.Write(ref _remote, target.ToIPEndPoint());
    }

    /// <summary>Sends one datagram.</summary>
    /// <param name="datagram">The payload: 0 to 65,507 octets. Fragmented when longer than the path's MTU. It must not change before the call completes.</param>
    /// <param name="remote">The receiver; its port is not 0.</param>
    /// <param name="cancellationToken">Looked at before the datagram is handed to the stack; after that it is sent.</param>
    /// <returns>The number of octets sent: all of them.</returns>
    /// <exception cref="ArgumentException"><paramref name="remote"/> is not an IPv4 end point with a port.</exception>
    /// <exception cref="SocketException">Longer than 65,507 octets (MessageSize), no route (NetworkUnreachable), no room in the stack's output queue
    /// (NoBufferSpaceAvailable), or an ICMP error about an earlier datagram of a connected socket.</exception>
    /// <exception cref="ObjectDisposedException">The socket was disposed or the stack stopped.</exception>
    public ValueTask<int> SendToAsync(ReadOnlyMemory<byte> datagram, IPEndPoint remote, CancellationToken cancellationToken = default) =>
        Send(datagram, ApiArgument.Remote(remote), cancellationToken);

    /// <summary>Sends one datagram to the peer given to <see cref="Connect"/>.</summary>
    /// <param name="datagram">The payload: 0 to 65,507 octets. It must not change before the call completes.</param>
    /// <param name="cancellationToken">Looked at before the datagram is handed to the stack; after that it is sent.</param>
    /// <returns>The number of octets sent: all of them.</returns>
    /// <exception cref="SocketException">As for <see cref="SendToAsync"/>; NotConnected without a peer.</exception>
    /// <exception cref="ObjectDisposedException">The socket was disposed or the stack stopped.</exception>
    public ValueTask<int> SendAsync(ReadOnlyMemory<byte> datagram, CancellationToken cancellationToken = default) =>
        Volatile.Read(ref _remote) is { } remote
            ? Send(datagram, ApiArgument.Remote(remote), cancellationToken)
            : ValueTask.FromException<int>(new SocketException((int)SocketError.NotConnected));

    /// <summary>Receives one datagram; waits for it when none is there.</summary>
    /// <param name="buffer">Gets the payload. What does not fit is lost, and <see cref="UdpReceive.Truncated"/> says so. It must not be used before the call completes.</param>
    /// <param name="cancellationToken">Ends the wait; no datagram is lost by it.</param>
    /// <returns>What was received.</returns>
    /// <exception cref="SocketException">An ICMP error about a datagram that was sent to the connected peer, such as ConnectionRefused.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The socket was disposed or the stack stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public ValueTask<UdpReceive> ReceiveFromAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _reader.ReadAsync(buffer, cancellationToken);

    /// <summary>Closes the socket. Waiting receives fail with <see cref="ObjectDisposedException"/>; what was sent is sent.</summary>
    /// <returns>A completed task.</returns>
    public ValueTask DisposeAsync()
    {
        if (End(static () => new ObjectDisposedException(nameof(StackUdpSocket))))
        {
            _hostEnd.Detach();
            _host.Post(_endpoint, static (endpoint, _, now) => endpoint.Close(now));
        }

        return ValueTask.CompletedTask;
    }

    internal void Attach() => _hostEnd.Attach();

    void ICoreEventSink.OnCoreEvents(CoreEvents events)
    {
        if ((events & CoreEvents.Notice) != 0)
        {
            Volatile.Write(ref _hasNotice, true);
        }

        if ((events & (CoreEvents.Readable | CoreEvents.Notice)) != 0)
        {
            _reader.Wake(onPool: false);
        }
    }

    bool IDatagramSource<UdpReceive>.HasNews => Volatile.Read(ref _hasNotice) || _connectError != SocketError.Success || _endpoint.QueuedDatagrams > 0;

    bool IDatagramSource<UdpReceive>.TryTake(Span<byte> buffer, out UdpReceive result, out Exception? error)
    {
        result = default;
        error = null;
        if (TakeError() is var pending && pending != SocketError.Success)
        {
            error = new SocketException((int)pending);
            return true;
        }

        if (!_endpoint.TryReceive(buffer, out UdpArrival arrival))
        {
            return false;
        }

        result = new UdpReceive(arrival.Count, arrival.Remote.ToIPEndPoint(), arrival.LocalAddress.ToIPAddress(), arrival.Length > arrival.Count);
        return true;
    }

    private ValueTask<int> Send(ReadOnlyMemory<byte> datagram, Endpoint4 remote, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        ThrowIfDisposed();
        SocketError error = datagram.Length > MaxPayload ? SocketError.MessageSize : TakeError();
        if (error != SocketError.Success)
        {
            return ValueTask.FromException<int>(new SocketException((int)error));
        }

        ValueTask<SocketError> sent = _host.InvokeAsync(
            (_endpoint, datagram, remote),
            static (state, _, now) => state._endpoint.Send(now, state.datagram.Span, state.remote));
        return CompleteAsync(sent, datagram.Length);

        static async ValueTask<int> CompleteAsync(ValueTask<SocketError> sent, int length)
        {
            ThrowIfError(await sent.ConfigureAwait(false));
            return length;
        }
    }

    private SocketError TakeError()
    {
        if (_connectError != SocketError.Success)
        {
            SocketError error = _connectError;
            _connectError = SocketError.Success;
            return error;
        }

        if (Volatile.Read(ref _hasNotice))
        {
            Volatile.Write(ref _hasNotice, false);
            return _endpoint.TakeError();
        }

        return SocketError.Success;
    }

    private async Task KeepErrorAsync(ValueTask<SocketError> connected)
    {
        try
        {
            _connectError = await connected.ConfigureAwait(false);
        }
        catch (Exception error) when (error is ObjectDisposedException or IOException)
        {
            // The stack has ended meanwhile; every later call says so.
            return;
        }

        if (_connectError != SocketError.Success)
        {
            _reader.Wake(onPool: true);
        }
    }

    private bool End(Func<Exception> reason)
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return false;
        }

        _reader.Close(reason);
        return true;
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);

    private static void ThrowIfError(SocketError error)
    {
        if (error != SocketError.Success)
        {
            throw new SocketException((int)error);
        }
    }
}
