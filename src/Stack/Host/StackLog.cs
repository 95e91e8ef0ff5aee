using System.Net;
using Microsoft.Extensions.Logging;

namespace Tcpcrypt.Host;

/// <summary>Log messages of the host and the API. Event ids: 2000 stack, 3000 TCP. Per connection at Debug: what a stranger causes must not fill a log.</summary>
internal static partial class StackLog
{
    [LoggerMessage(2000, LogLevel.Information, "Stack started on {Device} (MTU {Mtu}, offloads {Offloads}) with {Addresses}.")]
    public static partial void Started(ILogger logger, string device, int mtu, PacketOffloads offloads, string addresses);

    [LoggerMessage(2001, LogLevel.Information, "Stack on {Device} stopped; {Aborted} connections were reset.")]
    public static partial void Stopped(ILogger logger, string device, int aborted);

    [LoggerMessage(2002, LogLevel.Error, "Stack on {Device} has failed.")]
    public static partial void HostFailed(ILogger logger, string device, Exception exception);

    [LoggerMessage(2003, LogLevel.Error, "A {Source}'s owner threw when told of its events.")]
    public static partial void EventSinkFailed(ILogger logger, string source, Exception exception);

    [LoggerMessage(3000, LogLevel.Debug, "Connection {Id} to {Remote} established from {Local}.")]
    public static partial void Connected(ILogger logger, long id, EndPoint local, EndPoint remote);

    [LoggerMessage(3001, LogLevel.Debug, "Connection {Id} from {Remote} accepted on {Local}.")]
    public static partial void Accepted(ILogger logger, long id, EndPoint local, EndPoint remote);

    [LoggerMessage(3002, LogLevel.Debug, "Connection {Id} closed: {Error}.")]
    public static partial void Closed(ILogger logger, long id, System.Net.Sockets.SocketError error);

    [LoggerMessage(3003, LogLevel.Debug, "Listening on {Local}, backlog {Backlog}.")]
    public static partial void Listening(ILogger logger, EndPoint local, int backlog);

    [LoggerMessage(4000, LogLevel.Warning, "The secrets of all encrypted connections are written to {Path}: whoever reads it reads the connections.")]
    public static partial void KeyLogIsOn(ILogger logger, string path);

    [LoggerMessage(4001, LogLevel.Debug, "Connection {Id}: tcpcrypt {Outcome}, {Dialect}, {Role}, {KeyExchange}, {Cipher}, resumed {IsResumed}.")]
    public static partial void Encryption(ILogger logger, long id, TcpcryptOutcome outcome, TcpcryptDialect dialect, TcpcryptRole role, TcpcryptKeyExchange keyExchange, TcpcryptCipher cipher, bool isResumed);

    [LoggerMessage(4002, LogLevel.Warning, "Connection {Id} has sent or received more than 16 MiB in dialect Reference, whose cipher repeats its key stream from there on.")]
    public static partial void LegacyCipherWorn(ILogger logger, long id);

    [LoggerMessage(4003, LogLevel.Information, "tcpcrypt is {Policy}; cryptography by {Provider}.")]
    public static partial void TcpcryptIsOn(ILogger logger, TcpcryptPolicy policy, string provider);

    [LoggerMessage(4004, LogLevel.Warning, "The key log {Path} cannot be written to; no more lines are added.")]
    public static partial void KeyLogFailed(ILogger logger, string path, Exception error);

    [LoggerMessage(3004, LogLevel.Debug, "Stopped listening on {Local}.")]
    public static partial void StoppedListening(ILogger logger, EndPoint local);
}
