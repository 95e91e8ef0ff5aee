using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Demo;

/// <summary>Our stack on tun0; on the other side the kernel with its ping, curl and web server.</summary>
internal sealed class TunScene : Scene
{
    private readonly TunDevice _device;
    private readonly List<string> _packets = [];
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
}
