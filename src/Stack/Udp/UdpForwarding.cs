using Tcpcrypt.Core;

namespace Tcpcrypt.Udp;

/// <summary>Destinations whose datagrams a forwarder takes.</summary>
internal sealed class UdpMapping(UdpLayer layer, Ipv4Address network, int prefixLength, int maxFlows, TimeSpan idleTimeout, Action<UdpFlowEndpoint> handler) : IDisposable
{
    private readonly uint _mask = prefixLength == 0 ? 0 : uint.MaxValue << (32 - prefixLength);

    public int PrefixLength { get; } = prefixLength;

    public int MaxFlows { get; } = maxFlows;

    public TimeSpan IdleTimeout { get; } = idleTimeout;

    public Action<UdpFlowEndpoint> Handler { get; } = handler;

    public int Flows { get; set; }

    public bool Contains(Ipv4Address destination) => ((destination.Value ^ network.Value) & _mask) == 0;

    /// <summary>Ends the mapping and closes its flows. Called as any user call is: by the core's owner.</summary>
    public void Dispose() => layer.Remove(this);
}

internal sealed partial class UdpLayer
{
    private readonly Dictionary<FourTuple, UdpFlowEndpoint> _flows;
    private readonly OctetBudget _flowBudget;

    /// <summary>The longest prefixes first.</summary>
    private readonly List<UdpMapping> _mappings = [];

    /// <summary>Flows that exist.</summary>
    public int FlowCount => _flows.Count;

    /// <summary>True when a destination counts as local for datagrams.</summary>
    public bool IsMapped(Ipv4Address destination) => _mappings.Count > 0 && FindMapping(destination) is not null;

    /// <summary>
    /// Takes the datagrams for a network: each new pair of ends is a flow, given to <paramref name="handler"/> inside the core (it queues and returns).
    /// Endpoints bound to the destination itself go before. Dispose the result as a user call.
    /// </summary>
    public IDisposable Forward(Ipv4Address network, int prefixLength, int maxFlows, TimeSpan idleTimeout, Action<UdpFlowEndpoint> handler)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(prefixLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefixLength, 32);
        UdpMapping mapping = new(this, network, prefixLength, maxFlows, idleTimeout, handler);
        int at = _mappings.FindIndex(other => other.PrefixLength < prefixLength);
        _mappings.Insert(at < 0 ? _mappings.Count : at, mapping);
        return mapping;
    }

    internal void Remove(UdpMapping mapping)
    {
        if (_mappings.Remove(mapping))
        {
            foreach (UdpFlowEndpoint flow in _flows.Values.Where(flow => flow.Mapping == mapping).ToArray())
            {
                Close(flow);
            }
        }
    }

    internal void Close(UdpFlowEndpoint flow)
    {
        if (flow.IsClosed)
        {
            return;
        }

        flow.IsClosed = true;
        flow.Discard();
        flow.Mapping.Flows--;
        _flows.Remove(flow.Tuple);
        _core.Deadlines.Remove(flow);
        _core.Raise(flow, CoreEvents.Closed);
    }

    private DropReason OnMapped(TcpInstant now, in FourTuple tuple, ReadOnlySpan<byte> data, in UdpArrival about)
    {
        if (!_flows.TryGetValue(tuple, out UdpFlowEndpoint? flow))
        {
            // A reply could go nowhere without a source port, and a broadcast is for nobody in particular.
            if (_mappings.Count == 0 || tuple.Remote.Port == 0 || _core.Ip.IsBroadcast(tuple.Local.Address) || FindMapping(tuple.Local.Address) is not { } mapping)
            {
                return DropReason.UdpNoPort;
            }

            if (mapping.Flows >= mapping.MaxFlows)
            {
                return DropReason.UdpFlowLimit;
            }

            flow = new UdpFlowEndpoint(this, mapping, tuple, _flowBudget, now);
            mapping.Flows++;
            _flows.Add(tuple, flow);
            _core.Deadlines.Update(flow);
            if (!flow.TryQueue(now, data, about))
            {
                Close(flow);
                return DropReason.UdpQueueFull;
            }

            mapping.Handler(flow);
        }
        else if (!flow.TryQueue(now, data, about))
        {
            return DropReason.UdpQueueFull;
        }

        _core.Raise(flow, CoreEvents.Readable);
        return DropReason.None;
    }

    private UdpMapping? FindMapping(Ipv4Address destination)
    {
        foreach (UdpMapping mapping in _mappings)
        {
            if (mapping.Contains(destination))
            {
                return mapping;
            }
        }

        return null;
    }
}
