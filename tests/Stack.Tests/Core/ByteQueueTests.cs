using System.Buffers;
using System.Runtime.InteropServices;
using CsCheck;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tests;

public sealed class ByteQueueTests
{
    [Test]
    public void Random_operations_agree_with_a_list_of_octets() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 9000]).Array[1, 120].Sample(
            steps =>
            {
                BlockPool pool = new(long.MaxValue);
                ByteQueue queue = new(pool);
                List<byte> model = [];
                long head = 0;
                foreach ((int what, int value) in steps)
                {
                    switch (what)
                    {
                        case 0 or 1:
                            byte[] data = Packets.Pattern(value);
                            queue.Append(data);
                            model.AddRange(data);
                            break;
                        case 2:
                            Memory<byte> room = queue.GetRoom(value);
                            int count = Math.Min(value, room.Length);
                            room.Span[..count].Fill((byte)value);
                            queue.Advance(count);
                            model.AddRange(Enumerable.Repeat((byte)value, count));
                            break;
                        case 3:
                            int released = Math.Min(value, model.Count - (int)head);
                            head += released;
                            queue.Release(head);
                            break;
                        case 4:
                            byte[] read = new byte[value];
                            int got = queue.Read(read);
                            Assert.That(read.AsSpan(0, got).SequenceEqual(Slice(model, head, got)), Is.True);
                            Assert.That(got, Is.EqualTo(Math.Min(value, model.Count - head)));
                            head += got;
                            break;
                        default:
                            long from = head + (value % (model.Count - head + 1));
                            byte[] copy = new byte[Math.Min(2000, model.Count - from)];
                            queue.CopyTo(from, copy);
                            Assert.That(copy.AsSpan().SequenceEqual(Slice(model, from, copy.Length)), Is.True);
                            break;
                    }

                    Assert.That(queue.Head, Is.EqualTo(head));
                    Assert.That(queue.Tail, Is.EqualTo(model.Count));
                    Assert.That(queue.Peek().ToArray().AsSpan().SequenceEqual(Slice(model, head, (int)(model.Count - head))), Is.True);
                    Assert.That(queue.Length > 0 || pool.InUse == 0, Is.True, "an empty queue holds no block");
                }
            },
            iter: 100);

    [Test]
    public void A_producer_and_a_consumer_on_two_threads_lose_nothing()
    {
        const int Total = 8 * 1024 * 1024;
        BlockPool pool = new(long.MaxValue);
        ByteQueue queue = new(pool);
        Task producer = Task.Run(() =>
        {
            byte[] data = new byte[10_000];
            for (int sent = 0, size = 1; sent < Total; size = (size * 7 % 9973) + 1)
            {
                int count = Math.Min(size, Total - sent);
                for (int i = 0; i < count; i++)
                {
                    data[i] = Octet(sent + i);
                }

                if (queue.Length < 1024 * 1024)
                {
                    queue.Append(data.AsSpan(0, count));
                    sent += count;
                }
            }
        });

        byte[] read = new byte[5000];
        int received = 0;
        int wrong = 0;
        while (received < Total && !producer.IsFaulted)
        {
            int count = queue.Read(read);
            for (int i = 0; i < count; i++)
            {
                wrong += read[i] == Octet(received + i) ? 0 : 1;
            }

            received += count;
        }

        producer.GetAwaiter().GetResult();
        Assert.That(wrong, Is.Zero);
        Assert.That(queue.Length, Is.Zero);
        Assert.That(pool.InUse, Is.Zero);
    }

    [Test]
    public void What_is_discarded_gives_its_memory_back_and_so_does_what_comes_later()
    {
        BlockPool pool = new(long.MaxValue);
        ByteQueue queue = new(pool);
        queue.Append(Packets.Pattern(100_000));
        queue.Discard();
        Assert.That(pool.InUse, Is.Zero);
        queue.Append(Packets.Pattern(100_000));
        Assert.That(queue.Length, Is.Zero);
        Assert.That(pool.InUse, Is.Zero);
    }

    [Test]
    public void A_pool_reuses_blocks_counts_them_and_says_when_it_is_exhausted()
    {
        BlockPool pool = new(BlockPool.LargeSize + BlockPool.SmallSize);
        Block large = pool.Rent(0, BlockPool.SmallSize + 1);
        Block small = pool.Rent(0, 1);
        Assert.That(large.Octets, Has.Length.EqualTo(BlockPool.LargeSize));
        Assert.That(small.Octets, Has.Length.EqualTo(BlockPool.SmallSize));
        Assert.That(pool.IsExhausted, Is.True);
        pool.Return(large);
        Assert.That(pool.IsExhausted, Is.False);
        Assert.That(pool.InUse, Is.EqualTo(BlockPool.SmallSize));
        Assert.That(pool.Rent(5, BlockPool.LargeSize), Is.SameAs(large));
        Assert.That(large.Start, Is.EqualTo(5));
    }

    private static byte Octet(int position) => (byte)(position * 31 % 253);

    private static ReadOnlySpan<byte> Slice(List<byte> model, long from, int count) => CollectionsMarshal.AsSpan(model).Slice((int)from, count);
}
