using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

public class CaptureFormattingTests
{
    private static readonly Ipv4Address s_source = Ipv4Address.Parse("10.0.0.1");
    private static readonly Ipv4Address s_destination = Ipv4Address.Parse("10.0.0.2");

    [Test]
    public void Super_segment_is_cut_into_packets_that_add_up()
    {
        byte[] packet = Tcp(payloadLength: 2500);
        CapturedPacketFormatter formatter = new(splitSuperSegments: true);
        CaptureRecord record = Record(packet, gsoSize: 1000);
        Assert.That(formatter.Load(packet, record), Is.EqualTo(3));
        int[] lengths = new int[3];
        for (int i = 0; i < 3; i++)
        {
            ReadOnlySpan<byte> part = formatter.Get(i, 3);
            lengths[i] = part.Length;
            Assert.That(IsGood(part), Is.True, $"part {i}");
        }

        Assert.That(lengths, Is.EqualTo(new[] { 1040, 1040, 540 }));
    }

    [Test]
    public void Super_segment_is_left_whole_on_request_with_a_complete_checksum()
    {
        byte[] packet = Tcp(payloadLength: 2500);
        CapturedPacketFormatter formatter = new(splitSuperSegments: false);
        Assert.That(formatter.Load(packet, Record(packet, gsoSize: 1000)), Is.EqualTo(1));
        Assert.That(formatter.Get(0, 1).Length, Is.EqualTo(2540));
        Assert.That(IsGood(formatter.Get(0, 1)), Is.True);
    }

    [Test]
    public void Checksum_that_is_left_to_the_device_is_completed()
    {
        byte[] packet = Tcp(payloadLength: 100);
        Assert.That(IsGood(packet), Is.False);
        CapturedPacketFormatter formatter = new(splitSuperSegments: true);
        formatter.Load(packet, Record(packet, gsoSize: 0));
        Assert.That(IsGood(formatter.Get(0, 1)), Is.True);
    }

    [Test]
    public void Wrong_checksum_stays_wrong()
    {
        byte[] packet = Tcp(payloadLength: 100);
        packet[20 + TcpHeader.ChecksumOffset] ^= 0x5A;
        CapturedPacketFormatter formatter = new(splitSuperSegments: true);
        formatter.Load(packet, Record(packet, gsoSize: 0));
        Assert.That(formatter.Get(0, 1).ToArray(), Is.EqualTo(packet));
    }

    [Test]
    public void Packet_that_was_dropped_for_its_checksum_is_shown_as_it_came()
    {
        byte[] packet = Tcp(payloadLength: 100);
        CapturedPacketFormatter formatter = new(splitSuperSegments: true);
        formatter.Load(packet, Record(packet, gsoSize: 0) with { Reason = DropReason.TcpBadChecksum });
        Assert.That(formatter.Get(0, 1).ToArray(), Is.EqualTo(packet));
    }

    [Test]
    public void Garbage_passes_through([Values(0, 1, 19, 20, 40)] int length, [Values(0, 100)] int gsoSize, [Values] bool split)
    {
        byte[] packet = [.. Enumerable.Repeat((byte)0x45, length)];
        CapturedPacketFormatter formatter = new(split);
        Assert.That(formatter.Load(packet, Record(packet, gsoSize)), Is.EqualTo(1));
        Assert.That(formatter.Get(0, 1).Length, Is.EqualTo(length));
    }

    [Test]
    public void Buffer_takes_no_more_than_its_limit_and_can_be_used_again()
    {
        const int limit = 64 * 1024;
        CaptureBuffer buffer = new(limit);
        int taken = 0;
        while (buffer.TryAdd(default, new byte[1000], 1000, 0, CaptureDirection.Inbound, DropReason.None, 0))
        {
            taken++;
        }

        Assert.That(taken, Is.InRange(55, 65));
        buffer.Clear();
        Assert.That(buffer.TryAdd(default, [7], 1, 0, CaptureDirection.Inbound, DropReason.None, 0), Is.True);
        Assert.That(buffer.Octets(buffer[0]).ToArray(), Is.EqualTo(new byte[] { 7 }));
    }

    [Test]
    public void Empty_packets_do_not_fill_memory()
    {
        CaptureBuffer buffer = new(64 * 1024);
        int taken = 0;
        while (taken < 10_000 && buffer.TryAdd(default, [], 0, 0, CaptureDirection.Inbound, DropReason.None, 0))
        {
            taken++;
        }

        Assert.That(taken, Is.LessThan(2000));
    }

    private static CaptureRecord Record(byte[] packet, int gsoSize) => new(default, 0, packet.Length, packet.Length, gsoSize, CaptureDirection.Outbound, DropReason.None, 0);

    /// <summary>A segment as the core emits it: the checksum field holds the pseudo header's sum.</summary>
    internal static byte[] Tcp(int payloadLength)
    {
        byte[] packet = new byte[40 + payloadLength];
        new Random(1).NextBytes(packet.AsSpan(40));
        Ipv4Header.Write(packet, IpProtocol.Tcp, s_source, s_destination, 7);
        Span<byte> tcp = packet.AsSpan(20);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 1234);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 80);
        tcp[12] = 5 << 4;
        tcp[13] = (byte)(TcpFlags.Ack | TcpFlags.Psh);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[TcpHeader.ChecksumOffset..], InternetChecksum.Fold(InternetChecksum.PseudoHeader(s_source, s_destination, IpProtocol.Tcp, tcp.Length)));
        return packet;
    }

    private static bool IsGood(ReadOnlySpan<byte> packet) =>
        Ipv4Header.TryParse(packet, out Ipv4Header ip) == Ipv4ParseError.None
        && ip.TotalLength == packet.Length
        && InternetChecksum.IsValid(ip.Payload, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, ip.Protocol, ip.Payload.Length));
}
