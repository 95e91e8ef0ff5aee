using System.Buffers;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>
/// The way between a <see cref="TcpConnection"/> and its endpoint in the core: what the application wants done goes down as one queued command per connection, however much is asked
/// (a set of pending flags); what happened comes up as flags that are remembered.
/// </summary>
/// <remarks>
/// The application's threads touch of the endpoint only its two queues, <see cref="TcpEndpoint.SendSpace"/>, and what no longer changes. All else they know from the flags,
/// which are set after the core's lock was released: a flag seen means that everything before it is visible.
/// </remarks>
internal sealed partial class ConnectionLink : HostCommand, ICoreEventSink, IHostClient
{
    // Flags of our own beside CoreEvents in _seen.
    private const int Disposed = 1 << 16;
    private const int Aborted = 1 << 17;
    private const int WritesCompleted = 1 << 18;
    private const int HostStopped = 1 << 19;
    private const int ReadsCompleted = 1 << 20;

    private const int Ended = (int)CoreEvents.Closed | Disposed | Aborted | HostStopped;

    /// <summary>Covers what is rare: settings, waiters for the end, tasks. Never held across anything that waits or runs application code.</summary>
    private readonly Lock _lock = new();
    private int _seen;
    private Exception? _stoppedReason;

    /// <summary>Makes the link and becomes the endpoint's owner. Under the core's lock, so that no event is missed.</summary>
    public ConnectionLink(IpStack stack, TcpEndpoint endpoint, ContinuationScheduling scheduling)
    {
        Stack = stack;
        Endpoint = endpoint;
        Scheduling = scheduling;
        _receiveBufferSize = endpoint.Options.ReceiveBufferSize;
        _sendBufferSize = endpoint.Options.SendBufferSize;
        _seen = (endpoint.IsFinReceived ? (int)CoreEvents.ReadClosed : 0) | (endpoint.IsClosed ? (int)CoreEvents.Closed : 0)
            | (endpoint.IsCipherSpent ? (int)CoreEvents.CipherSpent : 0) | (endpoint.IsReadSpent ? (int)CoreEvents.ReadSpent : 0);
        endpoint.Owner = this;
    }

    public IpStack Stack { get; }

    public StackHost Host => Stack.Host;

    public TcpEndpoint Endpoint { get; }

    public ContinuationScheduling Scheduling { get; }

    public bool IsDisposed => (Volatile.Read(ref _seen) & Disposed) != 0;

    public bool IsConnected => (Volatile.Read(ref _seen) & (int)CoreEvents.Connected) != 0;

    public bool IsEnded => (Volatile.Read(ref _seen) & Ended) != 0;

    /// <summary>True when the endpoint will raise no more events.</summary>
    public bool IsClosed => (Volatile.Read(ref _seen) & ((int)CoreEvents.Closed | HostStopped)) != 0;

    /// <summary>True when the peer's stack has everything, our FIN included, and there is nothing left but to wait for its FIN.</summary>
    public bool IsDrained => (Volatile.Read(ref _seen) & ((int)CoreEvents.Closed | HostStopped | (int)CoreEvents.WriteClosed)) != 0;

    /// <summary>Asks to be told when the stack stops. Not under the core's lock.</summary>
    public void Attach()
    {
        Host.Attach(this);
        if (IsClosed)
        {
            Host.Detach(this);
        }
    }

    void ICoreEventSink.OnCoreEvents(CoreEvents events)
    {
        int before = Interlocked.Or(ref _seen, (int)(events & (CoreEvents.Connected | CoreEvents.ReadClosed | CoreEvents.WriteClosed | CoreEvents.Closed | CoreEvents.CipherSpent | CoreEvents.ReadSpent)));
        if ((events & CoreEvents.CipherSpent) != 0)
        {
            CloseSendGate(Work.CloseSend);
        }

        if ((events & CoreEvents.Closed) != 0 && (before & (int)CoreEvents.Closed) == 0)
        {
            Host.Detach(this);
            StackLog.Closed(Stack.Logger, Endpoint.Id, Endpoint.Error);
            if (Stack.Metrics is { } metrics && Endpoint.WasEstablished)
            {
                metrics.ConnectionClosed(Host.Now - Endpoint.EstablishedAt, Endpoint.SmoothedRtt, Endpoint.Error == SocketError.Success ? null : Endpoint.Error.ToString());
            }

            Volatile.Read(ref _notices)?.Writer.TryComplete();
        }

        if ((events & (CoreEvents.Readable | CoreEvents.ReadClosed | CoreEvents.Closed)) != 0)
        {
            SignalReads();
        }

        if ((events & (CoreEvents.Writable | CoreEvents.WriteClosed | CoreEvents.Closed)) != 0)
        {
            SignalWrites();
        }

        if ((events & (CoreEvents.Connected | CoreEvents.Closed | CoreEvents.WriteClosed)) != 0)
        {
            SignalEndWaiters();
        }

        if ((events & (CoreEvents.ReadClosed | CoreEvents.WriteClosed | CoreEvents.Closed)) != 0)
        {
            CompleteClosedTasks();
        }

        if ((events & (CoreEvents.Rekeyed | CoreEvents.Closed)) != 0)
        {
            CompleteRekeyWaiters();
        }

        if ((events & (CoreEvents.Urgent | CoreEvents.Notice)) != 0)
        {
            OnNotices(events);
        }
    }

    void IHostClient.OnHostStopped(Exception reason)
    {
        _stoppedReason = reason;
        Interlocked.Or(ref _seen, HostStopped);
        SignalAll();
        CompleteClosedTasks();
        CompleteRekeyWaiters();
    }

    /// <summary>DisposeAsync: FIN after the queued data, or RST (RFC 9293 §3.10.4, RFC 2525 §2.17). False when that was done before.</summary>
    public bool Dispose()
    {
        if ((Interlocked.Or(ref _seen, Disposed) & Disposed) != 0)
        {
            return false;
        }

        CloseSendGate(Work.Close);
        SignalAll();
        CompleteClosedTasks();
        CompleteRekeyWaiters();
        return true;
    }

    /// <summary>ABORT (RFC 9293 §3.10.5).</summary>
    public void Abort()
    {
        if ((Interlocked.Or(ref _seen, Aborted) & Aborted) == 0)
        {
            // RST goes out even while another thread fills the send queue; what it appends is dropped.
            Post(Work.Abort);
            CloseSendGate(Work.Abort);
            SignalAll();
            CompleteClosedTasks();
            CompleteRekeyWaiters();
        }
    }

    /// <summary>Shutdown for writing.</summary>
    public void CompleteWrites()
    {
        if ((Interlocked.Or(ref _seen, WritesCompleted) & WritesCompleted) == 0)
        {
            CloseSendGate(Work.CloseSend);
            SignalWrites();
        }
    }

    /// <summary>Shutdown for reading.</summary>
    public void CompleteReads()
    {
        if ((Interlocked.Or(ref _seen, ReadsCompleted) & ReadsCompleted) == 0)
        {
            Post(Work.CloseReceive);
            SignalReads();
        }
    }

    private void SignalAll()
    {
        SignalReads();
        SignalWrites();
        SignalEndWaiters();
    }

    // ---- Errors ----

    public void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(IsDisposed, typeof(TcpConnection));

    /// <summary>Why a read or write cannot be done any more; null for an orderly end.</summary>
    private Exception? EndReason(int seen)
    {
        if ((seen & Disposed) != 0)
        {
            return new ObjectDisposedException(nameof(TcpConnection));
        }

        if ((seen & Aborted) != 0)
        {
            return StackErrors.Broken(SocketError.ConnectionAborted, "The connection was aborted by this application.");
        }

        if ((seen & (int)CoreEvents.Closed) != 0)
        {
            return Endpoint.Error == SocketError.Success ? null
                : (seen & (int)CoreEvents.CipherSpent) != 0 ? StackErrors.CipherSpent()
                : Endpoint.IsNeverConfirmed ? StackErrors.NotConfirmed(Endpoint.Error)
                : StackErrors.Broken(Endpoint.Error);
        }

        return (seen & HostStopped) != 0 ? StackErrors.Stopped(_stoppedReason) : null;
    }

    // ---- Waiting for the connection as a whole ----

    private List<ConnectionEndOperation>? _endWaiters;

    /// <summary>Waits until the handshake is over, well or not.</summary>
    public ValueTask WaitConnectedAsync(CancellationToken cancellationToken) => WaitAsync((int)CoreEvents.Connected | Ended, cancellationToken);

    /// <summary>Waits until the peer's stack has everything that was written, FIN included, or the connection has ended.</summary>
    public ValueTask WaitDrainedAsync(CancellationToken cancellationToken) =>
        WaitAsync((int)(CoreEvents.WriteClosed | CoreEvents.Closed) | HostStopped, cancellationToken);

    /// <summary>Waits until nothing is left of the connection.</summary>
    public ValueTask WaitClosedAsync(CancellationToken cancellationToken) => WaitAsync((int)CoreEvents.Closed | HostStopped, cancellationToken);

    private ValueTask WaitAsync(int flags, CancellationToken cancellationToken)
    {
        ConnectionEndOperation operation = new(this, flags);
        lock (_lock)
        {
            (_endWaiters ??= []).Add(operation);
        }

        return operation.WaitAsync(cancellationToken);
    }

    public void RemoveEndWaiter(ConnectionEndOperation operation)
    {
        lock (_lock)
        {
            if (_endWaiters is { } waiters && waiters.Remove(operation) && waiters.Count == 0)
            {
                _endWaiters = null;     // idle connections are to be small
            }
        }
    }

    private void SignalEndWaiters()
    {
        if (Volatile.Read(ref _endWaiters) is not null)
        {
            lock (_lock)
            {
                foreach (ConnectionEndOperation operation in _endWaiters ?? [])
                {
                    operation.Signal();
                }
            }
        }
    }

    // ---- New keys ----

    private List<(long Generation, TaskCompletionSource Done)>? _rekeyWaiters;

    /// <summary>Waits until the peer has a generation of keys.</summary>
    public Task WaitRekeyedAsync(long generation, CancellationToken cancellationToken)
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            (_rekeyWaiters ??= []).Add((generation, done));
        }

        // It may have come meanwhile.
        CompleteRekeyWaiters();
        return done.Task.WaitAsync(cancellationToken);
    }

    private void CompleteRekeyWaiters()
    {
        if (Volatile.Read(ref _rekeyWaiters) is null)
        {
            return;
        }

        lock (_lock)
        {
            int seen = Volatile.Read(ref _seen) & Ended;
            Exception? reason = seen == 0 ? null : EndReason(seen) ?? StackErrors.Broken(SocketError.ConnectionAborted);
            for (int i = (_rekeyWaiters?.Count ?? 0) - 1; i >= 0; i--)
            {
                (long generation, TaskCompletionSource done) = _rekeyWaiters![i];
                bool isDone = generation >= 0 && Endpoint.SettledGeneration >= generation;
                if (isDone ? done.TrySetResult() : reason is not null && done.TrySetException(reason))
                {
                    _rekeyWaiters.RemoveAt(i);
                }
            }
        }
    }

    public bool HasSeen(int flags) => (Volatile.Read(ref _seen) & flags) != 0;

    // ---- ReadsClosed, WritesClosed ----

    private TaskCompletionSource? _readsClosed;
    private TaskCompletionSource? _writesClosed;

    public Task ReadsClosed => ClosedTask(ref _readsClosed);

    public Task WritesClosed => ClosedTask(ref _writesClosed);

    private Task ClosedTask(ref TaskCompletionSource? source)
    {
        Task task;
        lock (_lock)
        {
            source ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            task = source.Task;
        }

        CompleteClosedTasks();
        return task;
    }

    private void CompleteClosedTasks()
    {
        lock (_lock)
        {
            int seen = Volatile.Read(ref _seen);
            Complete(_readsClosed, seen, (int)CoreEvents.ReadClosed, Ended);

            // Dispose goes on in the background: what was written may still arrive.
            Complete(_writesClosed, seen, (int)CoreEvents.WriteClosed, Ended & ~Disposed);
        }

        void Complete(TaskCompletionSource? source, int seen, int done, int ended)
        {
            if (source is null || source.Task.IsCompleted)
            {
                return;
            }

            if ((seen & done) != 0)
            {
                source.TrySetResult();
            }
            else if ((seen & ended) != 0)
            {
                if (EndReason(seen & ended) is { } reason)
                {
                    source.TrySetException(reason);
                    _ = source.Task.Exception;      // nobody has to look at it
                }
                else
                {
                    source.TrySetResult();
                }
            }
        }
    }
}
