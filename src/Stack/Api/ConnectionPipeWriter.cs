using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>
/// A connection's send queue as a <see cref="PipeWriter"/>: the application writes into the queue's own blocks. What was advanced over may be sent before it is flushed;
/// <see cref="FlushAsync"/> makes sure of it, and waits while the send buffer is full.
/// </summary>
internal sealed class ConnectionPipeWriter : PipeWriter
{
    private readonly ConnectionLink _link;
    private readonly PipeFlushOperation _operation;

    // Octets of the room handed out last; in the queue's own block, or in a buffer of ours when more was asked for than a block has left.
    private int _room;
    private byte[]? _staging;
    private bool _isStaged;

    private long _unflushed;
    private int _isCancelRequested;
    private volatile bool _isCompleted;

    public ConnectionPipeWriter(ConnectionLink link)
    {
        _link = link;
        _operation = new PipeFlushOperation(this, link);
    }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _unflushed;

    internal bool IsReady => _link.CanWrite(int.MaxValue) || Volatile.Read(ref _isCancelRequested) != 0;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        ThrowIfCompleted();
        sizeHint = Math.Max(sizeHint, 1);
        if (_link.TryEnterSendGate())
        {
            Memory<byte> room;
            try
            {
                room = _link.Endpoint.SendQueue.GetRoom(sizeHint);
            }
            finally
            {
                _link.ExitSendGate();
            }

            if (room.Length >= sizeHint)
            {
                _isStaged = false;
                _room = room.Length;
                return room;
            }
        }

        // Too little is left in the block, or the connection has ended (then FlushAsync says so).
        if (_staging is null || _staging.Length < sizeHint)
        {
            ReturnStaging();
            _staging = ArrayPool<byte>.Shared.Rent(Math.Max(sizeHint, 4096));
        }

        _isStaged = true;
        _room = _staging.Length;
        return _staging;
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ThrowIfCompleted();
        if ((uint)bytes > (uint)_room)
        {
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, "More than GetMemory gave.");
        }

        _room = 0;
        if (_link.TryEnterSendGate())
        {
            try
            {
                if (_isStaged)
                {
                    _link.Endpoint.SendQueue.Advance(0);
                    _link.Endpoint.SendQueue.Append(_staging.AsSpan(0, bytes));
                }
                else
                {
                    _link.Endpoint.SendQueue.Advance(bytes);
                }
            }
            finally
            {
                _link.ExitSendGate();
            }

            _unflushed += bytes;
        }

        if (_isStaged)
        {
            ReturnStaging();
        }
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        return _operation.FlushAsync(cancellationToken);
    }

    internal bool TryFlush(out FlushResult result)
    {
        _link.ThrowIfUnwritable();
        if (_unflushed > 0)
        {
            _unflushed = 0;
            _link.PostSend();
        }

        bool isCancelled = Interlocked.Exchange(ref _isCancelRequested, 0) != 0;
        result = new FlushResult(isCancelled, isCompleted: false);
        return isCancelled || _link.SendSpace > 0;
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        if (source.Length > _link.SendSpace)
        {
            return WriteInPartsAsync(source, cancellationToken);
        }

        Put(source.Span);
        return FlushAsync(cancellationToken);
    }

    public override void CancelPendingFlush()
    {
        Interlocked.Exchange(ref _isCancelRequested, 1);
        _operation.Signal();
    }

    /// <summary>FIN after what was written; RST when there is an <paramref name="exception"/>: the peer shall not take a part for the whole.</summary>
    public override void Complete(Exception? exception = null)
    {
        if (_isCompleted)
        {
            return;
        }

        _isCompleted = true;
        _room = 0;
        ReturnStaging();
        if (exception is null)
        {
            _link.CompleteWrites();
        }
        else
        {
            _link.Abort();
        }
    }

    /// <summary>Keeps the send queue within its bound, which one large write would not.</summary>
    private async ValueTask<FlushResult> WriteInPartsAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        while (true)
        {
            int count = Math.Min(source.Length, _link.SendSpace);
            Put(source.Span[..count]);
            source = source[count..];
            FlushResult result = await FlushAsync(cancellationToken).ConfigureAwait(false);
            if (source.IsEmpty || result.IsCanceled)
            {
                return result;
            }
        }
    }

    private void Put(ReadOnlySpan<byte> octets)
    {
        if (octets.IsEmpty)
        {
            return;
        }

        _room = 0;
        _link.Append(octets);
        _unflushed += octets.Length;
    }

    private void ReturnStaging()
    {
        _isStaged = false;
        if (_staging is { } staging)
        {
            _staging = null;
            ArrayPool<byte>.Shared.Return(staging);
        }
    }

    private void ThrowIfCompleted()
    {
        if (_isCompleted)
        {
            throw new InvalidOperationException("Writing is not allowed after the writer was completed.");
        }
    }
}
