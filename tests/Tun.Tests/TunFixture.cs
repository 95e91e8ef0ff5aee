using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using Microsoft.Win32.SafeHandles;
using NUnit.Framework;
using PacketDotNet;
using PacketDotNet.Utils;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Tun.Tests;

/// <summary>A fresh network namespace for every test, and the traffic helpers that they share.</summary>
[NonParallelizable]
public abstract class TunFixture
{
    protected static readonly IPAddress HostIp = IPAddress.Parse("10.99.0.1");
    protected static readonly IPAddress StackIp = IPAddress.Parse("10.99.0.2");
    protected static readonly IPPrefixAddress HostAddress = IPPrefixAddress.Parse("10.99.0.1/24");
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly List<TunDevice> _devices = [];
    private NetworkNamespace? _namespace;

    protected NetworkNamespace Namespace => _namespace!;

    [SetUp]
    public void EnterNamespace()
    {
        if (NetworkNamespace.SkipReason is { } reason)
        {
            Assert.Ignore(reason);
        }

        _namespace = new NetworkNamespace();
    }

    [TearDown]
    public async Task LeaveNamespace()
    {
        foreach (TunDevice device in _devices)
        {
            await device.DisposeAsync().AsTask().WaitAsync(Patience);
        }

        _devices.Clear();
        _namespace?.Dispose();
        _namespace = null;
    }

    /// <summary>Opens a device in the namespace; it is disposed after the test.</summary>
    protected TunDevice Open(TunDeviceOptions options)
    {
        TunDevice device = Namespace.Invoke(() => TunDevice.Open(options));
        _devices.Add(device);
        return device;
    }

    protected TunDevice Open(OffloadMode offload = OffloadMode.Auto, string name = "tun0", IPPrefixAddress? address = null) =>
        Open(new TunDeviceOptions { Name = name, HostAddress = address ?? HostAddress, Offload = offload });

    protected TunDevice FromHandle(SafeFileHandle handle, TunDeviceOptions? options = null)
    {
        TunDevice device = Namespace.Invoke(() => TunDevice.FromHandle(handle, options));
        _devices.Add(device);
        return device;
    }

    protected bool Exists(string name) => Namespace.TryRun("ip", "link", "show", "dev", name).ExitCode == 0;

    /// <summary>A descriptor attached to an interface with these flags, as a helper process would make it.</summary>
    protected SafeFileHandle Attach(string name, int flags) => Namespace.Invoke(() =>
    {
        SafeFileHandle handle = TunNative.OpenNode();
        TunNative.InterfaceRequest request = default;
        request.Name = name;
        request.Flags = flags;
        Assert.That(TunNative.Control(handle, TunNative.TunSetIff, ref request), Is.Zero);
        return handle;
    });

    /// <summary>Waits for the first packet that satisfies the condition, letting others pass.</summary>
    protected static PacketSlot ReadUntil(PacketQueue queue, Func<PacketSlot, bool> condition)
    {
        PacketSlot[] batch = [new PacketSlot()];
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < Patience)
        {
            if (queue.Read(batch) == 0)
            {
                queue.Wait(TimeSpan.FromSeconds(1));
            }
            else if (condition(batch[0]))
            {
                return batch[0];
            }
        }

        throw new AssertionException("The expected packet did not arrive.");
    }

    protected static bool IsIpv4(PacketSlot slot, ProtocolType protocol) => slot.Length > 20 && slot.Packet[0] >> 4 == 4 && slot.Packet[9] == (byte)protocol;

    protected static IPv4Packet Parse(PacketSlot slot) => new(new ByteArraySegment(slot.Packet.ToArray()));

    protected static PacketSlot Slot(Packet packet)
    {
        PacketSlot slot = new();
        slot.CopyFrom(packet.Bytes);
        return slot;
    }

    /// <summary>A UDP packet with complete checksums.</summary>
    protected static IPv4Packet Udp(IPAddress source, IPAddress destination, ushort sourcePort, ushort destinationPort, byte[] payload)
    {
        UdpPacket udp = new(sourcePort, destinationPort) { PayloadData = payload };
        IPv4Packet ip = new(source, destination) { PayloadPacket = udp, TimeToLive = 64 };
        udp.UpdateUdpChecksum();
        ip.UpdateIPChecksum();
        return ip;
    }

    /// <summary>A TCP segment with complete checksums.</summary>
    protected static IPv4Packet Tcp(IPAddress source, IPAddress destination, ushort sourcePort, ushort destinationPort, uint seq, uint ack, bool syn = false, byte[]? payload = null)
    {
        TcpPacket tcp = new(sourcePort, destinationPort)
        {
            SequenceNumber = seq,
            AcknowledgmentNumber = ack,
            Acknowledgment = true,
            Synchronize = syn,
            WindowSize = 65535,
            PayloadData = payload ?? [],
        };
        IPv4Packet ip = new(source, destination) { PayloadPacket = tcp, TimeToLive = 64 };
        tcp.UpdateTcpChecksum();
        ip.UpdateIPChecksum();
        return ip;
    }

    /// <summary>Leaves the checksum to the device: the field gets the sum of the pseudo header only.</summary>
    protected static void MakePartial(PacketSlot slot, int gsoSize = 0)
    {
        Span<byte> packet = slot.Packet;
        bool tcp = packet[9] == 6;
        int length = packet.Length - 20;
        uint sum = (uint)(packet[9] + length);
        for (int i = 12; i < 20; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(packet[i..]);
        }

        while (sum > 0xFFFF)
        {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        BinaryPrimitives.WriteUInt16BigEndian(packet[(tcp ? 36 : 26)..], (ushort)sum);
        slot.Checksum = ChecksumState.Partial;
        slot.GsoSize = gsoSize;
        slot.HeaderLength = tcp ? 20 + ((packet[32] >> 4) * 4) : 28;
    }

    protected static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 7) + (i >> 8)))];
}
