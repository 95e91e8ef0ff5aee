using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.TwoStacks;

/// <summary>Transfers both ways between two stacks, over links that behave in every way they can.</summary>
public sealed class TransferTests
{
    private static readonly LinkDirection s_link = new() { Delay = TimeSpan.FromMilliseconds(10), BitsPerSecond = 100_000_000, QueueLimit = 200 };

    private static void Run(LinkDirection link, int octets = 300_000, ulong seed = 1, Action<SteppedStackOptions>? both = null, int readSize = 65_536, double minutes = 60)
    {
        Pair pair = new(link, seed, both, both);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, octets, readSize, minutes);
        pair.Finish(client, server);
    }

    [Test]
    public void A_clean_link() => Run(s_link, 5_000_000, minutes: 1);

    [Test]
    public void Loss([Values(1, 2, 3, 4, 5)] int seed, [Values(0.01, 0.1, 0.2, 0.3)] double loss) => Run(s_link with { Loss = loss }, seed: (ulong)seed);

    [Test]
    public void Reordering([Values(1, 2, 3)] int seed) => Run(s_link with { Reorder = 0.2, ReorderDelay = TimeSpan.FromMilliseconds(30), Jitter = TimeSpan.FromMilliseconds(5) }, seed: (ulong)seed);

    [Test]
    public void Duplication([Values(1, 2, 3)] int seed) => Run(s_link with { Duplicate = 0.3 }, seed: (ulong)seed);

    [Test]
    [Spec("9293-MUST-3")]
    public void Corruption([Values(1, 2, 3)] int seed) => Run(s_link with { Corrupt = 0.05 }, seed: (ulong)seed);

    [Test]
    public void Everything_at_once([Values(1, 2, 3, 4, 5, 6, 7, 8)] int seed, [Values] bool options) => Run(
        s_link with { Loss = 0.05, Reorder = 0.1, Duplicate = 0.05, Corrupt = 0.02, Jitter = TimeSpan.FromMilliseconds(20) },
        100_000,
        (ulong)seed,
        stack =>
        {
            stack.Tcp.Timestamps = options;
            stack.Tcp.WindowScaling = options;
            stack.Tcp.SelectiveAcknowledgments = options;
        });

    [Test]
    [Category("Long")] // a hundred seeds; run it after changes to sending or recovery
    public void Everything_at_once_at_length([Range(100, 199)] int seed) => Everything_at_once(seed, seed % 2 == 0);

    [Test]
    public void Tiny_mtus([Values(68, 76, 80, 88, 100, 128, 296)] int mtu, [Values(1, 2)] int seed) =>
        Run(s_link with { Loss = 0.02, Reorder = 0.05 }, 20_000, (ulong)seed, stack => stack.Mtu = mtu);

    [Test]
    public void A_large_mtu() => Run(s_link with { Loss = 0.01 }, 2_000_000, 1, stack => stack.Mtu = 65_535);

    [Test]
    public void Tiny_windows([Values(1, 10, 100, 1000, 3000)] int window) => Run(new LinkDirection { Delay = TimeSpan.FromMilliseconds(1) }, window * 100, 1, stack => stack.ReceiveWindow = window);

    [Test]
    public void Tiny_windows_and_loss([Values(500, 2000)] int window, [Values(1, 2)] int seed) =>
        Run(new LinkDirection { Delay = TimeSpan.FromMilliseconds(1), Loss = 0.05 }, 50_000, (ulong)seed, stack => stack.ReceiveWindow = window);

    [Test]
    public void Small_reads([Values(1, 7, 1000)] int readSize) => Run(s_link, 50_000, 1, stack => stack.ReceiveWindow = 8000, readSize);

    [Test]
    public void A_small_send_buffer([Values(1, 100, 2000)] int size) => Run(new LinkDirection { Delay = TimeSpan.FromMilliseconds(1) }, size * 50, 1, stack => stack.Tcp.SendBufferSize = size);

    /// <summary>Numbers wrap on the way, with and without timestamps: the clock decides where they start.</summary>
    [Test]
    public void HI_SEQ_17_sequence_numbers_wrap([Values] bool timestamps, [Values(0u, 100_000u, 1_000_000u, 0x8000_0000u + 100_000u)] uint before)
    {
        // Find what the ISN would be, then start the clock so that it is just below the wrap.
        uint probed = 0;
        Pair probe = new();
        probe.Link.Tap = packet => probed = probed != 0 ? probed : SeqOf(packet);
        probe.Connect();
        long start = (long)unchecked(0u - before - probed) * 4000;
        Action<SteppedStackOptions> configure = stack =>
        {
            stack.StartNs = start;
            stack.Tcp.Timestamps = timestamps;
        };
        Pair pair = new(s_link with { Loss = 0.01, Reorder = 0.01 }, 3, configure, configure);
        uint first = 0;
        pair.Link.Tap = packet => first = first != 0 ? first : SeqOf(packet) + 1;
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(first, Is.EqualTo(unchecked(1u - before)));
        pair.Transfer(client, server, 3_000_000);
        pair.Finish(client, server);

        static uint SeqOf(LinkPacket packet) => TcpHeader.TryParse(packet.Packet.Span[20..], out TcpHeader tcp) ? tcp.Seq.Value : 0;
    }

    [Test]
    [Category("Long")] // sends 4.3 GB: a minute or two
    public void HI_SEQ_17_more_than_the_whole_number_space([Values] bool timestamps)
    {
        Action<SteppedStackOptions> configure = stack =>
        {
            stack.Mtu = 9000;
            stack.Tcp.Timestamps = timestamps;
        };
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(1) }, 1, configure, configure);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        byte[] chunk = new byte[1 << 20];
        byte[] got = new byte[1 << 20];
        long sent = 0;
        long received = 0;
        bool isRight = true;
        const long Octets = (1L << 32) + 5_000_000;
        bool done = pair.Link.Run(
            () =>
            {
                while (sent < Octets && client.Send(chunk.AsSpan(0, (int)Math.Min(chunk.Length, Octets - sent)), out int count) == SocketError.Success)
                {
                    sent += count;
                }

                while (server.Receive(got, out int count) == SocketError.Success && count > 0)
                {
                    isRight &= got.AsSpan(0, count).IndexOfAnyExcept((byte)0) < 0;
                    received += count;
                }

                return received == Octets;
            },
            maxSteps: int.MaxValue);
        Assert.That((done, isRight), Is.EqualTo((true, true)));
        pair.Finish(client, server);
    }

    [Test]
    [Spec("9293-MUST-36")]
    [Spec("9293-MUST-37")]
    public void A_reader_that_stops_for_an_hour()
    {
        Pair pair = new(s_link with { Loss = 0.05 }, 5, server: stack => stack.ReceiveWindow = 20_000);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        client.Send(new byte[100_000], out int sent);
        pair.Link.RunUntil(pair.Link.NowNs + 3_600_000_000_000);
        Assert.That(server.Readable, Is.EqualTo(20_000));
        Assert.That(client.State, Is.EqualTo(System.Net.NetworkInformation.TcpState.Established));
        byte[] buffer = new byte[7000];
        int received = 0;
        Assert.That(
            pair.Link.Run(() =>
            {
                while (server.Receive(buffer, out int count) == SocketError.Success)
                {
                    received += count;
                }

                return received == sent;
            }),
            Is.True);
        pair.Finish(client, server);
    }

    [Test]
    public void HI_SEQ_10_both_windows_shut_and_probes_crossing()
    {
        Pair pair = new(new LinkDirection(), 1, stack => stack.ReceiveWindow = 5000, stack => stack.ReceiveWindow = 5000);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        client.Send(new byte[50_000], out _);
        server.Send(new byte[50_000], out _);
        pair.Link.RunUntil(pair.Link.NowNs + 1_000_000_000);
        long before = pair.Link.AToB.Sent + pair.Link.BToA.Sent;
        pair.Link.RunUntil(pair.Link.NowNs + 600_000_000_000);
        Assert.That(pair.Link.AToB.Sent + pair.Link.BToA.Sent - before, Is.LessThan(200), "no ACK storm in ten minutes");
        byte[] buffer = new byte[5000];
        int received = 0;
        Assert.That(
            pair.Link.Run(() =>
            {
                foreach (SteppedSocket socket in (SteppedSocket[])[client, server])
                {
                    while (socket.Receive(buffer, out int count) == SocketError.Success)
                    {
                        received += count;
                    }
                }

                return received == 100_000;
            }),
            Is.True);
        pair.Finish(client, server);
    }

    [Test]
    public void Half_close_leaves_the_other_direction_open()
    {
        Pair pair = new(s_link with { Loss = 0.05 }, 9);
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        client.Send("question"u8, out _);
        client.Shutdown(SocketShutdown.Send);
        byte[] buffer = new byte[100_000];
        int total = 0;
        Assert.That(pair.Link.Run(() => server.Receive(buffer.AsSpan(total), out int count) == SocketError.Success && (total += count) >= 0 && count == 0), Is.True);
        Assert.That(total, Is.EqualTo(8));
        pair.Link.RunUntil(pair.Link.NowNs + 300_000_000_000);
        server.Send(new byte[100_000], out int sent);
        server.Shutdown(SocketShutdown.Send);
        int received = 0;
        Assert.That(pair.Link.Run(() => client.Receive(buffer, out int count) == SocketError.Success && (received += count) >= 0 && count == 0), Is.True);
        Assert.That(received, Is.EqualTo(sent));
        pair.Finish(client, server);
    }

    [Test]
    public void A_thousand_connections()
    {
        Pair pair = new(s_link with { Loss = 0.01 }, 4);
        SteppedSocket[] clients = [.. Enumerable.Range(0, 1000).Select(_ => pair.Client.Socket(tcp: true))];
        foreach (SteppedSocket client in clients)
        {
            Assert.That(client.Connect(Pair.ServerEnd), Is.EqualTo(SocketError.InProgress));
        }

        List<SteppedSocket> servers = [];
        Assert.That(
            pair.Link.Run(() =>
            {
                while (pair.Listener.Accept(out SteppedSocket? server) == SocketError.Success)
                {
                    servers.Add(server!);
                }

                return servers.Count == 1000;
            }),
            Is.True);
        Dictionary<System.Net.IPEndPoint, SteppedSocket> byEnd = servers.ToDictionary(server => server.RemoteEndPoint!);
        foreach (SteppedSocket client in clients)
        {
            client.Send(BitConverter.GetBytes(client.LocalEndPoint.Port), out _);
        }

        pair.Link.RunUntil(pair.Link.NowNs + 60_000_000_000);
        byte[] buffer = new byte[10];
        foreach (SteppedSocket client in clients)
        {
            Assert.That(byEnd[client.LocalEndPoint].Receive(buffer, out int count), Is.EqualTo(SocketError.Success));
            Assert.That((count, BitConverter.ToInt32(buffer)), Is.EqualTo((4, client.LocalEndPoint.Port)));
        }

        Assert.That(pair.Server.Core.Counters.TcpCurrEstab, Is.EqualTo(1000));
        pair.Finish([.. clients, .. servers]);
    }

    [Test]
    public void The_same_seeds_give_the_same_packets()
    {
        string first = Trace();
        string second = Trace();
        Assert.That(second, Is.EqualTo(first));

        static string Trace()
        {
            Pair pair = new(s_link with { Loss = 0.1, Reorder = 0.1, Corrupt = 0.01 }, 6);
            System.Security.Cryptography.IncrementalHash hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
            pair.Link.Tap = packet =>
            {
                hash.AppendData(BitConverter.GetBytes(packet.TimeNs));
                hash.AppendData(packet.Packet.Span);
            };
            (SteppedSocket client, SteppedSocket server) = pair.Connect();
            pair.Transfer(client, server, 100_000);
            return Convert.ToHexString(hash.GetCurrentHash());
        }
    }
}
