using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>What a system call returned.</summary>
/// <param name="Value">The value when it succeeded.</param>
/// <param name="Error">Success, or why it failed.</param>
/// <param name="Mismatch">What else was not as the script says: an option's value, poll's revents, the data read.</param>
internal sealed record SyscallResult(long Value, SocketError Error = SocketError.Success, string? Mismatch = null)
{
    public string Text => (Error == SocketError.Success ? Value.ToString(CultureInfo.InvariantCulture) : "-1 " + Errno.Name(Error)) + (Mismatch is null ? "" : $" ({Mismatch})");
}

/// <summary>Carries system calls out on <see cref="SteppedSocket"/>s. File descriptors are the script's own numbers.</summary>
internal sealed partial class Syscalls(SteppedStack stack, IPEndPoint bindAddress, IPEndPoint connectAddress, IReadOnlyList<(SteppedSocketOption Option, long Value)> defaults, ICollection<string> notes)
{
    private readonly Dictionary<long, Descriptor> _descriptors = [];

    /// <summary>Octets that the blocked call has moved so far.</summary>
    private long _progress;

    /// <summary>The socket that asserts are about: accepted or connected last.</summary>
    private Descriptor? _latest;

    private sealed class Descriptor(SteppedSocket socket)
    {
        public SteppedSocket Socket { get; } = socket;
        public long Flags { get; set; } = 2;
        public long Written { get; set; }
        public long Read { get; set; }

        /// <summary>Messages received tell how much is left (TCP_INQ).</summary>
        public bool TellsReadable { get; set; }

        /// <summary>A send found less room than it needed (SOCK_NOSPACE).</summary>
        public bool IsFull { get; set; }

        public bool IsTcp => Socket.State != System.Net.NetworkInformation.TcpState.Unknown;
    }

    /// <summary>The connection variables of the socket accepted or connected last.</summary>
    public TcpInfo Info() => _latest?.Socket.GetInfo() ?? new TcpInfo();

    /// <summary>A new call begins.</summary>
    public void Begin() => _progress = 0;

    /// <summary>Makes the call; null = it blocks.</summary>
    public SyscallResult? Run(SyscallEvent call, bool mayBlock)
    {
        SyscallResult? result = call.Name switch
        {
            "socket" => Socket(call),
            "bind" => new SyscallResult(0, Of(call).Bind(Address(call, 1, bindAddress))),
            "listen" => new SyscallResult(0, Of(call).Listen((int)Value(call, 1))),
            "accept" or "accept4" => Accept(call),
            "connect" => Connect(call, mayBlock),
            "read" or "recv" or "recvfrom" or "readv" or "recvmsg" => Receive(call),
            "write" or "send" or "writev" or "sendmsg" => Send(call, mayBlock),
            "sendto" => SendTo(call),
            "close" => new SyscallResult(0, Of(call).Close()),
            "shutdown" => new SyscallResult(0, Of(call).Shutdown((SocketShutdown)Value(call, 1))),
            "setsockopt" => new SyscallResult(0, SetOption(call)),
            "getsockopt" => GetOption(call),
            "fcntl" => FileControl(call),
            "ioctl" => IoControl(call),
            "poll" => Poll(call),
            "epoll_create" or "epoll_create1" => EpollCreate(call),
            "epoll_ctl" => EpollControl(call),
            "epoll_wait" => EpollWait(call),
            _ => throw new NotSupportedException($"line {call.Line}: the system call {call.Name} is not known here"),
        };
        return mayBlock && result is { Error: SocketError.WouldBlock or SocketError.InProgress or SocketError.AlreadyInProgress } ? null : result;
    }

    /// <summary>What is not as the script says; null when all is.</summary>
    public static string? Difference(SyscallEvent call, SyscallResult? result)
    {
        if (result is null)
        {
            return "the call blocks";
        }

        if (call.Result is EllipsisExpression)
        {
            return result.Mismatch;
        }

        long expected = Constants.Evaluate(call.Result);
        if (expected < 0)
        {
            bool known = call.Errno is null || Errno.TryParse(call.Errno, out SocketError wanted) && wanted == result.Error;
            return result.Error != SocketError.Success && known ? result.Mismatch : "the result differs";
        }

        return result.Error == SocketError.Success && result.Value == expected ? result.Mismatch : "the result differs";
    }

    private SyscallResult Socket(SyscallEvent call)
    {
        long type = Value(call, 1);
        Descriptor descriptor = new(stack.Socket((type & 15) == 1));
        descriptor.Flags |= type & Constants.NonBlocking;
        foreach ((SteppedSocketOption option, long value) in descriptor.IsTcp ? defaults : [])
        {
            if (descriptor.Socket.SetOption(option, value) != SocketError.Success)
            {
                throw new NotSupportedException($"line {call.Line}: {option} cannot be {value} here");
            }
        }

        return Open(call, descriptor);
    }

    private SyscallResult Open(SyscallEvent call, Descriptor descriptor)
    {
        long number = call.Result is EllipsisExpression ? 1000 + _descriptors.Count : Constants.Evaluate(call.Result);
        _descriptors[number] = descriptor;
        return new SyscallResult(number);
    }

    private SyscallResult Accept(SyscallEvent call)
    {
        SocketError error = Of(call).Accept(out SteppedSocket? connection);
        if (connection is null)
        {
            return new SyscallResult(-1, error);
        }

        Descriptor descriptor = new(connection);
        _latest = descriptor;
        return Open(call, descriptor);
    }

    private SyscallResult Connect(SyscallEvent call, bool mayBlock)
    {
        Descriptor descriptor = Get(call);
        _latest = descriptor;

        // A blocked connect that was decided: the second call tells the result.
        return new SyscallResult(0, descriptor.Socket.Connect(Address(call, 1, connectAddress)) is var error && mayBlock && error == SocketError.IsConnected ? SocketError.Success : error);
    }

    private SyscallResult Receive(SyscallEvent call)
    {
        Descriptor descriptor = Get(call);
        long length = Length(call);
        long flags = Flags(call);
        byte[] buffer = new byte[length];
        SocketError error = descriptor.Socket.Receive(buffer, out int count, Constants.ToSocketFlags(flags));
        string? mismatch = null;
        long offset = descriptor.IsTcp ? descriptor.Read : 0;
        if (error == SocketError.Success && Pattern.FindDifference(buffer.AsSpan(0, count), offset) is >= 0 and int wrong)
        {
            mismatch = $"octet {wrong} of the data is not the one sent at offset {offset + wrong}";
        }

        if ((flags & Constants.Peek) == 0)
        {
            descriptor.Read += count;
        }

        if (error == SocketError.Success && descriptor.TellsReadable && call.Name == "recvmsg" && ((StructExpression)call.Arguments[1])["msg_control"] is ArrayExpression control)
        {
            // Linux says 1 when nothing but the end of the stream is left.
            long left = descriptor.Socket.Readable is > 0 and int readable ? readable : descriptor.Socket.Poll().HasFlag(SteppedPollFlags.ReadHup) ? 1 : 0;
            mismatch ??= control.Items.OfType<StructExpression>().Where(m => m["cmsg_type"] is WordExpression { Word: "TCP_CM_INQ" }).Select(m => Compare("TCP_CM_INQ", m["cmsg_data"]!, left)).FirstOrDefault();
        }

        return new SyscallResult(count, error, mismatch);
    }

    private SyscallResult? Send(SyscallEvent call, bool mayBlock)
    {
        Descriptor descriptor = Get(call);
        long length = Length(call);
        SocketFlags flags = Constants.ToSocketFlags(Flags(call));
        while (true)
        {
            byte[] data = new byte[length - _progress];
            Pattern.Fill(data, descriptor.IsTcp ? descriptor.Written : 0);
            SocketError error = descriptor.Socket.Send(data, out int sent, flags);
            descriptor.Written += sent;
            descriptor.IsFull = sent < data.Length;
            _progress += sent;
            if (error != SocketError.Success)
            {
                // What went in before counts, as write(2) says; a blocking write goes on instead.
                return _progress > 0 && !(mayBlock && error == SocketError.WouldBlock) ? new SyscallResult(_progress) : new SyscallResult(-1, error);
            }

            if (_progress == length || !mayBlock)
            {
                return new SyscallResult(_progress);
            }
        }
    }

    private SyscallResult SendTo(SyscallEvent call)
    {
        Descriptor descriptor = Get(call);
        byte[] data = new byte[Value(call, 2)];
        Pattern.Fill(data, descriptor.IsTcp ? descriptor.Written : 0);
        SocketError error = call.Arguments.Count > 4
            ? descriptor.Socket.SendTo(data, Address(call, 4, connectAddress), out int sent)
            : descriptor.Socket.Send(data, out sent, Constants.ToSocketFlags(Value(call, 3)));
        descriptor.Written += sent;
        return new SyscallResult(sent, error);
    }

    private SyscallResult FileControl(SyscallEvent call)
    {
        Descriptor descriptor = Get(call);
        switch (Value(call, 1))
        {
            case Constants.GetFlags:
                return new SyscallResult(descriptor.Flags);
            case Constants.SetFlags:
                descriptor.Flags = Value(call, 2);
                return new SyscallResult(0);
            default:
                return new SyscallResult(-1, SocketError.InvalidArgument);
        }
    }

    private SyscallResult IoControl(SyscallEvent call)
    {
        SteppedSocket socket = Of(call);
        string request = call.Arguments[1] is WordExpression word ? word.Word : "";
        long? actual = request switch
        {
            "SIOCINQ" or "FIONREAD" => socket.Readable,
            "SIOCOUTQ" or "TIOCOUTQ" => socket.Unacknowledged,
            "SIOCOUTQNSD" => socket.Unsent,
            "SIOCATMARK" => socket.UrgentAhead == 0 ? 1 : 0,
            _ => null,
        };
        return actual is null ? new SyscallResult(-1, SocketError.InvalidArgument) : new SyscallResult(0, Mismatch: Compare(request, call.Arguments[2], actual.Value));
    }

    private SyscallResult Poll(SyscallEvent call)
    {
        ArrayExpression descriptors = (ArrayExpression)call.Arguments[0];
        List<string> wrong = [];
        int ready = 0;
        foreach (StructExpression poll in descriptors.Items.Cast<StructExpression>())
        {
            long number = Constants.Evaluate(poll["fd"] ?? throw new NotSupportedException("poll needs fd="));
            SteppedPollFlags asked = (SteppedPollFlags)Constants.Poll(poll["events"]) | SteppedPollFlags.Error | SteppedPollFlags.Hup | SteppedPollFlags.Invalid;
            SteppedPollFlags found = (_descriptors.TryGetValue(number, out Descriptor? descriptor) ? descriptor.Socket.Poll() : SteppedPollFlags.Invalid) & asked;
            ready += found == 0 ? 0 : 1;
            if (poll["revents"] is { } expression and not EllipsisExpression && (SteppedPollFlags)Constants.Poll(expression) is var expected && expected != found)
            {
                wrong.Add($"fd {number}: revents expected {expected}, actual {found}");
            }
        }

        bool waits = call.Arguments.Count > 2 && Value(call, 2) != 0 && ready == 0;
        return waits && call.EndNs is not null && Constants.Evaluate(call.Result) > 0
            ? new SyscallResult(-1, SocketError.WouldBlock)
            : new SyscallResult(ready, Mismatch: wrong.Count > 0 ? string.Join("; ", wrong) : null);
    }

    private SteppedSocket Of(SyscallEvent call) => Get(call).Socket;

    private Descriptor Get(SyscallEvent call)
    {
        long number = Value(call, 0);
        return _descriptors.TryGetValue(number, out Descriptor? descriptor) ? descriptor : throw new NotSupportedException($"line {call.Line}: no socket has the number {number}");
    }

    private static long Value(SyscallEvent call, int index) => index < call.Arguments.Count ? Constants.Evaluate(call.Arguments[index]) : 0;

    private static long Length(SyscallEvent call) => call.Name switch
    {
        "readv" or "writev" => VectorLength(call.Arguments[1]),
        "sendmsg" or "recvmsg" => ((StructExpression)call.Arguments[1])["msg_iov"] is { } vector ? VectorLength(vector) : 0,
        _ => Value(call, 2),
    };

    private static long Flags(SyscallEvent call) => call.Name switch
    {
        "send" or "recv" or "recvfrom" => Value(call, 3),
        "sendmsg" or "recvmsg" => Value(call, 2),
        _ => 0,
    };

    private static long VectorLength(Expression expression) =>
        ((ArrayExpression)expression).Items.Cast<StructExpression>().Sum(v => Constants.Evaluate(v.Members[^1].Value));

    /// <summary>An address argument: "..." is the script's default one.</summary>
    private static IPEndPoint Address(SyscallEvent call, int index, IPEndPoint other)
    {
        if (index >= call.Arguments.Count || call.Arguments[index] is not StructExpression address)
        {
            return other;
        }

        IPEndPoint result = new(other.Address, other.Port);
        if (address["sin_port"] is CallExpression { Arguments: [var port] })
        {
            result.Port = (int)Constants.Evaluate(port);
        }

        if (address["sin_addr"] is CallExpression { Arguments: [StringExpression text] })
        {
            result.Address = IPAddress.Parse(text.Text);
        }

        return result;
    }

    private static string? Compare(string what, Expression expected, long actual)
    {
        Expression value = expected is ArrayExpression { Items: [var only] } ? only : expected;
        return value is EllipsisExpression || Constants.Evaluate(value) == actual ? null : $"{what} is {actual}";
    }
}
