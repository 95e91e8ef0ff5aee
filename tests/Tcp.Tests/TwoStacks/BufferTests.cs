using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Automatic buffers: large where the path and the application need it, small everywhere else.</summary>
public sealed class BufferTests
{
    private const int First = 128 * 1024;

    /// <summary>320 Mbit/s with a round trip of 100 ms: 4 MB are in flight when the path is full.</summary>
    private static readonly LinkDirection s_fat = new() { Delay = TimeSpan.FromMilliseconds(50), BitsPerSecond = 320_000_000, QueueLimit = 3000 };

    /// <summary>Octets received between two instants, reading as <paramref name="read"/> allows.</summary>
    private static long Stream(Pair pair, SteppedSocket from, SteppedSocket to, double seconds, Func<long, int> read)
    {
        byte[] chunk = new byte[65_536];
        byte[] buffer = new byte[65_536];
        long received = 0;
        long start = pair.Link.NowNs;
        pair.Link.Run(
            () =>
            {
                while (from.Send(chunk, out _) == SocketError.Success)
                {
                }

                int most;
                while ((most = Math.Min(read(received), buffer.Length)) > 0 && to.Receive(buffer.AsSpan(0, most), out int count) == SocketError.Success)
                {
                    received += count;
                }

                return false;
            },
            start + (long)(seconds * 1e9),
            maxSteps: 20_000_000);
        return received;
    }

    private static long Size(SteppedSocket socket, SteppedSocketOption option)
    {
        Assert.That(socket.GetOption(option, out long value), Is.EqualTo(SocketError.Success));
        return value;
    }

    [Test]
    [Spec("7323-2.3")]
    public void A_long_fat_path_is_filled([Values] bool timestamps, [Values] bool tcpcrypt)
    {
        void Configure(SteppedStackOptions stack)
        {
            stack.Tcp.Timestamps = timestamps;
            stack.Tcpcrypt = tcpcrypt;
        }

        Pair pair = new(s_fat, 1, Configure, Configure);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 2.5, _ => int.MaxValue);
        long received = Stream(pair, client, server, 1, _ => int.MaxValue);
        Assert.That(received * 8, Is.GreaterThan(320_000_000 * 0.85), "bits per second, headers not counted");
        Assert.That(Size(server, SteppedSocketOption.ReceiveBuffer), Is.InRange(4_000_000, 6 * 1024 * 1024));
        Assert.That(Size(client, SteppedSocketOption.SendBuffer), Is.InRange(4_000_000, 4 * 1024 * 1024));
    }

    [Test]
    public void Explicit_sizes_stay_what_they_are()
    {
        Pair pair = new(s_fat, 1, stack => stack.Tcp.SendBufferSize = 300_000, stack => stack.Tcp.ReceiveBufferSize = 200_000);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 2, _ => int.MaxValue);
        Assert.That((Size(client, SteppedSocketOption.SendBuffer), Size(server, SteppedSocketOption.ReceiveBuffer)), Is.EqualTo((300_000, 200_000)));
        Assert.That(client.GetInfo().PeerWindow, Is.InRange(190_000, 200_000 + 16));
    }

    [Test]
    public void Growth_ends_at_the_maximum()
    {
        Pair pair = new(s_fat, 1, stack => stack.Tcp.MaxSendBufferSize = 1_000_000, stack => stack.Tcp.MaxReceiveBufferSize = 700_000);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Stream(pair, client, server, 1, _ => int.MaxValue);
        Assert.That((Size(client, SteppedSocketOption.SendBuffer), Size(server, SteppedSocketOption.ReceiveBuffer)), Is.EqualTo((1_000_000, 700_000)));
        Assert.That(client.GetInfo().PeerWindowScale, Is.EqualTo(4), "as little as the maximum needs");
    }

    /// <summary>An application that takes 20 KB in a round trip has no use for a window of megabytes.</summary>
    [Test]
    public void A_slow_reader_keeps_the_window_small()
    {
        Pair pair = new(s_fat);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        long start = pair.Link.NowNs;
        Stream(pair, client, server, 10, received => (int)Math.Max(0, ((pair.Link.NowNs - start) / 5_000) - received));
        Assert.That(Size(server, SteppedSocketOption.ReceiveBuffer), Is.LessThan(2 * First));
        Assert.That(client.GetInfo().PeerWindow, Is.LessThan(2 * First));
    }

    /// <summary>Without timestamps the round trip is measured by the window; one that opens in small steps must not make it look short.</summary>
    [Test]
    public void A_slow_reader_that_becomes_fast_gets_a_large_window([Values] bool timestamps)
    {
        Pair pair = new(s_fat, 1, stack => stack.Tcp.Timestamps = timestamps);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        long start = pair.Link.NowNs;
        Stream(pair, client, server, 3, received => (int)Math.Max(0, ((pair.Link.NowNs - start) / 5_000) - received));
        Assert.That(Size(server, SteppedSocketOption.ReceiveBuffer), Is.LessThan(2 * First));
        Stream(pair, client, server, 5, _ => int.MaxValue);
        Assert.That(Size(server, SteppedSocketOption.ReceiveBuffer), Is.GreaterThan(4_000_000));
    }

    [Test]
    [Spec("9293-SHLD-14")]
    public void The_right_edge_never_moves_left()
    {
        Pair pair = new(s_fat with { Loss = 0.001 });
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        long edge = -1;
        uint first = 0;
        int shift = client.GetInfo().PeerWindowScale;
        int acks = 0;
        pair.Link.Tap = packet =>
        {
            if (packet.FromA || !TcpHeader.TryParse(packet.Packet.Span[20..], out TcpHeader tcp))
            {
                return;
            }

            first = first == 0 ? tcp.Ack.Value : first;
            long here = (long)unchecked(tcp.Ack.Value - first) + ((long)tcp.Window << shift);
            Assert.That(here, Is.GreaterThanOrEqualTo(edge));
            edge = here;
            acks++;
        };
        long start = pair.Link.NowNs;

        // Fast, then slow, then not at all, then fast again.
        Stream(pair, client, server, 1, _ => int.MaxValue);
        Stream(pair, client, server, 2, received => (int)Math.Max(0, ((pair.Link.NowNs - start) / 50_000) - received));
        Stream(pair, client, server, 2, _ => 0);
        Stream(pair, client, server, 1, _ => int.MaxValue);
        Assert.That(acks, Is.GreaterThan(1000));
    }

    [Test]
    public void Nothing_grows_while_memory_is_scarce()
    {
        Pair pair = new(s_fat, 1, server: stack => stack.MemoryLimit = 1024 * 1024);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();

        // Another connection holds more than half of it.
        SteppedSocket other = pair.Client.Socket(tcp: true);
        Assert.That(other.SetOption(SteppedSocketOption.SendBuffer, 1 << 20), Is.EqualTo(SocketError.Success));
        other.Connect(Pair.ServerEnd);
        SteppedSocket? held = null;
        Assert.That(pair.Link.Run(() => pair.Listener.Accept(out held) == SocketError.Success), Is.True);
        Assert.That(held!.SetOption(SteppedSocketOption.ReceiveBuffer, 700_000), Is.EqualTo(SocketError.Success));
        pair.Link.Run(() => other.Send(new byte[65_536], out _) == SocketError.Success && false, pair.Link.NowNs + 5_000_000_000, maxSteps: 1_000_000);
        Assert.That(pair.Server.Core.Blocks.InUse, Is.GreaterThan(512 * 1024));
        Stream(pair, client, server, 2, _ => int.MaxValue);
        Assert.That(Size(server, SteppedSocketOption.ReceiveBuffer), Is.EqualTo(First));
    }
}
