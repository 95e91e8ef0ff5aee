using System.IO.Pipelines;
using System.Net;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Host.Tests;

/// <summary>Everything at the same instant: only the documented exceptions, no deadlock, nothing left.</summary>
public sealed class RaceTests
{
    [Test]
    [Spec("HI_CLS_07")]
    public async Task Abort_dispose_read_and_write_at_once_throw_only_what_is_documented([Values] ContinuationScheduling scheduling, [Values] bool pipes)
    {
        // dotnet test ... -- 'TestRunParameters.Parameter(name="rounds", value="25000")' for 10^5 in all.
        int rounds = TestContext.Parameters.Get("rounds", 1000);
        await using StackPair pair = await StackPair.StartAsync(options =>
        {
            options.Scheduling = scheduling;
            options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 20_000;
        });
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        List<Exception> unexpected = [];
        Random random = new(1);
        for (int round = 0; round < rounds; round++)
        {
            ValueTask<TcpConnection> accepting = listener.AcceptAsync();
            TcpConnection client = await Task.Run(() => pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80)).AsTask());
            TcpConnection server = await accepting;
            int kind = random.Next(8);
            int pause = random.Next(200);
            await Task.WhenAll(
                Task.Run(() => Try(() => pipes ? ReadPipeAsync(client) : ReadAsync(client))),
                Task.Run(() => Try(() => pipes ? WritePipeAsync(client) : WriteAsync(client))),
                Task.Run(() => Try(() => ReadAsync(server))),
                Task.Run(() => Try(() => WriteAsync(server))),
                Task.Run(() => Try(() => EndAsync(client, kind & 3, pause))),
                Task.Run(() => Try(() => EndAsync(server, kind >> 1, pause / 2))));
            await client.DisposeAsync();
            await server.DisposeAsync();
        }

        Assert.That(unexpected, Is.Empty);
        await Poll.UntilAsync(() => pair.Client.Host.GetClients().Length == 0);
        await Poll.UntilAsync(() => pair.Server.Host.GetClients().Length == 1);
        await Poll.UntilAsync(() => pair.Client.Host.Core.Blocks.InUse == 0 && pair.Server.Host.Core.Blocks.InUse == 0);

        async Task Try(Func<Task> action)
        {
            try
            {
                await action().ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException)
            {
            }
            catch (Exception exception)
            {
                lock (unexpected)
                {
                    unexpected.Add(exception);
                }
            }
        }

        static async Task ReadAsync(TcpConnection connection)
        {
            byte[] buffer = new byte[3000];
            Stream stream = connection.GetStream(ownsConnection: false);
            while (await stream.ReadAsync(buffer).ConfigureAwait(false) > 0)
            {
                for (int i = 0; i < buffer.Length; i++)
                {
                    // Octets of another connection, or of nobody, would be something else.
                    if (buffer[i] is not (0 or 42))
                    {
                        throw new InvalidDataException($"Octet {buffer[i]} was never sent.");
                    }
                }
            }
        }

        static async Task WriteAsync(TcpConnection connection)
        {
            byte[] buffer = new byte[5000];
            buffer.AsSpan().Fill(42);
            Stream stream = connection.GetStream(ownsConnection: false);
            while (true)
            {
                await stream.WriteAsync(buffer).ConfigureAwait(false);
            }
        }

        static async Task ReadPipeAsync(TcpConnection connection)
        {
            while (true)
            {
                ReadResult result = await connection.Input.ReadAsync().ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> part in result.Buffer)
                {
                    if (part.Span.ContainsAnyExcept((byte)42))
                    {
                        throw new InvalidDataException("An octet was never sent.");
                    }
                }

                connection.Input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    return;
                }
            }
        }

        static async Task WritePipeAsync(TcpConnection connection)
        {
            while (true)
            {
                Memory<byte> room = connection.Output.GetMemory(100);
                int count = Math.Min(room.Length, 3000);
                room.Span[..count].Fill(42);
                connection.Output.Advance(count);
                await connection.Output.FlushAsync().ConfigureAwait(false);
            }
        }

        static async Task EndAsync(TcpConnection connection, int kind, int pause)
        {
            for (int i = 0; i < pause; i++)
            {
                Thread.SpinWait(50);
            }

            switch (kind)
            {
                case 0:
                    connection.Abort();
                    break;
                case 1:
                    connection.CompleteWrites();
                    await Task.Yield();
                    await connection.DisposeAsync().ConfigureAwait(false);
                    break;
                case 2:
                    await connection.DisposeAsync().ConfigureAwait(false);
                    break;
                default:
                    connection.CompleteWrites();
                    connection.Abort();
                    connection.NoDelay = true;
                    await connection.DisposeAsync().ConfigureAwait(false);
                    break;
            }
        }
    }

    [Test]
    [Spec("HI_CLS_08")]
    public async Task Listener_that_is_disposed_of_while_handshakes_complete_leaves_nothing()
    {
        await using StackPair pair = await StackPair.StartAsync();
        for (int round = 0; round < 50; round++)
        {
            TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
            Task<TcpConnection>[] connecting = [.. Enumerable.Range(0, 10).Select(_ => Task.Run(() => pair.Client.ConnectAsync(new IPEndPoint(StackPair.ServerAddress, 80)).AsTask()))];
            await Task.Run(async () => await listener.DisposeAsync());
            foreach (Task<TcpConnection> task in connecting)
            {
                try
                {
                    await using TcpConnection connection = await task;
                    Assert.That(async () => await connection.GetStream(false).ReadAsync(new byte[1]), Throws.InstanceOf<IOException>());
                }
                catch (TcpcryptException exception)
                {
                    // Reset in tcpcrypt's handshake.
                    Assert.That(exception.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeFailed));
                }
                catch (System.Net.Sockets.SocketException exception)
                {
                    // Refused in TCP's handshake, reset in tcpcrypt's.
                Assert.That(exception.SocketErrorCode, Is.AnyOf(System.Net.Sockets.SocketError.ConnectionRefused, System.Net.Sockets.SocketError.ConnectionReset));
                }
            }
        }

        await Poll.UntilAsync(() => pair.Server.Host.Query(0, static (_, core, _) => core.Tcp.Endpoints.Count) == 0);
        Assert.That(pair.Server.Host.GetClients(), Is.Empty);
    }

    [Test]
    public async Task Stacks_that_are_disposed_of_under_load_end_in_time()
    {
        for (int round = 0; round < 20; round++)
        {
            StackPair pair = await StackPair.StartAsync();
            (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
            Task writing = Task.Run(() => Transfer.SendAsync(client.GetStream(false), long.MaxValue, seed: 1));
            Task reading = Task.Run(() => Transfer.ReceiveAsync(server.GetStream(false)));
            await Poll.UntilAsync(() => client.GetInfo().BytesAcknowledged > round * 200_000);
            await pair.DisposeAsync();
            Assert.That(async () => await writing, Throws.InstanceOf<ObjectDisposedException>().Or.InstanceOf<IOException>());
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Assert.That(reading.Exception?.InnerException, Is.Null.Or.InstanceOf<ObjectDisposedException>().Or.InstanceOf<IOException>());
        }
    }
}
