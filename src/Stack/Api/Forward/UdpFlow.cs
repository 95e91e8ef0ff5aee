using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Udp;

namespace Tcpcrypt;

/// <summary>What <see cref="UdpFlow.ReceiveAsync"/> got.</summary>
/// <param name="Count">Octets put into the buffer; 0 is a datagram too.</param>
/// <param name="IsCompleted">True when the flow has ended and there is no datagram: it was idle for too long.</param>
public readonly record struct UdpFlowReceive(int Count, bool IsCompleted);

/// <summary>Datagrams between one source and one mapped destination (<see cref="IpStack.MapUdp"/>). Ends when it is idle for too long, or disposed.</summary>
/// <remarks>Safe for use by several threads.</remarks>
public sealed class UdpFlow : IAsyncDisposable, ICoreEventSink, IDatagramSource<UdpFlowReceive>, IThreadPoolWorkItem
{
    private readonly UdpForwardMapping _mapping;
    private readonly HostEnd _hostEnd;
    private readonly UdpFlowEndpoint _endpoint;
    private readonly DatagramReader<UdpFlowReceive> _reader;
    private int _isStarted;
    private int _isDisposed;
    private bool _hasNews = true;
    private bool _isEnded;

    internal UdpFlow(UdpForwardMapping mapping, UdpFlowEndpoint endpoint)
    {
        _mapping = mapping;
        _endpoint = endpoint;
        _reader = new DatagramReader<UdpFlowReceive>(mapping.Host, this);
        _hostEnd = new HostEnd(mapping.Host, _ => End(mapping.Host.StoppedReason));
        Source = endpoint.Source.ToIPEndPoint();
        Destination = endpoint.Destination.ToIPEndPoint();
    }

    /// <summary>Who sends.</summary>
    public IPEndPoint Source { get; }

    /// <summary>Where it sends to; replies come from there.</summary>
    public IPEndPoint Destination { get; }

    /// <summary>Receives the next datagram from the source; waits for it when none is there.</summary>
    /// <param name="buffer">Gets the payload; what does not fit is lost (65,507 octets always fit). It must not be used before the call completes.</param>
    /// <param name="cancellationToken">Ends the wait; no datagram is lost by it.</param>
    /// <returns>The datagram's length in the buffer, or that the flow has ended.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The flow was disposed or the stack stopped.</exception>
    /// <exception cref="IOException">The stack's device failed.</exception>
    public ValueTask<UdpFlowReceive> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => _reader.ReadAsync(buffer, cancellationToken);

    /// <summary>Sends a datagram from the destination to the source.</summary>
    /// <param name="datagram">The payload: 0 to 65,507 octets. It must not change before the call completes.</param>
    /// <param name="cancellationToken">Looked at before the datagram is handed to the stack; after that it is sent.</param>
    /// <returns>A task that ends when the stack has taken the datagram.</returns>
    /// <exception cref="SocketException">Too long (MessageSize), no room in the output queue (NoBufferSpaceAvailable), or the flow has ended (Shutdown).</exception>
    /// <exception cref="ObjectDisposedException">The flow was disposed or the stack stopped.</exception>
    public ValueTask SendAsync(ReadOnlyMemory<byte> datagram, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }

        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
        if (datagram.Length > StackUdpSocket.MaxPayload || Volatile.Read(ref _isEnded))
        {
            return ValueTask.FromException(new SocketException((int)(Volatile.Read(ref _isEnded) ? SocketError.Shutdown : SocketError.MessageSize)));
        }

        return CompleteAsync(_mapping.Host.InvokeAsync((_endpoint, datagram), static (state, _, now) => state._endpoint.Reply(now, state.datagram.Span)));

        static async ValueTask CompleteAsync(ValueTask<SocketError> sent)
        {
            if (await sent.ConfigureAwait(false) is var error && error != SocketError.Success)
            {
                throw new SocketException((int)error);
            }
        }
    }

    /// <summary>Takes the next datagram, or the flow's end, if there is one; without waiting.</summary>
    internal bool TryReceive(Span<byte> buffer, out UdpFlowReceive result) => ((IDatagramSource<UdpFlowReceive>)this).TryTake(buffer, out result, out _);

    /// <summary>Waits, without holding a buffer, until <see cref="TryReceive"/> may have something.</summary>
    internal ValueTask<UdpFlowReceive> WaitToReceiveAsync(CancellationToken cancellationToken) => _reader.WaitAsync(cancellationToken);

    /// <summary>Ends the flow: a later datagram of the same source starts a new one. Called by the stack when the handler ends.</summary>
    /// <returns>A completed task.</returns>
    public ValueTask DisposeAsync()
    {
        if (End(static () => new ObjectDisposedException(nameof(UdpFlow))))
        {
            _hostEnd.Detach();
            _mapping.Host.Post(_endpoint, static (endpoint, _, now) => endpoint.Close(now));
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Makes the flow end with the stack. Not under the core's lock.</summary>
    internal void Attach() => _hostEnd.Attach();

    void ICoreEventSink.OnCoreEvents(CoreEvents events)
    {
        if ((events & CoreEvents.Closed) != 0)
        {
            Volatile.Write(ref _isEnded, true);
        }

        Volatile.Write(ref _hasNews, true);
        if (Interlocked.Exchange(ref _isStarted, 1) == 0)
        {
            _mapping.Host.Schedule(this);
        }
        else
        {
            _reader.Wake(onPool: false);
        }
    }

    void IThreadPoolWorkItem.Execute() => _ = _mapping.RunAsync(this);

    bool IDatagramSource<UdpFlowReceive>.HasNews => Volatile.Read(ref _hasNews);

    bool IDatagramSource<UdpFlowReceive>.TryTake(Span<byte> buffer, out UdpFlowReceive result, out Exception? error)
    {
        error = null;

        // Cleared before the look: an event that comes meanwhile sets it again.
        Volatile.Write(ref _hasNews, false);
        Interlocked.MemoryBarrier();
        bool isEnded = Volatile.Read(ref _isEnded);
        if (_endpoint.TryReceive(buffer, out int count))
        {
            Volatile.Write(ref _hasNews, true);
            result = new UdpFlowReceive(count, IsCompleted: false);
            return true;
        }

        if (isEnded)
        {
            Volatile.Write(ref _hasNews, true);
        }

        result = new UdpFlowReceive(0, isEnded);
        return isEnded;
    }

    private bool End(Func<Exception> reason)
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return false;
        }

        _mapping.Counters.UdpFlowClosed();
        _reader.Close(reason);
        return true;
    }
}
