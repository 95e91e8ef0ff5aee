using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Handshake;

/// <summary>Entropy by a seed.</summary>
internal sealed class SeededKeys(CryptoProvider provider, int seed) : IHandshakeKeys
{
    private readonly Random _random = new(seed);

    public void Fill(Span<byte> destination) => _random.NextBytes(destination);

    public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange)
    {
        byte[] scalar = new byte[keyExchange == TcpcryptKeyExchange.EcdheP256 ? 32 : 66];
        EcKeyPair? pair = null;
        while (pair is null)
        {
            Fill(scalar);
            if (keyExchange == TcpcryptKeyExchange.EcdheP521)
            {
                scalar[0] &= 1;
            }

            pair = provider.CreateEcKeyPair(keyExchange, scalar);
        }

        return pair;
    }
}
