using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>
/// A stack on a TUN device in a network namespace of its own, for every test. The kernel at the other end of the device is the peer: its sockets, or programs that are started in the namespace.
/// </summary>
[NonParallelizable]
public abstract class KernelFixture
{
    protected static readonly IPAddress KernelIp = IPAddress.Parse("10.99.0.1");
    protected static readonly IPAddress StackIp = IPAddress.Parse("10.99.0.2");

    /// <summary>Long enough for a machine that has other things to do, too.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(40);

    /// <summary>The environment variable that names a directory for captures of what the stacks of all tests see, to look into when one fails.</summary>
    private const string CaptureVariable = "TCPCRYPT_TEST_CAPTURES";

    private readonly Stack<IAsyncDisposable> _owned = new();
    private readonly Stack<NetworkNamespace> _namespaces = new();
    private readonly ConcurrentQueue<Exception> _faults = new();
    private readonly ConcurrentBag<Task> _serving = [];
    private DirectoryInfo? _folder;
    private NetworkNamespace? _namespace;
    private IpStack? _stack;
    private TunDevice? _device;
    private volatile bool _isOver;

    protected NetworkNamespace Namespace => _namespace!;

    protected IpStack Stack => _stack!;

    protected TunDevice Device => _device!;

    /// <summary>A directory for the test's files, deleted after it.</summary>
    protected string Folder => (_folder ??= Directory.CreateTempSubdirectory("tcpcrypt-kernel-")).FullName;

    [SetUp]
    public void MakeNamespace()
    {
        if (NetworkNamespace.SkipReason is { } reason)
        {
            Assert.Ignore(reason);
        }

        _isOver = false;
        _faults.Clear();
        _serving.Clear();
        _namespace = NewNamespace();
    }

    [TearDown]
    public async Task LeaveNothing()
    {
        _isOver = true;
        try
        {
            while (_owned.TryPop(out IAsyncDisposable? owned))
            {
                await owned.DisposeAsync().AsTask().WaitAsync(Patience);
            }

            await Task.WhenAll(_serving).WaitAsync(Patience);
        }
        finally
        {
            while (_namespaces.TryPop(out NetworkNamespace? used))
            {
                used.Dispose();
            }

            _folder?.Delete(recursive: true);
            _folder = null;
        }

        Assert.That(_faults, Is.Empty, "what a server of the test threw");
    }

    /// <summary>Skips the test where one of the programs is not installed.</summary>
    protected static void Need(params string[] programs)
    {
        foreach (string program in programs)
        {
            if (!Shell.Has(program))
            {
                Assert.Ignore($"{program} is not installed");
            }
        }
    }

    /// <summary>Opens the device and starts the stack on it.</summary>
    protected async Task<IpStack> StartAsync(OffloadMode offload = OffloadMode.Auto, Action<IpStackOptions>? configure = null, int mtu = 1500)
    {
        // As many packets as the windows of a few hundred connections can fill.
        TunDeviceOptions link = new() { Name = "tun0", HostAddress = new IPPrefixAddress(KernelIp, 24), Offload = offload, Mtu = mtu, TxQueueLength = 5000 };
        IpStackOptions options = new() { Addresses = [new IPPrefixAddress(StackIp, 24)] };
        configure?.Invoke(options);
        _device = Own(Namespace.Invoke(() => TunDevice.Open(link)));
        _stack = Own(await IpStack.StartAsync(_device, options));
        if (Environment.GetEnvironmentVariable(CaptureVariable) is { Length: > 0 } directory)
        {
            FileStream file = Own(File.Create(Path.Combine(directory, $"{TestContext.CurrentContext.Test.Name}.pcapng")));
            Own(_stack.StartCapture(file, new CaptureOptions { SnapLength = 128, BufferSize = 1 << 28 }));
        }

        return _stack;
    }

    /// <summary>Disposes of something after the test, before what was owned earlier.</summary>
    protected T Own<T>(T owned)
        where T : IAsyncDisposable
    {
        _owned.Push(owned);
        return owned;
    }

    /// <summary>One more namespace, gone after the test.</summary>
    protected NetworkNamespace NewNamespace()
    {
        NetworkNamespace made = new();
        _namespaces.Push(made);
        return made;
    }

    /// <summary>A second namespace (10.98.0.2) behind the first one (10.98.0.1), which becomes a router between it and the stack.</summary>
    protected NetworkNamespace AddNetworkBehindKernel()
    {
        NetworkNamespace far = NewNamespace();
        SetKernel("net/ipv4/ip_forward", "1");
        Namespace.Run("ip", "link", "add", "near0", "mtu", "1500", "type", "veth", "peer", "name", "far0", "netns", far.Path);
        Namespace.Run("ip", "address", "add", "10.98.0.1/24", "dev", "near0");
        Namespace.Run("ip", "link", "set", "near0", "up");
        far.Run("ip", "address", "add", "10.98.0.2/24", "dev", "far0");
        far.Run("ip", "link", "set", "far0", "up");
        far.Run("ip", "route", "add", "default", "via", "10.98.0.1");

        // What is sent before the kernel has noticed the carrier is lost.
        Assert.That(() => Namespace.Run("ip", "link", "show", "near0"), Does.Contain("state UP").After(10_000, 10));
        Assert.That(() => far.Run("ip", "link", "show", "far0"), Does.Contain("state UP").After(10_000, 10));
        return far;
    }

    protected static IPAddress FarIp { get; } = IPAddress.Parse("10.98.0.2");

    /// <summary>Sets a sysctl of the namespace.</summary>
    protected void SetKernel(string sysctl, string value) => Namespace.Invoke(() => File.WriteAllText($"/proc/sys/{sysctl}", value));

    /// <summary>Listens and serves each connection until the test ends. What a handler throws makes the test fail.</summary>
    protected async Task ServeAsync(int port, Func<TcpConnection, Task> handler, TcpListenOptions? options = null)
    {
        TcpConnectionListener listener = Own(await Stack.ListenAsync(new IPEndPoint(StackIp, port), options));
        _serving.Add(AcceptAsync());

        async Task AcceptAsync()
        {
            try
            {
                await foreach (TcpConnection connection in listener.AcceptAllAsync())
                {
                    _serving.Add(HandleAsync(connection));
                }
            }
            catch (Exception error) when (error is ObjectDisposedException or IOException)
            {
                // The test is over, or has deleted the device.
            }
        }

        async Task HandleAsync(TcpConnection connection)
        {
            // Off the accept loop's back.
            await Task.Yield();
            try
            {
                await using (connection)
                {
                    await handler(connection);
                }
            }
            catch (Exception error) when (_isOver && error is ObjectDisposedException)
            {
                // The test had what it wanted before this end was told.
            }
            catch (Exception error)
            {
                _faults.Enqueue(error);
            }
        }
    }

    /// <summary>A connection made by the stack and accepted by a kernel socket, or the other way round.</summary>
    protected async Task<(TcpConnection Ours, Socket Kernels)> ConnectAsync(bool kernelIsClient, Action<Socket>? configure = null)
    {
        Socket socket = KernelSocket(SocketType.Stream);
        configure?.Invoke(socket);
        if (kernelIsClient)
        {
            await using TcpConnectionListener listener = await Stack.ListenAsync(new IPEndPoint(StackIp, 7000));
            ValueTask<TcpConnection> accepting = listener.AcceptAsync();
            await socket.ConnectAsync(new IPEndPoint(StackIp, 7000)).WaitAsync(Patience);
            return (Own(await accepting.AsTask().WaitAsync(Patience)), socket);
        }

        socket.Bind(new IPEndPoint(KernelIp, 0));
        socket.Listen();
        Task<Socket> accepted = socket.AcceptAsync();
        TcpConnection connection = Own(await Stack.ConnectAsync((IPEndPoint)socket.LocalEndPoint!).AsTask().WaitAsync(Patience));
        Socket kernels = Own(new OwnedSocket(await accepted.WaitAsync(Patience))).Socket;
        socket.Dispose();
        return (connection, kernels);
    }

    /// <summary>A socket of the kernel in the namespace, closed after the test.</summary>
    protected Socket KernelSocket(SocketType type, NetworkNamespace? where = null, ProtocolType protocol = ProtocolType.Unspecified) =>
        Own(new OwnedSocket((where ?? Namespace).Invoke(() => new Socket(AddressFamily.InterNetwork, type, protocol)))).Socket;

    /// <summary>Connects to a server that is still starting.</summary>
    protected async Task<TcpConnection> ConnectToStartingAsync(IPEndPoint remote)
    {
        using CancellationTokenSource patience = new(Patience);
        while (true)
        {
            try
            {
                return Own(await Stack.ConnectAsync(remote, ct: patience.Token));
            }
            catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused)
            {
                await Task.Delay(50, patience.Token);
            }
        }
    }

    /// <summary>Octets that repeat nowhere near and are the same for the same seed.</summary>
    protected static byte[] Pattern(int length, int seed = 1)
    {
        byte[] octets = new byte[length];
        new Random(seed).NextBytes(octets);
        return octets;
    }

    protected static string Hash(ReadOnlySpan<byte> octets) => Convert.ToHexStringLower(SHA256.HashData(octets));

    /// <summary>Reads to the end of file.</summary>
    protected static async Task<byte[]> ReadAllAsync(Stream stream)
    {
        using MemoryStream all = new();
        await stream.CopyToAsync(all).WaitAsync(Patience);
        return all.ToArray();
    }

    /// <inheritdoc cref="ReadAllAsync(Stream)"/>
    protected static async Task<byte[]> ReadAllAsync(Socket socket)
    {
        // Not through a NetworkStream, which refuses a socket that is shut down for sending.
        using MemoryStream all = new();
        byte[] buffer = new byte[65_536];
        for (int count; (count = await socket.ReceiveAsync(buffer).WaitAsync(Patience)) > 0;)
        {
            all.Write(buffer, 0, count);
        }

        return all.ToArray();
    }

    private sealed class OwnedSocket(Socket socket) : IAsyncDisposable
    {
        public Socket Socket { get; } = socket;

        public ValueTask DisposeAsync()
        {
            Socket.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
