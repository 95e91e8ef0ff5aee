using CsCheck;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

[Spec("9293-3.4")]
public sealed class SeqTests
{
    [TestCase(0u, 1u)]
    [TestCase(0xFFFF_FFFFu, 0u)]
    [TestCase(0xFFFF_FFF0u, 0x10u)]
    [TestCase(0x7FFF_FFFFu, 0x8000_0000u)]
    [TestCase(5u, 0x8000_0004u)]
    public void Order_is_circular(uint earlier, uint later)
    {
        Seq<Local> left = new(earlier);
        Seq<Local> right = new(later);
        Assert.That(left < right && left <= right && right > left && right >= left, Is.True);
        Assert.That(right < left || right <= left || left > right || left >= right, Is.False);
        Assert.That(Seq<Local>.Max(left, right), Is.EqualTo(right));
        Assert.That(Seq<Local>.Min(left, right), Is.EqualTo(left));
    }

    [Test]
    public void Adding_and_subtracting_agree_across_the_wrap_and_never_throw() =>
        Gen.Select(Gen.UInt, Gen.Int[0, int.MaxValue]).Sample((start, octets) =>
        {
            Seq<Remote> seq = new(start);
            Seq<Remote> end = seq + octets;
            return end - seq == octets && seq - end == -octets && end - (uint)octets == seq && seq + (uint)octets == end && (octets == 0 || seq < end);
        });

    [Test]
    public void The_distance_of_opposite_numbers_is_a_value_too() =>
        Assert.That(new Seq<Local>(0x8000_0000) - new Seq<Local>(0), Is.EqualTo(int.MinValue));

    /// <summary>Numbers that are less than half the circle apart are ordered as the 64-bit numbers that they are the low part of.</summary>
    [Test]
    public void Order_and_distance_agree_with_numbers_that_never_wrap() =>
        Gen.Select(Gen.Long[1L << 32, 1L << 34], Gen.Long[-int.MaxValue, int.MaxValue], Gen.UInt).Sample((start, distance, other) =>
        {
            Seq<Local> left = new(unchecked((uint)start));
            Seq<Local> right = new(unchecked((uint)(start + distance)));
            bool isOrdered = (left < right, left <= right, left > right, left >= right, left == right) == (distance > 0, distance >= 0, distance < 0, distance <= 0, distance == 0);
            bool isExtreme = Seq<Local>.Max(left, right) == (distance > 0 ? right : left) && Seq<Local>.Min(left, right) == (distance < 0 ? right : left);
            return isOrdered && isExtreme && right - left == distance && left + other - other == left;
        });
}
