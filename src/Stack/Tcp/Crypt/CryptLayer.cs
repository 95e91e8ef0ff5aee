using System.Diagnostics.CodeAnalysis;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>What tcpcrypt needs of the stack it is in.</summary>
internal sealed class CryptLayerOptions
{
    public CryptSettings Settings { get; init; } = new();

    public CryptOptionKinds Kinds { get; init; } = CryptOptionKinds.Default;

    /// <summary>Where sessions are; null: none is kept.</summary>
    public ITcpcryptSessionStore? Sessions { get; init; }

    /// <summary>The store is ours: it answers at once and may be asked inside of the core.</summary>
    public bool AreSessionsLocal { get; init; } = true;
}

/// <summary>tcpcrypt's part of a core that is shared by all connections.</summary>
internal sealed class CryptLayer(CryptLayerOptions options, StackCounters counters)
{
    /// <summary>Of connections and listeners that have none of their own. Settable for tests.</summary>
    public CryptSettings Settings { get; set; } = options.Settings;

    public CryptOptionKinds Kinds => options.Kinds;

    /// <summary>Set by the core's owner before the core runs.</summary>
    public HandshakeWorkers Workers { get; set; } = null!;

    public ITcpcryptSessionStore? Sessions => options.Sessions;

    public bool AreSessionsLocal => options.AreSessionsLocal;

    /// <summary>A connection leaves a session behind.</summary>
    public void Keep(Ipv4Address peer, TcpcryptSession session)
    {
        if (options.Sessions is not { } store)
        {
            session.Dispose();
        }
        else if (options.AreSessionsLocal)
        {
            store.Add(peer.ToIPAddress(), session);
        }
        else if (!Workers.TryQueue(new StoreWork(counters, store, peer, session, isDrop: false)))
        {
            session.Dispose();
        }
    }

    /// <summary>A chain is of no use any more: missed, or flushed.</summary>
    public void Forget(TcpcryptSession session)
    {
        if (options is { Sessions: { } store, AreSessionsLocal: true })
        {
            store.Drop(session);
        }
        else if (options.Sessions is { } shared)
        {
            Workers.TryQueue(new StoreWork(counters, shared, default, session, isDrop: true));
        }
    }

    /// <summary>A call of an application's own store, which may take its time.</summary>
    private sealed class StoreWork(StackCounters counters, ITcpcryptSessionStore store, Ipv4Address peer, TcpcryptSession session, bool isDrop) : HandshakeWork
    {
        private bool _hasFailed;

        public override bool MayWait => true;

        [SuppressMessage("Design", "CA1031", Justification = "Whatever is wrong with an application's store, connections go on without it.")]
        public override void Run(CryptoProvider provider, IHandshakeSecrets secrets)
        {
            try
            {
                if (isDrop)
                {
                    store.Drop(session);
                }
                else
                {
                    store.Add(peer.ToIPAddress(), session);
                }
            }
            catch (Exception)
            {
                _hasFailed = true;
            }
        }

        public override void Complete(TcpInstant now) => counters.CryptStoreFailures += _hasFailed ? 1 : 0;

        public override void Dispose()
        {
            if (!isDrop)
            {
                session.Dispose();
            }
        }
    }

    /// <summary>Destinations whose handshakes broke.</summary>
    public PlainDestinations PlainDestinations { get; } = new();

    /// <summary>A connection could not be encrypted, and was reset or refused.</summary>
    public void CountFailed(in FourTuple tuple, TcpcryptOutcome reason)
    {
        counters.CountCryptFailed(reason);
        OnFailed?.Invoke(tuple, reason);
    }

    /// <summary>Told of every connection that could not be encrypted (log); null for nobody. Called inside the core: it queues and returns.</summary>
    public Action<FourTuple, TcpcryptOutcome>? OnFailed { get; set; }

    /// <summary>Told of every connection that becomes encrypted (key log); null for nobody. Called inside the core: it queues and returns.</summary>
    public Action<TcpEndpoint, TcpcryptSession>? OnEncrypted { get; set; }
}

/// <summary>Where a handshake broke after INIT1, tcpcrypt is not offered for ten minutes, so that the next connection works ([TD-130]). Bounded; the oldest goes first.</summary>
internal sealed class PlainDestinations
{
    private const int Capacity = 1024;

    private static readonly TimeSpan s_lifetime = TimeSpan.FromMinutes(10);

    private readonly Dictionary<Endpoint4, TcpInstant> _until = [];
    private readonly Queue<(Endpoint4 Destination, TcpInstant Until)> _byAge = new();

    public int Count => _until.Count;

    public void Add(TcpInstant now, Endpoint4 destination)
    {
        Expire(now);
        if (_until.Count >= Capacity && _byAge.TryDequeue(out (Endpoint4 Destination, TcpInstant Until) oldest))
        {
            _until.Remove(oldest.Destination);
        }

        TcpInstant until = now + s_lifetime;
        if (_until.TryAdd(destination, until))
        {
            _byAge.Enqueue((destination, until));
        }
    }

    public bool Contains(TcpInstant now, Endpoint4 destination)
    {
        Expire(now);
        return _until.ContainsKey(destination);
    }

    private void Expire(TcpInstant now)
    {
        while (_byAge.TryPeek(out (Endpoint4 Destination, TcpInstant Until) oldest) && oldest.Until <= now)
        {
            _byAge.Dequeue();
            _until.Remove(oldest.Destination);
        }
    }
}
