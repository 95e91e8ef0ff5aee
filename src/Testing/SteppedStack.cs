using System.Net;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Testing;

/// <summary>
/// A whole TCP/IP stack without threads, clock or chance: packets go in by <see cref="Inject(ReadOnlySpan{byte})"/>, come out by <see cref="TryTake"/>, and time passes when
/// <see cref="RunUntil"/> or <see cref="RunNextTimer"/> says so. When a call on the stack or one of its sockets returns, all work that it caused is done
/// and everything it sends can be taken. Any number of stacks live in one process; they share nothing.
/// </summary>
/// <remarks>Not thread-safe: one caller at a time. The same options and the same calls give the same packets, octet for octet.</remarks>
public sealed class SteppedStack
{
    /// <summary>More packets than this from one call means that the core does not come to rest.</summary>
    private const int MaxPacketsPerCall = 1_000_000;

    /// <summary>So many timer runs at one instant means that a timer does not move on.</summary>
    private const int MaxRunsPerInstant = 10_000;

    private readonly Queue<(long TimeNs, byte[] Packet)> _outbound = new();
    private readonly PacketSlot _inject = new();
    private readonly PacketSlot _emit = new();
    private readonly PacketSlot _segment = new();
    private long _nowNs;

    /// <summary>Makes a stack.</summary>
    /// <param name="options">What it is made of.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it.</exception>
    public SteppedStack(SteppedStackOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Random = new SeededRandom(options.Seed);
        _nowNs = options.StartNs;

        // A generator of its own: with tcpcrypt or without, the rest of the stack draws the same numbers.
        Workers = new SteppedWorkers(new SeededRandom(~options.Seed));
        StackCoreOptions core = options.ToCore(new SteppedTime(this));
        Core = new StackCore(core, Random);
        Core.Crypt?.Workers = Workers;
        Ports = new PortTable(this);
    }

    /// <summary>The virtual clock, in nanoseconds.</summary>
    public long NowNs => _nowNs;

    /// <summary>When the next timer is due, in nanoseconds; null when none is running. On a joined stack: when anything happens next, on either side or on the link.</summary>
    public long? NextDeadlineNs => Link is { } link ? link.NextDeadlineNs : OwnDeadlineNs;

    /// <summary>The link that the stack is joined to, or null.</summary>
    public SteppedLink? Link { get; private set; }

    /// <summary>Dropped packets by reason; reasons that never occurred are left out.</summary>
    public IReadOnlyDictionary<string, long> Drops
    {
        get
        {
            Dictionary<string, long> drops = [];
            for (DropReason reason = DropReason.None; reason < DropReason.Count; reason++)
            {
                if (Core.Counters[reason] > 0)
                {
                    drops.Add(reason.ToString(), Core.Counters[reason]);
                }
            }

            return drops;
        }
    }

    internal StackCore Core { get; }

    internal SeededRandom Random { get; }

    internal SteppedWorkers Workers { get; }

    internal PortTable Ports { get; }

    internal TcpInstant Now => new(_nowNs);

    internal long? OwnDeadlineNs => Core.NextDeadline is { IsNever: false } deadline ? Math.Max(deadline.Nanoseconds, _nowNs) : null;

    /// <summary>Joins two stacks by a link with seeded faults. From now on what one sends reaches the other and cannot be taken; both clocks, from the later one on, are the link's.</summary>
    /// <param name="a">One end.</param>
    /// <param name="b">The other end.</param>
    /// <param name="options">Delay, rate, queue and faults of each direction.</param>
    /// <param name="seed">Decides every loss, reordering, duplication and corruption.</param>
    /// <returns>The link, which drives both stacks.</returns>
    /// <exception cref="ArgumentException">The ends are the same stack, one of them is joined already, or an option is out of range.</exception>
    public static SteppedLink Join(SteppedStack a, SteppedStack b, LinkOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        ArgumentNullException.ThrowIfNull(options);
        if (a == b || a.Link is not null || b.Link is not null)
        {
            throw new ArgumentException("Join takes two different stacks, neither of them joined already.", a == b || b.Link is not null ? nameof(b) : nameof(a));
        }

        long now = Math.Max(a.NowNs, b.NowNs);
        a.RunUntil(now);
        b.RunUntil(now);
        SteppedLink link = new(a, b, options, seed);
        a.Attach(link);
        b.Attach(link);
        return link;
    }

    /// <summary>Gives the stack one IPv4 packet from the link, as if it arrived now. Nothing that it contains makes this throw.</summary>
    /// <param name="packet">The packet, IP header first: 0 to 65,535 octets. Copied.</param>
    /// <exception cref="ArgumentException">More than 65,535 octets: no IPv4 packet.</exception>
    public void Inject(ReadOnlySpan<byte> packet) => Inject(packet, 0);

    /// <summary>As <see cref="Inject(ReadOnlySpan{byte})"/>, a super-segment: what a device with receive offload makes of several TCP segments.</summary>
    /// <param name="packet">The packet, IP header first: 0 to 65,535 octets. Copied.</param>
    /// <param name="segmentSize">Payload octets of each segment that it was made of, but for the last; 0 = it is one.</param>
    /// <exception cref="ArgumentException">More than 65,535 octets: no IPv4 packet.</exception>
    public void Inject(ReadOnlySpan<byte> packet, int segmentSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(segmentSize);
        _inject.CopyFrom(packet);
        if (segmentSize > 0 && Ipv4Header.TryParse(packet, out Ipv4Header ip) == Ipv4ParseError.None && ip.Protocol == IpProtocol.Tcp && TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
        {
            _inject.GsoSize = tcp.Payload.Length > segmentSize ? segmentSize : 0;
            _inject.HeaderLength = ip.HeaderLength + tcp.HeaderLength;
        }

        Core.OnPacket(Now, _inject);
        Flush();
    }

    /// <summary>Takes the oldest packet that the stack has sent: never longer than the MTU, every checksum complete.</summary>
    /// <param name="timeNs">When it was sent, in nanoseconds.</param>
    /// <param name="packet">The packet, IP header first; the caller's to keep.</param>
    /// <returns>False when there is none, always so on a joined stack.</returns>
    public bool TryTake(out long timeNs, out byte[] packet)
    {
        if (_outbound.TryDequeue(out (long TimeNs, byte[] Packet) next))
        {
            (timeNs, packet) = next;
            return true;
        }

        timeNs = 0;
        packet = [];
        return false;
    }

    /// <summary>Lets time pass: runs every timer that is due up to and including <paramref name="ns"/>, in the order of the deadlines, each with the clock at its deadline, and leaves the clock at <paramref name="ns"/>.</summary>
    /// <param name="ns">The instant, in nanoseconds. An earlier one than <see cref="NowNs"/> is taken for now: the clock never goes back.</param>
    /// <remarks>On a joined stack this is <see cref="SteppedLink.RunUntil"/>.</remarks>
    public void RunUntil(long ns)
    {
        if (Link is { } link)
        {
            link.RunUntil(ns);
            return;
        }

        while (OwnDeadlineNs is { } deadline && deadline <= ns)
        {
            RunTimersAt(deadline);
        }

        AdvanceTo(ns);
    }

    /// <summary>Moves the clock to the next deadline and runs what is due then.</summary>
    /// <returns>False when no timer is running; the clock stays.</returns>
    /// <remarks>On a joined stack this is <see cref="SteppedLink.Step"/>.</remarks>
    public bool RunNextTimer()
    {
        if (Link is { } link)
        {
            return link.Step();
        }

        if (OwnDeadlineNs is not { } deadline)
        {
            return false;
        }

        RunTimersAt(deadline);
        return true;
    }

    /// <summary>Opens a non-blocking socket.</summary>
    /// <param name="tcp">True for TCP, false for UDP.</param>
    /// <returns>The socket.</returns>
    public SteppedSocket Socket(bool tcp) => new(tcp ? new TcpSocketCore(this) : new UdpSocketCore(this));

    internal void AdvanceTo(long ns) => _nowNs = Math.Max(_nowNs, ns);

    /// <summary>Runs what is due at <paramref name="deadline"/> with the clock there.</summary>
    internal void RunTimersAt(long deadline)
    {
        AdvanceTo(deadline);
        for (int runs = 0; Core.NextDeadline <= Now; runs++)
        {
            if (runs == MaxRunsPerInstant)
            {
                throw new InvalidOperationException($"A timer that is due at {Now.Nanoseconds} ns was run {runs} times and is still due: the core does not move its deadline on.");
            }

            Core.OnTimeout(Now);
            Flush();
        }
    }

    /// <summary>Does what the host does after each entry into the core: takes what it sends, cut and checksummed, and what it tells.</summary>
    internal void Flush()
    {
        do
        {
            Emit();
        }
        while (Workers.TryRun(Now));

        while (Core.TryTakeEvent(out CoreObject source, out CoreEvents events))
        {
            source.Owner?.OnCoreEvents(events);
        }
    }

    private void Emit()
    {
        for (int count = 0; TryEmit(); count++)
        {
            if (count == MaxPacketsPerCall)
            {
                throw new InvalidOperationException($"The core sent {count} packets at one instant without coming to rest.");
            }

            if (_emit.GsoSize > 0)
            {
                int segments = SoftwareOffload.SegmentCount(_emit);
                for (int index = 0; index < segments; index++)
                {
                    SoftwareOffload.Segment(_emit, index, _segment);
                    Enqueue(_segment);
                }
            }
            else
            {
                if (_emit.Checksum == ChecksumState.Partial)
                {
                    SoftwareOffload.CompleteChecksum(_emit);
                }

                Enqueue(_emit);
            }
        }
    }

    internal bool TryConvert(IPEndPoint endPoint, out Endpoint4 result)
    {
        bool isIPv4 = Ipv4Address.TryFrom(endPoint.Address, out Ipv4Address address);
        result = new Endpoint4(address, (ushort)endPoint.Port);
        return isIPv4;
    }

    /// <summary>The source address that a flow to <paramref name="remote"/> gets.</summary>
    internal bool TryGetSource(Ipv4Address remote, out Ipv4Address source)
    {
        bool isReachable = Core.Ip.TryRoute(remote, out Ipv4Route route);
        source = route.Source;
        return isReachable;
    }

    /// <summary>The next packet to send. A core that talks to itself interrupts its output now and then for the host's sake (its deadline is then in the past): here nobody else waits.</summary>
    private bool TryEmit()
    {
        for (int interruptions = 0; interruptions < MaxRunsPerInstant; interruptions++)
        {
            if (Core.TryEmit(Now, _emit))
            {
                return true;
            }

            if (Core.NextDeadline != TcpInstant.Zero)
            {
                return false;
            }
        }

        return false;
    }

    private void Attach(SteppedLink link)
    {
        Link = link;
        while (_outbound.TryDequeue(out (long TimeNs, byte[] Packet) early))
        {
            link.OnSent(this, early.Packet);
        }
    }

    private void Enqueue(PacketSlot slot)
    {
        if (slot.Length > Core.Options.Mtu)
        {
            throw new InvalidOperationException($"The core sent a packet of {slot.Length} octets over a link with an MTU of {Core.Options.Mtu}.");
        }

        byte[] packet = slot.Packet.ToArray();
        if (Link is { } link)
        {
            link.OnSent(this, packet);
        }
        else
        {
            _outbound.Enqueue((_nowNs, packet));
        }
    }
}
