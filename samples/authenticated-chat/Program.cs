// Two people chat, line by line. Both have the same key file and prove it over the session ID, so that nobody sits in between (docs/authentication.md).
// Try it with: head -c 32 /dev/urandom >key, and the same file on both sides
using System.Net;
using System.Security.Authentication;
using Tcpcrypt;
using Tcpcrypt.Samples;

const string Usage = """
    authenticated-chat KEYFILE [ADDRESS]
      KEYFILE   at least 16 random octets that both sides have and nobody else
      ADDRESS   where the other side waits, at port 4040; without it: wait for the other side
    """;

return await Sample.RunAsync(args, Usage, async (stack, rest, stop) =>
{
    byte[] key = await Authentication.ReadKeyAsync(rest.FirstOrDefault() ?? throw new ArgumentException("A KEYFILE is needed; see --help."), stop);
    if (rest.Count > 1)
    {
        await using TcpConnection connection = await stack.ConnectAsync(rest[1], 4040, new TcpConnectOptions { Policy = TcpcryptPolicy.Required }, stop);
        await ChatAsync(connection, key, stop);
        return;
    }

    TcpListenOptions options = new() { Policy = TcpcryptPolicy.Required };
    await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, 4040), options, stop);
    Console.WriteLine($"waiting on {listener.LocalEndPoint}");
    while (true)
    {
        await using TcpConnection connection = await listener.AcceptAsync(stop);
        try
        {
            await ChatAsync(connection, key, stop);
            return;
        }
        catch (AuthenticationException e)
        {
            Console.WriteLine($"{connection.RemoteEndPoint}: {e.Message}");
        }
    }
});

static async Task ChatAsync(TcpConnection connection, byte[] key, CancellationToken stop)
{
    // First of all: nothing is shown and nothing is said to somebody without the key.
    await Authentication.AuthenticateAsync(connection, key, "authenticated-chat/1"u8.ToArray(), stop);
    Console.WriteLine($"{connection.RemoteEndPoint} has the key, in session {Convert.ToHexStringLower(connection.Tcpcrypt.SessionId.Span)}");
    Task said = SayAsync(connection, stop);
    await connection.Input.CopyToAsync(Console.OpenStandardOutput(), stop);
    Console.WriteLine($"{connection.RemoteEndPoint} has nothing more to say");
    await said;
}

static async Task SayAsync(TcpConnection connection, CancellationToken stop)
{
    await Console.OpenStandardInput().CopyToAsync(connection.GetStream(ownsConnection: false), stop);
    connection.CompleteWrites();
}
