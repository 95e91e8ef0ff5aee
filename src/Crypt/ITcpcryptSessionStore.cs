using System.Net;

namespace Tcpcrypt;

/// <summary>
/// Where sessions wait for the connection that resumes them. The default keeps them in memory; servers behind one address may share a store of their own.
/// Every session is used once: taking one out is atomic ([TD-103]). Sessions must never be written to a disk ([TD-101]).
/// </summary>
/// <remarks>Called from several threads. A store of the application's own is never called by the stack's loop, so it may take its time: only the connection concerned waits.</remarks>
public interface ITcpcryptSessionStore
{
    /// <summary>Keeps a session for later. What the store does not want it disposes of.</summary>
    /// <param name="peer">The other host.</param>
    /// <param name="session">The session; the store owns it now.</param>
    void Add(IPAddress peer, TcpcryptSession session);

    /// <summary>Takes the session that a connection to a host may resume, for a host that opens one ([TD-102]).</summary>
    /// <param name="peer">The host to connect to.</param>
    /// <param name="roles">The roles this host may have had; <see cref="TcpcryptRole.None"/>: either.</param>
    /// <returns>The session, owned by the caller; null when there is none.</returns>
    TcpcryptSession? TakeForPeer(IPAddress peer, TcpcryptRole roles);

    /// <summary>Takes the session whose session ID starts with the nine octets that a NEXTK1 brought ([TD-103]).</summary>
    /// <param name="identifier">Nine octets.</param>
    /// <param name="roles">The roles this host may have had; <see cref="TcpcryptRole.None"/>: either.</param>
    /// <returns>The session, owned by the caller; null for a miss.</returns>
    TcpcryptSession? Take(ReadOnlySpan<byte> identifier, TcpcryptRole roles);

    /// <summary>Drops every session with a host.</summary>
    /// <param name="peer">The host.</param>
    void RemovePeer(IPAddress peer);
}
