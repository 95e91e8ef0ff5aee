using System.Net.Sockets;
using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

public sealed class StreamTests
{
    [Test]
    public async Task Synchronous_calls_block_the_caller_and_nothing_else()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 4000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        byte[] octets = new byte[300_000];
        new Random(1).NextBytes(octets);

        Task echo = Task.Factory.StartNew(
            () =>
            {
                using Stream stream = server.GetStream();
                byte[] buffer = new byte[3000];
                int count;
                while ((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                {
                    stream.Write(buffer, 0, count);
                    stream.Flush();
                }
            },
            TaskCreationOptions.LongRunning);
        Task writing = Task.Factory.StartNew(
            () =>
            {
                Stream stream = client.GetStream(false);
                stream.WriteByte(octets[0]);
                stream.Write(octets.AsSpan(1));
                client.CompleteWrites();
            },
            TaskCreationOptions.LongRunning);
        MemoryStream received = new();
        Stream reader = client.GetStream(false);
        int first = reader.ReadByte();
        await Task.Run(() => reader.CopyTo(received));
        Assert.That(reader.ReadByte(), Is.EqualTo(-1));
        await Task.WhenAll(echo, writing);
        Assert.That(first, Is.EqualTo(octets[0]));
        Assert.That(received.ToArray().AsSpan().SequenceEqual(octets.AsSpan(1)), Is.True);
        await client.DisposeAsync();
    }

    [Test]
    public async Task Time_outs_hold_for_synchronous_calls_and_leave_the_connection_usable()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 1000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream stream = client.GetStream(false);
        Assert.That(stream.CanTimeout, Is.True);
        Assert.That(() => stream.ReadTimeout = 0, Throws.InstanceOf<ArgumentOutOfRangeException>());
        stream.ReadTimeout = 50;
        stream.WriteTimeout = 50;
        Assert.That(() => stream.Read(new byte[1], 0, 1), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.TimedOut));
        await server.WriteAsync([7]);
        Assert.That(stream.ReadByte(), Is.EqualTo(7));
        Assert.That(() => stream.Write(new byte[10_000]), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.TimedOut));
        await server.DisposeAsync();
        await client.DisposeAsync();
    }

    [Test]
    public async Task A_read_into_an_empty_buffer_waits_for_data_and_takes_none()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream stream = client.GetStream(false);
        ValueTask<int> waiting = stream.ReadAsync(Memory<byte>.Empty);
        Assert.That(waiting.IsCompleted, Is.False);
        await server.WriteAsync([1, 2]);
        Assert.That(await waiting, Is.Zero);
        Assert.That(await stream.ReadAsync(Memory<byte>.Empty), Is.Zero);
        Assert.That(await stream.ReadAsync(new byte[8]), Is.EqualTo(2));
        await server.DisposeAsync();
        await client.DisposeAsync();
    }

    [Test]
    public async Task A_second_pending_read_or_write_is_refused()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 1000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream stream = client.GetStream(false);
        ValueTask<int> reading = stream.ReadAsync(new byte[1]);
        Assert.That(async () => await stream.ReadAsync(new byte[1]), Throws.InvalidOperationException.With.Message.Contains("pending"));
        Assert.That(() => stream.Read(new byte[1]), Throws.InvalidOperationException);
        ValueTask writing = stream.WriteAsync(new byte[5000]);
        Assert.That(async () => await stream.WriteAsync(new byte[1]), Throws.InvalidOperationException);
        await server.WriteAsync([1]);
        Assert.That(await reading, Is.EqualTo(1));
        await server.ReadExactlyAsync(5000);
        await writing;
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task A_cancelled_read_loses_no_data_and_the_connection_goes_on([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream stream = client.GetStream(false);
        int total = 0;
        for (int i = 0; i < 200; i++)
        {
            using CancellationTokenSource cancellation = new();
            ValueTask<int> reading = stream.ReadAsync(new byte[100], cancellation.Token);
            Task writing = Task.Run(() => server.WriteAsync([1]).AsTask());
            await cancellation.CancelAsync();
            try
            {
                total += await reading;
            }
            catch (OperationCanceledException exception)
            {
                Assert.That(exception.CancellationToken, Is.EqualTo(cancellation.Token));
            }

            await writing;
        }

        server.CompleteWrites();
        int count;
        while ((count = await stream.ReadAsync(new byte[100])) > 0)
        {
            total += count;
        }

        Assert.That(total, Is.EqualTo(200));
        Assert.That(async () => await stream.ReadAsync(new byte[1], new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task A_cancelled_write_leaves_the_connection_usable()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 1000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        using CancellationTokenSource cancellation = new();
        ValueTask writing = client.GetStream(false).WriteAsync(new byte[10_000], cancellation.Token);
        await cancellation.CancelAsync();
        Assert.That(async () => await writing, Throws.InstanceOf<OperationCanceledException>());
        Task<(long Count, byte[])> reading = Transfer.ReceiveAsync(server.GetStream(false));
        await client.WriteAsync([1, 2, 3]);
        client.CompleteWrites();
        Assert.That((await reading).Count, Is.InRange(3, 9999));
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task Dispose_of_a_stream_that_does_not_own_leaves_the_connection()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream stream = client.GetStream(ownsConnection: false);
        await stream.DisposeAsync();
        Assert.That(stream.CanRead, Is.False);
        Assert.That(() => stream.Write([1]), Throws.InstanceOf<ObjectDisposedException>());
        await client.WriteAsync([1]);
        Assert.That(await server.ReadExactlyAsync(1), Is.EqualTo(new byte[] { 1 }));

        await using (client.GetStream())
        {
        }

        Assert.That(await server.GetStream(false).ReadAsync(new byte[1]), Is.Zero);
        Assert.That(async () => await client.WriteAsync([1]), Throws.InstanceOf<ObjectDisposedException>());
        await server.DisposeAsync();
    }

    [Test]
    public async Task A_blocking_call_on_the_loop_thread_is_refused()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = ContinuationScheduling.Inline);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        bool wasOnLoop = false;
        Task onLoop = OnLoopAsync();        // its read is pending when this returns
        await Task.Run(() => server.WriteAsync([1]).AsTask());
        Assert.That(async () => await onLoop, Throws.InvalidOperationException.With.Message.Contains("loop"));
        Assert.That(wasOnLoop, Is.True);
        await client.DisposeAsync();
        await server.DisposeAsync();

        async Task OnLoopAsync()
        {
            Stream stream = client.GetStream(false);
            await stream.ReadExactlyAsync(new byte[1]).ConfigureAwait(false);
            wasOnLoop = pair.Client.Host.IsLoopThread;
            stream.ReadByte();
        }
    }

    [Test]
    public async Task Begin_and_end_methods_work()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Stream from = client.GetStream();
        Stream to = server.GetStream();
        await Task.Factory.FromAsync(from.BeginWrite, from.EndWrite, new byte[] { 1, 2, 3 }, 0, 3, null);
        Assert.That(await Task<int>.Factory.FromAsync(to.BeginRead, to.EndRead, new byte[8], 0, 8, null), Is.EqualTo(3));
        await from.DisposeAsync();
        await to.DisposeAsync();
    }
}
