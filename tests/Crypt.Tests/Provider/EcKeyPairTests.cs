using System.Numerics;
using System.Text.Json;
using NUnit.Framework;
using Org.BouncyCastle.Asn1.X9;
using Tcpcrypt.Crypt;
using ECPoint = Org.BouncyCastle.Math.EC.ECPoint;

namespace Tcpcrypt.Tests.Provider;

[TestFixtureSource(typeof(Providers), nameof(Providers.All))]
internal sealed class EcKeyPairTests(string name)
{
    private static readonly TcpcryptKeyExchange[] s_curves = [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521];

    private CryptoProvider _provider = null!;

    [OneTimeSetUp]
    public void SetUp() => _provider = Providers.Get(name);

    [TestCase("draft", "p256", "pk_c", "pk_s")]
    [TestCase("draft", "p521", "pk_c", "pk_s")]
    [TestCase("reference", "p256", "c_pub", "s_pub")]
    [TestCase("reference", "p521", "c_pub", "s_pub")]
    [Spec("TD-65")]
    [Spec("REF-4")]
    public void Pairs_and_secrets_are_those_of_the_captured_connections(string dialect, string file, string publicC, string publicS)
    {
        JsonElement vector = ConnectionVectors.KeyExchange(dialect, file);
        TcpcryptKeyExchange keyExchange = file == "p256" ? TcpcryptKeyExchange.EcdheP256 : TcpcryptKeyExchange.EcdheP521;
        using EcKeyPair c = Pair(keyExchange, vector.Hex("c_priv"));
        using EcKeyPair s = Pair(keyExchange, vector.Hex("s_priv"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(c.KeyExchange, Is.EqualTo(keyExchange));
            Assert.That(c.PublicKey.ToArray(), Is.EqualTo(vector.Hex(publicC)));
            Assert.That(s.PublicKey.ToArray(), Is.EqualTo(vector.Hex(publicS)));
            Assert.That(Derive(c, vector.Hex(publicS)), Is.EqualTo(vector.Hex("pms")));
            Assert.That(Derive(s, vector.Hex(publicC)), Is.EqualTo(vector.Hex("pms")));
        }
    }

    [Test]
    public void P256_is_as_in_rfc_5903()
    {
        using EcKeyPair initiator = Pair(TcpcryptKeyExchange.EcdheP256, Convert.FromHexString("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433"));
        using EcKeyPair responder = Pair(TcpcryptKeyExchange.EcdheP256, Convert.FromHexString("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Convert.ToHexString(initiator.PublicKey), Is.EqualTo("04DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C37725811805271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"));
            Assert.That(Convert.ToHexString(Derive(initiator, responder.PublicKey.ToArray())!), Is.EqualTo("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"));
        }
    }

    [Test]
    public void Secrets_agree_with_the_portable_provider_and_bouncy_castle([ValueSource(nameof(s_curves))] TcpcryptKeyExchange keyExchange)
    {
        Random random = new(1);
        X9ECParameters curve = Curve(keyExchange);
        int leadingZeros = 0;
        for (int round = 0; round < (keyExchange == TcpcryptKeyExchange.EcdheP256 ? 20 : 6); round++)
        {
            byte[] mine = Scalar(random, keyExchange);
            byte[] theirs = Scalar(random, keyExchange);
            using EcKeyPair pair = Pair(keyExchange, mine);
            using EcKeyPair other = CryptoProvider.Portable.CreateEcKeyPair(keyExchange, theirs)!;
            ECPoint point = curve.G.Multiply(new(1, mine)).Normalize();
            ECPoint shared = point.Multiply(new(1, theirs)).Normalize();
            byte[] expected = shared.AffineXCoord.GetEncoded();
            leadingZeros += expected[0] == 0 ? 1 : 0;
            Assert.That(pair.PublicKey.ToArray(), Is.EqualTo(point.GetEncoded(false)));
            Assert.That(Derive(pair, other.PublicKey.ToArray()), Is.EqualTo(expected));
            Assert.That(Derive(other, pair.PublicKey.ToArray()), Is.EqualTo(expected));
        }

        Assert.That(leadingZeros, keyExchange == TcpcryptKeyExchange.EcdheP521 ? Is.Positive : Is.Not.Negative, "leading zeros are kept");
    }

    [Test]
    public void Leading_zeros_of_the_shared_coordinate_are_kept()
    {
        // d G has a small X for this d, found by trying: the secret shared with the generator begins with a zero octet.
        byte[] scalar = new byte[32];
        X9ECParameters curve = Curve(TcpcryptKeyExchange.EcdheP256);
        ECPoint point = curve.G;
        int value = 1;
        for (; point.Normalize().AffineXCoord.GetEncoded()[0] != 0; value++)
        {
            point = point.Add(curve.G);
        }

        scalar[30] = (byte)(value >> 8);
        scalar[31] = (byte)value;
        using EcKeyPair pair = Pair(TcpcryptKeyExchange.EcdheP256, scalar);
        byte[] secret = Derive(pair, curve.G.GetEncoded(false))!;
        Assert.That(secret[0], Is.Zero);
        Assert.That(secret, Is.EqualTo(pair.PublicKey[1..33].ToArray()));
    }

    [Test]
    [Spec("TD-122")]
    [Spec("HI_ENC_05")]
    public void What_is_not_an_uncompressed_point_on_the_curve_is_refused([ValueSource(nameof(s_curves))] TcpcryptKeyExchange keyExchange)
    {
        using EcKeyPair pair = Pair(keyExchange, Scalar(new Random(2), keyExchange));
        byte[] valid = pair.PublicKey.ToArray();
        int length = (valid.Length - 1) / 2;
        Dictionary<string, byte[]> refused = new()
        {
            ["empty"] = [],
            ["infinity"] = [0],
            ["infinity, padded"] = new byte[valid.Length],
            ["form only"] = [4],
            ["compressed"] = [(byte)(2 + (valid[^1] & 1)), .. valid[1..(1 + length)]],
            ["compressed, padded"] = [(byte)(2 + (valid[^1] & 1)), .. valid[1..]],
            ["hybrid"] = [(byte)(6 + (valid[^1] & 1)), .. valid[1..]],
            ["one octet short"] = valid[..^1],
            ["one octet long"] = [.. valid, 0],
            ["zero coordinates"] = [4, .. new byte[2 * length]],
            ["all ones"] = [4, .. Enumerable.Repeat((byte)0xFF, 2 * length)],
            ["Y off by one bit"] = [.. valid[..^1], (byte)(valid[^1] ^ 1)],
            ["X off by one bit"] = [.. valid[..length], (byte)(valid[length] ^ 1), .. valid[(1 + length)..]],
            ["exchanged"] = [4, .. valid[(1 + length)..], .. valid[1..(1 + length)]],
        };
        byte[] untouched = new byte[length];
        foreach ((string what, byte[] point) in refused)
        {
            Assert.That(pair.TryDerive(point, untouched), Is.False, what);
        }

        Assert.That(untouched, Is.All.Zero);
        Assert.That(Derive(pair, valid), Is.Not.Null, "and goes on with a good one");
    }

    [Test]
    [Spec("TD-122")]
    [Spec("HI_ENC_05")]
    public void Coordinates_not_below_the_prime_are_refused([ValueSource(nameof(s_curves))] TcpcryptKeyExchange keyExchange)
    {
        // A point whose X is so small that X + p has as many octets: the same point, written in a way that is none.
        X9ECParameters curve = Curve(keyExchange);
        BigInteger p = Number(curve.Curve.Field.Characteristic.ToByteArrayUnsigned());
        BigInteger b = Number(curve.Curve.B.GetEncoded());
        int length = EcCurves.FieldLength(keyExchange);
        BigInteger x = 0;
        BigInteger y;
        do
        {
            x++;
            y = BigInteger.ModPow((x * x * x) - (3 * x) + b, (p + 1) / 4, p);
        }
        while (BigInteger.Remainder((y * y) - ((x * x * x) - (3 * x) + b), p) != 0);

        using EcKeyPair pair = Pair(keyExchange, Scalar(new Random(3), keyExchange));
        Assert.That(Derive(pair, [4, .. Octets(x, length), .. Octets(y, length)]), Is.Not.Null);
        Assert.That(Derive(pair, [4, .. Octets(x + p, length), .. Octets(y, length)]), Is.Null, "X + p");
        if (keyExchange == TcpcryptKeyExchange.EcdheP521)
        {
            Assert.That(Derive(pair, [4, .. Octets(x, length), .. Octets(y + p, length)]), Is.Null, "Y + p");
        }
    }

    [Test]
    public void Scalars_are_above_zero_and_below_the_order([ValueSource(nameof(s_curves))] TcpcryptKeyExchange keyExchange)
    {
        X9ECParameters curve = Curve(keyExchange);
        int length = EcCurves.FieldLength(keyExchange);
        BigInteger n = Number(curve.N.ToByteArrayUnsigned());
        using EcKeyPair one = Pair(keyExchange, Octets(1, length));
        using EcKeyPair last = Pair(keyExchange, Octets(n - 1, length));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_provider.CreateEcKeyPair(keyExchange, Octets(0, length)), Is.Null, "0");
            Assert.That(_provider.CreateEcKeyPair(keyExchange, Octets(n, length)), Is.Null, "n");
            Assert.That(_provider.CreateEcKeyPair(keyExchange, Octets(n + 1, length)), Is.Null, "n + 1");
            Assert.That(_provider.CreateEcKeyPair(keyExchange, [.. Enumerable.Repeat((byte)0xFF, length)]), Is.Null, "all ones");
            Assert.That(one.PublicKey.ToArray(), Is.EqualTo(curve.G.GetEncoded(false)), "1");
            Assert.That(last.PublicKey.ToArray(), Is.EqualTo(curve.G.Negate().GetEncoded(false)), "n - 1");
            Assert.That(() => _provider.CreateEcKeyPair(keyExchange, new byte[length - 1]), Throws.ArgumentException);
        }
    }

    [Test]
    public void Key_exchange_without_a_curve_is_refused() => Assert.That(() => _provider.CreateEcKeyPair(TcpcryptKeyExchange.OaepRsa, new byte[32]), Throws.InstanceOf<ArgumentException>());

    internal static byte[] Scalar(Random random, TcpcryptKeyExchange keyExchange)
    {
        byte[] scalar = new byte[EcCurves.FieldLength(keyExchange)];
        random.NextBytes(scalar);
        scalar[0] = keyExchange == TcpcryptKeyExchange.EcdheP521 ? (byte)0 : (byte)(scalar[0] >> 1);
        return scalar;
    }

    private static X9ECParameters Curve(TcpcryptKeyExchange keyExchange) => ECNamedCurveTable.GetByName(keyExchange == TcpcryptKeyExchange.EcdheP256 ? "P-256" : "P-521");

    private static BigInteger Number(byte[] octets) => new(octets, isUnsigned: true, isBigEndian: true);

    private static byte[] Octets(BigInteger number, int length)
    {
        byte[] octets = number.ToByteArray(isUnsigned: true, isBigEndian: true);
        return [.. new byte[length - octets.Length], .. octets];
    }

    private static byte[]? Derive(EcKeyPair pair, byte[] peer)
    {
        byte[] secret = new byte[EcCurves.FieldLength(pair.KeyExchange)];
        return pair.TryDerive(peer, secret) ? secret : null;
    }

    private EcKeyPair Pair(TcpcryptKeyExchange keyExchange, byte[] scalar) => _provider.CreateEcKeyPair(keyExchange, scalar)!;
}
