using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Much data and many connections.</summary>
public class BulkTests : KernelFixture
{
    private const long Gigabyte = 1_000_000_000;
    private const int Connections = 500;

    private static readonly TimeSpan s_bulkPatience = TimeSpan.FromMinutes(2);

    [TestCase(OffloadMode.Auto, Gigabyte)]
    [TestCase(OffloadMode.Off, Gigabyte / 20)]
    public async Task Much_data_of_the_kernel_arrives_whole(OffloadMode offload, long octets)
    {
        Need("python3");
        await StartAsync(offload);
        TaskCompletionSource<(long, string)> received = new();
        await ServeAsync(5001, async connection => received.TrySetResult(await HashAllAsync(connection.Input)));
        using ShellCommand sender = Namespace.Start("python3", "-c", Python.Send, "10.99.0.2", "5001", $"{octets}");
        string sent = (await sender.WaitAsync(s_bulkPatience)).Expect().Trim();
        Assert.That(await received.Task.WaitAsync(Patience), Is.EqualTo((octets, sent)));
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That((statistics.TcpInErrs, statistics.IpInHdrErrors), Is.EqualTo((0L, 0L)));
    }

    [TestCase(OffloadMode.Auto, Gigabyte)]
    [TestCase(OffloadMode.Off, Gigabyte / 20)]
    public async Task Much_data_of_ours_arrives_whole_at_the_kernel(OffloadMode offload, long octets)
    {
        Need("python3");
        await StartAsync(offload);
        TaskCompletionSource<string> sent = new();
        await ServeAsync(5001, async connection => sent.TrySetResult(await SendAndHashAsync(connection.GetStream(ownsConnection: false), octets)));
        using ShellCommand receiver = Namespace.Start("python3", "-c", Python.Receive, "10.99.0.2", "5001");
        string received = (await receiver.WaitAsync(s_bulkPatience)).Expect().Trim();
        Assert.That(received, Is.EqualTo($"{octets} {await sent.Task.WaitAsync(Patience)}"));
    }

    [TestCase(true)]
    [TestCase(false)]
    public async Task Both_directions_of_one_connection_are_full_at_once(bool kernelIsClient)
    {
        const long Octets = 100_000_000;
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient);
        await using NetworkStream kernelStream = new(kernels, ownsSocket: false);
        Task<(long, string)> arriving = HashAllAsync(ours.Input);
        Task<(long, string)> arrivingAtKernel = HashAllAsync(PipeReader.Create(kernelStream));
        Task<string> leavingKernel = Task.Run(async () =>
        {
            string hash = await SendAndHashAsync(kernelStream, Octets);
            kernels.Shutdown(SocketShutdown.Send);
            return hash;
        });
        await using Stream ourStream = ours.GetStream(ownsConnection: false);
        string left = await SendAndHashAsync(ourStream, Octets).WaitAsync(s_bulkPatience);
        ours.CompleteWrites();
        Assert.That(await arrivingAtKernel.WaitAsync(s_bulkPatience), Is.EqualTo((Octets, left)));
        Assert.That(await arriving.WaitAsync(s_bulkPatience), Is.EqualTo((Octets, await leavingKernel)));
    }

    [Test]
    public async Task Five_hundred_connections_of_the_kernel_at_once_keep_their_data_apart()
    {
        Need("python3");
        await StartAsync();
        await ServeAsync(7, EchoAsync);
        using ShellCommand clients = Namespace.Start("python3", "-c", Python.ManyClients, "10.99.0.2", "7", $"{Connections}", "20000");
        Assert.That((await clients.WaitAsync(s_bulkPatience)).Expect(), Is.EqualTo($"{Connections} good\n"));
        Assert.That(Stack.GetStatistics().TcpPassiveOpens, Is.EqualTo(Connections));
        await Poll.UntilAsync(() => Stack.GetStatistics().TcpCurrEstab == 0, "all connections are closed");
    }

    [Test]
    public async Task Five_hundred_connections_of_ours_at_once_keep_their_data_apart()
    {
        Need("python3");
        await StartAsync();
        using ShellCommand server = Namespace.Start("python3", "-c", Python.EchoServer, "10.99.0.1", "7");
        await Poll.UntilAsync(() => server.Output.Contains("ready", StringComparison.Ordinal), "the echo server runs");
        TaskCompletionSource everybody = new();
        int open = 0;
        Task<bool>[] clients = [.. Enumerable.Range(0, Connections).Select(OneAsync)];
        Assert.That(await Task.WhenAll(clients).WaitAsync(s_bulkPatience), Has.All.True);

        async Task<bool> OneAsync(int number)
        {
            await using TcpConnection connection = await Stack.ConnectAsync(new IPEndPoint(KernelIp, 7));
            if (Interlocked.Increment(ref open) == Connections)
            {
                everybody.SetResult();
            }

            await everybody.Task;
            byte[] data = Pattern(20_000, number);
            await using Stream stream = connection.GetStream(ownsConnection: false);
            await stream.WriteAsync(data);
            connection.CompleteWrites();
            return (await ReadAllAsync(stream)).AsSpan().SequenceEqual(data);
        }
    }

    [Test]
    public async Task Data_waits_for_a_kernel_that_does_not_read()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true, socket => socket.ReceiveBufferSize = 4096);
        byte[] data = Pattern(500_000);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
        ours.CompleteWrites();
        await Poll.UntilAsync(() => ours.GetInfo().PeerWindow == 0 || Stack.GetStatistics().TcpZeroWindowProbes > 0, "the kernel's window is closed");
        Assert.That(Hash(await ReadAllAsync(kernels)), Is.EqualTo(Hash(data)));
        await ours.WritesClosed.WaitAsync(Patience);
    }

    [Test]
    public async Task Kernel_waits_for_us_when_we_do_not_read()
    {
        await StartAsync(configure: options => options.Tcp.ReceiveBufferSize = 20_000);
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: false);
        byte[] data = Pattern(500_000);
        Task<int> sending = kernels.SendAsync(data);
        await Poll.UntilAsync(() => ours.GetInfo().ReceiveWindow == 0, "our window is closed");
        Assert.That(ours.GetInfo().Readable, Is.InRange(1, 20_000));
        await using Stream stream = ours.GetStream(ownsConnection: false);
        byte[] received = new byte[data.Length];
        await stream.ReadExactlyAsync(received).AsTask().WaitAsync(Patience);
        Assert.That(Hash(received), Is.EqualTo(Hash(data)));
        Assert.That(await sending.WaitAsync(Patience), Is.EqualTo(data.Length));
    }

    internal static async Task EchoAsync(TcpConnection connection)
    {
        while (true)
        {
            ReadResult read = await connection.Input.ReadAsync();
            foreach (ReadOnlyMemory<byte> part in read.Buffer)
            {
                await connection.Output.WriteAsync(part);
            }

            connection.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                connection.CompleteWrites();
                await connection.WritesClosed;
                return;
            }
        }
    }

    private static async Task<(long Octets, string Hash)> HashAllAsync(PipeReader input)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long octets = 0;
        while (true)
        {
            ReadResult read = await input.ReadAsync();
            foreach (ReadOnlyMemory<byte> part in read.Buffer)
            {
                hash.AppendData(part.Span);
                octets += part.Length;
            }

            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return (octets, Convert.ToHexStringLower(hash.GetHashAndReset()));
            }
        }
    }

    // Numbered blocks, as in Python.Send.
    private static async Task<string> SendAndHashAsync(Stream stream, long octets)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] block = Pattern(1 << 18);
        for (long number = 0; octets > 0; number++)
        {
            BinaryPrimitives.WriteInt64BigEndian(block, number);
            int count = (int)Math.Min(octets, block.Length);
            hash.AppendData(block, 0, count);
            await stream.WriteAsync(block.AsMemory(0, count));
            octets -= count;
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
