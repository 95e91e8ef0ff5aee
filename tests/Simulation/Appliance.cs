using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>
/// What devices do to TCP that are sold for its good: most ACKs are left out, a firewall gives A's connections other sequence numbers and forgets that SACK blocks hold such numbers too, a shaper makes windows smaller; and on some path copies
/// are kept, and come when nobody expects them any more.
/// </summary>
internal sealed class Appliance
{
    private const byte Crypt = 69;

    private readonly int _thin;
    private readonly uint _shift;
    private readonly int _window;
    private readonly double _late;
    private readonly int _lag;
    private readonly int _seedAToB;
    private readonly int _seedBToA;

    public Appliance(Random random, bool encrypts, bool isNarrow)
    {
        _thin = random.Next(6) == 0 ? random.Next(2, 7) : 0;

        // A MAC covers numbers and windows. Behind the firewall a narrow router quotes its numbers, which the sender cannot know (RFC 5927 §4.1): a black hole that not every scenario's hosts look for.
        uint shift = random.Next(2) == 0 ? (uint)random.NextInt64(1L << 32) : (uint)random.Next(1, 100_000);
        _shift = random.Next(8) == 0 && !encrypts && !isNarrow ? shift : 0;
        int window = random.Next(9_000, 40_000);
        _window = random.Next(10) == 0 && !encrypts ? window : 0;
        _late = random.Next(6) == 0 ? random.NextDouble() * 0.05 : 0;
        _lag = 1 << random.Next(3, 11);
        _seedAToB = random.Next();
        _seedBToA = random.Next();
    }

    /// <summary>What is seen on the link are not the numbers that its ends believe in, or comes twice.</summary>
    public bool Misleads => _shift > 0 || _late > 0 || _thin > 0;

    /// <summary>Where little is in flight its only ACK may be left out, and each time that is a time-out: a transfer may take hours, and look stalled.</summary>
    public bool Thins => _thin > 0;

    public LinkOptions Apply(LinkOptions link) => _thin + _shift + _window + _late == 0 ? link : new()
    {
        AToB = link.AToB with { Rewrite = Rewriter(_seedAToB, fromA: true, link.AToB.Rewrite) },
        BToA = link.BToA with { Rewrite = Rewriter(_seedBToA, fromA: false, link.BToA.Rewrite) },
    };

    public override string ToString() =>
        $"{(_thin > 0 ? $", one new ACK of {_thin}" : "")}{(_shift > 0 ? $", A's numbers shifted by {_shift}" : "")}{(_window > 0 ? $", windows at most {_window}" : "")}{(_late > 0 ? $", late copies {_late:P1} of {_lag} packets ago" : "")}";

    private Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>> Rewriter(int seed, bool fromA, Func<long, ReadOnlyMemory<byte>, IReadOnlyList<byte[]>>? inner)
    {
        Random random = new(seed);
        byte[]?[] kept = new byte[_lag][];
        int count = 0;
        int acks = 0;
        Dictionary<int, uint> lastAcks = [];
        return (number, seen) =>
        {
            List<byte[]> passed = [];
            foreach (byte[] packet in inner?.Invoke(number, seen) ?? [seen.ToArray()])
            {
                double late = random.NextDouble();
                if (!Segments.IsSegment(packet))
                {
                    passed.Add(packet);
                    continue;
                }

                if (_thin > 0 && IsPureAck(packet))
                {
                    // What says nothing new was asked for, or is asking.
                    int ports = (Segments.SourcePort(packet) << 16) | Segments.DestinationPort(packet);
                    bool isNew = !lastAcks.TryGetValue(ports, out uint last) || last != Segments.Ack(packet);
                    lastAcks[ports] = Segments.Ack(packet);
                    if (isNew && ++acks % _thin != 0)
                    {
                        continue;
                    }
                }

                byte[] altered = Alter(packet, fromA);
                passed.Add(altered);
                if (late < _late && kept[count % _lag] is { } old)
                {
                    passed.Add(old);
                }

                // A late SYN or reset would be believed by who is connecting, or knows nothing.
                kept[count++ % _lag] = (Segments.Flags(packet) & (TcpFlags.Syn | TcpFlags.Rst)) == 0 ? altered : null;
            }

            return passed;
        };
    }

    private static bool IsPureAck(byte[] packet) =>
        (Segments.Flags(packet) & (TcpFlags.Syn | TcpFlags.Fin | TcpFlags.Rst | TcpFlags.Ack | TcpFlags.Ece)) == TcpFlags.Ack && Segments.DataAt(packet) == packet.Length && !Segments.HasOption(packet, Crypt);

    private byte[] Alter(byte[] packet, bool fromA)
    {
        byte[] altered = packet;
        TcpFlags flags = Segments.Flags(packet);
        if (_shift > 0 && (fromA || (flags & TcpFlags.Ack) != 0))
        {
            altered = fromA ? Segments.Altered(altered, 24, unchecked(Segments.Seq(packet) + _shift), flags) : Segments.Altered(altered, 28, unchecked(Segments.Ack(packet) - _shift), flags);
        }

        return _window > 0 && (flags & TcpFlags.Syn) == 0 ? Segments.WithWindow(altered, Math.Min(Segments.Window(altered), _window)) : altered;
    }
}
