using System.Threading.Tasks.Sources;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>One call that waits for the core. The first result wins; the continuation runs where the stack's scheduling says, never inside the core.</summary>
internal sealed class StackOperation<TResult> : IValueTaskSource<TResult>, IThreadPoolWorkItem
{
    private readonly StackHost _host;
    private ManualResetValueTaskSourceCore<TResult> _source;
    private int _isDecided;
    private TResult? _result;
    private Exception? _error;

    public StackOperation(StackHost host) => _host = host;

    /// <summary>What the caller awaits, once.</summary>
    public ValueTask<TResult> Task => new(this, _source.Version);

    /// <summary>For event sinks: completes the call with a result.</summary>
    public bool TrySetResult(TResult result)
    {
        if (Interlocked.Exchange(ref _isDecided, 1) != 0)
        {
            return false;
        }

        _result = result;
        _host.Schedule(this);
        return true;
    }

    /// <summary>For event sinks: fails the call.</summary>
    public bool TrySetError(Exception error)
    {
        if (Interlocked.Exchange(ref _isDecided, 1) != 0)
        {
            return false;
        }

        _error = error;
        _host.Schedule(this);
        return true;
    }

    /// <summary>For other threads than the loop (cancellation, dispose): fails the call; the continuation always runs on the thread pool.</summary>
    public bool TryFail(Exception error)
    {
        if (Interlocked.Exchange(ref _isDecided, 1) != 0)
        {
            return false;
        }

        _error = error;
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return true;
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (_error is { } error)
        {
            _source.SetException(error);
        }
        else
        {
            _source.SetResult(_result!);
        }
    }

    TResult IValueTaskSource<TResult>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
