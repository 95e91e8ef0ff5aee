using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>What a <see cref="TcpNotice"/> is about.</summary>
public enum TcpNoticeKind
{
    /// <summary>Urgent data was announced, or its end moved on (RFC 9293 MUST-32). See <see cref="TcpConnection.UrgentOctetsAhead"/>.</summary>
    UrgentData,

    /// <summary>An ICMP error that does not end the connection arrived (RFC 9293 MUST-47, MUST-56): see <see cref="TcpNotice.Error"/>.</summary>
    SoftError,

    /// <summary>A segment was repeated R1 times without an answer (RFC 9293 MUST-20a, SHLD-9): the path may have died.</summary>
    RetransmissionThreshold,
}

/// <summary>Something about a connection that an application may want to know and need not act on.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="Error">For <see cref="TcpNoticeKind.SoftError"/>: what was reported, such as <see cref="SocketError.HostUnreachable"/>.</param>
public sealed record TcpNotice(TcpNoticeKind Kind, SocketError Error);
