using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using Microsoft.Extensions.Time.Testing;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

[CancelAfter(60_000)]
public class CaptureTests
{
    [Test]
    public async Task Ping_is_captured_with_direction_and_the_time_providers_wall_clock()
    {
        // The clock stands still: the capture's times are exactly its own.
        DateTimeOffset wall = new(2031, 2, 3, 4, 5, 6, 789, TimeSpan.Zero);
        FakeTimeProvider time = new(wall);
        await using StackPair pair = await StackPair.StartAsync(options => options.TimeProvider = time);
        using MemoryStream file = new();
        await using (PacketCapture capture = pair.Second.StartCapture(file))
        {
            await pair.First.PingAsync(SecondAddress);
            await Poll.UntilAsync(() => capture.PacketsWritten == 2, "request and reply are written while the capture runs");
            time.Advance(TimeSpan.FromTicks(12_345_678));
            await pair.First.PingAsync(SecondAddress);
        }

        string first = wall.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture) + ".789000000";
        string second = (wall.ToUnixTimeSeconds() + 2).ToString(CultureInfo.InvariantCulture) + ".023567800";
        Assert.That(Tshark(file, "frame.time_epoch", "frame.packet_flags_direction", "icmp.type", "frame.interface_name"), Is.EqualTo(new[]
        {
            first + "|0x00000001|8|memory1",
            first + "|0x00000002|0|memory1",
            second + "|0x00000001|8|memory1",
            second + "|0x00000002|0|memory1",
        }));
        time.Advance(TimeSpan.FromSeconds(30));
    }

    [Test]
    public async Task Bulk_transfer_is_cut_into_segments_with_good_checksums([Values] bool split)
    {
        // A MAC covers one segment: only plain connections have super-segments.
        await using StackPair pair = await StackPair.StartAsync(static options => options.Tcpcrypt.Policy = TcpcryptPolicy.Disabled);
        using MemoryStream file = new();
        await using (pair.First.StartCapture(file, new CaptureOptions { SplitSuperSegments = split }))
        {
            await TransferAsync(pair, 300_000);
        }

        string[] rows = Tshark(file, ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"], "frame.len", "tcp.len", "tcp.checksum.status", "ip.checksum.status");
        Assert.That(rows.Select(static row => row[(row.IndexOf('|', row.IndexOf('|') + 1) + 1)..]), Is.All.EqualTo("1|1"), "checksum status: good");
        Assert.That(rows.Sum(static row => int.Parse(row.Split('|')[1], CultureInfo.InvariantCulture)), Is.GreaterThanOrEqualTo(300_000));
        int longest = rows.Max(static row => int.Parse(row.Split('|')[0], CultureInfo.InvariantCulture));
        Assert.That(longest, split ? Is.EqualTo(1500) : Is.GreaterThan(10_000));
    }

    [Test]
    public async Task Dropped_packet_carries_its_reason_and_appears_once()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using MemoryStream all = new();
        using MemoryStream dropped = new();
        await using (pair.Second.StartCapture(all))
        await using (pair.Second.StartCapture(dropped, new CaptureOptions { Points = CapturePoints.Dropped }))
        {
            await using StackUdpSocket socket = await pair.First.BindUdpAsync(new IPEndPoint(FirstAddress, 0));
            await socket.SendToAsync(new byte[1], new IPEndPoint(SecondAddress, 9));
            await Poll.UntilAsync(() => pair.Second.GetStatistics().Drops["UdpNoPort"] == 1, "the datagram is dropped");
        }

        Assert.That(Tshark(dropped, "ip.src", "frame.comment"), Is.EqualTo(new[] { "10.0.0.1|dropped: UdpNoPort" }));
        Assert.That(Tshark(all, "ip.src", "frame.comment"), Is.EqualTo(new[] { "10.0.0.1|dropped: UdpNoPort", "10.0.0.2,10.0.0.1|" }));
    }

    [Test]
    public async Task Snap_length_shortens_packets_and_keeps_their_length()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using MemoryStream file = new();
        await using (pair.Second.StartCapture(file, new CaptureOptions { SnapLength = 64 }))
        {
            await pair.First.PingAsync(SecondAddress, new EchoOptions { DataLength = 500 });
        }

        Assert.That(Tshark(file, "frame.len", "frame.cap_len"), Is.EqualTo(new[] { "528|64", "528|64" }));
    }

    [Test]
    public async Task Capture_ends_below_its_limit()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using MemoryStream file = new();
        PacketCapture capture = pair.Second.StartCapture(file, new CaptureOptions { MaxBytes = 5000 });
        for (int i = 0; i < 100; i++)
        {
            await pair.First.PingAsync(SecondAddress);
        }

        await capture.Completion;
        Assert.That(file.Length, Is.InRange(4000, 5000));
        Assert.That(capture.BytesWritten, Is.EqualTo(file.Length));
        Assert.That(Tshark(file, "frame.len"), Has.Length.EqualTo(capture.PacketsWritten));
        Assert.That(pair.Second.Host.Query(0, static (_, core, _) => core.Tap), Is.Null, "the core has no tap any more");
        await capture.DisposeAsync();
    }

    [Test]
    public async Task Stream_that_fails_ends_the_capture_and_not_the_stack()
    {
        await using StackPair pair = await StackPair.StartAsync();
        PacketCapture capture = pair.Second.StartCapture(new FailingStream(after: 1));
        await pair.First.PingAsync(SecondAddress);
        Assert.That(async () => await capture.Completion, Throws.InstanceOf<IOException>());
        Assert.That(async () => await capture.DisposeAsync(), Throws.InstanceOf<IOException>());
        Assert.That((await pair.First.PingAsync(SecondAddress)).Status, Is.EqualTo(System.Net.NetworkInformation.IPStatus.Success));
    }

    [Test]
    public async Task Slow_stream_loses_packets_and_counts_them_and_the_stack_goes_on()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using GatedStream gate = new();
        PacketCapture capture = pair.Second.StartCapture(gate, new CaptureOptions { BufferSize = 64 * 1024 });
        await TransferAsync(pair, 2_000_000);
        Assert.That(capture.PacketsLost, Is.GreaterThan(0));
        Assert.That(pair.Second.GetStatistics().CaptureLost, Is.EqualTo(capture.PacketsLost));
        gate.Open();
        await capture.DisposeAsync();
        using MemoryStream file = new(gate.ToArray());
        Assert.That(Tshark(file, "frame.number"), Is.Not.Empty);
    }

    [Test]
    public async Task Stop_of_the_stack_completes_the_capture()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using MemoryStream file = new();
        PacketCapture capture = pair.Second.StartCapture(file);
        await pair.First.PingAsync(SecondAddress);
        await pair.Second.StopAsync();
        await capture.Completion;
        Assert.That(Tshark(file, "icmp.type"), Is.EqualTo(new[] { "8", "0" }));
        Assert.That(() => pair.Second.StartCapture(file), Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Stream_that_cannot_be_written_is_refused()
    {
        await using StackPair pair = await StackPair.StartAsync();
        Assert.That(() => pair.First.StartCapture(new MemoryStream([1], writable: false)), Throws.ArgumentException);
    }

    private static async Task TransferAsync(StackPair pair, int octets)
    {
        await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, 80));
        await using TcpConnection client = await pair.First.ConnectAsync(listener.LocalEndPoint);
        await using TcpConnection server = await listener.AcceptAsync();
        Task receiving = server.GetStream(ownsConnection: false).ReadExactlyAsync(new byte[octets]).AsTask();
        await client.GetStream(ownsConnection: false).WriteAsync(new byte[octets]);
        await receiving;
    }

    private static string[] Tshark(MemoryStream file, params string[] fields) => Tshark(file, Array.Empty<string>(), fields);

    /// <summary>One line per packet, fields separated by bars.</summary>
    private static string[] Tshark(MemoryStream file, string[] options, params string[] fields)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, file.ToArray());
            ProcessStartInfo start = new("tshark", ["-r", path, "-n", "-T", "fields", "-E", "separator=|", .. options, .. fields.SelectMany(static field => new[] { "-e", field })])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero, errors.Result);
            return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }
        catch (Win32Exception)
        {
            Assert.Ignore("tshark is not installed.");
            throw;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private sealed class FailingStream(int after) : MemoryStream
    {
        private int _writes;

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            _writes++ < after ? base.WriteAsync(buffer, cancellationToken) : ValueTask.FromException(new IOException("disk full"));
    }

    /// <summary>Takes the header, and nothing more until it is opened.</summary>
    private sealed class GatedStream : MemoryStream
    {
        private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private bool _isFirst = true;

        public void Open() => _open.SetResult();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (!_isFirst)
            {
                await _open.Task;
            }

            _isFirst = false;
            await base.WriteAsync(buffer, cancellationToken);
        }
    }
}
