using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>S's side of a key exchange: <see cref="TryAccept"/> is cheap and finds what is malformed, <see cref="Respond"/> is the public-key work. Holds no secret.</summary>
internal sealed class ServerHandshake
{
    private readonly CryptoProvider _provider;
    private readonly WireDialect _dialect;
    private readonly TcpcryptCipher _cipher;
    private readonly byte[] _pkConf;
    private readonly byte[] _init1;
    private readonly int _publicKeyLength;
    private byte[] _init2 = [];

    private ServerHandshake(CryptoProvider provider, WireDialect dialect, ReadOnlySpan<byte> pkConf, in Init1 init1, TcpcryptCipher cipher)
    {
        _provider = provider;
        _dialect = dialect;
        _cipher = cipher;
        _pkConf = pkConf.ToArray();
        _init1 = init1.Message.ToArray();
        _publicKeyLength = init1.PublicKey.Length;
        KeyExchange = init1.KeyExchange;
    }

    public TcpcryptDialect Dialect => _dialect.Name;

    public TcpcryptKeyExchange KeyExchange { get; }

    /// <summary>The whole INIT2. Valid after <see cref="Respond"/>.</summary>
    public ReadOnlyMemory<byte> Init2 => _init2;

    /// <summary>PK_C, which ends INIT1 in both dialects.</summary>
    public ReadOnlyMemory<byte> RemotePublicKey => _init1.AsMemory(_init1.Length - _publicKeyLength);

    /// <summary>PK_S with the curves; null with RSA. Valid after <see cref="Respond"/>.</summary>
    public ReadOnlyMemory<byte>? LocalPublicKey { get; private set; }

    /// <summary>Reads INIT1 and chooses the cipher by S's preference (Draft) or C's list (Reference).</summary>
    /// <param name="provider">The primitives.</param>
    /// <param name="pkConf">The list as we sent it.</param>
    /// <param name="init1">The whole message; copied.</param>
    /// <param name="preference">Our ciphers in our order.</param>
    /// <param name="handshake">The handshake to go on with; null on error.</param>
    public static HandshakeError TryAccept(CryptoProvider provider, ReadOnlySpan<byte> pkConf, ReadOnlySpan<byte> init1, ReadOnlySpan<TcpcryptCipher> preference, out ServerHandshake? handshake)
    {
        handshake = null;
        if (!InitMessage.TryRead1(init1, pkConf, out WireDialect? dialect, out Init1 received))
        {
            return HandshakeError.Malformed;
        }

        TcpcryptCipher cipher = dialect!.Choose(received.Ciphers, preference);
        if (cipher == TcpcryptCipher.None)
        {
            return dialect.NoCommonCipher;
        }

        handshake = new ServerHandshake(provider, dialect, pkConf, received, cipher);
        return HandshakeError.None;
    }

    /// <summary>The public-key work of S: session with index 0 and role S. To be called once.</summary>
    public HandshakeError Respond(IHandshakeKeys keys, byte applicationBits, out TcpcryptSession? session)
    {
        session = null;
        if (!_dialect.TryRead1(_init1, out Init1 received))
        {
            return HandshakeError.Malformed;
        }

        Span<byte> premaster = stackalloc byte[Algorithms.MaxPremasterLength];
        premaster = premaster[..Algorithms.PremasterLength(KeyExchange)];
        Span<byte> keyMaterial = stackalloc byte[Algorithms.MaxModulusLength];
        keyMaterial = keyMaterial[..Algorithms.KeyMaterialLength(KeyExchange, _publicKeyLength)];
        bool isDone = KeyExchange == TcpcryptKeyExchange.OaepRsa ? TryEncrypt(keys, received.PublicKey, premaster, keyMaterial) : TryDerive(keys, received.PublicKey, premaster, keyMaterial);
        if (isDone)
        {
            _init2 = new byte[InitMessage.Length2(KeyExchange, _publicKeyLength)];
            _dialect.Write2(_init2, _cipher, keyMaterial);
            Init2 sent = new() { Message = _init2, Cipher = _cipher, KeyMaterial = keyMaterial };
            session = _dialect.CreateSession(_provider, _pkConf, received, sent, premaster, TcpcryptRole.S, applicationBits);
        }

        CryptographicOperations.ZeroMemory(premaster);
        return isDone ? HandshakeError.None : HandshakeError.Malformed;
    }

    /// <summary>KX_S = RSAES-OAEP(R_S), PMS = R_S.</summary>
    private bool TryEncrypt(IHandshakeKeys keys, ReadOnlySpan<byte> modulus, Span<byte> premaster, Span<byte> keyMaterial)
    {
        Span<byte> seed = stackalloc byte[_dialect.OaepHash == OaepHash.Sha1 ? SHA1.HashSizeInBytes : SHA256.HashSizeInBytes];
        keys.Fill(premaster);
        keys.Fill(seed);
        bool isDone = _provider.TryRsaEncrypt(modulus, _dialect.OaepHash, premaster, seed, keyMaterial);
        CryptographicOperations.ZeroMemory(seed);
        return isDone;
    }

    /// <summary>KX_S = 20 N_S PK_S, PMS = X of the shared point. False for a point that is not on the curve.</summary>
    private bool TryDerive(IHandshakeKeys keys, ReadOnlySpan<byte> publicKey, Span<byte> premaster, Span<byte> keyMaterial)
    {
        using EcKeyPair pair = keys.TakePair(KeyExchange);
        LocalPublicKey = pair.PublicKey.ToArray();
        keyMaterial[0] = Algorithms.NonceLength;
        keys.Fill(keyMaterial.Slice(1, Algorithms.NonceLength));
        pair.PublicKey.CopyTo(keyMaterial[(1 + Algorithms.NonceLength)..]);
        return pair.TryDerive(publicKey, premaster);
    }
}
