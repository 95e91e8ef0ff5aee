// A UDP echo server, or one datagram and its answer. Try it with: nc -u 10.9.0.2 7
using System.Net;
using System.Text;
using Tcpcrypt;
using Tcpcrypt.Samples;

const string Usage = "udp [PORT] | udp ADDRESS PORT TEXT   an echo server (default port 7), or a datagram to somebody";

return await Sample.RunAsync(args, Usage, async (stack, rest, stop) =>
{
    bool isClient = rest.Count == 3;
    int port = isClient ? 0 : rest.Count > 0 ? int.Parse(rest[0]) : 7;
    await using StackUdpSocket socket = await stack.BindUdpAsync(new IPEndPoint(IPAddress.Any, port), stop);
    byte[] buffer = new byte[65_507];
    if (isClient)
    {
        IPEndPoint remote = new(IPAddress.Parse(rest[0]), int.Parse(rest[1]));
        await socket.SendToAsync(Encoding.UTF8.GetBytes(rest[2]), remote, stop);
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(stop);
        patience.CancelAfter(TimeSpan.FromSeconds(3));
        try
        {
            UdpReceive answer = await socket.ReceiveFromAsync(buffer, patience.Token);
            Console.WriteLine($"{answer.Remote}: {Encoding.UTF8.GetString(buffer, 0, answer.Count)}");
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new IOException($"{remote} did not answer within 3 s.");
        }

        return;
    }

    Console.WriteLine($"udp echo on {socket.LocalEndPoint}");
    while (true)
    {
        UdpReceive datagram = await socket.ReceiveFromAsync(buffer, stop);
        Console.WriteLine($"{datagram.Count} octets from {datagram.Remote} to {datagram.LocalAddress}");
        await socket.SendToAsync(buffer.AsMemory(0, datagram.Count), datagram.Remote, stop);
    }
});
