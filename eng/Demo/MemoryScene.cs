using System.Globalization;
using System.Net;
using System.Text;

namespace Tcpcrypt.Demo;

/// <summary>Two stacks of ours on a link in memory: what is shown where no TUN device can be had.</summary>
internal sealed class MemoryScene : Scene
{
    private readonly IpStack _other;
    private readonly MemoryStream _pcapng = new();
    private readonly PacketCapture _capture;

    private MemoryScene(IpStack stack, IpStack other)
    {
        Stack = stack;
        _other = other;
        _capture = stack.StartCapture(_pcapng);
    }

    public override string Machine => "the other stack";

    public override IpStack Stack { get; }

    public static async Task<Scene> OpenAsync()
    {
        (PacketDevice ours, PacketDevice theirs) = MemoryLink.CreatePair();
        IpStack stack = await IpStack.StartAsync(ours, new IpStackOptions { Addresses = [IPPrefixAddress.Parse(StackAddress + "/24")] });
        IpStack other = await IpStack.StartAsync(theirs, new IpStackOptions { Addresses = [IPPrefixAddress.Parse(MachineAddress + "/24")] });
        Show.Line($"the link is up: our stack has {StackAddress}, the other one {MachineAddress}, MTU {ours.Mtu}");
        return new MemoryScene(stack, other);
    }

    public override async Task<string> PingAsync()
    {
        StringBuilder text = new();
        for (int i = 1; i <= 3; i++)
        {
            EchoReply reply = await _other.PingAsync(IPAddress.Parse(StackAddress));
            text.AppendLine(CultureInfo.InvariantCulture, $"{i}: {reply.Status} from {reply.From} in {reply.RoundTrip.TotalMilliseconds:0.000} ms, ttl {reply.Ttl}");
        }

        return text.ToString();
    }

    public override async Task<string> GetPageAsync()
    {
        using HttpClient http = new(new SocketsHttpHandler
        {
            ConnectCallback = async (context, cancellation) =>
                (await _other.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, null, cancellation)).GetStream(),
        });
        using HttpResponseMessage response = await http.GetAsync(new Uri($"http://{StackAddress}/"));
        return $"HTTP/{response.Version} {(int)response.StatusCode} {response.ReasonPhrase}\n{response.Content.Headers}\n{await response.Content.ReadAsStringAsync()}";
    }

    public override async Task<Uri> ServeFileAsync(byte[] content)
    {
        TcpConnectionListener listener = await _other.ListenAsync(new IPEndPoint(IPAddress.Any, 8000));
        _ = ServeOnceAsync(listener, content);
        return new Uri($"http://{MachineAddress}:8000/file");
    }

    public override Task<IpStack> OpenOtherAsync() => Task.FromResult(_other);

    public override async Task<string> PacketsAsync()
    {
        await _capture.DisposeAsync();
        if (!Programs.IsThere("tcpdump"))
        {
            return $"tcpdump is not installed; the capture has {_pcapng.Length} octets of pcapng";
        }

        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, _pcapng.ToArray());
            return Excerpt((await Programs.RunAsync("tcpdump", "-n", "-t", "-r", file)).Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            File.Delete(file);
        }
    }

    public override async ValueTask DisposeAsync()
    {
        await _capture.DisposeAsync();
        await Stack.DisposeAsync();
        await _other.DisposeAsync();
    }

    private static async Task ServeOnceAsync(TcpConnectionListener listener, byte[] content)
    {
        await using (listener)
        {
            await using Stream stream = (await listener.AcceptAsync()).GetStream();
            using StreamReader reader = new(stream, Encoding.Latin1, leaveOpen: true);
            while (!string.IsNullOrEmpty(await reader.ReadLineAsync()))
            {
                // Whatever is asked for, there is one file.
            }

            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {content.Length}\r\nConnection: close\r\n\r\n"));
            await stream.WriteAsync(content);
        }
    }
}
