using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

/// <summary>One core stepped by hand: packets and time in, packets out; what comes out is cut to ordinary packets and checked.</summary>
internal sealed class CoreHarness
{
    public static readonly Ipv4Address Us = Ipv4Address.Parse("10.0.0.2");
    public static readonly Ipv4Address Them = Ipv4Address.Parse("10.0.0.1");
    public static readonly Ipv4Address Far = Ipv4Address.Parse("198.51.100.7");

    private readonly PacketSlot _out = new();
    private readonly PacketSlot _in = new();
    private readonly PacketSlot _cut = new();

    public CoreHarness(StackCoreOptions? options = null, ulong seed = 1)
    {
        Core = new StackCore(options ?? Options(), new SeededRandom(seed));
        Core.Tap = Tap;
    }

    public StackCore Core { get; }

    public StackCounters Counters => Core.Counters;

    public TcpInstant Now { get; private set; } = new(1_000_000_000);

    public RecordingTap Tap { get; } = new();

    public static StackCoreOptions Options(int mtu = 1500, int reassemblyMemory = 4 * 1024 * 1024, int icmpPerSecond = 1000, bool respondToEcho = true, IReadOnlyList<StackRoute>? routes = null) => new()
    {
        Addresses = [IPPrefixAddress.Parse("10.0.0.2/24"), IPPrefixAddress.Parse("192.0.2.9/32")],
        Mtu = mtu,
        ReassemblyMemory = reassemblyMemory,
        IcmpPerSecond = icmpPerSecond,
        RespondToEcho = respondToEcho,
        Routes = routes ?? [],
    };

    public void Inject(ReadOnlySpan<byte> packet, int gsoSize = 0, ChecksumState checksum = ChecksumState.Unverified)
    {
        if (packet.IsEmpty)
        {
            _in.Clear();
        }
        else
        {
            _in.CopyFrom(packet);
        }

        _in.GsoSize = gsoSize;
        _in.Checksum = checksum;
        Core.OnPacket(Now, _in);
    }

    /// <summary>Everything that the core has to send, as ordinary packets, checked.</summary>
    public List<byte[]> Take()
    {
        List<byte[]> packets = [];
        while (Core.TryEmit(Now, _out))
        {
            for (int i = 0; i < SoftwareOffload.SegmentCount(_out); i++)
            {
                SoftwareOffload.Segment(_out, i, _cut);
                packets.Add(_cut.Packet.ToArray());
                Assert.That(Ipv4Header.TryParse(_cut.Packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
                Assert.That(ip.TotalLength, Is.EqualTo(_cut.Length).And.AtMost(Core.Options.Mtu));
                Assert.That(ip.TimeToLive, Is.Not.Zero);
            }
        }

        return packets;
    }

    public byte[] TakeOne()
    {
        List<byte[]> packets = Take();
        Assert.That(packets, Has.Count.EqualTo(1), () => string.Join('\n', packets.Select(packet => PacketPrinter.Format(packet))));
        return packets[0];
    }

    public void AssertSilence() => Assert.That(Take(), Is.Empty, "nothing is sent");

    /// <summary>The packet is dropped for this reason, and nothing is answered.</summary>
    public void AssertDropped(byte[] packet, DropReason reason, int gsoSize = 0)
    {
        long before = Counters[reason];
        Inject(packet, gsoSize);
        Assert.That(Counters[reason], Is.EqualTo(before + 1), () => $"dropped as {reason}; the last drop was {Tap.LastDrop}");
        AssertSilence();
    }

    /// <summary>Moves the clock, running what is due on the way in order.</summary>
    public void Advance(TimeSpan time)
    {
        TcpInstant end = Now + time;
        while (Core.NextDeadline <= end)
        {
            Now = Core.NextDeadline > Now ? Core.NextDeadline : Now;
            Core.OnTimeout(Now);
        }

        Now = end;
    }

    public CoreEvents TakeEvents(CoreObject source)
    {
        CoreEvents all = CoreEvents.None;
        while (Core.TryTakeEvent(out CoreObject from, out CoreEvents events))
        {
            all |= from == source ? events : CoreEvents.None;
        }

        return all;
    }

    /// <summary>A ping works: packet processing goes on (INV-1).</summary>
    public void AssertAlive()
    {
        Inject(Packets.Echo(Them, Us, 77, 88, "alive"u8));
        byte[] reply = Take().Last();
        Assert.That(reply.AsSpan(20, 1)[0], Is.Zero, "an echo reply");
        Assert.That(reply.AsSpan(28).SequenceEqual("alive"u8), Is.True);
    }
}

internal sealed class RecordingTap : IPacketTap
{
    public DropReason LastDrop { get; private set; }

    public byte[] LastDropped { get; private set; } = [];

    public void OnPacket(TcpInstant now, ReadOnlySpan<byte> packet, int gsoSize, bool outbound)
    {
    }

    public void OnDropped(TcpInstant now, ReadOnlySpan<byte> packet, DropReason reason)
    {
        LastDrop = reason;
        LastDropped = packet.ToArray();
    }
}

/// <summary>SplitMix64: the same values for the same seed, everywhere.</summary>
internal sealed class SeededRandom(ulong seed) : IRandomSource
{
    private ulong _state = seed;

    public void Fill(Span<byte> destination)
    {
        Span<byte> word = stackalloc byte[8];
        while (!destination.IsEmpty)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, Next());
            int count = Math.Min(8, destination.Length);
            word[..count].CopyTo(destination);
            destination = destination[count..];
        }
    }

    private ulong Next()
    {
        unchecked
        {
            _state += 0x9E3779B97F4A7C15;
            ulong value = _state;
            value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
            value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
            return value ^ (value >> 31);
        }
    }
}

internal sealed class NullSink : ICoreEventSink
{
    public static readonly NullSink Instance = new();

    public void OnCoreEvents(CoreEvents events)
    {
    }
}
