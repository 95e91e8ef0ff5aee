using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

public sealed class InternetChecksumTests
{
    [Test]
    [Spec("1071-1")]
    public void The_example_of_rfc_1071_adds_up()
    {
        byte[] octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        Assert.That(InternetChecksum.Fold(InternetChecksum.Sum(octets)), Is.EqualTo(0xddf2));
    }

    [Test]
    [Spec("1071-1")]
    public void Any_octets_at_any_alignment_sum_up_as_the_naive_loop_says() =>
        Gen.Select(Gen.Byte.Array[0, 3000], Gen.Int[0, 40], Gen.ULong[0, 0xFFFF_FFFF_FFFF]).Sample(
            (octets, skip, seed) =>
            {
                ReadOnlySpan<byte> span = octets.AsSpan(Math.Min(skip, octets.Length));
                return InternetChecksum.Fold(InternetChecksum.Sum(span, seed)) == Naive(span, seed);
            },
            iter: 2000);

    [Test]
    [Spec("1071-1")]
    public void No_carry_is_lost_in_the_longest_packet_of_ones([Values(65_535, 65_534, 65_532, 33)] int length)
    {
        byte[] octets = new byte[length];
        Array.Fill(octets, (byte)0xFF);
        Assert.That(InternetChecksum.Fold(InternetChecksum.Sum(octets, 0xFFFF_FFFF)), Is.EqualTo(Naive(octets, 0xFFFF_FFFF)));
    }

    [Test]
    [Spec("1071-1")]
    public void A_packet_with_its_checksum_is_valid_and_with_one_bit_flipped_is_not() =>
        Gen.Select(Gen.Byte.Array[4, 600], Gen.Int[0, int.MaxValue]).Sample(
            (octets, position) =>
            {
                octets[0] = octets[1] = 0;
                ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(octets));
                octets[0] = (byte)(checksum >> 8);
                octets[1] = (byte)checksum;
                bool isValid = InternetChecksum.IsValid(octets);
                octets[position / 8 % octets.Length] ^= (byte)(1 << (position % 8));
                return isValid && !InternetChecksum.IsValid(octets);
            },
            iter: 1000);

    [Test]
    [Spec("1624-1")]
    public void The_incremental_update_gives_what_a_full_sum_gives() =>
        Gen.Select(Gen.Byte.Array[20, 20], Gen.Int[1, 9], Gen.UShort).Sample(
            (octets, word, value) =>
            {
                octets[0] = octets[1] = 0;
                octets[2] |= 1; // a sum of zero has two forms; headers never have it
                octets[18] |= 1;
                ushort before = InternetChecksum.Finish(InternetChecksum.Sum(octets));
                ushort old = (ushort)((octets[word * 2] << 8) | octets[(word * 2) + 1]);
                ushort now = word is 1 or 9 ? (ushort)(value | 0x0101) : value;
                octets[word * 2] = (byte)(now >> 8);
                octets[(word * 2) + 1] = (byte)now;
                return InternetChecksum.Update(before, old, now) == InternetChecksum.Finish(InternetChecksum.Sum(octets));
            },
            iter: 2000);

    [Test]
    [Spec("1624-1")]
    public void The_example_of_rfc_1624_does_not_end_in_minus_zero() =>
        Assert.That(InternetChecksum.Update(0xDD2F, 0x5555, 0x3285), Is.EqualTo(0x0000));

    [Test]
    public void The_pseudo_header_counts_as_its_twelve_octets()
    {
        byte[] octets = [10, 1, 2, 3, 192, 168, 200, 201, 0, 17, 0x12, 0x34];
        ulong sum = InternetChecksum.PseudoHeader(Ipv4Address.Parse("10.1.2.3"), Ipv4Address.Parse("192.168.200.201"), 17, 0x1234);
        Assert.That(InternetChecksum.Fold(sum), Is.EqualTo(Naive(octets, 0)));
    }

    private static ushort Naive(ReadOnlySpan<byte> octets, ulong seed)
    {
        UInt128 sum = seed;
        for (int i = 0; i < octets.Length; i++)
        {
            sum += i % 2 == 0 ? (uint)octets[i] << 8 : octets[i];
        }

        while (sum > 0xFFFF)
        {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (ushort)sum;
    }
}
