// A tiny web page that shows the connection it came over. Try it with a browser: http://10.9.0.2/
using System.Net;
using System.Text;
using Tcpcrypt;
using Tcpcrypt.Samples;

return await Sample.RunAsync(args, "http-server [PORT]   serves a page about the connection (default port 80)", async (stack, rest, stop) =>
{
    int port = rest.Count > 0 ? int.Parse(rest[0]) : 80;
    await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, port), null, stop);
    Console.WriteLine($"http on {listener.LocalEndPoint}");
    await foreach (TcpConnection connection in listener.AcceptAllAsync(stop))
    {
        _ = ServeAsync(stack, connection);
    }
});

static async Task ServeAsync(IpStack stack, TcpConnection connection)
{
    try
    {
        await using Stream stream = connection.GetStream();
        using StreamReader reader = new(stream, Encoding.Latin1, leaveOpen: true);
        string? request = await reader.ReadLineAsync();
        while (!string.IsNullOrEmpty(await reader.ReadLineAsync()))
        {
            // The headers are of no interest here.
        }

        string page = Page(stack, connection, WebUtility.HtmlEncode(request ?? ""));
        string type = "Content-Type: text/html; charset=utf-8";
        await stream.WriteAsync(Encoding.UTF8.GetBytes($"HTTP/1.1 200 OK\r\n{type}\r\nConnection: close\r\n\r\n{page}"));
    }
    catch (IOException e)
    {
        Console.WriteLine($"{connection.RemoteEndPoint}: {e.Message}");
    }
}

static string Page(IpStack stack, TcpConnection connection, string request)
{
    TcpInfo info = connection.GetInfo();
    return $"""
        <!doctype html><title>Tcpcrypt</title><style>body{"{font:16px sans-serif;margin:3em}"} td{"{padding:.2em 1em}"}</style>
        <h1>Served by a TCP of its own</h1><p><code>{request}</code></p>
        <table><tr><td>connection<td>{connection.RemoteEndPoint} to {connection.LocalEndPoint}, {connection.State}
        <tr><td>round trip<td>{info.SmoothedRtt.TotalMicroseconds:0} us, time-out {info.RetransmissionTimeout.TotalMilliseconds:0} ms
        <tr><td>segment size<td>{info.SendMss} octets, path MTU {info.PathMtu}
        <tr><td>congestion window<td>{info.CongestionWindow} octets; the peer offers {info.PeerWindow}
        <tr><td>options<td>timestamps {info.Timestamps}, window scaling {info.WindowScaling}, SACK {info.SelectiveAcknowledgments}
        <tr><td>all connections<td>{stack.GetConnections().Count}</table>

        """;
}
