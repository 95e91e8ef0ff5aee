using System.Diagnostics;
using System.Threading.Tasks.Sources;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>A queued <see cref="StackHost.InvokeAsync"/>: the command, and the task for its result.</summary>
internal sealed class Invocation<TState, TResult>(StackHost host, TState state, Func<TState, StackCore, TcpInstant, TResult> command)
    : HostCommand, IValueTaskSource<TResult>, IThreadPoolWorkItem
{
    private ManualResetValueTaskSourceCore<TResult> _core;
    private TResult _result = default!;
    private Exception? _error;

    public ValueTask<TResult> Task => new(this, _core.Version);

    public override void Run(StackCore core, TcpInstant now)
    {
        try
        {
            _result = command(state, core, now);
        }
        catch (Exception exception) when (exception is not UnreachableException)
        {
            _error = exception;
        }
        catch (UnreachableException exception)
        {
            // A broken invariant ends the stack, and this call with it.
            Cancel(exception);
            throw;
        }

        host.Schedule(this);
    }

    public override void Cancel(Exception reason)
    {
        _error = reason;
        host.Schedule(this);
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (_error is null)
        {
            _core.SetResult(_result);
        }
        else
        {
            _core.SetException(_error);
        }
    }

    TResult IValueTaskSource<TResult>.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}

/// <summary>A queued <see cref="StackHost.Post"/>.</summary>
internal sealed class PostedCommand<TState>(TState state, Action<TState, StackCore, TcpInstant> command) : HostCommand
{
    public override void Run(StackCore core, TcpInstant now) => command(state, core, now);

    public override void Cancel(Exception reason)
    {
    }
}
