using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Handshake;

/// <summary>The list in PKCONF and C's choice out of it.</summary>
internal sealed class PkConfListTests
{
    private static readonly TcpcryptKeyExchange[] s_all = [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa];

    [TestCase(true, "00020000020100010000f004")]
    [TestCase(false, "000200000201000100")]
    [Spec("TD-56")]
    [Spec("TD-132")]
    public void Key_exchanges_are_written_in_order_and_the_marker_last(bool withMarker, string expected)
    {
        byte[] list = new byte[PkConfList.MaxLength];
        int length = PkConfList.Write(s_all, withMarker, list);
        Assert.That(Convert.ToHexStringLower(list.AsSpan(0, length)), Is.EqualTo(expected));
    }

    [TestCase("000200" + "000201", TcpcryptKeyExchange.EcdheP256, TestName = "the first of two")]
    [TestCase("000201" + "000200", TcpcryptKeyExchange.EcdheP521, TestName = "S's order decides, not C's")]
    [TestCase("000100", TcpcryptKeyExchange.OaepRsa, TestName = "the only one")]
    [TestCase("00f004" + "000200", TcpcryptKeyExchange.EcdheP256, TestName = "the marker in front is not chosen")]
    [TestCase("000300" + "000201", TcpcryptKeyExchange.EcdheP521, TestName = "behind an unknown one")]
    [TestCase("800200" + "000201", TcpcryptKeyExchange.EcdheP521, TestName = "an entry with the top bit is not what its rest says")]
    [TestCase("ffffff" + "000201", TcpcryptKeyExchange.EcdheP521, TestName = "behind a reserved one")]
    [Spec("TD-5")]
    [Spec("TD-56")]
    [Spec("TD-132")]
    public void C_takes_the_first_entry_it_supports(string list, TcpcryptKeyExchange expected)
    {
        HandshakeError error = PkConfList.Choose(Convert.FromHexString(list), s_all, TcpcryptDialect.Reference, out TcpcryptKeyExchange keyExchange, out _);
        Assert.That(error, Is.EqualTo(HandshakeError.None));
        Assert.That(keyExchange, Is.EqualTo(expected));
    }

    [TestCase("000100", TestName = "one that is switched off here")]
    [TestCase("00f004", TestName = "the marker alone")]
    [TestCase("000300" + "8001ff", TestName = "unknown ones")]
    [TestCase("000000", TestName = "zero")]
    [Spec("TD-45")]
    public void Without_a_common_entry_there_is_no_choice(string list)
    {
        HandshakeError error = PkConfList.Choose(Convert.FromHexString(list), [TcpcryptKeyExchange.None, TcpcryptKeyExchange.EcdheP256], TcpcryptDialect.Draft, out TcpcryptKeyExchange keyExchange, out _);
        Assert.That(error, Is.EqualTo(HandshakeError.NoCommonAlgorithm));
        Assert.That(keyExchange, Is.EqualTo(TcpcryptKeyExchange.None));
    }

    [TestCase("000200" + "00f004", TcpcryptDialect.Reference, TcpcryptDialect.Draft)]
    [TestCase("00f004" + "000200", TcpcryptDialect.Reference, TcpcryptDialect.Draft)]
    [TestCase("000200" + "00f004" + "000201", TcpcryptDialect.Reference, TcpcryptDialect.Draft)]
    [TestCase("000200", TcpcryptDialect.Reference, TcpcryptDialect.Reference)]
    [TestCase("000200", TcpcryptDialect.Draft, TcpcryptDialect.Draft)]
    [TestCase("000200" + "80f004", TcpcryptDialect.Reference, TcpcryptDialect.Reference)]
    [Spec("TD-133")]
    public void The_marker_decides_the_dialect(string list, TcpcryptDialect unknownPeer, TcpcryptDialect expected)
    {
        PkConfList.Choose(Convert.FromHexString(list), s_all, unknownPeer, out _, out TcpcryptDialect dialect);
        Assert.That(dialect, Is.EqualTo(expected));
    }

    [TestCase("")]
    [TestCase("0002")]
    [TestCase("00020000")]
    [Spec("TD-8")]
    public void A_list_of_another_length_is_malformed(string list) =>
        Assert.That(PkConfList.Choose(Convert.FromHexString(list), s_all, TcpcryptDialect.Draft, out _, out _), Is.EqualTo(HandshakeError.Malformed));
}
