using System.Reflection;
using System.Runtime.InteropServices;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

/// <summary>What becomes of secrets, of the managed heap, and of several threads.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class LifetimeTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [Test]
    [Spec("TD-73")]
    [Spec("HI_ENC_15")]
    public void Disposing_wipes_every_buffer_and_closes_every_native_thing()
    {
        byte[] data = AesKeyTests.Octets(100);
        AesKey aes = _provider.CreateAes(data.AsSpan(0, 16));
        aes.XorKeyStream(CounterLayout.Draft, 5, data, data);
        MacKey hmac = _provider.CreateHmacSha256(data.AsSpan(0, 32));
        hmac.Compute(data, data, data);
        MacKey cmac = _provider.CreateCmac(data.AsSpan(0, 16));
        cmac.Compute(data, data, data);
        EcKeyPair pair = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, AesKeyTests.Octets(32))!;
        RsaKeyPair rsa = _provider.GenerateRsaKeyPair(2048);
        foreach (IDisposable key in (IDisposable[])[aes, hmac, cmac, pair, rsa])
        {
            FieldInfo[] fields = key.GetType().GetFields(BindingFlags.Instance | BindingFlags.NonPublic);
            List<object> held = [.. fields.Select(field => field.GetValue(key)!).Where(static value => value is byte[] or SafeHandle or IDisposable)];
            Assert.That(held, Is.Not.Empty, key.GetType().Name);
            key.Dispose();
            foreach (FieldInfo field in fields.Where(static field => field.Name is not ("_publicKey" or "_modulus")))
            {
                switch (field.GetValue(key))
                {
                    case byte[] octets:
                        Assert.That(octets, Is.All.Zero, $"{key.GetType().Name}.{field.Name}");
                        break;
                    case SafeHandle handle:
                        Assert.That(handle.IsClosed, $"{key.GetType().Name}.{field.Name}");
                        break;
                    default:
                        break;
                }
            }

            Assert.That(key.Dispose, Throws.Nothing, "twice");
        }
    }

    [Test]
    public void Use_after_disposing_throws_and_touches_nothing()
    {
        byte[] data = new byte[64];
        AesKey aes = _provider.CreateAes(new byte[16]);
        MacKey hmac = _provider.CreateHmacSha256(new byte[32]);
        MacKey cmac = _provider.CreateCmac(new byte[16]);
        EcKeyPair pair = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, AesKeyTests.Octets(32))!;
        byte[] point = pair.PublicKey.ToArray();
        foreach (IDisposable key in (IDisposable[])[aes, hmac, cmac, pair])
        {
            key.Dispose();
        }

        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => aes.EncryptBlock(data, data), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => aes.XorKeyStream(CounterLayout.Draft, 0, data, data), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => hmac.Compute(data, data, data), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => cmac.Compute(data, data, data), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(() => pair.TryDerive(point, data), Throws.InstanceOf<ObjectDisposedException>());
            Assert.That(data, Is.All.Zero);
        }
    }

    [Test]
    public void Segments_allocate_nothing()
    {
        using AesKey aes = _provider.CreateAes(new byte[16]);
        using MacKey hmac = _provider.CreateHmacSha256(new byte[32]);
        using MacKey cmac = _provider.CreateCmac(new byte[16]);
        byte[] data = new byte[1400];
        byte[] tag = new byte[16];
        void Segment()
        {
            aes.XorKeyStream(CounterLayout.Draft, 1, data, data);
            aes.XorKeyStream(CounterLayout.Reference, 1, data.AsSpan(0, 64), data);
            aes.EncryptBlock(tag, tag);
            hmac.Compute(data, tag, tag);
            hmac.Compute(data, data, tag);
            cmac.Compute(data, tag, tag);
        }

        for (int warm = 0; warm < 50; warm++)
        {
            Segment();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int index = 0; index < 100; index++)
        {
            Segment();
        }

        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    [Test]
    public void Threads_share_the_provider_and_hand_keys_over()
    {
        const int Workers = 4;
        using RsaKeyPair rsa = _provider.GenerateRsaKeyPair(2048);
        byte[] modulus = rsa.Modulus.ToArray();
        byte[][] expected = [.. Enumerable.Range(0, Workers).Select(worker => Work(worker, modulus))];

        // Made on this thread, used and disposed of on another.
        EcKeyPair[] pairs = [.. Enumerable.Range(0, Workers).Select(worker => _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, EcKeyPairTests.Scalar(new Random(worker), TcpcryptKeyExchange.EcdheP256))!)];
        List<Exception> failures = [];
        Thread[] threads = [.. Enumerable.Range(0, Workers).Select(worker => new Thread(() =>
        {
            try
            {
                using EcKeyPair pair = pairs[worker];
                for (int round = 0; round < 10; round++)
                {
                    Assert.That(Work(worker, modulus), Is.EqualTo(expected[worker]));
                    Assert.That(pair.TryDerive(pair.PublicKey, new byte[32]), Is.True);
                }
            }
            catch (Exception exception)
            {
                lock (failures)
                {
                    failures.Add(exception);
                }
            }
        }))];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());
        Assert.That(failures, Is.Empty);
    }

    // One of everything, a function of the seed.
    private byte[] Work(int seed, byte[] modulus)
    {
        Random random = new(seed);
        byte[] data = new byte[1000];
        random.NextBytes(data);
        byte[] tag = new byte[32];
        byte[] secret = new byte[66];
        byte[] ciphertext = new byte[modulus.Length];
        using AesKey aes = _provider.CreateAes(data.AsSpan(0, 16));
        using MacKey hmac = _provider.CreateHmacSha256(data.AsSpan(0, 32));
        using MacKey cmac = _provider.CreateCmac(data.AsSpan(0, 16));
        aes.XorKeyStream(CounterLayout.Draft, (ulong)seed, data, data);
        hmac.Compute(data, default, tag);
        cmac.Compute(data, tag, tag.AsSpan(16));
        using EcKeyPair pair256 = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP256, EcKeyPairTests.Scalar(random, TcpcryptKeyExchange.EcdheP256))!;
        using EcKeyPair pair521 = _provider.CreateEcKeyPair(TcpcryptKeyExchange.EcdheP521, EcKeyPairTests.Scalar(random, TcpcryptKeyExchange.EcdheP521))!;
        Assert.That(pair256.TryDerive(pair256.PublicKey, secret), Is.True);
        byte[] first = [.. secret];
        Assert.That(pair521.TryDerive(pair521.PublicKey, secret), Is.True);
        Assert.That(pair521.TryDerive([4, .. new byte[132]], secret), Is.False);
        Assert.That(_provider.TryRsaEncrypt(modulus, OaepHash.Sha1, secret, tag.AsSpan(0, 20), ciphertext), Is.True);
        _provider.HmacSha256(secret, ciphertext, tag.AsSpan());
        return [.. data, .. first, .. secret, .. ciphertext, .. tag];
    }
}

/// <summary>The memory under the native keys.</summary>
internal sealed class SecretMemoryTests
{
    [Test]
    [Spec("TD-73")]
    [Spec("HI_ENC_15")]
    public void Memory_is_zero_when_it_is_given_back()
    {
        using Watched memory = new(100);
        Assert.That(memory.Octets.ToArray(), Is.All.Zero, "and when it is new");
        memory.Octets.Fill(0xA5);
        memory.Dispose();
        Assert.That(memory.Last, Is.EqualTo(new byte[100]));
        Assert.That(() => memory.Octets.Length, Throws.InstanceOf<ObjectDisposedException>());
    }

    private sealed unsafe class Watched(int length) : SecretMemory(length)
    {
        public byte[]? Last { get; private set; }

        protected override void Free()
        {
            Last = new Span<byte>((void*)handle, 100).ToArray();
            base.Free();
        }
    }
}
