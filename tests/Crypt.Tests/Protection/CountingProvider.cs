using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Protection;

/// <summary>A provider that counts what is asked of it and which keys are alive.</summary>
internal sealed class CountingProvider(CryptoProvider inner) : CryptoProvider
{
    public int Derivations { get; private set; }

    public int KeysCreated { get; private set; }

    public int KeysAlive { get; private set; }

    public override string Name => inner.Name;

    public override AesKey CreateAes(ReadOnlySpan<byte> key) => new CountedAes(this, inner.CreateAes(key));

    public override MacKey CreateHmacSha256(ReadOnlySpan<byte> key) => new CountedMac(this, inner.CreateHmacSha256(key));

    public override MacKey CreateCmac(ReadOnlySpan<byte> key) => new CountedMac(this, inner.CreateCmac(key));

    public override void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination)
    {
        Derivations++;
        inner.HmacSha256(key, data, destination);
    }

    public override EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey) => inner.CreateEcKeyPair(keyExchange, privateKey);

    public override RsaKeyPair GenerateRsaKeyPair(int bits) => inner.GenerateRsaKeyPair(bits);

    public override RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2) =>
        inner.ImportRsaKeyPair(modulus, privateExponent, prime1, prime2);

    public override bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination) =>
        inner.TryRsaEncrypt(modulus, hash, message, seed, destination);

    private void Created()
    {
        KeysCreated++;
        KeysAlive++;
    }

    private sealed class CountedAes : AesKey
    {
        private readonly CountingProvider _owner;
        private readonly AesKey _key;
        private bool _isDisposed;

        public CountedAes(CountingProvider owner, AesKey key)
        {
            _owner = owner;
            _key = key;
            owner.Created();
        }

        public override void EncryptBlock(ReadOnlySpan<byte> input, Span<byte> output) => _key.EncryptBlock(input, output);

        public override void XorKeyStream(CounterLayout layout, ulong position, ReadOnlySpan<byte> source, Span<byte> destination) => _key.XorKeyStream(layout, position, source, destination);

        public override void Dispose()
        {
            _owner.KeysAlive -= _isDisposed ? 0 : 1;
            _isDisposed = true;
            _key.Dispose();
        }
    }

    private sealed class CountedMac : MacKey
    {
        private readonly CountingProvider _owner;
        private readonly MacKey _key;
        private bool _isDisposed;

        public CountedMac(CountingProvider owner, MacKey key)
        {
            _owner = owner;
            _key = key;
            owner.Created();
        }

        public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag) => _key.Compute(first, second, tag);

        public override void Dispose()
        {
            _owner.KeysAlive -= _isDisposed ? 0 : 1;
            _isDisposed = true;
            _key.Dispose();
        }
    }
}
