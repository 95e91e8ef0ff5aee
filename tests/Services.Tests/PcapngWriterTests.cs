namespace Tcpcrypt.Tests;

public class PcapngWriterTests
{
    [Test]
    public void Header_is_a_section_and_a_raw_interface_with_nanoseconds()
    {
        Assert.That(Convert.ToHexString(new PcapngWriter().WriteHeader("App", "tun0", 262_144).Span), Is.EqualTo(
            "0A0D0D0A" + "28000000" + "4D3C2B1A" + "0100" + "0000" + "FFFFFFFFFFFFFFFF"
            + "0400" + "0300" + "41707000"                                      // shb_userappl "App", padded
            + "00000000" + "28000000"
            + "01000000" + "28000000" + "6500" + "0000" + "00000400"            // LINKTYPE_RAW, snaplen
            + "0200" + "0400" + "74756E30"                                      // if_name
            + "0900" + "0100" + "09000000"                                      // if_tsresol 10^-9
            + "00000000" + "28000000"));
    }

    [Test]
    public void Packet_has_time_high_word_first_lengths_padding_flags_and_total_length_twice()
    {
        Assert.That(Convert.ToHexString(new PcapngWriter().WritePacket(0x1122334455667788, [1, 2, 3, 4, 5], 60, CaptureDirection.Inbound, null, 0).Span), Is.EqualTo(
            "06000000" + "34000000" + "00000000" + "44332211" + "88776655" + "05000000" + "3C000000"
            + "0102030405000000"
            + "0200" + "0400" + "01000000"                                      // epb_flags: inbound
            + "00000000" + "34000000"));
    }

    [Test]
    public void Comment_and_losses_are_options_of_the_packet()
    {
        Assert.That(Convert.ToHexString(new PcapngWriter().WritePacket(1, [1, 2, 3, 4], 4, CaptureDirection.Outbound, "dropped: X", 3).Span), Is.EqualTo(
            "06000000" + "4C000000" + "00000000" + "00000000" + "01000000" + "04000000" + "04000000"
            + "01020304"
            + "0100" + "0A00" + "64726F707065643A20580000"                      // opt_comment
            + "0200" + "0400" + "02000000"                                      // epb_flags: outbound
            + "0400" + "0800" + "0300000000000000"                              // epb_dropcount
            + "00000000" + "4C000000"));
    }

    [Test]
    public void Statistics_are_as_long_as_the_room_kept_for_them()
    {
        ReadOnlySpan<byte> block = new PcapngWriter().WriteStatistics(0x0000000200000001, 0x0000000400000003, 10, 2).Span;
        Assert.That(block.Length, Is.EqualTo(PcapngWriter.StatisticsLength));
        Assert.That(Convert.ToHexString(block), Is.EqualTo(
            "05000000" + "4C000000" + "00000000" + "04000000" + "03000000"
            + "0200" + "0800" + "02000000" + "01000000"                         // isb_starttime
            + "0300" + "0800" + "04000000" + "03000000"                         // isb_endtime
            + "0400" + "0800" + "0A00000000000000"                              // isb_ifrecv
            + "0500" + "0800" + "0200000000000000"                              // isb_ifdrop
            + "00000000" + "4C000000"));
    }

    [Test]
    public void Writer_is_reused_without_traces_of_the_block_before()
    {
        PcapngWriter writer = new();
        writer.WritePacket(1, new byte[1500], 1500, CaptureDirection.Inbound, "a long comment", 1);
        Assert.That(writer.WritePacket(1, [1], 1, CaptureDirection.Inbound, null, 0).ToArray(), Is.EqualTo(new PcapngWriter().WritePacket(1, [1], 1, CaptureDirection.Inbound, null, 0).ToArray()));
    }
}
