using NUnit.Framework;
using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Parameters;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class MacKeyTests(string name)
{
    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [TestCase("0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B", "4869205468657265", "B0344C61D8DB38535CA8AFCEAF0BF12B881DC200C9833DA726E9376C2E32CFF7", TestName = "RFC 4231 case 1")]
    [TestCase("4A656665", "7768617420646F2079612077616E7420666F72206E6F7468696E673F", "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843", TestName = "RFC 4231 case 2, short key")]
    [TestCase("AA*20", "DD*50", "773EA91E36800E46854DB8EBD09181A72959098B3EF8C122D9635514CED565FE", TestName = "RFC 4231 case 3")]
    [TestCase("0102030405060708090A0B0C0D0E0F10111213141516171819", "CD*50", "82558A389A443C0EA4CC819899F2083A85F0FAA3E578F8077A2E3FF46729665B", TestName = "RFC 4231 case 4")]
    [TestCase("AA*131", "54657374205573696E67204C6172676572205468616E20426C6F636B2D53697A65204B6579202D2048617368204B6579204669727374",
        "60E431591EE0B67F0D8A26AACBF5B77F8E0BC6213728C5140546040F0EE37F54", TestName = "RFC 4231 case 6, key longer than a block")]
    [TestCase("AA*131", "5468697320697320612074657374207573696E672061206C6172676572207468616E20626C6F636B2D73697A65206B657920616E642061206C6172676572207468616E20626C6F636B2D73697A6520646174612E20546865206B6579206E6565647320746F20626520686173686564206265666F7265206265696E6720757365642062792074686520484D414320616C676F726974686D2E",
        "9B09FFA71B942FCB27635FBCD5B0E944BFDC63644F0713938A7F51535C3A35E2", TestName = "RFC 4231 case 7, both long")]
    public void Hmac_is_as_in_rfc_4231(string key, string data, string expected)
    {
        byte[] mac = new byte[32];
        _provider.HmacSha256(Parse(key), Parse(data), mac);
        Assert.That(Convert.ToHexString(mac), Is.EqualTo(expected));
        using MacKey kept = _provider.CreateHmacSha256(Parse(key));
        Assert.That(Convert.ToHexString(Compute(kept, Parse(data), [])), Is.EqualTo(expected[..32]));
    }

    [TestCase("", "BB1D6929E95937287FA37D129B756746", TestName = "RFC 4493 example 1, empty")]
    [TestCase("6BC1BEE22E409F96E93D7E117393172A", "070A16B46B4D4144F79BDD9DD04A287C", TestName = "RFC 4493 example 2, one block")]
    [TestCase("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411", "DFA66747DE9AE63030CA32611497C827", TestName = "RFC 4493 example 3, 40 octets")]
    [TestCase("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710", "51F0BEBF7E3B9D92FC49741779363CFE", TestName = "RFC 4493 example 4, four blocks")]
    public void Cmac_is_as_in_rfc_4493(string data, string expected)
    {
        using MacKey key = _provider.CreateCmac(Convert.FromHexString("2B7E151628AED2A6ABF7158809CF4F3C"));
        Assert.That(Convert.ToHexString(Compute(key, Parse(data), [])), Is.EqualTo(expected));
    }

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(32)]
    [TestCase(63)]
    [TestCase(64)]
    [TestCase(65)]
    [TestCase(300)]
    public void Hmac_of_every_length_is_bouncy_castles(int keyLength)
    {
        byte[] key = AesKeyTests.Octets(keyLength);
        HMac model = new(new Sha256Digest());
        model.Init(new KeyParameter(key));
        using MacKey kept = _provider.CreateHmacSha256(key);
        foreach (int length in Enumerable.Range(0, 301).Concat([1023, 1024, 1025, 1400, 8900]))
        {
            byte[] data = AesKeyTests.Octets(length);
            byte[] expected = Model(model, data);
            byte[] whole = new byte[32];
            _provider.HmacSha256(key, data, whole);
            Assert.That(whole, Is.EqualTo(expected), $"{length} octets, key used once");
            foreach (int cut in Cuts(length))
            {
                Assert.That(Compute(kept, data[..cut], data[cut..]).AsSpan().SequenceEqual(expected.AsSpan(0, 16)), Is.True, $"{length} octets cut at {cut}");
            }
        }
    }

    [Test]
    public void Cmac_of_every_length_is_bouncy_castles()
    {
        byte[] key = AesKeyTests.Octets(16);
        CMac model = new(new AesLightEngine());
        model.Init(new KeyParameter(key));
        using MacKey kept = _provider.CreateCmac(key);
        foreach (int length in Enumerable.Range(0, 301).Concat([1023, 1024, 1025, 1039, 1040, 1041, 2048, 8900]))
        {
            byte[] data = AesKeyTests.Octets(length);
            byte[] expected = Model(model, data);
            foreach (int cut in length <= 70 ? Enumerable.Range(0, length + 1) : Cuts(length))
            {
                Assert.That(Compute(kept, data[..cut], data[cut..]).AsSpan().SequenceEqual(expected), Is.True, $"{length} octets cut at {cut}");
            }
        }
    }

    [Test]
    public void Cmac_subkeys_reduce_when_the_top_bit_is_set()
    {
        // Among 64 keys both reductions occur and do not occur: the four ways K1 and K2 come about.
        for (byte seed = 0; seed < 64; seed++)
        {
            byte[] key = [.. Enumerable.Repeat(seed, 16)];
            CMac model = new(new AesLightEngine());
            model.Init(new KeyParameter(key));
            using MacKey kept = _provider.CreateCmac(key);
            Assert.That(Compute(kept, new byte[16], []), Is.EqualTo(Model(model, new byte[16])), "K1");
            Assert.That(Compute(kept, new byte[15], []), Is.EqualTo(Model(model, new byte[15])), "K2");
        }
    }

    [Test]
    public void Tag_shorter_than_16_octets_is_refused()
    {
        using MacKey hmac = _provider.CreateHmacSha256(new byte[32]);
        using MacKey cmac = _provider.CreateCmac(new byte[16]);
        Assert.That(() => hmac.Compute([1], [2], new byte[15]), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => cmac.Compute([1], [2], new byte[15]), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => _provider.HmacSha256([1], [2], new byte[31]), Throws.InstanceOf<ArgumentException>());
    }

    private static IEnumerable<int> Cuts(int length) => new[] { 0, 1, 15, 16, 63, 64, 65, length / 2, length - 64, length - 20, length - 1, length }.Where(cut => cut >= 0 && cut <= length).Distinct();

    private static byte[] Model(IMac model, byte[] data)
    {
        byte[] mac = new byte[model.GetMacSize()];
        model.BlockUpdate(data, 0, data.Length);
        model.DoFinal(mac, 0);
        return mac;
    }

    private static byte[] Compute(MacKey key, byte[] first, byte[] second)
    {
        byte[] tag = new byte[16];
        key.Compute(first, second, tag);
        return tag;
    }

    // "AA*20" is an octet repeated.
    private static byte[] Parse(string text) => text.IndexOf('*', StringComparison.Ordinal) is var star and > 0
        ? [.. Enumerable.Repeat(Convert.FromHexString(text[..star])[0], int.Parse(text[(star + 1)..], System.Globalization.CultureInfo.InvariantCulture))]
        : Convert.FromHexString(text);
}
