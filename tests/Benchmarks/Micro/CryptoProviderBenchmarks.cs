using BenchmarkDotNet.Attributes;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Benchmarks.Micro;

/// <summary>What a segment costs: counter mode and the tag, with keys that are kept.</summary>
public class SegmentCryptoBenchmarks
{
    private readonly byte[] _associated = new byte[52];
    private readonly byte[] _tag = new byte[16];
    private byte[] _data = [];
    private AesKey _aes = null!;
    private MacKey _hmac = null!;
    private MacKey _cmac = null!;

    [Params("Native", "Portable")]
    public string Provider { get; set; } = "";

    [Params(64, 1400, 8900)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        CryptoProvider provider = CryptoProvider.Select(Provider);
        _data = new byte[Length];
        _aes = provider.CreateAes(new byte[16]);
        _hmac = provider.CreateHmacSha256(new byte[32]);
        _cmac = provider.CreateCmac(new byte[16]);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _aes.Dispose();
        _hmac.Dispose();
        _cmac.Dispose();
    }

    [Benchmark]
    public void CounterMode() => _aes.XorKeyStream(CounterLayout.Draft, 1, _data, _data);

    [Benchmark]
    public void CounterModeAndHmac()
    {
        _aes.XorKeyStream(CounterLayout.Draft, 1, _data, _data);
        _hmac.Compute(_data, _associated, _tag);
    }

    [Benchmark]
    public void CounterModeAndCmac()
    {
        _aes.XorKeyStream(CounterLayout.Draft, 1, _data, _data);
        _cmac.Compute(_data, _associated, _tag);
    }

    [Benchmark]
    public void AcknowledgmentMac() => _aes.EncryptBlock(_tag, _tag);
}

/// <summary>What a handshake costs: the public-key work of each side, and the key schedule alone (resumption).</summary>
public class HandshakeCryptoBenchmarks
{
    private readonly byte[] _scalar256 = new byte[32];
    private readonly byte[] _scalar521 = new byte[66];
    private readonly byte[] _seed = new byte[32];
    private readonly byte[] _message = new byte[48];
    private readonly byte[] _secret = new byte[66];
    private readonly byte[] _ciphertext = new byte[512];
    private CryptoProvider _provider = null!;
    private byte[] _peer256 = [];
    private byte[] _peer521 = [];
    private RsaKeyPair _rsa = null!;

    [Params("Native", "Portable")]
    public string Provider { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        _provider = CryptoProvider.Select(Provider);
        _scalar256.AsSpan().Fill(0x5A);
        _scalar521.AsSpan(1).Fill(0x5A);
        using EcKeyPair pair256 = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, _scalar256)!;
        using EcKeyPair pair521 = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP521, _scalar521)!;
        _peer256 = pair256.PublicKey.ToArray();
        _peer521 = pair521.PublicKey.ToArray();
        _rsa = CryptoProvider.Select("Native").GenerateRsaKeyPair(4096);
    }

    [GlobalCleanup]
    public void Cleanup() => _rsa.Dispose();

    [Benchmark]
    public void P256PairAndDerive() => PairAndDerive(TcpcryptKeyExchange.EcdheP256, _scalar256, _peer256);

    [Benchmark]
    public void P256Pair() => _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, _scalar256)!.Dispose();

    [Benchmark]
    public void P521PairAndDerive() => PairAndDerive(TcpcryptKeyExchange.EcdheP521, _scalar521, _peer521);

    [Benchmark]
    public bool Rsa4096Encrypt() => _provider.TryRsaEncrypt(_rsa.Modulus, OaepHash.Sha256, _message, _seed, _ciphertext);

    /// <summary>mk[0] and the next secret and session ID, then the keys of both directions: as often as a resumed connection calls HMAC.</summary>
    [Benchmark]
    public void KeySchedule12()
    {
        Span<byte> output = stackalloc byte[KeySchedule.SecretLength];
        for (byte tag = 1; tag <= 12; tag++)
        {
            KeySchedule.Expand(_provider, output, tag, output);
        }
    }

    private void PairAndDerive(TcpcryptKeyExchange keyExchange, byte[] scalar, byte[] peer)
    {
        using EcKeyPair pair = _provider.CreateEcKeyPair(keyExchange, scalar)!;
        if (!pair.TryDerive(peer, _secret))
        {
            throw new InvalidOperationException("not a point");
        }
    }
}
