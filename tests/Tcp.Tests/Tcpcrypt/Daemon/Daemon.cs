using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>
/// What tcpcryptd 0.3 does with the packets of a host, between its kernel and the wire (reference spec): its states, its order of events, its own view of numbers, what it drops, what ends it.
/// The arithmetic is src/Crypt's, which the recorded connections check.
/// </summary>
/// <param name="isSuccessor">The revision after rc1, whose S encrypts only when INIT2 is acknowledged.</param>
/// <param name="alwaysC">Its listeners play C.</param>
/// <param name="isAware">Its application sets the support bit.</param>
/// <param name="exchanges">What it offers and knows, in its order.</param>
/// <param name="keys">Nonces and keys.</param>
internal sealed class Daemon(bool isSuccessor, bool alwaysC, bool isAware, TcpcryptKeyExchange[] exchanges, Testing.SteppedWorkers keys)
{
    private const long RetransmitNs = 100_000_000;
    private const long LastAckNs = 10_000_000_000;

    private readonly Dictionary<(Endpoint4 Local, Endpoint4 Remote), Connection> _connections = [];
    private readonly List<Cached> _cache = [];

    /// <summary>What leaves for the wire.</summary>
    public Queue<DaemonPacket> ToWire { get; } = new();

    public int Encrypted { get; private set; }

    public List<string> SessionIds { get; } = [];

    /// <summary>Segments that should have had a MAC, or the right one.</summary>
    public List<string> Refused { get; } = [];

    public List<string> Log { get; } = [];

    public long? NextNs => _connections.Values.SelectMany(static one => new[] { one.Again?.AtNs, one.EndNs }).Min();

    private enum State
    {
        Closed,
        HelloSent,
        HelloReceived,
        NextK1Sent,
        NextK1Received,
        NextK2Sent,
        PkConfSent,
        PkConfReceived,
        Init1Sent,
        Init2Sent,
        Encrypting,
        Disabled,
    }

    private enum Tcp
    {
        Open,
        Fin1Sent,
        Fin1Received,
        Fin2Sent,
        Fin2Received,
        LastAck,
        Dead,
    }

    /// <summary>A packet of the kernel's.</summary>
    public void Output(DaemonPacket packet, long nowNs)
    {
        (Endpoint4, Endpoint4) key = (packet.From, packet.To);
        if (Find(key, packet, isOut: true) is not { } one)
        {
            ToWire.Enqueue(packet);
            return;
        }

        if (Output(one, packet, nowNs))
        {
            ToWire.Enqueue(packet);
        }

        Forget(key, one);
    }

    /// <summary>A packet off the wire; null when the kernel does not get it.</summary>
    public DaemonPacket? Input(DaemonPacket packet, long nowNs)
    {
        (Endpoint4, Endpoint4) key = (packet.To, packet.From);
        if (Find(key, packet, isOut: false) is not { } one)
        {
            return packet;
        }

        bool isPassed = Input(one, packet);
        Forget(key, one);

        // What it injects comes back to it as any packet of its host's.
        while (one.Injected.TryDequeue(out DaemonPacket? own))
        {
            if (one.Again is { AtNs: 0 } fresh)
            {
                fresh.AtNs = nowNs + RetransmitNs;
            }

            Output(own, nowNs);
        }

        return isPassed ? packet : null;
    }

    public void OnTime(long nowNs)
    {
        foreach (((Endpoint4, Endpoint4) key, Connection one) in _connections.ToArray())
        {
            if (one.EndNs <= nowNs)
            {
                _connections.Remove(key);
            }
            else if (one.Again is { } again && again.AtNs <= nowNs)
            {
                if (again.Count++ >= 10)
                {
                    one.Tcp = Tcp.Dead;
                }

                again.AtNs = nowNs + RetransmitNs;
                Output(again.Packet.Clone(), nowNs);
            }
        }
    }

    private Connection? Find((Endpoint4, Endpoint4) key, DaemonPacket packet, bool isOut)
    {
        if (!_connections.TryGetValue(key, out Connection? one) && packet.Flags == TcpFlags.Syn)
        {
            one = new Connection { IsOpener = isOut, Peer = key.Item2.Address };
            _connections.Add(key, one);
        }

        return one;
    }

    private void Forget((Endpoint4, Endpoint4) key, Connection one)
    {
        if ((one.Tcp == Tcp.Dead || one.State == State.Disabled) && _connections.Remove(key))
        {
            Log.Add($"forgets {key.Item2} in {one.State}, {one.Tcp}");
            Release(one);
        }
    }

    private static void Release(Connection one)
    {
        one.Cached?.IsUsed = false;
        one.Cached = null;
    }

    // ---- Out ----

    private bool Output(Connection one, DaemonPacket packet, long nowNs)
    {
        if ((packet.Flags & TcpFlags.Syn) != 0)
        {
            one.Isn = packet.Seq;
        }

        if (packet.Flags == TcpFlags.Syn)
        {
            if (one.Tcp == Tcp.LastAck)
            {
                one.Reset();
            }

            packet.StripSack();
        }

        if ((packet.Flags & TcpFlags.Fin) != 0)
        {
            one.Tcp = one.Tcp is Tcp.Fin1Received or Tcp.Fin2Sent ? Tcp.Fin2Sent : Tcp.Fin1Sent;
        }
        else if ((packet.Flags & TcpFlags.Rst) != 0)
        {
            one.Tcp = Tcp.Dead;
        }
        else if ((packet.Flags & TcpFlags.Ack) != 0 && one.Tcp == Tcp.Fin2Received)
        {
            one.Tcp = Tcp.LastAck;
            one.EndNs ??= nowNs + LastAckNs;
        }

        if (one.Tcp == Tcp.Dead && one.State != State.Encrypting)
        {
            return true;
        }

        switch (one.State)
        {
            case State.HelloSent or State.NextK1Sent:
                DaemonDied.Unless((packet.Flags & TcpFlags.Syn) != 0, $"SYN in {one.State}: {packet}");
                SendSyn(one, packet);
                return true;
            case State.Closed:
                SendSyn(one, packet);
                return true;
            case State.HelloReceived or State.PkConfSent:
                AnswerHello(one, packet);
                return true;
            case State.NextK1Received or State.NextK2Sent when one.Cached is null:
                AnswerHello(one, packet);
                return true;
            case State.NextK1Received:
                packet.TryAdd(69, 3, (byte)(isAware ? 6 : 5));
                one.State = State.NextK2Sent;
                return true;
            case State.NextK2Sent:
                DaemonDied.Unless(packet.IsSynAck, $"SYN,ACK again: {packet}");
                packet.TryAdd(69, 3, (byte)(isAware ? 6 : 5));
                return true;
            case State.PkConfReceived:
                AddInit1(one, packet);
                return true;
            case State.Init1Sent:
                if (!packet.Has(7))
                {
                    AddInit1(one, packet);
                }

                return true;
            case State.Init2Sent when packet.Has(8):
                if (!isSuccessor)
                {
                    Encrypt(one, one.Session!);
                }

                return true;
            case State.Init2Sent:
                // A window probe of its kernel's would end it here too; that is no fault of the peer's and left out.
                return false;
            case State.Encrypting:
                return OutputEncrypting(one, packet);
            default:
                return true;
        }
    }

    private void SendSyn(Connection one, DaemonPacket packet)
    {
        if (packet.Flags != TcpFlags.Syn)
        {
            return;
        }

        one.Cached ??= _cache.Find(entry => !entry.IsUsed && entry.IsOpener && entry.Peer == packet.To.Address);
        if (one.Cached is { } cached)
        {
            cached.IsUsed = true;
            packet.TryAdd([69, 12, (byte)(isAware ? 0x85 : 0x84), .. cached.Session.Identifier]);
            one.State = State.NextK1Sent;
        }
        else
        {
            packet.TryAdd(isAware ? [69, 3, 2] : [69, 2]);
            one.State = State.HelloSent;
        }
    }

    private void AnswerHello(Connection one, DaemonPacket packet)
    {
        if (alwaysC && !one.IsOpener)
        {
            packet.TryAdd(69, 3, 1);
            one.State = State.HelloSent;
            return;
        }

        byte[] list = [.. exchanges.SelectMany(static exchange => new[] { (byte)((int)exchange >> 16), (byte)((int)exchange >> 8), (byte)exchange })];
        packet.TryAdd([69, (byte)(4 + list.Length), (byte)(isAware ? 0x42 : 0x41), (byte)(2 + list.Length), .. list]);
        one.PkConf = list;
        one.State = State.PkConfSent;
    }

    private static void AddInit1(Connection one, DaemonPacket packet)
    {
        DaemonDied.Unless(packet.Data.Length == 0, $"no data beside INIT1: {packet}");
        packet.TryAdd(69, 3, 7);
        packet.Data = one.Client!.Init1.ToArray();
        one.SentOffset = (uint)packet.Data.Length;
        one.State = State.Init1Sent;
    }

    private static bool OutputEncrypting(Connection one, DaemonPacket packet)
    {
        if (packet.IsSynAck)
        {
            return false;
        }

        DaemonDied.Unless((packet.Flags & TcpFlags.Syn) == 0, "no SYN when encrypting");
        if (one.SentOffset > 0)
        {
            packet.Seq += one.SentOffset;
            packet.Ack += one.ReceivedOffset;
        }

        if (!packet.TryAdd([70, 18, .. new byte[16]]))
        {
            return false;
        }

        if (packet.Has(8))
        {
            // INIT2 again, shifted and encrypted (reference spec 6.4). Its tag is right, but what our stack makes of it does not depend on it.
            return true;
        }

        byte[] bytes = packet.ToBytes();
        one.Protection!.Seal(bytes.AsSpan(20), 20 + packet.Find(70) + 2, 0, 0, 0);
        packet.Options = bytes[40..(20 + packet.HeaderLength)];
        packet.Data = bytes[(20 + packet.HeaderLength)..];
        return true;
    }

    // ---- In ----

    private bool Input(Connection one, DaemonPacket packet)
    {
        if ((packet.Flags & TcpFlags.Syn) != 0)
        {
            one.PeerIsn = packet.Seq;
        }

        if (packet.Flags == TcpFlags.Syn && one.Tcp == Tcp.LastAck)
        {
            one.Reset();
        }

        // Plain comparison: it knows nothing of wrapping.
        if (one.Again is { } again && (packet.Flags & TcpFlags.Ack) != 0 && packet.Ack >= again.Packet.Seq + (uint)again.Packet.Data.Length)
        {
            one.Again = null;
        }

        if ((packet.Flags & TcpFlags.Rst) != 0)
        {
            one.Tcp = Tcp.Dead;
            if (one.State != State.Encrypting)
            {
                return true;
            }
        }

        bool isPassed = one.State switch
        {
            State.Closed or State.HelloReceived or State.NextK1Received => InputClosed(one, packet),
            State.HelloSent => InputHelloSent(one, packet),
            State.NextK1Sent => InputNextK1Sent(one, packet),
            State.NextK2Sent => InputNextK2Sent(one, packet),
            State.PkConfSent => InputPkConfSent(one, packet),
            State.PkConfReceived => InputPkConfReceived(packet),
            State.Init1Sent => InputInit1Sent(one, packet),
            State.Init2Sent => InputInit2Sent(one, packet),
            State.Encrypting => InputEncrypting(one, packet),
            _ => true,
        };
        if ((packet.Flags & TcpFlags.Syn) != 0 && one.State != State.Disabled && !one.IsMssClamped)
        {
            packet.ClampMss();
        }

        if (!(one.State is State.Encrypting or State.Disabled || (one.State == State.Init2Sent && !isSuccessor)))
        {
            packet.Window = 0;
        }

        if ((packet.Flags & TcpFlags.Fin) != 0)
        {
            one.Tcp = one.Tcp switch
            {
                Tcp.Fin1Sent => Tcp.Fin2Received,
                Tcp.LastAck or Tcp.Fin2Received => one.Tcp,
                _ => Tcp.Fin1Received,
            };
        }
        else if (one.Tcp == Tcp.Fin2Sent && (packet.Flags & TcpFlags.Ack) != 0)
        {
            // Any ACK will do, whatever of its kernel's is still on the way.
            Log.Add("takes an ACK for the last one");
            one.Tcp = Tcp.Dead;
        }

        return isPassed;
    }

    private bool InputClosed(Connection one, DaemonPacket packet)
    {
        if (packet.Flags != TcpFlags.Syn)
        {
            return true;
        }

        one.State = State.Disabled;
        if (packet.Has(2))
        {
            one.PeerAware = true;
        }

        if (packet.Has(1) || packet.Has(2))
        {
            one.State = State.HelloReceived;
        }

        if ((packet.Sub(0x84) ?? packet.Sub(0x85)) is { } identifier)
        {
            one.PeerAware |= packet.Has(0x85);
            one.State = State.NextK1Received;
            one.Cached = _cache.Find(entry => !entry.IsOpener && entry.Session.Identifier.SequenceEqual(identifier));
        }

        packet.StripSack();
        packet.ClampMss();
        one.IsMssClamped = true;
        return true;
    }

    private bool InputHelloSent(Connection one, DaemonPacket packet)
    {
        if (packet.Has(1))
        {
            one.State = alwaysC ? State.Disabled : State.HelloReceived;
            return true;
        }

        one.PeerAware |= packet.Has(0x42);
        if ((packet.Sub(0x42) ?? packet.Sub(0x41)) is not { } list)
        {
            one.State = State.Disabled;
            return true;
        }

        DaemonDied.Unless(list.Length % 3 == 0, "PKCONF of entries of three octets");
        DaemonDied.Unless(list.Length <= 24, "PKCONF of at most eight entries");
        TcpcryptKeyExchange first = (TcpcryptKeyExchange)((list[0] << 16) | (list[1] << 8) | list[2]);
        DaemonDied.Unless(exchanges.Contains(first), $"a first entry of PKCONF that it knows, not {first}");
        one.PkConf = list;
        one.Client = new ClientHandshake(CryptoProvider.Default, TcpcryptDialect.Reference, list, first, [TcpcryptCipher.Aes128HmacSha256], keys, first == TcpcryptKeyExchange.OaepRsa ? keys.GetRsaKey(4096) : null);
        one.Role = TcpcryptRole.C;
        one.State = State.PkConfReceived;
        if (!packet.IsSynAck)
        {
            DaemonPacket reply = Reply(packet);
            AddInit1(one, reply);
            Inject(one, reply, isRepeated: true);
        }

        return true;
    }

    private bool InputPkConfReceived(DaemonPacket packet)
    {
        DaemonDied.Unless(packet.IsSynAck, $"SYN,ACK again before INIT1: {packet}");
        return true;
    }

    private bool InputNextK1Sent(Connection one, DaemonPacket packet)
    {
        if (!packet.Has(5) && !packet.Has(6))
        {
            Release(one);
            return InputHelloSent(one, packet);
        }

        one.PeerAware |= packet.Has(6);
        Encrypt(one, one.Cached!.Session);
        return true;
    }

    private bool InputNextK2Sent(Connection one, DaemonPacket packet)
    {
        if ((packet.Flags & TcpFlags.Syn) != 0)
        {
            return true;
        }

        DaemonDied.Unless((packet.Flags & TcpFlags.Ack) != 0, "ACK");
        if (one.Cached is null)
        {
            return InputPkConfSent(one, packet);
        }

        Encrypt(one, one.Cached.Session);
        DaemonDied.Unless(InputEncrypting(one, packet), $"a right MAC behind NEXTK2: {packet}");
        return true;
    }

    private bool InputPkConfSent(Connection one, DaemonPacket packet)
    {
        if (packet.Flags == TcpFlags.Syn)
        {
            return InputClosed(one, packet);
        }

        if (!packet.Has(7)
            || ServerHandshake.TryAccept(CryptoProvider.Default, one.PkConf, packet.Data, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? server) != HandshakeError.None
            || server!.Dialect != TcpcryptDialect.Reference
            || server.Respond(keys, Bits(one, TcpcryptRole.S), out TcpcryptSession? session) != HandshakeError.None)
        {
            Log.Add($"goes plain as S: {packet}");
            one.State = State.Disabled;
            return true;
        }

        one.Role = TcpcryptRole.S;
        one.Session = session;
        DaemonPacket reply = Reply(packet);
        reply.TryAdd(69, 3, 8);
        reply.Data = server.Init2.ToArray();
        one.SentOffset = (uint)reply.Data.Length;
        one.ReceivedOffset = (uint)packet.Data.Length;
        one.State = State.Init2Sent;
        Inject(one, reply, isRepeated: true);
        packet.Data = [];
        return true;
    }

    private bool InputInit1Sent(Connection one, DaemonPacket packet)
    {
        if (packet.IsSynAck)
        {
            return true;
        }

        if (!packet.Has(8) || one.Client!.Complete(packet.Data, Bits(one, TcpcryptRole.C), out TcpcryptSession? session) != HandshakeError.None)
        {
            Log.Add($"goes plain as C: {packet}");
            one.State = State.Disabled;
            return true;
        }

        one.ReceivedOffset = (uint)packet.Data.Length;
        Acknowledge(one, packet);
        Encrypt(one, session!);
        packet.Data = [];
        packet.Ack -= one.SentOffset;
        return true;
    }

    private bool InputInit2Sent(Connection one, DaemonPacket packet)
    {
        if (one.Again is not null)
        {
            DaemonDied.Unless(packet.Has(7), $"nothing but INIT1 before INIT2 is acknowledged: {packet}");
            return false;
        }

        Encrypt(one, one.Session!);
        DaemonDied.Unless(InputEncrypting(one, packet), $"a right MAC behind INIT2: {packet}");
        return true;
    }

    private bool InputEncrypting(Connection one, DaemonPacket packet)
    {
        DaemonDied.Unless(!packet.Has(0x83), "no re-keying");
        int at = packet.Find(70);
        if (at < 0)
        {
            if ((packet.Flags & TcpFlags.Rst) != 0)
            {
                return true;
            }

            if (packet.IsSynAck)
            {
                return true;
            }

            if (packet.Has(8))
            {
                Acknowledge(one, packet);
                return false;
            }

            Refused.Add($"no MAC: {packet}");
            return false;
        }

        byte[] bytes = packet.ToBytes();
        if (packet.Options[at + 1] != 18 || !one.Protection!.TryOpen(bytes.AsSpan(20), 20 + at + 2, 0, 0, 0))
        {
            Refused.Add($"wrong MAC: {packet}");
            return false;
        }

        Release(one);
        packet.Data = bytes[(20 + packet.HeaderLength)..];
        if (one.SentOffset > 0)
        {
            packet.Ack -= one.SentOffset;
            packet.Seq -= one.ReceivedOffset;
        }

        return true;
    }

    // ---- Both ----

    private void Encrypt(Connection one, TcpcryptSession session)
    {
        one.State = State.Encrypting;
        one.Role = session.Role;
        one.Protection = new SegmentProtection(session, one.Isn, one.PeerIsn);
        SessionIds.Add(Convert.ToHexString(session.SessionId.Span));
        Encrypted++;
        TcpcryptSession next = session.Next(one.IsOpener, Bits(one, session.Role));
        if (one.Cached is { } cached)
        {
            cached.Session = next;
        }
        else
        {
            one.Cached = new Cached { Session = next, IsOpener = one.IsOpener, Peer = one.Peer, IsUsed = false };
            _cache.Insert(0, one.Cached);
        }
    }

    private byte Bits(Connection one, TcpcryptRole role) =>
        (byte)(role == TcpcryptRole.C ? (isAware ? 1 : 0) | (one.PeerAware ? 2 : 0) : (isAware ? 2 : 0) | (one.PeerAware ? 1 : 0));

    private static DaemonPacket Reply(DaemonPacket to) =>
        new() { From = to.To, To = to.From, Seq = to.Ack, Ack = to.Seq + (uint)to.Data.Length, Flags = TcpFlags.Ack, Window = to.Window };

    private static void Acknowledge(Connection one, DaemonPacket packet)
    {
        DaemonPacket reply = Reply(packet);
        reply.Seq -= one.SentOffset;
        reply.Ack -= one.ReceivedOffset;
        Inject(one, reply, isRepeated: false);
    }

    private static void Inject(Connection one, DaemonPacket packet, bool isRepeated)
    {
        if (isRepeated)
        {
            one.Again = new Repetition { Packet = packet.Clone() };
        }

        one.Injected.Enqueue(packet);
    }

    private sealed class Cached
    {
        public required TcpcryptSession Session { get; set; }

        public required bool IsOpener { get; init; }

        public required Ipv4Address Peer { get; init; }

        public required bool IsUsed { get; set; }
    }

    private sealed class Repetition
    {
        public required DaemonPacket Packet { get; init; }

        public long AtNs { get; set; }

        public int Count { get; set; }
    }

    private sealed class Connection
    {
        public bool IsOpener { get; init; }

        public Ipv4Address Peer { get; init; }

        public State State { get; set; }

        public Tcp Tcp { get; set; }

        public TcpcryptRole Role { get; set; }

        public uint Isn { get; set; }

        public uint PeerIsn { get; set; }

        public bool PeerAware { get; set; }

        public bool IsMssClamped { get; set; }

        public byte[] PkConf { get; set; } = [];

        /// <summary>Octets of its own INIT message and of the peer's, which its kernel knows nothing of.</summary>
        public uint SentOffset { get; set; }

        public uint ReceivedOffset { get; set; }

        public ClientHandshake? Client { get; set; }

        public TcpcryptSession? Session { get; set; }

        public SegmentProtection? Protection { get; set; }

        public Cached? Cached { get; set; }

        public Repetition? Again { get; set; }

        public long? EndNs { get; set; }

        public Queue<DaemonPacket> Injected { get; } = new();

        public void Reset()
        {
            (State, Tcp, PeerAware, IsMssClamped, SentOffset, ReceivedOffset, Again, EndNs, Cached) = (State.Closed, Tcp.Open, false, false, 0, 0, null, null, null);
        }
    }
}
