namespace Tcpcrypt;

/// <summary>Something of the API that lives on the stack and must end with it.</summary>
internal interface IStackService
{
    /// <summary>The stack has ended: pending and later calls fail with an exception that <paramref name="reason"/> makes. Called once, without the core's lock.</summary>
    void OnStackEnded(Func<Exception> reason);
}

/// <summary>The UDP sockets, pings, forward mappings and flows of one stack: what to end when it ends.</summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "A token source without timer and wait handle holds nothing to dispose.")]
internal sealed class StackServices
{
    private readonly Lock _lock = new();
    private readonly HashSet<IStackService> _services = [];
    private readonly CancellationTokenSource _stopping = new();
    private Func<Exception>? _ended;

    /// <summary>Cancelled when the stack ends; handlers of forwarded connections get it.</summary>
    public CancellationToken Stopping => _stopping.Token;

    /// <summary>Makes <paramref name="service"/> end with the stack.</summary>
    /// <exception cref="ObjectDisposedException">The stack has been stopped.</exception>
    /// <exception cref="IOException">The device is gone.</exception>
    public void Add(IStackService service)
    {
        lock (_lock)
        {
            if (_ended is null)
            {
                _services.Add(service);
                return;
            }
        }

        throw _ended();
    }

    public void Remove(IStackService service)
    {
        lock (_lock)
        {
            _services.Remove(service);
        }
    }

    /// <summary>Ends everything. Later calls do nothing.</summary>
    /// <param name="failure">Why the stack ended by itself; null when it was stopped.</param>
    public async ValueTask EndAsync(Exception? failure)
    {
        IStackService[] services;
        lock (_lock)
        {
            if (_ended is not null)
            {
                return;
            }

            _ended = failure is null
                ? static () => new ObjectDisposedException(nameof(IpStack), "The stack has been stopped.")
                : () => new IOException("The stack ended because its device failed: " + failure.Message, failure);
            services = [.. _services];
            _services.Clear();
        }

        foreach (IStackService service in services)
        {
            service.OnStackEnded(_ended);
        }

        await _stopping.CancelAsync().ConfigureAwait(false);
    }
}
