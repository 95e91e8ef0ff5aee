using System.Net;
using Microsoft.Extensions.Logging;

namespace Tcpcrypt;

/// <summary>Log messages of forwarders and relays: event ids 5000 and up.</summary>
internal static partial class ForwardLog
{
    [LoggerMessage(5000, LogLevel.Debug, "Connection request {Source} -> {Destination}")]
    public static partial void TcpRequested(ILogger logger, IPEndPoint source, IPEndPoint destination);

    [LoggerMessage(5001, LogLevel.Debug, "Connection request {Source} -> {Destination} refused: {Outcome}")]
    public static partial void TcpRefused(ILogger logger, IPEndPoint source, IPEndPoint destination, ForwardOutcome outcome);

    [LoggerMessage(5002, LogLevel.Debug, "Datagram flow {Source} -> {Destination}")]
    public static partial void UdpFlowOpened(ILogger logger, IPEndPoint source, IPEndPoint destination);

    // A stranger can make a handler throw as often as he likes: the warning is rate-limited by the caller, the rest goes to Debug.
    [LoggerMessage(EventId = 5003, EventName = "HandlerFailed", Message = "The forward handler for {Source} -> {Destination} threw")]
    public static partial void HandlerFailed(ILogger logger, LogLevel level, IPEndPoint source, IPEndPoint destination, Exception exception);

    [LoggerMessage(5010, LogLevel.Debug, "Relay {Source} -> {Target}: dial failed")]
    public static partial void DialFailed(ILogger logger, IPEndPoint source, IPEndPoint target, Exception exception);

    [LoggerMessage(EventId = 5011, EventName = "WouldLoop", Message = "Relay {Source} -> {Target} would loop: the kernel routes it back to the stack, from {Local}. Give the relay a Mark with a policy rule, a BindToDevice or another network namespace")]
    public static partial void WouldLoop(ILogger logger, LogLevel level, IPEndPoint source, IPEndPoint target, IPAddress local);

    [LoggerMessage(EventId = 5012, EventName = "RelayFull", Message = "Relay {Source} -> {Destination} refused: {Limit} relays are open already")]
    public static partial void RelayFull(ILogger logger, LogLevel level, IPEndPoint source, IPEndPoint destination, int limit);

    [LoggerMessage(5013, LogLevel.Debug, "Relay {Source} -> {Target} ended: {Outcome}")]
    public static partial void RelayEnded(ILogger logger, IPEndPoint source, IPEndPoint target, string outcome);
}

/// <summary>Lets one message per second through at a level that an operator sees; the others of that second go to Debug.</summary>
internal sealed class LogLimiter(TimeProvider time)
{
    private long _next = long.MinValue;

    public LogLevel Level(LogLevel level)
    {
        long now = time.GetTimestamp();
        long next = Volatile.Read(ref _next);
        return now >= next && Interlocked.CompareExchange(ref _next, now + time.TimestampFrequency, next) == next ? level : LogLevel.Debug;
    }
}
