using Tcpcrypt.Core;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>A capture under way (<see cref="IpStack.StartCapture"/>). Ends when it is disposed, when its limit is reached, when its stream fails, or with the stack.</summary>
/// <remarks>
/// The core copies packets into a buffer; a task of the capture formats and writes them. Buffers are exchanged by a command, that is, between two packets and under the
/// core's lock, so neither side needs another lock, and the stream is never written while the stack waits.
/// </remarks>
public sealed class PacketCapture : IAsyncDisposable
{
    private const string Application = "Tcpcrypt";
    private const int ComparedOctets = 20;

    private readonly StackHost _host;
    private readonly CaptureHub _hub;
    private readonly Stream _stream;
    private readonly CaptureOptions _options;
    private readonly string _interfaceName;
    private readonly PcapngWriter _writer = new();
    private readonly CapturedPacketFormatter _formatter;
    private readonly SemaphoreSlim _signal = new(0);
    private readonly HostEnd _hostEnd;
    private Task _completion = Task.CompletedTask;
    private volatile bool _isEnding;

    // Under the core's lock.
    private CaptureBuffer _filling;
    private CaptureBuffer _spare;
    private TcpInstant _startInstant;
    private long _startUnixNanoseconds;
    private long _seen;
    private long _lost;
    private long _lostBefore;
    private int _lastInbound = -1;
    private bool _isWriterCalled;

    // The writer's.
    private long _bytesWritten;
    private long _packetsWritten;
    private long _lastUnixNanoseconds;

    internal PacketCapture(StackHost host, CaptureHub hub, Stream stream, CaptureOptions options, string interfaceName)
    {
        _host = host;
        _hub = hub;
        _stream = stream;
        _options = options;
        _interfaceName = interfaceName;
        _hostEnd = new HostEnd(host, _ => End());
        _formatter = new CapturedPacketFormatter(options.SplitSuperSegments);
        _filling = new CaptureBuffer(options.BufferSize);
        _spare = new CaptureBuffer(options.BufferSize);
    }

    /// <summary>Packets written so far; a super-segment that is split counts by its parts.</summary>
    public long PacketsWritten => Volatile.Read(ref _packetsWritten);

    /// <summary>Packets lost because the stream was too slow for the buffer.</summary>
    public long PacketsLost => Volatile.Read(ref _lost);

    /// <summary>Octets written so far.</summary>
    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    /// <summary>Ends when everything is written after the capture's end; faults with what the stream threw.</summary>
    public Task Completion => _completion;

    /// <summary>Ends the capture and writes what is left. The stream is flushed and stays open.</summary>
    /// <returns>A task that ends when everything is written.</returns>
    /// <exception cref="IOException">The stream failed, then or earlier: the capture is not complete. Other exceptions of the stream come through as well.</exception>
    public async ValueTask DisposeAsync()
    {
        End();
        await _completion.ConfigureAwait(false);
    }

    internal void Start()
    {
        // Begins with the call, or as soon as the lock is free.
        _host.Post(this, static (capture, _, now) =>
        {
            capture._startInstant = now;
            capture._startUnixNanoseconds = (capture._host.TimeProvider.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;
            if (!capture._isEnding)
            {
                capture._hub.Add(capture);
            }
        });
        _completion = Task.Run(RunAsync);
        _hostEnd.Attach();
    }

    /// <summary>Under the core's lock.</summary>
    internal void OnPacket(TcpInstant now, ReadOnlySpan<byte> packet, int gsoSize, bool outbound)
    {
        if ((_options.Points & CapturePoints.Wire) != 0)
        {
            int index = _filling.Count;
            bool isAdded = Add(now, packet, gsoSize, outbound ? CaptureDirection.Outbound : CaptureDirection.Inbound, DropReason.None);
            _lastInbound = !outbound && isAdded ? index : -1;
        }
    }

    /// <summary>Under the core's lock.</summary>
    internal void OnDropped(TcpInstant now, ReadOnlySpan<byte> packet, DropReason reason)
    {
        if ((_options.Points & CapturePoints.Dropped) == 0)
        {
            return;
        }

        if (_lastInbound >= 0 && _filling[_lastInbound] is var last && IsSame(last, packet))
        {
            _filling[_lastInbound] = last with { Reason = reason };
            _lastInbound = -1;
            return;
        }

        Add(now, packet, 0, reason >= DropReason.OutputQueueFull ? CaptureDirection.Outbound : CaptureDirection.Inbound, reason);
    }

    /// <summary>The packet that came in last is being dropped: a trimmed one still has the header that it came with.</summary>
    private bool IsSame(in CaptureRecord record, ReadOnlySpan<byte> packet)
    {
        int compared = Math.Min(ComparedOctets, record.Captured);
        return packet.Length <= record.Length && packet.Length >= compared && packet[..compared].SequenceEqual(_filling.Octets(record)[..compared]);
    }

    private bool Add(TcpInstant now, ReadOnlySpan<byte> packet, int gsoSize, CaptureDirection direction, DropReason reason)
    {
        _seen++;
        int captured = gsoSize > 0 && _options.SplitSuperSegments ? packet.Length : Math.Min(packet.Length, _options.SnapLength);
        bool isAdded = _filling.TryAdd(now, packet, captured, gsoSize, direction, reason, _lostBefore);
        if (isAdded)
        {
            _lostBefore = 0;
        }
        else
        {
            _lost++;
            _lostBefore++;
            _hub.CountLost();
        }

        if (!_isWriterCalled)
        {
            _isWriterCalled = true;
            _signal.Release();      // resumes the writer on the pool, never here
        }

        return isAdded;
    }

    /// <summary>Under the core's lock: gives the filled buffer out; null when there is nothing, and then the next packet calls the writer.</summary>
    private CaptureBuffer? Exchange()
    {
        if (_filling.Count == 0)
        {
            _isWriterCalled = false;
            return null;
        }

        CaptureBuffer filled = _filling;
        _spare.Clear();
        _filling = _spare;
        _spare = filled;
        _lastInbound = -1;
        return filled;
    }

    private void End()
    {
        _isEnding = true;
        _signal.Release();
    }

    private async Task RunAsync()
    {
        try
        {
            await _stream.WriteAsync(Count(_writer.WriteHeader(Application, _interfaceName, _options.SnapLength))).ConfigureAwait(false);
            await _stream.FlushAsync().ConfigureAwait(false);
            bool isFull = false;
            while (!isFull && !_isEnding)
            {
                await _signal.WaitAsync().ConfigureAwait(false);
                if (!_isEnding)
                {
                    isFull = !await WriteWaitingAsync().ConfigureAwait(false);
                    await _stream.FlushAsync().ConfigureAwait(false);
                }
            }

            // No more packets; then what is still waiting.
            await LeaveAsync().ConfigureAwait(false);
            if (!isFull)
            {
                await WriteWaitingAsync().ConfigureAwait(false);
            }

            long end = Math.Max(_startUnixNanoseconds, _lastUnixNanoseconds);
            await _stream.WriteAsync(Count(_writer.WriteStatistics(_startUnixNanoseconds, end, _seen, _lost))).ConfigureAwait(false);
            await _stream.FlushAsync().ConfigureAwait(false);
        }
        finally
        {
            await LeaveAsync().ConfigureAwait(false);
            _hostEnd.Detach();
        }
    }

    private async ValueTask LeaveAsync()
    {
        _isEnding = true;
        await CommandAsync(static capture =>
        {
            capture._hub.Remove(capture);
            return true;
        }).ConfigureAwait(false);
    }

    /// <summary>Writes until nothing waits; false when the limit is reached.</summary>
    private async ValueTask<bool> WriteWaitingAsync()
    {
        while (await CommandAsync(static capture => capture.Exchange()).ConfigureAwait(false) is { } filled)
        {
            for (int i = 0; i < filled.Count; i++)
            {
                CaptureRecord record = filled[i];
                int parts = _formatter.Load(filled.Octets(record), record);
                for (int part = 0; part < parts; part++)
                {
                    ReadOnlyMemory<byte> block = Format(record, part, parts);
                    if (BytesWritten + block.Length + PcapngWriter.StatisticsLength > _options.MaxBytes)
                    {
                        return false;
                    }

                    await _stream.WriteAsync(Count(block)).ConfigureAwait(false);
                    Volatile.Write(ref _packetsWritten, _packetsWritten + 1);
                }
            }
        }

        return true;
    }

    private ReadOnlyMemory<byte> Format(in CaptureRecord record, int part, int parts)
    {
        ReadOnlySpan<byte> packet = _formatter.Get(part, parts);
        int length = record.Captured < record.Length ? record.Length : packet.Length;
        long time = _startUnixNanoseconds + (record.Time.Nanoseconds - _startInstant.Nanoseconds);
        _lastUnixNanoseconds = time;
        string? comment = record.Reason == DropReason.None ? null : "dropped: " + DropNames.Of(record.Reason);
        return _writer.WritePacket(time, packet[..Math.Min(packet.Length, _options.SnapLength)], length, record.Direction, comment, part == 0 ? record.LostBefore : 0);
    }

    private ReadOnlyMemory<byte> Count(ReadOnlyMemory<byte> block)
    {
        Volatile.Write(ref _bytesWritten, _bytesWritten + block.Length);
        return block;
    }

    /// <summary>Runs <paramref name="action"/> between two packets; once the stack has stopped there are none, and nobody to run it but us.</summary>
    private async ValueTask<TResult> CommandAsync<TResult>(Func<PacketCapture, TResult> action)
    {
        try
        {
            return await _host.InvokeAsync((Capture: this, Action: action), static (state, _, _) => state.Action(state.Capture)).ConfigureAwait(false);
        }
        catch (Exception error) when (error is ObjectDisposedException or IOException && _host.IsStopped)
        {
            return action(this);
        }
    }
}
