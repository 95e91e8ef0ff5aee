using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Ip;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>An IPv4 packet as it is: every accessor, the options, the printer, and a stack that gets it.</summary>
internal sealed class Ipv4Target : FuzzTarget
{
    public override string Name => "ipv4";

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[0x45], [0x46], [0x4F], [7, 7, 4], [68, 8, 5], [131, 3, 4], [148, 4, 0, 0], [192, 168, 0, 1], [192, 168, 255, 255], [0x20, 0], [0x40, 0]];

    public override IEnumerable<byte[]> Seeds => [Packets.Ip(IpProtocol.Tcp, new byte[20]), Packets.Ip(IpProtocol.Udp, new byte[8]), Packets.Ip(IpProtocol.Icmp, new byte[8]), Packets.Ip(99, new byte[40])];

    public override void Run(ReadOnlySpan<byte> input)
    {
        _ = PacketPrinter.Format(input);
        byte[] packet = [.. input];
        if (Ipv4Header.TryParse(input, out Ipv4Header header, verifyChecksum: false) == Ipv4ParseError.None)
        {
            Check(header.HeaderLength >= 20 && header.HeaderLength + header.Payload.Length == header.TotalLength && header.TotalLength <= input.Length, "the parts make the whole");
            Check(header.Options.Length == header.HeaderLength - 20, "the options are between the fixed header and the payload");
            Check(header.IsFragment == (header.HasMoreFragments || header.FragmentOffset > 0), "a fragment is what has more or does not begin");
            Ipv4OptionVerdict verdict = Ipv4Options.Check(header.Options, out int errorAt);
            Check((verdict == Ipv4OptionVerdict.Malformed) == (errorAt != 0) && errorAt < header.HeaderLength, "the pointer to what is wrong is in the header");
            Packets.FixChecksums(packet);
            Check(Ipv4Header.TryParse(packet, out Ipv4Header same) == Ipv4ParseError.None && same.TotalLength == header.TotalLength, "with the right checksum it is the same");
        }

        _ = PacketPrinter.Format(packet);
        SteppedStack stack = new(new SteppedStackOptions());
        stack.Inject(input);
        stack.Inject(packet);
        ExpectFewReplies(stack, 2);
    }

    /// <summary>Nothing that a stack says to one packet is more than a packet, and none is longer than it should be.</summary>
    internal static void ExpectFewReplies(SteppedStack stack, int most)
    {
        int count = 0;
        while (stack.TryTake(out _, out byte[] reply))
        {
            Check(Ipv4Header.TryParse(reply, out Ipv4Header header) == Ipv4ParseError.None && header.TotalLength == reply.Length, "what is sent can be read");
            _ = PacketPrinter.Format(reply);
            count++;
        }

        Check(count <= most, $"{count} packets where {most} are enough");
    }
}

/// <summary>An ICMP message to a stack that has a connection on its way, a bound port and a ping out, so that quotations can be of something.</summary>
internal sealed class IcmpTarget : FuzzTarget
{
    public override string Name => "icmp";

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[3, 4], [3, 3], [11, 0], [12, 0], [5, 1], [8, 0], [4, 0], [0x45, 0, 0, 60], [0x80, 0, 0, 80], [6], [17], [0, 68], [5, 0xDC]];

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            foreach (byte type in (byte[])[0, 3, 4, 5, 8, 11, 12])
            {
                yield return [type, 0, 0, 0, 0, 0, 0, 0];
                yield return [type, (byte)(type == 3 ? 4 : 0), 0, 0, 0, 0, 2, 68, .. Open(out _)];
            }
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        Check(IcmpHeader.TryParse(input, out IcmpHeader header) == (input.Length >= 8), "eight octets are a header");
        if (input.Length >= 8)
        {
            _ = (header.Type, header.Code, header.Identifier, header.SequenceNumber, header.NextHopMtu, header.Pointer, header.IsError, header.Body.Length);
        }

        byte[] packet = Packets.Ip(IpProtocol.Icmp, input);
        Packets.FixChecksums(packet);
        _ = PacketPrinter.Format(packet);
        Open(out SteppedStack stack);
        stack.Inject(packet);
        Ipv4Target.ExpectFewReplies(stack, 2);
    }

    /// <summary>The stack, and the SYN that it has sent.</summary>
    private static byte[] Open(out SteppedStack stack)
    {
        stack = new SteppedStack(new SteppedStackOptions());
        SteppedSocket datagrams = stack.Socket(tcp: false);
        datagrams.Bind(new IPEndPoint(IPAddress.Any, 53));
        SteppedSocket socket = stack.Socket(tcp: true);
        socket.Bind(new IPEndPoint(IPAddress.Any, 5000));
        socket.Connect(new IPEndPoint(Packets.Them.ToIPAddress(), 80));
        stack.TryTake(out _, out byte[] syn);
        return syn;
    }
}

/// <summary>A UDP datagram, alone and to a bound port.</summary>
internal sealed class UdpTarget : FuzzTarget
{
    public override string Name => "udp";

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[0, 53], [0, 8], [0, 9], [0xFF, 0xFF]];

    public override IEnumerable<byte[]> Seeds => [[0, 5, 0, 53, 0, 8, 0, 0], [0, 5, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4], [0, 5, 0, 54, 0, 8, 0, 0]];

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (UdpHeader.TryParse(input, out UdpHeader header))
        {
            Check(header.Payload.Length + 8 == header.Octets.Length && header.Octets.Length <= input.Length, "the parts make the whole");
            _ = (header.SourcePort, header.DestinationPort, header.Checksum);
        }

        byte[] packet = Packets.Ip(IpProtocol.Udp, input);
        Packets.FixChecksums(packet);
        _ = PacketPrinter.Format(packet);
        SteppedStack stack = new(new SteppedStackOptions());
        SteppedSocket socket = stack.Socket(tcp: false);
        socket.Bind(new IPEndPoint(IPAddress.Any, 53));
        stack.Inject(packet);
        byte[] into = new byte[4096];
        while (socket.Receive(into, out int received) == SocketError.Success)
        {
            Check(header.Octets.Length >= 8 && into.AsSpan(0, received).SequenceEqual(header.Payload), "what is received was sent");
        }

        Ipv4Target.ExpectFewReplies(stack, 1);
    }
}

/// <summary>A TCP segment: both option walks, the options of SYNs, CRYPT; and the listener of a stack, plain and with tcpcrypt.</summary>
internal sealed class TcpTarget : FuzzTarget
{
    public override string Name => "tcp";

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [2, 4, 5, 0xB4], [3, 3, 7], [4, 2], [5, 10], [5, 18], [8, 10], [1, 1], [0], [69, 2], [69, 3, 4], [70, 18], [69, 11, 0x84], [0x41, 5, 0, 0, 4], [0x44, 10], [0x45, 10], [0xC0], [34, 2], [30, 4], [19, 18],
    ];

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            foreach (byte[] options in (byte[][])[[], [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7], [2, 4, 5, 0xB4, 69, 2, 1, 1], [5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1], [69, 12, 0x84, 1, 2, 3, 4, 5, 6, 7, 8, 9]])
            {
                foreach (TcpFlags flags in (TcpFlags[])[TcpFlags.Syn, TcpFlags.Ack, TcpFlags.Syn | TcpFlags.Ack, TcpFlags.Rst, TcpFlags.Fin | TcpFlags.Psh | TcpFlags.Urg | TcpFlags.Ece | TcpFlags.Cwr])
                {
                    yield return Packets.Tcp(new Endpoint4(Packets.Them, 4000), new Endpoint4(Packets.Us, 80), 1000, 0, flags, 65_535, 0, options, [1, 2, 3])[20..];
                }
            }
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (TcpHeader.TryParse(input, out TcpHeader header))
        {
            Check(header.HeaderLength + header.Payload.Length == header.Octets.Length && header.Options.Length == header.HeaderLength - 20, "the parts make the whole");
            CheckOptions(header.Options);
        }

        byte[] packet = Packets.Ip(IpProtocol.Tcp, input);
        Packets.FixChecksums(packet);
        _ = PacketPrinter.Format(packet);
        foreach (bool isEncrypted in (bool[])[false, true])
        {
            SteppedStack stack = new(new SteppedStackOptions { Tcpcrypt = isEncrypted });
            SteppedSocket listener = stack.Socket(tcp: true);
            listener.Bind(new IPEndPoint(IPAddress.Any, 80));
            listener.Listen(4);
            stack.Inject(packet);
            Ipv4Target.ExpectFewReplies(stack, 1);
        }
    }

    /// <summary>Two walks of our own see the same, and it adds up.</summary>
    private static void CheckOptions(ReadOnlySpan<byte> options)
    {
        TcpOptionReader reader = new(options);
        OptionWalk walk = new(options);
        int octets = 0;
        while (reader.MoveNext())
        {
            Check(walk.MoveNext() && walk.Kind == reader.Current.Kind && walk.Content.SequenceEqual(reader.Current.Content), "both walks find the same option");
            octets += 2 + reader.Current.Content.Length;
        }

        Check(!walk.MoveNext() && walk.IsMalformed == reader.IsMalformed && octets <= options.Length, "both walks end at the same place");
        SynOptions syn = SynOptions.Parse(options);
        Check(syn.IsMalformed == reader.IsMalformed && syn.MaximumSegmentSize != 0, "what is malformed is so for all");
    }
}
