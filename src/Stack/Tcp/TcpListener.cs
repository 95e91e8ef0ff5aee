using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>A passive OPEN: a bound port with its queue of connections to accept. Event: Readable when a connection waits.</summary>
internal sealed class TcpListener : CoreObject
{
    public Endpoint4 Local => throw new NotImplementedException();

    /// <summary>Template for accepted connections.</summary>
    public TcpEndpointOptions Options => throw new NotImplementedException();

    /// <summary>Connections that may wait to be accepted; 1 to 65,535.</summary>
    public int Backlog { get; set; }

    public int Pending => throw new NotImplementedException();

    /// <summary>Takes the oldest established connection that nobody has accepted.</summary>
    public bool TryAccept(out TcpEndpoint endpoint) => throw new NotImplementedException();

    /// <summary>Stops listening; connections not accepted are reset, half-open ones forgotten.</summary>
    public void Close(TcpInstant now) => throw new NotImplementedException();

    public override TcpInstant Deadline => TcpInstant.Never;

    public override void OnDeadline(TcpInstant now)
    {
    }
}

/// <summary>A SYN to a mapped destination (<see cref="TcpLayer.Forward"/>) that nobody has answered yet.</summary>
internal sealed class TcpForward : CoreObject
{
    /// <summary>Who sent the SYN.</summary>
    public Endpoint4 Source => throw new NotImplementedException();

    /// <summary>Where it wants to go; becomes the connection's local end.</summary>
    public Endpoint4 Destination => throw new NotImplementedException();

    /// <summary>Answers the SYN. The endpoint raises Connected when the handshake completes, Closed when it fails.</summary>
    public SocketError Accept(TcpInstant now, TcpEndpointOptions options, out TcpEndpoint? endpoint) => throw new NotImplementedException();

    /// <summary>RST.</summary>
    public void Reset(TcpInstant now) => throw new NotImplementedException();

    /// <summary>ICMP destination unreachable with this code.</summary>
    public void Unreachable(TcpInstant now, byte code) => throw new NotImplementedException();

    /// <summary>Forgets the SYN: a repeated one is a new request.</summary>
    public void Drop() => throw new NotImplementedException();

    public override TcpInstant Deadline => TcpInstant.Never;

    public override void OnDeadline(TcpInstant now)
    {
    }
}
