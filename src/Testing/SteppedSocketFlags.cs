using System.Net.Sockets;

namespace Tcpcrypt.Testing;

/// <summary>Flags of <see cref="SteppedSocket.Send"/> that <see cref="SocketFlags"/> has no name for; the values are Linux's.</summary>
public static class SteppedSocketFlags
{
    /// <summary>More follows: a segment that is not full waits for it, until a send without this flag, an ACK, or a retransmission time-out (MSG_MORE; the number is that of <see cref="SocketFlags.Partial"/>).</summary>
    public const SocketFlags More = SocketFlags.Partial;

    /// <summary>The last octet ends a record: what is sent later is in segments of its own (MSG_EOR).</summary>
    public const SocketFlags EndOfRecord = (SocketFlags)0x80;
}
