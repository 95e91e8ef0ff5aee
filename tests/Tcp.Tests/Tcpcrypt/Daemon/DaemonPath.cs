using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>What the path does to packets, and when: seeded.</summary>
internal sealed record Faults
{
    public double Loss { get; init; }

    public double Duplicate { get; init; }

    public double Reorder { get; init; }

    /// <summary>The first so many packets that this picks are lost; told whether the packet comes from our stack.</summary>
    public Func<DaemonPacket, bool, bool>? Lose { get; init; }

    public int LoseCount { get; init; } = 1;

    /// <summary>Packets that this picks arrive twice.</summary>
    public Func<DaemonPacket, bool, bool>? Twice { get; init; }
}

/// <summary>Our stack at one end; at the other a host whose kernel is a plain stack, with a daemon before it. Time is virtual.</summary>
internal sealed class DaemonPath
{
    public const long DelayNs = 10_000_000;

    public static readonly Ipv4Address OurAddress = Ipv4Address.Parse("10.0.0.1");
    public static readonly Ipv4Address DaemonAddress = Ipv4Address.Parse("10.0.0.2");

    private readonly PriorityQueue<(bool ToUs, byte[] Packet), (long, long)> _inFlight = new();
    private readonly SeededRandom _random;
    private readonly Faults _faults;
    private readonly long _ourStart;
    private readonly long _kernelStart;
    private int _lost;
    private long _number;
    private long _nowNs;

    public DaemonPath(SteppedStack ours, SteppedStack kernel, Daemon daemon, Faults faults, ulong seed)
    {
        (Ours, Kernel, Daemon, _faults, _random) = (ours, kernel, daemon, faults, new SeededRandom(seed));
        (_ourStart, _kernelStart) = (ours.NowNs, kernel.NowNs);
    }

    public SteppedStack Ours { get; }

    public SteppedStack Kernel { get; }

    public Daemon Daemon { get; }

    public long NowNs => _nowNs;

    /// <summary>Every packet that came to the path, in order; true: from us.</summary>
    public List<(bool FromUs, DaemonPacket Packet, bool IsLost)> Log { get; } = [];

    public bool Run(Func<bool> until, double seconds)
    {
        long limit = _nowNs + (long)(seconds * 1e9);
        Move();
        while (!until())
        {
            long next = limit;
            next = Math.Min(next, Ours.NextDeadlineNs - _ourStart ?? limit);
            next = Math.Min(next, Kernel.NextDeadlineNs - _kernelStart ?? limit);
            next = Math.Min(next, Daemon.NextNs ?? limit);
            if (_inFlight.TryPeek(out _, out (long AtNs, long) first))
            {
                next = Math.Min(next, first.AtNs);
            }

            if (next >= limit)
            {
                Advance(limit);
                return until();
            }

            Advance(Math.Max(next, _nowNs));
            while (_inFlight.TryPeek(out (bool ToUs, byte[] Packet) packet, out (long AtNs, long) at) && at.AtNs <= _nowNs)
            {
                _inFlight.Dequeue();
                if (packet.ToUs)
                {
                    Ours.Inject(packet.Packet);
                }
                else if (Daemon.Input(DaemonPacket.Parse(packet.Packet)!, _nowNs) is { } passed)
                {
                    Kernel.Inject(passed.ToBytes());
                }

                Move();
            }
        }

        return true;
    }

    private void Advance(long ns)
    {
        _nowNs = ns;
        Ours.RunUntil(_ourStart + ns);
        Kernel.RunUntil(_kernelStart + ns);
        Daemon.OnTime(ns);
        Move();
    }

    private void Move()
    {
        while (Ours.TryTake(out _, out byte[] packet))
        {
            Transmit(packet, fromUs: true);
        }

        while (Kernel.TryTake(out _, out byte[] packet))
        {
            Daemon.Output(DaemonPacket.Parse(packet)!, _nowNs);
        }

        while (Daemon.ToWire.TryDequeue(out DaemonPacket? packet))
        {
            Transmit(packet.ToBytes(), fromUs: false);
        }
    }

    private void Transmit(byte[] packet, bool fromUs)
    {
        DaemonPacket parsed = DaemonPacket.Parse(packet)!;
        bool isChosen = _lost < _faults.LoseCount && _faults.Lose?.Invoke(parsed, fromUs) == true;
        _lost += isChosen ? 1 : 0;
        bool isLost = isChosen || _random.NextDouble() < _faults.Loss;
        Log.Add((fromUs, parsed, isLost));
        if (isLost)
        {
            return;
        }

        Deliver(packet, fromUs);
        if (_random.NextDouble() < _faults.Duplicate || _faults.Twice?.Invoke(parsed, fromUs) == true)
        {
            Deliver(packet, fromUs);
        }
    }

    private void Deliver(byte[] packet, bool fromUs)
    {
        long late = _random.NextDouble() < _faults.Reorder ? _random.NextBelow(30_000_000) : 0;
        _inFlight.Enqueue((!fromUs, packet), (_nowNs + DelayNs + late, _number++));
    }
}

/// <summary>One end of a connection: what it writes, when, and what it has read.</summary>
internal sealed class DaemonTalk(SteppedSocket socket, byte[] toSend, bool closesFirst)
{
    private int _sent;
    private bool _isShut;

    public List<byte> Received { get; } = [];

    public bool IsAtEnd { get; private set; }

    public SocketError Error { get; private set; }

    public SteppedSocket Socket => socket;

    public void Pump()
    {
        Read();
        while (Error == SocketError.Success && _sent < toSend.Length)
        {
            SocketError error = socket.Send(toSend.AsSpan(_sent), out int count);
            if (error == SocketError.WouldBlock)
            {
                break;
            }

            Error = error;
            _sent += count;
        }

        if (!_isShut && Error == SocketError.Success && _sent == toSend.Length && (closesFirst || IsAtEnd))
        {
            _isShut = true;
            socket.Shutdown(SocketShutdown.Send);
        }
    }

    public void Read()
    {
        Span<byte> buffer = stackalloc byte[4096];
        while (Error == SocketError.Success && !IsAtEnd)
        {
            SocketError error = socket.Receive(buffer, out int count);
            if (error == SocketError.WouldBlock)
            {
                break;
            }

            Error = error;
            IsAtEnd = error == SocketError.Success && count == 0;
            Received.AddRange(buffer[..count]);
        }
    }
}
