using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>Hands out recorded randomness: a private key, and what is drawn in order.</summary>
internal sealed class RecordedKeys(CryptoProvider provider, byte[]? privateKey, params byte[][] drawn) : IHandshakeKeys
{
    private int _next;

    public void Fill(Span<byte> destination)
    {
        Assert.That(drawn[_next], Has.Length.EqualTo(destination.Length));
        drawn[_next++].CopyTo(destination);
    }

    public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange) => provider.CreateEcKeyPair(keyExchange, privateKey) ?? throw new InvalidOperationException("The recorded scalar is none.");
}

/// <summary>Keeps what a tag is computed over.</summary>
internal sealed class RecordingMac : MacKey
{
    public byte[] First { get; private set; } = [];

    public byte[] Second { get; private set; } = [];

    public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
    {
        First = first.ToArray();
        Second = second.ToArray();
    }

    public override void Dispose()
    {
    }
}
