// A TCP echo server. Try it with: nc 10.9.0.2 7
using System.Net;
using Tcpcrypt;
using Tcpcrypt.Samples;

return await Sample.RunAsync(args, "echo [PORT]          sends back what it gets (default port 7)", async (stack, rest, stop) =>
{
    int port = rest.Count > 0 ? int.Parse(rest[0]) : 7;
    await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, port), null, stop);
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
        Console.WriteLine($"{connection.RemoteEndPoint} connected");
        try
        {
            // Ends when the peer closes its direction; dispose then closes ours.
            await connection.Input.CopyToAsync(connection.Output);
            Console.WriteLine($"{connection.RemoteEndPoint} is done: {connection.GetInfo().BytesReceived} octets");
        }
        catch (IOException e)
        {
            Console.WriteLine($"{connection.RemoteEndPoint}: {e.Message}");
        }
    }
}
