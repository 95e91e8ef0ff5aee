using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>The tables of RFC 9293 §3.10.7.4, RFC 5961 and RFC 7323 as pure predicates, at several places of the number space.</summary>
[TestFixture(1000u)]
[TestFixture(0u)]
[TestFixture(0xFFFF_FFF0u)]
[TestFixture(0x7FFF_FFF0u)]
[TestFixture(0xFFFF_FFFFu)]
public sealed class AcceptabilityTests(uint nxt)
{
    [TestCase(0, 0, 0, true, TestName = "Length_0_window_0_at_RCV_NXT_is_acceptable")]
    [TestCase(-1, 0, 0, false, TestName = "Length_0_window_0_below_RCV_NXT_is_not")]
    [TestCase(1, 0, 0, false, TestName = "Length_0_window_0_above_RCV_NXT_is_not")]
    [TestCase(0, 0, 100, true, TestName = "Length_0_at_RCV_NXT_is_acceptable")]
    [TestCase(99, 0, 100, true, TestName = "Length_0_at_the_last_octet_is_acceptable")]
    [TestCase(100, 0, 100, false, TestName = "Length_0_at_the_edge_is_not")]
    [TestCase(-1, 0, 100, false, TestName = "Length_0_below_RCV_NXT_is_not")]
    [TestCase(0, 1, 0, false, TestName = "Length_1_window_0_is_never_acceptable")]
    [TestCase(0, 1, 1, true, TestName = "Length_1_window_1_is_acceptable")]
    [TestCase(-10, 11, 100, true, TestName = "The_last_octet_in_the_window_is_acceptable")]
    [TestCase(-10, 10, 100, false, TestName = "Ending_right_below_the_window_is_not")]
    [TestCase(99, 500, 100, true, TestName = "The_first_octet_in_the_window_is_acceptable")]
    [TestCase(100, 1, 100, false, TestName = "Starting_at_the_edge_is_not")]
    [TestCase(-10, 500, 100, true, TestName = "Covering_the_whole_window_is_acceptable")]
    [TestCase(int.MinValue, 1, 100, false, TestName = "Half_the_space_away_is_not")]
    public void IsAcceptable(int seq, int length, int window, bool expected) =>
        Assert.That(Acceptability.IsAcceptable(new Seq<Remote>(unchecked(nxt + (uint)seq)), length, new Seq<Remote>(nxt), (uint)window), Is.EqualTo(expected));

    [TestCase(0, 0, true, TestName = "Ack_of_SND_UNA")]
    [TestCase(50, 50, true, TestName = "Ack_of_SND_NXT")]
    [TestCase(51, 50, false, TestName = "Ack_beyond_SND_NXT")]
    [TestCase(-1000, 50, true, TestName = "Ack_older_by_the_largest_window")]
    [TestCase(-1001, 50, false, TestName = "Ack_older_than_the_largest_window")]
    [TestCase(int.MinValue + 100, 50, false, TestName = "Ack_half_the_space_away")]
    [Spec("5961-3")]
    public void IsAckInRange(int ack, int flight, bool expected) =>
        Assert.That(Acceptability.IsAckInRange(new Seq<Local>(unchecked(nxt + (uint)ack)), new Seq<Local>(nxt), new Seq<Local>(unchecked(nxt + (uint)flight)), 1000), Is.EqualTo(expected));

    [TestCase(0, false, TestName = "The_same_timestamp_is_not_older")]
    [TestCase(1, false, TestName = "A_newer_timestamp_is_not_older")]
    [TestCase(-1, true, TestName = "An_older_timestamp_is_older")]
    [TestCase(int.MaxValue, false, TestName = "Nearly_half_the_space_ahead_is_newer")]
    [TestCase(int.MinValue + 1, true, TestName = "Nearly_half_the_space_behind_is_older")]
    [Spec("7323-5")]
    public void IsTimestampOlder(int difference, bool expected) =>
        Assert.That(Acceptability.IsTimestampOlder(unchecked(nxt + (uint)difference), nxt), Is.EqualTo(expected));
}
