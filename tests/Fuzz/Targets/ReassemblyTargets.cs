using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>
/// Fragments of a few datagrams in any order, with overlaps, lies and time passing. A record is: what, which datagram, offset (2, in 8 octets), length (2), more to come, what the octets are made of.
/// </summary>
internal sealed class FragmentTarget : FuzzTarget
{
    private const int Limit = 4 * 1024 * 1024;

    public override string Name => "fragments";

    public override int RecordLength => 8;

    public override int MaxLength => 8 * 200;

    public override long AllocationLimit => 64L * 1024 * 1024;

    public override IEnumerable<byte[]> Seeds =>
    [
        [0, 0, 0, 0, 0, 16, 1, 0, 0, 0, 0, 2, 0, 9, 0, 0],
        [0, 0, 0, 1, 0, 8, 1, 0, 0, 0, 0, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 1, 0],
        [0, 0, 0, 0, 0, 16, 1, 0, 3, 40, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 40, 1, 0, 1, 0, 0, 5, 0, 8, 0, 0],
    ];

    public override void Run(ReadOnlySpan<byte> input)
    {
        SteppedStack stack = new(new SteppedStackOptions());
        SteppedSocket socket = stack.Socket(tcp: false);
        socket.Bind(new IPEndPoint(IPAddress.Any, 0x0101));
        byte[] into = new byte[65_535];
        for (; input.Length >= 8; input = input[8..])
        {
            int which = input[1] & 15;
            int offset = BinaryPrimitives.ReadUInt16BigEndian(input[2..]) & 0x1FFF;
            int length = BinaryPrimitives.ReadUInt16BigEndian(input[4..]) % 9000;
            byte made = input[7];
            switch (input[0] & 3)
            {
                case 3:
                    stack.RunUntil(stack.NowNs + (input[1] * 1_000_000_000L));
                    break;
                case var kind:
                    // Of one make every octet says where it is, so that a datagram of one make is known to be right.
                    byte[] payload = new byte[length];
                    for (int i = 0; i < length; i++)
                    {
                        payload[i] = Octet((offset * 8) + i, made);
                    }

                    Ipv4Address source = new(Packets.Them.Value + (uint)(input[1] >> 4));
                    ushort flags = (ushort)(offset | ((input[6] & 1) != 0 ? Ipv4Header.MoreFragments : 0));
                    stack.Inject(Packets.Ip(kind switch { 0 => IpProtocol.Udp, 1 => IpProtocol.Tcp, _ => IpProtocol.Icmp }, payload, source, null, (ushort)which, flags, (byte)(input[6] >> 6)));
                    break;
            }

            Check(stack.Core.Ip.ReassemblyOctets is >= 0 and <= Limit, $"{stack.Core.Ip.ReassemblyOctets} octets are held");
            while (socket.Receive(into, out int received) == SocketError.Success)
            {
                CheckDatagram(into.AsSpan(0, received));
            }
        }

        stack.RunUntil(stack.NowNs + 120_000_000_000);
        Check(stack.Core.Ip.ReassemblyOctets == 0, "in the end nothing is held");
        Check(stack.Core.Counters.IpReasmOKs + stack.Core.Counters.IpReasmFails <= stack.Core.Counters.IpReasmReqds, "no more datagrams than fragments");
    }

    /// <summary>The ports, the length and the missing checksum are the first octets: these are the same in every make; what follows differs.</summary>
    private static byte Octet(int at, byte made) => at switch { < 4 => 1, 4 => (byte)(made >> 4), 5 => (byte)(made << 4), < 8 => 0, _ => (byte)((at * 7) + (at >> 8) + made) };

    private static void CheckDatagram(ReadOnlySpan<byte> data)
    {
        // Each octet belongs where it is, whatever fragment it came with; fragments begin at multiples of eight.
        for (int i = 0; i < data.Length; i++)
        {
            int at = i + 8;
            byte made = (byte)(data[i] - (at * 7) - (at >> 8));
            int first = Math.Max(i & ~7, 0);
            Check(made == (byte)(data[first] - ((first + 8) * 7) - ((first + 8) >> 8)), $"octet {i} is not from the fragment of its neighbours");
        }
    }
}

/// <summary>TCP's reassembly against an array of octets of which the first one stays. A record is: what, start (2), length (2), what the octets are made of, memory limit, unused.</summary>
internal sealed class ReassemblerTarget : FuzzTarget
{
    private const int Space = 40_000;

    public override string Name => "reassembler";

    public override int RecordLength => 8;

    public override int MaxLength => 8 * 150;

    public override long AllocationLimit => 64L * 1024 * 1024;

    public override IEnumerable<byte[]> Seeds =>
    [
        [0, 0, 10, 0, 5, 0, 0, 0, 0, 0, 20, 0, 5, 1, 0, 0, 0, 0, 12, 0, 20, 2, 0, 0, 1, 0, 10, 0, 0, 0, 0, 0],
        [0, 0, 10, 0x20, 0, 0, 0, 0, 0, 0x20, 10, 0x20, 5, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
    ];

    public override void Run(ReadOnlySpan<byte> input)
    {
        BlockPool pool = new(long.MaxValue);
        Tcp.Reassembler reassembler = new(pool);
        ByteQueue queue = new(pool);
        short[] model = new short[Space];
        Array.Fill(model, (short)-1);
        int next = 0;
        int refused = 0;
        for (; input.Length >= 8; input = input[8..])
        {
            int start = BinaryPrimitives.ReadUInt16BigEndian(input[1..]) % Space;
            int length = BinaryPrimitives.ReadUInt16BigEndian(input[3..]) % 9000;
            switch (input[0] & 3)
            {
                case 1:
                    next = Move(reassembler, queue, model, next, next + length);
                    break;
                case 2 when (input[5] & 7) == 7:
                    reassembler.Clear();
                    Array.Fill(model, (short)-1, next, Space - next);
                    break;
                case var _ when start <= next || start + length > Space || length == 0:
                    break;
                default:
                    refused += Insert(reassembler, model, start, length, input[5], input[6] == 0 ? long.MaxValue : input[6] * 8192L) ? 0 : 1;
                    break;
            }

            // Listing all ranges takes time that grows with the square of their number.
            if (reassembler.RangeCount < 32)
            {
                CheckAgainst(reassembler, model, next, pool);
            }
        }

        CheckAgainst(reassembler, model, next, pool);

        next = Move(reassembler, queue, model, next, Space);
        byte[] all = new byte[Space];
        Check(queue.Read(all) == next, "everything that was moved is there");
        for (int i = 0; i < next; i++)
        {
            Check(all[i] == model[i], $"octet {i} is not the first that came");
        }

        Check(reassembler.IsEmpty && reassembler.Length == 0 && reassembler.Memory == 0 && pool.InUse == 0, "in the end nothing is held");
    }

    private static bool Insert(Tcp.Reassembler reassembler, short[] model, int start, int length, byte made, long limit)
    {
        byte[] octets = new byte[length];
        bool isConflict = false;
        bool isDuplicate = true;
        for (int i = 0; i < length; i++)
        {
            octets[i] = (byte)(start + i + (made & 3));
            isConflict |= model[start + i] >= 0 && model[start + i] != octets[i];
            isDuplicate &= model[start + i] >= 0;
        }

        long before = reassembler.Length;
        bool isHeld = reassembler.Insert(start, octets, limit, out bool conflict, out bool duplicate);
        Check(isHeld || limit != long.MaxValue || reassembler.RangeCount >= Tcp.Reassembler.RangeLimit, "refused without a reason");
        if (isHeld)
        {
            Check((conflict, duplicate) == (isConflict, isDuplicate), "what is repeated or in conflict is known");
            for (int i = 0; i < length; i++)
            {
                model[start + i] = model[start + i] >= 0 ? model[start + i] : octets[i];
            }

            return true;
        }

        // A part may have been held: from the front, as far as the limit let it.
        long added = reassembler.Length - before;
        for (int i = 0; i < length && added > 0; i++)
        {
            added -= model[start + i] < 0 ? 1 : 0;
            model[start + i] = model[start + i] >= 0 ? model[start + i] : octets[i];
        }

        return false;
    }

    /// <summary>The stream arrives in order up to an offset, through whatever is held.</summary>
    private static int Move(Tcp.Reassembler reassembler, ByteQueue queue, short[] model, int next, int to)
    {
        to = Math.Min(to, Space);
        while (next < to)
        {
            int gap = reassembler.IsEmpty ? to : (int)Math.Min(reassembler.Start, to);
            for (; next < gap; next++)
            {
                Check(model[next] < 0, "what is held is given");
                model[next] = 77;
                queue.Append([77]);
            }

            next += (int)reassembler.MoveTo(queue, next);
        }

        return next;
    }

    private static void CheckAgainst(Tcp.Reassembler reassembler, short[] model, int next, BlockPool pool)
    {
        Span<(long Start, long End)> ranges = new (long, long)[Tcp.Reassembler.RangeLimit + 1];
        ranges = ranges[..reassembler.GetSackRanges(ranges)];
        ranges.Sort();
        long length = 0;
        long last = next;
        foreach ((long start, long end) in ranges)
        {
            Check(start > last && end > start, "ranges are disjoint, not adjacent, and ahead");
            Check(model[start - 1] < 0 && model[start] >= 0 && model[end - 1] >= 0 && (end == Space || model[end] < 0), $"range {start} to {end} is not what is held");
            length += end - start;
            last = end;
        }

        Check(ranges.Length == reassembler.RangeCount && length == reassembler.Length, "lengths add up");
        Check(reassembler.Memory >= length && pool.InUse >= reassembler.Memory, "memory is counted");
    }
}
