using System.Net.Sockets;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Runner;

internal sealed partial class Syscalls
{
    private static readonly Dictionary<string, SteppedSocketOption> s_options = new()
    {
        ["SO_ERROR"] = SteppedSocketOption.Error,
        ["SO_ACCEPTCONN"] = SteppedSocketOption.AcceptConnections,
        ["SO_REUSEADDR"] = SteppedSocketOption.ReuseAddress,
        ["SO_LINGER"] = SteppedSocketOption.Linger,
        ["SO_SNDBUF"] = SteppedSocketOption.SendBuffer,
        ["SO_RCVBUF"] = SteppedSocketOption.ReceiveBuffer,
        ["SO_KEEPALIVE"] = SteppedSocketOption.KeepAlive,
        ["SO_OOBINLINE"] = SteppedSocketOption.OutOfBandInline,
        ["TCP_KEEPIDLE"] = SteppedSocketOption.KeepAliveIdle,
        ["TCP_KEEPINTVL"] = SteppedSocketOption.KeepAliveInterval,
        ["TCP_KEEPCNT"] = SteppedSocketOption.KeepAliveCount,
        ["TCP_NODELAY"] = SteppedSocketOption.NoDelay,
        ["TCP_CORK"] = SteppedSocketOption.Cork,
        ["TCP_MAXSEG"] = SteppedSocketOption.MaximumSegment,
        ["TCP_USER_TIMEOUT"] = SteppedSocketOption.UserTimeout,
        ["TCP_QUICKACK"] = SteppedSocketOption.QuickAck,
        ["TCP_CONGESTION"] = SteppedSocketOption.CongestionControl,
        ["TCP_LINGER2"] = SteppedSocketOption.FinWait2Timeout,
        ["TCP_NOTSENT_LOWAT"] = SteppedSocketOption.NotSentLowWater,
        ["SO_RCVLOWAT"] = SteppedSocketOption.ReceiveLowWater,
        ["TCP_SYNCNT"] = SteppedSocketOption.SynCount,
        ["TCP_DEFER_ACCEPT"] = SteppedSocketOption.DeferAccept,
        ["SO_MAX_PACING_RATE"] = SteppedSocketOption.MaxPacingRate,
        ["IP_TOS"] = SteppedSocketOption.TypeOfService,
        ["IP_TTL"] = SteppedSocketOption.TimeToLive,
    };

    /// <summary>Options that change nothing here: what they are for does not exist, or is always so.</summary>
    private static readonly HashSet<string> s_ignored = ["SO_DEBUG", "SO_PRIORITY", "SO_MARK", "SO_ZEROCOPY", "IP_RECVERR", "IP_MTU_DISCOVER", "IP_FREEBIND"];

    /// <summary>The script itself has set TCP_NOTSENT_LOWAT.</summary>
    private bool _hasLowWater;

    private SocketError SetOption(SyscallEvent call)
    {
        SteppedSocket socket = Of(call);
        if (call.Arguments[2] is WordExpression { Word: var ignored } && s_ignored.Contains(ignored))
        {
            notes.Add($"line {call.Line}: {ignored} changes nothing here");
            return SocketError.Success;
        }

        if (call.Arguments[2] is WordExpression { Word: "TCP_INQ" })
        {
            Get(call).TellsReadable = call.Arguments[3] is ArrayExpression { Items: [var isOn] } && Constants.Evaluate(isOn) != 0;
            return SocketError.Success;
        }

        if (call.Arguments[2] is not WordExpression word || !s_options.TryGetValue(word.Word, out SteppedSocketOption option))
        {
            return SocketError.ProtocolOption;
        }

        _hasLowWater |= option == SteppedSocketOption.NotSentLowWater;
        Expression value = call.Arguments[3] is ArrayExpression { Items: [var only] } ? only : call.Arguments[3];
        return value switch
        {
            StringExpression name => socket.SetOption(option, name.Text),
            StructExpression linger => socket.SetOption(option, Constants.Evaluate(linger["onoff"]!) == 0 ? -1 : Constants.Evaluate(linger["linger"]!)),
            _ => socket.SetOption(option, Constants.Evaluate(value)),
        };
    }

    private SyscallResult GetOption(SyscallEvent call)
    {
        SteppedSocket socket = Of(call);
        if (call.Arguments[2] is not WordExpression word || !s_options.TryGetValue(word.Word, out SteppedSocketOption option))
        {
            return new SyscallResult(-1, SocketError.ProtocolOption);
        }

        Expression value = call.Arguments[3] is ArrayExpression { Items: [var only] } ? only : call.Arguments[3];
        if (value is StringExpression name)
        {
            SocketError nameError = socket.GetOption(option, out string text);
            return new SyscallResult(0, nameError, text == name.Text ? null : $"{word.Word} is \"{text}\"");
        }

        SocketError error = socket.GetOption(option, out long actual);
        if (error != SocketError.Success || value is EllipsisExpression)
        {
            return new SyscallResult(0, error);
        }

        if (option == SteppedSocketOption.Error)
        {
            SocketError pending = (SocketError)actual;
            bool same = value is WordExpression errno ? Errno.TryParse(errno.Word, out SocketError expected) && expected == pending : Constants.Evaluate(value) == 0 && pending == SocketError.Success;
            return new SyscallResult(0, Mismatch: same ? null : $"SO_ERROR is {(pending == SocketError.Success ? "0" : Errno.Name(pending))}");
        }

        if (option == SteppedSocketOption.NotSentLowWater && !_hasLowWater)
        {
            // The option is 0 while the sysctl decides.
            actual = 0;
        }

        if (value is StructExpression linger)
        {
            long expected = Constants.Evaluate(linger["onoff"]!) == 0 ? -1 : Constants.Evaluate(linger["linger"]!);
            return new SyscallResult(0, Mismatch: expected == actual ? null : $"SO_LINGER is {actual}");
        }

        // Linux shows twice what was set: its own overhead counts there.
        bool isDoubled = option is SteppedSocketOption.SendBuffer or SteppedSocketOption.ReceiveBuffer && Constants.Evaluate(value) == 2 * actual;
        return new SyscallResult(0, Mismatch: isDoubled ? null : Compare(word.Word, value, actual));
    }
}
