// The README's example. Try it with: curl http://10.9.0.2/
using System.Net;
using Tcpcrypt;
using Tcpcrypt.Tun;

await using TunDevice device = TunDevice.Open(new TunDeviceOptions
{
    Name = "tun0",
    HostAddress = IPPrefixAddress.Parse("10.9.0.1/24"), // the kernel's end of the link
});
await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions
{
    Addresses = [IPPrefixAddress.Parse("10.9.0.2/24")], // ours
});

// A client: HttpClient over our TCP, to a web server of this machine.
using HttpClient http = new(new SocketsHttpHandler
{
    ConnectCallback = async (context, cancellation) =>
        (await stack.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, null, cancellation)).GetStream(),
});
if (args is [string url])
{
    Console.WriteLine(await http.GetStringAsync(url));
}

// A server: every connection gets one line.
await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
await foreach (TcpConnection connection in listener.AcceptAllAsync())
{
    try
    {
        await using Stream stream = connection.GetStream();
        await stream.ReadAtLeastAsync(new byte[1024], 1);
        await stream.WriteAsync("HTTP/1.0 200 OK\r\n\r\nHello from a stack of its own.\n"u8.ToArray());
    }
    catch (IOException e)
    {
        Console.WriteLine($"{connection.RemoteEndPoint}: {e.Message}");
    }
}
