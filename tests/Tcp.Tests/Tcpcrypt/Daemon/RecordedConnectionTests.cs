using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Tests.Provider;
using Tcpcrypt.Tests.Vectors;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>
/// One side of a recorded connection between two daemons is played by our stack, with that side's keys, nonces and initial sequence number; the packets of the other side are those that were captured, its
/// retransmissions, keep-alives, FIN and RST included. C's side of a full handshake is left out: INIT1 of the daemon has three octets of whatever was in its memory.
/// </summary>
public sealed class RecordedConnectionTests
{
    private static readonly string[] s_asListener = ["p256", "p256isnhi", "p256wrap", "p521", "appc0", "apps0", "appcs0", "mix0", "urg", "i2r", "res0", "res1", "res2", "appcs1", "mix1", "ka", "rst", "rev1"];

    private static readonly string[] s_asOpener = ["rev0", "rev1", "res1", "res2", "appcs1", "mix1", "ka", "rst"];

    private static IEnumerable<TestCaseData<string, bool>> Cases =>
        s_asListener.Select(static name => new TestCaseData<string, bool>(name, false)).Concat(s_asOpener.Select(static name => new TestCaseData<string, bool>(name, true)));

    [TestCaseSource(nameof(Cases))]
    [Spec("REF-3.1"), Spec("REF-3.2"), Spec("REF-3.3"), Spec("REF-6"), Spec("REF-6.4"), Spec("REF-7"), Spec("REF-8"), Spec("REF-9")]
    public void A_recorded_peer_is_understood(string name, bool weOpen)
    {
        VectorConnection vector = VectorConnection.Load("reference/" + name);
        Replay replay = new(vector, weOpen);
        replay.Run();

        using (Assert.EnterMultipleScope())
        {
            Assert.That(replay.Socket?.Tcpcrypt?.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(replay.Socket?.Tcpcrypt?.SessionId.ToArray(), Is.EqualTo(vector.Derived!.Value.Hex("sid")));
            Assert.That(replay.Read, Is.EqualTo(replay.Theirs), "what the recorded side has written");
            Assert.That(replay.Wrote, Is.EqualTo(replay.Ours), "what our side says on the wire");
            Assert.That(replay.Wrong, Is.Empty, "segments that the recorded side would not take");
        }
    }

    private sealed class Replay
    {
        private readonly VectorConnection _vector;
        private readonly bool _weOpen;
        private readonly SteppedStack _stack;
        private readonly SteppedSocket? _listener;
        private readonly SegmentProtection _theirs;
        private readonly SortedDictionary<uint, byte> _said = [];
        private readonly uint _ourIsn;
        private readonly uint _theirIsn;
        private int _written;
        private uint _theirEnd;

        public Replay(VectorConnection vector, bool weOpen)
        {
            (_vector, _weOpen) = (vector, weOpen);
            string our = weOpen ? "opener" : "listener";
            string their = weOpen ? "listener" : "opener";
            (_ourIsn, _theirIsn) = (vector.IsnOf(our), vector.IsnOf(their));
            TcpcryptRole role = weOpen == vector.OpenerIsC ? TcpcryptRole.C : TcpcryptRole.S;
            _theirs = vector.Protection(CryptoProvider.Default, role == TcpcryptRole.C ? TcpcryptRole.S : TcpcryptRole.C);
            Ours = Join(weOpen);
            Theirs = Join(!weOpen);

            SteppedStack probe = Make(0);
            Open(probe)?.Close();
            uint seen = First(probe);
            _stack = Make((long)unchecked(_ourIsn - seen) * 4000);
            if (vector.ResumedFrom is not null)
            {
                TcpcryptSession session = new(CryptoProvider.Default, vector.Derived!.Value.Hex("ss"), vector.Session(CryptoProvider.Default, role).Agreement with { OpenedHere = weOpen });
                _stack.Core.Crypt!.Sessions!.Add(End(their).Address, session);
            }

            CryptLayerOf(_stack).Workers = new RecordedWorkers(_stack.Workers, vector, role);
            Socket = weOpen ? Open(_stack) : null;
            _listener = weOpen ? null : Open(_stack);
        }

        public SteppedSocket? Socket { get; private set; }

        public byte[] Ours { get; }

        public byte[] Theirs { get; }

        public List<byte> Read { get; } = [];

        public byte[] Wrote => [.. _said.Values];

        public List<string> Wrong { get; } = [];

        public void Run()
        {
            Look();
            byte[] buffer = new byte[4096];
            foreach (VectorPacket packet in _vector.Packets)
            {
                if (packet.FromOpener == _weOpen)
                {
                    continue;
                }

                // The other side is to find said what it acknowledges.
                Write(Math.Min(Acknowledged(packet), Ours.Length));
                _stack.Inject(packet.Ip);
                if (packet.Note is null)
                {
                    _theirEnd = Math.Max(_theirEnd, (packet.SequenceNumber - _theirIsn) + (uint)packet.Data.Length + ((packet.Segment[13] & 3) != 0 ? 1u : 0));
                }

                if (Socket is null && _listener!.Accept(out SteppedSocket? accepted) == SocketError.Success)
                {
                    Socket = accepted;
                }

                while (Socket?.Receive(buffer, out int count) == SocketError.Success && count > 0)
                {
                    Read.AddRange(buffer[..count]);
                }

                _stack.RunUntil(_stack.NowNs + 20_000_000);
                Look();
            }

            Write(Ours.Length);
            Look();
        }

        private static Tcp.Crypt.CryptLayer CryptLayerOf(SteppedStack stack) => stack.Core.Crypt!;

        /// <summary>Octets of our stream that a packet acknowledges.</summary>
        private int Acknowledged(VectorPacket packet)
        {
            int prefix = _vector.KeyExchange is { } exchange ? exchange.Hex(_weOpen == _vector.OpenerIsC ? "init1" : "init2").Length : 0;
            return packet.Note is null && packet.Mac is not null ? Math.Max(0, (int)(packet.AcknowledgmentNumber - _ourIsn) - 1 - prefix) : 0;
        }

        private void Write(int upTo)
        {
            if (Socket is not null && upTo > _written && Socket.Send(Ours.AsSpan(_written, upTo - _written), out int sent) == SocketError.Success)
            {
                _written += sent;
                if (_written == Ours.Length)
                {
                    Socket.Shutdown(SocketShutdown.Send);
                }
            }

            Look();
        }

        /// <summary>Every segment of ours, as the recorded side would look at it.</summary>
        private void Look()
        {
            while (_stack.TryTake(out _, out byte[] bytes))
            {
                DaemonPacket packet = DaemonPacket.Parse(bytes)!;
                if ((packet.Flags & TcpFlags.Syn) != 0)
                {
                    if (packet.Seq != _ourIsn)
                    {
                        Wrong.Add($"initial sequence number {packet}");
                    }

                    continue;
                }

                if (packet.Has(7) || packet.Has(8) || packet.Has(0x41) || packet.Has(0x42))
                {
                    if (packet.Has(8) && !packet.Data.AsSpan().SequenceEqual(_vector.Secret("init2")))
                    {
                        Wrong.Add($"INIT2 is not the recorded one: {packet}");
                    }

                    continue;
                }

                int at = packet.Find(70);
                if (at < 0 || !_theirs.TryOpen(bytes.AsSpan(20), 20 + at + 2, 0, 0, 0))
                {
                    Wrong.Add($"MAC: {packet}");
                    continue;
                }

                if (packet.Ack - _theirIsn > _theirEnd)
                {
                    Wrong.Add($"acknowledges {packet.Ack - _theirIsn} of {_theirEnd}: {packet}");
                }

                byte[] data = bytes[(20 + packet.HeaderLength)..];
                for (int i = 0; i < data.Length; i++)
                {
                    _said[packet.Seq - _ourIsn + (uint)i] = data[i];
                }
            }
        }

        private byte[] Join(bool opener)
        {
            SortedDictionary<uint, byte> octets = [];
            uint isn = _vector.IsnOf(opener ? "opener" : "listener");
            foreach (VectorPacket packet in _vector.Packets)
            {
                for (int i = 0; packet.FromOpener == opener && packet.Note is null && packet.Mac is not null && i < packet.Plaintext.Length; i++)
                {
                    octets[packet.SequenceNumber - isn + (uint)i] = packet.Plaintext[i];
                }
            }

            return [.. octets.Values];
        }

        private IPEndPoint End(string host)
        {
            System.Text.Json.JsonElement end = _vector.Json.GetProperty(host);
            return new IPEndPoint(IPAddress.Parse(end.GetProperty("ip").GetString()!), end.GetProperty("port").GetInt32());
        }

        private SteppedStack Make(long startNs)
        {
            string our = _weOpen ? "opener" : "listener";
            SteppedStackOptions options = new() { Seed = 3, StartNs = startNs, Tcpcrypt = true };
            options.Addresses.Add(IPPrefixAddress.Parse($"{End(our).Address}/24"));
            options.TcpcryptOptions.KeyExchanges = [_vector.Name.EndsWith("p521", StringComparison.Ordinal) ? TcpcryptKeyExchange.EcdheP521 : TcpcryptKeyExchange.EcdheP256];
            options.TcpcryptOptions.ApplicationAware = _vector.Json.GetProperty("app_support").GetProperty(our).GetInt32() == 0 ? TcpcryptAwareness.No : TcpcryptAwareness.Yes;
            SteppedStack stack = new(options);
            stack.Core.Crypt!.Settings = stack.Core.Crypt.Settings with { SendsMarker = false };
            return stack;
        }

        private SteppedSocket? Open(SteppedStack stack)
        {
            SteppedSocket socket = stack.Socket(tcp: true);
            Assert.That(socket.Bind(End(_weOpen ? "opener" : "listener")), Is.EqualTo(SocketError.Success));
            Assert.That(_weOpen ? socket.Connect(End("listener")) : socket.Listen(4), Is.EqualTo(_weOpen ? SocketError.InProgress : SocketError.Success));
            return socket;
        }

        private uint First(SteppedStack probe)
        {
            if (!_weOpen)
            {
                SteppedStack listens = Make(0);
                Open(listens);
                listens.Inject(_vector.Packets[0].Ip);
                probe = listens;
            }

            Assert.That(probe.TryTake(out _, out byte[] packet), Is.True);
            return DaemonPacket.Parse(packet)!.Seq;
        }
    }

    /// <summary>Public-key work with recorded entropy, done when the stack's own workers have their turn.</summary>
    private sealed class RecordedWorkers(SteppedWorkers workers, VectorConnection vector, TcpcryptRole role) : HandshakeWorkers, IHandshakeSecrets
    {
        public override bool IsFull => false;

        public override void Queue(HandshakeWork work) => workers.Queue(new Work(work, this));

        public void Fill(Span<byte> destination) => vector.Secret(role == TcpcryptRole.C ? "n_c" : "n_s").CopyTo(destination);

        public EcKeyPair TakePair(TcpcryptKeyExchange keyExchange) => CryptoProvider.Default.CreateEcKeyPair(keyExchange, vector.Secret(role == TcpcryptRole.C ? "c_priv" : "s_priv"))!;

        public RsaKeyPair GetRsaKey(int bits) => throw new NotSupportedException();

        private sealed class Work(HandshakeWork inner, IHandshakeSecrets secrets) : HandshakeWork
        {
            public override void Run(CryptoProvider provider, IHandshakeSecrets unused) => inner.Run(provider, secrets);

            public override void Complete(TcpInstant now) => inner.Complete(now);

            public override void Dispose() => inner.Dispose();
        }
    }
}
