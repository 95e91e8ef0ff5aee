using System.Threading.Tasks.Sources;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>Where a <see cref="DatagramReader{TResult}"/> takes datagrams from. Both members are called on any thread, without the core's lock.</summary>
internal interface IDatagramSource<TResult>
{
    /// <summary>True when <see cref="TryTake"/> would probably finish a call.</summary>
    bool HasNews { get; }

    /// <summary>Takes one datagram, the end, or an error, if there is one; true when a waiting call is finished by it.</summary>
    bool TryTake(Span<byte> buffer, out TResult result, out Exception? error);
}

/// <summary>Calls that wait for datagrams, first come first served. A call that waits allocates nothing when it is the only one.</summary>
internal sealed class DatagramReader<TResult>
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Waiter> _waiters = new();
    private readonly IDatagramSource<TResult> _source;
    private readonly StackHost _host;
    private Waiter? _spare;
    private Func<Exception>? _closed;

    /// <summary>A waiter is on its way to look, one at a time: of two, the later could come first.</summary>
    private bool _isLooking;

    public DatagramReader(StackHost host, IDatagramSource<TResult> source)
    {
        _host = host;
        _source = source;
    }

    public ValueTask<TResult> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken) => StartAsync(buffer, isWait: false, cancellationToken);

    /// <summary>Waits until there is probably something to take, without holding a buffer. The result says nothing.</summary>
    public ValueTask<TResult> WaitAsync(CancellationToken cancellationToken) => StartAsync(default, isWait: true, cancellationToken);

    /// <summary>There is news: lets the first waiting call look. It wakes the next one when there is more.</summary>
    public void Wake(bool onPool)
    {
        Waiter waiter;
        lock (_lock)
        {
            // Who looks wakes the next one, if there is more then.
            if (_isLooking || _waiters.First is not { } first)
            {
                return;
            }

            waiter = first.Value;
            _waiters.RemoveFirst();
            waiter.IsLooking = true;
            Volatile.Write(ref _isLooking, true);
        }

        if (onPool)
        {
            ThreadPool.UnsafeQueueUserWorkItem(waiter, preferLocal: false);
        }
        else
        {
            _host.Schedule(waiter);
        }
    }

    /// <summary>Fails all waiting calls and all to come. The first reason stays; each call gets an exception of its own.</summary>
    public void Close(Func<Exception> reason)
    {
        Waiter[] waiters;
        lock (_lock)
        {
            if (_closed is not null)
            {
                return;
            }

            Volatile.Write(ref _closed, reason);
            waiters = [.. _waiters];
            _waiters.Clear();
        }

        foreach (Waiter waiter in waiters)
        {
            ThreadPool.UnsafeQueueUserWorkItem(waiter, preferLocal: false);
        }
    }

    private ValueTask<TResult> StartAsync(Memory<byte> buffer, bool isWait, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<TResult>(cancellationToken);
        }

        if (Volatile.Read(ref _closed) is { } closed)
        {
            return ValueTask.FromException<TResult>(closed());
        }

        // Whoever waits already comes first.
        if (_waiters.Count == 0 && !Volatile.Read(ref _isLooking) && TryFinish(buffer.Span, isWait, out TResult result, out Exception? error))
        {
            return error is null ? new ValueTask<TResult>(result) : ValueTask.FromException<TResult>(error);
        }

        Waiter waiter = Interlocked.Exchange(ref _spare, null) ?? new Waiter(this);
        waiter.Prepare(buffer, isWait, cancellationToken);
        ValueTask<TResult> task = waiter.Task;
        if (!TryEnqueue(waiter, isFirst: false, out Exception? refused))
        {
            waiter.Recycle();
            return ValueTask.FromException<TResult>(refused);
        }

        // A datagram may have come between the look and the enqueueing; its event found nobody waiting.
        if (_source.HasNews)
        {
            Wake(onPool: true);
        }

        return task;
    }

    private bool TryFinish(Span<byte> buffer, bool isWait, out TResult result, out Exception? error)
    {
        if (isWait)
        {
            result = default!;
            error = null;
            return _source.HasNews;
        }

        return _source.TryTake(buffer, out result, out error);
    }

    private bool TryEnqueue(Waiter waiter, bool isFirst, [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out Exception? refused)
    {
        lock (_lock)
        {
            refused = _closed?.Invoke() ?? (waiter.CancellationToken.IsCancellationRequested ? new OperationCanceledException(waiter.CancellationToken) : null);
            if (refused is not null)
            {
                return false;
            }

            if (isFirst)
            {
                StopLooking(waiter);
                _waiters.AddFirst(waiter.Node);
            }
            else
            {
                _waiters.AddLast(waiter.Node);
            }

            return true;
        }
    }

    /// <summary>Under the lock.</summary>
    private void StopLooking(Waiter waiter)
    {
        if (waiter.IsLooking)
        {
            waiter.IsLooking = false;
            Volatile.Write(ref _isLooking, false);
        }
    }

    private void Cancel(Waiter waiter, CancellationToken token)
    {
        lock (_lock)
        {
            // The waiter may serve another call by now, with another token; or be on its way to look, and then it asks its token itself.
            if (waiter.Node.List is null || waiter.CancellationToken != token)
            {
                return;
            }

            _waiters.Remove(waiter.Node);
        }

        ThreadPool.UnsafeQueueUserWorkItem(waiter, preferLocal: false);
    }

    private sealed class Waiter : IValueTaskSource<TResult>, IThreadPoolWorkItem
    {
        private readonly DatagramReader<TResult> _reader;
        private ManualResetValueTaskSourceCore<TResult> _completion;
        private CancellationTokenRegistration _registration;
        private Memory<byte> _buffer;
        private bool _isWait;

        public Waiter(DatagramReader<TResult> reader)
        {
            _reader = reader;
            Node = new LinkedListNode<Waiter>(this);
        }

        public LinkedListNode<Waiter> Node { get; }

        public CancellationToken CancellationToken { get; private set; }

        public bool IsLooking { get; set; }

        public ValueTask<TResult> Task => new(this, _completion.Version);

        public void Prepare(Memory<byte> buffer, bool isWait, CancellationToken cancellationToken)
        {
            _isWait = isWait;
            _buffer = buffer;
            CancellationToken = cancellationToken;
            _registration = cancellationToken.UnsafeRegister(static (state, token) => ((Waiter)state!)._reader.Cancel((Waiter)state, token), this);
        }

        public void Execute()
        {
            while (true)
            {
                if (CancellationToken.IsCancellationRequested)
                {
                    Finish(default!, new OperationCanceledException(CancellationToken));
                    return;
                }

                if (Volatile.Read(ref _reader._closed) is { } closed)
                {
                    Finish(default!, closed());
                    return;
                }

                if (_reader.TryFinish(_buffer.Span, _isWait, out TResult result, out Exception? error))
                {
                    Finish(result, error);
                    return;
                }

                if (_reader.TryEnqueue(this, isFirst: true, out _))
                {
                    if (_reader._source.HasNews)
                    {
                        _reader.Wake(onPool: true);
                    }

                    return;
                }
            }
        }

        public void Recycle()
        {
            _registration.Unregister();
            _buffer = default;
            _completion.Reset();
            Volatile.Write(ref _reader._spare, this);
        }

        private void Finish(TResult result, Exception? error)
        {
            _registration.Unregister();
            _buffer = default;
            lock (_reader._lock)
            {
                _reader.StopLooking(this);
            }

            if (_reader._source.HasNews)
            {
                _reader.Wake(onPool: true);
            }

            if (error is null)
            {
                _completion.SetResult(result);
            }
            else
            {
                _completion.SetException(error);
            }
        }

        TResult IValueTaskSource<TResult>.GetResult(short token)
        {
            try
            {
                return _completion.GetResult(token);
            }
            finally
            {
                if (token == _completion.Version)
                {
                    Recycle();
                }
            }
        }

        ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => _completion.GetStatus(token);

        void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _completion.OnCompleted(continuation, state, token, flags);
    }
}
