using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>
/// Our stack against a model of tcpcryptd 0.3 that is as strict as the daemon is (<see cref="Daemon"/>): every role, key exchange, resumption, application bit and initial sequence number, with the
/// losses that a connection between two daemons survives. What only the original can show is not here: its arithmetic is in the vectors.
/// </summary>
[Parallelizable(ParallelScope.All)]
public sealed class DaemonTests
{
    private const int Port = 80;
    private const TcpcryptKeyExchange P256 = TcpcryptKeyExchange.EcdheP256;
    private const TcpcryptKeyExchange P521 = TcpcryptKeyExchange.EcdheP521;
    private const TcpcryptKeyExchange Rsa = TcpcryptKeyExchange.OaepRsa;

    /// <summary>Daemons of this revision and the next.</summary>
    private static readonly bool[] s_both = [false, true];

    private static readonly (string Name, Faults Faults)[] s_faults =
    [
        ("SYN lost", Lose(static (packet, _) => packet.Flags == TcpFlags.Syn)),
        ("SYN,ACK lost", Lose(static (packet, _) => packet.IsSynAck)),
        ("INIT1 lost", Lose(static (packet, _) => packet.Has(7))),
        ("INIT1 lost twice", Lose(static (packet, _) => packet.Has(7), 2)),
        ("first MAC lost", Lose(static (packet, _) => packet.Find(70) >= 0)),
        ("first two MACs lost", Lose(static (packet, _) => packet.Find(70) >= 0, 2)),
        ("first data lost", Lose(static (packet, _) => packet.Find(70) >= 0 && packet.Data.Length > 0)),
        ("FIN lost", Lose(static (packet, _) => (packet.Flags & TcpFlags.Fin) != 0)),
        ("SYN twice", Twice(static (packet, _) => packet.Flags == TcpFlags.Syn)),
        ("SYN,ACK twice", Twice(static (packet, _) => packet.IsSynAck)),
        ("INIT1 twice", Twice(static (packet, _) => packet.Has(7))),
        ("INIT2 twice", Twice(static (packet, _) => packet.Has(8))),
        ("MACs twice", Twice(static (packet, _) => packet.Find(70) >= 0)),
    ];

    private static IEnumerable<TestCaseData<Row>> Rows()
    {
        foreach (bool weOpen in s_both)
        {
            string who = weOpen ? "we open" : "we listen";
            foreach (bool isSuccessor in s_both)
            {
                string revision = isSuccessor ? "next" : "rc1";
                Row row = new() { WeOpen = weOpen, IsSuccessor = isSuccessor, Name = $"{who}, {revision}" };
                yield return Named(row, "P-256");
                yield return Named(row with { Exchange = P521 }, "P-521");
                yield return Named(row with { Exchange = Rsa }, "RSA");
                yield return Named(row with { Daemons = [Rsa, P256, P521] }, "all, RSA first");
                yield return Named(row with { Connections = 4 }, "resumed three times");
                yield return Named(row with { Connections = 4, ListenerSpeaksFirst = true }, "resumed three times, listener speaks first");
                yield return Named(row with { ListenerSpeaksFirst = true }, "listener speaks first");
                yield return Named(row with { OpenerCloses = false }, "listener closes");
                yield return Named(row with { Reversed = true }, "reversed");
                yield return Named(row with { Reversed = true, Exchange = P521 }, "reversed, P-521");
                yield return Named(row with { Reversed = true, Connections = 4 }, "reversed, resumed three times");
                yield return Named(row with { Reversed = true, ListenerSpeaksFirst = true }, "reversed, listener speaks first");
                yield return Named(row with { ForgetAfter = 1, Connections = 4 }, "the daemon has forgotten");
                yield return Named(row with { ForgetAfter = 1, WeForget = true, Connections = 4 }, "we have forgotten");
                yield return Named(row with { Timestamps = false, Connections = 2 }, "no timestamps");
                yield return Named(row with { KeepAlive = true }, "keep-alives");
                yield return Named(row with { Octets = 300_000 }, "much");
                foreach (uint isn in (uint[])[0x7fff_ff00, 0x7fff_ffff, 0x8000_0000, 0x9abc_def0, 0xffff_0000, 0xffff_ff00, 0xffff_fff0, 0xffff_ffff])
                {
                    yield return Named(row with { OurIsn = isn }, $"our number {isn:x}");
                    yield return Named(row with { TheirIsn = isn }, $"the daemon's number {isn:x}");
                    yield return Named(row with { OurIsn = isn, TheirIsn = isn, Reversed = true }, $"reversed, both numbers {isn:x}");
                }

                for (int bits = 1; bits < 4; bits++)
                {
                    (bool us, bool them) = ((bits & 1) != 0, (bits & 2) != 0);
                    string aware = $"{(us ? "we are" : "we are not")} aware, {(them ? "the daemon is" : "the daemon is not")}";
                    yield return Named(row with { WeAreAware = us, TheyAreAware = them, Connections = 3 }, aware);

                    // A daemon that is C as listener does not say its bit and uses it: nobody can know.
                    if (!(weOpen && them))
                    {
                        yield return Named(row with { WeAreAware = us, TheyAreAware = them, Reversed = true, Connections = 3 }, $"reversed, {aware}");
                    }
                }

                yield return Named(row with { WeAreAware = true, TheyAreAware = true, SilentAfter = 1, Connections = 4 }, "aware in the first connection only");
                foreach ((string name, Faults faults) in s_faults)
                {
                    // When the peer closes first, the daemon forgets the connection at the first ACK behind its own FIN, and what is lost then is lost for ever.
                    Row faulty = row with { Faults = faults, OpenerCloses = !weOpen };
                    yield return Named(faulty, name);
                    yield return Named(faulty with { ListenerSpeaksFirst = true }, $"listener speaks first, {name}");
                    yield return Named(faulty with { Connections = 3 }, $"resumed, {name}");
                }

                // The daemon repeats INIT2 in a form that nobody understands (reference spec 6.4); the next revision does it right.
                if (!weOpen || isSuccessor)
                {
                    yield return Named(row with { Faults = Lose(static (packet, _) => packet.Has(8)) }, "INIT2 lost");
                    yield return Named(row with { Faults = Lose(static (packet, _) => packet.Has(8), 2) }, "INIT2 lost twice");
                }

                yield return Named(row with { Reversed = true, Faults = Lose(static (packet, _) => packet.Has(7)) }, "reversed, INIT1 lost");
                yield return Named(row with { Reversed = true, Faults = Lose(static (packet, _) => packet.Has(7), 4) }, "reversed, INIT1 lost four times");

                // As opener it takes the second SYN,ACK for INIT1 that is none.
                if (weOpen)
                {
                    yield return Named(row with { Reversed = true, Faults = Twice(static (packet, _) => packet.IsSynAck) }, "reversed, SYN,ACK twice");
                }

                yield return Named(row with { Reversed = true, Faults = Lose(static (packet, _) => packet.Has(0x41)) }, "reversed, PKCONF lost");
            }
        }
    }

    [TestCaseSource(nameof(Rows))]
    [Spec("REF-3.1"), Spec("REF-3.2"), Spec("REF-3.3"), Spec("REF-3.5"), Spec("REF-5"), Spec("REF-6.1"), Spec("REF-7"), Spec("REF-8"), Spec("REF-9"), Spec("REF-12")]
    public void Stack_and_daemon_agree(Row row)
    {
        Scene scene = new(row);
        for (int i = 0; i < row.Connections; i++)
        {
            if (i == row.ForgetAfter)
            {
                scene.Forget();
            }

            if (i == row.SilentAfter)
            {
                scene.BeSilent();
            }

            scene.Connect(i);
            scene.Run();
            Assert.That(scene.IsComplete, Is.True, $"connection {i}: {scene}");
            Assert.That(scene.Status!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted), $"connection {i}: {scene}");
            Assert.That(scene.Status.Dialect, Is.EqualTo(TcpcryptDialect.Reference));
            Assert.That(Convert.ToHexString(scene.Status.SessionId.Span), Is.EqualTo(scene.Path.Daemon.SessionIds[^1]));
            Assert.That(scene.Status.IsResumed, Is.EqualTo(i > 0 && i != row.ForgetAfter && !(row.WeForget && i > row.ForgetAfter)), $"connection {i} is resumed");
            Assert.That(scene.Status.Role, Is.EqualTo((row.WeOpen != row.Reversed) ? TcpcryptRole.C : TcpcryptRole.S));
        }

        if (row.OurIsn is { } isn)
        {
            Assert.That(scene.Path.Log.First(static one => one.FromUs).Packet.Seq, Is.EqualTo(isn), "our initial sequence number");
        }

        if (row.TheirIsn is { } theirs)
        {
            Assert.That(scene.Path.Log.First(static one => !one.FromUs).Packet.Seq, Is.EqualTo(theirs), "the daemon's initial sequence number");
        }

        Assert.That(scene.Path.Daemon.Refused.FindAll(static one => one.StartsWith("wrong", StringComparison.Ordinal)), Is.Empty, "segments of ours with a MAC that the daemon does not believe");
        scene.AssertNothingInPlain();
    }

    /// <summary>
    /// On a bad path a daemon loses tcpcrypt, or the connection, in ways that its peer cannot mend. Whatever happens: the daemon lives, no application reads what the other has not written, and nothing hangs.
    /// </summary>
    [Test]
    [Spec("REF-3.6"), Spec("REF-6.4")]
    public void A_bad_path_does_no_harm([Values] bool weOpen, [Values] bool isSuccessor, [Values] bool reversed, [Values(0.05, 0.15)] double loss, [Range(1, 4)] int seed)
    {
        Row row = new()
        {
            WeOpen = weOpen,
            IsSuccessor = isSuccessor,
            Reversed = reversed,
            Seed = (ulong)seed,
            ListenerSpeaksFirst = seed % 2 == 0,
            OpenerCloses = !weOpen,
            Faults = new Faults { Loss = loss, Duplicate = 0.05, Reorder = 0.1 },
            WireMayKillDaemon = isSuccessor,
        };
        Scene scene = new(row);
        for (int i = 0; i < 6; i++)
        {
            scene.Connect(i);
            scene.Run();
            TestContext.Out.WriteLine($"{i}: {scene.Summary}");
            scene.AssertNoStrangeOctets();
            Assert.That(scene.IsComplete || scene.HasFailed || scene.IsExcused, Is.True, $"connection {i}: {scene}");
        }
    }

    private static TestCaseData<Row> Named(Row row, string what) => new TestCaseData<Row>(row).SetName($"{row.Name}: {what}");

    private static Faults Lose(Func<DaemonPacket, bool, bool> which, int count = 1) => new() { Lose = which, LoseCount = count };

    private static Faults Twice(Func<DaemonPacket, bool, bool> which) => new() { Twice = which };

    public sealed record Row
    {
        public string Name { get; init; } = "";

        public bool WeOpen { get; init; }

        public bool IsSuccessor { get; init; }

        /// <summary>The listener is C.</summary>
        public bool Reversed { get; init; }

        public TcpcryptKeyExchange Exchange { get; init; } = P256;

        /// <summary>What the daemon offers; null: the one above.</summary>
        public TcpcryptKeyExchange[]? Daemons { get; init; }

        public int Connections { get; init; } = 1;

        public bool ListenerSpeaksFirst { get; init; }

        public bool OpenerCloses { get; init; } = true;

        public bool WeAreAware { get; init; }

        public bool TheyAreAware { get; init; }

        /// <summary>Before that connection sessions are forgotten, on one side.</summary>
        public int ForgetAfter { get; init; } = -1;

        public bool WeForget { get; init; }

        /// <summary>From that connection on our application sets no bit.</summary>
        public int SilentAfter { get; init; } = -1;

        public bool Timestamps { get; init; } = true;

        public bool KeepAlive { get; init; }

        public int Octets { get; init; } = 5000;

        public uint? OurIsn { get; init; }

        public uint? TheirIsn { get; init; }

        public ulong Seed { get; init; } = 1;

        internal Faults Faults { get; init; } = new();

        /// <summary>Reordering makes the next revision stop by itself.</summary>
        public bool WireMayKillDaemon { get; init; }

        public override string ToString() => Name;
    }

    /// <summary>Two hosts, and the connection that is talked about.</summary>
    private sealed class Scene
    {
        private readonly Row _row;
        private readonly byte[] _toListener;
        private readonly byte[] _toOpener;
        private readonly SteppedSocket _listener;
        private DaemonTalk? _opens;
        private DaemonTalk? _accepts;
        private SteppedSocket? _accepted;
        private bool _isDaemonDead;

        public Scene(Row row)
        {
            _row = row;
            _toListener = Pattern(row.Octets, 7);
            _toOpener = Pattern(row.Octets + 1000, 11);
            SteppedStack ours = New(OurOptions, row.OurIsn, row.WeOpen, DaemonPath.OurAddress, DaemonPath.DaemonAddress);
            SteppedStack kernel = New(TheirOptions, row.TheirIsn, !row.WeOpen, DaemonPath.DaemonAddress, DaemonPath.OurAddress);
            Path = new DaemonPath(ours, kernel, NewDaemon(), row.Faults, row.Seed);
            SteppedStack listens = row.WeOpen ? kernel : ours;
            _listener = listens.Socket(tcp: true);
            Assert.That(_listener.Bind(new IPEndPoint(IPAddress.Any, Port)), Is.EqualTo(SocketError.Success));
            Assert.That(_listener.Listen(16), Is.EqualTo(SocketError.Success));
        }

        public DaemonPath Path { get; private set; }

        public TcpcryptStatus? Status => (_row.WeOpen ? _opens!.Socket : _accepted)?.Tcpcrypt;

        public bool IsComplete => _opens!.Received.SequenceEqual(_toOpener) && _accepts?.Received.SequenceEqual(_toListener) == true;

        /// <summary>Our side knows that there is no connection.</summary>
        public bool HasFailed => Ours is { } talk ? talk.Error != SocketError.Success : _isDaemonDead || Path.Ours.Core.Tcp.Endpoints.Count == 0;

        /// <summary>What a daemon does wrong all by itself.</summary>
        public bool IsExcused => _isDaemonDead || Path.Daemon.Log.Exists(static line => line.StartsWith("goes plain", StringComparison.Ordinal) || line.StartsWith("takes", StringComparison.Ordinal));

        private DaemonTalk? Ours => _row.WeOpen ? _opens : _accepts;

        public void Connect(int number)
        {
            if (_isDaemonDead)
            {
                Path = new DaemonPath(Path.Ours, Path.Kernel, NewDaemon(), _row.Faults, _row.Seed + (ulong)number);
                _isDaemonDead = false;
            }

            Path.Daemon.Log.Clear();
            _accepted = null;
            _accepts = null;
            SteppedStack opener = _row.WeOpen ? Path.Ours : Path.Kernel;
            SteppedSocket socket = opener.Socket(tcp: true);
            IPAddress to = (_row.WeOpen ? DaemonPath.DaemonAddress : DaemonPath.OurAddress).ToIPAddress();
            Assert.That(socket.Bind(new IPEndPoint((_row.WeOpen ? DaemonPath.OurAddress : DaemonPath.DaemonAddress).ToIPAddress(), 5000 + number)), Is.EqualTo(SocketError.Success));
            KeepAlive(socket);
            Assert.That(socket.Connect(new IPEndPoint(to, Port)), Is.EqualTo(SocketError.InProgress));
            _opens = new DaemonTalk(socket, _toListener, _row.OpenerCloses);
        }

        public void Run()
        {
            try
            {
                Path.Run(IsDone, 400);
                Path.Run(static () => false, 3);
            }
            catch (DaemonDied died)
            {
                Assert.That(_row.WireMayKillDaemon, Is.True, $"{died.Message}\n{this}");
                _isDaemonDead = true;
            }

            _opens!.Socket.Close();
            _accepted?.Close();
        }

        /// <summary>One side's sessions are gone.</summary>
        public void Forget()
        {
            if (_row.WeForget)
            {
                Path.Ours.Core.Crypt!.Settings = Path.Ours.Core.Crypt.Settings with { AllowResumption = false };
            }
            else
            {
                Path = new DaemonPath(Path.Ours, Path.Kernel, NewDaemon(), _row.Faults, _row.Seed);
            }
        }

        public void BeSilent() => Path.Ours.Core.Crypt!.Settings = Path.Ours.Core.Crypt.Settings with { Awareness = TcpcryptAwareness.No };

        public void AssertNoStrangeOctets()
        {
            // A daemon that waits for INIT2 goes plain at any other segment, be it a late copy, and then its own application reads INIT2. Ours never does.
            bool isMisled = Path.Daemon.Log.Exists(static line => line.StartsWith("goes plain as C", StringComparison.Ordinal));
            if (_row.WeOpen || !isMisled)
            {
                Assert.That(_opens!.Received.Count <= _toOpener.Length && _opens.Received.SequenceEqual(_toOpener.Take(_opens.Received.Count)), Is.True, $"what the opener reads\n{this}");
            }

            if (_accepts is { } accepts && (!_row.WeOpen || !isMisled))
            {
                Assert.That(accepts.Received.Count <= _toListener.Length && accepts.Received.SequenceEqual(_toListener.Take(accepts.Received.Count)), Is.True, $"what the listener reads\n{this}");
            }
        }

        public void AssertNothingInPlain()
        {
            foreach ((bool fromUs, DaemonPacket packet, _) in Path.Log)
            {
                if (fromUs && (packet.Flags & (TcpFlags.Syn | TcpFlags.Rst)) == 0)
                {
                    Assert.That(packet.Find(70) >= 0 || packet.Find(69) >= 0, Is.True, $"MAC or CRYPT: {packet}");
                }
            }
        }

        public string Summary => $"{(IsComplete ? "complete" : HasFailed ? "failed" : "hangs")}, {Status?.Outcome}, {string.Join("; ", Path.Daemon.Log)}";

        public override string ToString() =>
            $"{Path.NowNs / 1e9:F3} s, {Status?.Outcome}, opener {_opens?.Received.Count}/{_toOpener.Length} {_opens?.Error}, listener {_accepts?.Received.Count}/{_toListener.Length} {_accepts?.Error}; "
            + $"daemon {string.Join("; ", Path.Daemon.Log.Concat(Path.Daemon.Refused.Take(5)))}\n{string.Join('\n', Path.Log.TakeLast(60).Select(static one => $"{(one.FromUs ? "us  " : "them")}{(one.IsLost ? " LOST" : "")} {one.Packet}"))}";

        private bool IsDone()
        {
            if (_accepted is null && _listener.Accept(out _accepted) == SocketError.Success)
            {
                KeepAlive(_accepted!);
                _accepts = new DaemonTalk(_accepted!, _toOpener, !_row.OpenerCloses);
            }

            if (_row.KeepAlive && Path.NowNs < 30_000_000_000)
            {
                return false;
            }

            if (_opens!.Socket.Poll().HasFlag(SteppedPollFlags.Out) || _opens.Error != SocketError.Success)
            {
                if (!_row.ListenerSpeaksFirst || _opens.Received.Count > 0)
                {
                    _opens.Pump();
                }
                else
                {
                    _opens.Read();
                }
            }

            _accepts?.Pump();
            bool isOver = _opens.IsAtEnd && _accepts is { IsAtEnd: true };
            return isOver || _opens.Error != SocketError.Success || _accepts is { Error: not SocketError.Success } || _isDaemonDead;
        }

        private void KeepAlive(SteppedSocket socket)
        {
            if (_row.KeepAlive)
            {
                socket.SetOption(SteppedSocketOption.KeepAlive, 1);
                socket.SetOption(SteppedSocketOption.KeepAliveIdle, 2);
                socket.SetOption(SteppedSocketOption.KeepAliveInterval, 1);
            }
        }

        private Daemon NewDaemon() => new(_row.IsSuccessor, _row.Reversed && _row.WeOpen, _row.TheyAreAware, _row.Daemons ?? [_row.Exchange], s_daemonKeys.Value!);

        private void OurOptions(SteppedStackOptions options)
        {
            options.Tcpcrypt = true;
            options.Tcp.Timestamps = _row.Timestamps;
            options.TcpcryptOptions.KeyExchanges = _row.Exchange == Rsa ? [Rsa] : _row.Exchange == P521 ? [P521, P256] : [P256, P521];
            options.TcpcryptOptions.RsaKeySize = 4096;
            options.TcpcryptOptions.CMode = _row.Reversed && !_row.WeOpen ? TcpcryptCMode.Always : TcpcryptCMode.Default;
            options.TcpcryptOptions.ApplicationAware = _row.WeAreAware ? TcpcryptAwareness.Yes : TcpcryptAwareness.No;
        }

        private void TheirOptions(SteppedStackOptions options) => options.Tcp.Timestamps = _row.Timestamps;

        /// <summary>The first connection gets that initial sequence number: it grows with time, one every four microseconds.</summary>
        private static SteppedStack New(Action<SteppedStackOptions> configure, uint? isn, bool isOpener, Ipv4Address address, Ipv4Address peer)
        {
            SteppedStack Make(long startNs)
            {
                SteppedStackOptions options = new() { Seed = 5, StartNs = startNs };
                options.Addresses.Add(IPPrefixAddress.Parse($"{address}/24"));
                configure(options);
                return new SteppedStack(options);
            }

            if (isn is not { } wanted)
            {
                return Make(0);
            }

            SteppedStack probe = Make(0);
            long lateNs = 0;
            if (isOpener)
            {
                SteppedSocket socket = probe.Socket(tcp: true);
                socket.Bind(new IPEndPoint(address.ToIPAddress(), 5000));
                socket.Connect(new IPEndPoint(peer.ToIPAddress(), Port));
            }
            else
            {
                SteppedSocket socket = probe.Socket(tcp: true);
                socket.Bind(new IPEndPoint(IPAddress.Any, Port));
                socket.Listen(1);
                probe.Inject(Seg.Syn().ToPacket(new Endpoint4(peer, 5000), new Endpoint4(address, Port), 0, 0));
                lateNs = DaemonPath.DelayNs;
            }

            Assert.That(probe.TryTake(out _, out byte[] packet), Is.True);
            return Make(((long)unchecked(wanted - DaemonPacket.Parse(packet)!.Seq) * 4000) - lateNs + (lateNs > 0 ? (1L << 32) * 4000 : 0));
        }

        private static byte[] Pattern(int octets, int step)
        {
            byte[] pattern = new byte[octets];
            for (int i = 0; i < octets; i++)
            {
                pattern[i] = (byte)((i * step) + (i >> 8));
            }

            return pattern;
        }
    }

    private static readonly ThreadLocal<SteppedWorkers> s_daemonKeys = new(static () => new SteppedWorkers(new SeededRandom(99)));
}
