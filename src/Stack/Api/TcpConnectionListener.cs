using System.Net;
using System.Runtime.CompilerServices;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>Accepts TCP connections on a local address and port. Thread-safe: several calls may wait at the same time.</summary>
public sealed class TcpConnectionListener : IAsyncDisposable
{
    private readonly Link _link;

    internal TcpConnectionListener(IpStack stack, TcpListener listener, ContinuationScheduling scheduling)
    {
        _link = new Link(stack, listener, scheduling);
        LocalEndPoint = listener.Local.ToIPEndPoint();
    }

    /// <summary>The address and port that it listens on; an any-address for all of the stack's.</summary>
    public IPEndPoint LocalEndPoint { get; }

    internal void Attach() => _link.Attach();

    /// <summary>Takes the oldest connection that waits, or waits for one.</summary>
    /// <param name="ct">Cancels the wait; no connection is lost.</param>
    /// <returns>An established connection.</returns>
    /// <exception cref="ObjectDisposedException">The listener or the stack has been disposed of.</exception>
    /// <exception cref="IOException">The stack's device has died.</exception>
    public async ValueTask<TcpConnection> AcceptAsync(CancellationToken ct = default)
    {
        while (true)
        {
            ct.ThrowIfCancellationRequested();
            _link.ThrowIfEnded();
            AcceptWaiter waiter = _link.RentWaiter();
            TcpConnection? connection = await _link.Stack.Host.InvokeAsync((_link, waiter), static (state, _, _) => state._link.TryAccept(state.waiter)).ConfigureAwait(false);
            if (connection is not null)
            {
                _link.ReturnWaiter(waiter);
                connection.Link.Attach();
                StackLog.Accepted(_link.Stack.Logger, connection.Endpoint.Id, connection.LocalEndPoint, connection.RemoteEndPoint);
                _link.Stack.OnConnected(connection);
                return connection;
            }

            try
            {
                await waiter.WaitAsync(ct).ConfigureAwait(false);
            }
            finally
            {
                _link.ReturnWaiter(waiter);
            }
        }
    }

    /// <summary>Accepts until the listener is disposed of (then the sequence ends) or the token fires.</summary>
    /// <param name="ct">Ends the sequence with <see cref="OperationCanceledException"/>.</param>
    /// <returns>Connections as they are established.</returns>
    /// <exception cref="IOException">The stack's device has died.</exception>
    public async IAsyncEnumerable<TcpConnection> AcceptAllAsync([EnumeratorCancellation] CancellationToken ct = default)
    {
        while (true)
        {
            TcpConnection connection;
            try
            {
                connection = await AcceptAsync(ct).ConfigureAwait(false);
            }
            catch (ObjectDisposedException)
            {
                yield break;
            }

            yield return connection;
        }
    }

    /// <summary>Stops listening: the port is free afterwards. Connections that nobody has accepted are reset, pending calls fail with <see cref="ObjectDisposedException"/>; accepted connections live on. Idempotent.</summary>
    /// <returns>A task that ends when the port is free.</returns>
    public ValueTask DisposeAsync() => _link.DisposeAsync();

    /// <summary>One wait of an <see cref="AcceptAsync"/> for a connection to come.</summary>
    private sealed class AcceptWaiter(Link link) : WaitOperation<bool>(link.Stack.Host, link.Scheduling)
    {
        private volatile bool _isSignalled;

        protected override bool IsReady => _isSignalled || link.IsEnded;

        public void Reset() => _isSignalled = false;

        public void SetSignalled()
        {
            _isSignalled = true;
            Signal();
        }

        public ValueTask WaitAsync(CancellationToken cancellationToken) => RunWithoutResult(cancellationToken);

        protected override bool TryFinish(out bool result) => result = IsReady;

        protected override void OnFinished(bool succeeded)
        {
        }
    }

    /// <summary>The listener's side that faces the core.</summary>
    private sealed class Link : ICoreEventSink, IHostClient, IAsyncDisposable
    {
        private readonly TcpListener _listener;
        private readonly Lock _lock = new();
        private readonly List<AcceptWaiter> _waiters = [];
        private AcceptWaiter? _spareWaiter;
        private Exception? _stoppedReason;
        private int _isClosed;
        private volatile bool _isEnded;

        public Link(IpStack stack, TcpListener listener, ContinuationScheduling scheduling)
        {
            Stack = stack;
            Scheduling = scheduling;
            _listener = listener;
            listener.Owner = this;
        }

        public IpStack Stack { get; }

        public ContinuationScheduling Scheduling { get; }

        public bool IsEnded => _isEnded;

        public void Attach() => Stack.Host.Attach(this);

        public void ThrowIfEnded()
        {
            if (_stoppedReason is not null)
            {
                throw StackErrors.Stopped(_stoppedReason);
            }

            ObjectDisposedException.ThrowIf(_isEnded, typeof(TcpConnectionListener));
        }

        /// <summary>Under the core's lock: takes a connection, or leaves word to be told of the next one, so that none comes between.</summary>
        public TcpConnection? TryAccept(AcceptWaiter waiter)
        {
            if (_isClosed == 0 && _listener.TryAccept(out TcpEndpoint endpoint))
            {
                return TcpConnection.Create(Stack, endpoint, Scheduling);
            }

            lock (_lock)
            {
                _waiters.Add(waiter);
            }

            return null;
        }

        public AcceptWaiter RentWaiter()
        {
            AcceptWaiter waiter = Interlocked.Exchange(ref _spareWaiter, null) ?? new AcceptWaiter(this);
            waiter.Reset();
            return waiter;
        }

        public void ReturnWaiter(AcceptWaiter waiter)
        {
            lock (_lock)
            {
                _waiters.Remove(waiter);
            }

            Volatile.Write(ref _spareWaiter, waiter);
        }

        public void OnCoreEvents(CoreEvents events)
        {
            // All of them: each looks for itself, and who finds nothing waits again. There is rarely more than one.
            AcceptWaiter[] waiters;
            lock (_lock)
            {
                if (_waiters.Count == 0)
                {
                    return;
                }

                waiters = [.. _waiters];
                _waiters.Clear();
            }

            foreach (AcceptWaiter waiter in waiters)
            {
                waiter.SetSignalled();
            }
        }

        public void OnHostStopped(Exception reason)
        {
            _stoppedReason = reason;
            _isEnded = true;
            OnCoreEvents(CoreEvents.Closed);
        }

        public async ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _isClosed, 1) != 0)
            {
                return;
            }

            Stack.Host.Detach(this);
            try
            {
                await Stack.Host.InvokeAsync(_listener, static (listener, _, now) =>
                {
                    listener.Close(now);
                    return true;
                }).ConfigureAwait(false);
                StackLog.StoppedListening(Stack.Logger, _listener.Local.ToIPEndPoint());
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException)
            {
                // The stack is gone, and the port with it.
            }

            _isEnded = true;
            OnCoreEvents(CoreEvents.Closed);
        }
    }
}
