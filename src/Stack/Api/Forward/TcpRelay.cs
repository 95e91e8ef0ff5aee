using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>One relayed connection: two pumps that share a fate only when something fails.</summary>
[SuppressMessage("Design", "CA1001", Justification = "RunAsync, called once, disposes it.")]
internal sealed class TcpRelay
{
    private readonly TcpConnection _connection;
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private int _outcome;

    public TcpRelay(TcpConnection connection, Socket socket)
    {
        _connection = connection;
        _socket = socket;
    }

    public async Task<RelayOutcome> RunAsync(CancellationToken cancellationToken)
    {
        using CancellationTokenSource stop = _stop;
        _connection.NoDelay = true;

        // A reset while nothing is being read or written on that side shows only here: the client has half-closed, say, and waits for a server that is silent.
        Task watch = WatchAsync();
        using (cancellationToken.UnsafeRegister(static state => ((TcpRelay)state!).Fail(RelayOutcome.Cancelled), this))
        {
            await Task.WhenAll(StackToKernelAsync(), KernelToStackAsync()).ConfigureAwait(false);
        }

        RelayOutcome outcome = (RelayOutcome)Volatile.Read(ref _outcome);
        if (outcome != RelayOutcome.Completed)
        {
            _connection.Abort();
            _socket.LingerState = new LingerOption(true, 0);
        }

        _socket.Dispose();
        await _connection.DisposeAsync().ConfigureAwait(false);

        // After Abort, or once the peer has acknowledged the last FIN, the watch ends by itself; it does not hold up the relay.
        _ = watch;
        return outcome;
    }

    private async Task StackToKernelAsync()
    {
        try
        {
            PipeReader input = _connection.Input;
            while (true)
            {
                ReadResult result = await input.ReadAsync(_stop.Token).ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> block in result.Buffer)
                {
                    await SendAllAsync(block).ConfigureAwait(false);
                }

                input.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    _socket.Shutdown(SocketShutdown.Send);
                    return;
                }
            }
        }
        catch (Exception error)
        {
            Fail(error);
        }
    }

    private async Task KernelToStackAsync()
    {
        try
        {
            PipeWriter output = _connection.Output;
            bool mayHaveMore = false;
            while (true)
            {
                if (!mayHaveMore)
                {
                    // Waits without a buffer, so that an idle connection holds none.
                    await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, _stop.Token).ConfigureAwait(false);
                }

                Memory<byte> room = output.GetMemory(4096);
                int count = await _socket.ReceiveAsync(room, SocketFlags.None, _stop.Token).ConfigureAwait(false);
                output.Advance(count);
                if (count == 0)
                {
                    _connection.CompleteWrites();
                    return;
                }

                mayHaveMore = count == room.Length;
                FlushResult flushed = await output.FlushAsync(_stop.Token).ConfigureAwait(false);
                if (flushed.IsCompleted)
                {
                    throw new IOException("The stack's side takes no more data.");
                }
            }
        }
        catch (Exception error)
        {
            Fail(error);
        }
    }

    private async ValueTask SendAllAsync(ReadOnlyMemory<byte> octets)
    {
        while (octets.Length > 0)
        {
            int sent = await _socket.SendAsync(octets, SocketFlags.None, _stop.Token).ConfigureAwait(false);
            octets = octets[sent..];
        }
    }

    private async Task WatchAsync()
    {
        try
        {
            await Task.WhenAll(_connection.ReadsClosed, _connection.WritesClosed).ConfigureAwait(false);
        }
        catch (Exception error)
        {
            Fail(error);
        }
    }

    // The stack's side throws IOException, the kernel's SocketException.
    private void Fail(Exception error) => Fail(error switch
    {
        OperationCanceledException => RelayOutcome.Cancelled,
        SocketException => RelayOutcome.KernelFailed,
        _ => RelayOutcome.StackFailed,
    });

    // The first failure names the outcome; what the pumps say after they were stopped does not count.
    private void Fail(RelayOutcome outcome)
    {
        if (Interlocked.CompareExchange(ref _outcome, (int)outcome, (int)RelayOutcome.Completed) != (int)RelayOutcome.Completed)
        {
            return;
        }

        try
        {
            _stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Both pumps have ended already.
        }
    }
}
