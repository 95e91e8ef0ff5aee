// HttpClient over our stack. Try it with: python3 -m http.server 8000
using System.Diagnostics;
using Tcpcrypt;
using Tcpcrypt.Samples;

return await Sample.RunAsync(args, "fetch [URL] [FILE]   default http://10.9.0.1:8000/ to the console", async (stack, rest, stop) =>
{
    using SocketsHttpHandler handler = new()
    {
        ConnectCallback = async (context, cancellation) =>
        {
            TcpConnection connection = await stack.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, null, cancellation);
            Console.Error.WriteLine($"connected {connection.LocalEndPoint} to {connection.RemoteEndPoint}");
            return connection.GetStream();
        },
    };
    using HttpClient http = new(handler);
    long start = Stopwatch.GetTimestamp();
    string url = rest.ElementAtOrDefault(0) ?? "http://10.9.0.1:8000/";
    using HttpResponseMessage response = await http.GetAsync(url, HttpCompletionOption.ResponseHeadersRead, stop);
    response.EnsureSuccessStatusCode();
    await using Stream body = await response.Content.ReadAsStreamAsync(stop);
    if (rest.Count < 2)
    {
        await using Stream console = Console.OpenStandardOutput();
        await body.CopyToAsync(console, stop);
        return;
    }

    await using FileStream file = File.Create(rest[1]);
    await body.CopyToAsync(file, stop);
    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    Console.Error.WriteLine($"{file.Length} octets in {seconds:0.00} s ({file.Length * 8 / seconds / 1e6:0} Mbit/s)");
});
