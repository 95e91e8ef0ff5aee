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
            if (_byChain.TryGetValue(ChainKey(session.Chain.Span), out Entry? entry))
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
                if (entry.Window.Agreement.CanOpen && entry.Window.HasRole(roles) && entry.Window.Index <= entry.Confirmed + TcpcryptSession.LookAhead)
                {
                    return TakeOut(entry);
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
            if (!_byIdentifier.TryGetValue(SessionWindow.Key(identifier), out Entry? entry))
            {
                return null;
            }

            if (!entry.Window.HasRole(roles))
            {
                // The peer sees a miss and drops its chain; and an identifier that was in a NEXTK1 must not hit later ([TD-103]).
                Remove(entry);
                return null;
            }

            for (int ahead = entry.Window.Keys.IndexOf(SessionWindow.Key(identifier)); ahead > 0; ahead--)
            {
                // Dead, since one beyond it was seen.
                Advance(entry);
            }

            TcpcryptSession session = TakeOut(entry);
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
            if (_byChain.TryGetValue(ChainKey(session.Chain.Span), out Entry? entry))
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
                entries.First!.Value.Window.Chain.IsDropped = true;
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
                oldest.Value.Window.Chain.IsDropped = true;
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

    private static (UInt128 High, UInt128 Low) ChainKey(ReadOnlySpan<byte> chain) => (MemoryMarshal.Read<UInt128>(chain), MemoryMarshal.Read<UInt128>(chain[16..]));

    private void Insert(IPAddress peer, TcpcryptSession session)
    {
        if (_byAge.Count >= _capacity)
        {
            Remove(_byAge.First!.Value);
        }

        Entry entry = new(peer, session) { Since = _time.GetTimestamp() };
        _byChain.Add(ChainKey(session.Chain.Span), entry);
        _byAge.AddLast(entry.Age);
        PeerList(peer).AddFirst(entry.AtPeer);
        Index(entry);
    }

    /// <summary>A connection that took its session from here has become encrypting. The same as adding what it leaves behind, without making that: dialect Draft only, where the entry has moved on already.</summary>
    internal void Confirm(TcpcryptSession taken)
    {
        lock (_gate)
        {
            DropExpired();
            if (_byChain.TryGetValue(ChainKey(taken.Chain.Span), out Entry? entry))
            {
                Confirm(entry, taken.Index + 1);
            }
        }
    }

    /// <summary>The peer is at least there now.</summary>
    private void Confirm(Entry entry, long index)
    {
        if (index > entry.Confirmed)
        {
            entry.Confirmed = index;
            Renew(entry);
        }
    }

    /// <summary>A connection of the chain has become encrypting. Never moves the entry backwards.</summary>
    private void Confirm(Entry entry, TcpcryptSession session)
    {
        Confirm(entry, session.Index);
        if (session.Index > entry.Window.Index)
        {
            Unindex(entry);
            entry.Window.Dispose();
            entry.Window = new SessionWindow(session);
            Index(entry);
        }
        else
        {
            session.Dispose();
        }
    }

    private TcpcryptSession TakeOut(Entry entry)
    {
        TcpcryptSession session = entry.Window.Create();
        session.MarkTaken();
        if (session.Dialect == TcpcryptDialect.Draft)
        {
            Advance(entry);
        }
        else
        {
            Remove(entry);
        }

        return session;
    }

    private void Advance(Entry entry)
    {
        Unindex(entry.Window.Keys[0], entry);
        entry.Window.Advance();
        _byIdentifier.TryAdd(entry.Window.Keys[^1], entry);
    }

    private void Index(Entry entry)
    {
        if (entry.Window.Agreement.CanListen)
        {
            foreach ((ulong, byte) key in entry.Window.Keys)
            {
                _byIdentifier.TryAdd(key, entry);
            }
        }
    }

    private void Unindex(Entry entry)
    {
        foreach ((ulong, byte) key in entry.Window.Keys)
        {
            Unindex(key, entry);
        }
    }

    private void Unindex((ulong, byte) key, Entry entry)
    {
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
        Unindex(entry);
        entry.Window.Dispose();
    }

    private void Detach(Entry entry)
    {
        _byChain.Remove(ChainKey(entry.Window.Chain.Id));
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
            Confirmed = session.Index;
            Window = new SessionWindow(session);
            Age = new LinkedListNode<Entry>(this);
            AtPeer = new LinkedListNode<Entry>(this);
        }

        public IPAddress Peer { get; }

        public SessionWindow Window { get; set; }

        /// <summary>The lowest index that the peer can still be waiting for, as far as we know.</summary>
        public long Confirmed { get; set; }

        public long Since { get; set; }

        public LinkedListNode<Entry> Age { get; }

        public LinkedListNode<Entry> AtPeer { get; }
    }
}
