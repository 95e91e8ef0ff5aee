using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>What the mappings of one stack share: counters, log, the token that ends their handlers, and the list of them.</summary>
[SuppressMessage("Design", "CA1001", Justification = "A token source without timer and wait handle holds nothing to dispose.")]
internal sealed class ForwardRuntime : IHostClient
{
    private readonly Lock _lock = new();
    private readonly HashSet<IDisposable> _mappings = [];
    private readonly CancellationTokenSource _stopping = new();

    public ForwardRuntime(IpStack stack, ILogger logger)
    {
        Stack = stack;
        Logger = logger;
        Limiter = new LogLimiter(stack.Options.TimeProvider);
    }

    public IpStack Stack { get; }

    public ForwardCounters Counters => Stack.ForwardCounters;

    public ILogger Logger { get; }

    /// <summary>For messages that a stranger can cause.</summary>
    public LogLimiter Limiter { get; }

    /// <summary>Cancelled when the stack has ended.</summary>
    public CancellationToken Stopping => _stopping.Token;

    public void Add(IDisposable mapping)
    {
        lock (_lock)
        {
            _mappings.Add(mapping);
        }
    }

    public void Remove(IDisposable mapping)
    {
        lock (_lock)
        {
            _mappings.Remove(mapping);
        }
    }

    public void StopMappings()
    {
        IDisposable[] mappings;
        lock (_lock)
        {
            mappings = [.. _mappings];
        }

        foreach (IDisposable mapping in mappings)
        {
            mapping.Dispose();
        }
    }

    // Applications' callbacks hang on the token: they run on the pool, not here.
    void IHostClient.OnHostStopped(Exception reason) => _ = _stopping.CancelAsync();
}
