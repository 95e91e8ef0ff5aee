using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>
/// Live attacks on a stack whose connections with the kernel go on meanwhile. The attacker is off the path: he knows addresses and ports, and guesses numbers; or he is a peer himself.
/// What the connections carry arrives whole, and the counters tell what was tried.
/// </summary>
public class AttackTests : KernelFixture
{
    private const byte Fin = 1, Syn = 2, Rst = 4, Psh = 8, Ack = 16;
    private const int Packets = 20_000;

    /// <summary>Longer than any of these takes on a busy machine.</summary>
    private static readonly TimeSpan s_bound = TimeSpan.FromSeconds(60);

    private RawSender NewAttacker()
    {
        Socket raw = KernelSocket(SocketType.Raw, protocol: ProtocolType.Raw);
        raw.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.HeaderIncluded, true);
        return new RawSender(raw, StackIp);
    }

    /// <summary>Two connections, one of each side's making, on which data goes both ways for as long as the attack lasts; then it is compared.</summary>
    private async Task UnderAsync(Action<RawSender, IPEndPoint, IPEndPoint> attack)
    {
        (TcpConnection passive, Socket client) = await ConnectAsync(kernelIsClient: true, Narrow);
        (TcpConnection active, Socket server) = await ConnectAsync(kernelIsClient: false, Narrow);
        RawSender attacker = NewAttacker();
        Task attacking = Task.Run(() =>
        {
            attack(attacker, (IPEndPoint)passive.LocalEndPoint, (IPEndPoint)passive.RemoteEndPoint);
            attack(attacker, (IPEndPoint)active.LocalEndPoint, (IPEndPoint)active.RemoteEndPoint);
        });
        long[] exchanged = await Task.WhenAll(TalkAsync(passive, client, attacking, 1), TalkAsync(active, server, attacking, 2)).WaitAsync(s_bound);
        await attacking;
        TestContext.Out.WriteLine($"{attacker.Sent} packets, {exchanged.Sum()} octets meanwhile, {Stack.GetStatistics().TcpTimeouts} time-outs of ours");
        Assert.That(exchanged, Has.All.GreaterThan(1_000_000));
        Assert.That((active.GetInfo().PathMtu, passive.GetInfo().PathMtu), Is.EqualTo((1500, 1500)));
    }

    /// <summary>Small windows: even a guess that is right by chance stays unlikely.</summary>
    private static void Narrow(Socket socket) => (socket.ReceiveBufferSize, socket.SendBufferSize) = (65_536, 65_536);

    private static void Narrow(IpStackOptions options) => options.Tcp.ReceiveBufferSize = 65_536;

    /// <summary>Rounds of data both ways until the attack is over; the sums must agree.</summary>
    private static async Task<long> TalkAsync(TcpConnection ours, Socket kernels, Task attack, int seed)
    {
        const int Round = 200_000;
        byte[] forth = Pattern(Round, seed);
        byte[] back = Pattern(Round, seed + 100);
        byte[] received = new byte[Round];
        byte[] receivedByKernel = new byte[Round];
        await using Stream stream = ours.GetStream(ownsConnection: false);
        await using NetworkStream kernelStream = new(kernels, ownsSocket: false);
        long total = 0;
        for (int round = 0; !attack.IsCompleted || round < 5; round++)
        {
            BinaryPrimitives.WriteInt32BigEndian(forth, round);
            BinaryPrimitives.WriteInt32BigEndian(back, round);
            await Task.WhenAll(
                stream.WriteAsync(forth).AsTask(),
                kernelStream.WriteAsync(back).AsTask(),
                stream.ReadExactlyAsync(received).AsTask(),
                kernelStream.ReadExactlyAsync(receivedByKernel).AsTask()).WaitAsync(Patience);
            Assert.That(received.AsSpan().SequenceEqual(back) && receivedByKernel.AsSpan().SequenceEqual(forth), Is.True, $"round {round}");
            total += 2 * Round;
        }

        return total;
    }

    private static byte[] Timestamps(Random random)
    {
        byte[] options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        random.NextBytes(options.AsSpan(4));
        return options;
    }

    [TestCase(1000)]
    [TestCase(64)]
    [Spec("4987-2")]
    public async Task HI_HS_01_clients_get_in_during_a_SYN_flood(int cache)
    {
        const int Clients = 60;
        await StartAsync(configure: options => options.Tcp.SynCacheSize = cache);
        await ServeAsync(7, BulkTests.EchoAsync);
        RawSender attacker = NewAttacker();
        using CancellationTokenSource over = new(TimeSpan.FromSeconds(30));
        Task flood = Task.Run(() =>
        {
            byte[] options = [2, 4, 5, 0xB4];
            for (uint i = 0; !over.IsCancellationRequested; i++)
            {
                byte[] source = [11, (byte)(i >> 16), (byte)(i >> 8), (byte)i];
                attacker.SendTcp(new IPEndPoint(new IPAddress(source), 1024 + (int)(i % 60_000)), 7, i * 12_345, 0, Syn, options);
            }
        });
        await Poll.UntilAsync(() => Stack.GetStatistics().TcpSynCacheOverflows > 100, "the cache is full");
        for (int i = 0; i < Clients; i++)
        {
            Socket client = KernelSocket(SocketType.Stream);
            await client.ConnectAsync(new IPEndPoint(StackIp, 7)).WaitAsync(Patience);
            byte[] data = Pattern(5_000, i);
            await client.SendAsync(data);
            client.Shutdown(SocketShutdown.Send);
            Assert.That(Hash(await ReadAllAsync(client)), Is.EqualTo(Hash(data)));
        }

        await over.CancelAsync();
        await flood.WaitAsync(Patience);
        IpStackStatistics statistics = Stack.GetStatistics();
        TestContext.Out.WriteLine($"{attacker.Sent} SYNs; cookies: {statistics.TcpSynCookiesSent} sent, {statistics.TcpSynCookiesAccepted} accepted");
        Assert.That(statistics.TcpPassiveOpens, Is.EqualTo(Clients));
        Assert.That(statistics.TcpSynCookiesAccepted, Is.GreaterThan(Clients * 9 / 10));
    }

    [Test]
    [Spec("5961-1"), Spec("5961-2")]
    public async Task HI_INJ_01_blind_resets_and_SYNs_end_nothing()
    {
        const uint Step = 429_497;

        // More than two steps wide, so that the window is met wherever it is, and however full the buffer.
        await StartAsync(configure: static options => options.Tcp.ReceiveBufferSize = 1_048_576);
        await UnderAsync(static (attacker, local, remote) =>
        {
            // All windows of the number space, from a number of his own.
            Random random = new(1);
            uint start = (uint)random.NextInt64(1L << 32);
            for (uint i = 0; i < Packets / 2; i++)
            {
                uint seq = unchecked(start + (i * Step));
                attacker.SendTcp(remote, local.Port, seq, seq, Rst, []);
                attacker.SendTcp(remote, local.Port, seq, 0, Syn, Timestamps(random));
            }
        });
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That(statistics.Drops["TcpOutsideWindow"] + statistics.Drops["TcpPaws"], Is.GreaterThan(Packets / 2));
        Assert.That(statistics.Drops["TcpResetChallenged"], Is.GreaterThan(0), "some were inside of the window");
        Assert.That(statistics.TcpChallengeAcks, Is.GreaterThan(0));
    }

    [Test]
    [Spec("5961-3")]
    public async Task HI_INJ_03_blind_data_and_FINs_reach_no_stream([Values] bool hasTimestamps)
    {
        await StartAsync(configure: options => (options.Tcp.ReceiveBufferSize, options.Tcp.Timestamps) = (65_536, hasTimestamps));
        await UnderAsync((attacker, local, remote) =>
        {
            Random random = new(2);
            uint start = (uint)random.NextInt64(1L << 32);
            for (uint i = 0; i < Packets; i++)
            {
                uint seq = unchecked(start + (i * 214_748));
                attacker.SendTcp(remote, local.Port, seq, (uint)random.NextInt64(1L << 32), i % 4 == 0 ? (byte)(Ack | Fin) : (byte)(Ack | Psh), hasTimestamps ? Timestamps(random) : [], data: 100);
            }
        });
        IpStackStatistics statistics = Stack.GetStatistics();
        long dropped = statistics.Drops.GetValueOrDefault("TcpOutsideWindow") + statistics.Drops.GetValueOrDefault("TcpPaws") + statistics.Drops.GetValueOrDefault("TcpAckUnacceptable")
            + statistics.Drops.GetValueOrDefault("TcpAckTooOld");
        Assert.That(dropped, Is.GreaterThan(Packets / 2));
    }

    [Test]
    public async Task HI_INJ_08_an_ACK_storm_slows_nobody_down_for_ever()
    {
        await StartAsync(configure: Narrow);
        await UnderAsync(static (attacker, local, remote) =>
        {
            Random random = new(3);
            for (int i = 0; i < Packets; i++)
            {
                byte[] options = i % 2 == 0 ? Timestamps(random) : [1, 1, 5, 10, .. Timestamps(random)[4..]];
                attacker.SendTcp(remote, local.Port, (uint)random.NextInt64(1L << 32), (uint)random.NextInt64(1L << 32), Ack, options, window: (ushort)random.Next(65_536));
            }
        });
        Assert.That(Stack.GetStatistics().Drops.Values.Sum(), Is.GreaterThan(Packets / 2));
    }

    [Test]
    public async Task HI_FRAG_07_fragments_that_are_never_completed_do_not_hinder_those_that_are()
    {
        Need("ping");
        await StartAsync(configure: Narrow);
        Task pinging = Task.CompletedTask;
        string? pings = null;
        await UnderAsync((attacker, local, remote) =>
        {
            pinging = pings is null ? Task.Run(() => pings = Namespace.Run("ping", "-c", "5", "-i", "0.2", "-W", "5", "-s", "4000", "10.99.0.2")) : pinging;
            Random random = new(4);
            for (int i = 0; i < Packets; i++)
            {
                byte[] source = [11, (byte)random.Next(256), (byte)random.Next(256), (byte)random.Next(1, 255)];
                ushort offset = (ushort)random.Next(0, 200);
                attacker.Send(new IPAddress(source), i % 3 == 0 ? (byte)6 : (byte)17, 800, static octets => octets.Fill(0xDD), (ushort)random.Next(1, 65_536), (ushort)(0x2000 | offset));
            }
        });
        await pinging.WaitAsync(Patience);
        Assert.That(pings, Does.Contain(" 0% packet loss"));
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That(statistics.Drops.GetValueOrDefault("FragmentLimit") + statistics.IpReasmFails, Is.GreaterThan(1000));
    }

    [Test]
    [Spec("5927-1")]
    public async Task HI_ICMP_03_lies_about_connections_are_not_believed()
    {
        await StartAsync(configure: Narrow);
        await UnderAsync(static (attacker, local, remote) =>
        {
            Random random = new(5);
            (byte Type, byte Code, uint Word)[] lies = [(3, 4, 0), (3, 4, 68), (3, 4, 600), (3, 4, 65_535), (3, 2, 0), (3, 3, 0), (3, 1, 0), (4, 0, 0), (5, 1, 0x0A63_0042), (11, 0, 0), (12, 0, 0)];
            for (int i = 0; i < Packets; i++)
            {
                (byte type, byte code, uint word) = lies[i % lies.Length];
                attacker.SendIcmp(type, code, word, local, remote, (uint)random.NextInt64(1L << 32));
            }
        });
        IpStackStatistics statistics = Stack.GetStatistics();
        Assert.That(statistics.Drops["IcmpNoSuchFlow"], Is.GreaterThan(Packets / 2));
        Assert.That(statistics.Drops["IcmpIgnoredType"], Is.GreaterThan(Packets / 10));
        Assert.That(statistics.TcpPmtuReductions, Is.Zero);
    }

    /// <summary>The attacker is a peer: a small MSS, much asked for, then ACKs whose SACK blocks cover every other octet or what was never sent, and windows of all sizes.</summary>
    [Test]
    public async Task HI_SEQ_06_SACK_bombs_of_a_peer_cost_the_others_nothing()
    {
        Need("python3");
        await StartAsync();
        await ServeAsync(9, static async connection =>
        {
            try
            {
                await connection.GetStream(ownsConnection: false).WriteAsync(new byte[2_000_000]);
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                // The bomber goes away without a word.
            }
        });
        using ShellCommand bomber = Namespace.Start("python3", "-c", Python.SackBomber, "10.99.0.66", "10.99.0.2", "9", $"{Packets}");
        Task<ShellResult> bombing = bomber.WaitAsync(s_bound);
        await Poll.UntilAsync(() => Stack.GetStatistics().TcpPassiveOpens > 0, "the bomber is in");
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: false);
        Assert.That(await TalkAsync(ours, kernels, bombing, 3), Is.GreaterThan(1_000_000));
        string[] words = (await bombing).Expect().Split();
        TestContext.Out.WriteLine(string.Join(' ', words));
        Assert.That((words[0], int.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture)), Is.EqualTo(("sacks", Packets)));
    }
}
