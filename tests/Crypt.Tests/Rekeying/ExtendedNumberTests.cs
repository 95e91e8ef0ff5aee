using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Rekeying;

internal sealed class ExtendedNumberTests
{
    [Test]
    [Spec("TD-79")]
    public void Low_32_bits_are_extended_as_in_the_vectors()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "extend"))
        {
            Assert.That(ExtendedNumber.TryExtend(entry.Number("near"), (uint)entry.Number("low"), out ulong number), entry.ToString());
            Assert.That(number, Is.EqualTo(entry.Number("number")), entry.ToString());
        }
    }

    [TestCase(0UL, 0x8000_0000u, Description = "the tie goes downwards")]
    [TestCase(0x7FFF_FFFFUL, 0xFFFF_FFFFu)]
    [TestCase(5UL, 0xFFFF_FFFFu)]
    [TestCase(ulong.MaxValue, 5u, Description = "beyond 64 bits")]
    [Spec("TD-79")]
    public void What_would_be_negative_or_does_not_fit_fails(ulong near, uint low) => Assert.That(ExtendedNumber.TryExtend(near, low, out _), Is.False);

    [Test]
    [Spec("TD-94")]
    public void KeyLSB_is_extended_as_in_the_vectors()
    {
        foreach (JsonElement entry in PrimitiveVectors.List("draft", "receive_key_number"))
        {
            long? expected = entry.GetProperty("result") is { ValueKind: JsonValueKind.Number } result ? result.GetInt64() : null;
            bool isKnown = ExtendedNumber.TryExtendGeneration((long)entry.Number("transmit"), (byte)entry.Number("key_lsb"), out long generation);
            Assert.That(isKnown ? generation : (long?)null, Is.EqualTo(expected), entry.ToString());
        }
    }
}
