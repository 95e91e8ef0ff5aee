using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>One <see cref="IpStack.MapTcp"/>: takes requests from the core, runs the handler, and refuses what nobody answers in time.</summary>
internal sealed class TcpForwardMapping : IDisposable
{
    private readonly ForwardRuntime _runtime;
    private readonly Ipv4Address _network;
    private readonly int _prefixLength;
    private readonly Func<TcpForwardRequest, CancellationToken, Task> _handler;
    private readonly DecisionDeadlines _deadlines;
    private IDisposable? _registration;
    private bool _isClosed;
    private int _isDisposed;

    public TcpForwardMapping(ForwardRuntime runtime, Ipv4Address network, int prefixLength, Func<TcpForwardRequest, CancellationToken, Task> handler, TcpForwardOptions options)
    {
        _runtime = runtime;
        _network = network;
        _prefixLength = prefixLength;
        _handler = handler;
        _deadlines = new DecisionDeadlines(this);
        Options = options;
    }

    public TcpForwardOptions Options { get; }

    public IpStack Stack => _runtime.Stack;

    public StackHost Host => _runtime.Stack.Host;

    public ForwardCounters Counters => _runtime.Counters;

    public void Start()
    {
        _runtime.Add(this);
        Host.Post(this, static (mapping, core, _) =>
        {
            if (!mapping._isClosed)
            {
                TcpForwardOptions options = mapping.Options;
                mapping._registration = core.Tcp.Forward(mapping._network, mapping._prefixLength, options.MaxInFlight, options.MaxInFlightPerSource, mapping.OnRequest);
            }
        });
    }

    /// <summary>No new requests; those that wait may still be answered until their time is up.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            _runtime.Remove(this);
            Host.Post(this, static (mapping, _, _) =>
            {
                mapping._isClosed = true;
                mapping._registration?.Dispose();
                mapping._registration = null;
            });
        }
    }

    /// <summary>Runs the handler for one request. Called with the core's lock released.</summary>
    public async Task RunAsync(TcpForwardRequest request)
    {
        ForwardLog.TcpRequested(_runtime.Logger, request.Source, request.Destination);
        using Activity? activity = StackActivity.StartForward("tcp", request.Source, request.Destination);
        CancellationToken stopping = _runtime.Stopping;
        try
        {
            await _handler(request, stopping).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            request.Abandon();
        }
        catch (Exception error)
        {
            StackActivity.Fail(activity, error);
            LogLevel level = _runtime.Limiter.Level(LogLevel.Warning);
            ForwardLog.HandlerFailed(_runtime.Logger, level, request.Source, request.Destination, error);
            request.Abandon();
        }
    }

    /// <summary>Under the core's lock: the request has been answered, or never will be. False when that happened before.</summary>
    public bool TrySettle(TcpForwardRequest request)
    {
        if (!_deadlines.Remove(request))
        {
            return false;
        }

        Counters.TcpSettled();
        return true;
    }

    // Inside the core: queue and return.
    private void OnRequest(TcpForward forward)
    {
        TcpForwardRequest request = new(this, forward, Host.Now + Options.DecisionTimeout);
        Counters.TcpRequested();
        _deadlines.Add(request);
        forward.Owner = request;
        Host.Core.Raise(forward, CoreEvents.Readable);
    }

    /// <summary>The requests that wait for an answer, oldest first: all have the same time, so the first is due first, and one entry in the core's queue serves them all.</summary>
    private sealed class DecisionDeadlines(TcpForwardMapping mapping) : DeadlineItem
    {
        private readonly LinkedList<TcpForwardRequest> _waiting = new();

        public override TcpInstant Deadline => _waiting.First?.Value.DecisionDeadline ?? TcpInstant.Never;

        public void Add(TcpForwardRequest request)
        {
            _waiting.AddLast(request.Node);
            mapping.Host.Core.Deadlines.Update(this);
        }

        public bool Remove(TcpForwardRequest request)
        {
            if (request.Node.List is null)
            {
                return false;
            }

            // The queue corrects an entry that is too early when it surfaces.
            _waiting.Remove(request.Node);
            return true;
        }

        public override void OnDeadline(TcpInstant now)
        {
            while (_waiting.First?.Value is { } request && request.DecisionDeadline <= now)
            {
                request.Expire(now);
            }

            mapping.Host.Core.Deadlines.Update(this);
        }
    }
}
