using System.Net;
using System.Net.Sockets;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

[CancelAfter(30_000)]
public class UdpTests
{
    [Test]
    public async Task Datagram_arrives_with_sender_and_local_address()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using StackUdpSocket receiver = await pair.Second.BindUdpAsync(new IPEndPoint(IPAddress.Any, 9000));
        await using StackUdpSocket sender = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        Assert.That(sender.LocalEndPoint.Port, Is.Not.Zero);

        ValueTask<UdpReceive> waiting = receiver.ReceiveFromAsync(new byte[100]);
        Assert.That(waiting.IsCompleted, Is.False);
        Assert.That(await sender.SendToAsync("hello"u8.ToArray(), new IPEndPoint(SecondAddress, 9000)), Is.EqualTo(5));
        Assert.That(await waiting, Is.EqualTo(new UdpReceive(5, sender.LocalEndPoint, SecondAddress, Truncated: false)));
    }

    [Test]
    public async Task Long_datagram_is_fragmented_and_a_short_buffer_truncates()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using StackUdpSocket receiver = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 9000));
        await using StackUdpSocket sender = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        byte[] datagram = new byte[65_507];
        new Random(1).NextBytes(datagram);

        byte[] buffer = new byte[65_507];
        await sender.SendToAsync(datagram, receiver.LocalEndPoint);
        Assert.That((await receiver.ReceiveFromAsync(buffer)).Count, Is.EqualTo(65_507));
        Assert.That(buffer, Is.EqualTo(datagram));

        await sender.SendToAsync(datagram, receiver.LocalEndPoint);
        Assert.That(await receiver.ReceiveFromAsync(buffer.AsMemory(0, 10)), Is.EqualTo(new UdpReceive(10, sender.LocalEndPoint, SecondAddress, Truncated: true)));
        Assert.That(async () => await sender.SendToAsync(new byte[65_508], receiver.LocalEndPoint), Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.MessageSize));
    }

    [Test]
    public async Task Port_unreachable_reaches_a_connected_socket()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using StackUdpSocket socket = await pair.First.BindUdpAsync(new IPEndPoint(IPAddress.Any, 0));
        Assert.That(async () => await socket.SendAsync(new byte[1]), Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.NotConnected));
        socket.Connect(new IPEndPoint(SecondAddress, 9));
        Assert.That(socket.LocalEndPoint.Address, Is.EqualTo(FirstAddress));

        ValueTask<UdpReceive> waiting = socket.ReceiveFromAsync(new byte[100]);
        await socket.SendAsync(new byte[1]);
        Assert.That(async () => await waiting, Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public async Task Waiting_receives_are_served_in_order()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using StackUdpSocket receiver = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 9000));
        await using StackUdpSocket sender = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        for (int round = 0; round < 100; round++)
        {
            byte[][] buffers = [.. Enumerable.Range(0, 50).Select(static _ => new byte[1])];
            Task<UdpReceive>[] waiting = [.. buffers.Select(buffer => receiver.ReceiveFromAsync(buffer).AsTask())];
            for (byte i = 0; i < buffers.Length; i++)
            {
                await sender.SendToAsync(new[] { i }, receiver.LocalEndPoint);
            }

            await Task.WhenAll(waiting);
            Assert.That(buffers.Select(static buffer => (int)buffer[0]), Is.EqualTo(Enumerable.Range(0, 50)));
        }
    }

    [Test]
    public async Task Cancelled_receive_loses_no_datagram()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using StackUdpSocket receiver = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 9000));
        await using StackUdpSocket sender = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        using CancellationTokenSource cancellation = new();
        byte[] never = [0xFF];
        ValueTask<UdpReceive> cancelled = receiver.ReceiveFromAsync(never, cancellation.Token);
        ValueTask<UdpReceive> next = receiver.ReceiveFromAsync(new byte[1]);
        await cancellation.CancelAsync();
        Assert.That(async () => await cancelled, Throws.InstanceOf<OperationCanceledException>());
        await sender.SendToAsync(new byte[] { 1 }, receiver.LocalEndPoint);
        Assert.That((await next).Count, Is.EqualTo(1));
        Assert.That(never[0], Is.EqualTo(0xFF));
    }

    [Test]
    public async Task Ping_pong_of_many_datagrams([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        await using StackUdpSocket server = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 9000));
        await using StackUdpSocket client = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
        Task echo = EchoAsync();
        byte[] buffer = new byte[4];
        for (int i = 0; i < 2000; i++)
        {
            await client.SendToAsync(BitConverter.GetBytes(i), server.LocalEndPoint);
            await client.ReceiveFromAsync(buffer);
            Assert.That(BitConverter.ToInt32(buffer), Is.EqualTo(i));
        }

        await server.DisposeAsync();
        Assert.That(async () => await echo, Throws.InstanceOf<ObjectDisposedException>());

        async Task EchoAsync()
        {
            byte[] data = new byte[100];
            while (true)
            {
                UdpReceive received = await server.ReceiveFromAsync(data);
                await server.SendToAsync(data.AsMemory(0, received.Count), received.Remote);
            }
        }
    }

    [Test]
    public async Task Port_is_taken_once_and_free_after_dispose()
    {
        await using StackPair pair = await StackPair.StartAsync();
        StackUdpSocket first = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 9000));
        Assert.That(async () => await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 9000)), Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.AddressAlreadyInUse));
        Assert.That(async () => await pair.First.BindUdpAsync(new IPEndPoint(Foreign, 9001)), Throws.InstanceOf<SocketException>().With.Property("SocketErrorCode").EqualTo(SocketError.AddressNotAvailable));
        await first.DisposeAsync();
        await first.DisposeAsync();
        await (await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 9000))).DisposeAsync();
        Assert.That(async () => await first.ReceiveFromAsync(new byte[1]), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await first.SendToAsync(new byte[1], new IPEndPoint(SecondAddress, 1)), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Stop_ends_waiting_receives()
    {
        await using StackPair pair = await StackPair.StartAsync();
        StackUdpSocket socket = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 0));
        ValueTask<UdpReceive> waiting = socket.ReceiveFromAsync(new byte[1]);
        await pair.Second.StopAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 0)), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Dead_device_ends_waiting_receives_with_an_io_exception()
    {
        await using StackPair pair = await StackPair.StartAsync();
        StackUdpSocket socket = await pair.Second.BindUdpAsync(new IPEndPoint(SecondAddress, 0));
        ValueTask<UdpReceive> waiting = socket.ReceiveFromAsync(new byte[1]);
        await pair.SecondDevice.DisposeAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<IOException>());
    }
}
