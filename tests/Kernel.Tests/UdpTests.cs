using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Datagrams to and from sockets of the kernel.</summary>
public class UdpTests : KernelFixture
{
    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public async Task Datagrams_of_all_sizes_pass_both_ways(OffloadMode offload)
    {
        await StartAsync(offload);
        StackUdpSocket ours = Own(await Stack.BindUdpAsync(new IPEndPoint(StackIp, 5353)));
        Socket kernels = KernelSocket(SocketType.Dgram);
        kernels.Bind(new IPEndPoint(KernelIp, 0));
        kernels.ReceiveBufferSize = 1 << 20;
        byte[] buffer = new byte[65_535];
        foreach (int size in new[] { 0, 1, 1000, 1472, 1473, 20_000, 65_507 })
        {
            byte[] data = Pattern(size);
            await kernels.SendToAsync(data, new IPEndPoint(StackIp, 5353));
            UdpReceive received = await ours.ReceiveFromAsync(buffer).AsTask().WaitAsync(Patience);
            Assert.That((received.Count, received.Remote, received.LocalAddress, received.Truncated), Is.EqualTo((size, (IPEndPoint)kernels.LocalEndPoint!, StackIp, false)));
            Assert.That(buffer.AsSpan(0, size).SequenceEqual(data), Is.True, $"{size} octets from the kernel");

            Assert.That(await ours.SendToAsync(data, received.Remote), Is.EqualTo(size));
            SocketReceiveFromResult answer = await kernels.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0)).WaitAsync(Patience);
            Assert.That((answer.ReceivedBytes, answer.RemoteEndPoint), Is.EqualTo((size, new IPEndPoint(StackIp, 5353))));
            Assert.That(buffer.AsSpan(0, size).SequenceEqual(data), Is.True, $"{size} octets to the kernel");
        }
    }

    [Test]
    public async Task Port_unreachable_of_the_kernel_reaches_our_connected_socket()
    {
        await StartAsync();
        StackUdpSocket ours = Own(await Stack.BindUdpAsync(new IPEndPoint(StackIp, 0)));
        ours.Connect(new IPEndPoint(KernelIp, 9));
        await ours.SendAsync(new byte[5]);
        SocketException error = (await Assert.CatchAsync<SocketException>(() => ours.ReceiveFromAsync(new byte[5]).AsTask().WaitAsync(Patience)))!;
        Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public async Task Port_unreachable_of_ours_reaches_a_connected_socket_of_the_kernel()
    {
        await StartAsync();
        Socket kernels = KernelSocket(SocketType.Dgram);
        await kernels.ConnectAsync(new IPEndPoint(StackIp, 9));
        await kernels.SendAsync(new byte[5]);
        SocketException error = (await Assert.CatchAsync<SocketException>(() => kernels.ReceiveAsync(new byte[5]).WaitAsync(Patience)))!;
        Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public async Task Many_datagrams_arrive_in_order()
    {
        const int Count = 20_000;
        await StartAsync();
        StackUdpSocket ours = Own(await Stack.BindUdpAsync(new IPEndPoint(StackIp, 5353)));
        Socket kernels = KernelSocket(SocketType.Dgram);
        await kernels.ConnectAsync(new IPEndPoint(StackIp, 5353));

        // At most 50 under way, so that no queue overflows: each is answered.
        byte[] buffer = new byte[8];
        int sent = 0;
        for (int answered = 0; answered < Count; answered++)
        {
            for (; sent < Count && sent < answered + 50; sent++)
            {
                await kernels.SendAsync(BitConverter.GetBytes(sent));
            }

            UdpReceive received = await ours.ReceiveFromAsync(buffer).AsTask().WaitAsync(Patience);
            if (received.Count != 4 || BitConverter.ToInt32(buffer) != answered)
            {
                Assert.Fail($"Instead of {answered} came {BitConverter.ToInt32(buffer)} ({received.Count} octets).");
            }
        }
    }
}
