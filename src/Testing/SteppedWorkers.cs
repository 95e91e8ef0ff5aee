using Tcpcrypt.Core;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Testing;

/// <summary>Public-key work done at once, with entropy out of a seed: the same seed gives the same handshakes (RSA keys aside).</summary>
internal sealed class SteppedWorkers(SeededRandom random) : HandshakeWorkers, IHandshakeSecrets
{
    private readonly Queue<HandshakeWork> _queue = new();
    private readonly Dictionary<int, RsaKeyPair> _rsaKeys = [];

    /// <summary>Work waits until this is false again: for tests of what happens meanwhile.</summary>
    public bool IsHeld { get; set; }

    public int Limit { get; set; } = 1024;

    public override bool IsFull => _queue.Count >= Limit;

    public override void Queue(HandshakeWork work) => _queue.Enqueue(work);

    /// <summary>Does one piece of work; false when there is none.</summary>
    public bool TryRun(TcpInstant now)
    {
        if (IsHeld || !_queue.TryDequeue(out HandshakeWork? work))
        {
            return false;
        }

        work.Run(CryptoProvider.Default, this);
        work.Complete(now);
        return true;
    }

    public void Fill(Span<byte> destination) => random.Fill(destination);

    public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange)
    {
        Span<byte> scalar = stackalloc byte[keyExchange == TcpcryptKeyExchange.EcdheP521 ? 66 : 32];
        while (true)
        {
            random.Fill(scalar);
            if (scalar.Length == 66)
            {
                scalar[0] &= 1;
            }

            if (CryptoProvider.Default.CreateEcKeyPair(keyExchange, scalar) is { } pair)
            {
                return pair;
            }
        }
    }

    public RsaKeyPair GetRsaKey(int bits)
    {
        if (!_rsaKeys.TryGetValue(bits, out RsaKeyPair? key))
        {
            key = CryptoProvider.Default.GenerateRsaKeyPair(bits);
            _rsaKeys.Add(bits, key);
        }

        return key;
    }
}
