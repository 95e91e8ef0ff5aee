using System.Net;
using System.Net.Sockets;
using System.Text;
using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

public sealed class EchoTests
{
    [Test]
    public async Task What_one_side_writes_the_other_reads_and_back()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        await client.WriteAsync("hello"u8.ToArray());
        Assert.That(await server.ReadExactlyAsync(5), Is.EqualTo("hello"u8.ToArray()));
        await server.WriteAsync("world"u8.ToArray());
        Assert.That(await client.ReadExactlyAsync(5), Is.EqualTo("world"u8.ToArray()));

        Assert.That(client.RemoteEndPoint.Address, Is.EqualTo(StackPair.ServerAddress));
        Assert.That(server.RemoteEndPoint, Is.EqualTo(client.LocalEndPoint));
        Assert.That(client.State, Is.EqualTo(System.Net.NetworkInformation.TcpState.Established));
        Assert.That(client.GetInfo().BytesSent, Is.EqualTo(5));
    }

    [Test]
    public async Task Every_combination_of_offloads_carries_64_MB_both_ways_with_hash([Values(0, 1, 3)] int offloads, [Values] ContinuationScheduling scheduling)
    {
        // 64 MB where the packets are large, less where every segment is a packet and is cut in software.
        long count = offloads == 3 ? 64L * 1024 * 1024 : 16L * 1024 * 1024;
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling, (PacketOffloads)offloads);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        Task<byte[]> up = Task.Run(() => SendAllAsync(client, 1));
        Task<byte[]> down = Task.Run(() => SendAllAsync(server, 2));
        Task<(long, byte[])> upEnd = Task.Run(() => Transfer.ReceiveAsync(server.GetStream(ownsConnection: false)));
        Task<(long, byte[])> downEnd = Task.Run(() => Transfer.ReceiveAsync(client.GetStream(ownsConnection: false)));
        await Task.WhenAll(up, down, upEnd, downEnd);

        Assert.That(await upEnd, Is.EqualTo((count, await up)));
        Assert.That(await downEnd, Is.EqualTo((count, await down)));

        async Task<byte[]> SendAllAsync(TcpConnection connection, int seed)
        {
            byte[] hash = await Transfer.SendAsync(connection.GetStream(ownsConnection: false), count, seed);
            connection.CompleteWrites();
            return hash;
        }
    }

    [Test]
    public async Task A_link_that_is_nearly_always_full_loses_nothing()
    {
        await using StackPair pair = await StackPair.StartAsync(queueLength: 2, offloads: PacketOffloads.None);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        Task<(long, byte[])> end = Transfer.ReceiveAsync(server.GetStream(ownsConnection: false));
        byte[] hash = await Transfer.SendAsync(client.GetStream(ownsConnection: false), 2_000_000, seed: 3);
        client.CompleteWrites();
        Assert.That(await end, Is.EqualTo((2_000_000L, hash)));
        Assert.That(client.GetInfo().Retransmissions, Is.Zero);
    }

    [Test]
    public async Task A_receive_buffer_of_one_octet_works()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Tcp.ReceiveBufferSize = 1);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        await client.WriteAsync("abcde"u8.ToArray());
        Assert.That(await server.ReadExactlyAsync(5), Is.EqualTo("abcde"u8.ToArray()));
    }

    [Test]
    public async Task A_slow_reader_holds_the_writer_back_and_loses_nothing()
    {
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            options.Tcp.ReceiveBufferSize = 20_000;
            options.Tcp.SendBufferSize = 10_000;
        });
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        byte[] octets = new byte[200_000];
        new Random(4).NextBytes(octets);
        ValueTask writing = client.WriteAsync(octets);
        Assert.That(writing.IsCompleted, Is.False);

        MemoryStream received = new();
        byte[] buffer = new byte[777];
        Stream stream = server.GetStream(ownsConnection: false);
        while (received.Length < octets.Length)
        {
            int count = await stream.ReadAsync(buffer);
            received.Write(buffer, 0, count);
        }

        await writing;
        Assert.That(received.ToArray().AsSpan().SequenceEqual(octets), Is.True);
    }

    [Test]
    public async Task A_connection_of_the_stack_to_itself_works()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Client.ListenAsync(new IPEndPoint(IPAddress.Any, 7));
        ValueTask<TcpConnection> accepting = listener.AcceptAsync();
        await using TcpConnection client = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ClientAddress, 7));
        await using TcpConnection server = await accepting;
        Task<(long, byte[])> end = Task.Run(() => Transfer.ReceiveAsync(server.GetStream(ownsConnection: false)));
        byte[] hash = await Transfer.SendAsync(client.GetStream(ownsConnection: false), 4_000_000, seed: 5);
        client.CompleteWrites();
        Assert.That(await end, Is.EqualTo((4_000_000L, hash)));
    }

    [Test]
    public async Task A_hundred_connections_at_once_echo_lines()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 23));
        Task serving = ServeAsync();
        await Task.WhenAll(Enumerable.Range(0, 100).Select(AskAsync));
        await listener.DisposeAsync();
        await serving;

        async Task ServeAsync()
        {
            List<Task> tasks = [];
            await foreach (TcpConnection connection in listener.AcceptAllAsync())
            {
                tasks.Add(EchoLinesAsync(connection));
            }

            await Task.WhenAll(tasks);
        }

        async Task EchoLinesAsync(TcpConnection connection)
        {
            await using Stream stream = connection.GetStream();
            using StreamReader reader = new(stream, Encoding.ASCII);
            await using StreamWriter writer = new(stream, Encoding.ASCII) { AutoFlush = true, NewLine = "\r\n" };
            while (await reader.ReadLineAsync() is { } line)
            {
                await writer.WriteLineAsync("echo " + line);
            }
        }

        async Task AskAsync(int number)
        {
            await using TcpConnection connection = await pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 23));
            Stream stream = connection.GetStream(ownsConnection: false);
            using StreamReader reader = new(stream, Encoding.ASCII, leaveOpen: true);
            await using StreamWriter writer = new(stream, Encoding.ASCII, leaveOpen: true) { AutoFlush = true, NewLine = "\r\n" };
            for (int i = 0; i < 10; i++)
            {
                await writer.WriteLineAsync($"line {number}.{i}");
                Assert.That(await reader.ReadLineAsync(), Is.EqualTo($"echo line {number}.{i}"));
            }

            connection.CompleteWrites();
            Assert.That(await reader.ReadLineAsync(), Is.Null);
        }
    }

    [Test]
    public async Task Urgent_data_is_announced_and_arrives_in_band()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        await client.WriteAsync("ordinary "u8.ToArray());
        Assert.That(server.UrgentOctetsAhead, Is.Null);
        System.Threading.Channels.ChannelReader<TcpNotice> notices = server.Notices;
        await client.SendUrgentAsync("urgent"u8.ToArray());
        TcpNotice notice = await notices.ReadAsync();
        Assert.That(notice, Is.EqualTo(new TcpNotice(TcpNoticeKind.UrgentData, SocketError.Success)));
        Assert.That(server.UrgentOctetsAhead, Is.EqualTo("ordinary urgent".Length));
        Assert.That(await server.ReadExactlyAsync(15), Is.EqualTo("ordinary urgent"u8.ToArray()));
        Assert.That(server.UrgentOctetsAhead, Is.Null);
    }

    [Test]
    public async Task Settings_are_read_back_and_reach_the_core()
    {
        await using StackPair pair = await StackPair.StartAsync();
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        await using TcpConnection _ = client;
        await using TcpConnection __ = server;

        client.NoDelay = true;
        client.KeepAlive = new TcpKeepAlive(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), 9);
        client.UserTimeout = TimeSpan.FromSeconds(7);
        client.Ttl = 17;
        client.TypeOfService = 0xB8;
        client.ReceiveBufferSize = 70_000;
        client.SendBufferSize = 80_000;
        client.LingerState = new LingerOption(true, 3);

        Assert.That(client.NoDelay, Is.True);
        Assert.That(client.KeepAlive, Is.EqualTo(new TcpKeepAlive(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), 9)));
        Assert.That(client.LingerState.LingerTime, Is.EqualTo(3));
        Tcp.TcpEndpointOptions options = await pair.Client.Host.InvokeAsync(client.Endpoint, static (endpoint, _, _) => endpoint.Options.Copy());
        Assert.That(options.NoDelay, Is.True);
        Assert.That(options.KeepAliveIdle, Is.EqualTo(TimeSpan.FromSeconds(60)));
        Assert.That(options.UserTimeout, Is.EqualTo(TimeSpan.FromSeconds(7)));
        Assert.That(options.TimeToLive, Is.EqualTo(17));
        Assert.That(options.TypeOfService, Is.EqualTo(0xB8));
        Assert.That((options.ReceiveBufferSize, options.SendBufferSize), Is.EqualTo((70_000, 80_000)));
        Assert.That(options.Linger, Is.EqualTo(TimeSpan.FromSeconds(3)));

        client.KeepAlive = null;
        Assert.That(client.KeepAlive, Is.Null);
        Assert.That(() => client.Ttl = 0, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => client.ReceiveBufferSize = 0, Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => client.KeepAlive = new TcpKeepAlive(TimeSpan.Zero, TimeSpan.FromSeconds(1), 1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        client.LingerState = new LingerOption(false, 0);
    }
}
