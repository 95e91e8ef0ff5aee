using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>Something to be done to the core by whoever holds its lock.</summary>
internal abstract class HostCommand
{
    /// <summary>The link in <see cref="CommandQueue"/>; a command is in the queue at most once.</summary>
    internal HostCommand? Next;

    /// <summary>Runs under the core's lock.</summary>
    public abstract void Run(StackCore core, TcpInstant now);

    /// <summary>The stack has stopped: <see cref="Run"/> will not be called. Runs under the core's lock too.</summary>
    public abstract void Cancel(Exception reason);
}

/// <summary>
/// Commands from any thread to the holder of the core's lock: an intrusive list that is pushed to with one compare-exchange and taken whole.
/// Nothing is allocated, and the length is bounded by the number of objects, since each is queued at most once (a caller of
/// <see cref="StackHost.InvokeAsync"/> awaits the one that it has queued).
/// </summary>
internal sealed class CommandQueue
{
    private HostCommand? _newest;

    public bool IsEmpty => Volatile.Read(ref _newest) is null;

    /// <summary>Adds a command that is not in the queue. A full fence: what the caller reads afterwards is not older than the push.</summary>
    public void Push(HostCommand command)
    {
        HostCommand? newest = Volatile.Read(ref _newest);
        while (true)
        {
            command.Next = newest;
            HostCommand? seen = Interlocked.CompareExchange(ref _newest, command, newest);
            if (seen == newest)
            {
                return;
            }

            newest = seen;
        }
    }

    /// <summary>Takes everything queued, oldest first. Read <see cref="HostCommand.Next"/> of one before running it: it may queue itself again.</summary>
    public HostCommand? TakeAll()
    {
        if (IsEmpty)
        {
            return null;
        }

        HostCommand? newest = Interlocked.Exchange(ref _newest, null);
        HostCommand? oldest = null;
        while (newest is { } command)
        {
            newest = command.Next;
            command.Next = oldest;
            oldest = command;
        }

        return oldest;
    }
}
