using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Scripts.Runner;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Scripts.Kit;

/// <summary>Short hands for tests of the kit itself.</summary>
internal static class KitTest
{
    public static readonly IPEndPoint ServerEnd = new(IPAddress.Parse("10.0.0.2"), 80);

    public static SteppedStack Stack(string address, ulong seed = 1, Action<SteppedStackOptions>? configure = null)
    {
        SteppedStackOptions options = new() { Seed = seed };
        options.Addresses.Add(IPPrefixAddress.Parse(address));
        configure?.Invoke(options);
        return new SteppedStack(options);
    }

    /// <summary>10.0.0.1 and 10.0.0.2, joined.</summary>
    public static SteppedLink Pair(LinkDirection both, ulong seed = 1, Action<SteppedStackOptions>? configure = null) =>
        SteppedStack.Join(Stack("10.0.0.1/24", seed, configure), Stack("10.0.0.2/24", seed + 1000, configure), LinkOptions.Symmetric(both), seed);

    public static (SteppedSocket Client, SteppedSocket Server, SteppedSocket Listener) Connect(SteppedLink link)
    {
        SteppedSocket listener = link.B.Socket(tcp: true);
        Ok(listener.Bind(ServerEnd));
        Ok(listener.Listen(16));
        SteppedSocket client = link.A.Socket(tcp: true);
        Assert.That(client.Connect(ServerEnd), Is.EqualTo(SocketError.InProgress));
        SteppedSocket? server = null;
        Assert.That(link.Run(() => listener.Accept(out server) == SocketError.Success), Is.True, "accepted");
        Assert.That(link.Run(() => client.Poll().HasFlag(SteppedPollFlags.Out)), Is.True, "connected");
        Ok(client.TakeError());
        return (client, server!, listener);
    }

    public static void Ok(SocketError error) => Assert.That(error, Is.EqualTo(SocketError.Success));

    /// <summary>Sends a stream of the pattern one way and checks it at the other end, then closes both.</summary>
    public static void Transfer(SteppedLink link, SteppedSocket from, SteppedSocket to, long octets)
    {
        long written = 0;
        long read = 0;
        byte[] buffer = new byte[8192];
        bool isOver = false;
        bool Pump()
        {
            while (written < octets)
            {
                int chunk = (int)Math.Min(buffer.Length, octets - written);
                Pattern.Fill(buffer.AsSpan(0, chunk), written);
                if (from.Send(buffer.AsSpan(0, chunk), out int sent) != SocketError.Success)
                {
                    break;
                }

                written += sent;
                if (written == octets)
                {
                    Ok(from.Shutdown(SocketShutdown.Send));
                }
            }

            SocketError error;
            while ((error = to.Receive(buffer, out int received)) == SocketError.Success)
            {
                Assert.That(Pattern.FindDifference(buffer.AsSpan(0, received), read), Is.EqualTo(-1), $"data from {read} on");
                read += received;
                if (received == 0)
                {
                    isOver = true;
                    break;
                }
            }

            Assert.That(isOver || error == SocketError.WouldBlock, Is.True, $"receive: {error}");
            return isOver;
        }

        Assert.That(link.Run(Pump, maxSteps: 5_000_000), Is.True, $"transferred {read} of {octets}, now {link.NowNs} ns");
        Assert.That(read, Is.EqualTo(octets));
    }

    public static List<LivePacket> TakeAll(SteppedStack stack)
    {
        List<LivePacket> packets = [];
        while (stack.TryTake(out _, out byte[] packet))
        {
            packets.Add(LivePacket.Parse(packet));
        }

        return packets;
    }
}
