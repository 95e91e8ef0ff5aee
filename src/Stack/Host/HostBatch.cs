using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>What one turn of the core leaves to be done once the lock is released: owners to tell, continuations to run. Reused.</summary>
internal sealed class HostBatch
{
    private readonly List<(CoreObject Source, CoreEvents Events)> _events = [];
    private readonly List<(IThreadPoolWorkItem Continuation, ContinuationScheduling Scheduling)> _continuations = [];

    public bool IsEmpty => _events.Count == 0 && _continuations.Count == 0;

    public List<(CoreObject Source, CoreEvents Events)> Events => _events;

    public List<(IThreadPoolWorkItem Continuation, ContinuationScheduling Scheduling)> Continuations => _continuations;

    public void Clear()
    {
        _events.Clear();
        _continuations.Clear();
    }
}
