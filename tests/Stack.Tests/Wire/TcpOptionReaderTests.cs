using CsCheck;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

public sealed class TcpOptionReaderTests
{
    [Test]
    public void The_options_of_a_linux_syn_are_understood()
    {
        byte[] options = [2, 4, 0x05, 0xB4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 3, 1, 3, 3, 7];
        SynOptions syn = SynOptions.Parse(options);
        Assert.That(syn, Is.EqualTo(new SynOptions { MaximumSegmentSize = 1460, SackPermitted = true, HasTimestamps = true, TsVal = 9, TsEcr = 3, WindowScale = 7 }));
    }

    [TestCase(new byte[] { 2, 0, 5, 180 }, TestName = "length 0")]
    [TestCase(new byte[] { 2, 1, 5, 180 }, TestName = "length 1")]
    [TestCase(new byte[] { 1, 1, 1, 2 }, TestName = "a kind without its length")]
    [TestCase(new byte[] { 2, 5, 5, 180 }, TestName = "length past the header")]
    [TestCase(new byte[] { 250, 255, 0, 0 }, TestName = "unknown kind, length 255")]
    [Spec("9293-MUST-7")]
    public void An_illegal_length_stops_the_walk_and_is_told(byte[] options)
    {
        TcpOptionReader reader = new(options);
        Assert.That(reader.MoveNext(), Is.False);
        Assert.That(reader.IsMalformed, Is.True);
        Assert.That(reader.MoveNext(), Is.False);
        Assert.That(SynOptions.Parse(options).IsMalformed, Is.True);
    }

    [Test]
    [Spec("9293-MUST-6")]
    [Spec("9293-MUST-68")]
    public void Unknown_kinds_are_skipped_by_their_length()
    {
        SynOptions syn = SynOptions.Parse([99, 2, 100, 6, 1, 2, 3, 4, 2, 4, 2, 0]);
        Assert.That(syn, Is.EqualTo(new SynOptions { MaximumSegmentSize = 512 }));
    }

    [Test]
    public void What_follows_the_end_of_the_list_is_not_read()
    {
        SynOptions syn = SynOptions.Parse([1, 0, 2, 4, 2, 0]);
        Assert.That(syn, Is.EqualTo(default(SynOptions)));
    }

    [TestCase(new byte[] { 2, 3, 5 }, TestName = "MSS of length 3")]
    [TestCase(new byte[] { 3, 4, 5, 5 }, TestName = "window scale of length 4")]
    [TestCase(new byte[] { 4, 3, 0 }, TestName = "SACK permitted of length 3")]
    [TestCase(new byte[] { 8, 9, 0, 0, 0, 0, 0, 0, 0 }, TestName = "timestamps of length 9")]
    [TestCase(new byte[] { 2, 4, 0, 0 }, TestName = "MSS 0")]
    public void An_option_of_the_wrong_length_or_value_counts_as_absent(byte[] options) =>
        Assert.That(SynOptions.Parse(options), Is.EqualTo(default(SynOptions)));

    [Test]
    public void Any_octets_end_and_what_is_read_lies_inside() =>
        Gen.Byte.Array[0, 40].Sample(
            octets =>
            {
                TcpOptionReader reader = new(octets);
                int steps = 0;
                int read = 0;
                while (reader.MoveNext())
                {
                    steps++;
                    read += 2 + reader.Current.Content.Length;
                }

                return steps <= 20 && read <= octets.Length;
            },
            iter: 20_000);
}
