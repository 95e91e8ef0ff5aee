using System.Net.Sockets;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Runner;

// epoll(7) on top of Poll. An edge is what wakes Linux's waiters: octets that arrive, room after a send that found too little, and the end of a direction.
internal sealed partial class Syscalls
{
    private readonly Dictionary<long, Dictionary<long, Interest>> _epolls = [];

    private sealed class Interest(SteppedPollFlags events)
    {
        public SteppedPollFlags Events { get; } = events;
        public bool IsOver { get; set; }
        public bool WasTold { get; set; }
        public SteppedPollFlags Told { get; set; }
        public long ToldReceived { get; set; }
        public bool WasFull { get; set; }
    }

    private SyscallResult EpollCreate(SyscallEvent call)
    {
        long number = Constants.Evaluate(call.Result);
        _epolls[number] = [];
        return new SyscallResult(number);
    }

    private SyscallResult EpollControl(SyscallEvent call)
    {
        Dictionary<long, Interest> interests = EpollOf(call);
        long number = Value(call, 2);
        string operation = call.Arguments[1] is WordExpression word ? word.Word : "";
        if (operation == "EPOLL_CTL_DEL")
        {
            return new SyscallResult(0, interests.Remove(number) ? SocketError.Success : SocketError.InvalidArgument);
        }

        interests[number] = new Interest((SteppedPollFlags)Constants.Poll(((StructExpression)call.Arguments[3])["events"]) | SteppedPollFlags.Error | SteppedPollFlags.Hup);
        return new SyscallResult(0);
    }

    private SyscallResult EpollWait(SyscallEvent call)
    {
        List<(long Number, SteppedPollFlags Flags, Interest Interest)> found = [];
        foreach ((long number, Interest interest) in EpollOf(call))
        {
            Descriptor descriptor = _descriptors[number];
            SteppedPollFlags all = descriptor.Socket.Poll();
            SteppedPollFlags flags = all & interest.Events;
            interest.WasFull |= descriptor.IsFull || !all.HasFlag(SteppedPollFlags.Out);
            if (flags != 0 && !interest.IsOver && (!interest.Events.HasFlag(Constants.EdgeTriggered) || IsEdge(descriptor, interest, flags)))
            {
                found.Add((number, flags, interest));
            }
        }

        if (found.Count == 0 && call.EndNs is not null && Constants.Evaluate(call.Result) > 0)
        {
            return new SyscallResult(-1, SocketError.WouldBlock);
        }

        List<string> wrong = [];
        foreach ((long number, SteppedPollFlags flags, Interest interest) in found)
        {
            Descriptor descriptor = _descriptors[number];
            interest.IsOver = interest.Events.HasFlag(Constants.OneShot);
            interest.WasTold = true;
            interest.Told = flags;
            interest.ToldReceived = descriptor.Read + descriptor.Socket.Readable;
            interest.WasFull = descriptor.IsFull = false;
            if (Expected(call, number) is { } expected && expected != flags)
            {
                wrong.Add($"fd {number}: events expected {expected}, actual {flags}");
            }
        }

        return new SyscallResult(found.Count, Mismatch: wrong.Count > 0 ? string.Join("; ", wrong) : null);
    }

    private static bool IsEdge(Descriptor descriptor, Interest interest, SteppedPollFlags flags) =>
        !interest.WasTold
        || descriptor.Read + descriptor.Socket.Readable > interest.ToldReceived
        || (interest.WasFull && flags.HasFlag(SteppedPollFlags.Out))
        || (flags & ~interest.Told & (SteppedPollFlags.Error | SteppedPollFlags.Hup | SteppedPollFlags.ReadHup)) != 0;

    /// <summary>What the script expects of a socket; null = anything.</summary>
    private static SteppedPollFlags? Expected(SyscallEvent call, long number)
    {
        IEnumerable<StructExpression> events = call.Arguments[1] is ArrayExpression array ? array.Items.OfType<StructExpression>() : call.Arguments[1] is StructExpression only ? [only] : [];
        StructExpression? found = events.FirstOrDefault(e => e["fd"] is { } fd && Constants.Evaluate(fd) == number);
        return found?["events"] is { } expression and not EllipsisExpression ? (SteppedPollFlags)Constants.Poll(expression) : null;
    }

    private Dictionary<long, Interest> EpollOf(SyscallEvent call) =>
        _epolls.TryGetValue(Value(call, 0), out Dictionary<long, Interest>? interests) ? interests : throw new NotSupportedException($"line {call.Line}: no epoll has that number");
}
