using System.Buffers.Binary;
using NUnit.Framework;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Parameters;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class AesKeyTests(string name)
{
    private static readonly byte[] s_key = [.. Enumerable.Range(0, 16).Select(static index => (byte)(17 * index + 3))];

    // Aligned, inside of a block, about the places where 24, 32 and 64 bits are full.
    private static readonly ulong[] s_positions =
        [0, 1, 0xFF_FFF0, 0xFF_FFFB, 0xFFFF_FFF1, 0x1_0000_0000, 0x1234_5678_9ABC_DEF7, 0x7FFF_FFFF_FFFF_FFFE, ulong.MaxValue - 200, ulong.MaxValue - 16, ulong.MaxValue];

    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [Test]
    public void Block_is_as_in_fips_197()
    {
        using AesKey key = _provider.CreateAes(Convert.FromHexString("000102030405060708090A0B0C0D0E0F"));
        byte[] output = new byte[16];
        key.EncryptBlock(Convert.FromHexString("00112233445566778899AABBCCDDEEFF"), output);
        Assert.That(Convert.ToHexString(output), Is.EqualTo("69C4E0D86A7B0430D8CDB78070B4C55A"));
    }

    [TestCase(CounterLayout.Draft)]
    [TestCase(CounterLayout.Reference)]
    [Spec("TD-74")]
    [Spec("REF-6.2")]
    public void Every_length_at_every_offset_is_as_in_the_slow_model(CounterLayout layout)
    {
        using AesKey key = _provider.CreateAes(s_key);
        byte[] source = Octets(300);
        byte[] destination = new byte[302];
        for (uint offset = 0; offset < 16; offset++)
        {
            byte[] expected = Model(layout, 0x1_FFFF_FFA0UL + offset, source);
            for (int length = 0; length <= source.Length; length++)
            {
                Array.Fill(destination, (byte)0xEE);
                key.XorKeyStream(layout, 0x1_FFFF_FFA0UL + offset, source.AsSpan(0, length), destination.AsSpan(1));
                Assert.That(destination.AsSpan(1, length).SequenceEqual(expected.AsSpan(0, length)), Is.True, $"{length} octets at offset {offset}");
                Assert.That(destination[0] == 0xEE && destination[length + 1] == 0xEE, Is.True, $"{length} octets at offset {offset}: wrote outside");
            }
        }
    }

    [Test]
    [Spec("TD-74")]
    [Spec("REF-6.2")]
    public void Positions_up_to_the_highest_carry_as_in_the_slow_model(
        [Values] CounterLayout layout, [Values(1, 15, 17, 127, 128, 129, 1023, 1024, 1025, 1400, 8900, 65535)] int length, [ValueSource(nameof(s_positions))] ulong position)
    {
        using AesKey key = _provider.CreateAes(s_key);
        byte[] data = Octets(length);
        byte[] expected = Model(layout, position, data);
        key.XorKeyStream(layout, position, data, data);
        Assert.That(data.AsSpan().SequenceEqual(expected), Is.True);
        key.XorKeyStream(layout, position, data, data);
        Assert.That(data.AsSpan().SequenceEqual(Octets(length)), Is.True, "twice is nothing");
    }

    [Test]
    public void Destination_shorter_than_the_source_is_refused_and_not_written_beyond()
    {
        using AesKey key = _provider.CreateAes(s_key);
        byte[] destination = new byte[64];
        Assert.That(() => key.XorKeyStream(CounterLayout.Draft, 0, new byte[32], destination.AsSpan(0, 31)), Throws.InstanceOf<ArgumentException>());
        Assert.That(destination.AsSpan(31).ContainsAnyExcept((byte)0), Is.False);
    }

    [TestCase(0)]
    [TestCase(15)]
    [TestCase(17)]
    [TestCase(32)]
    public void Key_of_another_length_is_refused(int length) => Assert.That(() => _provider.CreateAes(new byte[length]), Throws.InstanceOf<ArgumentException>());

    internal static byte[] Octets(int count) => [.. Enumerable.Range(0, count).Select(static index => (byte)((index * 31) ^ (index >> 8)))];

    // One block at a time by BouncyCastle, one octet at a time by the formulas.
    private static byte[] Model(CounterLayout layout, ulong position, byte[] source)
    {
        AesEngine engine = new();
        engine.Init(true, new KeyParameter(s_key));
        UInt128 first = position - (position % 16);
        byte[] counter = new byte[16];
        byte[] block = new byte[16];
        byte[] result = new byte[source.Length];
        for (int index = 0; index < source.Length; index++)
        {
            UInt128 at = position % 16 + (UInt128)index;
            if (index == 0 || at % 16 == 0)
            {
                if (layout == CounterLayout.Draft)
                {
                    BinaryPrimitives.WriteUInt128BigEndian(counter, first + (at / 16 * 16));
                }
                else
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(counter.AsSpan(8), (ulong)(first + (at / 16 << 24)));
                }

                engine.ProcessBlock(counter, 0, block, 0);
            }

            result[index] = (byte)(source[index] ^ block[(int)(at % 16)]);
        }

        return result;
    }
}
