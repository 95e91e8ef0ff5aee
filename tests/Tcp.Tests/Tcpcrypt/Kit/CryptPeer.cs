using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

// CA1001: the keys live as long as the test.
#pragma warning disable CA1001

/// <summary>
/// The remote end of one connection, made by hand out of src/Crypt: it says what the test wants said, as C or as S, in either dialect. It retransmits nothing and answers nothing by itself.
/// </summary>
internal sealed class CryptPeer(CryptBench bench, Endpoint4 remote, Endpoint4 local, uint isn)
{
    public const byte MacKind = 70;

    private static readonly SteppedWorkers s_keys = new(new SeededRandom(4711));

    private ClientHandshake? _client;
    private ServerHandshake? _server;

    public uint Isn => isn;

    /// <summary>The stack's initial sequence number.</summary>
    public uint Iss { get; private set; }

    public Endpoint4 Remote => remote;

    public Endpoint4 Local => local;

    /// <summary>What the peer sends next; 0 is its SYN.</summary>
    public uint Nxt { get; set; } = 1;

    /// <summary>What the peer expects next.</summary>
    public uint RcvNxt { get; set; } = 1;

    public TcpcryptDialect Dialect { get; set; } = TcpcryptDialect.Draft;

    public TcpcryptKeyExchange KeyExchange { get; set; } = TcpcryptKeyExchange.EcdheP256;

    public TcpcryptCipher[] Ciphers { get; set; } = [TcpcryptCipher.Aes128HmacSha256];

    /// <summary>The list of PKCONF, from whoever sent it.</summary>
    public byte[] PkConf { get; set; } = [];

    public byte ApplicationBits { get; set; }

    public byte[] Init1 { get; set; } = [];

    public byte[] Init2 { get; set; } = [];

    public TcpcryptSession? Session { get; private set; }

    /// <summary>What the connection leaves for the next one.</summary>
    public TcpcryptSession? Successor { get; private set; }

    public SegmentProtection? Protection { get; private set; }

    /// <summary>The latest generation to try on what is heard.</summary>
    public long LatestGeneration { get; set; }

    /// <summary>The clock of <see cref="Seg.Ts"/> on every segment; null: no timestamps.</summary>
    public uint? TsVal { get; set; }

    /// <summary>The stack's stream, in order; INIT messages are no part of it.</summary>
    public List<byte> Stream { get; } = [];

    /// <summary>The stack's socket.</summary>
    public SteppedSocket Socket { get; set; } = null!;

    // ---- Segments ----

    /// <summary>Sends a segment as it is; returns what the stack says to it at once.</summary>
    public List<Heard> Send(Seg seg)
    {
        bench.Stack.Inject(ToPacket(seg));
        return Take();
    }

    /// <summary>As <see cref="Send"/>, for exactly one answer.</summary>
    public Heard Ask(Seg seg) => One(Send(seg), seg);

    /// <summary>As <see cref="Send"/>, for silence.</summary>
    public void Silence(Seg seg) => Assert.That(Send(seg), Is.Empty, $"no answer to {seg}");

    /// <summary>A segment with CRYPT.</summary>
    public static Seg With(Seg seg, params byte[] suboptions) => seg with { Options = [.. seg.Options, .. Say.Option(suboptions)] };

    /// <summary>Sends a segment encrypted and under MAC.</summary>
    public List<Heard> SendProtected(Seg seg, byte[]? suboptions = null, long generation = 0)
    {
        bench.Stack.Inject(Protect(seg, suboptions, generation));
        return Take();
    }

    public Heard AskProtected(Seg seg, byte[]? suboptions = null, long generation = 0) => One(SendProtected(seg, suboptions, generation), seg);

    /// <summary>The next octets of the peer's stream, under MAC.</summary>
    public List<Heard> SendNext(byte[] data)
    {
        List<Heard> heard = SendProtected(Seg.Bytes(data));
        Nxt += (uint)data.Length;
        return heard;
    }

    /// <summary>The packet of a protected segment.</summary>
    public byte[] Protect(Seg seg, byte[]? suboptions = null, long generation = 0)
    {
        byte[] before = seg.Options;
        int tag = before.Length + 2;
        seg = seg with { Options = [.. before, MacKind, 18, .. new byte[16], .. suboptions is null ? [] : Say.Option(suboptions)] };
        while (seg.Options.Length % 4 != 0)
        {
            seg = seg with { Options = [.. seg.Options, 1] };
        }

        byte[] packet = ToPacket(seg, out int inserted);
        uint seq = seg.Seq ?? Nxt;
        uint ack = seg.AckNo ?? RcvNxt;
        Protection!.Seal(packet.AsSpan(20), 20 + inserted + tag, bench.StartOffset + seq, bench.StartOffset + ack, generation);
        Seg.FixChecksums(packet);
        return packet;
    }

    public byte[] ToPacket(Seg seg) => ToPacket(seg, out _);

    /// <summary>What the stack has sent on this connection since the last look.</summary>
    public List<Heard> Take()
    {
        List<Heard> heard = [];
        foreach (byte[] packet in bench.TakeFor(remote, local))
        {
            heard.Add(Parse(packet));
        }

        return heard;
    }

    /// <summary>Takes and acknowledges all that the stack has to send, under MAC if there are keys.</summary>
    public List<Heard> TakeAndAcknowledge()
    {
        List<Heard> all = [];
        for (List<Heard> some = Take(); some.Exists(static heard => heard.Seg.Len > 0); some = Protection is null ? Send(Seg.Ack()) : SendProtected(Seg.Ack()))
        {
            all.AddRange(some);
            Assert.That(all, Has.Count.LessThan(100_000), "the stack does not come to rest");
        }

        return all;
    }

    // ---- SYN phase ----

    /// <summary>The peer's SYN; null: without CRYPT.</summary>
    public Heard Open(byte[]? suboptions, params byte[] more) => Ask(Seg.Syn([.. Opt.Mss(1460), .. more, .. suboptions is null ? [] : Say.Option(suboptions)]));

    /// <summary>The peer's SYN,ACK.</summary>
    public List<Heard> SynAck(byte[]? suboptions, params byte[] more)
    {
        TakePkConf(suboptions);
        return Send(Seg.SynAck([.. Opt.Mss(1460), .. more, .. suboptions is null ? [] : Say.Option(suboptions)]));
    }

    // ---- Key exchange ----

    /// <summary>As C: INIT1 for the list in <see cref="PkConf"/>.</summary>
    public byte[] MakeInit1()
    {
        RsaKeyPair? rsaKey = KeyExchange == TcpcryptKeyExchange.OaepRsa ? s_keys.GetRsaKey(2048) : null;
        _client = new ClientHandshake(CryptoProvider.Default, Dialect, PkConf, KeyExchange, Ciphers, s_keys, rsaKey);
        Init1 = _client.Init1.ToArray();
        return Init1;
    }

    /// <summary>As C: the segment of INIT1.</summary>
    public Seg Init1Segment() => With(new Seg { Seq = 1, AckNo = 1, Flags = TcpFlags.Ack | TcpFlags.Psh, Data = Init1 }, Opcode.Init1);

    /// <summary>As C: sends INIT1 and returns what comes back.</summary>
    public List<Heard> SendInit1()
    {
        MakeInit1();
        List<Heard> heard = Send(Init1Segment());
        Nxt = 1 + (uint)Init1.Length;
        return heard;
    }

    /// <summary>As C: the keys, out of INIT2.</summary>
    public void Complete(Heard init2)
    {
        Assert.That(init2.Crypt, Is.EqualTo(new[] { Opcode.Init2 }), $"INIT2: {init2}");
        Init2 = init2.Data;
        Assert.That(_client!.Complete(Init2, ApplicationBits, out TcpcryptSession? session), Is.EqualTo(HandshakeError.None));
        Use(session!);
    }

    /// <summary>As S: the keys, and INIT2, out of INIT1.</summary>
    public void Respond(Heard init1)
    {
        Assert.That(init1.Crypt?[^1], Is.EqualTo(Opcode.Init1), $"INIT1: {init1}");
        Init1 = init1.Data;
        Assert.That(ServerHandshake.TryAccept(CryptoProvider.Default, PkConf, Init1, Ciphers, out _server), Is.EqualTo(HandshakeError.None));
        Assert.That(_server!.Respond(s_keys, ApplicationBits, out TcpcryptSession? session), Is.EqualTo(HandshakeError.None));
        Init2 = _server.Init2.ToArray();
        Use(session!);
    }

    /// <summary>As S: the segment of INIT2.</summary>
    public Seg Init2Segment() => With(new Seg { Seq = 1, AckNo = 1 + (uint)Init1.Length, Flags = TcpFlags.Ack | TcpFlags.Psh, Data = Init2 }, Opcode.Init2);

    /// <summary>As S: sends INIT2 and returns what comes back.</summary>
    public List<Heard> SendInit2()
    {
        List<Heard> heard = Send(Init2Segment());
        Nxt = 1 + (uint)Init2.Length;
        return heard;
    }

    /// <summary>From here on with the keys of a session.</summary>
    public void Use(TcpcryptSession session)
    {
        Session = session;
        Successor = session.Next(openedHere: false, ApplicationBits);
        Protection = new SegmentProtection(session, Isn, Iss);
        LatestGeneration = 0;
    }

    /// <summary>As listener that hits: NEXTK2 with the keys of a session; returns the stack's ACK.</summary>
    public Heard SynAckWithKeys(TcpcryptSession session, byte opcode = Opcode.NextK2)
    {
        // The stack holds the other role.
        Use(session);
        return One(SynAck([opcode]), Seg.SynAck());
    }

    // ---- Whole handshakes ----

    /// <summary>The peer opens to the stack's listener and is C; ends with its MACed ACK and the connection accepted.</summary>
    public CryptPeer OpenAsC(byte[]? hello = null)
    {
        TakePkConf(Open(hello ?? []).Crypt);
        Complete(One(SendInit1(), Init1Segment()));
        Assert.That(SendProtected(Seg.Ack()), Is.Empty);
        Socket = bench.Accept();
        return this;
    }

    /// <summary>The stack has opened to the peer, which is S; ends with the stack's MACed ACK.</summary>
    public CryptPeer AnswerAsS(byte[]? pkConf = null)
    {
        Heard init1 = One(SynAck(pkConf ?? Say.PkConf(Say.P256, Say.Marker)), Seg.SynAck());
        Respond(init1);
        Heard ack = One(SendInit2(), Init2Segment());
        Assert.That(ack.IsAuthentic, Is.True, $"{ack}");
        return this;
    }

    public byte[] Read(int max = 1 << 20)
    {
        byte[] buffer = new byte[max];
        int total = 0;
        while (total < max && Socket.Receive(buffer.AsSpan(total), out int count) == SocketError.Success && count > 0)
        {
            total += count;
        }

        return buffer[..total];
    }

    public void Write(byte[] data)
    {
        Assert.That(Socket.Send(data, out int sent), Is.EqualTo(SocketError.Success));
        Assert.That(sent, Is.EqualTo(data.Length));
    }

    /// <summary>Octets go through in both directions under MAC.</summary>
    public void Exchange(int octets = 100)
    {
        byte[] data = new byte[octets];
        new Random(octets).NextBytes(data);
        SendNext(data);
        Assert.That(Read(), Is.EqualTo(data), "what the peer sent");
        Stream.Clear();
        Write(data);
        List<Heard> heard = TakeAndAcknowledge();
        Assert.That(heard, Has.All.Property(nameof(Heard.IsAuthentic)).True);
        Assert.That(Stream, Is.EqualTo(data), "what the stack sent");
    }

    /// <summary>Octets go through in both directions in plain.</summary>
    public void ExchangePlain()
    {
        byte[] data = [.. "plain as ever"u8];
        Send(Seg.Bytes(data));
        Nxt += (uint)data.Length;
        Assert.That(Read(), Is.EqualTo(data), "what the peer sent");
        Stream.Clear();
        Write(data);
        List<Heard> heard = TakeAndAcknowledge();
        Assert.That(heard.TrueForAll(static one => !one.HasMac && one.Crypt is null), Is.True, string.Join("; ", heard));
        Assert.That(Stream, Is.EqualTo(data), "what the stack sent");
    }

    public void TakePkConf(byte[]? suboptions)
    {
        if (suboptions is [Opcode.PkConf or Opcode.PkConfAppSupport, byte length, ..])
        {
            PkConf = suboptions[2..length];
        }
    }

    private static Heard One(List<Heard> heard, Seg seg)
    {
        Assert.That(heard, Has.Count.EqualTo(1), $"one answer to {seg}: {string.Join("; ", heard)}");
        return heard[0];
    }

    private byte[] ToPacket(Seg seg, out int inserted)
    {
        inserted = 0;
        if (TsVal is { } clock && !seg.NoTs)
        {
            byte[] timestamps = [1, 1, .. Opt.Ts(seg.Ts?.Val ?? clock, seg.Ts?.Ecr ?? 0)];
            inserted = timestamps.Length;
            seg = seg with { Options = [.. timestamps, .. seg.Options] };
        }

        uint seq = unchecked(Isn + (seg.Seq ?? Nxt));
        uint ack = seg.IsAck ? unchecked(Iss + (seg.AckNo ?? RcvNxt)) : seg.AckNo ?? 0;
        return seg.ToPacket(remote, local, seq, ack);
    }

    private Heard Parse(byte[] packet)
    {
        Assert.That(Ipv4Header.TryParse(packet, out Ipv4Header ip), Is.EqualTo(Ipv4ParseError.None));
        Span<byte> octets = packet.AsSpan(20);
        Assert.That(TcpHeader.TryParse(octets, out TcpHeader tcp), Is.True);
        ulong pseudo = InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Tcp, ip.Payload.Length);
        Assert.That(InternetChecksum.IsValid(ip.Payload, pseudo), Is.True, "the stack's own checksum");
        if ((tcp.Flags & TcpFlags.Syn) != 0)
        {
            Iss = tcp.Seq.Value;
        }

        uint seq = unchecked(tcp.Seq.Value - Iss);
        uint ack = unchecked(tcp.Ack.Value - Isn);
        CryptOptions options = CryptOptions.Parse(tcp.Options, CryptOptionKinds.Default, isOpeningSyn: false);
        long generation = 0;
        bool isAuthentic = false;
        for (; Protection is not null && options.TagOffset >= 0 && generation <= LatestGeneration; generation++)
        {
            isAuthentic = Protection.TryOpen(octets, 20 + options.TagOffset, bench.StartOffset + seq, bench.StartOffset + ack, generation);
            if (isAuthentic)
            {
                break;
            }
        }

        Seg seg = new()
        {
            Seq = seq,
            AckNo = ack,
            Flags = tcp.Flags,
            Wnd = tcp.Window,
            Urg = tcp.UrgentPointer,
            Options = tcp.Options.ToArray(),
            Data = octets[tcp.HeaderLength..].ToArray(),
        };
        Heard heard = new(seg) { Crypt = FindCrypt(tcp.Options), HasMac = options.HasMac, IsAuthentic = isAuthentic, Generation = generation, PacketLength = packet.Length };
        if (!seg.IsRst && seq <= RcvNxt && seq + seg.Len > RcvNxt && (!heard.HasMac || isAuthentic))
        {
            Stream.AddRange(heard.IsInit ? [] : seg.Data.Skip((int)(RcvNxt - seq)));
            RcvNxt = seq + seg.Len;
        }

        return heard;
    }

    private static byte[]? FindCrypt(ReadOnlySpan<byte> options)
    {
        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == 69)
            {
                return reader.Current.Content.ToArray();
            }
        }

        return null;
    }
}
