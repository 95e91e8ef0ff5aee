using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>C's side of a key exchange: INIT1 at once, the keys when INIT2 is here. Disposing of it wipes what is left of it.</summary>
internal sealed class ClientHandshake : IDisposable
{
    private readonly CryptoProvider _provider;
    private readonly WireDialect _dialect;
    private readonly RsaKeyPair? _rsaKey;
    private readonly byte[] _pkConf;
    private readonly byte[] _init1;
    private readonly int _publicKeyLength;
    private EcKeyPair? _pair;

    /// <param name="provider">The primitives.</param>
    /// <param name="dialect">What INIT1 speaks.</param>
    /// <param name="pkConf">The list as S sent it, marker and unknown entries included ([TD-71]).</param>
    /// <param name="keyExchange">C's choice out of it.</param>
    /// <param name="ciphers">sym-cipher-list, in C's order. Dialect Reference: 00000100 only.</param>
    /// <param name="keys">Nonce and, for the curves, the pair.</param>
    /// <param name="rsaKey">For OAEP-RSA; stays the caller's.</param>
    public ClientHandshake(CryptoProvider provider, TcpcryptDialect dialect, ReadOnlySpan<byte> pkConf, TcpcryptKeyExchange keyExchange, ReadOnlySpan<TcpcryptCipher> ciphers, IHandshakeKeys keys, RsaKeyPair? rsaKey)
    {
        _provider = provider;
        _dialect = WireDialect.Of(dialect);
        KeyExchange = keyExchange;
        _pkConf = pkConf.ToArray();
        foreach (TcpcryptCipher cipher in ciphers)
        {
            if (!_dialect.Knows(cipher))
            {
                throw new ArgumentException($"The dialect {dialect} has no cipher {cipher}.", nameof(ciphers));
            }
        }

        ReadOnlySpan<byte> publicKey;
        if (keyExchange == TcpcryptKeyExchange.OaepRsa)
        {
            ArgumentNullException.ThrowIfNull(rsaKey);
            _rsaKey = rsaKey;
            publicKey = rsaKey.Modulus;
        }
        else
        {
            _pair = keys.TakePair(keyExchange);
            publicKey = _pair.PublicKey;
        }

        Span<byte> nonce = stackalloc byte[Algorithms.NonceLength];
        keys.Fill(nonce);
        _publicKeyLength = publicKey.Length;
        _init1 = new byte[InitMessage.Length1(publicKey.Length, ciphers.Length)];
        _dialect.Write1(_init1, keyExchange, ciphers, nonce, publicKey);
    }

    public TcpcryptKeyExchange KeyExchange { get; }

    /// <summary>The whole message.</summary>
    public ReadOnlyMemory<byte> Init1 => _init1;

    /// <summary>PK_C, which ends INIT1 in both dialects.</summary>
    public ReadOnlyMemory<byte> LocalPublicKey => _init1.AsMemory(_init1.Length - _publicKeyLength);

    /// <summary>PK_S with the curves; null with RSA. Valid after <see cref="Complete"/>.</summary>
    public ReadOnlyMemory<byte>? RemotePublicKey { get; private set; }

    /// <summary>The public-key work of C: session with index 0 and role C. To be called once.</summary>
    /// <param name="init2">The whole message.</param>
    /// <param name="applicationBits">Bit 0 C's, bit 1 S's (reference spec 5); ignored in dialect Draft.</param>
    /// <param name="session">The session; null on error.</param>
    public HandshakeError Complete(ReadOnlySpan<byte> init2, byte applicationBits, out TcpcryptSession? session)
    {
        session = null;
        if (!_dialect.TryRead1(_init1, out Init1 sent) || !InitMessage.TryRead2(_dialect, sent, init2, out Init2 received))
        {
            return HandshakeError.Malformed;
        }

        Span<byte> premaster = stackalloc byte[Algorithms.MaxPremasterLength];
        premaster = premaster[..Algorithms.PremasterLength(KeyExchange)];
        if (TryDerive(received.KeyMaterial, premaster))
        {
            session = _dialect.CreateSession(_provider, _pkConf, sent, received, premaster, TcpcryptRole.C, applicationBits);
        }

        CryptographicOperations.ZeroMemory(premaster);
        Dispose();
        return session is null ? HandshakeError.Malformed : HandshakeError.None;
    }

    public void Dispose()
    {
        _pair?.Dispose();
        _pair = null;
    }

    /// <summary>PMS. With RSA every failure looks the same from outside ([TD-122]).</summary>
    private bool TryDerive(ReadOnlySpan<byte> keyMaterial, Span<byte> premaster)
    {
        if (_rsaKey is not null)
        {
            Span<byte> message = stackalloc byte[Algorithms.MaxModulusLength];
            bool isDecrypted = _rsaKey.TryDecrypt(_dialect.OaepHash, keyMaterial, message, out int written) && written == premaster.Length;
            if (isDecrypted)
            {
                message[..premaster.Length].CopyTo(premaster);
            }

            CryptographicOperations.ZeroMemory(message);
            return isDecrypted;
        }

        ReadOnlySpan<byte> publicKey = keyMaterial[(1 + Algorithms.NonceLength)..];
        RemotePublicKey = publicKey.ToArray();
        return _pair is not null && _pair.TryDerive(publicKey, premaster);
    }
}
