using System.Net.Sockets;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>Linux errno names and the socket errors that stand for them.</summary>
internal static class Errno
{
    private static readonly Dictionary<string, SocketError> s_errors = new()
    {
        ["EAGAIN"] = SocketError.WouldBlock,
        ["EWOULDBLOCK"] = SocketError.WouldBlock,
        ["EINPROGRESS"] = SocketError.InProgress,
        ["EALREADY"] = SocketError.AlreadyInProgress,
        ["EISCONN"] = SocketError.IsConnected,
        ["ENOTCONN"] = SocketError.NotConnected,
        ["EPIPE"] = SocketError.Shutdown,
        ["ECONNREFUSED"] = SocketError.ConnectionRefused,
        ["ECONNRESET"] = SocketError.ConnectionReset,
        ["ECONNABORTED"] = SocketError.ConnectionAborted,
        ["ETIMEDOUT"] = SocketError.TimedOut,
        ["EADDRINUSE"] = SocketError.AddressAlreadyInUse,
        ["EADDRNOTAVAIL"] = SocketError.AddressNotAvailable,
        ["EHOSTUNREACH"] = SocketError.HostUnreachable,
        ["ENETUNREACH"] = SocketError.NetworkUnreachable,
        ["EINVAL"] = SocketError.InvalidArgument,
        ["ENOPROTOOPT"] = SocketError.ProtocolOption,
        ["EOPNOTSUPP"] = SocketError.OperationNotSupported,
        ["EMSGSIZE"] = SocketError.MessageSize,
        ["EDESTADDRREQ"] = SocketError.DestinationAddressRequired,
        ["EBADF"] = SocketError.NotSocket,
        ["EAFNOSUPPORT"] = SocketError.AddressFamilyNotSupported,
        ["ENOBUFS"] = SocketError.NoBufferSpaceAvailable,
        ["EACCES"] = SocketError.AccessDenied,
    };

    public static bool TryParse(string name, out SocketError error) => s_errors.TryGetValue(name, out error);

    public static string Name(SocketError error) => s_errors.FirstOrDefault(pair => pair.Value == error).Key ?? error.ToString();
}
