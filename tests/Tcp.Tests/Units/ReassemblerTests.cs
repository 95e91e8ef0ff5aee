using CsCheck;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.Tests.Units;

public sealed class ReassemblerTests
{
    private const int Space = 300;

    private static byte[] Octets(int seed, int count)
    {
        byte[] octets = new byte[count];
        new Random(seed).NextBytes(octets);
        return octets;
    }

    private static List<(long Start, long End)> RangesOf(Reassembler reassembler)
    {
        Span<(long Start, long End)> ranges = stackalloc (long, long)[Reassembler.RangeLimit];
        return [.. ranges[..reassembler.GetSackRanges(ranges)].ToArray().OrderBy(range => range.Item1)];
    }

    /// <summary>Against the plainest model there is: one optional octet per offset, the first one wins.</summary>
    [Test]
    public void Behaves_as_a_map_of_octets()
    {
        Gen<(int Start, int Length, int Seed)[]> inserts = Gen.Select(Gen.Int[1, Space - 60], Gen.Int[1, 60], Gen.Int[0, 1000]).Array[1, 40];
        inserts.Sample(
            operations =>
            {
                BlockPool pool = new(long.MaxValue);
                Reassembler reassembler = new(pool);
                byte?[] model = new byte?[Space];
                foreach ((int start, int length, int seed) in operations)
                {
                    byte[] octets = Octets(seed, length);
                    bool isConflict = false;
                    bool isDuplicate = true;
                    for (int i = 0; i < length; i++)
                    {
                        isConflict |= model[start + i] is { } held && held != octets[i];
                        isDuplicate &= model[start + i] is not null;
                        model[start + i] ??= octets[i];
                    }

                    Assert.That(reassembler.Insert(start, octets, long.MaxValue, out bool conflict, out bool duplicate), Is.True);
                    Assert.That((conflict, duplicate), Is.EqualTo((isConflict, isDuplicate)));
                    Assert.That(reassembler.Length, Is.EqualTo(model.Count(octet => octet is not null)));
                    Assert.That(RangesOf(reassembler), Is.EqualTo(Ranges(model)));
                }

                // Fill each gap in turn: what follows it must come out whole.
                ByteQueue queue = new(pool);
                List<byte> expected = [];
                for (int offset = 0; offset < Space; offset++)
                {
                    if (model[offset] is { } octet)
                    {
                        expected.Add(octet);
                    }
                    else
                    {
                        queue.Append([7]);
                        expected.Add(7);
                        reassembler.MoveTo(queue, offset + 1);
                    }
                }

                byte[] actual = new byte[Space];
                Assert.That(queue.Read(actual), Is.EqualTo(Space));
                Assert.That(actual, Is.EqualTo(expected));
                Assert.That((reassembler.IsEmpty, reassembler.Length, reassembler.Memory, pool.InUse), Is.EqualTo((true, 0L, 0L, 0L)));
            },
            iter: 2000,
            seed: "0000KOIPe036");
    }

    /// <summary>RFC 2018 §4: the range that changed last, then those that were reported most recently; all of them true, none twice.</summary>
    [Test]
    [Spec("2018-4")]
    public void Sack_ranges_are_those_held_the_latest_first() =>
        Gen.Select(Gen.Int[1, Space - 60], Gen.Int[1, 30]).Array[1, 40].Sample(
            operations =>
            {
                BlockPool pool = new(long.MaxValue);
                Reassembler reassembler = new(pool);
                byte?[] model = new byte?[Space];
                List<int> latest = [];
                Span<(long Start, long End)> blocks = stackalloc (long, long)[4];
                foreach ((int start, int length) in operations)
                {
                    reassembler.Insert(start, new byte[length], long.MaxValue, out _, out _);
                    model.AsSpan(start, length).Fill(0);
                    latest.Insert(0, start);
                    List<(long Start, long End)> ranges = Ranges(model);
                    List<(long Start, long End)> expected = [.. latest.Select(offset => ranges.Find(range => range.Start <= offset && offset < range.End)).Distinct().Take(3)];
                    (long, long)[] actual = blocks[..reassembler.GetSackRanges(blocks)].ToArray();
                    Assert.That(actual, Is.SubsetOf(ranges).And.Unique);
                    Assert.That(actual, Has.Length.EqualTo(Math.Min(ranges.Count, 4)));
                    Assert.That(actual[0], Is.EqualTo(expected[0]), "the range that holds what has just come");
                }
            },
            iter: 1000,
            seed: "0000KOIPe036");

    /// <summary>With limits: what is held is what came first, as far as a limit let it, and memory stays below.</summary>
    [Test]
    public void A_limit_is_kept_and_what_is_held_stays_right() =>
        Gen.Select(Gen.Int[1, 60_000], Gen.Int[1, 9_000], Gen.Int[0, 20], Gen.Int[0, 9]).Array[1, 40].Sample(
            operations =>
            {
                BlockPool pool = new(long.MaxValue);
                Reassembler reassembler = new(pool);
                ByteQueue queue = new(pool);
                bool[] held = new bool[70_000];
                long next = 0;
                foreach ((int start, int length, int limit, int what) in operations)
                {
                    long before = reassembler.Memory;
                    if (what == 0)
                    {
                        // The stream goes on up to there.
                        for (; next < start; next++)
                        {
                            held[next] = true;
                        }

                        next += reassembler.MoveTo(null, next);
                    }
                    else if (start > next)
                    {
                        long octets = reassembler.Length;
                        bool isHeld = reassembler.Insert(start, new byte[length], limit * 16_384L, out _, out _);
                        Assert.That(reassembler.Memory, Is.LessThanOrEqualTo(Math.Max(before, limit * 16_384L)));
                        octets = reassembler.Length - octets;
                        for (int i = start; i < start + length && octets > 0; i++)
                        {
                            octets -= held[i] ? 0 : 1;
                            held[i] = true;
                        }

                        Assert.That(!isHeld || Array.TrueForAll(held[start..(start + length)], static octet => octet), "what was not refused is held");
                    }

                    Assert.That(pool.InUse, Is.EqualTo(reassembler.Memory));
                    List<(long Start, long End)> ranges = RangesOf(reassembler);
                    Assert.That(ranges.TrueForAll(range => range.Start > next && Array.TrueForAll(held[(int)range.Start..(int)range.End], static octet => octet)), "ranges are ahead, and of what came");
                }

                reassembler.Clear();
                Assert.That((reassembler.Memory, pool.InUse, queue.Length), Is.EqualTo((0L, 0L, 0L)));
            },
            iter: 500,
            seed: "0000KOIPe036");

    /// <summary>Nothing behind the FIN is delivered, whatever is held there.</summary>
    [Test]
    public void What_lies_behind_the_end_of_the_stream_is_thrown_away() =>
        Gen.Select(Gen.Int[1, 200], Gen.Int[1, 60], Gen.Int[1, 200], Gen.Int[0, 250]).Sample(
            (start, length, tail, end) =>
            {
                end = Math.Max(end, tail);
                BlockPool pool = new(long.MaxValue);
                Reassembler reassembler = new(pool);
                ByteQueue queue = new(pool);
                queue.Append(new byte[tail]);
                reassembler.Insert(start, Octets(start, length), long.MaxValue, out _, out _);
                bool isReached = start <= tail;
                int expected = isReached ? Math.Max(0, Math.Min(start + length, end) - tail) : 0;
                Assert.That(reassembler.MoveTo(queue, tail, end), Is.EqualTo(expected));
                byte[] all = new byte[tail + expected];
                Assert.That(queue.Read(all), Is.EqualTo(all.Length));
                Assert.That(all[tail..], Is.EqualTo(expected == 0 ? [] : Octets(start, length)[(tail - start)..(tail - start + expected)]));
                Assert.That(reassembler.IsEmpty, Is.EqualTo(isReached));
            },
            iter: 2000,
            seed: "0000KOIPe036");

    private static List<(long Start, long End)> Ranges(byte?[] model)
    {
        List<(long, long)> ranges = [];
        for (int i = 0; i < model.Length; i++)
        {
            if (model[i] is not null)
            {
                int start = i;
                while (i < model.Length && model[i] is not null)
                {
                    i++;
                }

                ranges.Add((start, i));
            }
        }

        return ranges;
    }

    [Test]
    public void The_number_of_gaps_is_limited()
    {
        BlockPool pool = new(long.MaxValue);
        Reassembler reassembler = new(pool);
        for (int i = 0; i < Reassembler.RangeLimit; i++)
        {
            Assert.That(reassembler.Insert(10 + (i * 2), [1], long.MaxValue, out _, out _), Is.True);
        }

        Assert.That(reassembler.Insert(1_000_000, [1], long.MaxValue, out _, out _), Is.False);
        Assert.That(reassembler.RangeCount, Is.EqualTo(Reassembler.RangeLimit));
        Assert.That(reassembler.Insert(11, [2], long.MaxValue, out _, out _), Is.True, "filling a gap is always possible");
        Assert.That(reassembler.RangeCount, Is.EqualTo(Reassembler.RangeLimit - 1));
        reassembler.Clear();
        Assert.That((pool.InUse, reassembler.Memory, reassembler.Length), Is.EqualTo((0L, 0L, 0L)));
    }

    [Test]
    public void Memory_counts_blocks_and_is_limited()
    {
        BlockPool pool = new(long.MaxValue);
        Reassembler reassembler = new(pool);
        int held = 0;
        while (reassembler.Insert(10 + (held * 2), [1], 10 * BlockPool.SmallSize, out _, out _))
        {
            held++;
        }

        Assert.That(held, Is.EqualTo(10));
        Assert.That(reassembler.Memory, Is.EqualTo(pool.InUse).And.EqualTo(10 * BlockPool.SmallSize));
        reassembler.Clear();
        Assert.That(pool.InUse, Is.Zero);
    }

    [Test]
    [Spec("2018-2")]
    public void Sack_ranges_come_latest_first()
    {
        Reassembler reassembler = new(new BlockPool(long.MaxValue));
        foreach (int start in (int[])[100, 200, 300, 400, 500])
        {
            reassembler.Insert(start, new byte[10], long.MaxValue, out _, out _);
        }

        Assert.That(Sack(reassembler, 4), Is.EqualTo(new[] { (500L, 510L), (400, 410), (300, 310), (200, 210) }));
        reassembler.Insert(210, new byte[5], long.MaxValue, out _, out _);
        Assert.That(Sack(reassembler, 3), Is.EqualTo(new[] { (200L, 215L), (500, 510), (400, 410) }));
        reassembler.Insert(410, new byte[90], long.MaxValue, out _, out _);
        Assert.That(Sack(reassembler, 3), Is.EqualTo(new[] { (400L, 510L), (200, 215), (300, 310) }), "two became one and are told once");
    }

    [Test]
    [Spec("2018-2")]
    public void A_repeated_segment_is_reported_first_too()
    {
        Reassembler reassembler = new(new BlockPool(long.MaxValue));
        foreach (int start in (int[])[100, 200, 300])
        {
            reassembler.Insert(start, new byte[10], long.MaxValue, out _, out _);
        }

        reassembler.Insert(100, new byte[10], long.MaxValue, out _, out bool isDuplicate);
        Assert.That(isDuplicate, Is.True);
        Assert.That(Sack(reassembler, 2)[0], Is.EqualTo((100L, 110L)), "RFC 2018 §4: the first block holds the segment that triggered the ACK");
    }

    private static (long, long)[] Sack(Reassembler reassembler, int count)
    {
        Span<(long Start, long End)> ranges = stackalloc (long, long)[count];
        return ranges[..reassembler.GetSackRanges(ranges)].ToArray();
    }
}
