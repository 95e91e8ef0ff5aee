using System.Diagnostics.CodeAnalysis;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>Something with callers that wait: it is told when the stack has stopped. One that takes new work is <see cref="IAsyncDisposable"/> and is disposed of first when the stack is stopped in order.</summary>
internal interface IHostClient
{
    /// <summary>The stack has stopped; no event will come any more. Not called under the core's lock.</summary>
    void OnHostStopped(Exception reason);
}

// The end: by request, or because the device died.
internal sealed partial class StackHost
{
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _clientLock = new();
    private readonly HashSet<IHostClient> _clients = [];
    private Exception? _failure;
    private volatile bool _stopRequested;
    private volatile bool _isStopped;
    private bool _isInlineClosed;

    /// <summary>Ends when the loop has; faults with an <see cref="IOException"/> when the device died, or with what else ended it.</summary>
    public Task Completion => _completion.Task;

    /// <summary>True when the core runs no more.</summary>
    public bool IsStopped => _isStopped || _failure is not null;

    /// <summary>Why calls fail once <see cref="IsStopped"/>: the device's death, or that the stack was disposed of.</summary>
    public Exception StoppedReason() => _failure switch
    {
        null => new ObjectDisposedException(nameof(IpStack), "The stack has been stopped."),
        IOException failure => new IOException($"The packet device {_device.Name} has failed, and the stack with it: {failure.Message}", failure),
        Exception failure => new IOException("The stack has stopped after an internal error: " + failure.Message, failure),
    };

    /// <summary>Asks to be told of the stack's end; tells at once when that has come.</summary>
    public void Attach(IHostClient client)
    {
        lock (_clientLock)
        {
            if (!_isStopped)
            {
                _clients.Add(client);
                return;
            }
        }

        client.OnHostStopped(StoppedReason());
    }

    public void Detach(IHostClient client)
    {
        lock (_clientLock)
        {
            _clients.Remove(client);
        }
    }

    /// <summary>Those attached now.</summary>
    public IHostClient[] GetClients()
    {
        lock (_clientLock)
        {
            return [.. _clients];
        }
    }

    /// <summary>Stops the loop: what is queued is not sent any more. See <see cref="IpStack.StopAsync"/> for a clean end.</summary>
    [SuppressMessage("Design", "CA1031", Justification = "Completion carries the failure; disposing does not throw.")]
    public async ValueTask DisposeAsync()
    {
        _stopRequested = true;
        WakeLoop();
        if (_thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            Shutdown();
        }

        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Something that cannot be gone on from: the device is gone, or an invariant of the core is broken.</summary>
    private void Fail(Exception exception)
    {
        Interlocked.CompareExchange(ref _failure, exception, null);
        _stopRequested = true;
        if (!IsLoopThread)
        {
            WakeLoop();
        }
    }

    /// <summary>Sends what the core still has to say (RSTs mostly): a turn's cap must not swallow it, and a full device gets half a second.</summary>
    private void FlushOutput()
    {
        const int BlockedLimit = 100;
        for (int blocked = 0; blocked < BlockedLimit && !IsStopped;)
        {
            HostBatch? batch;
            _lock.Enter();
            try
            {
                batch = RunUserTurn(out _);
            }
            finally
            {
                _lock.Exit();
            }

            Release(batch, wakesLoop: false);
            if (_transmitted == TransmitResult.Drained)
            {
                return;
            }

            if (_transmitted == TransmitResult.Blocked)
            {
                blocked++;
                Wait(Timeout.InfiniteTimeSpan);     // for as long as before a retry
            }
        }
    }

    /// <summary>The last thing the loop does.</summary>
    private void Shutdown()
    {
        if (IsLoopThread)
        {
            FlushOutput();
        }

        HostBatch? batch;
        _lock.Enter();
        try
        {
            _isStopped = true;
            _handshakes?.Stop();
            CancelCommands();
            batch = TakeBatch();
        }
        finally
        {
            _lock.Exit();
        }

        Release(batch, wakesLoop: false);
        Drive();
        _alarm?.Dispose();

        IHostClient[] clients;
        lock (_clientLock)
        {
            clients = [.. _clients];
            _clients.Clear();
        }

        Exception reason = StoppedReason();
        foreach (IHostClient client in clients)
        {
            client.OnHostStopped(reason);
        }

        // What waits to run inline, runs here; what comes later goes to the pool.
        RunInline();
        IThreadPoolWorkItem[] late;
        lock (_inlineLock)
        {
            _isInlineClosed = true;
            late = [.. _inline];
            _inline.Clear();
        }

        foreach (IThreadPoolWorkItem continuation in late)
        {
            ThreadPool.UnsafeQueueUserWorkItem(continuation, preferLocal: false);
        }

        if (_failure is null)
        {
            _completion.TrySetResult();
        }
        else
        {
            StackLog.HostFailed(_logger, _device.Name, _failure);
            _completion.TrySetException(reason);
            _ = _completion.Task.Exception;     // nobody has to look at it
        }
    }
}
