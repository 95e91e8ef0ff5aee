using System.Net;
using System.Runtime.InteropServices;
using Tcpcrypt.Crypt;

namespace Tcpcrypt;

/// <summary>
/// Sessions in memory: bounded, the one that was not renewed for longest out first; expiring; wiped when they leave. A chain is one entry, at its next index.
/// </summary>
/// <remarks>
/// Draft ([TD-101..105]): what is taken is the next index, and the entry goes on behind it at once, so that parallel connections get indices of their own. It does so for at most three connections of which nothing was heard:
/// a listener recognises no more. Reference: the entry is taken out, and <see cref="Add"/> brings the next one.
/// </remarks>
public sealed class TcpcryptSessionCache : ITcpcryptSessionStore, IDisposable
{
    /// <summary>The default for the number of chains.</summary>
    public const int DefaultCapacity = 4096;

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly int _capacity;
    private readonly TimeSpan _lifetime;
    private readonly LinkedList<Entry> _byAge = [];
    private readonly Dictionary<(UInt128, UInt128), Entry> _byChain = [];
    private readonly Dictionary<(ulong, byte), Entry> _byIdentifier = [];
    private readonly Dictionary<IPAddress, LinkedList<Entry>> _byPeer = [];

    /// <param name="time">The clock by which sessions expire.</param>
    /// <param name="capacity">The most chains that are kept; zero keeps none.</param>
    /// <param name="lifetime">How long a session waits for the next connection; 30 minutes when null.</param>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative, or the lifetime is not positive.</exception>
    public TcpcryptSessionCache(TimeProvider time, int capacity = DefaultCapacity, TimeSpan? lifetime = null)
    {
        ArgumentNullException.ThrowIfNull(time);
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        _time = time;
        _capacity = capacity;
        _lifetime = lifetime ?? TimeSpan.FromMinutes(30);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(_lifetime, TimeSpan.Zero, nameof(lifetime));
    }

    /// <summary>The chains that are kept now.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                DropExpired();
                return _byAge.Count;
            }
        }
    }

    /// <inheritdoc/>
    public void Add(IPAddress peer, TcpcryptSession session)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(session);
        lock (_gate)
        {
            DropExpired();
            if (_byChain.TryGetValue(ChainKey(session), out Entry? entry))
            {
                Confirm(entry, session);
            }
            else if (session.IsChainDropped || !session.IsUnused || _capacity == 0)
            {
                session.Dispose();
            }
            else
            {
                Insert(peer, session);
            }
        }
    }

    /// <inheritdoc/>
    public TcpcryptSession? TakeForPeer(IPAddress peer, TcpcryptRole roles)
    {
        ArgumentNullException.ThrowIfNull(peer);
        lock (_gate)
        {
            DropExpired();
            if (!_byPeer.TryGetValue(peer, out LinkedList<Entry>? entries))
            {
                return null;
            }

            foreach (Entry entry in entries)
            {
                if (entry.Next.CanOpen && entry.Next.HasRole(roles) && entry.Next.Index <= entry.Confirmed + TcpcryptSession.LookAhead)
                {
                    return TakeOut(entry, 0);
                }
            }

            return null;
        }
    }

    /// <inheritdoc/>
    public TcpcryptSession? Take(ReadOnlySpan<byte> identifier, TcpcryptRole roles)
    {
        if (identifier.Length != TcpcryptSession.IdentifierLength)
        {
            return null;
        }

        lock (_gate)
        {
            DropExpired();
            if (!_byIdentifier.TryGetValue(IdentifierKey(identifier), out Entry? entry))
            {
                return null;
            }

            if (!entry.Next.HasRole(roles))
            {
                // The peer sees a miss and drops its chain; and an identifier that was in a NEXTK1 must not hit later ([TD-103]).
                Remove(entry);
                return null;
            }

            int ahead = 0;
            while (!entry.Window[ahead].Identifier.SequenceEqual(identifier))
            {
                ahead++;
            }

            TcpcryptSession session = TakeOut(entry, ahead);
            if (session.Dialect == TcpcryptDialect.Draft)
            {
                entry.Confirmed = Math.Max(entry.Confirmed, session.Index + 1);
                Renew(entry);
            }

            return session;
        }
    }

    /// <inheritdoc/>
    public void Drop(TcpcryptSession session)
    {
        ArgumentNullException.ThrowIfNull(session);
        lock (_gate)
        {
            session.DropChain();
            if (_byChain.TryGetValue(ChainKey(session), out Entry? entry))
            {
                Remove(entry);
            }
        }
    }

    /// <inheritdoc/>
    public void RemovePeer(IPAddress peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        lock (_gate)
        {
            while (_byPeer.TryGetValue(peer, out LinkedList<Entry>? entries))
            {
                entries.First!.Value.Next.DropChain();
                Remove(entries.First.Value);
            }
        }
    }

    /// <summary>Drops all sessions.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            while (_byAge.First is { } oldest)
            {
                oldest.Value.Next.DropChain();
                Remove(oldest.Value);
            }
        }
    }

    /// <summary>Wipes what has expired. Every other call does it too; a cache that is not used needs this one to forget in time.</summary>
    /// <returns>When to call again: the time until the oldest one expires; null when the cache is empty.</returns>
    public TimeSpan? RemoveExpired()
    {
        lock (_gate)
        {
            DropExpired();
            return _byAge.First is { } oldest ? _lifetime - _time.GetElapsedTime(oldest.Value.Since) : null;
        }
    }

    /// <summary>Wipes all sessions.</summary>
    public void Dispose() => Clear();

    private static (UInt128 High, UInt128 Low) ChainKey(TcpcryptSession session)
    {
        ReadOnlySpan<byte> chain = session.Chain.Span;
        return (MemoryMarshal.Read<UInt128>(chain), MemoryMarshal.Read<UInt128>(chain[16..]));
    }

    private static (ulong Head, byte Tail) IdentifierKey(ReadOnlySpan<byte> identifier) => (MemoryMarshal.Read<ulong>(identifier), identifier[8]);

    private void Insert(IPAddress peer, TcpcryptSession session)
    {
        if (_byAge.Count >= _capacity)
        {
            Remove(_byAge.First!.Value);
        }

        Entry entry = new(peer, session) { Since = _time.GetTimestamp() };
        _byChain.Add(ChainKey(session), entry);
        _byAge.AddLast(entry.Age);
        PeerList(peer).AddFirst(entry.AtPeer);
        Index(session, entry);
        Refill(entry);
    }

    /// <summary>A connection of the chain has become encrypting: the peer is at least there now. Never moves the entry backwards.</summary>
    private void Confirm(Entry entry, TcpcryptSession session)
    {
        if (session.Index > entry.Confirmed)
        {
            entry.Confirmed = session.Index;
            Renew(entry);
        }

        if (session.Index > entry.Next.Index)
        {
            Shift(entry, entry.Window.Count);
            entry.Window.Add(session);
            Index(session, entry);
            Refill(entry);
        }
        else
        {
            session.Dispose();
        }
    }

    private TcpcryptSession TakeOut(Entry entry, int ahead)
    {
        Shift(entry, ahead);
        TcpcryptSession session = entry.Next;
        session.MarkTaken();
        if (session.Dialect == TcpcryptDialect.Draft)
        {
            // The look-ahead is derived before the first of the window leaves.
            Refill(entry, TcpcryptSession.LookAhead + 2);
            Unindex(session, entry);
            entry.Window.RemoveAt(0);
        }
        else
        {
            Detach(entry);
            Unindex(session, entry);
        }

        return session;
    }

    /// <summary>Wipes the first sessions of the window: indices that are dead, since one beyond them was seen.</summary>
    private void Shift(Entry entry, int count)
    {
        for (int dead = 0; dead < count; dead++)
        {
            Unindex(entry.Window[dead], entry);
            entry.Window[dead].Dispose();
        }

        entry.Window.RemoveRange(0, count);
    }

    private void Refill(Entry entry, int count = TcpcryptSession.LookAhead + 1)
    {
        while (entry.Next.Dialect == TcpcryptDialect.Draft && entry.Window.Count < count)
        {
            TcpcryptSession session = entry.Window[^1].Next();
            entry.Window.Add(session);
            Index(session, entry);
        }
    }

    private void Index(TcpcryptSession session, Entry entry)
    {
        if (session.CanListen)
        {
            _byIdentifier.TryAdd(IdentifierKey(session.Identifier), entry);
        }
    }

    private void Unindex(TcpcryptSession session, Entry entry)
    {
        (ulong, byte) key = IdentifierKey(session.Identifier);
        if (_byIdentifier.TryGetValue(key, out Entry? owner) && owner == entry)
        {
            _byIdentifier.Remove(key);
        }
    }

    private void Renew(Entry entry)
    {
        entry.Since = _time.GetTimestamp();
        _byAge.Remove(entry.Age);
        _byAge.AddLast(entry.Age);
        LinkedList<Entry> peers = entry.AtPeer.List!;
        peers.Remove(entry.AtPeer);
        peers.AddFirst(entry.AtPeer);
    }

    private void DropExpired()
    {
        while (_byAge.First is { } oldest && _time.GetElapsedTime(oldest.Value.Since) >= _lifetime)
        {
            Remove(oldest.Value);
        }
    }

    private void Remove(Entry entry)
    {
        Detach(entry);
        Shift(entry, entry.Window.Count);
    }

    private void Detach(Entry entry)
    {
        _byChain.Remove(ChainKey(entry.Next));
        _byAge.Remove(entry.Age);
        LinkedList<Entry> peers = entry.AtPeer.List!;
        peers.Remove(entry.AtPeer);
        if (peers.Count == 0)
        {
            _byPeer.Remove(entry.Peer);
        }
    }

    private LinkedList<Entry> PeerList(IPAddress peer)
    {
        if (!_byPeer.TryGetValue(peer, out LinkedList<Entry>? entries))
        {
            _byPeer.Add(peer, entries = []);
        }

        return entries;
    }

    private sealed class Entry
    {
        public Entry(IPAddress peer, TcpcryptSession session)
        {
            Peer = peer;
            Window = [session];
            Confirmed = session.Index;
            Age = new LinkedListNode<Entry>(this);
            AtPeer = new LinkedListNode<Entry>(this);
        }

        public IPAddress Peer { get; }

        /// <summary>The next session of the chain and, in Draft, the two behind it.</summary>
        public List<TcpcryptSession> Window { get; }

        public TcpcryptSession Next => Window[0];

        /// <summary>The lowest index that the peer can still be waiting for, as far as we know.</summary>
        public long Confirmed { get; set; }

        public long Since { get; set; }

        public LinkedListNode<Entry> Age { get; }

        public LinkedListNode<Entry> AtPeer { get; }
    }
}
