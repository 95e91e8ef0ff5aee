using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace Tcpcrypt.Testing;

/// <summary>
/// A non-blocking BSD socket on a <see cref="SteppedStack"/>. Each call returns a <see cref="SocketError"/> and never throws for what a program could
/// meet on a real socket; which error it is follows Linux.
/// </summary>
/// <remarks>
/// Errno names: EAGAIN = WouldBlock, EINPROGRESS = InProgress, EALREADY = AlreadyInProgress, EISCONN = IsConnected, ENOTCONN = NotConnected,
/// EPIPE = Shutdown, ECONNREFUSED = ConnectionRefused, ECONNRESET = ConnectionReset, ECONNABORTED = ConnectionAborted, ETIMEDOUT = TimedOut,
/// EADDRINUSE = AddressAlreadyInUse, EADDRNOTAVAIL = AddressNotAvailable, EHOSTUNREACH = HostUnreachable, ENETUNREACH = NetworkUnreachable,
/// EINVAL = InvalidArgument, ENOPROTOOPT = ProtocolOption, EOPNOTSUPP = OperationNotSupported, EMSGSIZE = MessageSize, EDESTADDRREQ =
/// DestinationAddressRequired, EBADF (closed before) = NotSocket.
/// </remarks>
public sealed class SteppedSocket
{
    private readonly SocketCore _core;
    private bool _isClosed;

    internal SteppedSocket(SocketCore core) => _core = core;

    /// <summary>The local end; 0.0.0.0:0 before it is bound.</summary>
    public IPEndPoint LocalEndPoint => _core.Local.ToIPEndPoint();

    /// <summary>The remote end, or null when not connected.</summary>
    public IPEndPoint? RemoteEndPoint => _core.Remote?.ToIPEndPoint();

    /// <summary>The connection's state; Closed without one, Unknown for UDP.</summary>
    public TcpState State => _core.State;

    /// <summary>Octets that can be received now (SIOCINQ); for UDP those of the queued datagrams.</summary>
    public int Readable => _isClosed ? 0 : _core.Readable;

    /// <summary>Octets accepted by <see cref="Send"/> and never sent so far (SIOCOUTQNSD).</summary>
    public int Unsent => _isClosed ? 0 : _core.Unsent;

    /// <summary>Octets accepted by <see cref="Send"/> and not yet acknowledged by the peer, sent or not (SIOCOUTQ).</summary>
    public int Unacknowledged => _isClosed ? 0 : _core.Unacknowledged;

    /// <summary>Octets of urgent data that are still ahead of the reader; null without urgent data (RFC 9293 MUST-33).</summary>
    public int? UrgentAhead => _isClosed ? null : _core.UrgentAhead;

    /// <summary>What tcpcrypt has done for the connection; null where the stack has none, and for a socket without a connection.</summary>
    public TcpcryptStatus? Tcpcrypt => _core.Tcpcrypt;

    /// <summary>Asks for new keys (<see cref="TcpConnection.RekeyAsync"/>).</summary>
    /// <returns>False where there is no re-keying.</returns>
    public bool Rekey() => _core.Rekey();

    /// <summary>Sees to it that no later connection resumes this one's session.</summary>
    public void FlushTcpcryptSession() => _core.FlushTcpcryptSession();

    /// <summary>Binds to a local address and port.</summary>
    /// <param name="local">The address, 0.0.0.0 = all; the port, 0 = a free one.</param>
    /// <returns>Success; InvalidArgument (bound or connected already), AddressNotAvailable (not the stack's), AddressAlreadyInUse, AddressFamilyNotSupported.</returns>
    public SocketError Bind(IPEndPoint local)
    {
        ArgumentNullException.ThrowIfNull(local);
        return _isClosed ? SocketError.NotSocket : _core.Bind(local);
    }

    /// <summary>Starts listening, on a free port when the socket is not bound; on a listening socket changes the backlog.</summary>
    /// <param name="backlog">Connections that may wait to be accepted; as on Linux one more may, and less than 0 is taken for 0.</param>
    /// <returns>Success; InvalidArgument (connected), AddressAlreadyInUse, OperationNotSupported (UDP).</returns>
    public SocketError Listen(int backlog) => _isClosed ? SocketError.NotSocket : _core.Listen(backlog);

    /// <summary>Takes an established connection from the queue.</summary>
    /// <param name="connection">The connection, or null.</param>
    /// <returns>Success; WouldBlock, InvalidArgument (not listening), OperationNotSupported (UDP).</returns>
    public SocketError Accept(out SteppedSocket? connection)
    {
        connection = null;
        if (_isClosed)
        {
            return SocketError.NotSocket;
        }

        SocketError error = _core.Accept(out SocketCore? core);
        if (core is not null)
        {
            connection = new SteppedSocket(core);
        }

        return error;
    }

    /// <summary>Opens a connection; for UDP sets the peer.</summary>
    /// <param name="remote">The remote end.</param>
    /// <returns>
    /// InProgress when the SYN went out: the socket becomes writable (<see cref="Poll"/>) when it is decided, and <see cref="TakeError"/> tells how. A further
    /// call returns AlreadyInProgress, then Success once, then IsConnected; after a failure the pending error once (ConnectionAborted when it was taken already),
    /// and then the socket can connect anew. At once: NetworkUnreachable, HostUnreachable, AddressNotAvailable, AddressAlreadyInUse, AddressFamilyNotSupported.
    /// </returns>
    public SocketError Connect(IPEndPoint remote)
    {
        ArgumentNullException.ThrowIfNull(remote);
        return _isClosed ? SocketError.NotSocket : _core.Connect(remote);
    }

    /// <summary>Queues octets to be sent, as many as there is room for; for UDP sends one datagram to the peer.</summary>
    /// <param name="data">The octets.</param>
    /// <param name="sent">How many were taken.</param>
    /// <param name="flags">OutOfBand: everything queued so far becomes urgent. <see cref="SteppedSocketFlags.More"/> and <see cref="SteppedSocketFlags.EndOfRecord"/>, when all octets were taken.</param>
    /// <returns>Success; WouldBlock (no room, or connecting), Shutdown (sending side shut, no connection, or connection lost), the pending error once, OperationNotSupported (other flags).</returns>
    public SocketError Send(ReadOnlySpan<byte> data, out int sent, SocketFlags flags = SocketFlags.None)
    {
        sent = 0;
        return _isClosed ? SocketError.NotSocket
            : (flags & ~(SocketFlags.OutOfBand | SteppedSocketFlags.More | SteppedSocketFlags.EndOfRecord)) != 0 ? SocketError.OperationNotSupported
            : _core.Send(data, out sent, flags);
    }

    /// <summary>Sends one UDP datagram; on TCP the address is ignored, as Linux does on a connected socket.</summary>
    /// <param name="data">The payload: up to 65,507 octets.</param>
    /// <param name="remote">Where to.</param>
    /// <param name="sent">How many octets were taken.</param>
    /// <returns>Success; MessageSize, NetworkUnreachable, the pending error once.</returns>
    public SocketError SendTo(ReadOnlySpan<byte> data, IPEndPoint remote, out int sent)
    {
        ArgumentNullException.ThrowIfNull(remote);
        sent = 0;
        return _isClosed ? SocketError.NotSocket : _core.SendTo(data, remote, out sent);
    }

    /// <summary>Receives what is there, at most as much as fits; for UDP one datagram, cut to what fits.</summary>
    /// <param name="into">Where to put it.</param>
    /// <param name="received">How many octets; 0 with Success is the end of the stream.</param>
    /// <param name="flags">Peek: the octets stay. Truncated: the octets are thrown away, not copied (TCP; Linux: MSG_TRUNC). OutOfBand gives InvalidArgument, for urgent data stays in the stream: a receive ends with the last urgent octet at the latest, and <see cref="UrgentAhead"/> tells how far that is.</param>
    /// <returns>Success; WouldBlock, NotConnected, the pending error once (after the data that came before it), OperationNotSupported (other flags).</returns>
    public SocketError Receive(Span<byte> into, out int received, SocketFlags flags = SocketFlags.None) => ReceiveFrom(into, out received, out _, flags);

    /// <summary>As <see cref="Receive"/>, and tells who sent it.</summary>
    /// <param name="into">Where to put it.</param>
    /// <param name="received">How many octets.</param>
    /// <param name="remote">Who sent the datagram; null on TCP.</param>
    /// <param name="flags">As for <see cref="Receive"/>.</param>
    /// <returns>As <see cref="Receive"/>.</returns>
    public SocketError ReceiveFrom(Span<byte> into, out int received, out IPEndPoint? remote, SocketFlags flags = SocketFlags.None)
    {
        received = 0;
        remote = null;
        return _isClosed ? SocketError.NotSocket
            : (flags & SocketFlags.OutOfBand) != 0 ? SocketError.InvalidArgument
            : (flags & ~(SocketFlags.Peek | SocketFlags.Truncated)) != 0 ? SocketError.OperationNotSupported
            : _core.Receive(into, flags, out received, out remote);
    }

    /// <summary>Shuts one direction or both. Send: queued octets go out, then FIN. Receive: further receives find the end of the stream once they have taken what is queued; nothing is told to the peer.</summary>
    /// <param name="how">Which direction.</param>
    /// <returns>Success; NotConnected, InvalidArgument.</returns>
    /// <remarks>On a listening socket Receive or Both ends listening; on a connecting one the attempt is given up.</remarks>
    public SocketError Shutdown(SocketShutdown how) =>
        _isClosed ? SocketError.NotSocket
        : how is SocketShutdown.Send or SocketShutdown.Receive or SocketShutdown.Both ? _core.Shutdown(how is not SocketShutdown.Send, how is not SocketShutdown.Receive)
        : SocketError.InvalidArgument;

    /// <summary>Lets go of the socket: queued octets go out in the background, then FIN. RST instead when received octets are unread or linger is 0. A listening socket resets the connections nobody has accepted.</summary>
    /// <returns>Success; NotSocket when closed before.</returns>
    public SocketError Close()
    {
        if (_isClosed)
        {
            return SocketError.NotSocket;
        }

        _isClosed = true;
        _core.Close();
        return SocketError.Success;
    }

    /// <summary>Sets an option; at once effective on a connection, and inherited by the connections of a listening socket.</summary>
    /// <param name="option">The option.</param>
    /// <param name="value">Its value; see <see cref="SteppedSocketOption"/> for units and ranges.</param>
    /// <returns>Success; InvalidArgument (out of range), ProtocolOption (no such option here, or not to be set).</returns>
    public SocketError SetOption(SteppedSocketOption option, long value) => _isClosed ? SocketError.NotSocket : _core.SetOption(option, value);

    /// <summary>Sets an option whose value is a name: <see cref="SteppedSocketOption.CongestionControl"/> ("cubic"; "newreno", or "reno" as Linux calls it).</summary>
    /// <param name="option">The option.</param>
    /// <param name="value">The name; upper and lower case are the same.</param>
    /// <returns>Success; InvalidArgument (no such name; Linux says ENOENT, which has no <see cref="SocketError"/>), ProtocolOption.</returns>
    public SocketError SetOption(SteppedSocketOption option, string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (_isClosed || option != SteppedSocketOption.CongestionControl)
        {
            return _isClosed ? SocketError.NotSocket : SocketError.ProtocolOption;
        }

        string name = string.Equals(value, "reno", StringComparison.OrdinalIgnoreCase) ? nameof(CongestionControl.NewReno) : value;
        return Enum.TryParse(name, ignoreCase: true, out CongestionControl control) && Enum.IsDefined(control) && !int.TryParse(name, out _)
            ? _core.SetOption(option, (long)control)
            : SocketError.InvalidArgument;
    }

    /// <summary>Reads an option.</summary>
    /// <param name="option">The option.</param>
    /// <param name="value">Its value.</param>
    /// <returns>Success; ProtocolOption (no such option here).</returns>
    public SocketError GetOption(SteppedSocketOption option, out long value)
    {
        value = 0;
        return _isClosed ? SocketError.NotSocket : _core.GetOption(option, out value);
    }

    /// <summary>Reads an option whose value is a name.</summary>
    /// <param name="option">The option.</param>
    /// <param name="value">Its value in lower case.</param>
    /// <returns>Success; ProtocolOption (the option's value is no name).</returns>
    public SocketError GetOption(SteppedSocketOption option, out string value)
    {
        value = "";
        if (option != SteppedSocketOption.CongestionControl)
        {
            return _isClosed ? SocketError.NotSocket : SocketError.ProtocolOption;
        }

        SocketError error = GetOption(option, out long number);
        if (error == SocketError.Success)
        {
            value = ((CongestionControl)number).ToString().ToLowerInvariant();
        }

        return error;
    }

    /// <summary>What could be done now without waiting, as poll(2) would tell.</summary>
    /// <returns>The flags.</returns>
    public SteppedPollFlags Poll() => _isClosed ? SteppedPollFlags.Invalid : _core.Poll();

    /// <summary>Takes the pending error and clears it (SO_ERROR); a soft error, such as an ICMP report on a live connection, when there is no hard one.</summary>
    /// <returns>The error; Success when none is pending.</returns>
    public SocketError TakeError() => _isClosed ? SocketError.Success : _core.TakeError();

    /// <summary>The connection's variables (TCP_INFO).</summary>
    /// <returns>A snapshot; all zero without a connection.</returns>
    public TcpInfo GetInfo() => _isClosed ? new TcpInfo() : _core.GetInfo();
}
