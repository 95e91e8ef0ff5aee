using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>Where errors of the core, which are values, become exceptions.</summary>
internal static class StackErrors
{
    /// <summary>A read or write on a connection that is broken: an <see cref="IOException"/> with the <see cref="SocketException"/> inside, as NetworkStream has it.</summary>
    public static IOException Broken(SocketError error, string? message = null)
    {
        SocketException inner = message is null ? new SocketException((int)error) : new SocketException((int)error, message);
        return new IOException(message ?? "The connection has ended: " + inner.Message, inner);
    }

    /// <summary>The stack has stopped, and every call with it. A new exception per call: each has its own stack trace.</summary>
    public static Exception Stopped(Exception? reason) => reason switch
    {
        IOException failure => new IOException(failure.Message, failure.InnerException),
        _ => new ObjectDisposedException(nameof(IpStack), "The stack has been stopped."),
    };

    /// <summary>A connect that failed.</summary>
    public static SocketException ConnectFailed(SocketError error, EndPoint remote) =>
        new((int)error, $"Connecting to {remote} failed: {new SocketException((int)error).Message}");

    /// <summary>A connect that took longer than the caller allows.</summary>
    public static SocketException ConnectTimedOut(EndPoint remote, TimeSpan timeout) =>
        new((int)SocketError.TimedOut, $"Connecting to {remote} failed: no answer within {timeout.TotalSeconds:0.###} s (TcpConnectOptions.Timeout).");

    /// <summary>A listen that failed.</summary>
    public static SocketException ListenFailed(SocketError error, EndPoint local) =>
        new((int)error, $"Listening on {local} failed: {new SocketException((int)error).Message}");
}
