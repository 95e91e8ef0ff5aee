using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Udp;

namespace Tcpcrypt.Testing;

/// <summary>UDP socket semantics over <see cref="UdpEndpoint"/>.</summary>
internal sealed class UdpSocketCore(SteppedStack stack) : SocketCore(stack)
{
    private UdpEndpoint? _endpoint;
    private bool _isReadShut;
    private bool _isWriteShut;

    // Options set before there is an endpoint.
    private long? _typeOfService;
    private long? _timeToLive;
    private long? _receiveBuffer;

    public override Endpoint4 Local => _endpoint?.Local ?? default;

    public override Endpoint4? Remote => _endpoint?.Remote;

    public override TcpState State => TcpState.Unknown;

    public override int Readable => _endpoint?.QueuedOctets ?? 0;

    public override SocketError Bind(IPEndPoint local)
    {
        if (_endpoint is not null)
        {
            return SocketError.InvalidArgument;
        }

        return Stack.TryConvert(local, out Endpoint4 end) ? Open(end) : SocketError.AddressFamilyNotSupported;
    }

    public override SocketError Connect(IPEndPoint remote)
    {
        if (!Stack.TryConvert(remote, out Endpoint4 to))
        {
            return SocketError.AddressFamilyNotSupported;
        }

        SocketError error = OpenIfNeeded();
        return error == SocketError.Success ? _endpoint!.Connect(Stack.Now, to) : error;
    }

    public override SocketError Send(ReadOnlySpan<byte> data, out int sent, SocketFlags flags)
    {
        sent = 0;
        return (flags & ~SteppedSocketFlags.EndOfRecord) != 0 ? SocketError.OperationNotSupported
            : _endpoint?.Remote is { } remote ? Send(data, remote, out sent)
            : SocketError.DestinationAddressRequired;
    }

    public override SocketError SendTo(ReadOnlySpan<byte> data, IPEndPoint remote, out int sent)
    {
        sent = 0;
        return Stack.TryConvert(remote, out Endpoint4 to) ? Send(data, to, out sent) : SocketError.AddressFamilyNotSupported;
    }

    public override SocketError Receive(Span<byte> into, SocketFlags flags, out int received, out IPEndPoint? remote)
    {
        received = 0;
        remote = null;
        if (_endpoint is null)
        {
            return _isReadShut ? SocketError.Success : SocketError.WouldBlock;
        }

        if (_endpoint.TryReceive(into, out UdpArrival arrival, (flags & SocketFlags.Peek) != 0))
        {
            received = arrival.Count;
            remote = arrival.Remote.ToIPEndPoint();
            return SocketError.Success;
        }

        SocketError error = _endpoint.TakeError();
        return error != SocketError.Success ? error : _isReadShut ? SocketError.Success : SocketError.WouldBlock;
    }

    public override SocketError Shutdown(bool read, bool write)
    {
        _isReadShut |= read;
        _isWriteShut |= write;
        return _endpoint?.Remote is null ? SocketError.NotConnected : SocketError.Success;
    }

    public override void Close()
    {
        _endpoint?.Close(Stack.Now);
        Stack.Flush();
    }

    public override SocketError SetOption(SteppedSocketOption option, long value)
    {
        switch (option)
        {
            case SteppedSocketOption.TypeOfService when value is >= 0 and <= 255:
                _typeOfService = value;
                break;
            case SteppedSocketOption.TimeToLive when value is >= 1 and <= 255:
                _timeToLive = value;
                break;
            case SteppedSocketOption.ReceiveBuffer when value is >= 1 and <= 1 << 30:
                _receiveBuffer = value;
                break;
            case SteppedSocketOption.TypeOfService or SteppedSocketOption.TimeToLive or SteppedSocketOption.ReceiveBuffer:
                return SocketError.InvalidArgument;
            default:
                return SocketError.ProtocolOption;
        }

        ApplyOptions();
        return SocketError.Success;
    }

    public override SocketError GetOption(SteppedSocketOption option, out long value)
    {
        long? found = option switch
        {
            SteppedSocketOption.Error => (long)TakeError(),
            SteppedSocketOption.AcceptConnections => 0,
            SteppedSocketOption.TypeOfService => _endpoint?.TypeOfService ?? _typeOfService ?? 0,
            SteppedSocketOption.TimeToLive => _endpoint?.TimeToLive ?? _timeToLive ?? 64,
            SteppedSocketOption.ReceiveBuffer => _endpoint?.ReceiveBufferSize ?? _receiveBuffer ?? 256 * 1024,
            _ => null,
        };
        value = found ?? 0;
        return found is null ? SocketError.ProtocolOption : SocketError.Success;
    }

    public override SteppedPollFlags Poll()
    {
        SteppedPollFlags flags = SteppedPollFlags.Out;
        if (_isReadShut || _endpoint is { QueuedDatagrams: > 0 })
        {
            flags |= SteppedPollFlags.In;
        }

        if (_isReadShut)
        {
            flags |= SteppedPollFlags.ReadHup;
        }

        return _isReadShut && _isWriteShut ? flags | SteppedPollFlags.Hup : flags;
    }

    public override SocketError TakeError() => _endpoint?.TakeError() ?? SocketError.Success;

    private SocketError Send(ReadOnlySpan<byte> data, Endpoint4 to, out int sent)
    {
        sent = 0;
        if (_isWriteShut)
        {
            return SocketError.Shutdown;
        }

        SocketError error = OpenIfNeeded();
        if (error == SocketError.Success)
        {
            error = _endpoint!.TakeError();
        }

        if (error == SocketError.Success)
        {
            error = _endpoint!.Send(Stack.Now, data, to);
            Stack.Flush();
        }

        sent = error == SocketError.Success ? data.Length : 0;
        return error;
    }

    private SocketError OpenIfNeeded() => _endpoint is null ? Open(default) : SocketError.Success;

    private SocketError Open(Endpoint4 local)
    {
        SocketError error = Stack.Core.Udp.Bind(local, out _endpoint);
        ApplyOptions();
        return error;
    }

    private void ApplyOptions()
    {
        if (_endpoint is { } endpoint)
        {
            endpoint.TypeOfService = (byte)(_typeOfService ?? endpoint.TypeOfService);
            endpoint.TimeToLive = (byte)(_timeToLive ?? endpoint.TimeToLive);
            endpoint.ReceiveBufferSize = (int)(_receiveBuffer ?? endpoint.ReceiveBufferSize);
        }
    }
}
