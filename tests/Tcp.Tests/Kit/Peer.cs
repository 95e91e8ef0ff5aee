using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests;

/// <summary>The remote end of one connection with the stack under test, played by the test: it sends what the test says and keeps only the numbers.</summary>
internal sealed class Peer(Host host, Endpoint4 remote, Endpoint4 local, uint isn)
{
    /// <summary>The peer's initial sequence number.</summary>
    public uint Isn { get; } = isn;

    /// <summary>The stack's initial sequence number, learnt from its SYN.</summary>
    public uint Iss { get; private set; }

    public Endpoint4 Remote => remote;

    public Endpoint4 Local => local;

    /// <summary>The default SEQ: what the peer sends next.</summary>
    public uint Nxt { get; set; } = 1;

    /// <summary>The default ACK: what the peer expects next.</summary>
    public uint RcvNxt { get; private set; } = 1;

    /// <summary>Timestamps are on every segment that does not say otherwise.</summary>
    public bool HasTimestamps { get; set; }

    public uint TsVal { get; set; } = 1000;

    public uint TsEcr { get; private set; }

    /// <summary>The stack's socket for the connection.</summary>
    public SteppedSocket Socket { get; set; } = null!;

    /// <summary>Octets of the stack's stream, in order, as they came.</summary>
    public List<byte> Stream { get; } = [];

    /// <summary>Sends a segment and returns what the stack answers on this connection, at most <paramref name="max"/> segments (INV-4).</summary>
    public List<Seg> Send(Seg seg, int max = 1)
    {
        host.Inject(ToPacket(seg));
        List<Seg> replies = Take();
        Assert.That(replies, Has.Count.LessThanOrEqualTo(max), $"INV-4: replies to {seg}");
        return replies;
    }

    /// <summary>As <see cref="Send"/>, for exactly one answer.</summary>
    public Seg Ask(Seg seg)
    {
        List<Seg> replies = Send(seg);
        Assert.That(replies, Has.Count.EqualTo(1), $"one answer to {seg}");
        return replies[0];
    }

    /// <summary>As <see cref="Send"/>, for silence.</summary>
    public void Expect0(Seg seg) => Assert.That(Send(seg, int.MaxValue), Is.Empty, $"no answer to {seg}");

    /// <summary>Sends the next octets of the peer's stream.</summary>
    public List<Seg> SendNext(byte[] data, int max = 1)
    {
        List<Seg> replies = Send(Seg.Bytes(data), max);
        Nxt += (uint)data.Length;
        return replies;
    }

    /// <summary>What the stack has sent on this connection since the last look.</summary>
    public List<Seg> Take()
    {
        List<Seg> segments = [];
        foreach (byte[] packet in host.TakeFor(remote, local))
        {
            segments.Add(Parse(packet));
        }

        return segments;
    }

    /// <summary>Takes everything and acknowledges it, until the stack has nothing more to say; returns the segments.</summary>
    public List<Seg> TakeAndAcknowledge(int rounds = 10_000)
    {
        List<Seg> all = [];
        for (List<Seg> some = Take(); some.Exists(seg => seg.Len > 0); some = Send(Seg.Ack(), int.MaxValue))
        {
            all.AddRange(some);
            Assert.That(rounds--, Is.GreaterThan(0), "the stack does not come to rest");
        }

        return all;
    }

    public byte[] ToPacket(Seg seg)
    {
        bool hasTs = seg.Ts is not null || (HasTimestamps && !seg.NoTs && seg.Options.Length <= 28);
        if (hasTs)
        {
            (uint val, uint ecr) = seg.Ts ?? (TsVal, TsEcr);
            seg = seg with { Options = [1, 1, .. Opt.Ts(val, ecr), .. seg.Options] };
        }

        uint seq = unchecked(Isn + (seg.Seq ?? Nxt));
        uint ack = seg.IsAck ? unchecked(Iss + (seg.AckNo ?? RcvNxt)) : seg.AckNo ?? 0;
        return seg.ToPacket(remote, local, seq, ack);
    }

    private Seg Parse(byte[] packet)
    {
        Assert.That(Ipv4Header.TryParse(packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
        Assert.That(TcpHeader.TryParse(ip.Payload, out TcpHeader tcp), Is.True);
        ulong pseudo = InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Tcp, ip.Payload.Length);
        Assert.That(InternetChecksum.IsValid(ip.Payload, pseudo), Is.True, "the stack's own checksum");
        if ((tcp.Flags & TcpFlags.Syn) != 0)
        {
            Iss = tcp.Seq.Value;
        }

        Seg seg = new()
        {
            Seq = unchecked(tcp.Seq.Value - Iss),
            AckNo = unchecked(tcp.Ack.Value - Isn),
            Flags = tcp.Flags,
            Wnd = tcp.Window,
            Urg = tcp.UrgentPointer,
            Options = tcp.Options.ToArray(),
            Data = tcp.Payload.ToArray(),
        };
        TcpOptionReader reader = new(tcp.Options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == TcpOptionKind.Timestamps)
            {
                TsEcr = BinaryPrimitives.ReadUInt32BigEndian(reader.Current.Content);
                seg = seg with { Ts = (TsEcr, BinaryPrimitives.ReadUInt32BigEndian(reader.Current.Content[4..])) };
            }
        }

        if (!seg.IsRst && seg.Seq <= RcvNxt && seg.Seq + seg.Len > RcvNxt)
        {
            Stream.AddRange(seg.Data.Skip((int)(RcvNxt - seg.Seq.Value)));
            RcvNxt = seg.Seq.Value + seg.Len;
        }

        return seg;
    }
}
