using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>One connection in the core.</summary>
internal sealed partial class TcpEndpoint : CoreObject
{
    public long Id => throw new NotImplementedException();
    public FourTuple Tuple => throw new NotImplementedException();
    public TcpState State => throw new NotImplementedException();
    public TcpEndpointOptions Options => throw new NotImplementedException();

    /// <summary>What the application has written and the peer has not yet acknowledged. Its consumer is the core; the application appends at most <see cref="SendSpace"/> octets and calls <see cref="OnSend"/>.</summary>
    public ByteQueue SendQueue => throw new NotImplementedException();

    /// <summary>In-order data for the application, which reads, releases and calls <see cref="OnReceive"/>.</summary>
    public ByteQueue ReceiveQueue => throw new NotImplementedException();

    /// <summary>Octets that may still be appended to <see cref="SendQueue"/>; never negative.</summary>
    public int SendSpace => throw new NotImplementedException();

    /// <summary>Why the connection ended, or a pending error; Success while all is well and after an orderly close.</summary>
    public SocketError Error => throw new NotImplementedException();

    /// <summary>The last soft error (ICMP unreachable in a synchronized state, R1 passed), cleared by reading it.</summary>
    public SocketError TakeSoftError() => throw new NotImplementedException();

    /// <summary>True when the peer's FIN was reached or the application shut down reading.</summary>
    public bool IsReadClosed => throw new NotImplementedException();

    /// <summary>True when the peer's FIN has been received in order.</summary>
    public bool IsFinReceived => throw new NotImplementedException();

    /// <summary>True when the application has closed the sending side.</summary>
    public bool IsWriteClosed => throw new NotImplementedException();

    /// <summary>True when the connection has no TCB any more (CLOSED, or handed to the TIME-WAIT table).</summary>
    public bool IsClosed => throw new NotImplementedException();

    /// <summary>Octets queued that were never sent.</summary>
    public long Unsent => throw new NotImplementedException();

    /// <summary>Octets of urgent data not yet read: how far the urgent mark is ahead of the application (RFC 9293 MUST-33); null without urgent data.</summary>
    public int? UrgentOctetsAhead => throw new NotImplementedException();

    // User calls, RFC 9293 §3.10; all under the core's lock.

    /// <summary>SEND: octets were appended to <see cref="SendQueue"/>.</summary>
    public void OnSend(TcpInstant now) => throw new NotImplementedException();

    /// <summary>SEND with the URGENT flag: everything queued so far is urgent.</summary>
    public void OnSendUrgent(TcpInstant now) => throw new NotImplementedException();

    /// <summary>RECEIVE: octets were released from <see cref="ReceiveQueue"/>.</summary>
    public void OnReceive(TcpInstant now) => throw new NotImplementedException();

    public void OnOptionsChanged(TcpInstant now) => throw new NotImplementedException();

    /// <summary>CLOSE: no more sends; queued data goes out, then FIN (shutdown for writing).</summary>
    public void CloseSend(TcpInstant now) => throw new NotImplementedException();

    /// <summary>Shutdown for reading: what is unread and what still arrives is discarded and acknowledged.</summary>
    public void CloseReceive(TcpInstant now) => throw new NotImplementedException();

    /// <summary>The application lets go of the connection: FIN after queued data; RST when received data is unread or linger is zero (RFC 2525 §2.17).</summary>
    public void Close(TcpInstant now) => throw new NotImplementedException();

    /// <summary>ABORT: RST, queues dropped.</summary>
    public void Abort(TcpInstant now) => throw new NotImplementedException();

    public TcpInfo GetInfo(TcpInstant now) => throw new NotImplementedException();

    public override TcpInstant Deadline => throw new NotImplementedException();

    public override void OnDeadline(TcpInstant now) => throw new NotImplementedException();
}
