using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>What happens to a path beyond what a link does to single packets: losses in bursts, outages, hosts that sleep, a narrow router in the middle.</summary>
internal sealed class PathFaults
{
    /// <summary>Bursts are counted in packets, and a sender that backs off sends few: without an end by time one would outlast R2.</summary>
    private const long LongestBurstNs = 1_000_000_000;

    private static readonly Ipv4Address s_router = new(0x0A00_00FE);

    private readonly Queue<(bool ToA, byte[] Packet)> _icmp = new();
    private readonly double _burst;
    private readonly double _burstEnd;
    private readonly int _pathMtu;
    private readonly bool _isSilent;
    private readonly long _narrowNs;
    private readonly List<(long FromNs, long ToNs)> _outages = [];
    private readonly List<(long AtNs, long ByNs)> _sleeps = [];
    private int _sleep;
    private long _nextNs;

    public PathFaults(Random random, int leastMtu)
    {
        if (random.Next(4) == 0)
        {
            _burst = random.NextDouble() * 0.02;
            _burstEnd = 0.05 + (random.NextDouble() * 0.5);
        }

        for (int outages = random.Next(4) == 0 ? random.Next(1, 4) : 0; outages > 0; outages--)
        {
            long from = random.NextInt64(5_000_000_000);
            _outages.Add((from, from + random.NextInt64(1_000_000, 2_000_000_000)));
        }

        for (int sleeps = random.Next(5) == 0 ? random.Next(1, 4) : 0; sleeps > 0; sleeps--)
        {
            _sleeps.Add((random.NextInt64(random.Next(2) == 0 ? 300_000_000 : 3_000_000_000), random.NextInt64(1_000_000, 30_000_000_000)));
        }

        _sleeps.Sort();
        _pathMtu = random.Next(5) == 0 && leastMtu > 576 ? random.Next(576, leastMtu) : 0;
        MemoryLimit = random.Next(6) == 0 ? random.Next(300_000, 2_000_000) : 256L * 1024 * 1024;
        SeedAToB = random.Next();
        SeedBToA = random.Next();

        // Out of what is drawn already: the seeds of before are what they were.
        _isSilent = (SeedAToB & 1) == 0;
        _narrowNs = _isSilent && (SeedBToA & 1) == 0 ? SeedBToA : 0;
    }

    public long MemoryLimit { get; }

    /// <summary>The narrow router says nothing: only probing finds out (RFC 4821).</summary>
    public bool HasBlackHole => _pathMtu > 0 && _isSilent;

    /// <summary>A router in the middle takes less than the hosts' links, and says so or not.</summary>
    public bool IsNarrow => _pathMtu > 0;

    public bool IsMemoryShort => MemoryLimit < 10_000_000;

    /// <summary>Hosts sleep so long that a handshake of tcpcrypt, which has ten seconds, may be over when they wake.</summary>
    public bool OutlastsHandshakes => AsleepNs > 8_000_000_000;

    /// <summary>How much longer packets may be on their way since the hosts sleep.</summary>
    public long AsleepNs => _sleeps.Sum(static sleep => sleep.ByNs);

    private int SeedAToB { get; }

    private int SeedBToA { get; }

    /// <summary>The link with these faults in it.</summary>
    public LinkOptions Apply(LinkOptions link) => new()
    {
        AToB = link.AToB with { Drop = Dropper(SeedAToB, fromA: true) },
        BToA = link.BToA with { Drop = Dropper(SeedBToA, fromA: false) },
    };

    /// <summary>Before each event: the cable, the clock, and what the router in the middle has to say.</summary>
    public void Run(SteppedLink link)
    {
        long now = link.NowNs;
        _nextNs = Math.Max(link.NextDeadlineNs ?? now, now);
        link.IsUp = !_outages.Exists(outage => _nextNs >= outage.FromNs && _nextNs < outage.ToNs);
        if (_sleep < _sleeps.Count && now >= _sleeps[_sleep].AtNs)
        {
            // Time has passed, and nobody was there to see it: packets and timers are late.
            long wake = now + _sleeps[_sleep++].ByNs;
            link.A.AdvanceTo(wake);
            link.B.AdvanceTo(wake);
        }

        while (_icmp.TryDequeue(out (bool ToA, byte[] Packet) next))
        {
            (next.ToA ? link.A : link.B).Inject(next.Packet);
        }
    }

    public override string ToString() =>
        $"{(_burst > 0 ? $", bursts {_burst:P2} end {_burstEnd:P0}" : "")}{(_outages.Count > 0 ? $", {_outages.Count} outages" : "")}{(_sleeps.Count > 0 ? $", {_sleeps.Count} sleeps" : "")}"
        + $"{(_pathMtu > 0 ? $", path MTU {_pathMtu}{(_isSilent ? $" from {_narrowNs / 1e9:0.000} s on, untold" : "")}" : "")}{(IsMemoryShort ? $", {MemoryLimit} octets of memory" : "")}";

    private Func<long, ReadOnlyMemory<byte>, bool>? Dropper(int seed, bool fromA)
    {
        if (_burst == 0 && _pathMtu == 0)
        {
            return null;
        }

        // Gilbert's model: a good state without losses, a bad one without deliveries.
        Random random = new(seed);
        bool isBad = false;
        long goodNs = 0;
        return (_, packet) =>
        {
            bool wasBad = isBad && _nextNs < goodNs;
            isBad = random.NextDouble() < (wasBad ? 1 - _burstEnd : _burst);
            goodNs = isBad && !wasBad ? _nextNs + LongestBurstNs : goodNs;
            if (isBad)
            {
                return true;
            }

            if (_pathMtu == 0 || packet.Length <= _pathMtu || _nextNs < _narrowNs || (packet.Span[6] & 0x40) == 0)
            {
                return false;
            }

            if (!_isSilent)
            {
                _icmp.Enqueue((fromA, Segments.Unreachable(s_router, packet.Span, UnreachableCode.FragmentationNeeded, _pathMtu)));
            }

            return true;
        };
    }
}
