using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Host;

/// <summary>How much public-key work is done at once and how much may wait, and the keys made ahead of time.</summary>
internal sealed class HandshakePoolOptions
{
    public int QueueSize { get; init; } = 1024;

    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>Pairs for P-256 kept at hand.</summary>
    public int PreparedKeys { get; init; } = 64;

    /// <summary>The size of an RSA key that is made at the start, in bits; 0 for none.</summary>
    public int PreparedRsaBits { get; init; }

    public TimeSpan KeyLifetime { get; init; } = TimeSpan.FromMinutes(2);
}

/// <summary>Does the core's public-key work: bounded in what waits and in what runs, so that a flood of handshakes takes nothing from established connections but its share of the processors.</summary>
/// <remarks>
/// Work goes to the thread pool, except for a few short pieces: those the loop does itself, one between two looks at the device, when it would sleep otherwise. Waking a worker, and the turn that it takes the lock for,
/// cost more than a third of a P-256 exchange; and nothing waits for the loop longer than one such piece.
/// </remarks>
internal sealed class HandshakePool : HandshakeWorkers, IHandshakeSecrets, IThreadPoolWorkItem
{
    /// <summary>With more short work than this the pool helps: 4 ms of P-256.</summary>
    private const int LoopShare = 64;

    [ThreadStatic]
    private static OsRandomSource? t_random;

    private readonly StackHost _host;
    private readonly HandshakePoolOptions _options;
    private readonly ConcurrentQueue<HandshakeWork> _queue = new();
    private readonly ConcurrentQueue<HandshakeWork> _shortQueue = new();
    private readonly ConcurrentQueue<EcKeyPair> _pairs = new();
    private readonly Lock _rsaLock = new();
    private readonly Dictionary<int, (RsaKeyPair Key, TcpInstant MadeAt)> _rsaKeys = [];
    private readonly ConcurrentQueue<HandshakeWork> _slow = new();
    private int _slowWaiting;
    private int _slowActive;
    private readonly bool _isFast = CryptoProvider.Default == CryptoProvider.Native;
    private int _waiting;
    private int _active;
    private int _pairCount;
    private int _isRenewing;
    private volatile bool _isStopped;

    public HandshakePool(StackHost host, HandshakePoolOptions options)
    {
        _host = host;
        _options = options;
    }

    public override bool IsFull => Volatile.Read(ref _waiting) >= _options.QueueSize;

    public override void Queue(HandshakeWork work)
    {
        if (_isStopped)
        {
            work.Dispose();
            return;
        }

        if (work.MayWait)
        {
            Interlocked.Increment(ref _slowWaiting);
            _slow.Enqueue(work);
            ActivateSlow();
            return;
        }

        int waiting = Interlocked.Increment(ref _waiting);
        bool isForLoop = _isFast && work.IsShort && _host.IsLoopThread;
        (isForLoop ? _shortQueue : _queue).Enqueue(work);
        if (!isForLoop || waiting > LoopShare)
        {
            Activate();
        }
    }

    /// <summary>Called by the loop between two turns: does one short piece of work, whose result belongs to the next turn. False when there was none; a loop that is busy leaves it to the pool.</summary>
    public bool TryRunShort(bool isBusy)
    {
        if (isBusy)
        {
            if (!_shortQueue.IsEmpty)
            {
                Activate();
            }

            return false;
        }

        if (!_shortQueue.TryDequeue(out HandshakeWork? work))
        {
            return false;
        }

        Interlocked.Decrement(ref _waiting);
        work.Run(CryptoProvider.Default, this);
        _host.EnqueueForLoop(new Completion(work));
        return true;
    }

    public override bool TryQueue(HandshakeWork work)
    {
        if (work.MayWait ? Volatile.Read(ref _slowWaiting) >= _options.QueueSize : IsFull)
        {
            return false;
        }

        Queue(work);
        return true;
    }

    /// <summary>Makes keys ahead of time.</summary>
    public void Prepare()
    {
        if (_options.PreparedRsaBits > 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static pool => pool.GetRsaKey(pool._options.PreparedRsaBits), this, preferLocal: false);
        }

        Activate();
    }

    /// <summary>The core runs no more: what waits is let go of.</summary>
    public void Stop()
    {
        _isStopped = true;
        while (TryTake(out HandshakeWork? work))
        {
            work.Dispose();
        }

        while (_slow.TryDequeue(out HandshakeWork? work))
        {
            work.Dispose();
        }

        while (_pairs.TryDequeue(out EcKeyPair? pair))
        {
            pair.Dispose();
        }

        lock (_rsaLock)
        {
            foreach ((RsaKeyPair key, _) in _rsaKeys.Values)
            {
                key.Dispose();
            }

            _rsaKeys.Clear();
        }
    }

    public void Fill(Span<byte> destination) => (t_random ??= new OsRandomSource()).Fill(destination);

    public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange)
    {
        if (keyExchange == TcpcryptKeyExchange.EcdheP256 && _pairs.TryDequeue(out EcKeyPair? pair))
        {
            // Half of them at a time: a worker that wakes for each costs as much as the pair.
            if (Interlocked.Decrement(ref _pairCount) <= _options.PreparedKeys / 2 && Volatile.Read(ref _active) == 0)
            {
                Activate();
            }

            return pair;
        }

        return MakePair(keyExchange);
    }

    public RsaKeyPair GetRsaKey(int bits)
    {
        lock (_rsaLock)
        {
            TcpInstant now = _host.Now;
            if (_rsaKeys.TryGetValue(bits, out (RsaKeyPair Key, TcpInstant MadeAt) known) && now - known.MadeAt < _options.KeyLifetime)
            {
                if (bits == _options.PreparedRsaBits && now - known.MadeAt > _options.KeyLifetime / 2 && Interlocked.Exchange(ref _isRenewing, 1) == 0)
                {
                    // Where keys are in use the next one is made before this one is too old, so that no handshake waits for it.
                    ThreadPool.UnsafeQueueUserWorkItem(static pool => pool.RenewRsaKey(), this, preferLocal: false);
                }

                return known.Key;
            }

            // The old one is not disposed of: handshakes may still have use for it. What nobody uses is wiped by its finalizer.
            RsaKeyPair key = new SharedRsaKeyPair(CryptoProvider.Default.GenerateRsaKeyPair(bits));
            _rsaKeys[bits] = (key, now);
            return key;
        }
    }

    private void RenewRsaKey()
    {
        RsaKeyPair key = new SharedRsaKeyPair(CryptoProvider.Default.GenerateRsaKeyPair(_options.PreparedRsaBits));
        lock (_rsaLock)
        {
            if (_isStopped)
            {
                key.Dispose();
            }
            else
            {
                _rsaKeys[_options.PreparedRsaBits] = (key, _host.Now);
            }
        }

        Volatile.Write(ref _isRenewing, 0);
    }

    [SuppressMessage("Design", "CA1031", Justification = "A worker has nobody to throw to: the stack fails with what it was.")]
    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            do
            {
                while (TryTake(out HandshakeWork? work))
                {
                    work.Run(CryptoProvider.Default, this);
                    _host.Enqueue(new Completion(work));
                }
            }
            while (!_isStopped && TryPreparePair());
        }
        catch (Exception exception)
        {
            _host.FailWith(exception);
        }

        Interlocked.Decrement(ref _active);
        if (!_queue.IsEmpty && !_isStopped)
        {
            Activate();
        }
    }

    private bool TryTake([NotNullWhen(true)] out HandshakeWork? work)
    {
        if (!_queue.TryDequeue(out work) && !_shortQueue.TryDequeue(out work))
        {
            return false;
        }

        Interlocked.Decrement(ref _waiting);
        return true;
    }

    private void Activate()
    {
        int active = Volatile.Read(ref _active);
        while (active < _options.Workers)
        {
            int seen = Interlocked.CompareExchange(ref _active, active + 1, active);
            if (seen == active)
            {
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
                return;
            }

            active = seen;
        }
    }

    /// <summary>What waits for the application has workers of its own: when it never returns, handshakes go on.</summary>
    private void ActivateSlow()
    {
        int active = Volatile.Read(ref _slowActive);
        while (active < _options.Workers)
        {
            int seen = Interlocked.CompareExchange(ref _slowActive, active + 1, active);
            if (seen == active)
            {
                ThreadPool.UnsafeQueueUserWorkItem(static pool => pool.RunSlow(), this, preferLocal: false);
                return;
            }

            active = seen;
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "As above.")]
    private void RunSlow()
    {
        try
        {
            while (_slow.TryDequeue(out HandshakeWork? work))
            {
                Interlocked.Decrement(ref _slowWaiting);
                work.Run(CryptoProvider.Default, this);
                _host.Enqueue(new Completion(work));
            }
        }
        catch (Exception exception)
        {
            _host.FailWith(exception);
        }

        Interlocked.Decrement(ref _slowActive);
        if (!_slow.IsEmpty && !_isStopped)
        {
            ActivateSlow();
        }
    }

    /// <summary>Makes one pair more, if there are too few; between two of them waiting work is looked for.</summary>
    private bool TryPreparePair()
    {
        if (Interlocked.Increment(ref _pairCount) > _options.PreparedKeys)
        {
            Interlocked.Decrement(ref _pairCount);
            return false;
        }

        _pairs.Enqueue(MakePair(TcpcryptKeyExchange.EcdheP256));
        return true;
    }

    private EcKeyPair MakePair(TcpcryptKeyExchange keyExchange)
    {
        Span<byte> scalar = stackalloc byte[keyExchange == TcpcryptKeyExchange.EcdheP521 ? 66 : 32];
        while (true)
        {
            Fill(scalar);
            if (keyExchange == TcpcryptKeyExchange.EcdheP521)
            {
                scalar[0] &= 1;     // 521 bits
            }

            if (CryptoProvider.Default.CreateEcKeyPair(keyExchange, scalar) is { } pair)
            {
                scalar.Clear();
                return pair;
            }
        }
    }

    /// <summary>Brings the result back under the core's lock.</summary>
    private sealed class Completion(HandshakeWork work) : HostCommand
    {
        public override void Run(StackCore core, TcpInstant now) => work.Complete(now);

        public override void Cancel(Exception reason) => work.Dispose();
    }

    /// <summary>Several handshakes use one RSA key ([TD-67]): one at a time.</summary>
    private sealed class SharedRsaKeyPair(RsaKeyPair key) : RsaKeyPair
    {
        private readonly Lock _lock = new();

        public override ReadOnlySpan<byte> Modulus => key.Modulus;

        public override bool TryDecrypt(OaepHash hash, ReadOnlySpan<byte> ciphertext, Span<byte> message, out int written)
        {
            lock (_lock)
            {
                return key.TryDecrypt(hash, ciphertext, message, out written);
            }
        }

        public override void Dispose()
        {
            lock (_lock)
            {
                key.Dispose();
            }
        }
    }
}
