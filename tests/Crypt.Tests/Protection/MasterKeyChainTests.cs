using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Protection;

/// <summary>The window of master keys.</summary>
[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class MasterKeyChainTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [Test]
    [Spec("TD-69")]
    [Spec("TD-73")]
    public void Erasing_from_behind_leaves_the_rest_as_it_was()
    {
        byte[] secret = new byte[32];
        using MasterKeyChain whole = new(_provider, WireDialect.Draft, 0, secret);
        using MasterKeyChain chain = new(_provider, WireDialect.Draft, 0, secret);
        foreach ((long get, long erase) in (ReadOnlySpan<(long, long)>)[(0, 0), (5, 3), (3, 2), (130, 4), (131, 131), (200, 150), (150, 150)])
        {
            Assert.That(chain.Get(get).SequenceEqual(whole.Get(get)), Is.True, $"mk[{get}]");
            chain.EraseBelow(erase);
            for (long generation = chain.First; generation <= chain.Last; generation++)
            {
                Assert.That(chain.Get(generation).SequenceEqual(whole.Get(generation)), Is.True, $"mk[{generation}] after erasing below {erase}");
            }
        }

        Assert.That((chain.First, chain.Last), Is.EqualTo((150, 200)));
    }

    [Test]
    [Spec("TD-73")]
    public void The_last_one_is_never_erased()
    {
        using MasterKeyChain chain = new(_provider, WireDialect.Draft, 0, new byte[32]);
        chain.Get(2);
        chain.EraseBelow(long.MaxValue);
        Assert.That((chain.First, chain.Last), Is.EqualTo((2, 2)));
        chain.EraseBelow(1);
        Assert.That(chain.First, Is.EqualTo(2));
        using MasterKeyChain whole = new(_provider, WireDialect.Draft, 0, new byte[32]);
        Assert.That(chain.Get(3).SequenceEqual(whole.Get(3)), Is.True);
    }

    [Test]
    [Spec("TD-73")]
    [Spec("HI_ENC_15")]
    public void Erased_and_disposed_memory_is_zero()
    {
        MasterKeyChain chain = new(_provider, WireDialect.Draft, 0, new byte[32]);
        ReadOnlySpan<byte> first = chain.Get(0);
        ReadOnlySpan<byte> moved = chain.Get(3);
        Assert.That(first.IndexOfAnyExcept((byte)0), Is.EqualTo(-1), "the smaller buffer was wiped when the window grew");
        chain.EraseBelow(1);
        Assert.That(moved.IndexOfAnyExcept((byte)0), Is.EqualTo(-1), "the others moved down, and where the last one was is nothing");
        ReadOnlySpan<byte> last = chain.Get(1);
        chain.Dispose();
        Assert.That(last.IndexOfAnyExcept((byte)0), Is.EqualTo(-1));
    }

    [Test]
    [Spec("REF-5")]
    public void Application_bits_enter_the_master_key_in_Reference_only()
    {
        byte[] secret = new byte[32];
        using MasterKeyChain draft0 = new(_provider, WireDialect.Draft, 0, secret);
        using MasterKeyChain draft3 = new(_provider, WireDialect.Draft, 3, secret);
        using MasterKeyChain reference0 = new(_provider, WireDialect.Reference, 0, secret);
        using MasterKeyChain reference3 = new(_provider, WireDialect.Reference, 3, secret);
        Assert.That(draft0.Get(0).SequenceEqual(draft3.Get(0)), Is.True);
        Assert.That(reference0.Get(0).SequenceEqual(reference3.Get(0)), Is.False);
        Assert.That(draft0.Get(0).SequenceEqual(reference0.Get(0)), Is.False);
    }
}
