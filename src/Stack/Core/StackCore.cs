using Tcpcrypt.Ip;
using Tcpcrypt.Tcp;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;

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

    /// <summary>Packets that may wait in the output queue besides what connections hold back themselves.</summary>
    public int OutputQueueLimit { get; init; } = 2048;

    /// <summary>The largest super-segment the core builds, in octets of IP packet; at most 65,535.</summary>
    public int MaxSuperSegment { get; init; } = 65_535;

    /// <summary>tcpcrypt; null: this stack has none.</summary>
    public Tcp.Crypt.CryptLayerOptions? Crypt { get; init; }
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
    /// <summary>Packets looped back within one <see cref="TryEmit"/> before the owner gets a turn for other things.</summary>
    private const int LoopLimit = 64;

    private readonly Queue<PacketSlot> _output = new();
    private readonly Stack<PacketSlot> _free = new();
    private readonly Queue<CoreObject> _events = new();
    private readonly int _slotCapacity;
    private bool _isLoopInterrupted;

    public StackCore(StackCoreOptions options, IRandomSource random)
    {
        Options = options;
        Random = random;
        Blocks = new BlockPool(options.MemoryLimit);
        _slotCapacity = Math.Max(options.Mtu, 1500);
        Ip = new Ipv4Layer(this);
        Icmp = new IcmpLayer(this);
        Udp = new UdpLayer(this);
        Tcp = new TcpLayer(this);
        Crypt = options.Crypt is { } crypt ? new Tcpcrypt.Tcp.Crypt.CryptLayer(crypt, Counters) : null;
    }

    public StackCoreOptions Options { get; }
    public IRandomSource Random { get; }
    public StackCounters Counters { get; } = new();
    public DeadlineQueue Deadlines { get; } = new();
    public BlockPool Blocks { get; }
    public Ipv4Layer Ip { get; }
    public IcmpLayer Icmp { get; }
    public UdpLayer Udp { get; }
    public TcpLayer Tcp { get; }

    /// <summary>tcpcrypt's shared part; null where the stack has none.</summary>
    public Tcpcrypt.Tcp.Crypt.CryptLayer? Crypt { get; }
    public IPacketTap? Tap { get; set; }

    /// <summary>When <see cref="OnTimeout"/> must be called next; Never when nothing is pending. In the past when output was interrupted: call <see cref="TryEmit"/> again.</summary>
    public TcpInstant NextDeadline => _isLoopInterrupted ? TcpInstant.Zero : Deadlines.Next;

    /// <summary>A packet from the link. The slot stays the caller's and may be reused at once.</summary>
    public void OnPacket(TcpInstant now, PacketSlot packet)
    {
        Tap?.OnPacket(now, packet.Packet, packet.GsoSize, outbound: false);
        Ip.OnPacket(now, packet);
    }

    /// <summary>Runs everything that is due at <paramref name="now"/>.</summary>
    public void OnTimeout(TcpInstant now)
    {
        while (Deadlines.TryTakeExpired(now, out DeadlineItem item))
        {
            item.OnDeadline(now);
            Deadlines.Update(item);
        }
    }

    /// <summary>Builds the next packet to send, if there is one; a super-segment when more than one segment goes out. Packets to local addresses are looped on the way.</summary>
    public bool TryEmit(TcpInstant now, PacketSlot into)
    {
        _isLoopInterrupted = false;
        for (int loops = 0; TryBuild(now, into); loops++)
        {
            if (!Ip.IsLocalAddress(Ipv4Address.Read(into.Packet[16..])))
            {
                Tap?.OnPacket(now, into.Packet, into.GsoSize, outbound: true);
                Counters.IpOutRequests++;
                Counters.IpOutOctets += into.Length;
                return true;
            }

            Ip.OnPacket(now, into, isLooped: true);
            if (loops == LoopLimit)
            {
                _isLoopInterrupted = true;
                return false;
            }
        }

        return false;
    }

    /// <summary>Takes one object that has news for its owner. Tell the owner with the core's lock released.</summary>
    public bool TryTakeEvent(out CoreObject source, out CoreEvents events)
    {
        if (_events.TryDequeue(out source!))
        {
            events = source.PendingEvents;
            source.PendingEvents = CoreEvents.None;
            source.IsEventQueued = false;
            return true;
        }

        events = CoreEvents.None;
        return false;
    }

    /// <summary>Tells the core that <paramref name="source"/> has news for its owner. Without an owner the news is its state.</summary>
    public void Raise(CoreObject source, CoreEvents events)
    {
        source.PendingEvents |= events;
        if (!source.IsEventQueued && source.Owner is not null)
        {
            source.IsEventQueued = true;
            _events.Enqueue(source);
        }
    }

    /// <summary>An empty slot for a packet of ordinary size that a layer builds outside of <see cref="TryEmit"/> (replies, datagrams); null when the output queue is full (counted). Pass it to <see cref="Send"/>.</summary>
    public PacketSlot? RentOutput(int length)
    {
        if (_output.Count >= Options.OutputQueueLimit)
        {
            Counters.CountDrop(DropReason.OutputQueueFull);
            return null;
        }

        PacketSlot slot = length > _slotCapacity ? new PacketSlot(length) : _free.TryPop(out PacketSlot? free) ? free : new PacketSlot(_slotCapacity);
        slot.Clear();
        return slot;
    }

    /// <summary>Queues a complete packet for <see cref="TryEmit"/>; packets to local addresses come back to <see cref="OnPacket"/>.</summary>
    public void Send(PacketSlot packet) => _output.Enqueue(packet);

    /// <summary>Counts a dropped packet and shows it to the capture.</summary>
    public void Drop(TcpInstant now, DropReason reason, ReadOnlySpan<byte> packet)
    {
        Counters.CountDrop(reason);
        Tap?.OnDropped(now, packet, reason);
    }

    private bool TryBuild(TcpInstant now, PacketSlot into)
    {
        if (!_output.TryDequeue(out PacketSlot? slot))
        {
            return Tcp.TryEmit(now, into);
        }

        into.CopyFrom(slot);
        if (slot.Capacity == _slotCapacity)
        {
            _free.Push(slot);
        }

        return true;
    }
}
