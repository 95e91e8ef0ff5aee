using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Demo;

/// <summary>Our stack on tun0; on the other side the kernel with its ping, curl and web server.</summary>
internal sealed class TunScene : Scene
{
    /// <summary>A pcap file without packets.</summary>
    private const int FileHeaderLength = 24;

    private readonly TunDevice _device;
    private readonly List<string> _packets = [];
    private readonly Stack<IAsyncDisposable> _other = [];
    private Process? _tcpdump;
    private Process? _webServer;
    private HttpListener? _listener;
    private DirectoryInfo? _folder;

    private TunScene(TunDevice device, IpStack stack)
    {
        _device = device;
        Stack = stack;
    }

    public override string Machine => "this machine";

    public override IpStack Stack { get; }

    public static async Task<Scene> OpenAsync()
    {
        TunDevice device = TunDevice.Open(new TunDeviceOptions { Name = "tun0", HostAddress = IPPrefixAddress.Parse(MachineAddress + "/24") });
        IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [IPPrefixAddress.Parse(StackAddress + "/24")] });
        TunScene scene = new(device, stack);
        Show.Line($"{device.Name} is up: the kernel has {MachineAddress}, our stack {StackAddress}, MTU {device.Mtu}, offloads: {device.Offloads}");
        await scene.WatchAsync();
        return scene;
    }

    public override Task<string> PingAsync() => Programs.RunAsync("ping", "-c", "3", "-i", "0.2", "-W", "2", StackAddress);

    public override Task<string> GetPageAsync() => Programs.RunAsync("curl", "-s", "-S", "-i", "--max-time", "10", $"http://{StackAddress}/");

    public override async Task<Uri> ServeFileAsync(byte[] content)
    {
        _folder = Directory.CreateTempSubdirectory("tcpcrypt-demo-");
        await File.WriteAllBytesAsync(Path.Combine(_folder.FullName, "file"), content);
        Uri url = new($"http://{MachineAddress}:8000/file");
        if (Programs.IsThere("python3"))
        {
            Show.Line($"   python3 -m http.server --bind {MachineAddress} 8000");
            _webServer = Programs.Start("python3", "-m", "http.server", "--bind", MachineAddress, "--directory", _folder.FullName, "8000");
            await WaitForServerAsync();
            return url;
        }

        // .NET's own, on the kernel's sockets.
        _listener = new HttpListener { Prefixes = { $"http://{MachineAddress}:8000/" } };
        _listener.Start();
        _ = Task.Run(async () =>
        {
            HttpListenerContext context = await _listener.GetContextAsync();
            await context.Response.OutputStream.WriteAsync(content);
            context.Response.Close();
        });
        return url;
    }

    /// <summary>On tun1; the kernel is the router between the two.</summary>
    public override async Task<IpStack> OpenOtherAsync()
    {
        const string Forwarding = "/proc/sys/net/ipv4/ip_forward";
        if ((await File.ReadAllTextAsync(Forwarding)).Trim() == "0")
        {
            await File.WriteAllTextAsync(Forwarding, "1");
            _other.Push(new Undo(() => File.WriteAllText(Forwarding, "0")));
        }

        TunDevice device = TunDevice.Open(new TunDeviceOptions { Name = "tun1", HostAddress = IPPrefixAddress.Parse("10.9.1.1/24") });
        _other.Push(device);
        IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [IPPrefixAddress.Parse("10.9.1.2/24")] });
        _other.Push(stack);
        return stack;
    }

    public override async Task<byte[]> CaptureAsync(int port, Func<Task> meanwhile)
    {
        if (!Programs.IsThere("tcpdump"))
        {
            return await base.CaptureAsync(port, meanwhile);
        }

        Process tcpdump = Programs.Start("tcpdump", "-n", "-U", "--immediate-mode", "-i", _device.Name, "-w", "-", "tcp", "port", $"{port}");
        using MemoryStream capture = new();
        Task reading = tcpdump.StandardOutput.BaseStream.CopyToAsync(capture);
        while (await tcpdump.StandardError.ReadLineAsync() is { } line && !line.Contains("listening on", StringComparison.Ordinal))
        {
            // What it says before is of no interest.
        }

        byte[] ours = await base.CaptureAsync(port, meanwhile);
        await Task.Delay(300);
        tcpdump.Kill();
        await reading;
        await Programs.StopAsync(tcpdump);

        // In a user namespace tcpdump may fail to become another user: then it has seen nothing.
        return capture.Length > FileHeaderLength ? capture.ToArray() : ours;
    }

    public override async Task<string> PacketsAsync()
    {
        if (_tcpdump is null)
        {
            return "tcpdump is not installed";
        }

        // What it has buffered comes out by itself within a moment.
        await Task.Delay(300);
        await Programs.StopAsync(_tcpdump);
        _tcpdump = null;
        lock (_packets)
        {
            return Excerpt(_packets);
        }
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (Process? process in new[] { _tcpdump, _webServer })
        {
            if (process is not null)
            {
                await Programs.StopAsync(process);
            }
        }

        while (_other.TryPop(out IAsyncDisposable? part))
        {
            await part.DisposeAsync();
        }

        _listener?.Close();
        _folder?.Delete(recursive: true);
        await Stack.DisposeAsync();
        await _device.DisposeAsync();
    }

    private static async Task WaitForServerAsync()
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                using TcpClient client = new();
                await client.ConnectAsync(MachineAddress, 8000);
                return;
            }
            catch (SocketException) when (attempt < 100)
            {
                await Task.Delay(50);
            }
        }
    }

    private async Task WatchAsync()
    {
        if (!Programs.IsThere("tcpdump"))
        {
            return;
        }

        _tcpdump = Programs.Start("tcpdump", "-n", "-l", "-t", "--immediate-mode", "-i", _device.Name);
        TaskCompletionSource isListening = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _tcpdump.OutputDataReceived += (_, e) =>
        {
            if (e.Data is { } line)
            {
                lock (_packets)
                {
                    _packets.Add(line);
                }
            }
        };
        _tcpdump.ErrorDataReceived += (_, e) =>
        {
            if (e.Data is null || e.Data.Contains("listening on", StringComparison.Ordinal))
            {
                isListening.TrySetResult();
            }
        };
        _tcpdump.BeginOutputReadLine();
        _tcpdump.BeginErrorReadLine();
        await isListening.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    private sealed class Undo(Action action) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            action();
            return ValueTask.CompletedTask;
        }
    }
}
