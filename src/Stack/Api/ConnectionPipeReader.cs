using System.Buffers;
using System.IO.Pipelines;
using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>A connection's receive queue as a <see cref="PipeReader"/>: results are views of the queue's own blocks, nothing is copied.</summary>
internal sealed class ConnectionPipeReader : PipeReader
{
    private readonly ConnectionLink _link;
    private readonly PipeReadOperation _operation;

    /// <summary>What the application has seen: it wants more than that before the next read ends.</summary>
    private long _examined;

    // The result handed out, until AdvanceTo.
    private bool _isReading;
    private bool _isHolding;
    private long _start;
    private long _end;

    private int _isCancelRequested;
    private volatile bool _isCompleted;

    public ConnectionPipeReader(ConnectionLink link)
    {
        _link = link;
        _operation = new PipeReadOperation(this, link);
    }

    internal bool IsReady => _link.ReceiveTail > Volatile.Read(ref _examined) || _link.IsReadEnded || Volatile.Read(ref _isCancelRequested) != 0;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        return _operation.ReadAsync(cancellationToken);
    }

    public override bool TryRead(out ReadResult result)
    {
        ThrowIfCompleted();
        _operation.Claim("read");
        bool isTaken = false;
        try
        {
            return isTaken = TryTake(out result);
        }
        finally
        {
            if (!isTaken)
            {
                _operation.Unclaim();
            }
        }
    }

    /// <summary>Makes a result if there is something new.</summary>
    internal bool TryTake(out ReadResult result)
    {
        // The state before the data: an end seen here has all data before it.
        int seen = _link.Seen;
        _link.ThrowIfUnreadable(seen);
        bool isCancelled = Interlocked.Exchange(ref _isCancelRequested, 0) != 0;
        ReadOnlySequence<byte> held = _link.BeginRead();
        long start = held.IsEmpty ? _link.ReceiveHead : OffsetOf(held.Start, 0);
        long end = start + held.Length;
        bool isAtEnd = false;
        if (end <= _examined && !isCancelled)
        {
            try
            {
                isAtEnd = _link.IsAtEnd(seen);
            }
            finally
            {
                if (!isAtEnd)
                {
                    EndHold(held, start);
                }
            }

            if (!isAtEnd)
            {
                result = default;
                return false;
            }
        }

        _isReading = true;
        _isHolding = !held.IsEmpty;
        _start = start;
        _end = end;
        result = new ReadResult(held, isCancelled, isAtEnd || _link.IsEndAt(seen));
        return true;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        ThrowIfCompleted();
        if (!_isReading)
        {
            throw new InvalidOperationException("AdvanceTo without a read to end; call ReadAsync first.");
        }

        long consumedOffset = OffsetOf(consumed, _start);
        long examinedOffset = Math.Max(OffsetOf(examined, _start), consumedOffset);
        if (consumedOffset < _start || consumedOffset > _end || examinedOffset > _end)
        {
            throw new ArgumentOutOfRangeException(nameof(consumed), "The positions are not of the buffer that the last read gave.");
        }

        _isReading = false;
        Volatile.Write(ref _examined, examinedOffset);
        if (_isHolding)
        {
            _isHolding = false;
            _link.EndRead(consumedOffset);
            if (examinedOffset == _end)
            {
                _link.WantMore(consumedOffset, examinedOffset);
            }
        }

        _operation.Unclaim();
    }

    public override void CancelPendingRead()
    {
        Interlocked.Exchange(ref _isCancelRequested, 1);
        _operation.Signal();
    }

    /// <summary>Shutdown for reading: what is unread and what still arrives is discarded.</summary>
    public override void Complete(Exception? exception = null)
    {
        if (_isCompleted)
        {
            return;
        }

        _isCompleted = true;
        if (_isReading)
        {
            _isReading = false;
            if (_isHolding)
            {
                _isHolding = false;
                _link.EndRead(_start);
            }

            _operation.Unclaim();
        }

        _link.CompleteReads();
    }

    private void EndHold(in ReadOnlySequence<byte> held, long start)
    {
        if (!held.IsEmpty)
        {
            _link.EndRead(start);
        }
    }

    /// <summary>The stream offset of a position; an empty buffer's positions are in no block.</summary>
    private static long OffsetOf(SequencePosition position, long otherwise) =>
        position.GetObject() is Block block ? block.Start + position.GetInteger() : otherwise;

    private void ThrowIfCompleted()
    {
        if (_isCompleted)
        {
            throw new InvalidOperationException("Reading is not allowed after the reader was completed.");
        }
    }
}
