using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>What two SYNs agree on, and RFC 6191's table for a SYN that meets TIME-WAIT.</summary>
public sealed class AgreementTests
{
    private static readonly SynOptions s_all = new() { MaximumSegmentSize = 1460, WindowScale = 7, SackPermitted = true, HasTimestamps = true, TsVal = 5 };

    [Test]
    public void Everything_both_sides_offer_is_agreed()
    {
        SynAgreement agreed = SynAgreement.From(s_all, new TcpStackOptions());
        Assert.That(agreed, Is.EqualTo(new SynAgreement { PeerMss = 1460, WindowScaling = true, PeerShift = 7, Timestamps = true, Sack = true }));
    }

    [Test]
    public void What_we_switched_off_is_not_agreed()
    {
        TcpStackOptions ours = new() { WindowScaling = false, Timestamps = false, SelectiveAcknowledgments = false };
        Assert.That(SynAgreement.From(s_all, ours), Is.EqualTo(new SynAgreement { PeerMss = 1460 }));
    }

    [Test]
    [Spec("9293-MUST-15")]
    public void What_the_peer_left_out_is_not_agreed() =>
        Assert.That(SynAgreement.From(default, new TcpStackOptions()), Is.EqualTo(new SynAgreement { PeerMss = 536 }));

    [TestCase(0, 48)]
    [TestCase(47, 48)]
    [TestCase(48, 48)]
    [TestCase(65_535, 65_535)]
    public void The_peers_mss_has_a_floor(int mss, int expected) =>
        Assert.That(SynAgreement.From(new SynOptions { MaximumSegmentSize = (ushort)mss }, new TcpStackOptions()).PeerMss, Is.EqualTo(expected));

    [TestCase(0, 0)]
    [TestCase(14, 14)]
    [TestCase(15, 14)]
    [TestCase(255, 14)]
    [Spec("7323-1")]
    public void Shifts_above_14_count_as_14(int shift, int expected) =>
        Assert.That(SynAgreement.From(new SynOptions { WindowScale = (byte)shift }, new TcpStackOptions()).PeerShift, Is.EqualTo(expected));

    [TestCase(1, 0)]
    [TestCase(65_535, 0)]
    [TestCase(65_536, 1)]
    [TestCase(131_071, 1)]
    [TestCase(1 << 20, 5)]
    [TestCase(1 << 30, 14)]
    public void The_shift_lets_the_buffer_be_announced(int buffer, int expected) => Assert.That(SynAgreement.ShiftFor(buffer), Is.EqualTo(expected));

    // RFC 6191 §2. TS.Recent of the old connection is 1000, RCV.NXT 5000; columns: old with timestamps, SYN's timestamp, SYN's number, verdict.
    [TestCase(true, 1001, 4000, true, TestName = "A_newer_timestamp_lets_a_lower_number_in")]
    [TestCase(true, 1000, 5001, true, TestName = "The_same_timestamp_needs_a_higher_number")]
    [TestCase(true, 1000, 4000, false, TestName = "The_same_timestamp_and_a_lower_number_are_refused")]
    [TestCase(true, 999, 6000, false, TestName = "An_older_timestamp_is_refused_whatever_its_number")]
    [TestCase(true, -1, 5001, true, TestName = "No_timestamp_and_a_higher_number_are_let_in")]
    [TestCase(true, -1, 4000, false, TestName = "No_timestamp_and_a_lower_number_are_refused")]
    [TestCase(false, 1, 4000, true, TestName = "Old_without_timestamps_new_with_them_is_let_in")]
    [TestCase(false, -1, 5001, true, TestName = "Without_timestamps_a_higher_number_is_let_in")]
    [TestCase(false, -1, 4000, false, TestName = "Without_timestamps_a_lower_number_is_refused")]
    [Spec("6191-1")]
    [Spec("6191-2")]
    public void MayReuse(bool hadTimestamps, int tsVal, int seq, bool expected)
    {
        foreach (uint origin in (uint[])[0, 0xFFFF_EC00, 0x7FFF_F000])
        {
            TimeWaitRecord record = new()
            {
                Tuple = default,
                SndNxt = default,
                RcvNxt = new Seq<Remote>(unchecked(origin + 5000)),
                Window = 0,
                WindowShift = 0,
                HasTimestamps = hadTimestamps,
                TsRecent = unchecked(origin + 1000),
                TsOffset = 0,
                TypeOfService = 0,
                TimeToLive = 64,
            };
            byte[] octets = new byte[40];
            octets[12] = tsVal >= 0 ? (byte)0x80 : (byte)0x50;
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(octets.AsSpan(4), unchecked(origin + (uint)seq));
            octets[13] = (byte)TcpFlags.Syn;
            Opt.Ts(unchecked(origin + (uint)tsVal), 0).CopyTo(octets, 20);
            if (tsVal < 0)
            {
                octets = octets[..20];
            }

            Assert.That(TcpHeader.TryParse(octets, out TcpHeader header), Is.True);
            Assert.That(TimeWaitTable.MayReuse(record, Segment.From(header, octets, Ecn.NotEct, 0)), Is.EqualTo(expected));
        }
    }
}
