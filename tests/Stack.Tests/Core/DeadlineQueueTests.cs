using CsCheck;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tests;

public sealed class DeadlineQueueTests
{
    private sealed class Item : DeadlineItem
    {
        public TcpInstant At { get; set; } = TcpInstant.Never;

        public override TcpInstant Deadline => At;

        public override void OnDeadline(TcpInstant now)
        {
        }
    }

    [Test]
    public void Random_operations_agree_with_a_sorted_list() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 39], Gen.Long[0, 100]).Array[0, 400].Sample(
            steps =>
            {
                DeadlineQueue queue = new();
                Item[] items = [.. Enumerable.Range(0, 40).Select(_ => new Item())];
                HashSet<Item> queued = [];
                long now = 0;
                foreach ((int what, int which, long value) in steps)
                {
                    Item item = items[which];
                    switch (what)
                    {
                        case 0 or 1 or 2:
                            // Earlier, later or for the first time.
                            item.At = new TcpInstant(now + value);
                            queue.Update(item);
                            queued.Add(item);
                            break;
                        case 3:
                            // A deadline that goes away needs no telling.
                            item.At = TcpInstant.Never;
                            if (value % 2 == 0)
                            {
                                queue.Update(item);
                            }

                            queued.Remove(item);
                            break;
                        case 4:
                            queue.Remove(item);
                            queued.Remove(item);
                            item.At = TcpInstant.Never;
                            break;
                        default:
                            now += value / 4;
                            List<long> due = [];
                            while (queue.TryTakeExpired(new TcpInstant(now), out DeadlineItem taken))
                            {
                                due.Add(((Item)taken).At.Nanoseconds);
                                Assert.That(queued.Remove((Item)taken), Is.True);
                            }

                            Assert.That(due, Is.Ordered);
                            Assert.That(queued, Has.None.Matches<Item>(left => left!.At.Nanoseconds <= now));
                            break;
                    }

                    Assert.That(queue.Next, Is.EqualTo(queued.Count == 0 ? TcpInstant.Never : queued.Min(left => left.At)));
                }
            },
            iter: 300);

    [Test]
    public void A_deadline_that_moved_later_in_silence_is_not_due_early()
    {
        DeadlineQueue queue = new();
        Item item = new() { At = new(10) };
        queue.Update(item);
        item.At = new(20);
        Assert.That(queue.TryTakeExpired(new(15), out _), Is.False);
        Assert.That(queue.TryTakeExpired(new(20), out DeadlineItem taken), Is.True);
        Assert.That(taken, Is.SameAs(item));
        Assert.That(queue.Count, Is.Zero);
    }
}
