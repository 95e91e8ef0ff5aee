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

    /// <summary>A connection that is not encrypted and had to be, or whose handshake broke.</summary>
    public static TcpcryptException CryptFailed(TcpcryptOutcome outcome, EndPoint remote, SocketError error) => new(
        outcome,
        outcome switch
        {
            TcpcryptOutcome.PeerDidNotOffer => $"{remote} offers no tcpcrypt, or something on the path removed the offer, and the policy is Required.",
            TcpcryptOutcome.PeerDeclined => $"{remote} declined tcpcrypt, and the policy is Required.",
            TcpcryptOutcome.NoCommonAlgorithm => $"{remote} and this side have no key exchange or cipher in common, and the policy is Required.",
            TcpcryptOutcome.AwarenessMismatch => $"One application of the connection with {remote} insists on the other's support of tcpcrypt, and there is none.",
            TcpcryptOutcome.RoleConflict => $"{remote} and this side want the same role in tcpcrypt's handshake (CMode), and the policy is Required.",
            TcpcryptOutcome.HandshakeLost => $"{remote} acknowledged tcpcrypt's INIT1 without an answer to it: something on the path removes options. The connection was reset; under Opportunistic the next ones go plain for ten minutes.",
            TcpcryptOutcome.HandshakeTimedOut => $"{remote} did not answer tcpcrypt's handshake. Under Opportunistic the next connections go plain for ten minutes.",
            _ => $"tcpcrypt's handshake with {remote} failed and the connection was reset.",
        },
        new SocketException((int)error));

    /// <summary>A connection that <see cref="TcpcryptOptions.LegacyCipherByteLimit"/> has ended.</summary>
    public static TcpcryptException CipherSpent() => new(
        TcpcryptOutcome.CipherSpent,
        "The connection has carried as many octets in one direction as TcpcryptOptions.LegacyCipherByteLimit allows for the cipher of dialect Reference, and was closed. What was written before has been sent; go on with another connection.",
        new SocketException((int)SocketError.ConnectionAborted));

    /// <summary>A connection that broke before the peer showed that it has the same keys.</summary>
    public static TcpcryptException NotConfirmed(SocketError error) => new(
        TcpcryptOutcome.KeysNotConfirmed,
        "The connection has ended, and nothing encrypted that came could be verified: someone has altered tcpcrypt's handshake, or something on the path alters segments. Where the other side was connected to, it is tried without tcpcrypt for ten minutes, unless the policy is Required.",
        new SocketException((int)error));

    /// <summary>A connect that took longer than the caller allows.</summary>
    public static SocketException ConnectTimedOut(EndPoint remote, TimeSpan timeout) =>
        new((int)SocketError.TimedOut, $"Connecting to {remote} failed: no answer within {timeout.TotalSeconds:0.###} s (TcpConnectOptions.Timeout).");

    /// <summary>A listen that failed.</summary>
    public static SocketException ListenFailed(SocketError error, EndPoint local) =>
        new((int)error, $"Listening on {local} failed: {new SocketException((int)error).Message}");
}
