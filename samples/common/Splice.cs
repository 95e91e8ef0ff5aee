using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Tcpcrypt.Samples;

/// <summary>One TCP connection made out of two, as a gateway does it.</summary>
internal static class Splice
{
    /// <summary>Copies both ways until both directions are at their end. The end of one direction is passed on while the other goes on; when one connection breaks the other is reset.</summary>
    public static async Task RunAsync(TcpConnection one, TcpConnection other, CancellationToken stop)
    {
        one.NoDelay = other.NoDelay = true;
        one.KeepAlive = other.KeepAlive = new TcpKeepAlive(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(30), 9); // a gateway must notice who has vanished

        // The last four are for a reset while nothing is read or written on that side.
        List<Task> running = [CopyAsync(one, other, stop), CopyAsync(other, one, stop), one.ReadsClosed, one.WritesClosed, other.ReadsClosed, other.WritesClosed];
        try
        {
            while (running.Count > 0)
            {
                Task ended = await Task.WhenAny(running);
                await ended;
                running.Remove(ended);
            }
        }
        catch
        {
            one.Abort();
            other.Abort();
            throw;
        }
    }

    /// <summary>Tells the next gateway who wants to connect to whom: four octets of address and two of port, twice; waits until it has done so.</summary>
    public static async Task AskAsync(TcpConnection tunnel, IPEndPoint source, IPEndPoint destination, CancellationToken stop)
    {
        await using Stream stream = tunnel.GetStream(ownsConnection: false);
        await stream.WriteAsync((byte[])[.. Octets(source), .. Octets(destination)], stop);
        await stream.ReadExactlyAsync(new byte[1], stop);
        static byte[] Octets(IPEndPoint endPoint) => [.. endPoint.Address.GetAddressBytes(), (byte)(endPoint.Port >> 8), (byte)endPoint.Port];
    }

    /// <summary>What the other gateway asks for.</summary>
    public static async Task<(IPEndPoint Source, IPEndPoint Destination)> ReadRequestAsync(TcpConnection tunnel, CancellationToken stop)
    {
        byte[] octets = new byte[12];
        await using Stream stream = tunnel.GetStream(ownsConnection: false);
        await stream.ReadExactlyAsync(octets, stop);
        return (EndPoint(octets.AsSpan(0, 6)), EndPoint(octets.AsSpan(6)));
        static IPEndPoint EndPoint(ReadOnlySpan<byte> octets) => new(new IPAddress(octets[..4]), BinaryPrimitives.ReadUInt16BigEndian(octets[4..]));
    }

    /// <summary>Uses a connection between the gateways for one of the programs'. When that fails, it says so and leaves no half of it behind.</summary>
    public static async Task CarryAsync(string what, ValueTask<TcpConnection> opening, Func<TcpConnection, Task> use)
    {
        try
        {
            await using TcpConnection tunnel = await opening;
            try
            {
                await use(tunnel);
            }
            catch
            {
                tunnel.Abort();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or AuthenticationException)
        {
            Console.WriteLine($"{what}: {e.Message}");
            throw;
        }
    }

    private static async Task CopyAsync(TcpConnection from, TcpConnection to, CancellationToken stop)
    {
        await from.Input.CopyToAsync(to.Output, stop);
        to.CompleteWrites();
    }
}
