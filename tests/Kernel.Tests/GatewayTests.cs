using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>
/// Clients in one namespace, servers in another one that has no network at all: the only way from one to the other is through our stack (MapTcp) and a <see cref="Relay"/> to sockets of the second kernel.
/// </summary>
public partial class GatewayTests : KernelFixture
{
    private const string Server = "198.18.0.1";

    private NetworkNamespace? _servers;

    [TestCase(false)]
    [TestCase(true)]
    public async Task Iperf3_runs_through_the_gateway(bool reverse)
    {
        Need("iperf3");
        await StartGatewayAsync();
        ShellCommand server = _servers!.Start("iperf3", "--server", "--one-off", "--forceflush");
        await Poll.UntilAsync(() => server.Output.Contains("listening", StringComparison.Ordinal), "iperf3 listens");
        ShellResult client = await Namespace.Start("iperf3", ["--client", Server, "--time", "1", "--parallel", "2", "--json", .. reverse ? new[] { "--reverse" } : []]).WaitAsync(Patience);
        Match received = Received().Match(client.Expect());
        Assert.That(received.Success, Is.True, client.Output);
        Assert.That(long.Parse(received.Groups[1].Value), Is.GreaterThan(10_000_000), "octets in a second");
    }

    [Test]
    public async Task Ssh_logs_in_through_the_gateway()
    {
        Need("ssh", "ssh-keygen", "/usr/sbin/sshd");
        await StartGatewayAsync();
        string hostKey = Path.Combine(Folder, "host");
        string userKey = Path.Combine(Folder, "user");
        Shell.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey).Expect();
        Shell.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", userKey).Expect();
        if (Environment.IsPrivilegedProcess && !Directory.Exists("/run/sshd"))
        {
            // Where the daemon's unprivileged half lives; packages make it when the service starts.
            Directory.CreateDirectory("/run/sshd");
        }

        ShellCommand daemon = _servers!.Start(
            "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "22", "-o", $"HostKey={hostKey}", "-o", $"AuthorizedKeysFile={userKey}.pub",
            "-o", "PidFile=none", "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PermitRootLogin=yes");
        await Poll.UntilAsync(() => daemon.HasExited || daemon.Error.Contains("listening", StringComparison.OrdinalIgnoreCase), "sshd listens");
        if (daemon.HasExited)
        {
            Assert.Ignore($"sshd cannot be started here: {daemon.Error.Trim()}");
        }

        // The terminal type makes no difference to a command; what matters is half a megabyte through a cipher that notices every changed octet.
        ShellResult result = await Namespace.Start(
            "ssh", "-F", "/dev/null", "-i", userKey, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
            Server, "echo $SSH_CONNECTION; seq 100000 | tail -c 500000 | wc -c; exit 7").WaitAsync(Patience);
        Assert.That(result.ExitCode, Is.EqualTo(7), result.Error + daemon.Error);
        Assert.That(result.Output, Does.Match(@"^127\.0\.0\.1 \d+ 127\.0\.0\.1 22\n500000\n$"));
    }

    [Test]
    public async Task Refusal_of_the_server_stays_one()
    {
        Need("curl");
        await StartGatewayAsync();
        Assert.That(Namespace.TryRun("curl", "-sS", "--max-time", "30", $"http://{Server}:81/").ExitCode, Is.EqualTo(7));
    }

    [Test]
    public async Task Half_closes_and_resets_pass_through_the_gateway()
    {
        await StartGatewayAsync();
        Socket listener = KernelSocket(SocketType.Stream, _servers);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 7000));
        listener.Listen();

        (Socket client, Socket server) = await ConnectThroughAsync();
        byte[] data = Pattern(300_000);
        Task<byte[]> asking = ReadAllAsync(server);
        await client.SendAsync(data).WaitAsync(Patience);
        client.Shutdown(SocketShutdown.Send);
        Assert.That(Hash(await asking), Is.EqualTo(Hash(data)));
        Task<byte[]> answering = ReadAllAsync(client);
        await server.SendAsync(data).WaitAsync(Patience);
        server.Shutdown(SocketShutdown.Send);
        Assert.That(Hash(await answering), Is.EqualTo(Hash(data)));

        (client, server) = await ConnectThroughAsync();
        await ResetAndSeeAsync(client, server);
        (client, server) = await ConnectThroughAsync();
        await ResetAndSeeAsync(server, client);

        async Task<(Socket Client, Socket Server)> ConnectThroughAsync()
        {
            Socket client = KernelSocket(SocketType.Stream);
            Task<Socket> accepting = listener.AcceptAsync();
            await client.ConnectAsync(IPEndPoint.Parse($"{Server}:7000")).WaitAsync(Patience);
            return (client, await accepting.WaitAsync(Patience));
        }

        static async Task ResetAndSeeAsync(Socket resetting, Socket other)
        {
            resetting.LingerState = new LingerOption(true, 0);
            resetting.Dispose();
            SocketException error = (await Assert.CatchAsync<SocketException>(() => other.ReceiveAsync(new byte[1]).WaitAsync(Patience)))!;
            Assert.That(error.SocketErrorCode, Is.EqualTo(SocketError.ConnectionReset));
        }
    }

    private async Task StartGatewayAsync()
    {
        await StartAsync();
        _servers = NewNamespace();
        Namespace.Run("ip", "route", "add", "198.18.0.0/15", "dev", "tun0");
        Stack.MapTcp(IPNetwork.Parse("198.18.0.0/15"), async (request, ct) =>
        {
            Socket socket = _servers.Invoke(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
            try
            {
                await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, request.Destination.Port), ct);
            }
            catch (SocketException)
            {
                socket.Dispose();
                request.Reject();
                return;
            }

            await Relay.RelayAsync(await request.AcceptAsync(ct), socket, ct);
        });
    }

    [GeneratedRegex("\"sum_received\":\\s*{[^}]*\"bytes\":\\s*(\\d+)")]
    private static partial Regex Received();
}
