using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using PacketDotNet;
using PacketDotNet.Utils;
using Tcpcrypt.Tests;
using ProtocolType = PacketDotNet.ProtocolType;

namespace Tcpcrypt.Tun.Tests;

/// <summary>Real packets between the kernel and the device.</summary>
public class TunTrafficTests : TunFixture
{
    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public void Ping_is_read_and_its_answer_satisfies_the_kernel(OffloadMode offload)
    {
        TunDevice device = Open(offload);
        using ShellCommand ping = Namespace.Start("ping", "-c", "1", "-W", "5", "-s", "100", StackIp.ToString());
        PacketSlot slot = ReadUntil(device.Queues[0], s => IsIpv4(s, ProtocolType.Icmp));
        IPv4Packet request = Parse(slot);
        Assert.That((request.SourceAddress, request.DestinationAddress, request.TotalLength), Is.EqualTo((HostIp, StackIp, slot.Length)));
        IcmpV4Packet echo = request.Extract<IcmpV4Packet>();
        Assert.That((echo.TypeCode, echo.Data.Length, slot.Length), Is.EqualTo((IcmpV4TypeCode.EchoRequest, 100, 128)));

        (request.SourceAddress, request.DestinationAddress) = (request.DestinationAddress, request.SourceAddress);
        echo.TypeCode = IcmpV4TypeCode.EchoReply;
        echo.UpdateIcmpChecksum();
        request.UpdateIPChecksum();
        Assert.That(device.Queues[0].Write([Slot(request)]), Is.EqualTo(1));
        Assert.That(ping.Wait().Expect(), Does.Contain("1 received"));
    }

    [Test]
    public void Udp_of_the_kernel_comes_with_a_partial_checksum_and_whole()
    {
        TunDevice device = Open();
        using Socket socket = KernelUdp();
        byte[] payload = Pattern(1000);
        socket.SendTo(payload, new IPEndPoint(StackIp, 7777));
        PacketSlot slot = ReadUntil(device.Queues[0], s => IsIpv4(s, ProtocolType.Udp));
        IPv4Packet packet = Parse(slot);
        UdpPacket udp = packet.Extract<UdpPacket>();
        Assert.That((packet.ValidIPChecksum, udp.DestinationPort, udp.PayloadData), Is.EqualTo((true, (ushort)7777, payload)));
        Assert.That((slot.Checksum, slot.GsoSize, slot.HeaderLength), Is.EqualTo((ChecksumState.Partial, 0, 28)));

        // "Partial" means: the field holds the folded sum of the pseudo header, as our own stack writes it.
        ushort field = udp.Checksum;
        MakePartial(slot);
        Assert.That(field, Is.EqualTo(Parse(slot).Extract<UdpPacket>().Checksum));
    }

    [Test]
    public void Udp_of_the_kernel_has_its_checksum_without_offload()
    {
        TunDevice device = Open(OffloadMode.Off);
        using Socket socket = KernelUdp();
        socket.SendTo(Pattern(999), new IPEndPoint(StackIp, 7777));
        PacketSlot slot = ReadUntil(device.Queues[0], s => IsIpv4(s, ProtocolType.Udp));
        Assert.That(slot.Checksum, Is.EqualTo(ChecksumState.Unverified));
        Assert.That(Parse(slot).Extract<UdpPacket>().ValidUdpChecksum, Is.True);
    }

    [TestCase(OffloadMode.Auto, false)]
    [TestCase(OffloadMode.Auto, true)]
    [TestCase(OffloadMode.Off, false)]
    public void Written_udp_arrives_at_a_kernel_socket(OffloadMode offload, bool partial)
    {
        TunDevice device = Open(offload);
        using Socket socket = KernelUdp();
        int port = ((IPEndPoint)socket.LocalEndPoint!).Port;
        byte[] payload = Pattern(1001);
        PacketSlot slot = Slot(Udp(StackIp, HostIp, 4242, (ushort)port, payload));
        if (partial)
        {
            MakePartial(slot);
        }

        byte[] before = slot.Packet.ToArray();
        Assert.That(device.Queues[0].Write([slot]), Is.EqualTo(1));
        byte[] buffer = new byte[2000];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        int count = socket.ReceiveFrom(buffer, ref from);
        Assert.That((buffer[..count], from), Is.EqualTo((payload, new IPEndPoint(StackIp, 4242))));
        Assert.That(slot.Packet.ToArray(), Is.EqualTo(before), "the slot stays the caller's");
    }

    [Test]
    public void Kernel_completes_partial_checksums_and_cuts_super_segments_on_the_way_to_a_device_without_offload()
    {
        TunDevice clever = Open(OffloadMode.Required, "tun0");
        TunDevice plain = Open(OffloadMode.Off, "tun1", IPPrefixAddress.Parse("10.98.0.1/24"));
        Namespace.Invoke(() => File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1"));
        IPAddress far = IPAddress.Parse("10.98.0.2");

        PacketSlot udp = Slot(Udp(StackIp, far, 1, 2, Pattern(777)));
        MakePartial(udp);
        byte[] payload = Pattern(5000);
        PacketSlot tcp = Slot(Tcp(StackIp, far, 1, 2, 1000, 2000, payload: payload));
        MakePartial(tcp, gsoSize: 1300);
        Assert.That(clever.Queues[0].Write([udp, tcp]), Is.EqualTo(2));

        Assert.That(Parse(ReadUntil(plain.Queues[0], s => IsIpv4(s, ProtocolType.Udp))).Extract<UdpPacket>().ValidUdpChecksum, Is.True);
        List<byte> received = [];
        List<int> sizes = [];
        while (received.Count < payload.Length)
        {
            PacketSlot slot = ReadUntil(plain.Queues[0], s => IsIpv4(s, ProtocolType.Tcp));
            IPv4Packet packet = Parse(slot);
            TcpPacket segment = packet.Extract<TcpPacket>();
            Assert.That((packet.ValidIPChecksum, segment.ValidTcpChecksum, segment.SequenceNumber), Is.EqualTo((true, true, 1000u + (uint)received.Count)));
            Assert.That((slot.GsoSize, slot.Checksum), Is.EqualTo((0, ChecksumState.Unverified)));
            received.AddRange(segment.PayloadData);
            sizes.Add(segment.PayloadData.Length);
        }

        Assert.That(received, Is.EqualTo(payload));
        Assert.That(sizes, Is.EqualTo(new[] { 1300, 1300, 1300, 1100 }));
    }

    [Test]
    public async Task Kernel_tcp_and_we_exchange_super_segments()
    {
        TunDevice device = Open(OffloadMode.Required);
        PacketQueue queue = device.Queues[0];
        using Socket socket = Namespace.Invoke(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp));
        Task connecting = socket.ConnectAsync(new IPEndPoint(StackIp, 80));

        // The least that is a handshake: SYN with an unfinished checksum in, SYN+ACK with one out.
        PacketSlot synSlot = ReadUntil(queue, s => IsIpv4(s, ProtocolType.Tcp));
        TcpPacket syn = Parse(synSlot).Extract<TcpPacket>();
        Assert.That((syn.Synchronize, synSlot.Checksum, synSlot.GsoSize), Is.EqualTo((true, ChecksumState.Partial, 0)));
        Assert.That(synSlot.HeaderLength, Is.EqualTo(20 + (syn.DataOffset * 4)));
        PacketSlot synAck = Slot(Tcp(StackIp, HostIp, 80, syn.SourcePort, 5000, syn.SequenceNumber + 1, syn: true));
        MakePartial(synAck);
        queue.Write([synAck]);
        await connecting.WaitAsync(Patience);

        // Without an MSS option the kernel uses 536 octets: what it sends in one go of its initial window is longer.
        byte[] sent = Pattern(4000);
        Assert.That(await socket.SendAsync(sent), Is.EqualTo(sent.Length));
        PacketSlot super = ReadUntil(queue, s => IsIpv4(s, ProtocolType.Tcp) && s.GsoSize > 0);
        TcpPacket segment = Parse(super).Extract<TcpPacket>();
        Assert.That((super.GsoSize, super.HeaderLength, super.Checksum), Is.EqualTo((536, 40, ChecksumState.Partial)));
        Assert.That(super.Length, Is.GreaterThan(device.Mtu));
        Assert.That(segment.PayloadData, Is.EqualTo(sent[..segment.PayloadData.Length]));

        // The largest packet there is, the other way.
        byte[] answer = Pattern(65_000);
        PacketSlot large = Slot(Tcp(StackIp, HostIp, 80, syn.SourcePort, 5001, segment.SequenceNumber + (uint)segment.PayloadData.Length, payload: answer));
        MakePartial(large, gsoSize: 1460);
        Assert.That(queue.Write([large]), Is.EqualTo(1));
        byte[] received = new byte[answer.Length];
        using CancellationTokenSource patience = new(Patience);
        int count = 0;
        while (count < 40_000)
        {
            count += await socket.ReceiveAsync(received.AsMemory(count), patience.Token);
        }

        Assert.That(received[..count], Is.EqualTo(answer[..count]));
    }

    [Test]
    public void Batch_is_filled_from_the_first_slot_in_order()
    {
        TunDevice device = Open();
        using Socket socket = KernelUdp();
        for (byte i = 0; i < 10; i++)
        {
            socket.SendTo([i], new IPEndPoint(StackIp, 7777));
        }

        List<byte> seen = [];
        PacketSlot[] batch = [.. Enumerable.Range(0, 4).Select(_ => new PacketSlot(1500))];
        int largest = 0;
        for (int count; (count = device.Queues[0].Read(batch)) > 0;)
        {
            largest = Math.Max(largest, count);
            seen.AddRange(batch[..count].Where(s => IsIpv4(s, ProtocolType.Udp)).Select(s => s.Packet[28]));
        }

        Assert.That(seen, Is.EqualTo(new byte[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }));
        Assert.That(largest, Is.EqualTo(4));
    }

    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public void Packet_longer_than_its_slot_is_dropped_and_counted(OffloadMode offload)
    {
        TunDevice device = Open(offload);
        using Socket socket = KernelUdp();
        socket.SendTo(Pattern(1000), new IPEndPoint(StackIp, 7777));
        socket.SendTo(Pattern(10), new IPEndPoint(StackIp, 7777));
        PacketSlot[] batch = [new PacketSlot(200), new PacketSlot(200)];
        Assert.That(device.Queues[0].Read(batch), Is.EqualTo(1));
        Assert.That((batch[0].Length, device.PacketsDroppedOnRead), Is.EqualTo((38, 1L)));
    }

    [Test]
    public void Flows_go_to_queues_and_all_queues_write()
    {
        TunDevice device = Open(new TunDeviceOptions { Name = "tun0", HostAddress = HostAddress, Queues = 2 });
        using Socket receiver = KernelUdp();
        int port = ((IPEndPoint)receiver.LocalEndPoint!).Port;
        foreach (PacketQueue queue in device.Queues)
        {
            Assert.That(queue.Write([Slot(Udp(StackIp, HostIp, 1, (ushort)port, [1]))]), Is.EqualTo(1));
            Assert.That(receiver.Receive(new byte[10]), Is.EqualTo(1));
        }

        for (int flow = 0; flow < 64; flow++)
        {
            using Socket sender = KernelUdp();
            sender.SendTo([1], new IPEndPoint(StackIp, 7777));
        }

        PacketSlot[] batch = [.. Enumerable.Range(0, 100).Select(_ => new PacketSlot(1500))];
        int[] counts = [.. device.Queues.Select(q => batch[..q.Read(batch)].Count(s => IsIpv4(s, ProtocolType.Udp)))];
        Assert.That(counts.Sum(), Is.EqualTo(64));
        Assert.That(counts, Has.All.GreaterThan(0));
    }

    [Test]
    public void Interface_without_ipv6_stays_silent()
    {
        TunDevice device = Open();
        device.Queues[0].Wait(TimeSpan.FromMilliseconds(300));
        PacketSlot[] batch = [new PacketSlot()];
        Assert.That(device.Queues[0].Read(batch), Is.Zero, () => Convert.ToHexString(batch[0].Packet));
    }

    private Socket KernelUdp() => Namespace.Invoke(() =>
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp) { ReceiveTimeout = 5000 };
        socket.Bind(new IPEndPoint(HostIp, 0));
        return socket;
    });
}
