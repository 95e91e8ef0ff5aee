using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Links that change while connections use them (RFC 1191; RFC 9293 §3.7.5).</summary>
public class PathTests : KernelFixture
{
    private const int Megabyte = 1_000_000;

    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public async Task Transfer_survives_changes_of_the_devices_mtu(OffloadMode offload)
    {
        await StartAsync(offload);
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream kernelStream = new(kernels, ownsSocket: false);
        foreach (int mtu in new[] { 1500, 1000, 576, 1500, 1280 })
        {
            // In the middle of a transfer each way.
            byte[] data = Pattern(4 * Megabyte, mtu);
            Task<byte[]> arriving = ReadAsync(stream, data.Length);
            Task<byte[]> arrivingAtKernel = ReadAsync(kernelStream, data.Length);
            Task leaving = Task.WhenAll(stream.WriteAsync(data.AsMemory(0, Megabyte)).AsTask(), kernelStream.WriteAsync(data.AsMemory(0, Megabyte)).AsTask());
            await Namespace.Start("ip", "link", "set", "dev", "tun0", "mtu", $"{mtu}").WaitAsync();
            await leaving.WaitAsync(Patience);
            await Task.WhenAll(stream.WriteAsync(data.AsMemory(Megabyte)).AsTask(), kernelStream.WriteAsync(data.AsMemory(Megabyte)).AsTask()).WaitAsync(Patience);
            Assert.That((Hash(await arriving), Hash(await arrivingAtKernel)), Is.EqualTo((Hash(data), Hash(data))), $"MTU {mtu}");
        }
    }

    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    [Spec("9293-SHLD-5")]
    public async Task Segments_shrink_to_the_smallest_link_behind_the_router(OffloadMode offload)
    {
        await StartAsync(offload);
        NetworkNamespace far = AddNetworkBehindKernel();
        (TcpConnection ours, Socket fars) = await ConnectToFarAsync(far);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream farStream = new(fars, ownsSocket: false);
        Assert.That(ours.GetInfo().PathMtu, Is.EqualTo(1500));

        foreach (int mtu in new[] { 1200, 700 })
        {
            // The far end cannot know: it has announced an MSS of 1460, and the router can only tell us.
            Namespace.Run("ip", "route", "change", "10.98.0.0/24", "dev", "near0", "mtu", $"{mtu}");
            byte[] data = Pattern(2 * Megabyte, mtu);
            Task<byte[]> arriving = ReadAsync(farStream, data.Length);
            await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
            Assert.That(Hash(await arriving), Is.EqualTo(Hash(data)), $"MTU {mtu}");
            Assert.That((ours.GetInfo().PathMtu, ours.GetInfo().SendMss), Is.EqualTo((mtu, mtu - 52)));
        }

        Assert.That(Stack.GetStatistics().TcpPmtuReductions, Is.EqualTo(2));

        // What is learnt holds for the next connection to the same host.
        (TcpConnection next, _) = await ConnectToFarAsync(far, port: 7100);
        Assert.That(next.GetInfo().PathMtu, Is.EqualTo(700));
    }

    /// <summary>A router that drops what is too big and says nothing (RFC 2923 §2.1).</summary>
    [Test]
    [Spec("4821-2")]
    public async Task A_black_hole_is_found_and_the_size_of_the_path_by_probing()
    {
        await StartAsync();
        NetworkNamespace far = AddNetworkBehindKernel();
        (TcpConnection ours, Socket fars) = await ConnectToFarAsync(far);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream farStream = new(fars, ownsSocket: false);
        Namespace.Run("ip", "route", "change", "10.98.0.0/24", "dev", "near0", "mtu", "1300");
        Namespace.Run("ip", "rule", "add", "ipproto", "icmp", "prio", "1", "blackhole");
        byte[] data = Pattern(20 * Megabyte);
        Task<byte[]> arriving = ReadAsync(farStream, data.Length);
        await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
        Assert.That(Hash(await arriving), Is.EqualTo(Hash(data)));
        Assert.That(ours.GetInfo().PathMtu, Is.InRange(1064, 1300));
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That((statistics.TcpBlackHoles, statistics.IcmpInMsgs), Is.EqualTo((1, 0)));
        Assert.That(statistics.TcpMtuProbesArrived + statistics.TcpMtuProbesLost, Is.GreaterThan(0));
    }

    [Test]
    public async Task Transfer_stalls_while_the_link_is_down_and_then_goes_on()
    {
        await StartAsync();
        NetworkNamespace far = AddNetworkBehindKernel();
        (TcpConnection ours, Socket fars) = await ConnectToFarAsync(far);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream farStream = new(fars, ownsSocket: false);
        byte[] data = Pattern(5 * Megabyte);
        Namespace.Run("ip", "link", "set", "near0", "down");
        Task writing = stream.WriteAsync(data).AsTask();
        await Poll.UntilAsync(() => ours.GetInfo().Timeouts >= 2, "two retransmissions timed out");
        Namespace.Run("ip", "link", "set", "near0", "up");
        Task<byte[]> arriving = ReadAsync(farStream, data.Length);
        await writing.WaitAsync(Patience);
        Assert.That(Hash(await arriving), Is.EqualTo(Hash(data)));
        Assert.That(ours.GetInfo().Backoff, Is.Zero);
    }

    [TestCase("netem", "delay", "2ms", "1ms", "loss", "1%", "duplicate", "1%", "reorder", "10%", TestName = "Loss_reordering_and_duplication_do_not_show_in_the_data")]
    [TestCase("tbf", "rate", "40mbit", "burst", "8kb", "limit", "30kb", TestName = "Bottleneck_with_a_short_queue_does_not_show_in_the_data")]
    public async Task Bad_link_does_not_show_in_the_data(params string[] discipline)
    {
        Need("tc");
        await StartAsync();
        NetworkNamespace far = AddNetworkBehindKernel();
        foreach ((NetworkNamespace where, string device) in new[] { (Namespace, "near0"), (far, "far0") })
        {
            ShellResult result = where.TryRun("tc", ["qdisc", "add", "dev", device, "root", .. discipline]);
            if (result.ExitCode != 0)
            {
                Assert.Ignore($"this kernel has no {discipline[0]}: {result.Error.Trim()}");
            }
        }

        (TcpConnection ours, Socket fars) = await ConnectToFarAsync(far);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream farStream = new(fars, ownsSocket: false);
        byte[] data = Pattern(4 * Megabyte);
        Task<byte[]> arriving = ReadAsync(stream, data.Length);
        Task<byte[]> arrivingFar = ReadAsync(farStream, data.Length);
        await Task.WhenAll(stream.WriteAsync(data).AsTask(), farStream.WriteAsync(data).AsTask()).WaitAsync(Patience);
        Assert.That((Hash(await arriving), Hash(await arrivingFar)), Is.EqualTo((Hash(data), Hash(data))));
        Assert.That(ours.GetInfo().Retransmissions, Is.GreaterThan(0), "the link is bad");
    }

    private async Task<(TcpConnection Ours, Socket Fars)> ConnectToFarAsync(NetworkNamespace far, int port = 7000)
    {
        Socket listener = KernelSocket(SocketType.Stream, far);
        listener.Bind(new IPEndPoint(FarIp, port));
        listener.Listen();
        Task<Socket> accepting = listener.AcceptAsync();
        TcpConnection ours = Own(await Stack.ConnectAsync(new IPEndPoint(FarIp, port)).AsTask().WaitAsync(Patience));
        return (ours, await accepting.WaitAsync(Patience));
    }

    private static async Task<byte[]> ReadAsync(Stream stream, int count)
    {
        byte[] data = new byte[count];
        await stream.ReadExactlyAsync(data).AsTask().WaitAsync(Patience);
        return data;
    }
}
