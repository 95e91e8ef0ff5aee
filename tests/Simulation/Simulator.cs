using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Tcp;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>Runs one scenario under virtual time: two stacks, a link with faults, applications that check every octet. Nothing in it depends on the machine.</summary>
internal static class Simulator
{
    // Generous on purpose: at the worst rates a connection backs off for minutes, and none of it takes real time.
    private const long LimitNs = 3600L * 1_000_000_000;
    private const long LimitWithOutageNs = 10 * LimitNs;
    private const int MaxSteps = 5_000_000;
    private static readonly IPAddress s_addressA = IPAddress.Parse("10.0.0.1");
    private static readonly IPAddress s_addressB = IPAddress.Parse("10.0.0.2");

    /// <summary>Runs to the end, or throws <see cref="SimulationException"/>.</summary>
    public static RunResult Run(Scenario scenario, int seed, Action<LinkPacket>? tap)
    {
        SteppedStack a = MakeStack(s_addressA, scenario.MtuA, scenario.TcpA, seed, scenario);
        SteppedStack b = MakeStack(s_addressB, scenario.MtuB, scenario.TcpB, seed + 1, scenario);
        SteppedLink link = SteppedStack.Join(a, b, scenario.Link, (ulong)seed);
        EcnWatch? watch = scenario.Middlebox.AsksForEcn && !scenario.Tamperer.Misleads && !scenario.Appliance.Misleads ? new EcnWatch(scenario.Link, scenario.Faults.AsleepNs) : null;
        link.Tap = tap;
        if (watch is not null)
        {
            link.Tap = packet =>
            {
                tap?.Invoke(packet);
                watch.See(packet);
            };
        }

        if (!scenario.Encrypts)
        {
            Action<LinkPacket>? others = link.Tap;
            link.Tap = packet =>
            {
                others?.Invoke(packet);
                scenario.Forger.See(packet);
            };
        }

        long limitNs = scenario.KeepsAlive ? LimitWithOutageNs : LimitNs;
        List<Attempt> attempts = [];
        for (int i = 0; i < scenario.Connections.Count; i++)
        {
            ConnectionPlan plan = scenario.Connections[i];
            attempts.Add(new Attempt(scenario, plan, i, plan.FromA ? a : b, plan.FromA ? b : a, new IPEndPoint(plan.FromA ? s_addressB : s_addressA, 5000 + i)));
        }

        for (int steps = 0; ; steps++)
        {
            Prepare();
            Audit(a, b);
            foreach (Attempt attempt in attempts)
            {
                attempt.Run(link.NowNs);
            }

            Audit(a, b);
            if (attempts.TrueForAll(static attempt => attempt.IsDone))
            {
                break;
            }

            long? wake = attempts.Min(attempt => attempt.WakeNs(link.NowNs));
            long? next = link.NextDeadlineNs;
            if (wake is null && next is null)
            {
                throw new SimulationException("nothing is going to happen any more, and not all is done: " + string.Join("; ", attempts));
            }

            if (steps > MaxSteps || Math.Min(wake ?? long.MaxValue, next ?? long.MaxValue) > limitNs)
            {
                throw new SimulationException($"not done after {steps} steps and {TimeSpan.FromTicks(link.NowNs / 100)}: " + string.Join("; ", attempts));
            }

            if (wake is { } at && (next is null || at < next))
            {
                link.RunUntil(at);
            }
            else
            {
                link.Step();
            }
        }

        long packets = link.AToB.Sent + link.BToA.Sent;
        TimeSpan time = TimeSpan.FromTicks(link.NowNs / 100);
        foreach (Attempt attempt in attempts)
        {
            attempt.Close();
        }

        // What is left are closing handshakes and TIME-WAIT: they end by themselves.
        for (int steps = 0; link.Step(); steps++)
        {
            Prepare();
            Audit(a, b);
            if (steps == MaxSteps)
            {
                throw new SimulationException("the stacks do not come to rest after all connections were closed");
            }
        }

        ExpectNothingLeft(a);
        ExpectNothingLeft(b);
        return new(time, packets, attempts.Count(static attempt => attempt.HasEnded));

        // Before each event: what the network and those beside it do meanwhile.
        void Prepare()
        {
            scenario.Faults.Run(link);
            scenario.Middlebox.Run(link);
            scenario.Tamperer.Run(link);
            if (!scenario.Encrypts)
            {
                scenario.Forger.Run(link);
            }
        }
    }

    /// <summary>What every connection promises between two events.</summary>
    internal static void Audit(params ReadOnlySpan<SteppedStack> stacks)
    {
        foreach (SteppedStack stack in stacks)
        {
            foreach (TcpEndpoint endpoint in stack.Core.Tcp.Endpoints)
            {
                if (endpoint.FindInconsistency() is { } what)
                {
                    throw new SimulationException($"{endpoint.Tuple} at {stack.NowNs / 1e9:0.000000} s: {what}");
                }
            }
        }
    }

    /// <summary>All connections are over: no TCB, no record of one, no buffer is left.</summary>
    internal static void ExpectNothingLeft(SteppedStack stack)
    {
        if (stack.Core.Tcp.Endpoints.Count > 0 || stack.Core.Blocks.InUse != 0 || stack.Core.Counters.TcpCurrEstab != 0)
        {
            throw new SimulationException($"after all is over {stack.Core.Tcp.Endpoints.Count} connections, {stack.Core.Blocks.InUse} octets of buffers and a count of {stack.Core.Counters.TcpCurrEstab} established ones are left");
        }
    }

    private static SteppedStack MakeStack(IPAddress address, int mtu, TcpStackOptions tcp, int seed, Scenario scenario) =>
        new(new SteppedStackOptions { Addresses = { new IPPrefixAddress(address, 24) }, Mtu = mtu, Tcp = tcp, Seed = (ulong)(uint)seed, Tcpcrypt = scenario.Encrypts, MemoryLimit = scenario.Faults.MemoryLimit });

    /// <summary>A connection on its way: listener, client, and the two applications once they are connected.</summary>
    private sealed class Attempt
    {
        private readonly ConnectionPlan _plan;
        private readonly Scenario _scenario;
        private readonly (int Seed, int Octets) _forth;
        private readonly (int Seed, int Octets) _back;
        private readonly Random _pace;
        private readonly SteppedStack _from;
        private readonly IPEndPoint _local;
        private readonly SteppedSocket _listener;
        private readonly SteppedSocket _client;
        private readonly string _name;
        private readonly (int Seed, int Octets) _expected;
        private readonly IPEndPoint _server;
        private SteppedSocket? _accepted;
        private SteppedSocket? _again;
        private bool _isBack;
        private Application? _clientSide;
        private Application? _serverSide;

        public Attempt(Scenario scenario, ConnectionPlan plan, int number, SteppedStack from, SteppedStack to, IPEndPoint server)
        {
            _plan = plan;
            _server = server;
            _scenario = scenario;
            _forth = (plan.Seed, plan.ClientOctets);
            _back = (plan.Seed + 1, plan.ServerOctets);
            _expected = scenario.ExpectsWrongly ? (plan.Seed + 2, plan.ClientOctets) : _forth;
            _pace = new Random(plan.Seed);
            _name = $"connection {number}";
            _listener = to.Socket(tcp: true);
            Check(_listener.Bind(server), "bind");
            Check(_listener.Listen(16), "listen");
            _client = from.Socket(tcp: true);
            Check(_client.SetOption(SteppedSocketOption.NoDelay, plan.NoDelay ? 1 : 0), "set no-delay");
            KeepAlive(_client);
            SocketError error = _client.Connect(server);
            if (error != SocketError.InProgress)
            {
                throw new SimulationException($"{_name}: connect gave {error}");
            }

            _from = from;
            _local = _client.LocalEndPoint;
        }

        /// <summary>The handshake did not come to its end in time, as it may.</summary>
        private bool _isGivenUp;

        public bool HasEnded => _isGivenUp || _clientSide is { Ended: not null } or { IsGone: true } || _serverSide is { Ended: not null } or { IsGone: true };

        /// <summary>Both sides have come to their end; a server that its client never reached has none.</summary>
        public bool IsDone => !IsComingBack && (_isGivenUp || _clientSide is { IsDone: true }) && _serverSide is { IsDone: true } or null && (HasEnded || _serverSide is not null);

        private bool IsComingBack => _clientSide is { IsGone: true } && _plan.ClientHabits.ComesBack && !_isBack;

        public long? WakeNs(long nowNs) => (_clientSide?.WakeNs(nowNs), _serverSide?.WakeNs(nowNs)) switch
        {
            ({ } client, { } server) => Math.Min(client, server),
            var (client, server) => client ?? server,
        };

        public void Run(long nowNs)
        {
            SteppedPollFlags ready = _client.Poll();
            if (!_isGivenUp && _clientSide is null && (ready & (SteppedPollFlags.Out | SteppedPollFlags.Error | SteppedPollFlags.Hup)) != 0)
            {
                SocketError error = _client.TakeError();
                if (error != SocketError.Success && ((_scenario.Encrypts && _scenario.OutlastsHandshakes) || Explains(error) || (_serverSide is { IsGone: true } && error is SocketError.ConnectionReset or SocketError.TimedOut)))
                {
                    _isGivenUp = true;
                }
                else
                {
                    Check(error, "connect");
                    _clientSide = new Application(_name + " client", _client, _pace, _plan, _forth, _back, _plan.ClientHabits, Explains) { Other = _serverSide };
                    Introduce();
                }
            }

            if (_serverSide is null && _listener.Accept(out SteppedSocket? accepted) == SocketError.Success)
            {
                _accepted = accepted!;
                KeepAlive(_accepted);
                _serverSide = new Application(_name + " server", _accepted, _pace, _plan, _back, _expected, _plan.ServerHabits, Explains) { Other = _clientSide };
                Introduce();
            }

            else if (_plan.ClientHabits.ComesBack && _listener.Accept(out SteppedSocket? another) == SocketError.Success)
            {
                Check(another!.Close(), "close");
            }

            _clientSide?.Run(nowNs);
            _serverSide?.Run(nowNs);
            if (IsComingBack)
            {
                ComeBack();
            }
        }

        /// <summary>The client's application, or its host, was gone and is there again (RFC 9293 §3.5.1): it gets a connection, where the path lets its answers through and there is no MAC that they do not have.</summary>
        private void ComeBack()
        {
            if (_again is null)
            {
                _again = _from.Socket(tcp: true);
                if (_again.Bind(_local) == SocketError.AddressAlreadyInUse)
                {
                    // The old connection was over before it was aborted, and is in TIME-WAIT.
                    Check(_again.Close(), "close");
                    _isBack = true;
                }
                else if (_again.Connect(_server) is not SocketError.InProgress and var refused)
                {
                    throw new SimulationException($"{_name}: the second connect gave {refused}");
                }
            }
            else if ((_again.Poll() & (SteppedPollFlags.Out | SteppedPollFlags.Error | SteppedPollFlags.Hup)) != 0)
            {
                if (_again.TakeError() is not SocketError.Success and var error && !_scenario.Encrypts && _scenario.Tamperer is { LosesResets: false, MayForgeSyn: false } && !_scenario.Middlebox.MayEndEarly && _serverSide is not { IsGone: true })
                {
                    throw new SimulationException($"{_name}: the second connect gave {error}");
                }

                Check(_again.Close(), "close");
                _isBack = true;
            }
        }

        public void Close()
        {
            if (_clientSide is not { IsGone: true })
            {
                Check(_client.Close(), "close");
            }

            if (_accepted is not null && _serverSide is not { IsGone: true })
            {
                Check(_accepted.Close(), "close");
            }

            Check(_listener.Close(), "close");
        }

        private void Introduce()
        {
            if (_clientSide is not null && _serverSide is not null)
            {
                (_clientSide.Other, _serverSide.Other) = (_serverSide, _clientSide);
            }
        }

        public override string ToString() => $"{_clientSide?.ToString() ?? $"{_name} client: {_client.State}"} | {_serverSide?.ToString() ?? $"{_name} server: not accepted"}";

        /// <summary>Once the opener has given up, the other side hears of it; and where the opener's round trip is half a minute, the listener has given up before the handshake's last ACK is there.</summary>
        private bool Explains(SocketError error) => (_isGivenUp && (error is SocketError.ConnectionReset or SocketError.TimedOut)) || (_scenario.IsSlow && _serverSide is null && error == SocketError.ConnectionReset) || _scenario.MakesRoom(error) || _scenario.Middlebox.Explains(error, _serverSide is null || _clientSide is null, _scenario.Encrypts);

        private void KeepAlive(SteppedSocket socket)
        {
            if (_scenario.KeepsAlive)
            {
                Check(socket.SetOption(SteppedSocketOption.KeepAliveIdle, _scenario.Middlebox.KeepAliveIdle), "set keep-alive");
                Check(socket.SetOption(SteppedSocketOption.KeepAliveInterval, _scenario.Middlebox.KeepAliveInterval), "set keep-alive");
                Check(socket.SetOption(SteppedSocketOption.KeepAliveCount, _scenario.Middlebox.KeepAliveCount), "set keep-alive");
                Check(socket.SetOption(SteppedSocketOption.KeepAlive, 1), "set keep-alive");
            }
        }

        private void Check(SocketError error, string call)
        {
            if (error != SocketError.Success)
            {
                throw new SimulationException($"{_name}: {call} gave {error}");
            }
        }
    }
}
