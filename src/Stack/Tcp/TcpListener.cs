using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>A passive OPEN: a bound port with its queue of connections to accept. Event: Readable when a connection waits.</summary>
internal sealed class TcpListener(TcpLayer tcp, Endpoint4 local, TcpEndpointOptions options, int backlog) : CoreObject
{
    private readonly Queue<TcpEndpoint> _established = new();
    private bool _isClosed;

    public Endpoint4 Local { get; } = local;

    /// <summary>Template for accepted connections.</summary>
    public TcpEndpointOptions Options { get; } = options;

    /// <summary>Connections that may wait to be accepted; 1 to 65,535.</summary>
    public int Backlog { get; set; } = backlog;

    /// <summary>Connections that wait to be accepted.</summary>
    public int Pending => _established.Count;

    /// <summary>Half-open connections of this listener.</summary>
    internal int HalfOpenCount { get; set; }

    /// <summary>Connections whose TCP handshake is over and whose tcpcrypt handshake is not.</summary>
    private readonly HashSet<TcpEndpoint> _inHandshake = [];

    /// <summary>The accept queue has no room: SYNs and last ACKs are dropped until the application accepts.</summary>
    internal bool IsFull => _established.Count >= Backlog;

    public override TcpInstant Deadline => TcpInstant.Never;

    internal bool IsClosed => _isClosed;

    /// <summary>Takes the oldest established connection that nobody has accepted.</summary>
    public bool TryAccept(out TcpEndpoint endpoint) => _established.TryDequeue(out endpoint!);

    /// <summary>Stops listening; connections not accepted are reset, half-open ones forgotten.</summary>
    public void Close(TcpInstant now)
    {
        if (_isClosed)
        {
            return;
        }

        _isClosed = true;
        tcp.Forget(this);
        tcp.SynCache.RemoveAll(this);
        foreach (TcpEndpoint endpoint in _inHandshake.ToArray())
        {
            endpoint.Abort(now);
        }

        while (_established.TryDequeue(out TcpEndpoint? endpoint))
        {
            endpoint.Abort(now);
        }

        tcp.Core.Raise(this, CoreEvents.Closed);
    }

    public override void OnDeadline(TcpInstant now)
    {
    }

    internal void OnHandshake(TcpEndpoint endpoint) => _inHandshake.Add(endpoint);

    /// <summary>tcpcrypt's handshake is over: the connection can be accepted, or is gone.</summary>
    internal void OnHandshakeOver(TcpEndpoint endpoint, bool succeeded)
    {
        if (!_inHandshake.Remove(endpoint))
        {
            return;
        }

        if (succeeded && !_isClosed)
        {
            Enqueue(endpoint);
        }
    }

    internal void Enqueue(TcpEndpoint endpoint)
    {
        _established.Enqueue(endpoint);
        tcp.Core.Raise(this, CoreEvents.Readable);
    }
}
