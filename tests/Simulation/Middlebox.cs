using System.Net.Sockets;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>Somebody in the middle who alters what passes and means no harm: a router that marks, an offload that cuts segments anew, a firewall that strips options, a translator of addresses that forgets, a path that is gone for long.</summary>
internal sealed class Middlebox
{
    private const byte Mss = 2;
    private const byte WindowScale = 3;
    private const byte SackPermitted = 4;
    private const byte Sack = 5;
    private const byte Timestamps = 8;
    private const byte Crypt = 69;

    /// <summary>The translator's other port of a connection: a bit that keeps ephemeral ports in their range.</summary>
    private const int OtherPort = 0x4000;

    /// <summary>An outage that every connection survives which neither tcpcrypt's ten seconds nor the handshake's repetitions limit.</summary>
    private const long ShortOutageNs = 40_000_000_000;

    private const double LossInsteadOfMarks = 0.01;

    /// <summary>So many cut segments, each a lost one, and no connection ends of it.</summary>
    private const double MostCut = 0.05;

    private readonly double _mark;
    private readonly double _split;
    private readonly double _join;
    private readonly byte[] _stripped;
    private readonly bool _stripsAll;
    private readonly (bool AToB, bool BToA) _strips;
    private readonly NatFault _nat;
    private readonly long _natNs;
    private readonly (long FromNs, long ToNs) _outage;
    private readonly int _seedAToB;
    private readonly int _seedBToA;
    private readonly HashSet<(int A, int B)> _known = [];
    private long _nowNs;

    public Middlebox(Random random, bool encrypts)
    {
        // Each is absent in most seeds: alone, and in all combinations.
        if (random.Next(4) == 0)
        {
            AsksForEcn = true;
            _mark = random.NextDouble() * (random.Next(2) == 0 ? 0.02 : 0.3);
        }

        _stripped = DrawStripped(random);
        _stripsAll = random.Next(2) == 0 && !encrypts;
        _strips = random.Next(4) switch { 0 => (true, false), 1 => (false, true), _ => (true, true) };

        bool isPlain = !encrypts || (_stripped.Contains(Crypt) && _strips == (true, true));
        if (random.Next(4) == 0 && isPlain)
        {
            _split = random.Next(3) == 0 ? 1 : random.NextDouble() * 0.3;
        }

        if (random.Next(6) == 0 && isPlain)
        {
            _join = random.NextDouble() * 0.3;
        }

        // Each encrypted segment has a MAC over exactly its octets: cut or joined it is a lost one. Where that is a few they are repeated; where it is all of them, time runs out.
        bool isCut = !isPlain && random.Next(8) == 0;
        if (isCut)
        {
            _split = random.Next(3) == 0 ? 1 : random.NextDouble() * 0.2;
            _join = random.NextDouble() * 0.2;
        }

        _nat = random.Next(8) == 0 ? (NatFault)random.Next(1, 3) : NatFault.None;
        _natNs = random.NextInt64(random.Next(2) == 0 ? 100_000_000 : 3_000_000_000);
        if (random.Next(8) == 0)
        {
            long from = random.NextInt64(3_000_000_000);
            _outage = (from, from + (random.Next(2) == 0 ? random.NextInt64(2_000_000_000, ShortOutageNs) : random.NextInt64(ShortOutageNs, 3 * 3600 * 1_000_000_000L)));
        }

        _seedAToB = random.Next();
        _seedBToA = random.Next();

        // One SYN of the two altered, and the ends believe different things of one another.
        bool isMisled = _stripped.Length > 0 && _strips != (true, true);
        bool isLong = _outage.ToNs - _outage.FromNs > ShortOutageNs;
        MayEnd = _nat != NatFault.None || isLong || isMisled || (isCut && _split + _join > MostCut);
        MayEndEarly = MayEnd || _outage.ToNs > 0;
        KeepAliveIdle = random.Next(30, 300);
        KeepAliveInterval = random.Next(10, 60);
        KeepAliveCount = random.Next(5, 10);
    }

    private enum NatFault
    {
        None,

        /// <summary>A's connections come from another port from now on, and what goes to the old one is nobody's.</summary>
        Rebinds,

        /// <summary>What did not begin with a SYN since then is dropped, both ways.</summary>
        Forgets,
    }

    /// <summary>Both hosts ask for ECN where it is possible (a SYN that offers tcpcrypt does not), and loss of this box is a mark.</summary>
    public bool AsksForEcn { get; }

    /// <summary>Connections may end by a time-out, or by a reset where one end is gone already. Keep-alive probes are on then: who has nothing to send would never know.</summary>
    public bool MayEnd { get; }

    /// <summary>Connections may end so before both sides have begun.</summary>
    public bool MayEndEarly { get; }

    public int KeepAliveIdle { get; }

    public int KeepAliveInterval { get; }

    public int KeepAliveCount { get; }

    /// <summary>An end that this path explains.</summary>
    /// <param name="error">The error that the application was told.</param>
    /// <param name="isEarly">The other side's application has no connection yet.</param>
    /// <param name="encrypts">tcpcrypt's handshake was under way, which has ten seconds.</param>
    public bool Explains(SocketError error, bool isEarly, bool encrypts) =>
        (isEarly ? MayEndEarly : MayEnd) && (error is SocketError.TimedOut or SocketError.ConnectionReset || (isEarly && encrypts && error == SocketError.ConnectionAborted));

    public LinkOptions Apply(LinkOptions link) => new()
    {
        AToB = link.AToB with { Rewrite = Rewriter(_seedAToB, fromA: true) },
        BToA = link.BToA with { Rewrite = Rewriter(_seedBToA, fromA: false) },
    };

    /// <summary>Before each event.</summary>
    public void Run(SteppedLink link) => _nowNs = Math.Max(link.NextDeadlineNs ?? 0, link.NowNs);

    public override string ToString() =>
        $"{(AsksForEcn ? $", ECN marks {_mark:P1}" : "")}{(_split > 0 ? $", splits {_split:P0}" : "")}{(_join > 0 ? $", joins {_join:P0}" : "")}"
        + (_stripped.Length > 0 ? $", strips {string.Join('/', _stripped)} of {(_stripsAll ? "all" : "SYNs")} {(_strips.AToB ? "A>B " : "")}{(_strips.BToA ? "B>A" : "")}" : "")
        + $"{(_nat != NatFault.None ? $", NAT {_nat} at {_natNs / 1e9:0.000} s" : "")}{(_outage.ToNs > 0 ? $", nothing passes from {_outage.FromNs / 1e9:0.0} to {_outage.ToNs / 1e9:0.0} s" : "")}";

    private static byte[] DrawStripped(Random random)
    {
        if (random.Next(4) != 0)
        {
            return [];
        }

        List<byte> kinds = [];
        foreach (byte kind in (ReadOnlySpan<byte>)[Mss, WindowScale, SackPermitted, Timestamps, Crypt])
        {
            if (random.Next(2) == 0)
            {
                kinds.AddRange(kind == SackPermitted ? [SackPermitted, Sack] : [kind]);
            }
        }

        return [.. kinds];
    }

    private Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>>? Rewriter(int seed, bool fromA)
    {
        Random random = new(seed);
        byte[]? last = null;
        return (_, octets) =>
        {
            byte[] packet = octets.ToArray();
            double mark = random.NextDouble();
            double split = random.NextDouble();
            double cut = random.NextDouble();
            double join = random.NextDouble();
            if (_nowNs >= _outage.FromNs && _nowNs < _outage.ToNs)
            {
                return [];
            }

            if (!Segments.IsSegment(packet))
            {
                return [packet];
            }

            if (mark < _mark)
            {
                // A router that would drop now marks instead, where the packet allows it (RFC 3168 §5). Of those that do not, few: a stream is to get through.
                if (Segments.EcnOf(packet) != Ecn.NotEct)
                {
                    packet = Segments.WithCongestionExperienced(packet);
                }
                else if (mark < LossInsteadOfMarks)
                {
                    return [];
                }
            }

            bool isSyn = (Segments.Flags(packet) & TcpFlags.Syn) != 0;
            if (_stripped.Length > 0 && (isSyn || _stripsAll) && (fromA ? _strips.AToB : _strips.BToA))
            {
                packet = Segments.Without(packet, _stripped);
            }

            if (Translate(packet, fromA) is not { } translated)
            {
                return [];
            }

            List<byte[]> instead = Resegment(translated, last, split, cut, join);
            last = translated;
            return instead;
        };
    }

    private List<byte[]> Resegment(byte[] packet, byte[]? last, double split, double cut, double join)
    {
        int data = Segments.DataAt(packet);
        int length = packet.Length - data;
        const TcpFlags Special = TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Urg;
        if (length == 0 || (Segments.Flags(packet) & Special) != 0)
        {
            return [packet];
        }

        if (join < _join && last is not null && last.Length > Segments.DataAt(last) && (Segments.Flags(last) & (Special | TcpFlags.Fin)) == 0
            && last.AsSpan(12, 12).SequenceEqual(packet.AsSpan(12, 12)) && Segments.Seq(last) + (uint)(last.Length - Segments.DataAt(last)) == Segments.Seq(packet))
        {
            return [Segments.Joined(last, packet)];
        }

        if (split >= _split || length < 2)
        {
            return [packet];
        }

        int first = 1 + (int)(cut * (length - 1));
        return [Segments.Part(packet, 0, first), Segments.Part(packet, first, length - first)];
    }

    /// <summary>Between A and B is a translator of A's ports, or a firewall that keeps account of connections; null = dropped.</summary>
    private byte[]? Translate(byte[] packet, bool fromA)
    {
        if (_nat == NatFault.None || _nowNs < _natNs)
        {
            return packet;
        }

        int portA = fromA ? Segments.SourcePort(packet) : Segments.DestinationPort(packet);
        int portB = fromA ? Segments.DestinationPort(packet) : Segments.SourcePort(packet);
        if (_nat == NatFault.Forgets)
        {
            if ((Segments.Flags(packet) & (TcpFlags.Syn | TcpFlags.Ack)) == TcpFlags.Syn)
            {
                _known.Add((portA, portB));
            }

            return _known.Contains((portA, portB)) ? packet : null;
        }

        if (portA < 32_768)
        {
            // B's connections, to a port that is forwarded.
            return packet;
        }

        if (fromA)
        {
            _known.Add((portA ^ OtherPort, portB));
            return Segments.WithPort(packet, isSource: true, portA ^ OtherPort);
        }

        return _known.Contains((portA, portB)) ? Segments.WithPort(packet, isSource: false, portA ^ OtherPort) : null;
    }
}
