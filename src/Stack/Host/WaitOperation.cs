using System.Threading.Tasks.Sources;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>
/// A call that waits for the stack, as an object that is used again and again: nothing is allocated per wait. The object is the awaited task's source and the work item that completes it.
/// </summary>
/// <remarks>
/// It is level-triggered. Whoever changes something calls <see cref="Signal"/>; the operation looks at the state itself (<see cref="IsReady"/>), so a signal too many is harmless and events may come in any order.
/// A waiter first says that it waits, then looks again (with a full fence between); a signal comes after the change: one of the two sees the other.
/// </remarks>
internal abstract class WaitOperation(StackHost host, ContinuationScheduling scheduling)
{
    private protected const int Idle = 0;

    /// <summary>An awaiter waits for a signal.</summary>
    private protected const int Waiting = 1;

    /// <summary>The work item is on its way.</summary>
    private protected const int Signalled = 2;

    /// <summary>A thread waits in <see cref="Block"/>.</summary>
    private protected const int Blocking = 3;

    private protected int _state;
    private int _claimed;

    protected StackHost Host => host;

    protected ContinuationScheduling Scheduling => scheduling;

    /// <summary>True when the operation can make progress or must end. Called on any thread.</summary>
    protected abstract bool IsReady { get; }

    private protected abstract bool IsCancelled { get; }

    /// <summary>Something may have changed.</summary>
    public void Signal()
    {
        Interlocked.MemoryBarrier();
        switch (Volatile.Read(ref _state))
        {
            case Waiting when IsReady || IsCancelled:
                // An awakening costs 12-20 us of CPU: only for what helps.
                if (Interlocked.CompareExchange(ref _state, Signalled, Waiting) == Waiting)
                {
                    ScheduleCompletion();
                }

                break;

            case Blocking:
                lock (this)
                {
                    Monitor.PulseAll(this);
                }

                break;
        }
    }

    /// <summary>Takes the operation for one call.</summary>
    /// <exception cref="InvalidOperationException">Another call has it.</exception>
    public void Claim(string kind)
    {
        if (Interlocked.Exchange(ref _claimed, 1) != 0)
        {
            throw new InvalidOperationException($"A {kind} is pending on this connection already; await it before the next one.");
        }
    }

    public void Unclaim() => Volatile.Write(ref _claimed, 0);

    /// <summary>Waits on this thread until <see cref="IsReady"/>; false when the time is up.</summary>
    public bool Block(int millisecondsTimeout)
    {
        if (host.IsLoopThread)
        {
            throw new InvalidOperationException("A blocking call on the stack's own loop thread would wait for ever; with ContinuationScheduling.Inline use the asynchronous methods.");
        }

        long start = host.TimeProvider.GetTimestamp();
        lock (this)
        {
            Interlocked.Exchange(ref _state, Blocking);
            try
            {
                while (!IsReady)
                {
                    int left = Timeout.Infinite;
                    if (millisecondsTimeout != Timeout.Infinite)
                    {
                        left = millisecondsTimeout - (int)Math.Min(int.MaxValue, host.TimeProvider.GetElapsedTime(start).TotalMilliseconds);
                        if (left <= 0)
                        {
                            return false;
                        }
                    }

                    Monitor.Wait(this, left);
                }

                return true;
            }
            finally
            {
                Volatile.Write(ref _state, Idle);
            }
        }
    }

    private protected abstract void ScheduleCompletion();
}

/// <inheritdoc/>
internal abstract class WaitOperation<TResult>(StackHost host, ContinuationScheduling scheduling)
    : WaitOperation(host, scheduling), IThreadPoolWorkItem, IValueTaskSource<TResult>, IValueTaskSource
{
    private ManualResetValueTaskSourceCore<TResult> _core;
    private CancellationToken _cancellation;
    private CancellationTokenRegistration _registration;

    private protected override bool IsCancelled => _cancellation.IsCancellationRequested;

    /// <summary>Ends the operation if that can be done now. May throw what the caller shall see.</summary>
    protected abstract bool TryFinish(out TResult result);

    /// <summary>The caller has the result (or the exception): lets go of what the call held. Called before the next one can start.</summary>
    protected abstract void OnFinished(bool succeeded);

    /// <summary>Runs a claimed operation. The claim ends when the result has been taken, unless <see cref="OnFinished"/> does otherwise.</summary>
    protected ValueTask<TResult> Run(CancellationToken cancellationToken) =>
        TryRun(cancellationToken, out TResult result) ? new ValueTask<TResult>(result) : new ValueTask<TResult>(this, _core.Version);

    /// <inheritdoc cref="Run"/>
    protected ValueTask RunWithoutResult(CancellationToken cancellationToken) =>
        TryRun(cancellationToken, out _) ? ValueTask.CompletedTask : new ValueTask(this, _core.Version);

    private bool TryRun(CancellationToken cancellationToken, out TResult result)
    {
        while (true)
        {
            try
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (TryFinish(out result))
                {
                    OnFinished(succeeded: true);
                    return true;
                }
            }
            catch (Exception exception)
            {
                // By way of the task, as in an async method.
                _core.SetException(exception);
                result = default!;
                return false;
            }

            _cancellation = cancellationToken;
            _registration = cancellationToken.UnsafeRegister(static operation => ((WaitOperation)operation!).Signal(), this);
            Interlocked.Exchange(ref _state, Waiting);
            if ((!IsReady && !cancellationToken.IsCancellationRequested) || Interlocked.CompareExchange(ref _state, Idle, Waiting) != Waiting)
            {
                return false;
            }

            Unregister();
        }
    }

    private protected override void ScheduleCompletion() => Host.Schedule(this, Scheduling);

    void IThreadPoolWorkItem.Execute()
    {
        while (true)
        {
            TResult result;
            try
            {
                if (TryFinish(out result))
                {
                    Unregister();
                    Volatile.Write(ref _state, Idle);
                    _core.SetResult(result);        // the object may be in its next life when this returns
                    return;
                }

                _cancellation.ThrowIfCancellationRequested();
            }
            catch (Exception exception)
            {
                Unregister();
                Volatile.Write(ref _state, Idle);
                _core.SetException(exception);
                return;
            }

            Interlocked.Exchange(ref _state, Waiting);
            if ((!IsReady && !IsCancelled) || Interlocked.CompareExchange(ref _state, Signalled, Waiting) != Waiting)
            {
                return;
            }
        }
    }

    /// <summary>Without waiting for a callback under way: it only signals, and a signal too many is harmless.</summary>
    private void Unregister()
    {
        _registration.Unregister();
        _registration = default;
        _cancellation = default;
    }

    private TResult TakeResult(short token)
    {
        if (token != _core.Version)
        {
            throw new InvalidOperationException("A ValueTask may be awaited once only.");
        }

        bool succeeded = false;
        try
        {
            TResult result = _core.GetResult(token);
            succeeded = true;
            return result;
        }
        finally
        {
            _core.Reset();
            OnFinished(succeeded);
        }
    }

    TResult IValueTaskSource<TResult>.GetResult(short token) => TakeResult(token);

    void IValueTaskSource.GetResult(short token) => TakeResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => _core.GetStatus(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
