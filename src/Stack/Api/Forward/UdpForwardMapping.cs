using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Udp;

namespace Tcpcrypt;

/// <summary>One <see cref="IpStack.MapUdp"/>: takes new flows from the core and runs the handler.</summary>
internal sealed class UdpForwardMapping : IDisposable
{
    private readonly ForwardRuntime _runtime;
    private readonly Ipv4Address _network;
    private readonly int _prefixLength;
    private readonly Func<UdpFlow, CancellationToken, Task> _handler;
    private readonly UdpForwardOptions _options;
    private IDisposable? _registration;
    private bool _isClosed;
    private int _isDisposed;

    public UdpForwardMapping(ForwardRuntime runtime, Ipv4Address network, int prefixLength, Func<UdpFlow, CancellationToken, Task> handler, UdpForwardOptions options)
    {
        _runtime = runtime;
        _network = network;
        _prefixLength = prefixLength;
        _handler = handler;
        _options = options;
    }

    public StackHost Host => _runtime.Stack.Host;

    public ForwardCounters Counters => _runtime.Counters;

    public void Start()
    {
        _runtime.Add(this);
        Host.Post(this, static (mapping, core, _) =>
        {
            if (!mapping._isClosed)
            {
                mapping._registration = core.Udp.Forward(mapping._network, mapping._prefixLength, mapping._options.MaxFlows, mapping._options.IdleTimeout, mapping.OnFlow);
            }
        });
    }

    /// <summary>No new flows; those that exist go on.</summary>
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

    /// <summary>Runs the handler for one flow, and ends the flow with it. Called with the core's lock released.</summary>
    public async Task RunAsync(UdpFlow flow)
    {
        flow.Attach();
        ForwardLog.UdpFlowOpened(_runtime.Logger, flow.Source, flow.Destination);
        using Activity? activity = StackActivity.StartForward("udp", flow.Source, flow.Destination);
        CancellationToken stopping = _runtime.Stopping;
        try
        {
            await _handler(flow, stopping).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The stack ends: so does the flow.
        }
        catch (Exception error)
        {
            StackActivity.Fail(activity, error);
            LogLevel level = _runtime.Limiter.Level(LogLevel.Warning);
            ForwardLog.HandlerFailed(_runtime.Logger, level, flow.Source, flow.Destination, error);
        }
        finally
        {
            await flow.DisposeAsync().ConfigureAwait(false);
        }
    }

    // Inside the core: queue and return.
    private void OnFlow(UdpFlowEndpoint endpoint)
    {
        Counters.UdpFlowOpened();
        endpoint.Owner = new UdpFlow(this, endpoint);
        Host.Core.Raise(endpoint, CoreEvents.Readable);
    }
}
