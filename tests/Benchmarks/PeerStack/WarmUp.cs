using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Benchmarks;

/// <summary>
/// Runs every kind of exchange before READY, so that the timed part meets compiled code: a method is compiled well only after some 30 calls and a pause of
/// 100 ms, and what was seen by then decides what is inlined. First over a link in memory, then a little with the kernel over the device itself.
/// </summary>
internal static class WarmUp
{
    private static readonly TimeSpan s_perKind = TimeSpan.FromMilliseconds(400);

    public static async Task RunInMemoryAsync(ContinuationScheduling scheduling, PacketOffloads offloads)
    {
        (PacketDevice serverDevice, PacketDevice clientDevice) = MemoryLink.CreatePair(offloads: offloads);
        IPAddress server = IPAddress.Parse("10.99.0.2");
        await using IpStack serverStack = await IpStack.StartAsync(serverDevice, new IpStackOptions { Addresses = [new IPPrefixAddress(server, 24)], Scheduling = scheduling });
        await using IpStack clientStack = await IpStack.StartAsync(clientDevice, new IpStackOptions { Addresses = [IPPrefixAddress.Parse("10.99.0.1/24")] });
        await Ports.ServeAsync(serverStack, server);
        await RepeatAsync(() => ExchangeAsync(clientStack, new IPEndPoint(server, Ports.Close), 1));
        await RepeatAsync(() => ExchangeAsync(clientStack, new IPEndPoint(server, Ports.Echo), 200));
        await RepeatAsync(() => SendAsync(clientStack, new IPEndPoint(server, Ports.Sink), 8 << 20));
        await RepeatAsync(() => ReceiveAsync(clientStack, new IPEndPoint(server, Ports.Source), 8 << 20));
    }

    /// <summary>The kernel as client, by the device: what memory cannot warm is the device's own code.</summary>
    public static async Task RunOverDeviceAsync(IPAddress server)
    {
        await Task.Run(() =>
        {
            byte[] buffer = new byte[256 * 1024];
            for (int i = 0; i < 100; i++)
            {
                using Socket close = Connect(Ports.Close);
                close.Send(buffer, 1, SocketFlags.None);
                while (close.Receive(buffer) > 0)
                {
                    // One octet, then the end.
                }
            }

            using Socket echo = Connect(Ports.Echo);
            for (int i = 0; i < 500; i++)
            {
                echo.Send(buffer, 1, SocketFlags.None);
                echo.Receive(buffer);
            }

            using Socket sink = Connect(Ports.Sink);
            for (int sent = 0; sent < 64 << 20; sent += buffer.Length)
            {
                sink.Send(buffer);
            }

            using Socket source = Connect(Ports.Source);
            for (int received = 0; received < 64 << 20;)
            {
                received += source.Receive(buffer);
            }
        });
        GC.Collect();

        Socket Connect(int port)
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 5000, SendTimeout = 5000, LingerState = new LingerOption(true, 0) };
            socket.Connect(server, port);
            return socket;
        }
    }

    private static async Task RepeatAsync(Func<Task> exchange)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < s_perKind)
        {
            await exchange();
        }
    }

    private static async Task ExchangeAsync(IpStack stack, IPEndPoint remote, int count)
    {
        await using TcpConnection connection = await stack.ConnectAsync(remote);
        for (int i = 0; i < count; i++)
        {
            connection.Output.GetSpan(1)[0] = (byte)i;
            connection.Output.Advance(1);
            await connection.Output.FlushAsync();
            ReadResult result = await connection.Input.ReadAsync();
            connection.Input.AdvanceTo(result.Buffer.End);
        }
    }

    private static async Task SendAsync(IpStack stack, IPEndPoint remote, int octets)
    {
        await using TcpConnection connection = await stack.ConnectAsync(remote);
        for (int sent = 0; sent < octets; sent += 64 * 1024)
        {
            connection.Output.GetSpan(64 * 1024)[..(64 * 1024)].Clear();
            connection.Output.Advance(64 * 1024);
            await connection.Output.FlushAsync();
        }

        connection.CompleteWrites();
        await connection.Input.ReadAsync();
    }

    private static async Task ReceiveAsync(IpStack stack, IPEndPoint remote, int octets)
    {
        await using TcpConnection connection = await stack.ConnectAsync(remote);
        for (long received = 0; received < octets;)
        {
            ReadResult result = await connection.Input.ReadAsync();
            received += result.Buffer.Length;
            connection.Input.AdvanceTo(result.Buffer.End);
        }

        connection.Abort();
    }
}
