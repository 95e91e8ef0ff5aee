namespace Tcpcrypt.Crypt;

/// <summary>Entropy and ephemeral keys for a handshake. Called from the thread that does the public-key work.</summary>
internal interface IHandshakeKeys
{
    /// <summary>Random octets for nonces, OAEP seeds and R_S.</summary>
    void Fill(Span<byte> destination);

    /// <summary>A fresh pair; the caller owns it.</summary>
    EcKeyPair TakePair(TcpcryptKeyExchange keyExchange);
}
