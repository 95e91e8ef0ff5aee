using System.Buffers.Binary;
using CsCheck;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>What is written is read back: TCP options in any order that fits.</summary>
public sealed class OptionCodecTests
{
    private static readonly Gen<(int Kind, uint First, uint Second, int Count)> s_option = Gen.Select(Gen.Int[0, 6], Gen.UInt, Gen.UInt, Gen.Int[0, 4]);

    [Test]
    [Spec("9293-MUST-4")]
    public void Options_that_are_written_are_read_back() =>
        s_option.Array[0, 8].Sample(
            options =>
            {
                TcpOptionWriter writer = new(new byte[TcpHeader.MaxOptionsLength]);
                List<(byte Kind, string Content)> written = [];
                foreach ((int kind, uint first, uint second, int count) in options)
                {
                    byte[]? option = Write(ref writer, kind, first, second, count);
                    if (option is not null)
                    {
                        written.Add((option[0], Convert.ToHexString(option.AsSpan(2))));
                    }
                }

                writer.Pad();
                Assert.That(writer.Length % 4, Is.Zero);
                TcpOptionReader reader = new(writer.Written);
                List<(byte, string)> read = [];
                while (reader.MoveNext())
                {
                    read.Add((reader.Current.Kind, Convert.ToHexString(reader.Current.Content)));
                }

                Assert.That(reader.IsMalformed, Is.False);
                Assert.That(read, Is.EqualTo(written));
            },
            iter: 20_000,
            seed: "0000KOIPe036");

    [Test]
    [Spec("7323-2.2")]
    public void The_options_of_a_syn_are_read_back() =>
        Gen.Select(Gen.Int[1, 65_535], Gen.Int[0, 255], Gen.UInt, Gen.UInt, Gen.Int[0, 15], Gen.Int[0, 23]).Sample(
            (mss, shift, tsVal, tsEcr, present, order) =>
            {
                TcpOptionWriter writer = new(new byte[TcpHeader.MaxOptionsLength]);
                List<int> kinds = [0, 1, 2, 3];
                for (int left = 4; left > 0; order /= left--)
                {
                    int kind = kinds[order % left];
                    kinds.Remove(kind);
                    switch ((present & (1 << kind)) == 0 ? -1 : kind)
                    {
                        case 0:
                            writer.MaximumSegmentSize(mss);
                            break;
                        case 1:
                            writer.WindowScale((byte)shift);
                            break;
                        case 2:
                            writer.SackPermitted();
                            break;
                        case 3:
                            writer.Timestamps(tsVal, tsEcr);
                            break;
                        default:
                            writer.NoOperation();
                            break;
                    }
                }

                SynOptions expected = new()
                {
                    MaximumSegmentSize = (present & 1) != 0 ? (ushort)mss : null,
                    WindowScale = (present & 2) != 0 ? (byte)shift : null,
                    SackPermitted = (present & 4) != 0,
                    HasTimestamps = (present & 8) != 0,
                    TsVal = (present & 8) != 0 ? tsVal : 0,
                    TsEcr = (present & 8) != 0 ? tsEcr : 0,
                };
                Assert.That(SynOptions.Parse(writer.Written), Is.EqualTo(expected));
            },
            iter: 5000,
            seed: "0000KOIPe036");

    /// <summary>Any octets: an end, and what is read lies in them, in order.</summary>
    [Test]
    [Spec("9293-MUST-7")]
    public void Any_octets_are_read_as_what_a_plain_loop_finds() =>
        Gen.Frequency((2, Gen.Byte), (3, Gen.Int[0, 12].Select(static octet => (byte)octet))).Array[0, 40].Sample(
            octets =>
            {
                List<int> expected = [];
                int at = 0;
                while (at < octets.Length && octets[at] != 0)
                {
                    if (octets[at] == 1)
                    {
                        at++;
                        continue;
                    }

                    int length = at + 1 < octets.Length ? octets[at + 1] : 0;
                    if (length < 2 || at + length > octets.Length)
                    {
                        expected.Add(-1);
                        break;
                    }

                    expected.Add(at);
                    at += length;
                }

                TcpOptionReader reader = new(octets);
                List<int> actual = [];
                while (reader.MoveNext())
                {
                    Assert.That(reader.Current.Content.Overlaps(octets, out int offset) || reader.Current.Content.IsEmpty);
                    actual.Add(reader.Current.Content.IsEmpty ? expected[actual.Count] : -offset - 2);
                    Assert.That(reader.Current.Kind, Is.EqualTo(octets[actual[^1]]));
                }

                if (reader.IsMalformed)
                {
                    actual.Add(-1);
                }

                Assert.That(actual, Is.EqualTo(expected));
            },
            iter: 20_000,
            seed: "0000KOIPe036");

    /// <summary>Writes an option if it fits; what it should be read as, or null.</summary>
    private static byte[]? Write(ref TcpOptionWriter writer, int kind, uint first, uint second, int count)
    {
        int length = kind switch { 0 => 4, 1 => 2, 2 => 10, 3 => 3, 4 => 2 + (8 * count), 5 => 2 + count, _ => 1 };
        if (writer.Length + length > TcpHeader.MaxOptionsLength)
        {
            return null;
        }

        byte[] option = new byte[length];
        switch (kind)
        {
            case 0:
                writer.MaximumSegmentSize((ushort)first);
                BinaryPrimitives.WriteUInt16BigEndian(option.AsSpan(2), (ushort)first);
                option[0] = 2;
                break;
            case 1:
                writer.SackPermitted();
                option[0] = 4;
                break;
            case 2:
                writer.Timestamps(first, second);
                BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(2), first);
                BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(6), second);
                option[0] = 8;
                break;
            case 3:
                writer.WindowScale((byte)first);
                option[2] = (byte)first;
                option[0] = 3;
                break;
            case 4:
                SackBlock[] blocks = new SackBlock[count];
                for (int i = 0; i < count; i++)
                {
                    blocks[i] = new SackBlock(new Seq<Remote>(first + (uint)i), new Seq<Remote>(second - (uint)i));
                    BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(2 + (8 * i)), first + (uint)i);
                    BinaryPrimitives.WriteUInt32BigEndian(option.AsSpan(6 + (8 * i)), second - (uint)i);
                }

                writer.Sack(blocks);
                option[0] = 5;
                break;
            case 5:
                byte[] content = new byte[count];
                content.AsSpan().Fill((byte)first);
                writer.Option(69, content);
                content.CopyTo(option, 2);
                option[0] = 69;
                break;
            default:
                writer.NoOperation();
                return null;
        }

        return option;
    }
}
