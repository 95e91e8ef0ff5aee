using System.Net.Sockets;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>One side of a connection: writes its stream in pieces, shuts its direction, and compares what it reads with what the other side must have sent, octet by octet.</summary>
internal sealed class Application(string name, SteppedSocket socket, Random pace, ConnectionPlan plan, (int Seed, int Octets) outbound, (int Seed, int Octets) inbound,
    Habits habits, Func<SocketError, bool> explains)
{
    private readonly byte[] _buffer = new byte[64 * 1024];
    private readonly byte[] _outbound = Stream(outbound);
    private readonly byte[] _inbound = Stream(inbound);
    private int _sent;
    private int _received;
    private bool _isShut;
    private bool _isAtEnd;
    private long _readAgainNs;
    private long? _startNs;
    private bool _hasStalled;

    /// <summary>The other side; null as long as there is none.</summary>
    public Application? Other { get; set; }

    /// <summary>It has left before the end.</summary>
    public bool IsGone { get; private set; }

    /// <summary>The connection ended with this error, which the path explains; what was received until then is what was sent.</summary>
    public SocketError? Ended { get; private set; }

    /// <summary>Everything was sent, everything was received, both ends of both streams were seen; or the connection ended as it may.</summary>
    public bool IsDone => (_isShut && _isAtEnd) || Ended is not null || IsGone;

    /// <summary>When a paused reader goes on; null when none is paused.</summary>
    public long? WakeNs(long nowNs)
    {
        long? read = _readAgainNs > nowNs && !_isAtEnd ? _readAgainNs : null;
        long? leave = LeavesNs > nowNs ? LeavesNs : null;
        return IsDone ? null : read < leave ? read : leave ?? read;
    }

    private long? LeavesNs => habits.Leaves == Leaving.AtTheEnd ? null : _startNs + (habits.LeavesAfter.Ticks * 100);

    public override string ToString() =>
        $"{name}: sent {_sent} of {_outbound.Length}{(_isShut ? ", shut" : "")}, received {_received} of {_inbound.Length}{(_isAtEnd ? ", at the end" : "")}, {socket.State}, readable {socket.Readable}, unsent {socket.Unsent}";

    /// <summary>Does what can be done now. Throws <see cref="SimulationException"/> when the stack broke its promise.</summary>
    public void Run(long nowNs)
    {
        _startNs ??= nowNs;
        if (IsDone)
        {
            return;
        }

        Write();
        Read(nowNs);
        if (!IsDone && (nowNs >= LeavesNs || (habits.Leaves != Leaving.AtTheEnd && !habits.NeverReads && _sent + _received >= habits.LeavesAt)))
        {
            Leave();
        }
    }

    private void Leave()
    {
        IsGone = true;
        if (habits.Leaves == Leaving.Aborts)
        {
            socket.SetOption(SteppedSocketOption.Linger, 0);
        }

        if (socket.Close() is not SocketError.Success and var error)
        {
            throw new SimulationException($"{name}: close gave {error}");
        }
    }

    private void Write()
    {
        while (!_isShut && Ended is null)
        {
            if (_sent == _outbound.Length)
            {
                _isShut = Succeeds(socket.Shutdown(SocketShutdown.Send), "shutdown");
                return;
            }

            int length = Math.Min(_outbound.Length - _sent, pace.Next(1, plan.WriteLimit + 1));
            SocketError error = socket.Send(_outbound.AsSpan(_sent, length), out int sent);
            if (error == SocketError.WouldBlock)
            {
                return;
            }

            if (!Succeeds(error, "send"))
            {
                return;
            }

            _sent += sent;
        }
    }

    private void Read(long nowNs)
    {
        while (!_isAtEnd && Ended is null && nowNs >= _readAgainNs && !habits.NeverReads)
        {
            SocketError error = socket.Receive(_buffer.AsSpan(0, habits.ReadsSingly ? 1 : pace.Next(1, plan.ReadLimit + 1)), out int received);
            if (error == SocketError.WouldBlock)
            {
                return;
            }

            if (!Succeeds(error, "receive"))
            {
                return;
            }

            if (received == 0)
            {
                _isAtEnd = true;
                if (_received != _inbound.Length && Other is not { IsGone: true })
                {
                    throw new SimulationException($"{this}: the stream ended early");
                }

                return;
            }

            if (_received + received > _inbound.Length || !_buffer.AsSpan(0, received).SequenceEqual(_inbound.AsSpan(_received, received)))
            {
                throw new SimulationException($"{this}: the {received} octets at {_received} are not what was sent");
            }

            _received += received;
            if (plan.ReadPause > TimeSpan.Zero && !habits.ReadsSingly && pace.Next(20) == 0)
            {
                _readAgainNs = nowNs + (plan.ReadPause.Ticks * 100);
            }

            if (!_hasStalled && habits.Stall > TimeSpan.Zero && _received >= habits.StallAt)
            {
                _hasStalled = true;
                _readAgainNs = nowNs + (habits.Stall.Ticks * 100);
            }
        }
    }

    private bool Succeeds(SocketError error, string call)
    {
        if (error == SocketError.Success)
        {
            return true;
        }

        // EPIPE is a reset after the peer's FIN, whether or not that was read. Who has left resets what comes after, and who cannot be reached runs out of time.
        SocketError cause = error == SocketError.Shutdown && (_isAtEnd || Other is { _isShut: true } or { IsGone: true }) ? SocketError.ConnectionReset : error;
        bool isLeft = Other is { IsGone: true } && cause is SocketError.ConnectionReset or SocketError.TimedOut or SocketError.ConnectionAborted;
        Ended = isLeft || explains(cause) ? error : throw new SimulationException($"{this}: {call} gave {error}");
        return false;
    }

    private static byte[] Stream((int Seed, int Octets) stream)
    {
        byte[] octets = new byte[stream.Octets];
        new Random(stream.Seed).NextBytes(octets);
        return octets;
    }
}

/// <summary>The stack broke its promise: a stream differs, an operation failed, or nothing moves any more.</summary>
internal sealed class SimulationException(string message) : Exception(message);
