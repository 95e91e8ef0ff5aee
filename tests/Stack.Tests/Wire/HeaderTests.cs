using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class HeaderTests
{
    [Test]
    public void An_ipv4_header_reads_as_it_was_written()
    {
        byte[] packet = new byte[20 + 13];
        Ipv4Header.Write(packet, IpProtocol.Udp, Us, Far, 0xBEEF, timeToLive: 9, typeOfService: 0xBA, flagsAndOffset: Ipv4Header.MoreFragments | 185);
        Assert.That(Ipv4Header.TryParse(packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
        Assert.Multiple(() =>
        {
            _ = Ipv4Header.TryParse(packet, out Ipv4Header again);
            Assert.That(again.HeaderLength, Is.EqualTo(20));
            Assert.That(again.TotalLength, Is.EqualTo(33));
            Assert.That(again.TypeOfService, Is.EqualTo(0xBA));
            Assert.That(again.Ecn, Is.EqualTo(Ecn.Ect0));
            Assert.That(again.Identification, Is.EqualTo(0xBEEF));
            Assert.That(again.IsDontFragment, Is.False);
            Assert.That(again.HasMoreFragments, Is.True);
            Assert.That(again.IsFragment, Is.True);
            Assert.That(again.FragmentOffset, Is.EqualTo(1480));
            Assert.That(again.TimeToLive, Is.EqualTo(9));
            Assert.That(again.Protocol, Is.EqualTo(IpProtocol.Udp));
            Assert.That(again.Source, Is.EqualTo(Us));
            Assert.That(again.Destination, Is.EqualTo(Far));
            Assert.That(again.Options.Length, Is.Zero);
            Assert.That(again.Payload.Length, Is.EqualTo(13));
        });
    }

    [TestCase(0, (byte)0x45, 20, ExpectedResult = nameof(Ipv4ParseError.TooShort), TestName = "no octet at all")]
    [TestCase(19, (byte)0x45, 19, ExpectedResult = nameof(Ipv4ParseError.TooShort), TestName = "one octet short of a header")]
    [TestCase(40, (byte)0x60, 40, ExpectedResult = nameof(Ipv4ParseError.NotVersion4), TestName = "IPv6")]
    [TestCase(1, (byte)0x60, 1, ExpectedResult = nameof(Ipv4ParseError.NotVersion4), TestName = "one octet of IPv6")]
    [TestCase(40, (byte)0x44, 40, ExpectedResult = nameof(Ipv4ParseError.BadHeaderLength), TestName = "header length 16")]
    [TestCase(40, (byte)0x4F, 40, ExpectedResult = nameof(Ipv4ParseError.BadHeaderLength), TestName = "header length 60 of 40 octets")]
    [TestCase(40, (byte)0x46, 23, ExpectedResult = nameof(Ipv4ParseError.BadTotalLength), TestName = "total length inside the header")]
    [TestCase(40, (byte)0x45, 41, ExpectedResult = nameof(Ipv4ParseError.BadTotalLength), TestName = "total length beyond what came")]
    [TestCase(40, (byte)0x45, 0, ExpectedResult = nameof(Ipv4ParseError.BadTotalLength), TestName = "total length 0")]
    [TestCase(40, (byte)0x45, 20, ExpectedResult = nameof(Ipv4ParseError.None), TestName = "total length less than what came")]
    [Spec("791-1")]
    public string Ipv4_header_check(int length, byte first, int totalLength)
    {
        byte[] packet = new byte[length];
        if (length > 0)
        {
            packet[0] = first;
        }

        if (length >= 20)
        {
            packet[2] = (byte)(totalLength >> 8);
            packet[3] = (byte)totalLength;
            Packets.FixChecksum(packet);
        }

        Ipv4ParseError error = Ipv4Header.TryParse(packet, out Ipv4Header ip);
        if (error == Ipv4ParseError.None)
        {
            Assert.That(ip.TotalLength, Is.EqualTo(totalLength));
        }

        return error.ToString();
    }

    [Test]
    [Spec("791-1")]
    public void A_wrong_ipv4_checksum_is_noticed_in_every_octet()
    {
        byte[] packet = Packets.Udp(Them, 1, Us, 2, "x"u8);
        for (int i = 1; i < 20; i++)
        {
            if (i is not (2 or 3))
            {
                Assert.That(Ipv4Header.TryParse(Packets.Change(packet, i, (byte)(packet[i] ^ 0x10)), out _), Is.EqualTo(Ipv4ParseError.BadChecksum), $"octet {i}");
            }
        }
    }

    [Test]
    public void A_super_segment_is_as_long_as_its_buffer()
    {
        byte[] packet = Packets.Tcp(Them, 1, Us, 2, TcpFlags.Ack, data: Packets.Pattern(100));
        packet[2] = packet[3] = 0;
        Packets.FixChecksum(packet);
        Assert.That(Ipv4Header.TryParse(packet, out Ipv4Header ip, isSuperSegment: true), Is.EqualTo(Ipv4ParseError.None));
        Assert.That(ip.Payload.Length, Is.EqualTo(120));
    }

    [Test]
    public void Any_octets_parse_to_a_verdict_and_then_no_accessor_fails() =>
        Gen.Byte.Array[0, 120].Sample(
            octets =>
            {
                if (octets.Length > 0)
                {
                    octets[0] = (byte)(0x40 | (octets[0] & 15));
                }

                if (octets.Length > 3)
                {
                    octets[2] = 0;
                }

                if (Ipv4Header.TryParse(octets, out Ipv4Header ip, verifyChecksum: false) == Ipv4ParseError.None)
                {
                    Assert.That(ip.HeaderLength + ip.Payload.Length, Is.EqualTo(ip.TotalLength));
                    Assert.That(ip.Options.Length, Is.EqualTo(ip.HeaderLength - 20));
                    if (TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
                    {
                        Assert.That(tcp.HeaderLength + tcp.Payload.Length, Is.EqualTo(ip.Payload.Length));
                        Assert.That(tcp.Options.Length, Is.EqualTo(tcp.HeaderLength - 20));
                        _ = SynOptions.Parse(tcp.Options);
                    }

                    if (UdpHeader.TryParse(ip.Payload, out UdpHeader udp))
                    {
                        Assert.That(udp.Octets.Length, Is.AtMost(ip.Payload.Length).And.EqualTo(udp.Payload.Length + 8));
                    }

                    if (IcmpHeader.TryParse(ip.Payload, out IcmpHeader icmp))
                    {
                        Assert.That(icmp.Body.Length, Is.EqualTo(ip.Payload.Length - 8));
                    }
                }

                Assert.That(PacketPrinter.Format(octets), Is.Not.Empty);
            },
            iter: 20_000);

    [Test]
    public void A_tcp_header_reads_field_by_field()
    {
        byte[] segment = Packets.TcpPart(new(Us, 4000), new(Far, 80), TcpFlags.Syn | TcpFlags.Ece | TcpFlags.Cwr, 0xFFFF_FFFE, 77, 1234, "abc"u8, [2, 4, 5, 0xB4]);
        Assert.That(TcpHeader.TryParse(segment, out TcpHeader tcp), Is.True);
        Assert.That(tcp.SourcePort, Is.EqualTo(4000));
        Assert.That(tcp.DestinationPort, Is.EqualTo(80));
        Assert.That(tcp.Seq.Value, Is.EqualTo(0xFFFF_FFFE));
        Assert.That(tcp.Ack.Value, Is.EqualTo(77));
        Assert.That(tcp.HeaderLength, Is.EqualTo(24));
        Assert.That(tcp.Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ece | TcpFlags.Cwr));
        Assert.That(tcp.Window, Is.EqualTo(1234));
        Assert.That(tcp.UrgentPointer, Is.Zero);
        Assert.That(tcp.Options.Length, Is.EqualTo(4));
        Assert.That(tcp.Payload.SequenceEqual("abc"u8), Is.True);
    }

    [TestCase(19, 5, TestName = "TCP: one octet short")]
    [TestCase(40, 4, TestName = "TCP: data offset 4")]
    [TestCase(40, 0, TestName = "TCP: data offset 0")]
    [TestCase(40, 11, TestName = "TCP: data offset beyond the segment")]
    public void A_tcp_header_that_cannot_be_is_refused(int length, int dataOffset)
    {
        byte[] segment = new byte[length];
        segment[12] = (byte)(dataOffset << 4);
        Assert.That(TcpHeader.TryParse(segment, out _), Is.False);
    }

    [TestCase(8, 7, false, TestName = "UDP: length 7")]
    [TestCase(8, 0, false, TestName = "UDP: length 0")]
    [TestCase(8, 9, false, TestName = "UDP: length beyond what came")]
    [TestCase(7, 7, false, TestName = "UDP: seven octets")]
    [TestCase(8, 8, true, TestName = "UDP: empty")]
    [TestCase(30, 12, true, TestName = "UDP: trimmed")]
    [Spec("768-1")]
    public void Udp_length_check(int octets, int length, bool expected)
    {
        byte[] datagram = new byte[octets];
        datagram[5] = (byte)length;
        Assert.That(UdpHeader.TryParse(datagram, out UdpHeader udp), Is.EqualTo(expected));
        Assert.That(udp.Octets.Length, Is.EqualTo(expected ? length : 0));
    }

    [Test]
    [Spec("768-1")]
    public void A_computed_udp_checksum_of_zero_is_sent_as_all_ones()
    {
        // The data is chosen so that everything else sums up to 0xFFFF.
        byte[] datagram = Packets.UdpPart(new(Us, 1), new(Far, 2), [0, 0]);
        byte[] zero = Packets.UdpPart(new(Us, 1), new(Far, 2), datagram.AsSpan(6, 2));
        Assert.That(zero[6..8], Is.EqualTo(new byte[] { 0xFF, 0xFF }));
        Assert.That(InternetChecksum.IsValid(zero, InternetChecksum.PseudoHeader(Us, Far, IpProtocol.Udp, zero.Length)), Is.True);
    }

    [Test]
    public void An_icmp_header_reads_as_it_was_written()
    {
        byte[] message = Packets.IcmpPart(IcmpType.DestinationUnreachable, UnreachableCode.FragmentationNeeded, 0x0102_0534, "quote"u8);
        Assert.That(IcmpHeader.TryParse(message, out IcmpHeader icmp), Is.True);
        Assert.That(icmp.Type, Is.EqualTo(3));
        Assert.That(icmp.Code, Is.EqualTo(4));
        Assert.That(icmp.IsError, Is.True);
        Assert.That(icmp.NextHopMtu, Is.EqualTo(0x0534));
        Assert.That(icmp.Identifier, Is.EqualTo(0x0102));
        Assert.That(icmp.SequenceNumber, Is.EqualTo(0x0534));
        Assert.That(icmp.Pointer, Is.EqualTo(1));
        Assert.That(icmp.Body.SequenceEqual("quote"u8), Is.True);
        Assert.That(InternetChecksum.IsValid(message), Is.True);
        Assert.That(IcmpHeader.TryParse(message.AsSpan(0, 7), out _), Is.False);
    }
}
