using System.IO.Pipelines;
using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

/// <summary>Steady-state transfer allocates nothing (design: section 5).</summary>
[NonParallelizable]
public sealed class AllocationTests
{
    private const int Exchanges = 20_000;

    [Test]
    public async Task Steady_reads_and_writes_of_a_stream_allocate_nothing([Values] ContinuationScheduling scheduling)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Task echo = Task.Run(() => EchoAsync(server.GetStream(false)));
        await Task.Run(() => AskAsync(client.GetStream(false), 3000));
        long allocated = await Task.Run(() => MeasureAsync(() => AskAsync(client.GetStream(false), Exchanges)));
        Assert.That(allocated / (double)Exchanges, Is.LessThan(4), "octets per exchange: two reads, two writes, and what both stacks do for them");
        client.CompleteWrites();
        await echo;
        await client.DisposeAsync();
        await server.DisposeAsync();

        static async Task EchoAsync(Stream stream)
        {
            byte[] buffer = new byte[100];
            int count;
            while ((count = await stream.ReadAsync(buffer).ConfigureAwait(false)) > 0)
            {
                await stream.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
            }
        }

        static async Task AskAsync(Stream stream, int exchanges)
        {
            byte[] buffer = new byte[100];
            using CancellationTokenSource cancellation = new();
            for (int i = 0; i < exchanges; i++)
            {
                await stream.WriteAsync(buffer.AsMemory(0, 10), cancellation.Token).ConfigureAwait(false);
                int count = 0;
                while (count < 10)
                {
                    count += await stream.ReadAsync(buffer, cancellation.Token).ConfigureAwait(false);
                }
            }
        }
    }

    [Test]
    public async Task Steady_bulk_through_pipes_allocates_nothing()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Task reading = Task.Run(() => DrainAsync(server.Input));
        await Task.Run(() => SendAsync(client.Output, 64L * 1024 * 1024));
        const long Count = 256L * 1024 * 1024;
        long allocated = await Task.Run(() => MeasureAsync(() => SendAsync(client.Output, Count)));
        Assert.That(allocated / (Count / (1024 * 1024)), Is.LessThan(2000), "octets per MB");
        await client.Output.CompleteAsync();
        await reading;
        await client.DisposeAsync();
        await server.DisposeAsync();

        static async Task SendAsync(PipeWriter writer, long count)
        {
            while (count > 0)
            {
                int part = writer.GetMemory(16_384).Length;
                writer.Advance(part);
                count -= part;
                await writer.FlushAsync().ConfigureAwait(false);
            }
        }

        static async Task DrainAsync(PipeReader reader)
        {
            while (true)
            {
                ReadResult result = await reader.ReadAsync().ConfigureAwait(false);
                reader.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    return;
                }
            }
        }
    }
    [TestCase(TcpcryptPolicy.Disabled, 2304)]
    [TestCase(TcpcryptPolicy.Opportunistic, 4224, Description = "keys of both directions, and the session kept for the next connection")]
    public async Task An_idle_connection_is_small(TcpcryptPolicy policy, int limit)
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcpcrypt.Policy = policy);
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new System.Net.IPEndPoint(System.Net.IPAddress.Any, 80));
        List<TcpConnection> connections = [];
        await OpenAsync(200);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        await OpenAsync(1000);
        long perEnd = (GC.GetTotalMemory(forceFullCollection: true) - before) / 2000;
        TestContext.Out.WriteLine($"{perEnd} octets per idle end");
        Assert.That(perEnd, Is.LessThan(limit));
        foreach (TcpConnection connection in connections)
        {
            await connection.DisposeAsync();
        }

        async Task OpenAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                ValueTask<TcpConnection> accepting = listener.AcceptAsync();
                connections.Add(await pair.Client.ConnectAsync(new System.Net.IPEndPoint(StackPair.ServerAddress, 80)));
                connections.Add(await accepting);
            }
        }
    }

    private static async Task<long> MeasureAsync(Func<Task> action)
    {
        long best = long.MaxValue;
        for (int i = 0; i < 3; i++)
        {
            // Whatever else runs in the process allocates too: the best of three.
            long before = GC.GetTotalAllocatedBytes(precise: true);
            await action().ConfigureAwait(false);
            best = Math.Min(best, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        return best;
    }
}
