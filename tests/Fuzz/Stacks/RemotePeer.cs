using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>
/// The far end of one connection: knows the numbers, sends what it is told to, answers nothing by itself, and looks at everything that the stack sends. Numbers are relative to the ISNs: 0 is the SYN.
/// </summary>
internal sealed class RemotePeer(int index, Endpoint4 remote, Endpoint4 local, uint isn) : IDisposable
{
    private ClientHandshake? _client;
    private byte[] _list = [];

    public Endpoint4 Remote => remote;

    public Endpoint4 Local => local;

    public SteppedSocket? Socket { get; set; }

    /// <summary>The next octet of the peer's stream.</summary>
    public uint Nxt { get; set; } = 1;

    /// <summary>What the stack sends next, as far as it was seen.</summary>
    public uint RcvNxt { get; private set; } = 1;

    /// <summary>What was acknowledged to the stack.</summary>
    public uint Una { get; set; } = 1;

    /// <summary>The stack's RCV.NXT and window, from its last ACK.</summary>
    public uint Expected { get; private set; } = 1;

    public uint Window { get; private set; }

    /// <summary>The stack's SYN was seen.</summary>
    public bool HasIss { get; private set; }

    public bool HasTimestamps { get; private set; }

    public uint TsVal { get; set; } = 1000;

    public uint TsEcr { get; private set; }

    /// <summary>Octets that the application gave and took.</summary>
    public long Written { get; set; }

    public long Read { get; set; }

    /// <summary>Octets were sent that are not of the stream: what arrives is not compared any more.</summary>
    public bool IsTainted { get; set; }

    public SegmentProtection? Protection { get; private set; }

    public long Generation { get; set; }

    /// <summary>What the connection leaves for the next one.</summary>
    public TcpcryptSession? Successor { get; private set; }

    /// <summary>What NEXTK1 in the stack's SYN asks for.</summary>
    public byte[] Wanted { get; private set; } = [];

    /// <summary>NEXTK2 was in the stack's SYN,ACK.</summary>
    public bool IsResumed { get; private set; }

    /// <summary>Packets of the peer, to be sent once more.</summary>
    public List<byte[]> Sent { get; } = [];

    /// <summary>The stack's last packet.</summary>
    public byte[] Heard { get; private set; } = [];

    private uint Iss { get; set; }

    /// <summary>Where the streams begin: behind SYN and INIT messages.</summary>
    private uint OutboundStart { get; set; } = 1;

    private uint InboundStart { get; set; } = 1;

    public static byte PeerOctet(int index, uint at) => (byte)((at * 31) + (at >> 8) + (uint)index);

    public static byte StackOctet(int index, long at) => (byte)((at * 17) + (at >> 8) + index + 100);

    public byte[] Data(uint seq, int length)
    {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++)
        {
            data[i] = PeerOctet(index, seq + (uint)i);
        }

        return data;
    }

    /// <summary>What the application is to send next.</summary>
    public byte[] Outbound(int length)
    {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++)
        {
            data[i] = StackOctet(index, Written + i);
        }

        return data;
    }

    /// <summary>The application has read these octets.</summary>
    public void OnRead(ReadOnlySpan<byte> octets)
    {
        for (int i = 0; i < octets.Length && !IsTainted; i++)
        {
            if (octets[i] != PeerOctet(index, InboundStart + (uint)(Read + i)))
            {
                throw new FuzzException($"peer {index}: octet {Read + i} of what was read is not what was sent");
            }
        }

        Read += octets.Length;
    }

    // ---- Out ----

    /// <summary>A segment with the peer's numbers. Under MAC when there are keys and <paramref name="isPlain"/> does not say otherwise.</summary>
    public byte[] Segment(TcpFlags flags, uint seq, uint ack, ReadOnlySpan<byte> data, ReadOnlySpan<byte> options = default, ushort window = 65_535, ushort urgent = 0, bool isPlain = false, long generation = -1, bool hasTimestamps = true, byte typeOfService = 0)
    {
        bool isSealed = Protection is not null && !isPlain;
        List<byte> all = [];
        if (HasTimestamps && hasTimestamps)
        {
            all.AddRange([1, 1, .. Opt.Ts(TsVal, TsEcr)]);
        }

        int tag = all.Count + 2;
        if (isSealed)
        {
            all.AddRange([70, 18, .. new byte[16]]);
        }

        if (all.Count + options.Length <= TcpHeader.MaxOptionsLength)
        {
            all.AddRange(options);
        }

        byte[] packet = Packets.Tcp(remote, local, isn + seq, (flags & TcpFlags.Ack) != 0 ? Iss + ack : ack, flags, window, urgent, [.. all], data, typeOfService);
        if (isSealed)
        {
            Seal(packet, 20 + tag, seq, ack, generation < 0 ? Generation : generation);
        }

        Remember(packet);
        return packet;
    }

    /// <summary>A number of the stack's, absolute.</summary>
    public uint Absolute(uint number) => Iss + number;

    /// <summary>INIT1 as it should be: the peer is C.</summary>
    public byte[] Init1(SteppedWorkers keys, TcpcryptDialect dialect)
    {
        // Where tcpcrypt was declined this is data.
        IsTainted |= _list.Length == 0;
        if (_client is null)
        {
            _client = new ClientHandshake(CryptoProvider.Default, dialect, _list, TcpcryptKeyExchange.EcdheP256, [TcpcryptCipher.Aes128HmacSha256], keys, null);
            Nxt = InboundStart = 1 + (uint)_client.Init1.Length;
        }

        return Segment(TcpFlags.Ack | TcpFlags.Psh, 1, 1, _client.Init1.Span, [1, 69, 3, 7], isPlain: true);
    }

    // ---- In ----

    /// <summary>A packet of the stack's for this connection. Throws <see cref="FuzzException"/> when it says what it should not.</summary>
    public void Hear(byte[] packet, TcpHeader tcp, SteppedWorkers keys)
    {
        Heard = packet;
        if ((tcp.Flags & TcpFlags.Rst) != 0)
        {
            return;
        }

        CryptOptions options = CryptOptions.Parse(tcp.Options, CryptOptionKinds.Default, isOpeningSyn: tcp.Flags == TcpFlags.Syn);
        if ((tcp.Flags & TcpFlags.Syn) != 0)
        {
            OnSyn(tcp, options);
        }

        if (!HasIss)
        {
            return;
        }

        uint seq = tcp.Seq.Value - Iss;
        uint length = (uint)tcp.Payload.Length + ((tcp.Flags & TcpFlags.Syn) != 0 ? 1u : 0) + ((tcp.Flags & TcpFlags.Fin) != 0 ? 1u : 0);
        ReadTimestamps(tcp);
        bool isOpen = options.TagOffset >= 0 && Protection is not null && TryOpen(packet, 20 + options.TagOffset, seq, tcp.Ack.Value - isn);
        if (Protection is not null && options.HasMac && !isOpen && !IsTainted)
        {
            throw new FuzzException($"peer {index}: a segment of the stack's does not open: {PacketPrinter.Format(packet)}");
        }

        if ((tcp.Flags & TcpFlags.Ack) != 0)
        {
            Expected = tcp.Ack.Value - isn;
            Window = tcp.Window;
        }

        if (options.Has(Suboptions.Init1))
        {
            OnInit1(tcp, keys);
        }
        else if (options.Has(Suboptions.Init2))
        {
            OnInit2(tcp);
        }
        else if (!IsTainted && (tcp.Flags & TcpFlags.Syn) == 0 && (Protection is null ? !options.HasMac : isOpen))
        {
            CheckStream(packet.AsSpan(20 + tcp.HeaderLength), seq);
        }

        if ((int)(seq + length - RcvNxt) > 0)
        {
            RcvNxt = seq + length;
        }
    }

    public void Dispose()
    {
        _client?.Dispose();
        Successor?.Dispose();
        Protection?.Dispose();
    }

    /// <summary>Options that cannot be walked have no MAC: the segment goes as it is.</summary>
    private void Seal(byte[] packet, int tagOffset, uint seq, uint ack, long generation)
    {
        try
        {
            Protection!.Seal(packet.AsSpan(20), tagOffset, seq, ack, generation);
        }
        catch (ArgumentException)
        {
            // The tag stays zero.
        }

        Packets.FixChecksums(packet);
    }

    /// <summary>The session goes to another connection.</summary>
    public TcpcryptSession? TakeSuccessor()
    {
        TcpcryptSession? successor = Successor;
        Successor = null;
        return successor;
    }

    private void Remember(byte[] packet)
    {
        if (Sent.Count < 64)
        {
            Sent.Add(packet);
        }
    }

    private void OnSyn(TcpHeader tcp, in CryptOptions options)
    {
        // Another connection with the same ports.
        IsTainted |= HasIss && (Iss != tcp.Seq.Value || Protection is not null);

        if (!HasIss)
        {
            Iss = tcp.Seq.Value;
            HasIss = true;
            HasTimestamps = SynOptions.Parse(tcp.Options).HasTimestamps;
            _list = options.PkConf.ToArray();
            Wanted = options.SessionIdentifier.ToArray();
            IsResumed = options.Has(Suboptions.NextK2);
        }
    }

    private void OnInit1(TcpHeader tcp, SteppedWorkers keys)
    {
        // The list is the one that the script sends (Machine.SynAck).
        if (Protection is null && ServerHandshake.TryAccept(CryptoProvider.Default, Machine.PkConf, tcp.Payload, [TcpcryptCipher.Aes128HmacSha256], out ServerHandshake? server) == HandshakeError.None
            && server!.Respond(keys, 0, out TcpcryptSession? session) == HandshakeError.None)
        {
            Init2 = server.Init2.ToArray();
            OutboundStart = 1 + (uint)tcp.Payload.Length;
            Use(session!);
        }
    }

    private void OnInit2(TcpHeader tcp)
    {
        if (Protection is null && _client is not null && _client.Complete(tcp.Payload, 0, out TcpcryptSession? session) == HandshakeError.None)
        {
            OutboundStart = 1 + (uint)tcp.Payload.Length;
            Use(session!);
        }
    }

    /// <summary>The answer to INIT1, where the peer is S.</summary>
    public byte[] Init2 { get; private set; } = [];

    /// <summary>From here on with the keys of a session.</summary>
    public void Use(TcpcryptSession session)
    {
        Protection = new SegmentProtection(session, isn, Iss);
        Successor = session.Next(openedHere: false);
        session.Dispose();
        if (Init2.Length > 0)
        {
            Nxt = InboundStart = 1 + (uint)Init2.Length;
        }
    }

    private bool TryOpen(byte[] packet, int tagOffset, uint seq, uint ack)
    {
        for (long generation = 0; generation <= Generation + 3; generation++)
        {
            if (Protection!.TryOpen(packet.AsSpan(20), tagOffset, seq, ack, generation))
            {
                Generation = Math.Max(Generation, generation);
                return true;
            }
        }

        return false;
    }

    private void ReadTimestamps(TcpHeader tcp)
    {
        TcpOptionReader reader = new(tcp.Options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == TcpOptionKind.Timestamps && reader.Current.Content.Length == 8)
            {
                TsEcr = BinaryPrimitives.ReadUInt32BigEndian(reader.Current.Content);
            }
        }
    }

    /// <summary>However often it is sent and however it is cut: each octet is the one that the application gave for its place.</summary>
    private void CheckStream(ReadOnlySpan<byte> data, uint seq)
    {
        for (int i = 0; i < data.Length; i++)
        {
            long at = (long)seq + i - OutboundStart;
            if (at < 0 || at >= Written || data[i] != StackOctet(index, at))
            {
                throw new FuzzException($"peer {index}: octet {at} of {Written} is not what the application gave");
            }
        }
    }
}
