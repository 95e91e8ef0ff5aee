using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

public sealed class MemoryLinkTests
{
    [Test]
    public async Task Packets_arrive_in_order_with_everything_that_is_known_of_them()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair();
        PacketSlot[] slots = [new(), new(), new()];
        slots[0].CopyFrom([1, 2, 3]);
        slots[1].CopyFrom(new byte[60_000]);
        slots[1].GsoSize = 1460;
        slots[1].HeaderLength = 40;
        slots[1].Checksum = ChecksumState.Partial;
        slots[2].CopyFrom([4]);
        slots[2].Checksum = ChecksumState.Verified;
        Assert.That(first.Queues[0].Write(slots), Is.EqualTo(3));

        PacketSlot[] into = [new(), new()];
        Assert.That(second.Queues[0].Read(into), Is.EqualTo(2));
        Assert.That(into[0].Packet.ToArray(), Is.EqualTo(new byte[] { 1, 2, 3 }));
        Assert.That((into[1].Length, into[1].GsoSize, into[1].HeaderLength, into[1].Checksum), Is.EqualTo((60_000, 1460, 40, ChecksumState.Partial)));
        Assert.That(second.Queues[0].Read(into), Is.EqualTo(1));
        Assert.That((into[0].Length, into[0].GsoSize, into[0].Checksum), Is.EqualTo((1, 0, ChecksumState.Verified)));
        Assert.That(second.Queues[0].Read(into), Is.Zero);
        Assert.That(first.Queues[0].Read(into), Is.Zero);
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Test]
    public async Task A_full_queue_takes_no_more_and_wakes_the_writer_when_it_is_read()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair(queueLength: 2);
        PacketSlot[] slots = [.. Enumerable.Range(0, 3).Select(_ => new PacketSlot())];
        Array.ForEach(slots, slot => slot.CopyFrom([9]));
        Assert.That(first.Queues[0].Write(slots), Is.EqualTo(2));
        Assert.That(first.Queues[0].Write(slots), Is.Zero);
        Task waiting = Task.Run(() => first.Queues[0].Wait(Timeout.InfiniteTimeSpan));
        Assert.That(second.Queues[0].Read(slots.AsSpan(0, 1)), Is.EqualTo(1));
        await waiting;
        Assert.That(first.Queues[0].Write(slots), Is.EqualTo(1));
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Test]
    public async Task Super_segments_are_bounded_by_octets()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair();
        PacketSlot slot = new();
        slot.CopyFrom(new byte[60_000]);
        slot.GsoSize = 1000;
        int count = 0;
        while (first.Queues[0].Write([slot]) == 1)
        {
            count++;
        }

        Assert.That(count, Is.InRange(10, 20));
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Test]
    public async Task Wait_ends_by_a_packet_by_wake_and_by_time()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair();
        PacketSlot slot = new();
        slot.CopyFrom([1]);
        Task waiting = Task.Run(() => second.Queues[0].Wait(Timeout.InfiniteTimeSpan));
        first.Queues[0].Write([slot]);
        await waiting;
        second.Queues[0].Wait(Timeout.InfiniteTimeSpan);        // it is still there
        Assert.That(second.Queues[0].Read([slot]), Is.EqualTo(1));

        second.Queues[0].Wake();
        second.Queues[0].Wait(Timeout.InfiniteTimeSpan);        // a wake before the wait counts
        waiting = Task.Run(() => second.Queues[0].Wait(Timeout.InfiniteTimeSpan));
        second.Queues[0].Wake();
        await waiting;
        second.Queues[0].Wait(TimeSpan.FromMilliseconds(5));
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Test]
    public async Task A_closed_end_is_gone_for_its_owner_and_a_pulled_cable_for_the_peer()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair();
        Task waiting = Task.Run(() => first.Queues[0].Wait(Timeout.InfiniteTimeSpan));
        await first.DisposeAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<IOException>());
        Assert.That(() => first.Queues[0].Read([new PacketSlot()]), Throws.InstanceOf<IOException>());
        Assert.That(() => first.Queues[0].Write([new PacketSlot()]), Throws.InstanceOf<IOException>());
        PacketSlot slot = new();
        slot.CopyFrom([1]);
        Assert.That(second.Queues[0].Write([slot]), Is.EqualTo(1));
        Assert.That(second.Queues[0].Read([slot]), Is.Zero);
        await second.DisposeAsync();
    }

    [Test]
    public async Task What_the_link_cannot_carry_is_a_callers_error()
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair(mtu: 600, offloads: PacketOffloads.None);
        PacketSlot slot = new();
        slot.CopyFrom(new byte[601]);
        Assert.That(() => first.Queues[0].Write([slot]), Throws.ArgumentException);
        slot.GsoSize = 500;
        Assert.That(() => first.Queues[0].Write([slot]), Throws.ArgumentException);
        slot.CopyFrom([1]);
        slot.Checksum = ChecksumState.Partial;
        Assert.That(() => first.Queues[0].Write([slot]), Throws.ArgumentException);
        Assert.That(() => MemoryLink.CreatePair(mtu: 67), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => MemoryLink.CreatePair(queueLength: 0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        await first.DisposeAsync();
        await second.DisposeAsync();
    }
}
