using Tcpcrypt.Core;

namespace Tcpcrypt.Tests;

public sealed class SipHashTests
{
    // vectors_sip64 of the reference implementation: key 00..0f, message 00, 01, … of the given length.
    [TestCase(0, ExpectedResult = "310e0edd47db6f72")]
    [TestCase(1, ExpectedResult = "fd67dc93c539f874")]
    [TestCase(2, ExpectedResult = "5a4fa9d909806c0d")]
    [TestCase(3, ExpectedResult = "2d7efbd796666785")]
    [TestCase(4, ExpectedResult = "b7877127e09427cf")]
    [TestCase(5, ExpectedResult = "8da699cd64557618")]
    [TestCase(6, ExpectedResult = "cee3fe586e46c9cb")]
    [TestCase(7, ExpectedResult = "37d1018bf50002ab")]
    [TestCase(8, ExpectedResult = "6224939a79f5f593")]
    [TestCase(15, ExpectedResult = "e545be4961ca29a1")]
    public string SipHash_2_4_gives_the_reference_vectors(int length)
    {
        byte[] message = [.. Enumerable.Range(0, length).Select(i => (byte)i)];
        byte[] hash = new byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(hash, Keyed().Compute(message));
        return Convert.ToHexStringLower(hash);
    }

    [Test]
    public void Two_words_hash_as_their_sixteen_octets()
    {
        byte[] message = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];
        Assert.That(Keyed().Compute(0x0706050403020100, 0x0f0e0d0c0b0a0908), Is.EqualTo(Keyed().Compute(message)));
    }

    [Test]
    public void Every_part_of_a_4_tuple_counts()
    {
        SipHash hash = new(new SeededRandom(3));
        Ipv4Address a = new(1);
        Ipv4Address b = new(2);
        ulong[] hashes = [.. new FourTuple[] { new(a, 1, b, 2), new(b, 1, a, 2), new(a, 2, b, 1), new(a, 1, b, 3), new(a, 3, b, 2), new(a, 1, a, 2) }.Select(tuple => hash.Compute(tuple))];
        Assert.That(hashes, Is.Unique);
    }

    private static SipHash Keyed() => new(0x0706050403020100, 0x0f0e0d0c0b0a0908);
}
