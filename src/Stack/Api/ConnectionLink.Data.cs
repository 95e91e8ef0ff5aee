using System.Buffers;
using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt;

// Octets between the application's buffers and the endpoint's two queues, without the core's lock.
internal sealed partial class ConnectionLink
{
    // Made when first used: an idle connection is to be small. One of each at most.
    private StreamReadOperation? _streamRead;
    private StreamWriteOperation? _streamWrite;
    private ConnectionPipeReader? _pipeReader;
    private ConnectionPipeWriter? _pipeWriter;

    public StreamReadOperation StreamRead
    {
        get
        {
            lock (_lock)
            {
                return _streamRead ??= new StreamReadOperation(this);
            }
        }
    }

    public StreamWriteOperation StreamWrite
    {
        get
        {
            lock (_lock)
            {
                return _streamWrite ??= new StreamWriteOperation(this);
            }
        }
    }

    public ConnectionPipeReader PipeReader
    {
        get
        {
            lock (_lock)
            {
                return _pipeReader ??= new ConnectionPipeReader(this);
            }
        }
    }

    public ConnectionPipeWriter PipeWriter
    {
        get
        {
            lock (_lock)
            {
                return _pipeWriter ??= new ConnectionPipeWriter(this);
            }
        }
    }

    // ---- Receiving ----

    /// <summary>How much may be released before the core is told, at most.</summary>
    private const int ReportLimit = 128 * 1024;

    private WaitOperationSet _reads;
    private long _unreported;

    /// <summary>Octets that can be read.</summary>
    public long Readable => Endpoint.ReceiveQueue.Length;

    /// <summary>Offset behind the last octet that has arrived.</summary>
    public long ReceiveTail => Endpoint.ReceiveQueue.Tail;

    /// <summary>True when no more data comes, for whatever reason.</summary>
    public bool IsReadEnded => (Volatile.Read(ref _seen) & ((int)(CoreEvents.ReadClosed | CoreEvents.ReadSpent) | ReadsCompleted | Ended)) != 0;

    /// <summary>True when a read would not wait.</summary>
    public bool CanRead => Readable > 0 || IsReadEnded;

    /// <summary>Copies what is there. False when nothing is; true with 0 at the end (or for no room).</summary>
    public bool TryRead(Span<byte> destination, out int count)
    {
        // The state before the data: an end seen here has all data before it.
        int seen = Volatile.Read(ref _seen);
        ThrowIfUnreadable(seen);
        ReadOnlySequence<byte> held = destination.IsEmpty ? ReadOnlySequence<byte>.Empty : Endpoint.ReceiveQueue.BeginRead();
        if (!held.IsEmpty)
        {
            count = (int)Math.Min(held.Length, destination.Length);
            held.Slice(0, count).CopyTo(destination);
            Release(held, count);
            return true;
        }

        count = 0;
        return (destination.IsEmpty && Readable > 0) || IsAtEnd(seen);
    }

    /// <summary>Hands out what is there, until <see cref="EndRead"/>. Empty: nothing to end.</summary>
    public ReadOnlySequence<byte> BeginRead() => Endpoint.ReceiveQueue.BeginRead();

    /// <summary>Ends <see cref="BeginRead"/>; what was before <paramref name="offset"/> is given up.</summary>
    public void EndRead(long offset)
    {
        ByteQueue queue = Endpoint.ReceiveQueue;
        long head = queue.Head;
        queue.EndRead(offset);
        OnReleased(offset - head);
    }

    /// <summary>A reader has seen everything up to an offset and waits for more while it holds what comes before: where that is much of an automatic buffer, the buffer must grow, or the wait has no end.</summary>
    public void WantMore(long consumed, long examined)
    {
        long held = examined - consumed;
        if (held >= Endpoint.ReceiveBufferSize / 2)
        {
            Endpoint.WantReadable(2 * held);
            Post(Work.Receive);
        }
    }

    public long ReceiveHead => Endpoint.ReceiveQueue.Head;

    /// <summary>True when reading has ended in order; throws when it has otherwise; false when it has not.</summary>
    public bool IsAtEnd(int seen)
    {
        if ((seen & ((int)CoreEvents.ReadClosed | ReadsCompleted)) != 0)
        {
            return true;
        }

        if ((seen & (int)CoreEvents.ReadSpent) != 0)
        {
            throw StackErrors.CipherSpent();
        }

        if ((seen & Ended) == 0)
        {
            return false;
        }

        return EndReason(seen) is { } reason ? throw reason : true;
    }

    /// <summary>As <see cref="IsAtEnd"/> without throwing: true when nothing comes behind what was there after <paramref name="seen"/> was read.</summary>
    public bool IsEndAt(int seen) =>
        (seen & ((int)CoreEvents.ReadClosed | ReadsCompleted)) != 0 || ((seen & (int)CoreEvents.Closed) != 0 && Endpoint.Error == SocketError.Success);

    public int Seen => Volatile.Read(ref _seen);

    /// <summary>Dispose and Abort end reading at once; everything else only when what has arrived was read.</summary>
    public void ThrowIfUnreadable(int seen)
    {
        if ((seen & (Disposed | Aborted)) != 0)
        {
            throw EndReason(seen)!;
        }
    }

    private void Release(in ReadOnlySequence<byte> held, int count)
    {
        Block first = (Block)held.Start.GetObject()!;
        Endpoint.ReceiveQueue.EndRead(first.Start + held.Start.GetInteger() + count);
        OnReleased(count);
    }

    /// <summary>
    /// Tells the core of released octets (RECEIVE) only now and then: each time costs a turn of the core, and until then every ACK announces the new window anyway. What must not happen is
    /// that the peer waits for a window that has opened long ago. It cannot: an application empties the queue before it waits for more, and less than a quarter of the buffer is
    /// unreported then; so at the last report three quarters were free, and the core leaves out a window update (RFC 9293 §3.8.6.2.2) only while a good part of that is announced already.
    /// </summary>
    private void OnReleased(long count)
    {
        _unreported += count;
        if (_unreported > 0 && _unreported >= Math.Min((_receiveBufferSize > 0 ? _receiveBufferSize : Endpoint.ReceiveBufferSize) / 4, ReportLimit))
        {
            _unreported = 0;
            Post(Work.Receive);
        }
    }

    public void AddRead(Host.WaitOperation operation) => _reads.Add(operation);

    private void SignalReads() => _reads.Signal();

    // ---- Sending ----

    private const int Appending = 1;
    private const int GateClosed = 2;

    private WaitOperationSet _writes;

    /// <summary>Keeps FIN behind the data: <see cref="Appending"/> while a thread appends, <see cref="GateClosed"/> when nothing may be appended any more.</summary>
    private int _sendGate;

    private int _closingWork;

    /// <summary>True when a write of so many octets would get on: a third of the buffer is free, or enough for all.</summary>
    /// <remarks>
    /// Not at the first free octet: an awakening costs more than copying 64 KB. An empty queue is always enough: where the stack's memory is used up, there is never more room than a little.
    /// </remarks>
    public bool CanWrite(int octets)
    {
        int space = Endpoint.SendSpace;
        return space >= Math.Min(octets, Math.Max(1, (_sendBufferSize > 0 ? _sendBufferSize : Endpoint.SendBufferSize) / 3)) || (space > 0 && Endpoint.SendQueue.Length == 0) || IsWriteEnded;
    }

    /// <summary>True when a write would fail.</summary>
    public bool IsWriteEnded => (Volatile.Read(ref _seen) & (WritesCompleted | Ended | (int)CoreEvents.CipherSpent)) != 0;

    /// <summary>Octets that the send buffer has room for.</summary>
    public int SendSpace => Endpoint.SendSpace;

    /// <summary>Appends what there is room for, and sends it; returns the count. An urgent write sets the mark with its last octet.</summary>
    public int TryWrite(ReadOnlySpan<byte> source, bool isUrgent = false)
    {
        ThrowIfUnwritable();
        int count = Math.Min(source.Length, Endpoint.SendSpace);
        if (count > 0)
        {
            Append(source[..count]);
            Post(isUrgent && count == source.Length ? Work.SendUrgent : Work.Send);
        }

        return count;
    }

    /// <summary>Appends to the send queue, whose bound is the caller's care.</summary>
    public void Append(ReadOnlySpan<byte> octets)
    {
        if (!TryEnterSendGate())
        {
            ThrowIfUnwritable();
            throw new InvalidOperationException("Two threads write to the connection at the same time; await one write before the next.");
        }

        try
        {
            Endpoint.SendQueue.Append(octets);
        }
        finally
        {
            ExitSendGate();
        }
    }

    public void PostSend() => Post(Work.Send);

    public void ThrowIfUnwritable()
    {
        int seen = Volatile.Read(ref _seen);
        if ((seen & (WritesCompleted | Ended | (int)CoreEvents.CipherSpent)) != 0)
        {
            bool isSpent = (seen & (WritesCompleted | (int)CoreEvents.CipherSpent)) == (int)CoreEvents.CipherSpent;
            throw EndReason(seen) ?? (isSpent ? StackErrors.CipherSpent() : StackErrors.Broken(SocketError.Shutdown, "The sending side of the connection has been closed."));
        }
    }

    /// <summary>Claims the send queue's end for this thread; false when nothing may be appended any more.</summary>
    public bool TryEnterSendGate() => Interlocked.CompareExchange(ref _sendGate, Appending, 0) == 0;

    public void ExitSendGate()
    {
        if ((Interlocked.And(ref _sendGate, ~Appending) & GateClosed) != 0)
        {
            Endpoint.SendQueue.AbandonRoom();
            Post((Work)Volatile.Read(ref _closingWork));
        }
    }

    /// <summary>Nothing may be appended from now on; then the core is told. A thread that is appending just now does that when it is done.</summary>
    private void CloseSendGate(Work work)
    {
        Interlocked.Or(ref _closingWork, (int)work);
        int before = Interlocked.Or(ref _sendGate, GateClosed);
        if ((before & Appending) == 0)
        {
            if ((before & GateClosed) == 0)
            {
                Endpoint.SendQueue.AbandonRoom();
            }

            Post(work);
        }
    }

    public void AddWrite(Host.WaitOperation operation) => _writes.Add(operation);

    private void SignalWrites() => _writes.Signal();
}

/// <summary>At most two operations that want the same signals: the stream's and the pipe's.</summary>
internal struct WaitOperationSet
{
    private Host.WaitOperation? _first;
    private Host.WaitOperation? _second;

    public void Add(Host.WaitOperation operation)
    {
        if (Interlocked.CompareExchange(ref _first, operation, null) is not null)
        {
            Interlocked.CompareExchange(ref _second, operation, null);
        }
    }

    public readonly void Signal()
    {
        _first?.Signal();
        _second?.Signal();
    }
}
