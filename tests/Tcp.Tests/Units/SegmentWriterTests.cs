using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

public sealed class SegmentWriterTests
{
    [Test]
    [Spec("9293-MUST-2")]
    public void What_is_written_parses_back()
    {
        Gen.Select(Gen.UInt, Gen.UInt, Gen.UShort, Gen.Byte, Gen.Int[0, 10], Gen.Int[0, 1400], Gen.UShort).Sample(
            (seq, ack, window, flags, optionWords, payload, urgent) =>
            {
                PacketSlot slot = new(1500);
                byte[] options = [.. Enumerable.Repeat(TcpOptionKind.NoOperation, optionWords * 4)];
                byte[] data = new byte[payload];
                new Random(payload).NextBytes(data);
                data.CopyTo(slot.Room.Span[SegmentWriter.PayloadOffset(options.Length)..]);
                FourTuple tuple = new(new Ipv4Address(seq), 1, new Ipv4Address(ack), 0xFFFF);
                SegmentWriter.Write(
                    slot,
                    new SegmentFields
                    {
                        Tuple = tuple,
                        Seq = new Seq<Local>(seq),
                        Ack = new Seq<Remote>(ack),
                        Flags = (TcpFlags)flags,
                        Window = window,
                        UrgentPointer = urgent,
                        Identification = window,
                        TimeToLive = 64,
                        TypeOfService = 0xB8,
                        Options = options,
                    },
                    payload);
                Assert.That(slot.Checksum, Is.EqualTo(ChecksumState.Partial));
                SoftwareOffload.CompleteChecksum(slot);

                Assert.That(Ipv4Header.TryParse(slot.Packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
                Assert.That((ip.Source, ip.Destination, ip.Identification, ip.TimeToLive, ip.TypeOfService, ip.IsDontFragment), Is.EqualTo((tuple.Local.Address, tuple.Remote.Address, window, (byte)64, (byte)0xB8, true)));
                Assert.That(InternetChecksum.IsValid(ip.Payload, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Tcp, ip.Payload.Length)), Is.True);
                Assert.That(TcpHeader.TryParse(ip.Payload, out TcpHeader tcp), Is.True);
                Assert.That((tcp.SourcePort, tcp.DestinationPort, tcp.Seq.Value, tcp.Ack.Value), Is.EqualTo(((ushort)1, (ushort)0xFFFF, seq, ack)));
                Assert.That((tcp.Flags, tcp.Window, tcp.UrgentPointer, tcp.Options.Length), Is.EqualTo(((TcpFlags)flags, window, urgent, options.Length)));
                Assert.That(tcp.Payload.SequenceEqual(data), Is.True);
            },
            iter: 500,
            seed: "0000KOIPe036");
    }

    [Test]
    [Spec("9293-MUST-7")]
    public void Any_forty_octets_of_options_are_walked_to_an_end()
    {
        Gen.Byte.Array[0, 40].Sample(
            octets =>
            {
                TcpOptionReader reader = new(octets);
                int count = 0;
                int length = 0;
                while (reader.MoveNext())
                {
                    count++;
                    length += 2 + reader.Current.Content.Length;
                }

                Assert.That(count, Is.LessThanOrEqualTo(20));
                Assert.That(length, Is.LessThanOrEqualTo(octets.Length));
                SynOptions.Parse(octets);
            },
            iter: 20_000,
            seed: "0000KOIPe036");
    }

    [Test]
    public void A_syn_has_the_layout_that_linux_sends()
    {
        Testing.SteppedStack stack = new(new Testing.SteppedStackOptions());
        Testing.SteppedSocket socket = stack.Socket(tcp: true);
        socket.Connect(new System.Net.IPEndPoint(System.Net.IPAddress.Parse("10.0.0.1"), 80));
        Assert.That(stack.TryTake(out _, out byte[] packet), Is.True);
        Assert.That(TcpHeader.TryParse(packet.AsSpan(20), out TcpHeader tcp), Is.True);
        byte[] options = tcp.Options.ToArray();
        Assert.That(options, Has.Length.EqualTo(20));
        Assert.That(options[..8], Is.EqualTo(new byte[] { 2, 4, 0x05, 0xB4, 4, 2, 8, 10 }), "mss 1460, sackOK, TS");
        Assert.That(options[12..], Is.EqualTo(new byte[] { 0, 0, 0, 0, 1, 3, 3, 7 }), "TSecr 0, nop, wscale 7 for 6 MiB");
    }

    [Test]
    public void The_option_writer_lays_out_each_option()
    {
        byte[] area = new byte[40];
        TcpOptionWriter writer = new(area);
        writer.MaximumSegmentSize(1460);
        writer.NoOperation();
        writer.WindowScale(7);
        writer.SackPermitted();
        Assert.That(writer.Written.ToArray(), Is.EqualTo(new byte[] { 2, 4, 5, 0xB4, 1, 3, 3, 7, 4, 2 }));

        writer = new(area);
        writer.Timestamps(0x0102_0304, 0x0506_0708);
        Assert.That(writer.Written.ToArray(), Is.EqualTo(new byte[] { 8, 10, 1, 2, 3, 4, 5, 6, 7, 8 }));

        writer = new(area);
        writer.Sack([new SackBlock(new Seq<Remote>(0xFFFF_FFF0), new Seq<Remote>(0x10)), new SackBlock(new Seq<Remote>(0x20), new Seq<Remote>(0x30))]);
        Assert.That(writer.Written.ToArray(), Is.EqualTo(new byte[] { 5, 18, 0xFF, 0xFF, 0xFF, 0xF0, 0, 0, 0, 0x10, 0, 0, 0, 0x20, 0, 0, 0, 0x30 }));
    }
}
