using System.Runtime.InteropServices;
using NUnit.Framework;

namespace Tcpcrypt.Tun.Tests;

/// <summary>The virtio-net header, both ways, with headers that lie.</summary>
public class VirtioNetHeaderTests
{
    private const byte NeedsChecksum = VirtioNetHeader.FlagNeedsChecksum;

    [Test]
    public void Plain_packet_is_unverified()
    {
        PacketSlot slot = TcpSlot(100);
        Assert.That(Decode(slot, default), Is.True);
        Assert.That((slot.Checksum, slot.GsoSize, slot.HeaderLength), Is.EqualTo((ChecksumState.Unverified, 0, 0)));
    }

    [Test]
    public void Data_valid_is_verified()
    {
        PacketSlot slot = TcpSlot(100);
        Assert.That(Decode(slot, new() { Flags = VirtioNetHeader.FlagDataValid }), Is.True);
        Assert.That(slot.Checksum, Is.EqualTo(ChecksumState.Verified));
    }

    [TestCase((byte)6, (ushort)20, (ushort)16, 40, TestName = "Needs_checksum_is_partial_for_tcp")]
    [TestCase((byte)17, (ushort)20, (ushort)6, 28, TestName = "Needs_checksum_is_partial_for_udp")]
    public void Needs_checksum_is_partial(byte protocol, ushort start, ushort offset, int headerLength)
    {
        PacketSlot slot = TcpSlot(100, protocol);
        Assert.That(Decode(slot, new() { Flags = NeedsChecksum, ChecksumStart = start, ChecksumOffset = offset }), Is.True);
        Assert.That((slot.Checksum, slot.HeaderLength), Is.EqualTo((ChecksumState.Partial, headerLength)));
    }

    [TestCase((ushort)24, (ushort)16, TestName = "Checksum_that_starts_elsewhere_is_not_trusted")]
    [TestCase((ushort)20, (ushort)6, TestName = "Checksum_at_another_offset_is_not_trusted")]
    [TestCase((ushort)65535, (ushort)65535, TestName = "Checksum_outside_of_the_packet_is_not_trusted")]
    public void Checksum_elsewhere_is_not_trusted(ushort start, ushort offset)
    {
        PacketSlot slot = TcpSlot(100);
        Assert.That(Decode(slot, new() { Flags = NeedsChecksum, ChecksumStart = start, ChecksumOffset = offset }), Is.True);
        Assert.That(slot.Checksum, Is.EqualTo(ChecksumState.Unverified));
    }

    [Test]
    public void Super_segment_takes_its_header_length_from_the_packet()
    {
        PacketSlot slot = TcpSlot(5000);
        Assert.That(Decode(slot, new() { Flags = NeedsChecksum, GsoType = VirtioNetHeader.GsoTcp4 | VirtioNetHeader.GsoEcn, GsoSize = 1460, HeaderLength = 9999, ChecksumStart = 20, ChecksumOffset = 16 }), Is.True);
        Assert.That((slot.Checksum, slot.GsoSize, slot.HeaderLength), Is.EqualTo((ChecksumState.Partial, 1460, 40)));
    }

    [Test]
    public void Super_segment_of_one_segment_is_an_ordinary_packet()
    {
        PacketSlot slot = TcpSlot(1500);
        Assert.That(Decode(slot, new() { Flags = NeedsChecksum, GsoType = VirtioNetHeader.GsoTcp4, GsoSize = 1460, ChecksumStart = 20, ChecksumOffset = 16 }), Is.True);
        Assert.That(slot.GsoSize, Is.Zero);
    }

    [TestCase((byte)1, (byte)6, (ushort)0, (byte)0x50, TestName = "Super_segment_without_size_is_dropped")]
    [TestCase((byte)3, (byte)6, (ushort)1000, (byte)0x50, TestName = "Super_segment_of_unwanted_type_is_dropped")]
    [TestCase((byte)1, (byte)17, (ushort)1000, (byte)0x50, TestName = "Super_segment_that_is_not_tcp_is_dropped")]
    [TestCase((byte)1, (byte)6, (ushort)1000, (byte)0x40, TestName = "Super_segment_with_short_data_offset_is_dropped")]
    public void Nonsense_is_dropped(byte type, byte protocol, ushort size, byte dataOffset)
    {
        PacketSlot slot = TcpSlot(5000, protocol);
        slot.Packet[32] = dataOffset;
        Assert.That(Decode(slot, new() { Flags = NeedsChecksum, GsoType = type, GsoSize = size, ChecksumStart = 20, ChecksumOffset = 16 }), Is.False);
    }

    [Test]
    public void No_header_and_no_packet_makes_decoding_throw()
    {
        // Every length up to two headers, with every octet of the virtio header and the first words of the packet in turn set to extreme values.
        Random random = new(7);
        PacketSlot slot = new();
        byte[] header = new byte[VirtioNetHeader.Length];
        for (int round = 0; round < 100_000; round++)
        {
            slot.Length = random.Next(1, 80);
            random.NextBytes(slot.Packet);
            if (random.Next(4) > 0)
            {
                slot.Packet[0] = (byte)(0x40 | random.Next(16));
                if (slot.Length > 9)
                {
                    slot.Packet[6..8].Clear();
                    slot.Packet[9] = (byte)(random.Next(2) == 0 ? 6 : 17);
                }
            }

            random.NextBytes(header);
            header[0] &= 3;
            header[1] = (byte)random.Next(2);
            bool kept = VirtioNetHeader.TryDecode(header, slot);
            if (kept && (slot.GsoSize > 0 || slot.Checksum == ChecksumState.Partial) && !(slot.HeaderLength >= 28 && slot.HeaderLength <= slot.Length))
            {
                Assert.Fail($"Header length {slot.HeaderLength} in a packet of {slot.Length} octets.");
            }
        }
    }

    [Test]
    public void Encoding_an_ordinary_packet_gives_zeros()
    {
        byte[] header = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        VirtioNetHeader.Encode(TcpSlot(100), header);
        Assert.That(header, Is.All.Zero);
    }

    [TestCase((byte)0, VirtioNetHeader.GsoTcp4, TestName = "Encoding_a_super_segment")]
    [TestCase((byte)0x80, (byte)(VirtioNetHeader.GsoTcp4 | VirtioNetHeader.GsoEcn), TestName = "Encoding_a_super_segment_with_cwr_says_ecn")]
    public void Encoding_a_super_segment(byte flags, byte type)
    {
        PacketSlot slot = TcpSlot(5000);
        slot.Packet[33] = flags;
        (slot.Checksum, slot.GsoSize, slot.HeaderLength) = (ChecksumState.Partial, 1448, 40);
        byte[] octets = new byte[VirtioNetHeader.Length];
        VirtioNetHeader.Encode(slot, octets);
        VirtioNetHeader header = MemoryMarshal.Read<VirtioNetHeader>(octets);
        Assert.That(
            (header.Flags, header.GsoType, header.HeaderLength, header.GsoSize, header.ChecksumStart, header.ChecksumOffset),
            Is.EqualTo((NeedsChecksum, type, (ushort)40, (ushort)1448, (ushort)20, (ushort)16)));
    }

    [Test]
    public void Super_segment_with_a_complete_checksum_is_the_callers_mistake()
    {
        PacketSlot slot = TcpSlot(5000);
        slot.GsoSize = 1448;
        Assert.That(() => VirtioNetHeader.Encode(slot, new byte[VirtioNetHeader.Length]), Throws.ArgumentException);
    }

    [TestCase((byte)1, TestName = "Unfinished_checksum_of_icmp_is_the_callers_mistake")]
    [TestCase((byte)47, TestName = "Unfinished_checksum_of_gre_is_the_callers_mistake")]
    public void Unfinished_checksum_needs_tcp_or_udp(byte protocol)
    {
        PacketSlot slot = TcpSlot(100, protocol);
        slot.Checksum = ChecksumState.Partial;
        Assert.That(() => VirtioNetHeader.Encode(slot, new byte[VirtioNetHeader.Length]), Throws.ArgumentException);
    }

    private static PacketSlot TcpSlot(int length, byte protocol = 6)
    {
        PacketSlot slot = new() { Length = length };
        slot.Packet.Clear();
        slot.Packet[0] = 0x45;
        slot.Packet[9] = protocol;
        slot.Packet[32] = 0x50;
        return slot;
    }

    private static bool Decode(PacketSlot slot, VirtioNetHeader header)
    {
        byte[] octets = new byte[VirtioNetHeader.Length];
        MemoryMarshal.Write(octets, header);
        return VirtioNetHeader.TryDecode(octets, slot);
    }
}
