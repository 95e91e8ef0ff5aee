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
    private readonly double _zeal;

    public Forger(Random random)
    {
        _zeal = random.Next(4) == 0 ? 0.001 + (random.NextDouble() * 0.05) : 0;
        _random = new Random(random.Next());
    }

    public long Forged { get; private set; }

    /// <summary>Before each event: perhaps a forgery.</summary>
    public void Run(SteppedLink link)
    {
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
        int mss = target.GetInfo(new TcpInstant(link.NowNs)).SendMss;
        string before = Describe(target, link.NowNs);
        victim.Inject(packet);
        string after = Describe(target, link.NowNs);

        // A path MTU that another connection has found out is taken up with the answer, and a smaller segment may fit where the larger did not.
        bool isAnotherMtu = packet[9] != IpProtocol.Icmp && target.GetInfo(new TcpInstant(link.NowNs)).SendMss != mss;
        if (before != after && !isAnotherMtu)
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
