using NUnit.Framework;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Kit;

[TestFixture]
internal sealed class SeededRandomTests
{
    [Test]
    public void The_sequence_is_that_of_xoshiro256_starstar_seeded_by_splitmix64()
    {
        SeededRandom random = new(0);
        ulong[] actual = [random.Next(), random.Next(), random.Next(), random.Next()];
        Assert.That(actual, Is.EqualTo(new[] { 0x99ec5f36cb75f2b4UL, 0xbf6e1f784956452aUL, 0x1a5f849d4933e6e0UL, 0x6aa594f1262d2d2cUL }));
    }

    [Test]
    public void Octets_are_the_words_in_little_endian_order_and_a_tail_takes_a_word_of_its_own()
    {
        byte[] octets = new byte[11];
        SeededRandom random = new(0);
        random.Fill(octets);
        Assert.That(Convert.ToHexStringLower(octets), Is.EqualTo("b4f275cb365fec99" + "2a4556"));
        Assert.That(random.Next(), Is.EqualTo(0x1a5f849d4933e6e0UL));
    }

    [Test]
    public void Numbers_stay_below_their_bound_and_reach_both_ends()
    {
        SeededRandom random = new(7);
        HashSet<long> seen = [];
        for (int i = 0; i < 1000; i++)
        {
            Assert.That(random.NextDouble(), Is.InRange(0.0, 0.9999999999999999));
            seen.Add(random.NextBelow(6));
        }

        Assert.That(seen.Order(), Is.EqualTo(new long[] { 0, 1, 2, 3, 4, 5 }));
    }
}
