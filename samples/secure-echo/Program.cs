// An echo server and its client that say whether their connection is encrypted, and its session ID, which is the same on both sides.
// Nothing is asked for: tcpcrypt is used with everybody who can. Try the server with this program's client from another TUN device, and with nc.
using System.Net;
using System.Text;
using Tcpcrypt;
using Tcpcrypt.Samples;

const string Usage = """
    secure-echo [--required] [ADDRESS [TEXT]]
      ADDRESS     connects to port 7 there, sends TEXT and prints what comes back; without it: the server
      --required  refuses connections that cannot be encrypted
    """;

return await Sample.RunAsync(args, Usage, async (stack, rest, stop) =>
{
    TcpcryptPolicy policy = rest.Remove("--required") ? TcpcryptPolicy.Required : TcpcryptPolicy.Opportunistic;
    if (rest.Count > 0)
    {
        await using TcpConnection connection = await stack.ConnectAsync(rest[0], 7, new TcpConnectOptions { Policy = policy }, stop);
        Console.WriteLine(Describe(connection));
        await connection.Output.WriteAsync(Encoding.UTF8.GetBytes(rest.ElementAtOrDefault(1) ?? "hello"), stop);
        connection.CompleteWrites();
        using StreamReader reader = new(connection.GetStream());
        Console.WriteLine(await reader.ReadToEndAsync(stop));
        return;
    }

    await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, 7), new TcpListenOptions { Policy = policy }, stop);
    Console.WriteLine($"echo on {listener.LocalEndPoint}");
    await foreach (TcpConnection connection in listener.AcceptAllAsync(stop))
    {
        _ = EchoAsync(connection);
    }
});

static async Task EchoAsync(TcpConnection connection)
{
    await using (connection)
    {
        // Known from the start: a connection is accepted when it is settled whether it is encrypted.
        Console.WriteLine(Describe(connection));
        try
        {
            await connection.Input.CopyToAsync(connection.Output);
        }
        catch (IOException e)
        {
            Console.WriteLine($"{connection.RemoteEndPoint}: {e.Message}");
        }
    }
}

static string Describe(TcpConnection connection) => connection.Tcpcrypt is { IsEncrypted: true } status
    ? $"{connection.RemoteEndPoint}: encrypted with {status.Cipher} by {(status.IsResumed ? "an earlier session" : status.KeyExchange)}, " +
      $"session ID {Convert.ToHexStringLower(status.SessionId.Span)}"
    : $"{connection.RemoteEndPoint}: in plain, {connection.Tcpcrypt.Outcome}";
