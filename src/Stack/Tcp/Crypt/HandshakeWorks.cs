using Tcpcrypt.Core;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>Work whose result is a session with its keys.</summary>
internal abstract class KeyWork(TcpEndpoint endpoint, uint localIsn, uint remoteIsn) : HandshakeWork
{
    private TcpcryptSession? _session;
    private SegmentProtection? _protection;

    protected TcpEndpoint Endpoint => endpoint;

    public HandshakeError Error { get; private set; }

    public TcpcryptSession TakeSession() => Interlocked.Exchange(ref _session, null)!;

    public SegmentProtection TakeProtection() => Interlocked.Exchange(ref _protection, null)!;

    public override void Dispose()
    {
        _session?.Dispose();
        _protection?.Dispose();
    }

    protected void SetResult(HandshakeError error, TcpcryptSession? session)
    {
        Error = error;
        if (session is not null)
        {
            _session = session;
            _protection = new SegmentProtection(session, localIsn, remoteIsn);
        }
    }
}

/// <summary>S: from INIT1 to INIT2 and the keys.</summary>
internal sealed class ServerWork(TcpEndpoint endpoint, ServerHandshake handshake, byte applicationBits, uint localIsn, uint remoteIsn, int init1Length)
    : KeyWork(endpoint, localIsn, remoteIsn)
{
    public override bool IsShort => handshake.KeyExchange != TcpcryptKeyExchange.EcdheP521;

    public int Init1Length => init1Length;

    public ReadOnlyMemory<byte> Init2 { get; private set; }

    public ReadOnlyMemory<byte>? LocalPublicKey { get; private set; }

    public ReadOnlyMemory<byte>? RemotePublicKey { get; private set; }

    public override void Run(CryptoProvider provider, IHandshakeSecrets secrets)
    {
        HandshakeError error = handshake.Respond(secrets, applicationBits, out TcpcryptSession? session);
        SetResult(error, session);
        if (error == HandshakeError.None)
        {
            Init2 = handshake.Init2;
            LocalPublicKey = handshake.LocalPublicKey;
            RemotePublicKey = handshake.RemotePublicKey;
        }
    }

    public override void Complete(TcpInstant now) => Endpoint.OnServerReady(now, this);
}

/// <summary>C: keys at hand, INIT1 made.</summary>
internal sealed class ClientStartWork(TcpEndpoint endpoint, CryptBlock crypt) : HandshakeWork
{
    private readonly byte[] _pkConf = crypt.PkConf;
    private readonly TcpcryptDialect _dialect = crypt.Dialect;
    private readonly TcpcryptKeyExchange _keyExchange = crypt.KeyExchange;
    private ClientHandshake? _handshake;

    public override bool IsShort => _keyExchange == TcpcryptKeyExchange.EcdheP256;

    public override void Run(CryptoProvider provider, IHandshakeSecrets secrets)
    {
        int bits = _dialect == TcpcryptDialect.Reference ? 4096 : crypt.Settings.RsaKeySize;
        RsaKeyPair? rsaKey = _keyExchange == TcpcryptKeyExchange.OaepRsa ? secrets.GetRsaKey(bits) : null;
        ReadOnlySpan<TcpcryptCipher> ciphers = _dialect == TcpcryptDialect.Reference ? [TcpcryptCipher.Aes128HmacSha256] : crypt.Settings.OfferedCiphers;
        _handshake = new ClientHandshake(provider, _dialect, _pkConf, _keyExchange, ciphers, secrets, rsaKey);
    }

    public override void Complete(TcpInstant now)
    {
        ClientHandshake? handshake = _handshake;
        _handshake = null;
        endpoint.OnClientStarted(now, handshake);
    }

    public override void Dispose() => _handshake?.Dispose();
}

/// <summary>C: from INIT2 to the keys.</summary>
internal sealed class ClientFinishWork(TcpEndpoint endpoint, ClientHandshake handshake, byte[] init2, byte applicationBits, uint localIsn, uint remoteIsn)
    : KeyWork(endpoint, localIsn, remoteIsn)
{
    public ClientHandshake Handshake => handshake;

    public override bool IsShort => handshake.KeyExchange == TcpcryptKeyExchange.EcdheP256;

    public override void Run(CryptoProvider provider, IHandshakeSecrets secrets) => SetResult(handshake.Complete(init2, applicationBits, out TcpcryptSession? session), session);

    public override void Complete(TcpInstant now) => Endpoint.OnClientReady(now, this);

    public override void Dispose()
    {
        base.Dispose();
        handshake.Dispose();
    }
}
