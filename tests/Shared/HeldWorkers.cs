using Tcpcrypt.Core;

namespace Tcpcrypt.Tests;

/// <summary>Takes public-key work and never does it: a handshake that stands still.</summary>
internal sealed class HeldWorkers : HandshakeWorkers
{
    private readonly List<HandshakeWork> _held = [];

    /// <summary>What is waiting.</summary>
    public int Count
    {
        get
        {
            lock (_held)
            {
                return _held.Count;
            }
        }
    }

    public override bool IsFull => false;

    public override void Queue(HandshakeWork work)
    {
        lock (_held)
        {
            _held.Add(work);
        }
    }
}
