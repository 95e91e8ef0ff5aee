using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

public sealed class PipeTests
{
    [Test]
    public async Task Lines_are_cut_from_the_receive_buffer_without_copies()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Task<List<string>> reading = ReadLinesAsync(server.Input);
        string[] sent = [.. Enumerable.Range(0, 20_000).Select(i => new string((char)('a' + (i % 26)), i % 50) + i)];
        foreach (string line in sent)
        {
            Encoding.ASCII.GetBytes(line + "\n", client.Output);
            if (line.EndsWith("00", StringComparison.Ordinal))
            {
                await client.Output.FlushAsync();
            }
        }

        await client.Output.CompleteAsync();
        Assert.That(await reading, Is.EqualTo(sent));
        await client.DisposeAsync();
        await server.DisposeAsync();

        static async Task<List<string>> ReadLinesAsync(PipeReader reader)
        {
            List<string> lines = [];
            while (true)
            {
                ReadResult result = await reader.ReadAsync();
                ReadOnlySequence<byte> rest = result.Buffer;
                while (rest.PositionOf((byte)'\n') is { } end)
                {
                    lines.Add(Encoding.ASCII.GetString(rest.Slice(0, end)));
                    rest = rest.Slice(rest.GetPosition(1, end));
                }

                reader.AdvanceTo(rest.Start, rest.End);
                if (result.IsCompleted)
                {
                    Assert.That(rest.IsEmpty, Is.True);
                    await reader.CompleteAsync();
                    return lines;
                }
            }
        }
    }

    [Test]
    public async Task What_was_examined_is_not_given_again_until_more_comes_and_what_was_not_is_at_once()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        PipeReader reader = server.Input;
        Assert.That(reader.TryRead(out _), Is.False);
        await client.WriteAsync("abcdef"u8.ToArray());
        ReadResult result = await reader.ReadAtLeastAsync(6);
        Assert.That(result.Buffer.Length, Is.EqualTo(6));

        // Consumed 2, examined 4: two were not looked at.
        reader.AdvanceTo(result.Buffer.GetPosition(2), result.Buffer.GetPosition(4));
        Assert.That(reader.TryRead(out result), Is.True);
        Assert.That(Encoding.ASCII.GetString(result.Buffer), Is.EqualTo("cdef"));

        // All examined, none consumed: only more ends the next read.
        reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        Assert.That(reader.TryRead(out _), Is.False);
        ValueTask<ReadResult> waiting = reader.ReadAsync();
        Assert.That(waiting.IsCompleted, Is.False);
        await client.WriteAsync("g"u8.ToArray());
        result = await waiting;
        Assert.That(Encoding.ASCII.GetString(result.Buffer), Is.EqualTo("cdefg"));
        reader.AdvanceTo(result.Buffer.End);

        client.CompleteWrites();
        result = await reader.ReadAsync();
        Assert.That((result.IsCompleted, result.Buffer.Length), Is.EqualTo((true, 0L)));
        reader.AdvanceTo(result.Buffer.End);
        result = await reader.ReadAsync();
        Assert.That(result.IsCompleted, Is.True);
        reader.AdvanceTo(result.Buffer.Start);
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    /// <summary>A buffer of automatic size grows for a reader that wants to see more at once than it holds, as far as it may.</summary>
    [Test]
    public async Task A_read_of_at_least_a_million_octets_gets_them()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        byte[] data = new byte[1_000_000];
        new Random(1).NextBytes(data);
        Assert.That(server.ReceiveBufferSize, Is.LessThan(data.Length));
        Task writing = client.WriteAsync(data).AsTask();
        ReadResult result = await server.Input.ReadAtLeastAsync(data.Length).AsTask().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.That(result.Buffer.ToArray(), Is.EqualTo(data));
        server.Input.AdvanceTo(result.Buffer.End);
        await writing;
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task Wrong_use_of_the_reader_throws()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        PipeReader reader = server.Input;
        Assert.That(() => reader.AdvanceTo(default), Throws.InvalidOperationException);
        await client.WriteAsync("abc"u8.ToArray());
        ReadResult result = await reader.ReadAtLeastAsync(3);
        Assert.That(async () => await reader.ReadAsync(), Throws.InvalidOperationException, "a read without AdvanceTo");
        SequencePosition end = result.Buffer.End;
        reader.AdvanceTo(end);
        Assert.That(() => reader.AdvanceTo(end), Throws.InvalidOperationException);
        await reader.CompleteAsync();
        await reader.CompleteAsync();
        Assert.That(() => reader.TryRead(out _), Throws.InvalidOperationException);
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task CancelPendingRead_ends_the_read_pending_or_the_next()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        PipeReader reader = server.Input;
        ValueTask<ReadResult> waiting = reader.ReadAsync();
        reader.CancelPendingRead();
        ReadResult result = await waiting;
        Assert.That(result.IsCanceled, Is.True);
        reader.AdvanceTo(result.Buffer.Start);

        reader.CancelPendingRead();
        result = await reader.ReadAsync();
        Assert.That(result.IsCanceled, Is.True);
        reader.AdvanceTo(result.Buffer.Start);

        using CancellationTokenSource cancellation = new();
        waiting = reader.ReadAsync(cancellation.Token);
        await cancellation.CancelAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<OperationCanceledException>());
        await client.WriteAsync("x"u8.ToArray());
        result = await reader.ReadAsync();
        Assert.That((result.IsCanceled, result.Buffer.Length), Is.EqualTo((false, 1L)));
        reader.AdvanceTo(result.Buffer.End);
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task A_full_send_buffer_holds_the_flush_back()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 10_000);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        PipeWriter writer = client.Output;
        ValueTask<FlushResult> flushing = writer.WriteAsync(new byte[50_000]);
        Assert.That(flushing.IsCompleted, Is.False);
        Assert.That(client.Endpoint.SendQueue.Length, Is.AtMost(10_000), "a large write stays within the buffer");
        Task<byte[]> reading = server.ReadExactlyAsync(50_000);
        Assert.That((await flushing).IsCompleted, Is.False);
        await reading;

        // CancelPendingFlush.
        writer.GetMemory(40_000);
        writer.Advance(40_000);
        Assert.That(writer.UnflushedBytes, Is.EqualTo(40_000));
        flushing = writer.FlushAsync();
        Assert.That(writer.UnflushedBytes, Is.Zero);
        Assert.That(flushing.IsCompleted, Is.False);
        writer.CancelPendingFlush();
        Assert.That((await flushing).IsCanceled, Is.True);
        await server.ReadExactlyAsync(40_000);
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task GetMemory_gives_what_was_asked_for_and_keeps_the_order()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.SendBufferSize = 4 * 1024 * 1024);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Random random = new(1);
        MemoryStream sent = new();
        foreach (int size in (int[])[1, 4000, 100, 65_536, 5000, 200_000, 0, 3, 70_000])
        {
            Memory<byte> memory = client.Output.GetMemory(size);
            Assert.That(memory.Length, Is.AtLeast(Math.Max(1, size)));
            random.NextBytes(memory.Span[..size]);
            sent.Write(memory.Span[..size]);
            client.Output.Advance(size);
        }

        Assert.That(() => client.Output.Advance(1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        await client.Output.FlushAsync();
        byte[] received = await server.ReadExactlyAsync((int)sent.Length);
        Assert.That(received.AsSpan().SequenceEqual(sent.ToArray()), Is.True);
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task Complete_is_fin_and_complete_with_an_exception_is_rst()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        client.Output.Write("bye"u8);
        await client.Output.CompleteAsync();
        Assert.That(await server.ReadExactlyAsync(3), Is.EqualTo("bye"u8.ToArray()));
        Assert.That(await server.GetStream(false).ReadAsync(new byte[1]), Is.Zero);
        Assert.That(() => client.Output.GetMemory(), Throws.InvalidOperationException);

        await server.Output.CompleteAsync(new InvalidDataException());
        Assert.That(async () => await client.Input.ReadAsync(), Throws.InstanceOf<IOException>().With.InnerException.Property("SocketErrorCode").EqualTo(SocketError.ConnectionReset));
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task A_completed_reader_discards_and_the_writer_goes_on()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await server.Input.CompleteAsync();
        await client.WriteAsync(new byte[5_000_000]);
        await server.WriteAsync([5]);
        Assert.That(await client.ReadExactlyAsync(1), Is.EqualTo(new byte[] { 5 }));
        await client.DisposeAsync();
        await server.DisposeAsync();
    }

    [Test]
    public async Task Room_asked_for_and_never_filled_is_given_back_when_the_connection_ends()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Memory<byte> memory = client.Output.GetMemory();
        await client.DisposeAsync();
        await server.DisposeAsync();
        memory.Span[0] = 1;
        Assert.That(() => client.Output.Advance(1), Throws.Nothing);
        Assert.That(async () => await client.Output.FlushAsync(), Throws.InstanceOf<ObjectDisposedException>());
        await Poll.UntilAsync(() => pair.Client.Host.Core.Blocks.InUse == 0);
    }

    [Test]
    public async Task Pipes_carry_10_MB_with_hash()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Task<(long, byte[])> reading = Transfer.ReceiveAsync(server.Input.AsStream());
        byte[] hash = await Transfer.SendAsync(client.Output.AsStream(), 10_000_000, seed: 9);
        await client.Output.CompleteAsync();
        Assert.That(await reading, Is.EqualTo((10_000_000L, hash)));
        await client.DisposeAsync();
        await server.DisposeAsync();
    }
}
