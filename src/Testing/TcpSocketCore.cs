using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp;
using TcpListener = Tcpcrypt.Tcp.TcpListener;

namespace Tcpcrypt.Testing;

/// <summary>TCP socket semantics over <see cref="TcpEndpoint"/> and <see cref="TcpListener"/>, modelled on the observable behaviour of Linux.</summary>
internal sealed class TcpSocketCore : SocketCore
{
    private readonly TcpEndpointOptions _initialOptions;
    private Phase _phase;
    private Endpoint4? _bound;
    private TcpListener? _listener;
    private TcpEndpoint? _endpoint;
    private bool _isReadShut;
    private bool _isWriteShut;

    /// <summary>TCP_NOTSENT_LOWAT; 0 = none.</summary>
    private long _notSentLowWater;

    /// <summary>SO_RCVLOWAT.</summary>
    private long _receiveLowWater = 1;

    /// <summary>The endpoint's error that the application has already been told.</summary>
    private SocketError _takenError;

    /// <summary>An error of the socket itself, pending.</summary>
    private SocketError _ownError;

    public TcpSocketCore(SteppedStack stack)
        : base(stack)
    {
        _initialOptions = TcpEndpointOptions.From(stack.Core.Options.Tcp);
        stack.Ports.Add(this);
    }

    /// <summary>A socket on a connection that there is already: from a listener, or from a forwarder.</summary>
    public TcpSocketCore(SteppedStack stack, TcpEndpoint accepted)
        : base(stack)
    {
        _initialOptions = accepted.Options;
        _endpoint = accepted;
        _bound = accepted.Tuple.Local;
        _phase = Phase.Connected;
        stack.Ports.Add(this);
    }

    /// <summary>The socket's own state beside the connection's.</summary>
    private enum Phase
    {
        Unconnected,
        Connecting,
        Connected,
    }

    public override Endpoint4 Local => _endpoint?.Tuple.Local ?? _listener?.Local ?? _bound ?? default;

    public override Endpoint4? Remote => _endpoint?.Tuple.Remote;

    public override TcpState State => _listener is not null ? TcpState.Listen : _endpoint?.State ?? TcpState.Closed;

    public override int Readable => (int)(_endpoint?.ReceiveQueue.Length ?? 0);

    public override int Unsent => (int)(LiveEndpoint?.Unsent ?? 0);

    public override int Unacknowledged => (int)(LiveEndpoint?.SendQueue.Length ?? 0);

    public override int? UrgentAhead => _endpoint?.UrgentOctetsAhead;

    /// <summary>What the port is reserved for: the end it is bound to, or null.</summary>
    internal Endpoint4? Reserved => _endpoint?.Tuple.Local ?? _bound;

    internal bool IsListening => _listener is not null;

    internal TcpEndpointOptions Options => _endpoint?.Options ?? _listener?.Options ?? _initialOptions;

    private TcpEndpoint? LiveEndpoint => _endpoint is { IsClosed: false } endpoint ? endpoint : null;

    /// <summary>True in SYN-SENT and SYN-RECEIVED, and while tcpcrypt's handshake is under way.</summary>
    private bool IsHandshaking => _endpoint is { IsHandshaking: true };

    public override TcpcryptStatus? Tcpcrypt => _endpoint?.CryptStatus;

    public override bool Rekey()
    {
        bool isAsked = LiveEndpoint?.RequestRekey(Stack.Now) >= 0;
        Stack.Flush();
        return isAsked;
    }

    public override void FlushTcpcryptSession() => _endpoint?.FlushCryptSession();

    public override SocketError Bind(IPEndPoint local)
    {
        if (_bound is not null || _endpoint is not null)
        {
            return SocketError.InvalidArgument;
        }

        if (!Stack.TryConvert(local, out Endpoint4 end))
        {
            return SocketError.AddressFamilyNotSupported;
        }

        if (!end.Address.IsAny && !Stack.Core.Ip.IsLocalAddress(end.Address))
        {
            return SocketError.AddressNotAvailable;
        }

        if (end.Port == 0)
        {
            if (Stack.Ports.TryChoose(this, end.Address) is not { } port)
            {
                return SocketError.AddressAlreadyInUse;
            }

            end = end with { Port = port };
        }
        else if (!Stack.Ports.IsFree(this, end))
        {
            return SocketError.AddressAlreadyInUse;
        }

        _bound = end;
        return SocketError.Success;
    }

    public override SocketError Listen(int backlog)
    {
        // Linux lets one connection more than the backlog wait.
        backlog = Math.Clamp(backlog, 0, 65_534) + 1;
        if (_listener is not null)
        {
            _listener.Backlog = backlog;
            return SocketError.Success;
        }

        if (_endpoint is not null)
        {
            return SocketError.InvalidArgument;
        }

        if (_bound is null && Bind(new IPEndPoint(IPAddress.Any, 0)) is not SocketError.Success and var bindError)
        {
            return bindError;
        }

        // Several sockets may be bound to one port with reuse-address; only one of them may listen.
        SocketError error = Stack.Ports.IsFree(this, _bound!.Value)
            ? Stack.Core.Tcp.Listen(_bound.Value, _initialOptions, backlog, out _listener)
            : SocketError.AddressAlreadyInUse;
        Stack.Flush();
        return error;
    }

    public override SocketError Accept(out SocketCore? connection)
    {
        connection = null;
        if (_listener is null)
        {
            return SocketError.InvalidArgument;
        }

        if (!_listener.TryAccept(out TcpEndpoint endpoint))
        {
            return SocketError.WouldBlock;
        }

        connection = new TcpSocketCore(Stack, endpoint) { _notSentLowWater = _notSentLowWater, _receiveLowWater = _receiveLowWater };
        Stack.Flush();
        return SocketError.Success;
    }

    public override SocketError Connect(IPEndPoint remote)
    {
        if (_listener is not null || _phase == Phase.Connected)
        {
            return SocketError.IsConnected;
        }

        if (_phase == Phase.Connecting)
        {
            return IsHandshaking ? SocketError.AlreadyInProgress : CompleteConnect();
        }

        if (!Stack.TryConvert(remote, out Endpoint4 to))
        {
            return SocketError.AddressFamilyNotSupported;
        }

        Endpoint4? from = _bound;
        if (_bound is { Address.IsAny: true } bound)
        {
            if (!Stack.TryGetSource(to.Address, out Ipv4Address source))
            {
                return SocketError.NetworkUnreachable;
            }

            from = bound with { Address = source };
        }

        SocketError error = Stack.Core.Tcp.Connect(Stack.Now, from, to, _initialOptions, out TcpEndpoint? endpoint);
        if (error != SocketError.Success || endpoint is null)
        {
            Stack.Flush();
            return error;
        }

        _endpoint = endpoint;
        _takenError = SocketError.Success;
        _isReadShut = false;
        _isWriteShut = false;
        _phase = Phase.Connecting;
        Stack.Flush();

        // A connection to one of the stack's own addresses is decided by now.
        return IsHandshaking ? SocketError.InProgress : CompleteConnect();
    }

    public override SocketError Send(ReadOnlySpan<byte> data, out int sent, SocketFlags flags)
    {
        sent = 0;
        if (IsHandshaking)
        {
            return SocketError.WouldBlock;
        }

        if (LiveEndpoint is not { IsWriteClosed: false } endpoint || _isWriteShut || PendingError != SocketError.Success)
        {
            return TakeHardError() is not SocketError.Success and var pending ? pending : SocketError.Shutdown;
        }

        if (data.IsEmpty)
        {
            return SocketError.Success;
        }

        sent = _notSentLowWater > 0 && endpoint.Unsent >= _notSentLowWater ? 0 : Math.Min(data.Length, endpoint.SendSpace);
        if (sent == 0)
        {
            return SocketError.WouldBlock;
        }

        endpoint.SendQueue.Append(data[..sent]);

        // Only when all of it was taken is its last octet the end of urgent data, or of a record.
        bool isWhole = sent == data.Length;
        if (isWhole && (flags & SocketFlags.OutOfBand) != 0)
        {
            endpoint.OnSendUrgent(Stack.Now);
        }

        endpoint.OnSend(Stack.Now, isWhole && (flags & SteppedSocketFlags.More) != 0, isWhole && (flags & SteppedSocketFlags.EndOfRecord) != 0);

        Stack.Flush();
        return SocketError.Success;
    }

    public override SocketError SendTo(ReadOnlySpan<byte> data, IPEndPoint remote, out int sent) => Send(data, out sent, SocketFlags.None);

    public override SocketError Receive(Span<byte> into, SocketFlags flags, out int received, out IPEndPoint? remote)
    {
        received = 0;
        remote = null;
        if (_endpoint is null)
        {
            return TakeHardError() is not SocketError.Success and var own ? own : SocketError.NotConnected;
        }

        if (_endpoint.ReceiveQueue.Length > 0)
        {
            if (_endpoint.UrgentOctetsAhead is > 0 and int mark && into.Length > mark)
            {
                into = into[..mark];
            }

            bool isPeek = (flags & SocketFlags.Peek) != 0;
            if ((flags & SocketFlags.Truncated) != 0)
            {
                received = (int)Math.Min(into.Length, _endpoint.ReceiveQueue.Length);
                if (!isPeek)
                {
                    _endpoint.ReceiveQueue.Release(_endpoint.ReceiveQueue.Head + received);
                }
            }
            else
            {
                received = isPeek ? _endpoint.ReceiveQueue.PeekInto(into) : _endpoint.ReceiveQueue.Read(into);
            }

            if (!isPeek && received > 0)
            {
                _endpoint.OnReceive(Stack.Now);
                Stack.Flush();
            }

            return SocketError.Success;
        }

        if (_endpoint.IsFinReceived)
        {
            return SocketError.Success;
        }

        if (PendingError != SocketError.Success)
        {
            return TakeHardError();
        }

        // Behind a reset whose error was taken comes the end of the stream (Linux: RCV_SHUTDOWN).
        return _isReadShut || _endpoint.IsClosed || _endpoint.IsReadClosed ? SocketError.Success : SocketError.WouldBlock;
    }

    public override SocketError Shutdown(bool read, bool write)
    {
        if (_listener is not null)
        {
            if (read)
            {
                _listener.Close(Stack.Now);
                _listener = null;
                Stack.Flush();
            }

            return SocketError.Success;
        }

        if (LiveEndpoint is not { } endpoint)
        {
            _isReadShut |= read;
            _isWriteShut |= write;
            return SocketError.NotConnected;
        }

        if (endpoint.State == TcpState.SynSent)
        {
            endpoint.Close(Stack.Now);
            Disconnect();
            _ownError = SocketError.ConnectionReset;
            Stack.Flush();
            return SocketError.Success;
        }

        // Reading: as on Linux nothing changes on the wire; what arrives is queued and acknowledged within the window. TcpEndpoint.CloseReceive would discard it.
        _isReadShut |= read;
        if (write && !_isWriteShut)
        {
            _isWriteShut = true;
            endpoint.CloseSend(Stack.Now);
        }

        Stack.Flush();
        return SocketError.Success;
    }

    public override void Close()
    {
        if (_endpoint is not null)
        {
            Stack.Ports.OnClose(_endpoint);
        }

        _listener?.Close(Stack.Now);
        _endpoint?.Close(Stack.Now);
        Stack.Ports.Remove(this);
        Stack.Flush();
    }

    public override SocketError SetOption(SteppedSocketOption option, long value)
    {
        if (option == SteppedSocketOption.NotSentLowWater)
        {
            if (value is < 0 or > uint.MaxValue)
            {
                return SocketError.InvalidArgument;
            }

            _notSentLowWater = value;
            return SocketError.Success;
        }

        if (option == SteppedSocketOption.ReceiveLowWater)
        {
            if (value is < 0 or > int.MaxValue)
            {
                return SocketError.InvalidArgument;
            }

            _receiveLowWater = Math.Max(value, 1);
            return SocketError.Success;
        }

        SocketError error = TcpSocketOptions.Set(Options, Stack.Core.Options.Tcp, option, value);
        if (error == SocketError.Success)
        {
            LiveEndpoint?.OnOptionsChanged(Stack.Now);
            if (option == SteppedSocketOption.NoDelay && value != 0)
            {
                LiveEndpoint?.OnNoDelay(Stack.Now);
            }

            Stack.Flush();
        }

        return error;
    }

    public override SocketError GetOption(SteppedSocketOption option, out long value)
    {
        switch (option)
        {
            case SteppedSocketOption.Error:
                value = (long)TakeError();
                return SocketError.Success;
            case SteppedSocketOption.NotSentLowWater:
                value = _notSentLowWater;
                return SocketError.Success;
            case SteppedSocketOption.ReceiveLowWater:
                value = _receiveLowWater;
                return SocketError.Success;
            case SteppedSocketOption.AcceptConnections:
                value = IsListening ? 1 : 0;
                return SocketError.Success;
            case SteppedSocketOption.MaximumSegment when LiveEndpoint is { } endpoint && !IsHandshaking:
                value = endpoint.GetInfo(Stack.Now).SendMss;
                return SocketError.Success;
            case SteppedSocketOption.SendBuffer when Options.SendBufferSize == 0:
                value = _endpoint?.SendBufferSize ?? Options.FirstSendBuffer(Stack.Core.Options.Tcp);
                return SocketError.Success;
            case SteppedSocketOption.ReceiveBuffer when Options.ReceiveBufferSize == 0:
                value = _endpoint?.ReceiveBufferSize ?? Options.FirstReceiveBuffer(Stack.Core.Options.Tcp);
                return SocketError.Success;
            default:
                return TcpSocketOptions.Get(Options, Stack.Core.Options.Tcp, option, out value);
        }
    }

    // Linux tcp_poll.
    public override SteppedPollFlags Poll()
    {
        SteppedPollFlags flags = SteppedPollFlags.None;
        if (_listener is not null)
        {
            return _listener.Pending > 0 ? SteppedPollFlags.In : flags;
        }

        bool isClosed = LiveEndpoint is null;
        bool wasConnected = isClosed && _endpoint is not null;
        bool readShut = _isReadShut || wasConnected || _endpoint is { IsFinReceived: true };
        bool writeShut = _isWriteShut || wasConnected || _endpoint is { IsWriteClosed: true };
        if (isClosed || (readShut && writeShut))
        {
            flags |= SteppedPollFlags.Hup;
        }

        if (readShut)
        {
            flags |= SteppedPollFlags.In | SteppedPollFlags.ReadHup;
        }

        if (!IsHandshaking)
        {
            if (Readable > 0 && Readable >= Math.Min(_receiveLowWater, _endpoint!.ReceiveBufferSize))
            {
                flags |= SteppedPollFlags.In;
            }

            // A live connection is writable while at least a third of the send buffer is free, and less than half of the low-water mark is unsent.
            if (writeShut || LiveEndpoint is not { } endpoint
                || (endpoint.SendSpace > 0 && endpoint.SendSpace >= endpoint.SendQueue.Length / 2 && (_notSentLowWater == 0 || 2 * endpoint.Unsent < _notSentLowWater)))
            {
                flags |= SteppedPollFlags.Out;
            }

            if (UrgentAhead > 0)
            {
                flags |= SteppedPollFlags.Priority;
            }
        }

        return PendingError == SocketError.Success ? flags : flags | SteppedPollFlags.Error;
    }

    public override SocketError TakeError() =>
        TakeHardError() is not SocketError.Success and var error ? error : _endpoint?.TakeSoftError() ?? SocketError.Success;

    public override TcpInfo GetInfo() => _endpoint?.GetInfo(Stack.Now) ?? new TcpInfo();

    private SocketError PendingError
    {
        get
        {
            if (_ownError != SocketError.Success)
            {
                return _ownError;
            }

            SocketError error = _endpoint?.Error ?? SocketError.Success;
            if (error == _takenError)
            {
                return SocketError.Success;
            }

            // Linux reports a reset in CLOSE-WAIT as EPIPE: the peer has already said that it sends nothing more.
            return error == SocketError.ConnectionReset && _endpoint is { IsFinReceived: true } && !_isWriteShut ? SocketError.Shutdown : error;
        }
    }

    private SocketError TakeHardError()
    {
        SocketError error = PendingError;
        if (_ownError != SocketError.Success)
        {
            _ownError = SocketError.Success;
        }
        else if (error != SocketError.Success)
        {
            _takenError = _endpoint!.Error;
        }

        return error;
    }

    /// <summary>The second connect: the attempt is decided.</summary>
    private SocketError CompleteConnect()
    {
        if (LiveEndpoint is not null)
        {
            _phase = Phase.Connected;
            return SocketError.Success;
        }

        SocketError error = TakeHardError();
        Disconnect();
        return error == SocketError.Success ? SocketError.ConnectionAborted : error;
    }

    /// <summary>Back to a fresh socket that keeps its options and the port it was bound to.</summary>
    private void Disconnect()
    {
        _endpoint = null;
        _takenError = SocketError.Success;
        _phase = Phase.Unconnected;
        _isReadShut = false;
        _isWriteShut = false;
    }
}
