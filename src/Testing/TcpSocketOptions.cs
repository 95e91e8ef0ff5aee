using System.Net.Sockets;
using Tcpcrypt.Tcp;

namespace Tcpcrypt.Testing;

/// <summary>The options of a TCP socket: their ranges, and where they live.</summary>
internal static class TcpSocketOptions
{
    private const long MaxBuffer = 1L << 30;
    private const int MinSegment = 88;
    private const int MaxSegment = 32_767;
    private const int MaxKeepAliveSeconds = 32_767;

    public static SocketError Set(TcpEndpointOptions options, TcpStackOptions stack, SteppedSocketOption option, long value)
    {
        if (!IsInRange(option, value))
        {
            return SocketError.InvalidArgument;
        }

        switch (option)
        {
            case SteppedSocketOption.ReuseAddress:
                options.ReuseAddress = value != 0;
                break;
            case SteppedSocketOption.Linger:
                options.Linger = value < 0 ? null : TimeSpan.FromSeconds(value);
                break;
            case SteppedSocketOption.FinWait2Timeout:
                options.FinWait2Timeout = value == 0 ? null : TimeSpan.FromSeconds(value);
                break;
            case SteppedSocketOption.SendBuffer:
                options.SendBufferSize = (int)value;
                break;
            case SteppedSocketOption.ReceiveBuffer:
                options.ReceiveBufferSize = (int)value;
                break;
            case SteppedSocketOption.KeepAlive:
                options.KeepAlive = value != 0;
                break;
            case SteppedSocketOption.OutOfBandInline:
                break;
            case SteppedSocketOption.KeepAliveIdle:
                options.KeepAliveIdle = TimeSpan.FromSeconds(value);
                break;
            case SteppedSocketOption.KeepAliveInterval:
                options.KeepAliveInterval = TimeSpan.FromSeconds(value);
                break;
            case SteppedSocketOption.KeepAliveCount:
                options.KeepAliveCount = (int)value;
                break;
            case SteppedSocketOption.NoDelay:
                options.NoDelay = value != 0;
                break;
            case SteppedSocketOption.Cork:
                options.Cork = value != 0;
                break;
            case SteppedSocketOption.MaximumSegment:
                options.MaximumSegmentSize = value == 0 ? null : (int)value;
                break;
            case SteppedSocketOption.UserTimeout:
                options.UserTimeout = TimeSpan.FromMilliseconds(value);
                break;
            case SteppedSocketOption.QuickAck:
                options.DelayedAck = value != 0 ? TimeSpan.Zero : stack.DelayedAck;
                break;
            case SteppedSocketOption.DelayedAck:
                options.DelayedAck = TimeSpan.FromMilliseconds(value);
                break;
            case SteppedSocketOption.CongestionControl:
                options.CongestionControl = (CongestionControl)value;
                break;
            case SteppedSocketOption.TypeOfService:
                options.TypeOfService = (byte)value;
                break;
            case SteppedSocketOption.TimeToLive:
                options.TimeToLive = (byte)value;
                break;
            case SteppedSocketOption.MaxPacingRate:
                options.MaxPacingRate = value < 0 ? null : value;
                break;
            case SteppedSocketOption.SynCount:
                options.SynRetransmissions = (int)value;
                break;
            case SteppedSocketOption.DeferAccept:
                options.DeferredSynAcks = Repeats(value, stack);
                break;
            default:
                return SocketError.ProtocolOption;
        }

        return SocketError.Success;
    }

    public static SocketError Get(TcpEndpointOptions options, TcpStackOptions stack, SteppedSocketOption option, out long value)
    {
        long? found = option switch
        {
            SteppedSocketOption.ReuseAddress => Flag(options.ReuseAddress),
            SteppedSocketOption.Linger => options.Linger is { } linger ? (long)linger.TotalSeconds : -1,
            SteppedSocketOption.FinWait2Timeout => (long)(options.FinWait2Timeout ?? TimeSpan.Zero).TotalSeconds,
            SteppedSocketOption.SendBuffer => options.SendBufferSize,
            SteppedSocketOption.ReceiveBuffer => options.ReceiveBufferSize,
            SteppedSocketOption.KeepAlive => Flag(options.KeepAlive),
            SteppedSocketOption.OutOfBandInline => 1,
            SteppedSocketOption.KeepAliveIdle => (long)options.KeepAliveIdle.TotalSeconds,
            SteppedSocketOption.KeepAliveInterval => (long)options.KeepAliveInterval.TotalSeconds,
            SteppedSocketOption.KeepAliveCount => options.KeepAliveCount,
            SteppedSocketOption.NoDelay => Flag(options.NoDelay),
            SteppedSocketOption.Cork => Flag(options.Cork),
            SteppedSocketOption.MaximumSegment => options.MaximumSegmentSize ?? 0,
            SteppedSocketOption.UserTimeout => (long)options.UserTimeout.TotalMilliseconds,
            SteppedSocketOption.QuickAck => Flag(options.DelayedAck == TimeSpan.Zero),
            SteppedSocketOption.DelayedAck => (long)options.DelayedAck.TotalMilliseconds,
            SteppedSocketOption.CongestionControl => (long)options.CongestionControl,
            SteppedSocketOption.TypeOfService => options.TypeOfService,
            SteppedSocketOption.TimeToLive => options.TimeToLive,
            SteppedSocketOption.MaxPacingRate => options.MaxPacingRate ?? -1,
            SteppedSocketOption.SynCount => options.SynRetransmissions ?? 0,
            SteppedSocketOption.DeferAccept => (long)TimeOf(options.DeferredSynAcks, stack).TotalSeconds,
            _ => null,
        };
        value = found ?? 0;
        return found is null ? SocketError.ProtocolOption : SocketError.Success;
    }

    /// <summary>How many repeats of the SYN,ACK it takes until that many seconds have passed.</summary>
    private static int Repeats(long seconds, TcpStackOptions stack)
    {
        int repeats = 0;
        while (repeats < byte.MaxValue && TimeOf(repeats, stack).TotalSeconds < seconds)
        {
            repeats++;
        }

        return repeats;
    }

    private static TimeSpan TimeOf(int repeats, TcpStackOptions stack)
    {
        TimeSpan time = TimeSpan.Zero;
        for (int i = 0; i < repeats; i++)
        {
            time += TimeSpan.FromTicks(Math.Min(stack.InitialRto.Ticks << Math.Min(i, 10), stack.MaxRto.Ticks));
        }

        return time;
    }

    private static long Flag(bool value) => value ? 1 : 0;

    private static bool IsInRange(SteppedSocketOption option, long value) => option switch
    {
        SteppedSocketOption.Linger => value is >= -1 and <= int.MaxValue,
        SteppedSocketOption.SendBuffer or SteppedSocketOption.ReceiveBuffer => value is >= 1 and <= MaxBuffer,
        SteppedSocketOption.FinWait2Timeout => value is >= 0 and <= 120,
        SteppedSocketOption.OutOfBandInline => value != 0,
        SteppedSocketOption.KeepAliveIdle or SteppedSocketOption.KeepAliveInterval => value is >= 1 and <= MaxKeepAliveSeconds,
        SteppedSocketOption.KeepAliveCount => value is >= 1 and <= 127,
        SteppedSocketOption.MaximumSegment => value is 0 or (>= MinSegment and <= MaxSegment),
        SteppedSocketOption.UserTimeout => value is >= 0 and <= int.MaxValue,
        SteppedSocketOption.DelayedAck => value is >= 0 and < 500,
        SteppedSocketOption.CongestionControl => value is >= 0 and <= int.MaxValue && Enum.IsDefined((CongestionControl)value),
        SteppedSocketOption.TypeOfService => value is >= 0 and <= 255,
        SteppedSocketOption.TimeToLive => value is >= 1 and <= 255,
        SteppedSocketOption.MaxPacingRate => value is -1 or > 0,
        SteppedSocketOption.SynCount => value is >= 1 and <= 127,
        SteppedSocketOption.DeferAccept => value is >= 0 and <= int.MaxValue,
        _ => true,
    };
}
