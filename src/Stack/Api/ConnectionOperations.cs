using System.IO.Pipelines;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>Waits for one of several flags of a connection. Used once.</summary>
internal sealed class ConnectionEndOperation(ConnectionLink link, int flags) : WaitOperation<bool>(link.Host, link.Scheduling)
{
    protected override bool IsReady => link.HasSeen(flags);

    public ValueTask WaitAsync(CancellationToken cancellationToken) => RunWithoutResult(cancellationToken);

    protected override bool TryFinish(out bool result) => result = link.HasSeen(flags);

    protected override void OnFinished(bool succeeded) => link.RemoveEndWaiter(this);
}

/// <summary>A read of the stream.</summary>
internal sealed class StreamReadOperation : WaitOperation<int>
{
    private readonly ConnectionLink _link;
    private Memory<byte> _buffer;

    public StreamReadOperation(ConnectionLink link)
        : base(link.Host, link.Scheduling)
    {
        _link = link;
        link.AddRead(this);
    }

    protected override bool IsReady => _link.CanRead;

    public ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        Claim("read");
        _buffer = buffer;
        return Run(cancellationToken);
    }

    protected override bool TryFinish(out int result) => _link.TryRead(_buffer.Span, out result);

    protected override void OnFinished(bool succeeded)
    {
        _buffer = default;
        Unclaim();
    }

    public int Read(Span<byte> buffer, int millisecondsTimeout)
    {
        Claim("read");
        try
        {
            int count;
            while (!_link.TryRead(buffer, out count))
            {
                if (!Block(millisecondsTimeout))
                {
                    throw StackErrors.Broken(System.Net.Sockets.SocketError.TimedOut, $"Nothing was received within {millisecondsTimeout} ms (ReadTimeout).");
                }
            }

            return count;
        }
        finally
        {
            Unclaim();
        }
    }
}

/// <summary>A write of the stream: ends when all octets are in the send queue.</summary>
internal sealed class StreamWriteOperation : WaitOperation<bool>
{
    private readonly ConnectionLink _link;
    private ReadOnlyMemory<byte> _left;
    private int _leftCount;
    private bool _isUrgent;

    public StreamWriteOperation(ConnectionLink link)
        : base(link.Host, link.Scheduling)
    {
        _link = link;
        link.AddWrite(this);
    }

    protected override bool IsReady => _link.CanWrite(Volatile.Read(ref _leftCount));

    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        Claim("write");
        _left = buffer;
        return RunWithoutResult(cancellationToken);
    }

    /// <summary>As <see cref="WriteAsync"/>; the octets end in the urgent mark.</summary>
    public ValueTask WriteUrgentAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        Claim("write");
        _left = buffer;
        _isUrgent = true;
        return RunWithoutResult(cancellationToken);
    }

    protected override bool TryFinish(out bool result)
    {
        _left = _left[_link.TryWrite(_left.Span, _isUrgent)..];
        _leftCount = _left.Length;
        return result = _left.IsEmpty;
    }

    protected override void OnFinished(bool succeeded)
    {
        _left = default;
        _isUrgent = false;
        Unclaim();
    }

    public void Write(ReadOnlySpan<byte> buffer, int millisecondsTimeout)
    {
        Claim("write");
        try
        {
            while (true)
            {
                buffer = buffer[_link.TryWrite(buffer)..];
                _leftCount = buffer.Length;
                if (buffer.IsEmpty)
                {
                    return;
                }

                if (!Block(millisecondsTimeout))
                {
                    throw StackErrors.Broken(System.Net.Sockets.SocketError.TimedOut, $"The peer took no data for {millisecondsTimeout} ms (WriteTimeout); a part may have been sent.");
                }
            }
        }
        finally
        {
            Unclaim();
        }
    }
}

/// <summary>A read of the pipe. The claim ends with AdvanceTo.</summary>
internal sealed class PipeReadOperation : WaitOperation<ReadResult>
{
    private readonly ConnectionPipeReader _reader;

    public PipeReadOperation(ConnectionPipeReader reader, ConnectionLink link)
        : base(link.Host, link.Scheduling)
    {
        _reader = reader;
        link.AddRead(this);
    }

    protected override bool IsReady => _reader.IsReady;

    public ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken)
    {
        Claim("read");
        return Run(cancellationToken);
    }

    protected override bool TryFinish(out ReadResult result) => _reader.TryTake(out result);

    protected override void OnFinished(bool succeeded)
    {
        if (!succeeded)
        {
            Unclaim();
        }
    }
}

/// <summary>A flush of the pipe: ends when the send buffer has room again.</summary>
internal sealed class PipeFlushOperation : WaitOperation<FlushResult>
{
    private readonly ConnectionPipeWriter _writer;

    public PipeFlushOperation(ConnectionPipeWriter writer, ConnectionLink link)
        : base(link.Host, link.Scheduling)
    {
        _writer = writer;
        link.AddWrite(this);
    }

    protected override bool IsReady => _writer.IsReady;

    public ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken)
    {
        Claim("write");
        return Run(cancellationToken);
    }

    protected override bool TryFinish(out FlushResult result) => _writer.TryFlush(out result);

    protected override void OnFinished(bool succeeded) => Unclaim();
}
