// make run: shows what the stack does, step by step, and ends. eng/run.sh decides between a TUN device and the link in memory.
//   Demo tun WHERE | Demo memory REASON
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Tcpcrypt.Demo;

bool isTun = args is ["tun", ..];
Show.Title(isTun ? "Tcpcrypt: a TCP/IP host on tun0" : "Tcpcrypt: two TCP/IP hosts on a link in memory");
Show.Line(isTun ? $"in {args.ElementAtOrDefault(1)}" : $"no TUN device: {args.ElementAtOrDefault(1)}\nso the same is shown between two of our own stacks in this process");
try
{
    await using Scene scene = isTun ? await TunScene.OpenAsync() : await MemoryScene.OpenAsync();
    await using (await PageServer.StartAsync(scene.Stack))
    {
        Show.Step($"ping {Scene.StackAddress} ({scene.Machine} asks, our stack answers)");
        Show.Block(await scene.PingAsync());
        Show.Step($"curl http://{Scene.StackAddress}/ ({scene.Machine} asks, our stack serves)");
        Show.Block(await scene.GetPageAsync());
        Show.Step($"our stack fetches a file from {scene.Machine}'s web server");
        await FetchAsync(scene);
        Show.Step("two stacks of ours talk to each other, and nobody asked for encryption");
        await EncryptedTalk.ShowAsync(scene);
    }

    Show.Step("what went over the wire (the first packets of each)");
    Show.Block(await scene.PacketsAsync());
    Show.Step("connections that our stack still remembers, and its counters");
    Show.Block(Counters.Describe(scene.Stack));
}
catch (Exception e) when (e is IOException or HttpRequestException or InvalidOperationException or System.Net.Sockets.SocketException or UnauthorizedAccessException)
{
    Show.Line($"\nFAILED: {e.Message}");
    return 1;
}

Show.Title(isTun ? "done: the stack was stopped, tun0 is gone" : "done: both stacks were stopped");
return 0;

static async Task FetchAsync(Scene scene)
{
    byte[] file = RandomNumberGenerator.GetBytes(32 << 20);
    Uri url = await scene.ServeFileAsync(file);
    using HttpClient http = new(new SocketsHttpHandler
    {
        ConnectCallback = async (context, cancellation) =>
            (await scene.Stack.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, null, cancellation)).GetStream(),
    });
    long start = Stopwatch.GetTimestamp();
    byte[] received = await http.GetByteArrayAsync(url);
    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
    bool same = received.AsSpan().SequenceEqual(file);
    StringBuilder text = new();
    text.AppendLine(CultureInfo.InvariantCulture, $"{url}: {received.Length} octets in {seconds:0.00} s, {received.Length * 8 / seconds / 1e6:0} Mbit/s");
    text.Append(CultureInfo.InvariantCulture, $"SHA-256 {Convert.ToHexStringLower(SHA256.HashData(received))[..16]}..., {(same ? "as it was sent" : "NOT what was sent")}");
    Show.Block(text.ToString());
    if (!same)
    {
        throw new InvalidOperationException("the file that arrived differs from the one that was sent");
    }
}
