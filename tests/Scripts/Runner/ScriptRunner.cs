using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>Runs one script against a <see cref="SteppedStack"/>: events in order, time virtual.</summary>
/// <remarks>
/// Each packet the stack sends must be the script's next outbound one, at its time (give or take the tolerance); packets left over at the end are a failure in a script that names requirements.
/// Ports written in a packet choose the connection; without them it is the one of the last SYN of the stack, or the listener's.
/// </remarks>
internal sealed class ScriptRunner
{
    /// <summary>How long "*" waits.</summary>
    private const long AnyTimeLimitNs = 7200L * 1_000_000_000;

    private readonly Script _script;
    private readonly SteppedStack _stack;
    private readonly long _startNs;
    private readonly long _toleranceNs;
    private readonly Ipv4Address _local;
    private readonly Ipv4Address _remote;
    private readonly ushort _bindPort;
    private readonly ushort _connectPort;
    private readonly PacketBuilder _builder;
    private readonly PacketMatcher _matcher;
    private readonly Syscalls _syscalls;

    /// <summary>Larger TCP payloads than this come as super-segments of such segments (--mss); 0 = each packet is one segment.</summary>
    private readonly int _segmentSize;

    /// <summary>The variables of the script's code.</summary>
    private readonly Dictionary<string, long> _variables = [];
    private readonly Dictionary<(ushort Local, ushort Remote), Connection> _connections = [];
    private readonly List<string> _trace = [];
    private Connection _current;
    private long _previousNs;
    private SyscallEvent? _blocked;
    private long _blockedEndNs;

    private ScriptRunner(Script script)
    {
        _script = script;
        _local = Ipv4Address.Parse(Option("local_ip", "192.168.0.1"));
        _remote = Ipv4Address.Parse(Option("remote_ip", "192.0.2.1"));
        _bindPort = ushort.Parse(Option("bind_port", "8080"), CultureInfo.InvariantCulture);
        _connectPort = ushort.Parse(Option("connect_port", "8080"), CultureInfo.InvariantCulture);
        _toleranceNs = long.Parse(Option("tolerance_usecs", "4000"), CultureInfo.InvariantCulture) * 1000;
        _builder = new PacketBuilder(_local, _remote);
        _matcher = new PacketMatcher(
            script.Options.ContainsKey("strict_options"),
            long.Parse(Option("tcp_ts_tick_usecs", "0"), CultureInfo.InvariantCulture) * 1000,
            _toleranceNs);
        _segmentSize = int.Parse(Option("mss", "0"), CultureInfo.InvariantCulture);
        SteppedStackOptions options = StackSettings.Build(script, _local.ToString(), Notes);
        _startNs = options.StartNs;
        _stack = new SteppedStack(options);
        _current = ConnectionOf(_bindPort, 40_000);
        _syscalls = new Syscalls(_stack, new IPEndPoint(_local.ToIPAddress(), _bindPort), new IPEndPoint(_remote.ToIPAddress(), _connectPort), [.. StackSettings.SocketDefaults(script.InitCommand ?? "")], Notes);
    }

    /// <summary>What of the script was not carried out, and why.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>What happened so far, in the script's notation.</summary>
    public IReadOnlyList<string> Trace => _trace;

    private long Now => _stack.NowNs - _startNs;

    /// <summary>Runs a script to its end.</summary>
    /// <exception cref="ScriptFailure">The stack did something else.</exception>
    public static ScriptRunner Run(Script script)
    {
        if (script.Options.TryGetValue("ip_version", out string? version) && version != "ipv4")
        {
            throw new NotSupportedException($"{script.Name}: --ip_version={version}: only ipv4.");
        }

        ScriptRunner runner = new(script);
        foreach (ScriptEvent next in script.Events)
        {
            runner.RunEvent(next);
        }

        runner.Finish();
        return runner;
    }

    private string Option(string name, string other) => _script.Options.GetValueOrDefault(name, other);

    private void RunEvent(ScriptEvent next)
    {
        if (next is PacketEvent { IsInbound: false } outbound)
        {
            Expect(outbound);
            return;
        }

        long at = next.Time.Kind == TimeKind.Relative ? _previousNs + next.Time.Ns : next.Time.Ns;
        _previousNs = at;
        AdvanceTo(at, next);
        switch (next)
        {
            case PacketEvent inbound:
                Inject(inbound);
                break;
            case SyscallEvent call:
                RunSyscall(call, at);
                break;
            case CodeEvent code when InfoAsserts.Run(code.Code, _syscalls.Info(), _variables, Notes) is { } failure:
                throw Failure(next.Line, "assertion", code.Code.Trim(), failure);
            case CommandEvent command:
                StackSettings.ApplyCommand(command.Command, new SteppedStackOptions(), Notes);
                Notes.Add($"line {next.Line}: a command after the start changes nothing here: {command.Command}");
                break;
            default:
                break;
        }

        RetryBlocked();
    }

    /// <summary>Lets time pass up to an instant of the script; timers run one by one, so that a blocked call returns when it should.</summary>
    private void AdvanceTo(long ns, ScriptEvent why)
    {
        long target = ns + _startNs;
        while (_stack.NextDeadlineNs is { } deadline && deadline <= target)
        {
            _stack.RunNextTimer();
            RetryBlocked();
        }

        _stack.RunUntil(target);
        if (_blocked is { } call && Now > _blockedEndNs + _toleranceNs)
        {
            throw Failure(call.Line, $"the call is still blocked (line {why.Line} is next)", $"{call.Text} by {Seconds(_blockedEndNs)}", "no result");
        }
    }

    private void Inject(PacketEvent inbound)
    {
        PacketSpec spec = inbound.Packet;
        Connection connection = spec.Ports is { } ports ? ConnectionOf(ports.Destination, ports.Source) : _current;
        byte[] packet;
        switch (spec)
        {
            case TcpSpec tcp:
                if (tcp.Flags.HasFlag(ScriptFlags.S))
                {
                    connection.OnRemoteSyn(tcp.Sequence, tcp.Flags.HasFlag(ScriptFlags.Ack));
                }

                packet = _builder.Tcp(tcp, connection);
                break;
            case UdpSpec udp:
                packet = _builder.Udp(udp, connection);
                break;
            default:
                packet = _builder.Icmp((IcmpSpec)spec, connection);
                break;
        }

        _trace.Add($"{Seconds(Now)} {LivePacket.Parse(packet).Describe(isInbound: true, connection)}{(spec.Mutations.Count > 0 ? " {…}" : "")}");
        _stack.Inject(packet, spec is TcpSpec ? _segmentSize : 0);
    }

    private void Expect(PacketEvent expected)
    {
        (long earliest, long latest) = Window(expected.Time);
        long timeNs;
        byte[] octets;
        while (!_stack.TryTake(out timeNs, out octets))
        {
            if (_stack.NextDeadlineNs is not { } deadline || deadline - _startNs > latest)
            {
                string timer = _stack.NextDeadlineNs is { } next ? $"the next timer is due at {Seconds(next - _startNs)}" : "no timer is running";
                throw Failure(expected.Line, "no packet was sent", $"{expected.Text} by {Seconds(latest)}", $"nothing; {timer}");
            }

            _stack.RunNextTimer();
            RetryBlocked();
        }

        timeNs -= _startNs;
        LivePacket packet = Join(LivePacket.Parse(octets), expected, out bool isJoined);
        Connection connection = ConnectionFor(packet, expected.Packet);
        List<string> differences = _matcher.Compare(expected.Packet, packet, connection, isJoined);
        if (timeNs < earliest || timeNs > latest)
        {
            differences.Insert(0, $"time (expected {Seconds(earliest)} to {Seconds(latest)})");
        }

        if (expected.Packet.Ports is null && connection != _current && packet.Protocol == IpProtocol.Tcp)
        {
            differences.Add($"connection (ports {packet.SourcePort} > {packet.DestinationPort})");
        }

        string actual = $"{Seconds(timeNs)} {packet.Describe(isInbound: false, connection)}";
        if (differences.Count > 0)
        {
            throw Failure(expected.Line, "the packet differs in " + string.Join(", ", differences), expected.Text, actual);
        }

        _trace.Add(actual);
        _previousNs = expected.Time.Kind switch
        {
            TimeKind.Absolute => expected.Time.Ns,
            TimeKind.Relative => _previousNs + expected.Time.Ns,
            _ => timeNs,
        };
    }

    /// <summary>A script may name a super-segment, as a device with segmentation offload sees it: the segments it stands for are joined, up to its length.</summary>
    private LivePacket Join(LivePacket first, PacketEvent expected, out bool isJoined)
    {
        isJoined = false;
        LivePacket whole = first;
        while (expected.Packet is TcpSpec tcp && whole.Protocol == IpProtocol.Tcp && whole.Payload.Length > 0 && whole.Payload.Length < tcp.Length && tcp.Length > first.Payload.Length
            && _stack.TryTake(out _, out byte[] next))
        {
            if (!whole.TryAppend(LivePacket.Parse(next), out LivePacket? joined))
            {
                throw Failure(expected.Line, "the next packet does not continue the super-segment", expected.Text, LivePacket.Parse(next).Describe(isInbound: false, null));
            }

            whole = joined;
            isJoined = true;
        }

        return whole;
    }

    private (long Earliest, long Latest) Window(EventTime time) => time.Kind switch
    {
        TimeKind.Absolute => (time.Ns - _toleranceNs, time.Ns + _toleranceNs),
        TimeKind.Relative => (_previousNs + time.Ns - _toleranceNs, _previousNs + time.Ns + _toleranceNs),
        TimeKind.AbsoluteRange => (time.Ns - _toleranceNs, time.EndNs + _toleranceNs),
        TimeKind.RelativeRange => (_previousNs + time.Ns - _toleranceNs, _previousNs + time.EndNs + _toleranceNs),
        _ => (_previousNs - _toleranceNs, _previousNs + AnyTimeLimitNs),
    };

    /// <summary>The connection that an outbound packet belongs to. A SYN of the stack's starts the one that packets without ports mean from then on.</summary>
    private Connection ConnectionFor(LivePacket packet, PacketSpec expected)
    {
        if (packet.Protocol == IpProtocol.Icmp)
        {
            return _current;
        }

        Connection connection = ConnectionOf(packet.SourcePort, packet.DestinationPort);
        if (packet.Protocol == IpProtocol.Udp || expected is not TcpSpec tcp || !packet.Flags.HasFlag(ScriptFlags.S))
        {
            if (packet.Protocol == IpProtocol.Udp)
            {
                _current = connection;
            }

            return connection;
        }

        bool isAck = packet.Flags.HasFlag(ScriptFlags.Ack);
        connection.OnLocalSyn(packet.Sequence, tcp.Sequence, isAck ? packet.Ack : null);
        if (!isAck && tcp.Ports is null)
        {
            _current = connection;
        }

        return connection;
    }

    private Connection ConnectionOf(ushort localPort, ushort remotePort)
    {
        if (!_connections.TryGetValue((localPort, remotePort), out Connection? connection))
        {
            connection = new Connection(localPort, remotePort);
            _connections.Add((localPort, remotePort), connection);
        }

        return connection;
    }

    private void RunSyscall(SyscallEvent call, long at)
    {
        if (_blocked is { } other)
        {
            throw Failure(call.Line, $"the call of line {other.Line} is still blocked", other.Text, "no result");
        }

        if (call.EndNs is { } end)
        {
            _blocked = call;
            _blockedEndNs = call.Time.Kind == TimeKind.Relative ? at - call.Time.Ns + end : end;
            _syscalls.Begin();
            RenewConnections(call.Name == "connect");
            return;
        }

        _syscalls.Begin();
        SyscallResult? result = _syscalls.Run(call, mayBlock: false);
        RenewConnections(call.Name == "listen" || (call.Name == "connect" && result?.Error == SocketError.InProgress));
        Check(call, result);
    }

    /// <summary>A new attempt to connect has a new initial sequence number, whichever connection it turns out to be; so do the connections of a new listener.</summary>
    private void RenewConnections(bool isNewAttempt)
    {
        foreach (Connection connection in isNewAttempt ? _connections.Values : Enumerable.Empty<Connection>())
        {
            connection.Renew();
        }
    }

    private void RetryBlocked()
    {
        if (_blocked is not { } call || _syscalls.Run(call, mayBlock: true) is not { } result)
        {
            return;
        }

        _blocked = null;
        if (Math.Abs(Now - _blockedEndNs) > _toleranceNs)
        {
            throw Failure(call.Line, "the call returned at another time", $"{call.Text} at {Seconds(_blockedEndNs)}", $"{result.Text} at {Seconds(Now)}");
        }

        Check(call, result);
    }

    private void Check(SyscallEvent call, SyscallResult? result)
    {
        string actual = result?.Text ?? "blocked";
        _trace.Add($"{Seconds(Now)} {call.Name}(…) = {actual}");
        if (Syscalls.Difference(call, result) is { } difference)
        {
            throw Failure(call.Line, difference, call.Text, actual);
        }
    }

    private void Finish()
    {
        if (_blocked is { } call)
        {
            while (_blocked is not null && _stack.NextDeadlineNs is { } deadline && deadline - _startNs <= _blockedEndNs + _toleranceNs)
            {
                _stack.RunNextTimer();
                RetryBlocked();
            }

            if (_blocked is not null)
            {
                throw Failure(call.Line, "the call is still blocked at the end", call.Text, "no result");
            }
        }

        // A script without requirements is not ours: packetdrill does not look at what comes behind the last event.
        if (_script.Specs.Count > 0 && _stack.TryTake(out long timeNs, out byte[] octets))
        {
            LivePacket packet = LivePacket.Parse(octets);
            Connection connection = ConnectionOf(packet.SourcePort, packet.DestinationPort);
            int line = _script.Events.Count > 0 ? _script.Events[^1].Line : 1;
            throw Failure(line, "a packet that the script does not mention", "nothing more", $"{Seconds(timeNs - _startNs)} {packet.Describe(isInbound: false, connection)}");
        }
    }

    private static string Seconds(long ns) => (ns / 1_000_000_000m).ToString("0.000000", CultureInfo.InvariantCulture);

    private ScriptFailure Failure(int line, string what, string expected, string actual) => new(_script.Name, line, what, expected, actual, _trace);
}
