using System.Diagnostics;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Runtime.InteropServices;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Benchmarks;

/// <summary>
/// The clients of the benchmark "handshakes" (../Peers/README.md): our own stack, in a process of its own. A connection is connect, one octet each way, close; every one is checked to be
/// what was asked for. What it prints is the CPU time of the server's process, read from outside around the measured connections.
/// </summary>
internal static partial class Handshakes
{
    private const string Usage = "usage: PeerStack load TUN ADDRESS/PREFIX SERVER plain|p256|p521|rsa-2048|rsa-4096|resume COUNT PARALLEL PID\n       PeerStack load TUN ADDRESS/PREFIX SERVER bulk-plain|bulk MEGABYTES 1 PID";

    private const int ThreadCpuClock = 3;

    // Long enough for what the last connections leave behind: closing, and keys made ahead for the next ones.
    private static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(250);

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is not [string tun, string address, string server, string kind, string countText, string parallelText, string pidText])
        {
            Console.Error.WriteLine(Usage);
            return 2;
        }

        int count = int.Parse(countText, CultureInfo.InvariantCulture);
        int parallel = int.Parse(parallelText, CultureInfo.InvariantCulture);
        int pid = int.Parse(pidText, CultureInfo.InvariantCulture);
        int rsaBits = kind == "rsa-2048" ? 2048 : 4096;
        await using TunDevice device = TunDevice.Open(new TunDeviceOptions { Name = tun, Configure = false, Persistent = true, Offload = OffloadMode.Required });
        await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions
        {
            Addresses = [IPPrefixAddress.Parse(address)],
            Scheduling = ContinuationScheduling.Inline,
            Tcpcrypt = new TcpcryptOptions
            {
                Policy = kind is "plain" or "bulk-plain" ? TcpcryptPolicy.Disabled : TcpcryptPolicy.Required,
                AllowResumption = kind == "resume",
                PrepareRsaKey = kind.StartsWith("rsa", StringComparison.Ordinal),
                RsaKeySize = rsaBits,
            },
        });
        if (kind.StartsWith("rsa", StringComparison.Ordinal))
        {
            LightRsaKeyPair.GiveTo(stack, rsaBits);
        }

        if (kind is "bulk" or "bulk-plain")
        {
            await BulkAsync(stack, IPAddress.Parse(server), kind, count, pid);
            return 0;
        }

        Load load = new(stack, IPAddress.Parse(server), kind, parallel);
        await load.WarmUpAsync();
        await Task.Delay(s_settle);
        double serverCpu = CpuSeconds(pid);
        double clientCpu = CpuSeconds(Environment.ProcessId);
        long start = Stopwatch.GetTimestamp();
        await load.RunAsync(count);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await Task.Delay(s_settle);
        serverCpu = CpuSeconds(pid) - serverCpu;
        clientCpu = CpuSeconds(Environment.ProcessId) - clientCpu;
        Console.WriteLine(FormattableString.Invariant(
            $$"""{"kind":"{{kind}}","n":{{count}},"parallel":{{parallel}},"conn_s":{{count / seconds:F0}},"server_us":{{serverCpu / count * 1e6:F1}},"client_us":{{clientCpu / count * 1e6:F1}}}"""));
        return 0;
    }

    /// <summary>Sends so many megabytes to the server's sink, after a quarter as many to warm up; the CPU of both sides per GB.</summary>
    private static async Task BulkAsync(IpStack stack, IPAddress server, string kind, int megabytes, int pid)
    {
        await using TcpConnection connection = await stack.ConnectAsync(new IPEndPoint(server, Ports.Sink));
        if (connection.Tcpcrypt.IsEncrypted != (kind == "bulk"))
        {
            throw new InvalidOperationException($"The connection was not what \"{kind}\" asks for: {connection.Tcpcrypt}.");
        }

        await SendAsync(connection, megabytes / 4);
        double serverCpu = CpuSeconds(pid);
        double clientCpu = CpuSeconds(Environment.ProcessId);
        long start = Stopwatch.GetTimestamp();
        await SendAsync(connection, megabytes);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await Task.Delay(s_settle);
        double gigabytes = megabytes / 1e3;
        serverCpu = (CpuSeconds(pid) - serverCpu) / gigabytes;
        clientCpu = (CpuSeconds(Environment.ProcessId) - clientCpu) / gigabytes;
        Console.WriteLine(FormattableString.Invariant(
            $$"""{"kind":"{{kind}}","gbit_s":{{gigabytes * 8 / seconds:F2}},"sender_cpu_s_per_gb":{{clientCpu:F3}},"receiver_cpu_s_per_gb":{{serverCpu:F3}}}"""));
    }

    private static async Task SendAsync(TcpConnection connection, int megabytes)
    {
        for (long left = megabytes * 1_000_000L; left > 0;)
        {
            Memory<byte> room = connection.Output.GetMemory(16 * 1024);
            int part = (int)Math.Min(left, room.Length);
            room.Span[..part].Fill((byte)left);
            connection.Output.Advance(part);
            left -= part;
            await connection.Output.FlushAsync();
        }
    }

    /// <summary>The CPU time of this thread, user and system.</summary>
    public static double ThreadCpuSeconds() => ReadClock(ThreadCpuClock);

    /// <summary>The CPU time of a process, user and system, to the nanosecond: its clock_getcpuclockid(3).</summary>
    private static double CpuSeconds(int pid) => ReadClock((~pid << 3) | 2);

    private static double ReadClock(int clock) =>
        ClockGetTime(clock, out Timespec time) == 0 ? time.Seconds + (time.Nanoseconds / 1e9) : throw new InvalidOperationException($"There is no clock {clock}: has the process ended?");

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    /// <summary>Connections one after another on each of several lanes. A lane has a server's address of its own, and so a chain of sessions of its own.</summary>
    private sealed class Load(IpStack stack, IPAddress firstServer, string kind, int lanes)
    {
        private const int WarmUpConnections = 640;

        private int _left;

        public async Task WarmUpAsync()
        {
            if (kind == "resume")
            {
                // The chains begin.
                for (int lane = 0; lane < lanes; lane++)
                {
                    await using TcpConnection connection = await stack.ConnectAsync(ServerOf(lane));
                    await ExchangeAsync(connection);
                }
            }

            await RunAsync(WarmUpConnections);
        }

        public async Task RunAsync(int count)
        {
            _left = count;
            await Task.WhenAll(Enumerable.Range(0, lanes).Select(RunLaneAsync));
        }

        private async Task RunLaneAsync(int lane)
        {
            IPEndPoint server = ServerOf(lane);
            while (Interlocked.Decrement(ref _left) >= 0)
            {
                await using TcpConnection connection = await stack.ConnectAsync(server);
                await ExchangeAsync(connection);
                if (!IsAsAsked(connection.Tcpcrypt))
                {
                    throw new InvalidOperationException($"A connection was not what \"{kind}\" asks for: {connection.Tcpcrypt}.");
                }
            }
        }

        private static async Task ExchangeAsync(TcpConnection connection)
        {
            connection.Output.GetSpan(1)[0] = 1;
            connection.Output.Advance(1);
            await connection.Output.FlushAsync();
            ReadResult result = await connection.Input.ReadAsync();
            if (result.Buffer.Length != 1)
            {
                throw new InvalidOperationException("The server has not answered with one octet.");
            }

            connection.Input.AdvanceTo(result.Buffer.End);
        }

        private IPEndPoint ServerOf(int lane)
        {
            byte[] octets = firstServer.GetAddressBytes();
            octets[3] += (byte)lane;
            return new IPEndPoint(new IPAddress(octets), Ports.Close);
        }

        private bool IsAsAsked(TcpcryptStatus status) => kind switch
        {
            "plain" => !status.IsEncrypted,
            "resume" => status.IsResumed,
            "p256" => IsNew(status, TcpcryptKeyExchange.EcdheP256),
            "p521" => IsNew(status, TcpcryptKeyExchange.EcdheP521),
            "rsa-2048" => IsNew(status, TcpcryptKeyExchange.OaepRsa) && status.PublicKeySize == 2048,
            "rsa-4096" => IsNew(status, TcpcryptKeyExchange.OaepRsa) && status.PublicKeySize == 4096,
            _ => throw new ArgumentException(Usage),
        };

        private static bool IsNew(TcpcryptStatus status, TcpcryptKeyExchange keyExchange) => status is { IsEncrypted: true, IsResumed: false } && status.KeyExchange == keyExchange;
    }
}
