using Tcpcrypt.Core;
using Tcpcrypt.Wire;
using static Tcpcrypt.Tests.CoreHarness;

namespace Tcpcrypt.Tests;

public sealed class PacketPrinterTests
{
    [Test]
    public void A_syn_shows_its_options()
    {
        byte[] options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 1, 3, 3, 7];
        byte[] syn = Packets.Tcp(Them, 4000, Us, 80, TcpFlags.Syn, seq: 1, options: options);
        Assert.That(PacketPrinter.Format(syn), Is.EqualTo("10.0.0.1:4000 > 10.0.0.2:80 S 1:1(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"));
    }

    [Test]
    public void Data_shows_its_range_relative_to_the_start()
    {
        byte[] options = [1, 1, 5, 10, 0, 0, 2, 0, 0, 0, 3, 0];
        byte[] data = Packets.Tcp(Them, 4000, Us, 80, TcpFlags.Ack | TcpFlags.Psh, seq: 101, ack: 257, data: "hello"u8, options: options);
        Assert.That(PacketPrinter.Format(data, 100, 256), Is.EqualTo("10.0.0.1:4000 > 10.0.0.2:80 P. 1:6(5) ack 1 win 65535 <nop,nop,sack 256:512>"));
    }

    [Test]
    public void A_super_segment_shows_its_segment_size()
    {
        PacketSlot slot = new();
        slot.CopyFrom(Packets.Tcp(Them, 1, Us, 2, TcpFlags.Ack, data: Packets.Pattern(3000)));
        slot.GsoSize = 1448;
        Assert.That(PacketPrinter.Format(slot), Is.EqualTo("10.0.0.1:1 > 10.0.0.2:2 . 1:3001(3000) ack 0 win 65535 gso 1448"));
    }

    [Test]
    public void Other_packets_have_their_line_too()
    {
        byte[] udp = Packets.Udp(Them, 53, Us, 4000, "abc"u8);
        Assert.That(PacketPrinter.Format(udp), Is.EqualTo("10.0.0.1:53 > 10.0.0.2:4000 udp (3)"));
        Assert.That(PacketPrinter.Format(Packets.Echo(Them, Us, 5, 6, "abcd"u8)), Is.EqualTo("10.0.0.1 > 10.0.0.2 icmp echo request id 5 seq 6 (4)"));
        Assert.That(PacketPrinter.Format(Packets.Icmp(Us, Them, 3, 3, 0, udp)), Is.EqualTo("10.0.0.2 > 10.0.0.1 icmp unreachable port [10.0.0.1:53 > 10.0.0.2:4000 udp]"));
        Assert.That(PacketPrinter.Format(Packets.Icmp(Us, Them, 3, 4, 1400, udp)), Does.Contain("fragmentation needed mtu 1400 ["));
        Assert.That(PacketPrinter.Format(Packets.Ip(17, Them, Us, new byte[16], id: 9, offset: 1480, more: true)), Is.EqualTo("10.0.0.1 > 10.0.0.2 protocol 17 fragment 9:1480(16)+"));
        Assert.That(PacketPrinter.Format(Packets.Ip(47, Them, Us, new byte[3])), Is.EqualTo("10.0.0.1 > 10.0.0.2 protocol 47 (3)"));
        Assert.That(PacketPrinter.Format([0x60, 0]), Is.EqualTo("[not IPv4: NotVersion4, 2 octets]"));
        Assert.That(PacketPrinter.Format([]), Is.EqualTo("[not IPv4: TooShort, 0 octets]"));
    }

    [Test]
    public void Control_bits_have_packetdrills_letters()
    {
        Assert.That(PacketPrinter.Format(TcpFlags.Syn | TcpFlags.Ack), Is.EqualTo("S."));
        Assert.That(PacketPrinter.Format((TcpFlags)255), Is.EqualTo("FSRP.UEW"));
        Assert.That(PacketPrinter.Format(TcpFlags.None), Is.EqualTo("-"));
    }
}
