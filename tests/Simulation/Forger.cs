using System.Globalization;
using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Simulation;

/// <summary>Somebody beside the path who knows addresses and ports but no sequence numbers, and forges resets, SYNs, data and ICMP errors: nothing about a connection may change (RFC 5961, RFC 5927).</summary>
internal sealed class Forger
{
    private static readonly Ipv4Address s_nobody = new(0x0A00_004D);

    private readonly Random _random;
    private readonly List<(bool FromA, long AtNs, byte[] Packet)> _forHalfOpen = [];
    private readonly double _zeal;

    public Forger(Random random)
    {
        _zeal = random.Next(4) == 0 ? 0.001 + (random.NextDouble() * 0.05) : 0;
        _random = new Random(random.Next());
    }

    public long Forged { get; private set; }

    /// <summary>A handshake begins: forgeries for the half-open connection.</summary>
    public void See(LinkPacket packet)
    {
        ReadOnlySpan<byte> syn = packet.Packet.Span;
        if (_zeal == 0 || !Segments.IsSegment(syn) || (Segments.Flags(syn) & (TcpFlags.Syn | TcpFlags.Ack)) != TcpFlags.Syn || _random.Next(3) != 0)
        {
            return;
        }

        (Ipv4Address from, Ipv4Address to) = (Ipv4Address.Read(syn[12..]), Ipv4Address.Read(syn[16..]));
        for (int forgeries = _random.Next(1, 6); forgeries > 0; forgeries--)
        {
            // A blind SYN is like a new attempt of the client's, and a RST may only be exact: neither is among them where the number would fit.
            uint seq = Segments.Seq(syn) + 2 + (uint)_random.Next(int.MaxValue);
            TcpFlags flags = _random.Next(5) switch { 0 => TcpFlags.Rst, 1 => TcpFlags.Rst | TcpFlags.Ack, 2 => TcpFlags.Ack, 3 => TcpFlags.Psh | TcpFlags.Ack, _ => TcpFlags.Fin | TcpFlags.Ack };
            byte[] forged = Segments.Make(from, Segments.SourcePort(syn), to, Segments.DestinationPort(syn), seq, Number(), flags, new byte[(flags & TcpFlags.Psh) != 0 ? 100 : 0]);
            _forHalfOpen.Add((packet.FromA, packet.TimeNs + _random.NextInt64(1_000_000_000), forged));
        }
    }

    /// <summary>Before each event: perhaps a forgery.</summary>
    public void Run(SteppedLink link)
    {
        for (int i = _forHalfOpen.Count - 1; i >= 0; i--)
        {
            (bool fromA, long atNs, byte[] forged) = _forHalfOpen[i];
            if (link.NowNs >= atNs)
            {
                _forHalfOpen.RemoveAt(i);
                (fromA ? link.B : link.A).Inject(forged);
            }
        }

        if (_zeal == 0 || _random.NextDouble() >= _zeal)
        {
            return;
        }

        SteppedStack victim = _random.Next(2) == 0 ? link.A : link.B;
        List<TcpEndpoint> endpoints = [.. victim.Core.Tcp.Endpoints.OrderBy(static endpoint => endpoint.Tuple.Local.Port).ThenBy(static endpoint => endpoint.Tuple.Remote.Port)];
        Forged++;
        if (endpoints.Count == 0 || _random.Next(10) == 0)
        {
            // A SYN for a listener, from an address that is not there.
            Ipv4Address to = new(victim == link.A ? 0x0A00_0001u : 0x0A00_0002u);
            victim.Inject(Segments.Make(s_nobody, _random.Next(1024, 65_536), to, 5000 + _random.Next(4), Number(), 0, TcpFlags.Syn, []));
            return;
        }

        TcpEndpoint target = endpoints[_random.Next(endpoints.Count)];
        byte[] packet = Forge(target);
        TcpInfo info = target.GetInfo(new TcpInstant(link.NowNs));
        Seq<Local> sent = target.Snd.Nxt;
        string before = Describe(target, link.NowNs);
        victim.Inject(packet);
        string after = Describe(target, link.NowNs);

        // A path MTU that another connection has found out is taken up with the answer, and a smaller segment may fit where the larger did not.
        bool isAnotherMtu = packet[9] != IpProtocol.Icmp && target.GetInfo(new TcpInstant(link.NowNs)).PathMtu != info.PathMtu;

        // An answer with a D-SACK (RFC 2883 §4 has one for every old segment) leaves less room for data in it: what is smaller than a segment may then fit the window, and goes at once.
        bool isSmaller = target.Snd.Nxt - sent is var octets && octets > 0 && octets < info.SendMss;
        if (before != after && !isAnotherMtu && !isSmaller)
        {
            throw new SimulationException($"a forged packet changed {target.Tuple}: {PacketPrinter.Format(packet)}\n    from {before}\n    to   {after}");
        }
    }

    public override string ToString() => _zeal > 0 ? $", forgeries {_zeal:P1}" : "";

    /// <summary>What a forgery may not change. It may cost an answer: what was sent, and the window announced with it, is left out.</summary>
    private static string Describe(TcpEndpoint endpoint, long nowNs)
    {
        SendVariables snd = endpoint.Snd;
        TcpInfo info = endpoint.GetInfo(new TcpInstant(nowNs)) with { SegmentsSent = 0, SegmentsReceived = 0, ReceiveWindow = 0 };
        return string.Create(CultureInfo.InvariantCulture, $"{endpoint.State} {endpoint.IsClosed} {endpoint.Error} {snd.Una} {snd.Nxt} {endpoint.Rcv.Nxt} {endpoint.IsFinReceived} {info}");
    }

    private byte[] Forge(TcpEndpoint target)
    {
        byte[] data = new byte[_random.Next(1, 1000)];
        uint seq = _random.Next(2) == 0 ? Number() : WithinWindow(target);
        return _random.Next(7) switch
        {
            // In the window is not enough: only RCV.NXT itself resets (RFC 5961 §3).
            0 => Segment(target, seq == target.Rcv.Nxt.Value ? seq + 1 : seq, 0, TcpFlags.Rst, []),
            1 => Segment(target, seq == target.Rcv.Nxt.Value ? seq + 1 : seq, WrongAck(target), TcpFlags.Rst | TcpFlags.Ack, []),

            // In SYN-SENT every SYN is as good as another (RFC 9293 §3.5: simultaneous open).
            2 when target.State != TcpState.SynSent => Segment(target, seq, 0, TcpFlags.Syn, []),
            3 => Segment(target, seq, WrongAck(target), TcpFlags.Syn | TcpFlags.Ack, []),
            4 => Segment(target, seq, WrongAck(target), TcpFlags.Psh | TcpFlags.Ack, data),
            5 => Segment(target, seq, WrongAck(target), TcpFlags.Fin | TcpFlags.Ack, data),
            _ => Icmp(target),
        };
    }

    private static byte[] Segment(TcpEndpoint target, uint seq, uint ack, TcpFlags flags, ReadOnlySpan<byte> data) =>
        Segments.Make(target.Tuple.Remote.Address, target.Tuple.Remote.Port, target.Tuple.Local.Address, target.Tuple.Local.Port, seq, ack, flags, data);

    /// <summary>About a segment that is not in flight (RFC 5927 §4).</summary>
    private byte[] Icmp(TcpEndpoint target)
    {
        SendVariables snd = target.Snd;
        uint flight = snd.Nxt - snd.Una is var octets && octets > 0 ? (uint)octets : 0;
        uint seq = snd.Nxt.Value + 1 + (uint)_random.NextInt64((1L << 32) - flight - 2);
        byte[] quoted = Segments.Make(target.Tuple.Local.Address, target.Tuple.Local.Port, target.Tuple.Remote.Address, target.Tuple.Remote.Port, seq, Number(), TcpFlags.Ack, new byte[100]);
        byte code = _random.Next(6) switch
        {
            0 => UnreachableCode.Net,
            1 => UnreachableCode.Host,
            2 => UnreachableCode.Protocol,
            3 => UnreachableCode.Port,
            4 => UnreachableCode.AdministrativelyProhibited,
            _ => UnreachableCode.FragmentationNeeded,
        };
        return Segments.Unreachable(target.Tuple.Remote.Address, quoted, code, code == UnreachableCode.FragmentationNeeded ? _random.Next(68, 1500) : 0);
    }

    private uint Number() => (uint)_random.NextInt64(1L << 32);

    private uint WithinWindow(TcpEndpoint target) => target.Rcv.Nxt.Value + (uint)_random.NextInt64(1 + (long)target.Rcv.Wnd);

    /// <summary>Neither new nor old: of what was never sent, or further back than the peer's largest window (RFC 5961 §5.2).</summary>
    private uint WrongAck(TcpEndpoint target) => _random.Next(2) == 0
        ? target.Snd.Nxt.Value + 1 + (uint)_random.Next(1 << 30)
        : target.Snd.Una.Value - target.Snd.MaxWnd - 1 - (uint)_random.Next(1 << 30);
}
