using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>Goodput by rate, round trip, loss, queue and MTU, plain and encrypted, on the deterministic core: the same numbers on every machine, so that a change of congestion control shows as a difference.</summary>
internal static class ThroughputTable
{
    private static readonly IPEndPoint s_server = new(IPAddress.Parse("10.0.0.2"), 80);

    public static string Make()
    {
        StringBuilder table = new();
        table.Append("# Goodput of one connection in the simulator\n\n");
        table.Append("Mbit/s of stream that arrived in the time given, one direction, CUBIC; the queue holds so many round trips' worth of packets, ten at least; reordered packets are 3 ms late. `make simulate TABLE=1` writes this file anew.\n\n");
        table.Append("With random loss p a window is 1.22/√p segments on average, RFC 9438 §5's formula for the Reno-friendly region, where all these rows are: 12.2 at 1 %, which is 7.1 Mbit/s at 20 ms, however fast the link. ");
        table.Append("A test compares. Rows above it have their slow start, before the first loss, in the few seconds.\n\n");
        table.Append("| Mbit/s | RTT ms | loss % | reordered % | queue | MTU | plain | encrypted |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        foreach ((int rate, int rtt, double loss, double reorder, double queue, int mtu, int seconds) in Rows())
        {
            double plain = Measure(rate, rtt, loss, reorder, queue, mtu, seconds, encrypts: false);
            double encrypted = Measure(rate, rtt, loss, reorder, queue, mtu, seconds, encrypts: true);
            table.Append(CultureInfo.InvariantCulture, $"| {rate} | {rtt} | {loss * 100:0.##} | {reorder * 100:0.##} | {queue:0.##} | {mtu} | {plain:0.00} | {encrypted:0.00} |\n");
        }

        return table.ToString();
    }

    private static IEnumerable<(int Rate, int Rtt, double Loss, double Reorder, double Queue, int Mtu, int Seconds)> Rows()
    {
        foreach (int rate in new[] { 2, 20, 100 })
        {
            foreach (int rtt in new[] { 4, 20, 100 })
            {
                foreach (double loss in new[] { 0, 0.001, 0.01 })
                {
                    yield return (rate, rtt, loss, 0, 1, 1500, Seconds(rate));
                }

                yield return (rate, rtt, 0, 0, 0.25, 1500, Seconds(rate));
            }

            yield return (rate, 20, 0.001, 0, 1, 576, Seconds(rate));
            yield return (rate, 20, 0.001, 0, 1, 9000, Seconds(rate));
            yield return (rate, 20, 0, 0.02, 1, 1500, Seconds(rate));
            yield return (rate, 20, 0.001, 0.02, 1, 1500, Seconds(rate));
        }

        static int Seconds(int rate) => rate >= 100 ? 4 : 10;
    }

    private static double Measure(int rate, int rtt, double loss, double reorder, double queue, int mtu, int seconds, bool encrypts)
    {
        // Larger than every product of rate and delay, so that no window but the congestion window limits.
        TcpStackOptions tcp = new() { ReceiveBufferSize = 8 << 20, SendBufferSize = 8 << 20 };
        SteppedStack a = new(new SteppedStackOptions { Addresses = { new IPPrefixAddress(IPAddress.Parse("10.0.0.1"), 24) }, Mtu = mtu, Tcp = tcp, Seed = 1, Tcpcrypt = encrypts });
        SteppedStack b = new(new SteppedStackOptions { Addresses = { new IPPrefixAddress(s_server.Address, 24) }, Mtu = mtu, Tcp = tcp, Seed = 2, Tcpcrypt = encrypts });
        long octetsPerTrip = rate * 1_000_000L / 8 * rtt / 1000;
        LinkDirection there = new()
        {
            Delay = TimeSpan.FromMicroseconds(rtt * 500),
            BitsPerSecond = rate * 1_000_000L,
            QueueLimit = (int)Math.Max(queue * octetsPerTrip / mtu, 10),
            Loss = loss,
            Reorder = reorder,
            ReorderDelay = TimeSpan.FromMilliseconds(3),
        };
        SteppedLink link = SteppedStack.Join(a, b, new LinkOptions { AToB = there, BToA = there with { Loss = 0, Reorder = 0, QueueLimit = 1000 } }, 1);
        SteppedSocket listener = b.Socket(tcp: true);
        _ = listener.Bind(s_server);
        _ = listener.Listen(1);
        SteppedSocket client = a.Socket(tcp: true);
        _ = client.Connect(s_server);
        SteppedSocket? server = null;
        byte[] buffer = new byte[64 * 1024];
        long received = 0;
        long startNs = -1;
        long endNs = long.MaxValue;
        while (link.NextDeadlineNs <= endNs)
        {
            link.Step();
            if (startNs < 0 && (client.Poll() & SteppedPollFlags.Out) != 0)
            {
                startNs = link.NowNs;
                endNs = startNs + (seconds * 1_000_000_000L);
            }

            // There is always more to send than may be sent.
            while (startNs >= 0 && client.Unsent < 2 * buffer.Length && client.Send(buffer, out int sent) == SocketError.Success && sent > 0)
            {
            }

            if (server is not null || listener.Accept(out server) == SocketError.Success)
            {
                while (server!.Receive(buffer, out int count) == SocketError.Success && count > 0)
                {
                    received += count;
                }
            }
        }

        return received * 8 / (seconds * 1e6);
    }
}
