using System.Net;
using System.Security.Cryptography;
using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

/// <summary>Two stacks on a link in memory: 10.0.0.1 (Client) and 10.0.0.2 (Server).</summary>
internal sealed class StackPair : IAsyncDisposable
{
    public static readonly IPAddress ClientAddress = IPAddress.Parse("10.0.0.1");
    public static readonly IPAddress ServerAddress = IPAddress.Parse("10.0.0.2");

    private StackPair(IpStack client, IpStack server, PacketDevice clientDevice, PacketDevice serverDevice)
    {
        Client = client;
        Server = server;
        ClientDevice = clientDevice;
        ServerDevice = serverDevice;
    }

    public IpStack Client { get; }

    public IpStack Server { get; }

    public PacketDevice ClientDevice { get; }

    public PacketDevice ServerDevice { get; }

    public static async Task<StackPair> StartAsync(
        Action<IpStackOptions>? configure = null,
        PacketOffloads offloads = PacketOffloads.Checksum | PacketOffloads.Segmentation,
        int queueLength = 512,
        int mtu = 1500)
    {
        (PacketDevice first, PacketDevice second) = MemoryLink.CreatePair(mtu, offloads, queueLength);
        IpStackOptions clientOptions = new() { Addresses = [new(ClientAddress, 24)] };
        IpStackOptions serverOptions = new() { Addresses = [new(ServerAddress, 24)] };
        configure?.Invoke(clientOptions);
        configure?.Invoke(serverOptions);
        return new StackPair(await IpStack.StartAsync(first, clientOptions), await IpStack.StartAsync(second, serverOptions), first, second);
    }

    /// <summary>A connection and its two ends.</summary>
    public async Task<(TcpConnection Client, TcpConnection Server)> ConnectAsync(TcpListenOptions? options = null)
    {
        await using TcpConnectionListener listener = await Server.ListenAsync(new IPEndPoint(IPAddress.Any, 0), options);
        ValueTask<TcpConnection> accepting = listener.AcceptAsync();
        TcpConnection client = await Client.ConnectAsync(new IPEndPoint(ServerAddress, listener.LocalEndPoint.Port));
        return (client, await accepting);
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Client.DisposeAsync().AsTask(), Server.DisposeAsync().AsTask());
        await ClientDevice.DisposeAsync();
        await ServerDevice.DisposeAsync();
    }
}

internal static class Transfer
{
    /// <summary>Sends so many octets made from a seed, and returns their hash.</summary>
    public static async Task<byte[]> SendAsync(Stream stream, long count, int seed, int chunk = 128 * 1024)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Random random = new(seed);
        byte[] buffer = new byte[chunk];
        random.NextBytes(buffer);
        while (count > 0)
        {
            int part = (int)Math.Min(count, random.Next(1, buffer.Length + 1));
            buffer[0] = unchecked((byte)count);
            hash.AppendData(buffer, 0, part);
            await stream.WriteAsync(buffer.AsMemory(0, part));
            count -= part;
        }

        return hash.GetHashAndReset();
    }

    /// <summary>Reads to the end; returns the count and the hash.</summary>
    public static async Task<(long Count, byte[] Hash)> ReceiveAsync(Stream stream)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[64 * 1024];
        long total = 0;
        int count;
        while ((count = await stream.ReadAsync(buffer)) > 0)
        {
            hash.AppendData(buffer, 0, count);
            total += count;
        }

        return (total, hash.GetHashAndReset());
    }

    public static async Task<byte[]> ReadExactlyAsync(this TcpConnection connection, int count)
    {
        byte[] buffer = new byte[count];
        await connection.GetStream(ownsConnection: false).ReadExactlyAsync(buffer);
        return buffer;
    }

    public static ValueTask WriteAsync(this TcpConnection connection, byte[] octets) => connection.GetStream(ownsConnection: false).WriteAsync(octets);

    /// <summary>So many octets each way at once, compared octet by octet.</summary>
    public static async Task BothWaysAsync(TcpConnection one, TcpConnection other, int count)
    {
        byte[] forth = new byte[count];
        byte[] back = new byte[count];
        new Random(count).NextBytes(forth);
        new Random(~count).NextBytes(back);
        Task<byte[]> atOther = other.ReadExactlyAsync(count);
        Task<byte[]> atOne = one.ReadExactlyAsync(count);
        await Task.WhenAll(one.WriteAsync(forth).AsTask(), other.WriteAsync(back).AsTask(), atOne, atOther);
        Assert.That(await atOther, Is.EqualTo(forth));
        Assert.That(await atOne, Is.EqualTo(back));
    }
}
