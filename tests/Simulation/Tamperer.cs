using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>
/// Somebody on the path who sees what passes: takes resets away, so that a host seems to have crashed; sends things on many times over, adds copies whose numbers are outside of any window, lies by ICMP about what he has seen, and where a MAC
/// covers it alters headers and puts the checksums right. Streams stay whole, and connections go on.
/// </summary>
internal sealed class Tamperer
{
    private const byte Mac = 70;

    /// <summary>What a router may claim to take, likely or not.</summary>
    private static readonly int[] s_mtus = [0, 1, 67, 68, 69, 296, 552, 576, 1006, 1280, 1499, 1500, 9000, 65_535];

    private static readonly Ipv4Address s_router = new(0x0A00_00FD);

    private readonly Queue<(bool ToA, byte[] Packet)> _icmp = new();
    private readonly double _storm;
    private readonly double _copy;
    private readonly double _lie;
    private readonly double _alter;
    private readonly double _loseResets;
    private readonly int _seedAToB;
    private readonly int _seedBToA;

    public Tamperer(Random random, bool encrypts)
    {
        _storm = random.Next(8) == 0 ? random.NextDouble() * 0.02 : 0;
        _copy = random.Next(8) == 0 ? random.NextDouble() * 0.1 : 0;
        _lie = random.Next(8) == 0 ? random.NextDouble() * 0.05 : 0;
        _alter = random.Next(4) == 0 && encrypts ? random.NextDouble() * 0.05 : 0;
        _seedAToB = random.Next();
        _seedBToA = random.Next();
        _loseResets = random.Next(4) == 0 ? random.NextDouble() : 0;
    }

    /// <summary>Not all that is seen on the link was sent by its ends.</summary>
    public bool Misleads => _copy + _alter > 0;

    public bool LosesResets => _loseResets > 0;

    /// <summary>A copy may have become a SYN: who is connecting anew believes it, whatever its number (RFC 9293 §3.5, simultaneous open).</summary>
    public bool MayForgeSyn => _copy > 0;

    public LinkOptions Apply(LinkOptions link) => _storm + _copy + _lie + _alter + _loseResets == 0 ? link : new()
    {
        AToB = link.AToB with { Rewrite = Rewriter(_seedAToB, fromA: true, link.AToB.Rewrite) },
        BToA = link.BToA with { Rewrite = Rewriter(_seedBToA, fromA: false, link.BToA.Rewrite) },
    };

    /// <summary>Before each event: what was said by ICMP arrives.</summary>
    public void Run(SteppedLink link)
    {
        while (_icmp.TryDequeue(out (bool ToA, byte[] Packet) next))
        {
            (next.ToA ? link.A : link.B).Inject(next.Packet);
        }
    }

    public override string ToString() =>
        $"{(_storm > 0 ? $", storms {_storm:P1}" : "")}{(_copy > 0 ? $", altered copies {_copy:P1}" : "")}{(_lie > 0 ? $", ICMP lies {_lie:P1}" : "")}{(_alter > 0 ? $", altered headers {_alter:P1}" : "")}{(_loseResets > 0 ? $", resets lost {_loseResets:P0}" : "")}";

    private Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>> Rewriter(int seed, bool fromA, Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>>? inner)
    {
        Random random = new(seed);
        return (number, seen) =>
        {
            List<byte[]> passed = [];
            foreach (byte[] packet in inner?.Invoke(number, seen) ?? [seen.ToArray()])
            {
                Pass(random, fromA, packet, passed);
            }

            return passed;
        };
    }

    private void Pass(Random random, bool fromA, byte[] packet, List<byte[]> passed)
    {
        (double storm, double copy, double lie, double alter) = (random.NextDouble(), random.NextDouble(), random.NextDouble(), random.NextDouble());
        if (!Segments.IsSegment(packet))
        {
            passed.Add(packet);
            return;
        }

        if ((Segments.Flags(packet) & TcpFlags.Rst) != 0 && random.NextDouble() < _loseResets)
        {
            return;
        }

        // A SYN is believed as it is, and an error about it may well be true.
        bool isSyn = (Segments.Flags(packet) & TcpFlags.Syn) != 0;
        if (lie < _lie && !isSyn)
        {
            _icmp.Enqueue((fromA, Lie(random, packet)));
        }

        if (copy < _copy && !isSyn)
        {
            passed.Add(Segments.Altered(packet, 24, Segments.Seq(packet) + (uint)random.Next(1 << 30, int.MaxValue), (TcpFlags)(random.Next(2) == 0 ? packet[33] : random.Next(64))));
        }

        passed.Add(alter < _alter && Segments.HasOption(packet, Mac) ? Alter(random, packet) : packet);
        for (int more = storm < _storm ? random.Next(1, 100) : 0; more > 0; more--)
        {
            passed.Add(packet);
        }
    }

    /// <summary>One octet behind the ports: numbers, flags, window, urgent pointer, options; or of what routers change.</summary>
    private static byte[] Alter(Random random, byte[] packet)
    {
        byte[] altered = [.. packet];
        int at = random.Next(8) switch { 0 => 1, 1 => 8, 2 => random.Next(4, 6), _ => random.Next(24, Segments.DataAt(packet)) };
        altered[at] ^= (byte)random.Next(1, 256);
        return Segments.Fixed(altered);
    }

    private static byte[] Lie(Random random, byte[] packet)
    {
        (int type, int code) = random.Next(4) switch
        {
            0 => (3, (int)UnreachableCode.FragmentationNeeded),
            1 => (3, random.Next(16)),
            2 => (random.Next(2) == 0 ? 11 : 12, random.Next(3)),
            _ => (random.Next(256), random.Next(256)),
        };
        byte[] lie = Segments.Unreachable(s_router, packet, (byte)code, s_mtus[random.Next(s_mtus.Length)]);
        lie[20] = (byte)type;
        return Segments.FixedIcmp(lie);
    }
}
