using System.Net.Sockets;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>The constants that scripts name, with Linux's values where a script could show them (fcntl) and our own where it could not (poll).</summary>
internal static class Constants
{
    public const long NonBlocking = 0x800;
    public const long GetFlags = 3;
    public const long SetFlags = 4;
    public const long OutOfBand = 1;
    public const long Peek = 2;
    public const long NoWait = 0x40;
    public const long NoSignal = 0x4000;
    public const long EndOfRecord = 0x80;
    public const long More = 0x8000;
    public const long Truncate = 0x20;

    /// <summary>epoll's own, which poll(2) does not have.</summary>
    public const SteppedPollFlags EdgeTriggered = (SteppedPollFlags)(1 << 30);
    public const SteppedPollFlags OneShot = (SteppedPollFlags)(1 << 29);

    private static readonly Dictionary<string, long> s_values = new()
    {
        ["AF_INET"] = 2,
        ["PF_INET"] = 2,
        ["SOCK_STREAM"] = 1,
        ["SOCK_DGRAM"] = 2,
        ["SOCK_NONBLOCK"] = NonBlocking,
        ["SOCK_CLOEXEC"] = 0x80000,
        ["IPPROTO_TCP"] = 6,
        ["IPPROTO_UDP"] = 17,
        ["IPPROTO_IP"] = 0,
        ["O_RDWR"] = 2,
        ["O_NONBLOCK"] = NonBlocking,
        ["F_GETFL"] = GetFlags,
        ["F_SETFL"] = SetFlags,
        ["SHUT_RD"] = 0,
        ["SHUT_WR"] = 1,
        ["SHUT_RDWR"] = 2,
        ["MSG_OOB"] = OutOfBand,
        ["MSG_PEEK"] = Peek,
        ["MSG_DONTWAIT"] = NoWait,
        ["MSG_NOSIGNAL"] = NoSignal,
        ["MSG_EOR"] = EndOfRecord,
        ["MSG_MORE"] = More,
        ["MSG_TRUNC"] = Truncate,
        ["SOL_SOCKET"] = 1,
        ["SOL_TCP"] = 6,
        ["SOL_IP"] = 0,
        ["IPTOS_LOWDELAY"] = 0x10,
        ["IPTOS_THROUGHPUT"] = 0x08,
        ["IPTOS_DSCP_CS1"] = 0x20,
        ["IPTOS_DSCP_CS7"] = 0xE0,
        ["IPTOS_DSCP_EF"] = 0xB8,
    };

    private static readonly Dictionary<string, SteppedPollFlags> s_poll = new()
    {
        ["EPOLLIN"] = SteppedPollFlags.In,
        ["EPOLLPRI"] = SteppedPollFlags.Priority,
        ["EPOLLOUT"] = SteppedPollFlags.Out,
        ["EPOLLERR"] = SteppedPollFlags.Error,
        ["EPOLLHUP"] = SteppedPollFlags.Hup,
        ["EPOLLRDHUP"] = SteppedPollFlags.ReadHup,
        ["EPOLLET"] = EdgeTriggered,
        ["EPOLLONESHOT"] = OneShot,
        ["EPOLLEXCLUSIVE"] = SteppedPollFlags.None,
        ["POLLIN"] = SteppedPollFlags.In,
        ["POLLPRI"] = SteppedPollFlags.Priority,
        ["POLLOUT"] = SteppedPollFlags.Out,
        ["POLLERR"] = SteppedPollFlags.Error,
        ["POLLHUP"] = SteppedPollFlags.Hup,
        ["POLLNVAL"] = SteppedPollFlags.Invalid,
        ["POLLRDHUP"] = SteppedPollFlags.ReadHup,
    };

    public static long Evaluate(Expression expression) => expression switch
    {
        NumberExpression number => number.Value,
        WordExpression word when s_values.TryGetValue(word.Word, out long value) => value,
        OrExpression or => Evaluate(or.Left) | Evaluate(or.Right),
        EllipsisExpression => 0,
        _ => throw new NotSupportedException($"The value of {expression} is not known here."),
    };

    public static long Poll(Expression? expression) => expression switch
    {
        WordExpression word when s_poll.TryGetValue(word.Word, out SteppedPollFlags flag) => (long)flag,
        OrExpression or => Poll(or.Left) | Poll(or.Right),
        NumberExpression { Value: 0 } or null => 0,
        _ => throw new NotSupportedException($"{expression} is no poll flag."),
    };

    /// <summary>MSG_DONTWAIT and MSG_NOSIGNAL change nothing: all sockets here are so.</summary>
    public static SocketFlags ToSocketFlags(long flags)
    {
        SocketFlags result = (flags & OutOfBand) != 0 ? SocketFlags.OutOfBand : SocketFlags.None;
        result |= (flags & Peek) != 0 ? SocketFlags.Peek : SocketFlags.None;
        result |= (flags & Truncate) != 0 ? SocketFlags.Truncated : SocketFlags.None;
        result |= (flags & More) != 0 ? SteppedSocketFlags.More : SocketFlags.None;
        result |= (flags & EndOfRecord) != 0 ? SteppedSocketFlags.EndOfRecord : SocketFlags.None;
        return (flags & ~(OutOfBand | Peek | NoWait | NoSignal | Truncate | More | EndOfRecord)) == 0 ? result : throw new NotSupportedException($"Message flags 0x{flags:x} are not known here.");
    }
}
