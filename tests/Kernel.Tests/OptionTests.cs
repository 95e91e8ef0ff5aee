using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Data gets through, and each end sees what was agreed, whichever options the two ends have switched off.</summary>
public class OptionTests : KernelFixture
{
    [Test]
    [Spec("9293-MUST-5")]
    public async Task Kernel_without_some_options_is_served_without_them(
        [Values] bool timestamps, [Values] bool selective, [Values] bool scaling, [Values] bool kernelIsClient)
    {
        await StartAsync();
        SetKernel("net/ipv4/tcp_timestamps", timestamps ? "1" : "0");
        SetKernel("net/ipv4/tcp_sack", selective ? "1" : "0");
        SetKernel("net/ipv4/tcp_window_scaling", scaling ? "1" : "0");
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await ExchangeAsync(ours, kernels, timestamps, selective, scaling);
    }

    [Test]
    public async Task Kernel_does_without_options_that_we_have_switched_off(
        [Values] bool timestamps, [Values] bool selective, [Values] bool scaling, [Values] bool kernelIsClient)
    {
        await StartAsync(configure: options =>
        {
            options.Tcp.Timestamps = timestamps;
            options.Tcp.SelectiveAcknowledgments = selective;
            options.Tcp.WindowScaling = scaling;
        });
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await ExchangeAsync(ours, kernels, timestamps, selective, scaling);
    }

    [TestCase(68, true)]
    [TestCase(576, false)]
    [TestCase(9000, true)]
    [TestCase(65_535, false)]
    public async Task Links_of_other_mtus_carry_data(int mtu, bool kernelIsClient)
    {
        await StartAsync(mtu: mtu);
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await ExchangeAsync(ours, kernels, timestamps: true, selective: true, scaling: true, octets: mtu == 68 ? 20_000 : 2_000_000);
        Assert.That(ours.GetInfo().AdvertisedMss, Is.EqualTo(mtu - 40));
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Kernel_with_a_smaller_mss_gets_smaller_segments(bool kernelIsClient)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient, socket => socket.SetRawSocketOption(6, 2 /* TCP_MAXSEG */, BitConverter.GetBytes(700)));
        await ExchangeAsync(ours, kernels, timestamps: true, selective: true, scaling: true);
        Assert.That((ours.GetInfo().PeerMss, ours.GetInfo().SendMss), Is.EqualTo((700, 688)));
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Kernel_and_stack_agree_on_explicit_congestion_notification(bool kernelIsClient)
    {
        await StartAsync();
        SetKernel("net/ipv4/tcp_ecn", "1");
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await ExchangeAsync(ours, kernels, timestamps: true, selective: true, scaling: true);
        Assert.That(ours.GetInfo().ExplicitCongestionNotification, Is.EqualTo(kernelIsClient), "the stack agrees, and does not ask");
    }

    [Test]
    public async Task Kernels_keep_alive_probes_are_answered()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        kernels.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 1);
        kernels.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
        kernels.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 1);
        long before = ours.GetInfo().SegmentsReceived;
        kernels.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);

        // With one probe allowed, the kernel would give up at the second.
        await Poll.UntilAsync(() => ours.GetInfo().SegmentsReceived >= before + 2, "two probes came");
        await kernels.SendAsync("alive"u8.ToArray());
        await Poll.UntilAsync(() => ours.GetInfo().Readable == 5, "the connection lives");
    }

    private async Task ExchangeAsync(TcpConnection ours, Socket kernels, bool timestamps, bool selective, bool scaling, int octets = 2_000_000)
    {
        TcpInfo info = ours.GetInfo();
        Assert.That((info.Timestamps, info.SelectiveAcknowledgments, info.WindowScaling), Is.EqualTo((timestamps, selective, scaling)));
        byte[] there = Pattern(octets);
        byte[] back = Pattern(octets, seed: 2);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream kernelStream = new(kernels, ownsSocket: false);
        Task<byte[]> arriving = ReadAllAsync(stream);
        Task<byte[]> arrivingAtKernel = ReadAllAsync(kernelStream);
        Task leaving = kernelStream.WriteAsync(there).AsTask();
        await stream.WriteAsync(back).AsTask().WaitAsync(Patience);
        ours.CompleteWrites();
        await leaving.WaitAsync(Patience);
        kernels.Shutdown(SocketShutdown.Send);
        Assert.That((Hash(await arriving), Hash(await arrivingAtKernel)), Is.EqualTo((Hash(there), Hash(back))));
        Assert.That(ours.GetInfo().Timeouts, Is.Zero, "nothing is lost here");
    }
}
