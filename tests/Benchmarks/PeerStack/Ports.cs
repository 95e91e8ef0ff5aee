using System.IO.Pipelines;
using System.Net;

namespace Tcpcrypt.Benchmarks;

/// <summary>The four ports that every peer serves (../Peers/README.md), by pipes: what is received is looked at where the stack put it, and what is sent is written where the stack sends from.</summary>
internal static class Ports
{
    public const int Sink = 5001;
    public const int Source = 5002;
    public const int Echo = 5003;
    public const int Close = 5004;

    // What the source sends. The application's one copy, into the stack's memory, belongs to the measurement: an application has its data somewhere.
    private static readonly byte[] s_pattern = MakePattern();

    /// <summary>Listens on all four ports of <paramref name="address"/> and serves until the stack stops.</summary>
    public static async Task ServeAsync(IpStack stack, IPAddress address)
    {
        await ListenAsync(stack, new IPEndPoint(address, Sink), SinkAsync);
        await ListenAsync(stack, new IPEndPoint(address, Source), SourceAsync);
        await ListenAsync(stack, new IPEndPoint(address, Echo), EchoAsync);
        await ListenAsync(stack, new IPEndPoint(address, Close), CloseAsync);
    }

    private static async Task ListenAsync(IpStack stack, IPEndPoint local, Func<TcpConnection, Task> serve)
    {
        TcpConnectionListener listener = await stack.ListenAsync(local, new TcpListenOptions { Backlog = 4096 });
        _ = AcceptAsync(listener, serve);
    }

    private static async Task AcceptAsync(TcpConnectionListener listener, Func<TcpConnection, Task> serve)
    {
        try
        {
            await foreach (TcpConnection connection in listener.AcceptAllAsync())
            {
                _ = ServeOneAsync(connection, serve);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The stack stopped.
        }
    }

    private static async Task ServeOneAsync(TcpConnection connection, Func<TcpConnection, Task> serve)
    {
        await using (connection)
        {
            try
            {
                connection.NoDelay = true;
                await serve(connection);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // The client went away: how every source ends.
            }
        }
    }

    private static async Task SinkAsync(TcpConnection connection)
    {
        ReadResult result;
        do
        {
            result = await connection.Input.ReadAsync();
            connection.Input.AdvanceTo(result.Buffer.End);
        }
        while (!result.IsCompleted);
    }

    private static async Task SourceAsync(TcpConnection connection)
    {
        FlushResult result;
        do
        {
            Memory<byte> room = connection.Output.GetMemory(s_pattern.Length);
            int count = Math.Min(room.Length, s_pattern.Length);
            s_pattern.AsSpan(0, count).CopyTo(room.Span);
            connection.Output.Advance(count);
            result = await connection.Output.FlushAsync();
        }
        while (!result.IsCompleted);
    }

    private static async Task EchoAsync(TcpConnection connection)
    {
        while (true)
        {
            ReadResult result = await connection.Input.ReadAsync();
            foreach (ReadOnlyMemory<byte> part in result.Buffer)
            {
                await connection.Output.WriteAsync(part);
            }

            connection.Input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return;
            }
        }
    }

    private static async Task CloseAsync(TcpConnection connection)
    {
        ReadResult result = await connection.Input.ReadAsync();
        if (result.Buffer.IsEmpty)
        {
            return;
        }

        byte octet = result.Buffer.FirstSpan[0];
        connection.Input.AdvanceTo(result.Buffer.GetPosition(1));
        connection.Output.GetSpan(1)[0] = octet;
        connection.Output.Advance(1);
        await connection.Output.FlushAsync();
    }

    private static byte[] MakePattern()
    {
        byte[] pattern = new byte[64 * 1024];
        new Random(1).NextBytes(pattern);
        return pattern;
    }
}
