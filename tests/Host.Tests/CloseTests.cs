using System.Buffers;
using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Core;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

public sealed class CloseTests
{
    [Test]
    public async Task Half_close_ends_one_direction_and_leaves_the_other([Values] bool fromClient)
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection first, TcpConnection second) = await pair.ConnectAsync();
        if (!fromClient)
        {
            (first, second) = (second, first);
        }

        await first.WriteAsync("last words"u8.ToArray());
        first.CompleteWrites();
        Assert.That(await second.ReadExactlyAsync(10), Is.EqualTo("last words"u8.ToArray()));
        Assert.That(await second.GetStream(false).ReadAsync(new byte[1]), Is.Zero);
        await second.ReadsClosed;
        await first.WritesClosed;
        Assert.That(first.ReadsClosed.IsCompleted, Is.False);
        Assert.That(async () => await first.WriteAsync([1]), Throws.InstanceOf<IOException>().With.InnerException.InstanceOf<SocketException>());

        // The other direction goes on, more than a window's worth.
        Task<(long, byte[])> end = Transfer.ReceiveAsync(first.GetStream(false));
        byte[] hash = await Transfer.SendAsync(second.GetStream(false), 3_000_000, seed: 1);
        second.CompleteWrites();
        Assert.That(await end, Is.EqualTo((3_000_000L, hash)));
        await first.ReadsClosed;
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Test]
    public async Task Abort_resets_the_peer_and_fails_pending_calls()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        ValueTask<int> ours = client.GetStream(false).ReadAsync(new byte[1]);
        ValueTask<int> theirs = server.GetStream(false).ReadAsync(new byte[1]);
        Task readsClosed = client.ReadsClosed;
        client.Abort();

        Assert.That(async () => await ours, Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionAborted));
        Assert.That(async () => await theirs, Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        Assert.That(async () => await readsClosed, Throws.InstanceOf<IOException>());
        Assert.That(async () => await server.WriteAsync([1]), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        await server.DisposeAsync();
        await client.DisposeAsync();
        Assert.That(client.GetStream(false).CanRead, Is.True);
        Assert.That(async () => await client.GetStream(false).ReadAsync(new byte[1]), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task A_reset_drops_what_is_unread_but_a_view_that_is_held_stays_intact()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await client.WriteAsync("all of this"u8.ToArray());
        System.IO.Pipelines.ReadResult result = await server.Input.ReadAtLeastAsync(11);
        client.Abort();
        await Poll.UntilAsync(() => server.State == System.Net.NetworkInformation.TcpState.Closed);

        // Other connections use the pool meanwhile; the view's block must not be among what they get.
        (TcpConnection other, TcpConnection otherPeer) = await pair.ConnectAsync();
        await other.WriteAsync(new byte[100_000]);
        await otherPeer.ReadExactlyAsync(100_000);
        Assert.That(System.Text.Encoding.ASCII.GetString(result.Buffer.ToArray()), Is.EqualTo("all of this"));

        server.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        Assert.That(async () => await server.Input.ReadAsync(), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        await server.DisposeAsync();
        await other.DisposeAsync();
        await otherPeer.DisposeAsync();
        await Poll.UntilAsync(() => pair.Server.Host.Core.Blocks.InUse == 0 && pair.Client.Host.Core.Blocks.InUse == 0);
    }

    [Test]
    public async Task Dispose_sends_what_is_queued_and_then_fin()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        byte[] octets = new byte[900_000];
        new Random(1).NextBytes(octets);
        await client.WriteAsync(octets);
        await client.DisposeAsync();
        await client.DisposeAsync();
        MemoryStream received = new();
        await server.GetStream(false).CopyToAsync(received);
        Assert.That(received.ToArray().AsSpan().SequenceEqual(octets), Is.True);
        await client.WritesClosed;
        await server.DisposeAsync();
    }

    [Test]
    [Spec("2525-2.17")]
    public async Task Dispose_with_unread_data_resets()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await server.WriteAsync([1]);
        await Poll.UntilAsync(() => client.GetInfo().Readable == 1);
        ValueTask<int> reading = server.GetStream(false).ReadAsync(new byte[1]);
        await client.DisposeAsync();
        Assert.That(async () => await reading, Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        await server.DisposeAsync();
    }

    [Test]
    public async Task Linger_of_zero_resets()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        client.LingerState = new LingerOption(true, 0);
        ValueTask<int> reading = server.GetStream(false).ReadAsync(new byte[1]);
        await client.DisposeAsync();
        Assert.That(async () => await reading, Throws.InstanceOf<IOException>());
        await server.DisposeAsync();
    }

    [Test]
    public async Task Linger_time_waits_for_the_peer_to_have_everything_and_resets_then()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = 10_000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        client.LingerState = new LingerOption(true, 1);
        await client.WriteAsync(new byte[50_000]);
        await client.DisposeAsync();

        // Nobody read: a second has passed, and the rest was dropped.
        Assert.That(async () => await Transfer.ReceiveAsync(server.GetStream(false)), Throws.InstanceOf<IOException>());
        await server.DisposeAsync();

        (client, server) = await pair.ConnectAsync();
        client.LingerState = new LingerOption(true, 60);
        await client.WriteAsync(new byte[50_000]);
        Task<(long, byte[])> reading = Transfer.ReceiveAsync(server.GetStream(false));
        await client.DisposeAsync();
        Assert.That(client.WritesClosed.IsCompletedSuccessfully, Is.True);
        Assert.That((await reading).Item1, Is.EqualTo(50_000));
        await server.DisposeAsync();
    }

    [Test]
    public async Task Pending_calls_fail_when_the_connection_is_disposed_of()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 1000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        ValueTask<int> reading = client.GetStream(false).ReadAsync(new byte[1]);
        ValueTask writing = client.WriteAsync(new byte[100_000]);
        await client.DisposeAsync();
        Assert.That(async () => await reading, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await writing, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(() => client.NoDelay = true, Throws.InstanceOf<ObjectDisposedException>());
        await server.DisposeAsync();
    }

    [Test]
    public async Task Pending_calls_fail_when_the_stack_is_disposed_of()
    {
        StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        TcpConnectionListener listener = await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        ValueTask<TcpConnection> accepting = listener.AcceptAsync();
        ValueTask<int> reading = client.GetStream(false).ReadAsync(new byte[1]);
        Task disposing = pair.Client.DisposeAsync().AsTask();
        Assert.That(async () => await reading, Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await accepting, Throws.InstanceOf<ObjectDisposedException>());

        // The peer sees an orderly end.
        Assert.That(await server.GetStream(false).ReadAsync(new byte[1]), Is.Zero);
        await server.DisposeAsync();
        await disposing;
        await pair.Client.Completion;
        Assert.That(async () => await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 1)), Throws.InstanceOf<ObjectDisposedException>());
        Assert.That(async () => await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 1)), Throws.InstanceOf<ObjectDisposedException>());
        await pair.DisposeAsync();
    }

    [Test]
    public async Task Stop_lets_connections_finish_and_resets_the_rest_when_the_token_fires()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection idle, TcpConnection idlePeer) = await pair.ConnectAsync();
        (TcpConnection busy, TcpConnection busyPeer) = await pair.ConnectAsync();
        using CancellationTokenSource patience = new();
        Task stopping = pair.Client.StopAsync(patience.Token);

        await busy.WriteAsync("still works"u8.ToArray());
        Assert.That(await busyPeer.ReadExactlyAsync(11), Is.EqualTo("still works"u8.ToArray()));
        await busy.DisposeAsync();
        await busyPeer.DisposeAsync();
        Assert.That(stopping.IsCompleted, Is.False);

        ValueTask<int> reading = idlePeer.GetStream(false).ReadAsync(new byte[1]);
        await patience.CancelAsync();
        await stopping;
        Assert.That(async () => await reading, Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        Assert.That(async () => await idle.GetStream(false).ReadAsync(new byte[1]), Throws.Exception);
    }

    [Test]
    public async Task Stop_resets_every_connection_however_many_and_however_small_the_devices_queue()
    {
        await using StackPair pair = await StackPair.StartAsync(queueLength: 4);
        List<TcpConnection> peers = [];
        for (int i = 0; i < 300; i++)
        {
            peers.Add((await pair.ConnectAsync()).Server);
        }

        await pair.Client.StopAsync(new CancellationToken(true));
        foreach (TcpConnection peer in peers)
        {
            Assert.That(async () => await peer.GetStream(false).ReadAsync(new byte[1]), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
            await peer.DisposeAsync();
        }
    }

    [Test]
    public async Task Both_sides_that_close_together_are_soon_gone()
    {
        // The ACK of a FIN must not be lost where FIN and the ACK of ours arrive in one batch: the peer would wait for its time-out.
        for (int i = 0; i < 30; i++)
        {
            StackPair pair = await StackPair.StartAsync();
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
            await Task.WhenAll(Task.Run(async () => await client.DisposeAsync()), Task.Run(async () => await server.DisposeAsync()));
            Task disposing = pair.DisposeAsync().AsTask();
            await disposing.WaitAsync(TimeSpan.FromSeconds(4));
        }
    }

    [Test]
    public void Simultaneous_close_in_one_batch_acknowledges_the_fin_before_time_wait()
    {
        CorePair pair = new();
        (Tcp.TcpEndpoint first, Tcp.TcpEndpoint second) = pair.Connect();
        first.CloseSend(pair.Now);
        second.CloseSend(pair.Now);
        pair.Pump(from: pair.First, to: pair.Second, out PacketSlot[] firstFin);
        pair.Pump(from: pair.Second, to: pair.First, out PacketSlot[] secondFin);
        foreach (PacketSlot packet in firstFin)
        {
            pair.Second.OnPacket(pair.Now, packet);
        }

        pair.Pump(from: pair.Second, to: pair.First, out PacketSlot[] ack);
        foreach (PacketSlot packet in secondFin.Concat(ack))
        {
            pair.First.OnPacket(pair.Now, packet);
        }

        Assert.That(first.State, Is.EqualTo(System.Net.NetworkInformation.TcpState.TimeWait));
        pair.Pump(from: pair.First, to: pair.Second, out PacketSlot[] last);
        foreach (PacketSlot packet in last)
        {
            pair.Second.OnPacket(pair.Now, packet);
        }

        Assert.That(second.State, Is.EqualTo(System.Net.NetworkInformation.TcpState.TimeWait));
    }
}
