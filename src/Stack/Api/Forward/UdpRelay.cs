using System.Buffers;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>Relays a flow's datagrams both ways. Buffers are rented per datagram: a flow that waits holds none, and thousands wait.</summary>
internal static class UdpRelay
{
    /// <summary>Ends when the flow does. Errors of single datagrams (port unreachable, too long) lose that datagram, as on any path.</summary>
    public static async Task RunAsync(UdpFlow flow, Socket socket, CancellationToken cancellationToken)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task back = KernelToFlowAsync(flow, socket, stop.Token);
        try
        {
            do
            {
                await flow.WaitToReceiveAsync(stop.Token).ConfigureAwait(false);
            }
            while (await RelayWaitingAsync(flow, socket, stop.Token).ConfigureAwait(false));
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or IOException)
        {
            // The flow or the stack has ended.
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await back.ConfigureAwait(false);
        }
    }

    /// <summary>Sends what waits in the flow; false when the flow has ended.</summary>
    private static async ValueTask<bool> RelayWaitingAsync(UdpFlow flow, Socket socket, CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(StackUdpSocket.MaxPayload);
        try
        {
            while (flow.TryReceive(buffer, out UdpFlowReceive received))
            {
                if (received.IsCompleted)
                {
                    return false;
                }

                try
                {
                    await socket.SendAsync(buffer.AsMemory(0, received.Count), SocketFlags.None, cancellationToken).ConfigureAwait(false);
                }
                catch (SocketException)
                {
                    // RFC 1122 §4.1.3.3 leaves it to the application: the client's own time-out covers it.
                }
            }

            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task KernelToFlowAsync(UdpFlow flow, Socket socket, CancellationToken cancellationToken)
    {
        byte[] look = new byte[1];
        while (true)
        {
            try
            {
                await socket.ReceiveAsync(look, SocketFlags.Peek, cancellationToken).ConfigureAwait(false);
                byte[] buffer = ArrayPool<byte>.Shared.Rent(StackUdpSocket.MaxPayload);
                try
                {
                    int count = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
                    await flow.SendAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
            catch (SocketException)
            {
                // Port unreachable from the server, or no room in the stack: that datagram is lost.
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or IOException)
            {
                return;
            }
        }
    }
}
