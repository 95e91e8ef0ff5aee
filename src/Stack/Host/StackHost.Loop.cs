using System.Runtime.ExceptionServices;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

// The loop thread: turns, inline continuations, spin, sleep.
internal sealed partial class StackHost
{
    private const int SpinCreditMax = 16;

    // A full device has no way to say that it has room again (one in memory wakes us): look again soon, then less often.
    private static readonly TimeSpan s_blockedRetryMin = TimeSpan.FromMicroseconds(200);
    private static readonly TimeSpan s_blockedRetryMax = TimeSpan.FromMilliseconds(5);

    private readonly Thread _thread;
    private readonly TimeSpan _spin;

    /// <summary>Wakes the loop by the clock when that is not the system's (a test's clock jumps, and a wait in the kernel would not notice).</summary>
    private readonly ITimer? _alarm;

    private readonly Lock _inlineLock = new();
    private List<IThreadPoolWorkItem> _inline = [];
    private List<IThreadPoolWorkItem> _inlineRunning = [];
    private volatile bool _hasInline;

    /// <summary>1 while the loop sleeps or is about to: who sets it back to 0 owes it a <see cref="PacketQueue.Wake"/>.</summary>
    private int _sleeping;

    /// <summary>Somebody wants a turn of the loop.</summary>
    private volatile bool _attention;

    private int _spinCredit = SpinCreditMax;
    private TimeSpan _blockedRetry = s_blockedRetryMin;

    private void RunLoop()
    {
        long spinEnd = 0;
        bool isSpinning = false;
        try
        {
            while (!_stopRequested)
            {
                _attention = false;
                HostBatch? batch;
                bool hasMore;
                bool hadWork;
                _lock.Enter();
                try
                {
                    batch = RunLoopTurn(out hasMore, out hadWork);
                }
                finally
                {
                    _lock.Exit();
                }

                Release(batch, wakesLoop: false);
                Drive();
                RunInline();

                if (hadWork)
                {
                    // The spin pays while it finds work; when it seldom does, it is given up, and tried again now and then.
                    _spinCredit = Math.Min(SpinCreditMax, _spinCredit + (isSpinning ? 2 : 0));
                    isSpinning = false;
                    spinEnd = _spin > TimeSpan.Zero && _spinCredit > 0 ? (Now + _spin).Nanoseconds : 0;
                }

                bool hasHelped = _handshakes is not null && _handshakes.TryRunShort(isBusy: hasMore);
                if (hasMore || hasHelped || _attention || _hasInline)
                {
                    continue;
                }

                if (spinEnd != 0)
                {
                    if (Now.Nanoseconds < spinEnd)
                    {
                        // Turns with reads beat watching the command queue alone (19 us against 25-45 per exchange); an empty read costs 0.4 us.
                        isSpinning = true;
                        Thread.SpinWait(8);
                        continue;
                    }

                    spinEnd = 0;
                    isSpinning = false;
                    _spinCredit--;
                }
                else if (_spinCredit <= 0)
                {
                    _spinCredit = _spinCredit < -64 ? 1 : _spinCredit - 1;
                }

                Sleep();
            }
        }
        catch (Exception exception)
        {
            // Not reached by way of packets or commands: those end in Fail. The process must not die of it all the same.
            Fail(exception);
        }
        finally
        {
            Shutdown();
        }
    }

    private void Sleep()
    {
        // The flag first, then the looks (each with a full fence): who queues something after our look sees the flag and wakes us.
        Interlocked.Exchange(ref _sleeping, 1);
        if (!_attention && !_stopRequested && !_hasInline && _commands.IsEmpty)
        {
            // Compare the clock with the deadline before waiting: time has passed since the turn.
            TcpInstant deadline = _loopDeadline;
            TimeSpan timeout = deadline.IsNever ? Timeout.InfiniteTimeSpan : deadline - Now;
            if (deadline.IsNever || timeout > TimeSpan.Zero)
            {
                Wait(timeout);
            }
        }

        Volatile.Write(ref _sleeping, 0);
    }

    private void Wait(TimeSpan timeout)
    {
        if (_alarm is not null)
        {
            TcpInstant deadline = _loopDeadline;
            _alarm.Change(timeout, Timeout.InfiniteTimeSpan);
            timeout = Timeout.InfiniteTimeSpan;
            if (deadline <= Now)
            {
                return;     // the clock jumped before the alarm was set
            }
        }

        if (_transmitted == TransmitResult.Blocked)
        {
            timeout = timeout == Timeout.InfiniteTimeSpan || timeout > _blockedRetry ? _blockedRetry : timeout;
            _blockedRetry = TimeSpan.FromTicks(Math.Min(_blockedRetry.Ticks * 2, s_blockedRetryMax.Ticks));
        }
        else
        {
            _blockedRetry = s_blockedRetryMin;
        }

        try
        {
            _queue.Wait(timeout);
        }
        catch (Exception exception)
        {
            Fail(exception);
        }
    }

    /// <summary>Makes the loop take a turn soon. Costs a system call only when it sleeps.</summary>
    private void WakeLoop()
    {
        _attention = true;
        if (Interlocked.Exchange(ref _sleeping, 0) == 1)
        {
            _queue.Wake();
        }
    }

    /// <summary>
    /// Queues a continuation for the loop thread, which alone runs inline ones: one at a time, never inside another. A user thread that held the lock hands its inline
    /// continuations over too, so that code scheduled inline is never run by two threads at once. False when there is no loop any more.
    /// </summary>
    private bool TryQueueInline(IThreadPoolWorkItem continuation)
    {
        lock (_inlineLock)
        {
            if (_isInlineClosed)
            {
                return false;
            }

            _inline.Add(continuation);
            _hasInline = true;
        }

        if (!IsLoopThread)
        {
            WakeLoop();
        }

        return true;
    }

    /// <summary>Runs the inline continuations queued so far. What they queue runs after the next turn, so that they cannot keep the device waiting.</summary>
    private void RunInline()
    {
        if (!_hasInline)
        {
            return;
        }

        lock (_inlineLock)
        {
            (_inline, _inlineRunning) = (_inlineRunning, _inline);
            _hasInline = false;
        }

        foreach (IThreadPoolWorkItem continuation in _inlineRunning)
        {
            try
            {
                continuation.Execute();
            }
            catch (Exception exception)
            {
                // An awaiter's bare callback threw. On the pool that ends the process; so it does here, but not on our thread.
                ThreadPool.UnsafeQueueUserWorkItem(static thrown => thrown.Throw(), ExceptionDispatchInfo.Capture(exception), preferLocal: false);
            }
        }

        _inlineRunning.Clear();
    }
}
