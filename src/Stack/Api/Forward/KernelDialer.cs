using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Tcpcrypt;

/// <summary>A dial was refused because it would come back to the stack.</summary>
internal sealed class RelayLoopException(IPAddress local) : Exception("The route leads back to the stack.")
{
    public IPAddress Local { get; } = local;
}

/// <summary>Makes the kernel's sockets for a <see cref="Relay"/>: marked, bound to a device, never back into the stack's own link.</summary>
internal sealed class KernelDialer
{
    // asm-generic/socket.h: the same on x64, arm64 and arm.
    private const int SolSocket = 1;
    private const int SoBindToDevice = 25;
    private const int SoMark = 36;

    private readonly RelayOptions _options;
    private readonly HashSet<IPAddress> _linkAddresses;

    public KernelDialer(RelayOptions options)
    {
        _options = options;
        _linkAddresses = [.. options.LinkAddresses];
        if (options.Mark is not null || options.BindToDevice is not null)
        {
            // Missing privileges and misspelt names are found now, not with the first client.
            Create(SocketType.Dgram).Dispose();
        }
    }

    /// <summary>Connects a TCP socket; throws <see cref="SocketException"/>, TimedOut after the connect time-out.</summary>
    public async ValueTask<Socket> ConnectTcpAsync(IPEndPoint target, CancellationToken cancellationToken)
    {
        if (_linkAddresses.Count > 0)
        {
            ConnectUdp(target).Dispose();
        }

        Socket socket = Create(SocketType.Stream);
        try
        {
            socket.NoDelay = true;
            if (_options.KeepAlive is { } keepAlive)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, Seconds(keepAlive.Idle));
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, Seconds(keepAlive.Interval));
                socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, keepAlive.Count);
            }

            using CancellationTokenSource timeout = new(_options.ConnectTimeout, _options.TimeProvider);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
            try
            {
                await socket.ConnectAsync(target, either.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new SocketException((int)SocketError.TimedOut);
            }

            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A connected UDP socket. Connecting it makes the kernel choose the route, mark and device included, and with it the local address: no packet is sent.</summary>
    public Socket ConnectUdp(IPEndPoint target)
    {
        Socket socket = Create(SocketType.Dgram);
        try
        {
            socket.Connect(target);
            IPAddress local = ((IPEndPoint)socket.LocalEndPoint!).Address;

            // A connection to the link address itself stays inside the kernel.
            if (_linkAddresses.Contains(local) && !target.Address.Equals(local))
            {
                throw new RelayLoopException(local);
            }

            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private Socket Create(SocketType type)
    {
        Socket socket = new(AddressFamily.InterNetwork, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp);
        string option = "SO_MARK";
        try
        {
            if (_options.Mark is { } mark)
            {
                Span<byte> value = stackalloc byte[sizeof(int)];
                if (BitConverter.IsLittleEndian)
                {
                    BinaryPrimitives.WriteInt32LittleEndian(value, mark);
                }
                else
                {
                    BinaryPrimitives.WriteInt32BigEndian(value, mark);
                }

                socket.SetRawSocketOption(SolSocket, SoMark, value);
            }

            option = "SO_BINDTODEVICE";
            if (_options.BindToDevice is { } device)
            {
                socket.SetRawSocketOption(SolSocket, SoBindToDevice, Encoding.ASCII.GetBytes(device + '\0'));
            }

            return socket;
        }
        catch (SocketException error)
        {
            socket.Dispose();
            string cure = option == "SO_MARK" ? "it needs CAP_NET_ADMIN" : $"is there an interface {_options.BindToDevice}? Without CAP_NET_RAW an unbound socket may be bound only once";
            throw new InvalidOperationException($"setsockopt({option}) failed: {cure}.", error);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static int Seconds(TimeSpan time) => (int)Math.Clamp(Math.Ceiling(time.TotalSeconds), 1, 32_767);
}
