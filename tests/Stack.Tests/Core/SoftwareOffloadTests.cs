using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class SoftwareOffloadTests
{
    private static PacketSlot Super(int payload, int gsoSize, TcpFlags flags, uint seq = 0xFFFF_F000, byte[]? options = null)
    {
        PacketSlot slot = new();
        slot.CopyFrom(Packets.Tcp(Us, 80, Far, 4000, flags, seq, 55, Packets.Pattern(payload), options));
        slot.GsoSize = gsoSize;
        slot.Checksum = ChecksumState.Partial;
        slot.HeaderLength = 40 + (options?.Length ?? 0);

        // As NEEDS_CSUM wants it: the pseudo-header sum, not complemented; a segmenter must not rely on it.
        ushort sum = InternetChecksum.Fold(InternetChecksum.PseudoHeader(Us, Far, IpProtocol.Tcp, slot.Length - 20));
        slot.Packet[36] = (byte)(sum >> 8);
        slot.Packet[37] = (byte)sum;
        return slot;
    }

    private static void AssertValid(PacketSlot segment)
    {
        Assert.That(Ipv4Header.TryParse(segment.Packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
        Assert.That(ip.TotalLength, Is.EqualTo(segment.Length));
        Assert.That(InternetChecksum.IsValid(ip.Payload, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, ip.Protocol, ip.Payload.Length)), Is.True);
        Assert.That(segment.Checksum, Is.EqualTo(ChecksumState.Unverified));
        Assert.That(segment.GsoSize, Is.Zero);
    }

    [Test]
    public void The_segments_carry_the_stream_in_order_across_the_wrap() =>
        Gen.Select(Gen.Int[0, 20_000], Gen.Int[1, 3000], Gen.UInt).Sample(
            (payload, gso, seq) =>
            {
                PacketSlot source = Super(payload, gso, TcpFlags.Ack | TcpFlags.Psh | TcpFlags.Fin | TcpFlags.Cwr, seq, [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
                PacketSlot into = new();
                List<byte> data = [];
                int count = SoftwareOffload.SegmentCount(source);
                Assert.That(count, Is.EqualTo(Math.Max(1, (payload + gso - 1) / gso)));
                for (int i = 0; i < count; i++)
                {
                    SoftwareOffload.Segment(source, i, into);
                    AssertValid(into);
                    _ = Ipv4Header.TryParse(into.Packet, out Ipv4Header ip);
                    _ = TcpHeader.TryParse(ip.Payload, out TcpHeader tcp);
                    Assert.That(ip.Identification, Is.EqualTo((ushort)(1 + i)));
                    Assert.That(tcp.Seq.Value, Is.EqualTo(unchecked(seq + (uint)data.Count)));
                    Assert.That(tcp.Ack.Value, Is.EqualTo(55));
                    Assert.That(tcp.Options.Length, Is.EqualTo(12));
                    bool isLast = i == count - 1;
                    TcpFlags expected = TcpFlags.Ack | (isLast ? TcpFlags.Psh | TcpFlags.Fin : 0) | (i == 0 ? TcpFlags.Cwr : 0);
                    Assert.That(tcp.Flags, Is.EqualTo(expected));
                    Assert.That(tcp.Payload.Length, Is.EqualTo(isLast ? payload - data.Count : gso));
                    data.AddRange(tcp.Payload);
                }

                Assert.That(data, Is.EqualTo(Packets.Pattern(payload)));
            },
            iter: 100);

    [Test]
    public void A_super_segment_of_the_greatest_length_is_cut()
    {
        PacketSlot source = Super(65_535 - 40, 1460, TcpFlags.Ack);
        PacketSlot into = new(1500);
        Assert.That(SoftwareOffload.SegmentCount(source), Is.EqualTo(45));
        for (int i = 0; i < 45; i++)
        {
            SoftwareOffload.Segment(source, i, into);
            AssertValid(into);
        }
    }

    [Test]
    public void An_ordinary_packet_is_one_segment_with_its_checksum_completed()
    {
        PacketSlot source = Super(100, 0, TcpFlags.Ack | TcpFlags.Fin);
        PacketSlot into = new();
        Assert.That(SoftwareOffload.SegmentCount(source), Is.EqualTo(1));
        SoftwareOffload.Segment(source, 0, into);
        AssertValid(into);
        SoftwareOffload.CompleteChecksum(source);
        AssertValid(source);
        Assert.That(source.Packet.SequenceEqual(into.Packet), Is.True);
    }

    [Test]
    [Spec("768-1")]
    public void A_udp_checksum_that_comes_out_as_zero_becomes_all_ones()
    {
        byte[] packet = Packets.Udp(Us, 1, Far, 2, [0, 0]);
        packet[28] = packet[26];
        packet[29] = packet[27];
        PacketSlot slot = new();
        slot.CopyFrom(packet);
        slot.Checksum = ChecksumState.Partial;
        SoftwareOffload.CompleteChecksum(slot);
        Assert.That(slot.Packet[26..28].ToArray(), Is.EqualTo(new byte[] { 0xFF, 0xFF }));
    }

    [Test]
    public void A_complete_checksum_is_left_alone_even_if_it_is_wrong()
    {
        PacketSlot slot = new();
        slot.CopyFrom(Packets.Change(Packets.Udp(Us, 1, Far, 2, "x"u8), 26, 0x12));
        byte[] before = slot.Packet.ToArray();
        SoftwareOffload.CompleteChecksum(slot);
        Assert.That(slot.Packet.ToArray(), Is.EqualTo(before));
    }

    [Test]
    public void An_index_that_does_not_exist_is_refused()
    {
        PacketSlot source = Super(2000, 1000, TcpFlags.Ack);
        Assert.That(() => SoftwareOffload.Segment(source, 2, new PacketSlot()), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => SoftwareOffload.Segment(source, -1, new PacketSlot()), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Any_octets_with_any_offload_flags_are_handled() =>
        Gen.Select(Gen.Byte.Array[0, 100], Gen.Int[0, 50], Gen.Enum<ChecksumState>()).Sample(
            (octets, gso, state) =>
            {
                PacketSlot source = new();
                source.CopyFrom(octets);
                source.GsoSize = gso;
                source.Checksum = state;
                PacketSlot into = new();
                int count = SoftwareOffload.SegmentCount(source);
                for (int i = 0; i < count; i++)
                {
                    SoftwareOffload.Segment(source, i, into);
                }

                SoftwareOffload.CompleteChecksum(source);
                return count is >= 1 and <= 100 && into.Checksum != ChecksumState.Partial;
            },
            iter: 5000);
}
