using System.Net;

namespace Tcpcrypt;

/// <summary>
/// Where sessions wait for the connection that resumes them. The default, <see cref="TcpcryptSessionCache"/>, keeps them in memory; servers behind one address may share a store of their own.
/// Every session is used once: taking one out is atomic ([TD-103]). Sessions must never be written to a disk ([TD-101]).
/// </summary>
/// <remarks>
/// <para>Called from several threads. A store of the application's own is never called by the stack's loop, so it may take its time: only the connection concerned waits.</para>
/// <para>
/// A shared store keeps <see cref="TcpcryptSession.Export"/> under each of <see cref="TcpcryptSession.GetIdentifiers"/>, under <see cref="TcpcryptSession.Chain"/> and the peer. <see cref="Take"/> then removes the entry
/// and all its keys in one atomic step, imports it and returns what <see cref="TcpcryptSession.Find"/> says; in <see cref="TcpcryptDialect.Draft"/> it may at once put back the <see cref="TcpcryptSession.Next()"/> of
/// what it returns, so that the next connection need not wait for this one. <see cref="Add"/> must then keep a Draft session only where it begins a chain (index 1) or moves an entry forward: an index that was given out
/// must never be given out again. A store that puts nothing back gets the rest of the chain with <see cref="Add"/>.
/// </para>
/// </remarks>
public interface ITcpcryptSessionStore
{
    /// <summary>
    /// Keeps the session that a connection leaves behind; called when the peer has shown that it has the connection's keys. When the chain is there already, the higher index stays and the other is disposed of.
    /// </summary>
    /// <param name="peer">The other host.</param>
    /// <param name="session">The session; the store owns it now.</param>
    void Add(IPAddress peer, TcpcryptSession session);

    /// <summary>Takes the session that a connection to a host may resume, for a host that opens one ([TD-102]): one with <see cref="TcpcryptSession.CanOpen"/>.</summary>
    /// <param name="peer">The host to connect to.</param>
    /// <param name="roles">The roles this host may have had; <see cref="TcpcryptRole.None"/>: either.</param>
    /// <returns>The session, owned by the caller; null when there is none.</returns>
    TcpcryptSession? TakeForPeer(IPAddress peer, TcpcryptRole roles);

    /// <summary>Takes the session whose session ID starts with the nine octets that a NEXTK1 brought ([TD-103]): one with <see cref="TcpcryptSession.CanListen"/>.</summary>
    /// <param name="identifier">Nine octets.</param>
    /// <param name="roles">The roles this host may have had; <see cref="TcpcryptRole.None"/>: either.</param>
    /// <returns>The session, owned by the caller; null for a miss.</returns>
    TcpcryptSession? Take(ReadOnlySpan<byte> identifier, TcpcryptRole roles);

    /// <summary>
    /// Drops the chain of a session, for ever: the peer missed it ([TD-103]), or the application flushed it ([TD-105]). What another connection of the same chain adds later is not kept.
    /// </summary>
    /// <param name="session">A session of the chain, which may be disposed of; it stays the caller's.</param>
    void Drop(TcpcryptSession session);

    /// <summary>Drops every session with a host.</summary>
    /// <param name="peer">The host.</param>
    void RemovePeer(IPAddress peer);
}
