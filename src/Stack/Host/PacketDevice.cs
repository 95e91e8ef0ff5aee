namespace Tcpcrypt;

/// <summary>What a device accepts in <see cref="PacketQueue.Write"/>; what it lacks is done in software.</summary>
[Flags]
public enum PacketOffloads
{
    /// <summary>Only ordinary packets with complete checksums, not longer than the MTU.</summary>
    None = 0,

    /// <summary>Packets with <see cref="ChecksumState.Partial"/>.</summary>
    Checksum = 1,

    /// <summary>TCP super-segments with a <see cref="PacketSlot.GsoSize"/> (implies <see cref="Checksum"/>).</summary>
    Segmentation = 2,
}

/// <summary>A link that carries IPv4 packets: a TUN device, a pair in memory.</summary>
public abstract class PacketDevice : IAsyncDisposable
{
    /// <summary>The device's name, for logs and captures.</summary>
    public abstract string Name { get; }

    /// <summary>The largest packet on the link, in octets: 68 to 65,535 (super-segments aside).</summary>
    public abstract int Mtu { get; }

    /// <summary>What <see cref="PacketQueue.Write"/> accepts.</summary>
    public virtual PacketOffloads Offloads => PacketOffloads.None;

    /// <summary>The device's queues; each is driven by one loop thread.</summary>
    public abstract IReadOnlyList<PacketQueue> Queues { get; }

    /// <summary>Closes the device; a waiting <see cref="PacketQueue.Wait"/> returns.</summary>
    /// <returns>A task that ends when the device is closed.</returns>
    public abstract ValueTask DisposeAsync();
}

/// <summary>One queue of a <see cref="PacketDevice"/>. <see cref="Read"/>, <see cref="Write"/> and <see cref="Wait"/> are called by one owner at a time; <see cref="Wake"/> by anyone.</summary>
public abstract class PacketQueue
{
    /// <summary>Reads packets that are there, without waiting.</summary>
    /// <param name="batch">Slots to fill, from the first.</param>
    /// <returns>How many were filled; 0 when none is waiting.</returns>
    /// <exception cref="IOException">The device is gone.</exception>
    public abstract int Read(ReadOnlySpan<PacketSlot> batch);

    /// <summary>Writes packets, without waiting. The slots stay the caller's.</summary>
    /// <param name="batch">The packets, each within the device's <see cref="PacketDevice.Offloads"/>.</param>
    /// <returns>How many the device took; fewer than given when it is full.</returns>
    /// <exception cref="IOException">The device is gone.</exception>
    public abstract int Write(ReadOnlySpan<PacketSlot> batch);

    /// <summary>Waits until a packet can be read, <see cref="Wake"/> is called, or the time has passed.</summary>
    /// <param name="timeout">The longest time to wait; <see cref="Timeout.InfiniteTimeSpan"/> for no limit.</param>
    /// <exception cref="IOException">The device is gone.</exception>
    public abstract void Wait(TimeSpan timeout);

    /// <summary>Ends a <see cref="Wait"/>, or the next one when none is under way. Safe from any thread.</summary>
    public abstract void Wake();
}
