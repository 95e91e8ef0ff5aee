using System.Net;
using System.Text;

namespace Tcpcrypt.Demo;

/// <summary>A web server on our stack: one page about the connection it is sent over.</summary>
internal sealed class PageServer : IAsyncDisposable
{
    private readonly TcpConnectionListener _listener;
    private readonly Task _accepting;

    private PageServer(TcpConnectionListener listener)
    {
        _listener = listener;
        _accepting = AcceptAsync();
    }

    public static async Task<PageServer> StartAsync(IpStack stack) => new(await stack.ListenAsync(new IPEndPoint(IPAddress.Any, 80)));

    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync();
        await _accepting;
    }

    private async Task AcceptAsync()
    {
        try
        {
            await foreach (TcpConnection connection in _listener.AcceptAllAsync())
            {
                await ServeAsync(connection);
            }
        }
        catch (ObjectDisposedException)
        {
            // The demonstration is over.
        }
    }

    private static async Task ServeAsync(TcpConnection connection)
    {
        try
        {
            await using Stream stream = connection.GetStream();
            using StreamReader reader = new(stream, Encoding.Latin1, leaveOpen: true);
            while (!string.IsNullOrEmpty(await reader.ReadLineAsync()))
            {
                // Whatever is asked for, there is one page.
            }

            TcpInfo info = connection.GetInfo();
            string page = $"""
                Hello {connection.RemoteEndPoint}, this is {connection.LocalEndPoint}, a TCP/IP stack in a .NET program.
                Round trip {info.SmoothedRtt.TotalMicroseconds:0} us, segments of {info.SendMss} octets, timestamps {info.Timestamps}, window scaling {info.WindowScaling}.

                """;
            await stream.WriteAsync(Encoding.UTF8.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {page.Length}\r\nConnection: close\r\n\r\n{page}"));
        }
        catch (IOException)
        {
            // The client went away.
        }
    }
}
