using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>What our packets look like to others: to tshark, and beside those of the kernel.</summary>
public class CaptureTests : KernelFixture
{
    private const string Faults = "_ws.malformed || _ws.expert.severity == error || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0";

    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public async Task Our_capture_of_everything_has_no_fault_that_tshark_could_find(OffloadMode offload)
    {
        Need("tshark", "ping");
        await StartAsync(offload);
        string file = Path.Combine(Folder, "ours.pcapng");
        await using (FileStream stream = File.Create(file))
        {
            PacketCapture capture = Stack.StartCapture(stream);
            await ExchangeAsync();
            await capture.DisposeAsync();
            Assert.That(capture.PacketsLost, Is.Zero);
        }

        await AssertFaultlessAsync(file, ["tcp.flags.syn == 1 && ip.src == 10.99.0.2", "tcp.flags.reset == 1", "icmp.type == 0", "icmp.type == 3", "ip.frag_offset > 0", "udp"]);
        Assert.That(await TsharkAsync(file, "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment"), Is.Empty, "the capture is complete");
    }

    [Test]
    public async Task Capture_on_the_kernels_side_has_no_fault_that_tshark_could_find()
    {
        Need("tshark", "tcpdump", "ping");

        // Without offload: the packets are on the wire as they are.
        await StartAsync(OffloadMode.Off);
        string file = Path.Combine(Folder, "kernel.pcap");
        using (ShellCommand tcpdump = await StartTcpdumpAsync(Namespace, "tun0", file))
        {
            await ExchangeAsync();
            await StopTcpdumpAsync(tcpdump, file, StackIp);
        }

        await AssertFaultlessAsync(file, []);
    }

    [Test]
    public async Task Our_handshake_looks_like_the_kernels_own()
    {
        Need("tshark", "tcpdump");

        // With tcpcrypt there is one difference: CRYPT, kind 69, on our SYN.
        await StartAsync(configure: static options => options.Tcpcrypt.Policy = TcpcryptPolicy.Disabled);
        string ours = Path.Combine(Folder, "ours.pcapng");
        await using (FileStream stream = File.Create(ours))
        {
            await using PacketCapture capture = Stack.StartCapture(stream);
            await ConnectAsync(kernelIsClient: true);
            await ConnectAsync(kernelIsClient: false);
        }

        NetworkNamespace far = AddNetworkBehindKernel();
        string kernels = Path.Combine(Folder, "kernel.pcap");
        using (ShellCommand tcpdump = await StartTcpdumpAsync(Namespace, "near0", kernels))
        {
            Socket listener = KernelSocket(SocketType.Stream, far);
            listener.Bind(new IPEndPoint(FarIp, 7000));
            listener.Listen();
            await KernelSocket(SocketType.Stream).ConnectAsync(new IPEndPoint(FarIp, 7000)).WaitAsync(Patience);
            await StopTcpdumpAsync(tcpdump, kernels, FarIp);
        }

        foreach (string kind in new[] { "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.flags.syn == 1 && tcp.flags.ack == 1" })
        {
            string expected = Handshake(await FieldsAsync(kernels, kind));
            string our = Handshake(await FieldsAsync(ours, $"{kind} && ip.src == 10.99.0.2"));
            Assert.That(our, Is.EqualTo(expected), kind);
        }

        // The final ACK of the three: timestamps, and nothing else.
        Assert.That(await TsharkAsync(ours, "ip.src == 10.99.0.2 && tcp.flags == 0x010 && tcp.len == 0 && tcp.hdr_len == 32"), Is.Not.Empty);
    }

    // Nothing is wrong with any packet, and what must be there is.
    private static async Task AssertFaultlessAsync(string file, string[] present)
    {
        string[] filters = ["tcp.checksum.status == 1 && ip.src == 10.99.0.2 && tcp.len > 0", .. present, "frame.len > 1500", Faults];

        // One look at the file for all questions: the last line of the table has a pair of columns, packets and octets, for each.
        string table = await TsharkAsync(file, null, "-q", "-z", $"io,stat,0,{string.Join(',', filters)}");
        string line = table.Split('\n').Last(line => line.Contains("<>", StringComparison.Ordinal));
        int[] packets = [.. line.Split('|').Where(cell => int.TryParse(cell, out _)).Where((_, column) => column % 2 == 0).Select(int.Parse)];
        Assert.That(packets, Has.Length.EqualTo(filters.Length), table);
        Assert.Multiple(() =>
        {
            for (int i = 0; i < filters.Length; i++)
            {
                Assert.That(packets[i], i < filters.Length - 2 ? Is.GreaterThan(0) : Is.Zero, filters[i]);
            }
        });
    }

    // Kinds of options in any order, MSS, DF, TTL, flags. The scale and the first window depend on buffer sizes.
    private static string Handshake(string fields)
    {
        string[] columns = fields.Split('\n')[0].Split('\t');
        columns[0] = string.Join(',', columns[0].Split(',').Select(int.Parse).Where(kind => kind != 1).Order());
        return string.Join(' ', columns);
    }

    private static Task<string> FieldsAsync(string file, string filter) =>
        TsharkAsync(file, filter, "-T", "fields", "-e", "tcp.option_kind", "-e", "tcp.options.mss_val", "-e", "ip.flags.df", "-e", "ip.ttl", "-e", "tcp.flags", "-e", "ip.dsfield");

    private static async Task<string> TsharkAsync(string file, string? filter, params string[] more) =>
        (await Shell.Start(
            "tshark", ["-n", "-r", file, "-d", "tcp.port==1-65535,data", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", .. filter is null ? Array.Empty<string>() : ["-Y", filter], .. more]).WaitAsync(Patience)).Expect();

    private static async Task<ShellCommand> StartTcpdumpAsync(NetworkNamespace where, string device, string file)
    {
        ShellCommand tcpdump = where.Start("tcpdump", "-i", device, "-U", "--immediate-mode", "-s", "0", "-B", "16384", "-Z", "root", "-w", file);
        await Poll.UntilAsync(() => tcpdump.Error.Contains("listening on", StringComparison.Ordinal), "tcpdump listens");
        return tcpdump;
    }

    /// <summary>Packets are written in their order: when a last one, sent towards <paramref name="end"/>, is in the file, all are.</summary>
    private async Task StopTcpdumpAsync(ShellCommand tcpdump, string file, IPAddress end)
    {
        byte[] last = Pattern(64, seed: 99);
        await KernelSocket(SocketType.Dgram).SendToAsync(last, new IPEndPoint(end, 9));
        await Poll.UntilAsync(() => File.ReadAllBytes(file).AsSpan().IndexOf(last) >= 0, "the last packet is in the file");
        Shell.Run("kill", "-INT", $"{tcpdump.Id}").Expect();
        await tcpdump.WaitAsync(Patience);
    }

    // Something of everything that the stack sends.
    private async Task ExchangeAsync()
    {
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        byte[] data = Pattern(300_000);
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Task<byte[]> arriving = ReadAllAsync(stream);
        Task<byte[]> arrivingAtKernel = ReadAllAsync(kernels);
        await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
        await kernels.SendAsync(data).WaitAsync(Patience);
        ours.CompleteWrites();
        kernels.Shutdown(SocketShutdown.Send);
        Assert.That((Hash(await arriving), Hash(await arrivingAtKernel)), Is.EqualTo((Hash(data), Hash(data))));

        (TcpConnection aborted, _) = await ConnectAsync(kernelIsClient: false);
        aborted.Abort();
        Namespace.Run("ping", "-n", "-c", "1", "-W", "10", "-s", "4000", "10.99.0.2");
        await Stack.PingAsync(KernelIp, new EchoOptions { DataLength = 4000 });
        await using StackUdpSocket udp = await Stack.BindUdpAsync(new IPEndPoint(StackIp, 5353));
        await udp.SendToAsync(new byte[3001], new IPEndPoint(KernelIp, 9));
        Socket stray = KernelSocket(SocketType.Dgram);
        await stray.ConnectAsync(new IPEndPoint(StackIp, 9));
        await stray.SendAsync(new byte[7]);
        await Assert.CatchAsync<SocketException>(() => stray.ReceiveAsync(new byte[1]).WaitAsync(Patience));
        await Assert.CatchAsync<SocketException>(() => KernelSocket(SocketType.Stream).ConnectAsync(new IPEndPoint(StackIp, 9)).WaitAsync(Patience));
    }
}
