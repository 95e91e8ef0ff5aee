using System.Collections.Concurrent;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Interop;

/// <summary>
/// The path between two sites: a TUN device in each site's namespace, and this in between. It sees every packet, and so is the attacker, too: rules drop, change, hold, copy and forge.
/// </summary>
internal sealed class Wire : IAsyncDisposable
{
    private readonly TunDevice _left;
    private readonly TunDevice _right;
    private readonly Thread[] _threads;
    private readonly Lock _lock = new();
    private readonly List<WirePacket> _log = [];
    private readonly List<Rule> _rules = [];
    private readonly ConcurrentQueue<Exception> _faults = new();
    private readonly PacketSlot _out = new();
    private volatile bool _stopping;

    /// <summary>Starts to relay, and takes over the devices.</summary>
    public Wire(TunDevice left, TunDevice right)
    {
        (_left, _right) = (left, right);
        _threads = [Start(left, Heading.ToRight), Start(right, Heading.ToLeft)];
    }

    /// <summary>What passed or was to pass, before any rule changed it, in order.</summary>
    public IReadOnlyList<WirePacket> Log
    {
        get
        {
            lock (_lock)
            {
                return [.. _log];
            }
        }
    }

    /// <summary>Adds a rule: what is to be sent instead of each packet of a kind. The first rule that fits decides, and has one turn less; without any left it is no rule any more.</summary>
    /// <param name="which">The packets meant.</param>
    /// <param name="instead">What is sent in their place, in either direction; checksums are made right.</param>
    /// <param name="times">For how many packets.</param>
    public Rule On(Func<WirePacket, bool> which, Func<WirePacket, IEnumerable<WirePacket>> instead, int times = 1)
    {
        Rule rule = new(which, instead, times);
        lock (_lock)
        {
            _rules.Add(rule);
        }

        return rule;
    }

    /// <summary>Loses packets.</summary>
    public Rule Lose(Func<WirePacket, bool> which, int times = 1) => On(which, static _ => [], times);

    /// <summary>Delivers packets twice.</summary>
    public Rule Repeat(Func<WirePacket, bool> which, int times = 1) => On(which, static packet => [packet, packet.Clone()], times);

    /// <summary>Changes packets on their way.</summary>
    public Rule Change(Func<WirePacket, bool> which, Action<WirePacket> change, int times = 1) => On(
        which,
        packet =>
        {
            change(packet);
            return [packet];
        },
        times);

    /// <summary>Delivers packets, and something else before each.</summary>
    public Rule Precede(Func<WirePacket, bool> which, Func<WirePacket, WirePacket> forge, int times = 1) => On(which, packet => [forge(packet.Clone()), packet], times);

    /// <summary>Holds a packet back until another one of its direction has passed.</summary>
    public Rule Swap(Func<WirePacket, bool> which)
    {
        WirePacket? held = null;
        return On(
            packet => held is not null ? packet.Heading == held.Heading : which(packet),
            packet =>
            {
                if (held is { } first)
                {
                    held = null;
                    return [packet, first];
                }

                held = packet;
                return [];
            },
            2);
    }

    /// <summary>Moves the sequence numbers of one direction, as some firewalls do: the first one becomes <paramref name="isn"/>. SACK blocks stay as they are.</summary>
    public void RewriteIsn(Heading heading, uint isn)
    {
        uint? shift = null;
        On(
            packet => (packet.Heading == heading && (packet.Flags & WirePacket.Syn) != 0) || shift is not null,
            packet =>
            {
                if (packet.Heading == heading)
                {
                    shift ??= isn - packet.Seq;
                    packet.Seq += shift.Value;
                }
                else if ((packet.Flags & WirePacket.Ack) != 0)
                {
                    packet.AckNumber -= shift!.Value;
                }

                return [packet];
            },
            int.MaxValue);
    }

    /// <summary>Sends a packet now.</summary>
    public void Inject(WirePacket packet)
    {
        lock (_lock)
        {
            Write(packet);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        _left.Queues[0].Wake();
        _right.Queues[0].Wake();
        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        await _left.DisposeAsync();
        await _right.DisposeAsync();
        Assert.That(_faults, Is.Empty, "what the wire threw");
    }

    private Thread Start(TunDevice from, Heading heading)
    {
        Thread thread = new(() => Relay(from.Queues[0], heading)) { IsBackground = true, Name = $"wire {heading}" };
        thread.Start();
        return thread;
    }

    private void Relay(PacketQueue from, Heading heading)
    {
        PacketSlot[] slots = [new()];
        try
        {
            while (!_stopping)
            {
                from.Wait(TimeSpan.FromSeconds(1));
                while (!_stopping && from.Read(slots) > 0)
                {
                    Pass(heading, slots[0].Packet);
                }
            }
        }
        catch (Exception fault)
        {
            _faults.Enqueue(fault);
        }
    }

    private void Pass(Heading heading, ReadOnlySpan<byte> octets)
    {
        if (octets.Length == 0 || octets[0] >> 4 != 4)
        {
            return; // the kernels' IPv6
        }

        WirePacket packet = new(heading, octets);
        lock (_lock)
        {
            if (!WirePacket.IsTcp(octets))
            {
                Write(packet);
                return;
            }

            _log.Add(packet.Clone());
            Rule? rule = _rules.FirstOrDefault(rule => rule.TryTake(packet));
            if (rule is null)
            {
                Write(packet);
                return;
            }

            foreach (WirePacket instead in rule.Instead(packet))
            {
                instead.FixChecksums();
                Write(instead);
            }
        }
    }

    // Under the lock.
    private void Write(WirePacket packet)
    {
        _out.Clear();
        packet.Octets.CopyTo(_out.Room.Span);
        _out.Length = packet.Octets.Length;
        (packet.Heading == Heading.ToRight ? _right : _left).Queues[0].Write([_out]);
    }

    /// <summary>What happens to some packets.</summary>
    internal sealed class Rule(Func<WirePacket, bool> which, Func<WirePacket, IEnumerable<WirePacket>> instead, int times)
    {
        private volatile int _left = times;
        private volatile int _applied;

        /// <summary>How many packets it was applied to. A test asserts it: what never happened is no test.</summary>
        public int Applied => _applied;

        /// <summary>It is a rule no more.</summary>
        public void Stop() => _left = 0;

        internal bool TryTake(WirePacket packet)
        {
            if (_left == 0 || !which(packet))
            {
                return false;
            }

            _left -= _left == int.MaxValue ? 0 : 1;
            _applied++;
            return true;
        }

        internal IEnumerable<WirePacket> Instead(WirePacket packet) => instead(packet);
    }
}
