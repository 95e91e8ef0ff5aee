using System.Net.Sockets;

namespace Tcpcrypt.Interop;

/// <summary>How a conversation ends.</summary>
internal enum Ending
{
    /// <summary>The client closes, then the server.</summary>
    Orderly,

    /// <summary>The client resets the connection, and the server hears of it.</summary>
    Reset,

    /// <summary>The client has gone after a reset that proves nothing: the server must not believe it at once.</summary>
    DoubtfulReset,
}

/// <summary>What the peer's application says, from our side: the client sends 11 octets, the server answers with 6 and a pattern, the client closes.</summary>
internal static class Talk
{
    /// <summary>How long the pattern is unless a row says otherwise, as in the peer.</summary>
    public const int PatternLength = 3000;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(40);

    /// <summary>The server's part.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="early">The first six octets leave before the request has come.</param>
    /// <param name="rekey">New keys before the answer.</param>
    /// <param name="ending">How the client will end it.</param>
    /// <param name="size">The pattern's length.</param>
    public static async Task ServeAsync(TcpConnection connection, bool early = false, bool rekey = false, Ending ending = Ending.Orderly, int size = PatternLength)
    {
        await using Stream stream = connection.GetStream(ownsConnection: false);
        if (early)
        {
            await stream.WriteAsync("world\n"u8.ToArray()).AsTask().WaitAsync(s_patience);
        }

        Assert.That(await ReadAsync(stream, 11), Is.EqualTo("helloworld\n"u8.ToArray()));
        if (!early)
        {
            await stream.WriteAsync("world\n"u8.ToArray()).AsTask().WaitAsync(s_patience);
        }

        if (rekey)
        {
            await StackEnd.RekeyAsync(connection).WaitAsync(s_patience);
        }

        await stream.WriteAsync(Pattern(size)).AsTask().WaitAsync(s_patience);
        Task<int> end = stream.ReadAsync(new byte[1]).AsTask();
        switch (ending)
        {
            case Ending.Orderly:
                Assert.That(await end.WaitAsync(s_patience), Is.Zero, "the end of the request");
                connection.CompleteWrites();
                await connection.WritesClosed.WaitAsync(s_patience);
                break;
            case Ending.Reset:
                IOException? reset = await Assert.CatchAsync<IOException>(() => end.WaitAsync(s_patience));
                Assert.That((reset?.InnerException as SocketException)?.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
                break;
            case Ending.DoubtfulReset:
                await Task.Delay(1000);
                Assert.That(end.IsCompleted, Is.False, "a reset without MAC was believed");
                connection.Abort();
                await Assert.CatchAsync(() => end.WaitAsync(s_patience));
                break;
        }
    }

    /// <summary>The client's part.</summary>
    public static async Task AskAsync(TcpConnection connection, bool early = false, bool rekey = false, bool urgent = false, int size = PatternLength)
    {
        await using Stream stream = connection.GetStream(ownsConnection: false);
        if (early)
        {
            Assert.That(await ReadAsync(stream, 6), Is.EqualTo("world\n"u8.ToArray()));
        }

        if (urgent)
        {
            await connection.SendUrgentAsync("hello"u8.ToArray()).AsTask().WaitAsync(s_patience);
            await stream.WriteAsync("world\n"u8.ToArray()).AsTask().WaitAsync(s_patience);
        }
        else
        {
            await stream.WriteAsync("hello"u8.ToArray()).AsTask().WaitAsync(s_patience);
            if (rekey)
            {
                await StackEnd.RekeyAsync(connection).WaitAsync(s_patience);
            }

            await stream.WriteAsync("world\n"u8.ToArray()).AsTask().WaitAsync(s_patience);
        }

        byte[] expected = early ? Pattern(size) : [.. "world\n"u8, .. Pattern(size)];
        Assert.That(await ReadAsync(stream, expected.Length), Is.EqualTo(expected));
        connection.CompleteWrites();
        Assert.That(await stream.ReadAsync(new byte[1]).AsTask().WaitAsync(s_patience), Is.Zero, "the end of the answer");
        await connection.WritesClosed.WaitAsync(s_patience);
    }

    private static byte[] Pattern(int size) => [.. Enumerable.Range(0, size).Select(i => (byte)((i * 7) + (i >> 8)))];

    private static async Task<byte[]> ReadAsync(Stream stream, int length)
    {
        byte[] octets = new byte[length];
        await stream.ReadExactlyAsync(octets).AsTask().WaitAsync(s_patience);
        return octets;
    }
}
