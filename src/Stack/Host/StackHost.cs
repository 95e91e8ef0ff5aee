using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>How a <see cref="StackHost"/> runs its core.</summary>
internal sealed class StackHostOptions
{
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    public ContinuationScheduling Scheduling { get; init; }

    /// <summary>How long the loop looks for work before it sleeps, after a turn that had some; zero = not at all.</summary>
    public TimeSpan Spin { get; init; }

    public IRandomSource Random { get; init; } = new OsRandomSource();

    public required ILogger Logger { get; init; }

    /// <summary>For the public-key work of a core that has tcpcrypt.</summary>
    public HandshakePoolOptions Handshakes { get; init; } = new();
}

/// <summary>
/// Runs one <see cref="StackCore"/>: the loop thread, the lock around the core, commands from applications, and the way back to them.
/// </summary>
/// <remarks>
/// <para>The core is behind one lock <i>whose holder is the loop</i>. The loop thread holds it for a batch (packets, commands, timers, output) and lets it go before it
/// tells anybody or sleeps. Everybody else queues a command and then only <i>tries</i> the lock: got it = run what is queued and send what that caused at once, on the caller's own thread;
/// not got = the holder does it. The device is touched only while the lock is held, so the order on the wire is the order in the core.</para>
/// <para>No command waits for the next packet: a producer pushes first and tries the lock then; a holder releases first and looks at the queue then, and enters again while
/// there is something. With a full fence between the two steps on both sides, one of the two sees the other.</para>
/// <para>While the lock is held no application code runs, nothing is logged and nobody is awakened: owners are told from a <see cref="HostBatch"/> afterwards.
/// They may be told on several threads at once and in any order, so events are hints to look at the state again.</para>
/// </remarks>
internal sealed partial class StackHost : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly CommandQueue _commands = new();
    private readonly PacketDevice _device;
    private readonly PacketQueue _queue;
    private readonly HostClock _clock;
    private readonly ILogger _logger;
    private readonly Transmitter _transmitter;
    private readonly HandshakePool? _handshakes;
    private HostBatch _batch = new();
    private HostBatch? _spareBatch = new();

    public StackHost(PacketDevice device, StackCoreOptions coreOptions, StackHostOptions options)
    {
        _device = device;
        _queue = device.Queues[0];
        _clock = new HostClock(options.TimeProvider);
        _logger = options.Logger;
        _transmitter = new Transmitter(_queue, device.Offloads, device.Mtu);
        Scheduling = options.Scheduling;
        TimeProvider = options.TimeProvider;
        Core = new StackCore(coreOptions, options.Random);
        if (Core.Crypt is { } crypt)
        {
            _handshakes = new HandshakePool(this, options.Handshakes);
            crypt.Workers = _handshakes;
        }

        // On one processor the application that the loop would wait for could not run meanwhile: 31 us per exchange became 81.
        _spin = Environment.ProcessorCount > 1 && _clock.IsSystem ? options.Spin : TimeSpan.Zero;
        if (!_clock.IsSystem)
        {
            _alarm = options.TimeProvider.CreateTimer(static state => ((StackHost)state!).WakeLoop(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        _thread = new Thread(RunLoop) { IsBackground = true, Name = "tcpcrypt " + device.Name };
    }

    /// <summary>The core. Touch it only inside a command, except for what its members declare as safe.</summary>
    public StackCore Core { get; }

    /// <summary>The time, from the <see cref="TimeProvider"/>.</summary>
    public TcpInstant Now => _clock.Now;

    public TimeProvider TimeProvider { get; }

    /// <summary>Where continuations run unless a listener says otherwise.</summary>
    public ContinuationScheduling Scheduling { get; }

    /// <summary>The device's name, for logs, metrics and captures.</summary>
    public string DeviceName => _device.Name;

    /// <summary>True on the thread that must not wait for the stack.</summary>
    public bool IsLoopThread => Thread.CurrentThread == _thread;

    public void Start()
    {
        _thread.UnsafeStart();
        _handshakes?.Prepare();
    }

    /// <summary>Ends the stack because of an error outside of the core that nobody can be told of otherwise.</summary>
    public void FailWith(Exception exception) => Fail(exception);

    /// <summary>
    /// Runs the command under the core's lock as soon as possible (at once on this thread when the lock is free), then emits what it caused. Never call application code inside.
    /// An exception that it throws goes to the caller. After the stack has stopped the task fails: <see cref="IOException"/> when the device died, else <see cref="ObjectDisposedException"/>.
    /// </summary>
    public ValueTask<TResult> InvokeAsync<TState, TResult>(TState state, Func<TState, StackCore, TcpInstant, TResult> command)
    {
        if (_lock.IsHeldByCurrentThread || !_lock.TryEnter())
        {
            Invocation<TState, TResult> invocation = new(this, state, command);
            Enqueue(invocation);
            return invocation.Task;
        }

        return InvokeLocked(state, command, out TResult result) is { } error ? ValueTask.FromException<TResult>(error) : new ValueTask<TResult>(result);
    }

    /// <summary>
    /// As <see cref="InvokeAsync"/>, but waits for the lock: for property getters and statistics, which have no other way. The wait is a batch at most.
    /// </summary>
    public TResult Query<TState, TResult>(TState state, Func<TState, StackCore, TcpInstant, TResult> command)
    {
        if (_lock.IsHeldByCurrentThread)
        {
            return command(state, Core, Now);
        }

        _lock.Enter();
        if (InvokeLocked(state, command, out TResult result) is { } error)
        {
            ExceptionDispatchInfo.Throw(error);
        }

        return result;
    }

    /// <summary>Runs the command under the core's lock as soon as possible; no result is awaited, and nothing happens once the stack has stopped.</summary>
    public void Post<TState>(TState state, Action<TState, StackCore, TcpInstant> command) => Enqueue(new PostedCommand<TState>(state, command));

    /// <summary>Queues a command that is not in the queue yet, and runs it at once when the lock is free.</summary>
    public void Enqueue(HostCommand command)
    {
        _commands.Push(command);
        Drive();
    }

    /// <summary>Queues a command that is not in the queue yet, for the loop, which is the caller and takes a turn before it sleeps.</summary>
    public void EnqueueForLoop(HostCommand command) => _commands.Push(command);

    /// <summary>Runs a continuation after the batch: on the pool, or inline on the loop.</summary>
    public void Schedule(IThreadPoolWorkItem continuation) => Schedule(continuation, Scheduling);

    /// <inheritdoc cref="Schedule(IThreadPoolWorkItem)"/>
    public void Schedule(IThreadPoolWorkItem continuation, ContinuationScheduling scheduling)
    {
        if (_lock.IsHeldByCurrentThread)
        {
            _batch.Continuations.Add((continuation, scheduling));
        }
        else if (scheduling == ContinuationScheduling.ThreadPool || !TryQueueInline(continuation))
        {
            ThreadPool.UnsafeQueueUserWorkItem(continuation, preferLocal: false);
        }
    }

    /// <summary>Runs queued commands until there are none, or until another thread holds the lock: then that one does.</summary>
    private void Drive()
    {
        while (!_commands.IsEmpty)
        {
            if (_lock.IsHeldByCurrentThread || !_lock.TryEnter())
            {
                return;
            }

            HostBatch? batch;
            bool wakesLoop;
            try
            {
                batch = RunUserTurn(out wakesLoop);
            }
            finally
            {
                _lock.Exit();
            }

            Release(batch, wakesLoop);
        }
    }

    /// <summary>Runs a command with the lock held, and releases it.</summary>
    private Exception? InvokeLocked<TState, TResult>(TState state, Func<TState, StackCore, TcpInstant, TResult> command, out TResult result)
    {
        result = default!;
        Exception? error = null;
        HostBatch? batch;
        bool wakesLoop;
        try
        {
            if (IsStopped)
            {
                error = StoppedReason();
            }
            else
            {
                // What this caller queued before comes before.
                TcpInstant now = EnterCore();
                RunCommands();
                try
                {
                    result = command(state, Core, now);
                }
                catch (Exception exception) when (exception is not UnreachableException)
                {
                    error = exception;
                }
            }
        }
        catch (Exception exception)
        {
            Fail(exception);
            error = StoppedReason();
        }
        finally
        {
            batch = RunUserTurn(out wakesLoop);
            _lock.Exit();
        }

        Release(batch, wakesLoop);
        Drive();
        return error;
    }

    /// <summary>The lock has been released: tells owners what happened.</summary>
    private void Release(HostBatch? batch, bool wakesLoop)
    {
        if (wakesLoop)
        {
            WakeLoop();
        }

        if (batch is not null)
        {
            Deliver(batch);
        }

        // Before the caller looks at the command queue again: see the remarks on the type.
        Interlocked.MemoryBarrier();
    }

    private void Deliver(HostBatch batch)
    {
        foreach ((CoreObject source, CoreEvents events) in batch.Events)
        {
            try
            {
                source.Owner?.OnCoreEvents(events);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                StackLog.EventSinkFailed(_logger, source.GetType().Name, exception);
            }
        }

        foreach ((IThreadPoolWorkItem continuation, ContinuationScheduling scheduling) in batch.Continuations)
        {
            Schedule(continuation, scheduling);
        }

        batch.Clear();
        Volatile.Write(ref _spareBatch, batch);
    }
}
