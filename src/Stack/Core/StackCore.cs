using Tcpcrypt.Ip;
using Tcpcrypt.Tcp;

namespace Tcpcrypt.Core;

/// <summary>What a core is made of; validated by the API, copied on use.</summary>
internal sealed class StackCoreOptions
{
    public required IReadOnlyList<IPPrefixAddress> Addresses { get; init; }

    /// <summary>Empty: everything is reached through the link.</summary>
    public IReadOnlyList<StackRoute> Routes { get; init; } = [];

    public int Mtu { get; init; } = 1500;

    public TcpStackOptions Tcp { get; init; } = new();

    public bool RespondToEcho { get; init; } = true;

    public long MemoryLimit { get; init; } = 256L * 1024 * 1024;

    /// <summary>ICMP messages generated per second.</summary>
    public int IcmpPerSecond { get; init; } = 1000;

    public int ReassemblyMemory { get; init; } = 4 * 1024 * 1024;

    public TimeSpan ReassemblyTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The largest super-segment the core builds, in octets of IP packet; at most 65,535.</summary>
    public int MaxSuperSegment { get; init; } = 65_535;
}

/// <summary>
/// The deterministic core of one stack: packets, user calls and time in; packets, events and the next deadline out. It starts no thread, reads no clock,
/// owns no source of randomness and knows no lock; one owner at a time calls it.
/// </summary>
/// <remarks>
/// Order of calls: any of <see cref="OnPacket"/>, <see cref="OnTimeout"/> and user calls, as many as there are; then <see cref="TryEmit"/> until it returns
/// false (or a cap is reached: go on later); then <see cref="TryTakeEvent"/> until it returns false; then wait until <see cref="NextDeadline"/>.
/// <c>now</c> never decreases from call to call.
/// </remarks>
internal sealed class StackCore
{
    public StackCore(StackCoreOptions options, IRandomSource random)
    {
        Options = options;
        Random = random;
        Ip = new Ipv4Layer(this);
    }

    public StackCoreOptions Options { get; }
    public IRandomSource Random { get; }
    public StackCounters Counters { get; } = new();
    public DeadlineQueue Deadlines { get; } = new();
    public BlockPool Blocks => throw new NotImplementedException();
    public Ipv4Layer Ip { get; }
    public TcpLayer Tcp => throw new NotImplementedException();
    public IPacketTap? Tap { get; set; }

    /// <summary>A packet from the link. The slot stays the caller's and may be reused at once.</summary>
    public void OnPacket(TcpInstant now, PacketSlot packet) => throw new NotImplementedException();

    /// <summary>Runs everything that is due at <paramref name="now"/>.</summary>
    public void OnTimeout(TcpInstant now) => throw new NotImplementedException();

    /// <summary>Builds the next packet to send, if there is one; a super-segment when more than one segment goes out.</summary>
    public bool TryEmit(TcpInstant now, PacketSlot into) => throw new NotImplementedException();

    /// <summary>Takes one object that has news for its owner. Tell the owner with the core's lock released.</summary>
    public bool TryTakeEvent(out CoreObject source, out CoreEvents events) => throw new NotImplementedException();

    /// <summary>When <see cref="OnTimeout"/> must be called next; Never when nothing is pending.</summary>
    public TcpInstant NextDeadline => Deadlines.Next;

    /// <summary>Tells the core that <paramref name="source"/> has news for its owner.</summary>
    public void Raise(CoreObject source, CoreEvents events) => throw new NotImplementedException();

    /// <summary>An empty slot for a packet of ordinary size that a layer builds outside of <see cref="TryEmit"/> (replies, datagrams); null when the output queue is full (counted). Pass it to <see cref="Send"/>.</summary>
    public PacketSlot? RentOutput(int length) => throw new NotImplementedException();

    /// <summary>Queues a complete packet for <see cref="TryEmit"/>; packets to local addresses come back to <see cref="OnPacket"/>.</summary>
    public void Send(PacketSlot packet) => throw new NotImplementedException();

    /// <summary>Counts a dropped packet and shows it to the capture.</summary>
    public void Drop(TcpInstant now, DropReason reason, ReadOnlySpan<byte> packet)
    {
        Counters.CountDrop(reason);
        Tap?.OnDropped(now, packet, reason);
    }
}
