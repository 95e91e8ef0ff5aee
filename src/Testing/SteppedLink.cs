namespace Tcpcrypt.Testing;

/// <summary>
/// A link between two stacks, on one virtual clock with both: delay, rate, queue, loss, reordering, duplication and corruption, all decided by the seed.
/// Made by <see cref="SteppedStack.Join"/>.
/// </summary>
/// <remarks>
/// Events run in the order of their time; at the same instant packets are delivered first, in the order they were sent, then the first stack's timers run,
/// then the second's. Not thread-safe.
/// </remarks>
public sealed class SteppedLink
{
    private readonly PriorityQueue<(SteppedStack To, byte[] Packet, LinkCounters Counters), (long TimeNs, long Order)> _inFlight = new();
    private readonly Wire _aToB;
    private readonly Wire _bToA;
    private long _order;

    internal SteppedLink(SteppedStack a, SteppedStack b, LinkOptions options, ulong seed)
    {
        options.Validate();
        A = a;
        B = b;
        _aToB = new Wire(options.AToB, seed * 2);
        _bToA = new Wire(options.BToA, (seed * 2) + 1);
    }

    /// <summary>The first stack.</summary>
    public SteppedStack A { get; }

    /// <summary>The second stack.</summary>
    public SteppedStack B { get; }

    /// <summary>The clock of the link and both stacks, in nanoseconds.</summary>
    public long NowNs => A.NowNs;

    /// <summary>Counters of the direction from the first stack to the second.</summary>
    public LinkCounters AToB => _aToB.Counters;

    /// <summary>Counters of the direction from the second stack to the first.</summary>
    public LinkCounters BToA => _bToA.Counters;

    /// <summary>Packets on their way.</summary>
    public int InFlight => _inFlight.Count;

    /// <summary>Called for each packet put on the link, with what becomes of it. It must not call into the stacks.</summary>
    public Action<LinkPacket>? Tap { get; set; }

    /// <summary>False = the cable is pulled: what is sent from now on is lost. Packets on their way still arrive.</summary>
    public bool IsUp { get; set; } = true;

    /// <summary>When something happens next, in nanoseconds: a packet arrives or a timer is due; null when all is still.</summary>
    public long? NextDeadlineNs
    {
        get
        {
            long next = Math.Min(A.OwnDeadlineNs ?? long.MaxValue, B.OwnDeadlineNs ?? long.MaxValue);
            if (_inFlight.TryPeek(out _, out (long TimeNs, long Order) first))
            {
                next = Math.Min(next, first.TimeNs);
            }

            return next == long.MaxValue ? null : next;
        }
    }

    /// <summary>Lets time pass: everything that happens up to and including <paramref name="ns"/>, in order; the clocks end at <paramref name="ns"/>.</summary>
    /// <param name="ns">The instant, in nanoseconds; an earlier one than now is taken for now.</param>
    public void RunUntil(long ns)
    {
        while (NextDeadlineNs is { } next && next <= ns)
        {
            Step();
        }

        A.AdvanceTo(ns);
        B.AdvanceTo(ns);
    }

    /// <summary>Moves the clocks to the next thing that happens and lets it happen: one packet arrives, or the timers of one stack run.</summary>
    /// <returns>False when nothing is going to happen.</returns>
    public bool Step()
    {
        if (NextDeadlineNs is not { } now)
        {
            return false;
        }

        A.AdvanceTo(now);
        B.AdvanceTo(now);
        if (_inFlight.TryPeek(out (SteppedStack To, byte[] Packet, LinkCounters Counters) next, out (long TimeNs, long Order) first) && first.TimeNs <= now)
        {
            _inFlight.Dequeue();
            next.Counters.Delivered++;
            next.To.Inject(next.Packet);
        }
        else
        {
            (A.OwnDeadlineNs <= now ? A : B).RunTimersAt(now);
        }

        return true;
    }

    /// <summary>Steps until nothing is going to happen any more: no packet on its way, no timer running.</summary>
    /// <param name="maxSteps">The most steps to take.</param>
    /// <returns>True when all is still; false when <paramref name="maxSteps"/> were not enough.</returns>
    public bool RunUntilIdle(int maxSteps = 1_000_000)
    {
        while (maxSteps-- > 0)
        {
            if (!Step())
            {
                return true;
            }
        }

        return NextDeadlineNs is null;
    }

    /// <summary>Steps until a condition holds. The condition is looked at before the first step and after each.</summary>
    /// <param name="until">The condition; it may call sockets.</param>
    /// <param name="limitNs">An instant, in nanoseconds, beyond which no step is taken; null = none.</param>
    /// <param name="maxSteps">The most steps to take.</param>
    /// <returns>True when the condition holds; false when it does not and nothing more may happen.</returns>
    public bool Run(Func<bool> until, long? limitNs = null, int maxSteps = 1_000_000)
    {
        ArgumentNullException.ThrowIfNull(until);
        while (!until())
        {
            if (maxSteps-- <= 0 || NextDeadlineNs is not { } next || next > limitNs)
            {
                return false;
            }

            Step();
        }

        return true;
    }

    internal void OnSent(SteppedStack from, byte[] packet)
    {
        Wire wire = from == A ? _aToB : _bToA;
        if (!IsUp || wire.Rewrite is not { } rewrite)
        {
            Send(from, wire, packet);
            return;
        }

        IReadOnlyList<byte[]> instead = rewrite(wire.Rewritten++, packet);
        if (instead.Count == 0)
        {
            Send(from, wire, packet, isSwallowed: true);
        }

        for (int i = 0; i < instead.Count; i++)
        {
            Send(from, wire, instead[i]);
        }
    }

    private void Send(SteppedStack from, Wire wire, byte[] packet, bool isSwallowed = false)
    {
        long number = wire.Counters.Sent++;
        wire.Counters.SentOctets += packet.Length;
        LinkFate fate = IsUp && !isSwallowed ? wire.Transmit(number, packet, out byte[] arrives, out long arrivalNs, from.NowNs) : wire.Lose(packet, out arrives, out arrivalNs);
        if (fate is not (LinkFate.Lost or LinkFate.QueueFull))
        {
            SteppedStack to = from == A ? B : A;
            _inFlight.Enqueue((to, arrives, wire.Counters), (arrivalNs, _order++));
            if (fate == LinkFate.Duplicated)
            {
                _inFlight.Enqueue((to, arrives, wire.Counters), (arrivalNs, _order++));
            }
        }

        Tap?.Invoke(new LinkPacket(from.NowNs, from == A, packet, fate));
    }

    /// <summary>One direction.</summary>
    private sealed class Wire(LinkDirection options, ulong seed)
    {
        private readonly SeededRandom _random = new(seed);
        private readonly Queue<long> _departures = new();
        private long _lastDepartureNs;
        private long _lastArrivalNs;

        public LinkCounters Counters { get; } = new();

        public Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>>? Rewrite => options.Rewrite;

        /// <summary>Packets given to <see cref="Rewrite"/>.</summary>
        public long Rewritten { get; set; }

        public LinkFate Lose(byte[] packet, out byte[] arrives, out long arrivalNs)
        {
            Counters.Lost++;
            arrives = packet;
            arrivalNs = 0;
            return LinkFate.Lost;
        }

        public LinkFate Transmit(long number, byte[] packet, out byte[] arrives, out long arrivalNs, long nowNs)
        {
            // Drawn whether used or not: switching one fault on leaves the others where they were.
            double loss = _random.NextDouble();
            double corrupt = _random.NextDouble();
            long bit = _random.NextBelow(packet.Length * 8L);
            double jitter = _random.NextDouble();
            double reorder = _random.NextDouble();
            double duplicate = _random.NextDouble();

            if (loss < options.Loss || options.Drop?.Invoke(number, packet) == true)
            {
                return Lose(packet, out arrives, out arrivalNs);
            }

            arrives = packet;
            arrivalNs = 0;
            LinkFate fate = LinkFate.Delivered;
            if (corrupt < options.Corrupt)
            {
                fate = LinkFate.Corrupted;
                arrives = [.. packet];
                arrives[bit / 8] ^= (byte)(1 << (int)(bit % 8));
            }

            if (!TrySerialize(packet.Length, nowNs, out long departureNs))
            {
                Counters.QueueFull++;
                return LinkFate.QueueFull;
            }

            arrivalNs = departureNs + Nanoseconds(options.Delay) + (long)(jitter * Nanoseconds(options.Jitter));
            if (reorder < options.Reorder)
            {
                arrivalNs += Nanoseconds(options.ReorderDelay);
                fate = fate == LinkFate.Delivered ? LinkFate.Reordered : fate;
                Counters.Reordered++;
            }
            else
            {
                arrivalNs = Math.Max(arrivalNs, _lastArrivalNs);
                _lastArrivalNs = arrivalNs;
            }

            // A corrupted packet is not doubled: its fate could not be told by one word.
            if (duplicate < options.Duplicate && fate != LinkFate.Corrupted)
            {
                fate = LinkFate.Duplicated;
                Counters.Duplicated++;
            }

            Counters.Corrupted += fate == LinkFate.Corrupted ? 1 : 0;
            return fate;
        }

        private static long Nanoseconds(TimeSpan time) => time.Ticks * 100;

        /// <summary>The transmitter: one packet after another at the link's rate, with a bounded queue.</summary>
        private bool TrySerialize(int octets, long nowNs, out long departureNs)
        {
            departureNs = nowNs;
            if (options.BitsPerSecond == 0)
            {
                return true;
            }

            while (_departures.TryPeek(out long gone) && gone <= nowNs)
            {
                _departures.Dequeue();
            }

            if (options.QueueLimit > 0 && _departures.Count >= options.QueueLimit)
            {
                return false;
            }

            long transmission = (long)(octets * 8L * (Int128)1_000_000_000 / options.BitsPerSecond);
            departureNs = Math.Max(nowNs, _lastDepartureNs) + transmission;
            _lastDepartureNs = departureNs;
            _departures.Enqueue(departureNs);
            return true;
        }
    }
}
