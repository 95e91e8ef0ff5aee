using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;
using Tcpcrypt.Wire;

namespace Tcpcrypt;

// RS0026: the overloads differ in a required parameter.
#pragma warning disable RS0026

/// <summary>A SYN to a mapped destination that nobody has answered yet (<see cref="IpStack.MapTcp"/>). Answer it once, by <see cref="AcceptAsync(CancellationToken)"/> or <see cref="Reject"/>.</summary>
/// <remarks>A request that is not answered within <see cref="TcpForwardOptions.DecisionTimeout"/> is refused with RST. Safe for use by several threads.</remarks>
public sealed class TcpForwardRequest : ICoreEventSink, IThreadPoolWorkItem
{
    private readonly TcpForwardMapping _mapping;
    private readonly TcpForward _forward;
    private TcpConnection? _connection;
    private int _isStarted;

    /// <summary>An <see cref="Answer"/>.</summary>
    private int _answer;

    private enum Answer
    {
        None,

        /// <summary>By the handler.</summary>
        Given,

        /// <summary>The time was up, or the client gave up: an answer comes too late.</summary>
        TooLate,
    }

    internal TcpForwardRequest(TcpForwardMapping mapping, TcpForward forward, TcpInstant decisionDeadline)
    {
        _mapping = mapping;
        _forward = forward;
        DecisionDeadline = decisionDeadline;
        Node = new LinkedListNode<TcpForwardRequest>(this);
        Source = forward.Source.ToIPEndPoint();
        Destination = forward.Destination.ToIPEndPoint();
    }

    /// <summary>Who wants to connect.</summary>
    public IPEndPoint Source { get; }

    /// <summary>Where it wants to connect to; becomes the connection's local end.</summary>
    public IPEndPoint Destination { get; }

    internal TcpInstant DecisionDeadline { get; }

    internal LinkedListNode<TcpForwardRequest> Node { get; }

    /// <summary>Answers the SYN and waits for the handshake's end, tcpcrypt's included. Whether the connection is encrypted, <see cref="TcpForwardOptions.Policy"/> says.</summary>
    /// <param name="cancellationToken">Ends the wait; the connection is reset.</param>
    /// <returns>The connection. It belongs to the caller.</returns>
    /// <exception cref="InvalidOperationException">The request was answered before.</exception>
    /// <exception cref="SocketException">The request's time was up or the client gave up (ConnectionAborted), the handshake failed (ConnectionReset, TimedOut), or a limit was reached (NoBufferSpaceAvailable).</exception>
    /// <exception cref="TcpcryptException">The connection could not be encrypted under <see cref="TcpcryptPolicy.Required"/>, or tcpcrypt's handshake broke half-way; the client was reset.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="ObjectDisposedException">The stack was stopped.</exception>
    public ValueTask<TcpConnection> AcceptAsync(CancellationToken cancellationToken = default) => AcceptAsync(_mapping.Options.Policy, cancellationToken);

    /// <summary>As <see cref="AcceptAsync(CancellationToken)"/>, under a policy for this connection: by source or destination, say.</summary>
    /// <param name="policy">Whether the connection is encrypted.</param>
    /// <param name="cancellationToken">Ends the wait; the connection is reset.</param>
    /// <returns>The connection. It belongs to the caller.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No such policy.</exception>
    public ValueTask<TcpConnection> AcceptAsync(TcpcryptPolicy policy, CancellationToken cancellationToken = default)
    {
        CryptOverrides.Validate(policy, null, null);
        return AcceptAsync((TcpcryptPolicy?)policy, cancellationToken);
    }

    private ValueTask<TcpConnection> AcceptAsync(TcpcryptPolicy? policy, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return TakeAnswer() ? CoreAsync() : ValueTask.FromException<TcpConnection>(new SocketException((int)SocketError.ConnectionAborted));

        async ValueTask<TcpConnection> CoreAsync()
        {
            StackHost host = _mapping.Host;
            (SocketError error, TcpConnection? connection) = await host.InvokeAsync((Request: this, policy), static (state, core, now) => state.Request.Accept(core, now, state.policy)).ConfigureAwait(false);
            if (_forward.Refusal is not TcpcryptOutcome.Pending and TcpcryptOutcome refusal)
            {
                throw StackErrors.CryptFailed(refusal, Source, error);
            }

            if (connection is null)
            {
                throw new SocketException((int)error);
            }

            ConnectionLink link = connection.Link;
            link.Attach();
            try
            {
                await link.WaitConnectedAsync(cancellationToken).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
            }
            catch (OperationCanceledException)
            {
                link.Abort();
                link.Dispose();
                throw;
            }

            if (link.IsConnected)
            {
                _mapping.Counters.Accepted();
                _mapping.Stack.OnConnected(connection);
                Volatile.Write(ref _connection, connection);
                return connection;
            }

            if (host.IsStopped)
            {
                throw host.StoppedReason();
            }

            error = connection.Endpoint.Error;
            link.Dispose();
            if (connection.Endpoint.IsCryptFailure)
            {
                throw StackErrors.CryptFailed(connection.Tcpcrypt.Outcome, Source, error);
            }

            throw new SocketException((int)(error == SocketError.Success ? SocketError.ConnectionAborted : error));
        }
    }

    /// <summary>Refuses the request. Does not wait; does nothing when the request's time was up before.</summary>
    /// <param name="reason">What the client is told.</param>
    /// <exception cref="InvalidOperationException">The request was answered before.</exception>
    /// <exception cref="ArgumentOutOfRangeException">No such reason.</exception>
    public void Reject(ForwardReject reason = ForwardReject.Reset)
    {
        if (reason is < ForwardReject.Reset or > ForwardReject.Drop)
        {
            throw new ArgumentOutOfRangeException(nameof(reason), reason, "One of the values of ForwardReject is needed.");
        }

        if (TakeAnswer())
        {
            Refuse(reason, (ForwardOutcome)reason);
        }
    }

    /// <summary>The handler has failed: what it left behind is refused or reset.</summary>
    internal void Abandon()
    {
        if (Interlocked.CompareExchange(ref _answer, (int)Answer.Given, (int)Answer.None) == (int)Answer.None)
        {
            Refuse(ForwardReject.Reset, ForwardOutcome.HandlerFault);
        }
        else
        {
            Volatile.Read(ref _connection)?.Abort();
        }
    }

    /// <summary>Under the core's lock: the time for an answer is up.</summary>
    internal void Expire(TcpInstant now)
    {
        // An answer that was given but has not reached the core yet comes too late as well: TrySettle decides.
        Interlocked.CompareExchange(ref _answer, (int)Answer.TooLate, (int)Answer.None);
        if (_mapping.TrySettle(this))
        {
            _forward.Reset(now);
            _mapping.Counters.Refused(ForwardOutcome.DecisionTimeout);
        }
    }

    void ICoreEventSink.OnCoreEvents(CoreEvents events)
    {
        if ((events & CoreEvents.Closed) != 0)
        {
            // The client took the SYN back. The handler finds out when it answers.
            Interlocked.CompareExchange(ref _answer, (int)Answer.TooLate, (int)Answer.None);
            _mapping.Host.Post(this, static (request, _, _) => request._mapping.TrySettle(request));
        }

        if (Interlocked.Exchange(ref _isStarted, 1) == 0)
        {
            _mapping.Host.Schedule(this);
        }
    }

    void IThreadPoolWorkItem.Execute() => _ = _mapping.RunAsync(this);

    /// <summary>True for the first answer; false when it comes too late.</summary>
    private bool TakeAnswer() => (Answer)Interlocked.CompareExchange(ref _answer, (int)Answer.Given, (int)Answer.None) switch
    {
        Answer.None => true,
        Answer.TooLate => false,
        _ => throw new InvalidOperationException($"The request {Source} -> {Destination} was answered before."),
    };

    private void Refuse(ForwardReject reason, ForwardOutcome outcome) =>
        _mapping.Host.Post((Request: this, Reason: reason, Outcome: outcome), static (state, _, now) =>
        {
            if (!state.Request._mapping.TrySettle(state.Request))
            {
                return;
            }

            TcpForward forward = state.Request._forward;
            switch (state.Reason)
            {
                case ForwardReject.Reset:
                    forward.Reset(now);
                    break;
                case ForwardReject.HostUnreachable:
                    forward.Unreachable(now, UnreachableCode.Host);
                    break;
                case ForwardReject.AdministrativelyProhibited:
                    forward.Unreachable(now, UnreachableCode.AdministrativelyProhibited);
                    break;
                default:
                    forward.Drop();
                    break;
            }

            state.Request._mapping.Counters.Refused(state.Outcome);
        });

    /// <summary>Under the core's lock: sends the SYN,ACK.</summary>
    private (SocketError Error, TcpConnection? Connection) Accept(StackCore core, TcpInstant now, TcpcryptPolicy? policy)
    {
        if (!_mapping.TrySettle(this))
        {
            return (SocketError.ConnectionAborted, null);
        }

        TcpEndpointOptions options = TcpEndpointOptions.From(core.Options.Tcp);
        options.Transparent = true;
        TcpForwardOptions settings = _mapping.Options;
        TcpOverrides.Apply(options, settings.CongestionControl, settings.Pacing, settings.MaxPacingRate, settings.MaximumSegmentSize);
        options.Crypt = CryptOverrides.Apply(_mapping.Stack.Options.Tcpcrypt, policy, settings.ApplicationAware, settings.CMode);
        if (settings.KeepAlive is { } keepAlive)
        {
            options.KeepAlive = true;
            options.KeepAliveIdle = keepAlive.Idle;
            options.KeepAliveInterval = keepAlive.Interval;
            options.KeepAliveCount = keepAlive.Count;
        }

        SocketError error = _forward.Accept(now, options, out TcpEndpoint? endpoint);
        return (error, endpoint is null ? null : TcpConnection.Create(_mapping.Stack, endpoint));
    }
}
