using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>Looks on as congestion is told: whoever hears of it by ECE reduces, and says so by CWR on what it sends next (RFC 3168 §6.1.2).</summary>
internal sealed class EcnWatch
{
    /// <summary>A reduction that turned out spurious takes its CWR back, and the echo goes on: the next one is not late before so many segments.</summary>
    private const int Patience = 8;

    private readonly long _pathNs;
    private readonly Dictionary<(bool FromA, int Source, int Destination), Sender> _senders = [];

    public EcnWatch(LinkOptions link, long asleepNs = 0)
    {
        _pathNs = Longest(link.AToB) + Longest(link.BToA) + 1_000_000_000 + asleepNs;

        static long Longest(LinkDirection direction) =>
            (direction.Delay + direction.Jitter + direction.ReorderDelay).Ticks * 100 + (direction.BitsPerSecond > 0 ? direction.QueueLimit * 9000L * 8 * 1_000_000_000 / direction.BitsPerSecond : 0);
    }

    /// <summary>Segments that said CWR.</summary>
    public int Reductions { get; private set; }

    /// <summary>Segments that arrived marked.</summary>
    public int Marks { get; private set; }

    public void See(LinkPacket seen)
    {
        ReadOnlySpan<byte> packet = seen.Packet.Span;
        if (!Segments.IsSegment(packet) || (Segments.Flags(packet) & (TcpFlags.Syn | TcpFlags.Rst)) != 0)
        {
            return;
        }

        bool arrives = seen.Fate is LinkFate.Delivered or LinkFate.Duplicated or LinkFate.Reordered;
        TcpFlags flags = Segments.Flags(packet);
        Marks += arrives && Segments.EcnOf(packet) == Ecn.Ce ? 1 : 0;
        Sender sender = Of(seen.FromA, Segments.SourcePort(packet), Segments.DestinationPort(packet));
        int length = packet.Length - Segments.DataAt(packet);
        if (length > 0)
        {
            sender.OnData(seen, Segments.Seq(packet) + (uint)length, (flags & TcpFlags.Cwr) != 0, _pathNs);
            Reductions += (flags & TcpFlags.Cwr) != 0 ? 1 : 0;
        }

        if (arrives && (flags & TcpFlags.Ece) != 0)
        {
            Of(!seen.FromA, Segments.DestinationPort(packet), Segments.SourcePort(packet)).OnEcho(seen.TimeNs, Segments.Ack(packet));
        }
    }

    private Sender Of(bool fromA, int source, int destination)
    {
        if (!_senders.TryGetValue((fromA, source, destination), out Sender? sender))
        {
            _senders.Add((fromA, source, destination), sender = new Sender());
        }

        return sender;
    }

    private sealed class Sender
    {
        private bool _hasSent;
        private uint _highest;
        private bool _hasReduced;
        private uint _reducedTo;
        private long? _toldNs;
        private int _late;

        /// <summary>An echo that is about what was sent after the last reduction asks for another one.</summary>
        public void OnEcho(long nowNs, uint ack)
        {
            if (!_hasReduced || (int)(ack - _reducedTo) > 0)
            {
                _toldNs ??= nowNs;
            }
        }

        public void OnData(LinkPacket seen, uint end, bool isReduced, long pathNs)
        {
            bool isNew = !_hasSent || (int)(end - _highest) > 0;
            if (isNew)
            {
                (_hasSent, _highest) = (true, end);
            }

            if (isReduced)
            {
                (_hasReduced, _reducedTo, _toldNs, _late) = (true, _highest, null, 0);
            }
            else if (isNew && _toldNs + pathNs < seen.TimeNs && ++_late > Patience)
            {
                throw new SimulationException($"told of congestion at {_toldNs / 1e9:0.000000} s, still no CWR: {PacketPrinter.Format(seen.Packet.Span)} at {seen.TimeNs / 1e9:0.000000} s");
            }
        }
    }
}
