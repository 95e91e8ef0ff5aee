using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

// The steps themselves. Operands are what follows the step's first two octets.
internal sealed partial class Machine
{
    private void DoWith(Op op, RemotePeer peer, byte mode, ReadOnlySpan<byte> operands)
    {
        switch (op)
        {
            case Op.Segment:
                Segment(peer, mode, operands);
                break;
            case Op.Data:
                Data(peer, operands[0] == 0 ? operands[1] * 16 : operands[0], TcpFlags.Ack | TcpFlags.Psh, (byte)(operands[2] & 3));
                break;
            case Op.AckAll:
                peer.Una = peer.RcvNxt;
                Inject(Ack(peer));
                break;
            case Op.PartialAck:
                peer.Una += (uint)((peer.RcvNxt - peer.Una) * operands[0] / 256);
                Inject(Ack(peer));
                break;
            case Op.Sack:
                Sack(peer, operands);
                break;
            case Op.AppSend:
                AppSend(peer, operands[0] + (operands[1] << 8), isUrgent: operands[2] == 7);
                break;
            case Op.AppReceive:
                AppReceive(peer, operands[0] == 255 ? _buffer.Length : 1 + operands[0] + (operands[1] << 8), operands[2] == 7);
                break;
            case Op.AppShutdown:
                peer.Socket?.Shutdown((SocketShutdown)(operands[0] % 3));
                break;
            case Op.AppClose:
                if ((operands[0] & 1) != 0)
                {
                    peer.Socket?.SetOption(SteppedSocketOption.Linger, 0);
                }

                peer.Socket?.Close();
                break;
            case Op.SetOption:
                SetOption(peer, s_options[operands[0] % s_options.Length], operands[1] | (operands[2] << 8) | (operands[3] << 16));
                break;
            case Op.Icmp:
                Icmp(peer, operands);
                break;
            case Op.Replay:
                if (peer.Sent.Count > 0)
                {
                    Inject(peer.Sent[operands[0] % peer.Sent.Count]);
                }

                break;
            case Op.Reflect:
                byte[] reflected = [.. peer.Heard];
                if (operands[0] != 0 && reflected.Length >= 40)
                {
                    // Turned round: as if the peer had said it.
                    (int source, int destination) = (12, 16);
                    byte[] address = reflected[source..destination];
                    reflected.AsSpan(destination, 4).CopyTo(reflected.AsSpan(source));
                    address.CopyTo(reflected, destination);
                    (reflected[20], reflected[21], reflected[22], reflected[23]) = (reflected[22], reflected[23], reflected[20], reflected[21]);
                    Packets.FixChecksums(reflected);
                    peer.IsTainted = true;
                }

                Inject(reflected);
                break;
            case Op.Corrupt:
                Corrupt(peer, operands);
                break;
            case Op.Fragmented:
                Fragmented(peer, operands);
                break;
            case Op.SuperSegment:
                SuperSegment(peer, operands);
                break;
            case Op.Fin:
                Data(peer, operands[0], TcpFlags.Ack | TcpFlags.Fin, 0);
                peer.Nxt++;
                break;
            case Op.Rst:
                Inject(peer.Segment(TcpFlags.Rst | ((operands[0] & 1) != 0 ? TcpFlags.Ack : 0), peer.Expected + (uint)(sbyte)operands[1], peer.RcvNxt, default, isPlain: (operands[0] & 2) != 0));
                break;
            case Op.Syn:
                peer.IsTainted = true;
                Inject(peer.Segment(TcpFlags.Syn, peer.Nxt + (uint)((sbyte)operands[0] * 1000), 0, default, SynOptions(operands[1]), isPlain: true));
                break;
            case Op.SynAck:
                Inject(peer.Segment(TcpFlags.Syn | TcpFlags.Ack, 0, 1 + (uint)(sbyte)operands[1], default, [.. SynOptions(operands[0]), .. Crypt(operands[2])], isPlain: true));
                break;
            case Op.Rekey:
                peer.Socket?.Rekey();
                Hear();
                break;
            case Op.Suboptions:
                Suboptions(peer, operands);
                break;
            case Op.Talk:
                Talk(peer, operands[0] & 15);
                break;
            case Op.Info:
                _ = (peer.Socket?.GetInfo(), peer.Socket?.Poll(), peer.Socket?.TakeError(), peer.Socket?.State, peer.Socket?.Unsent, peer.Socket?.UrgentAhead, peer.Socket?.Tcpcrypt, _stack.Drops);
                break;
            case Op.PeerWindow:
                Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, window: (ushort)(operands[0] switch { 0 => 0, 1 => 65_535, 2 => 1, _ => operands[0] * 100 })));
                break;
            default:
                break;
        }

        Hear();
    }

    // ---- Opening ----

    private static byte[] SynOptions(byte choice) =>
    [
        .. (choice & 1) == 0 ? [] : (choice & 128) != 0 ? (byte[])[2, 4, 0, 88] : [2, 4, 5, 0xB4],
        .. (choice & 2) == 0 ? [] : (byte[])[4, 2],
        .. (choice & 4) == 0 ? [] : Opt.Ts(1000, 0),
        .. (choice & 8) == 0 ? [] : (byte[])[3, 3, (byte)((choice & 64) != 0 ? 14 : 2)],
    ];

    private byte[] Crypt(byte choice) => !_isEncrypted ? [] : (choice & 7) switch
    {
        0 => [69, (byte)(4 + PkConf.Length), 0x41, (byte)(2 + PkConf.Length), .. PkConf],
        1 => [69, 3, 4],
        2 => [69, 3, 5],
        3 => [69, 2],
        4 => [69, (byte)(14 + PkConf.Length), 0x44, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0x41, (byte)(2 + PkConf.Length), .. PkConf],
        5 => [69, 3, 0xC5],
        6 => [69, 12, 0x84, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        _ => [],
    };

    private RemotePeer? Add(ushort port, ushort localPort, Ipv4Address? local = null)
    {
        if (_peers.Count == MaxPeers)
        {
            return null;
        }

        RemotePeer peer = new(_peers.Count, new Endpoint4(Packets.Them, port), new Endpoint4(local ?? Packets.Us, localPort), (uint)_peers.Count switch { 1 => 0xFFFF_FFF0, 2 => 0x7FFF_FF00, var isn => isn * 1000 });
        _peers.Add(peer);
        return peer;
    }

    private byte[] Ack(RemotePeer peer, byte typeOfService = 0) => peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, typeOfService: typeOfService);

    /// <summary>A peer connects to the listener: options; how far the handshake goes; with tcpcrypt in which way.</summary>
    private void OpenPassive(ReadOnlySpan<byte> operands)
    {
        if (Add((ushort)(4000 + _peers.Count), ListenPort) is not { } peer)
        {
            return;
        }

        bool hasCrypt = _isEncrypted && (operands[0] & 16) == 0;
        TcpFlags flags = TcpFlags.Syn | ((operands[0] & 32) != 0 ? TcpFlags.Ece | TcpFlags.Cwr : 0);
        RemotePeer? before = hasCrypt && operands[2] == 1 ? _peers.Find(static other => other.Successor is not null) : null;
        byte[] crypt = before is not null ? [69, 12, 0x84, .. before.Successor!.Identifier] : hasCrypt ? [69, 2] : [];
        byte[] options = SynOptions(operands[0]);
        Inject(peer.Segment(flags, 0, 0, default, [.. options.Length + crypt.Length <= TcpHeader.MaxOptionsLength ? options : [], .. crypt]));
        if (!peer.HasIss || operands[1] == 1)
        {
            return;
        }

        if (peer.IsResumed && before is not null)
        {
            peer.Use(before.TakeSuccessor()!);
        }

        if (!hasCrypt || peer.Protection is not null)
        {
            Inject(Ack(peer));
        }
        else
        {
            Inject(peer.Init1(_keys, (operands[0] & 64) != 0 ? TcpcryptDialect.Reference : TcpcryptDialect.Draft));
            if (operands[1] == 2)
            {
                return;
            }

            peer.Una = peer.RcvNxt;
            Inject(Ack(peer));
        }

        AcceptAll();
    }

    /// <summary>The stack connects: options of the answer; how far the handshake goes.</summary>
    private void OpenActive(ReadOnlySpan<byte> operands)
    {
        ushort localPort = (ushort)(5000 + _peers.Count);
        if (Add((ushort)(6000 + _peers.Count), localPort) is not { } peer)
        {
            return;
        }

        peer.Socket = Open(tcp: true);
        peer.Socket.Bind(new IPEndPoint(IPAddress.Any, localPort));
        peer.Socket.Connect(peer.Remote.ToIPEndPoint());
        Hear();
        if (!peer.HasIss || operands[1] == 1)
        {
            return;
        }

        bool hasCrypt = _isEncrypted && (operands[0] & 16) == 0;
        if (hasCrypt && (operands[2] & 7) == 2 && _peers.Find(other => other.Successor is { } next && next.Identifier.SequenceEqual(peer.Wanted)) is { } before)
        {
            // The keys are those of the session that the SYN asked for: NEXTK2 below is the truth.
            peer.Use(before.TakeSuccessor()!);
        }

        TcpFlags flags = TcpFlags.Syn | ((operands[0] & 32) != 0 && operands[1] == 3 ? 0 : TcpFlags.Ack) | ((operands[0] & 32) != 0 ? TcpFlags.Ece : 0);
        Inject(peer.Segment(flags, 0, 1, default, [.. SynOptions(operands[0]).AsSpan(0, Math.Min(SynOptions(operands[0]).Length, hasCrypt ? 20 : 40)), .. hasCrypt ? Crypt(operands[2]) : []], isPlain: true, hasTimestamps: false));
        if (hasCrypt && peer.Init2.Length > 0 && operands[1] != 2)
        {
            Inject(peer.Segment(TcpFlags.Ack | TcpFlags.Psh, 1, peer.RcvNxt, peer.Init2, [1, 69, 3, 8], isPlain: true));
            peer.Una = peer.RcvNxt;
        }
    }

    /// <summary>The stack connects to itself.</summary>
    private void Loopback()
    {
        if (Add((ushort)(7000 + _peers.Count), ListenPort) is not { } peer)
        {
            return;
        }

        peer.IsTainted = true;
        peer.Socket = Open(tcp: true);
        peer.Socket.Connect(new IPEndPoint(Packets.Us.ToIPAddress(), ListenPort));
        Hear();
        AcceptAll();
    }

    // ---- Segments ----

    /// <summary>
    /// Any segment. The mode's upper bits: what the sequence number is relative to (3), and how it is protected (2). Then flags; offset of the sequence number (2); acknowledgment; window and options; length.
    /// </summary>
    private void Segment(RemotePeer peer, byte mode, ReadOnlySpan<byte> operands)
    {
        short offset = BinaryPrimitives.ReadInt16BigEndian(operands[1..]);
        uint seq = ((mode >> 3) & 7) switch
        {
            0 => peer.Nxt + (uint)offset,
            1 => peer.Expected + (uint)offset,
            2 => peer.Expected + peer.Window + (uint)offset,
            3 => peer.Nxt + ((uint)offset << 16),
            4 => peer.Expected - 1,
            5 => peer.Nxt,
            6 => peer.Expected,
            _ => (uint)offset,
        };
        byte detail = (byte)(operands[3] & 31);
        uint ack = (operands[3] >> 5) switch
        {
            0 => peer.RcvNxt - detail,
            1 => peer.Una + detail,
            2 => peer.RcvNxt + detail,
            3 => peer.Una + (detail * 536u),
            4 => peer.RcvNxt - (detail * 536u),
            5 => peer.RcvNxt + 0x8000_0000 - detail,
            6 => peer.RcvNxt + ((uint)detail << 16),
            _ => peer.Una,
        };
        ushort window = (operands[4] & 15) switch { 0 => 0, 1 => 1, 2 => 100, 3 => 536, 4 => 1460, 5 => 65_535, 6 => 5840, 7 => 32_768, var other => (ushort)(other * 300) };
        int length = operands[5] < 128 ? operands[5] : (operands[5] - 127) * 61;
        TcpFlags flags = (TcpFlags)operands[0];
        int choice = operands[4] >> 4;
        byte[] options = Options(peer, choice);
        ushort urgent = (ushort)(choice switch { 12 => length, 13 => 65_535, 14 => 1, _ => 0 });
        if ((flags & TcpFlags.Syn) != 0)
        {
            peer.IsTainted = true;
        }

        int protection = mode >> 6;
        byte[] packet = peer.Segment(flags, seq, ack, peer.Data(seq, length), options, window, urgent, isPlain: protection == 1, generation: protection == 3 && _isEncrypted ? peer.Generation + (operands[5] & 1) : -1,
            hasTimestamps: choice is 0 or > 3, typeOfService: (byte)(operands[5] == 3 ? 3 : 0));
        if (protection == 2)
        {
            packet[^1] ^= 1;
            Packets.FixChecksums(packet);

            // Without a MAC this is just other data.
            peer.IsTainted |= peer.Protection is null;
        }
        else if (peer.Protection is null && (flags & TcpFlags.Rst) == 0)
        {
            peer.IsTainted |= length > 0 && IsBeforeStream(peer, seq);
        }

        Inject(packet);
    }

    /// <summary>Octets at the places of SYN and INIT messages, or so far away that they are another lap's.</summary>
    private static bool IsBeforeStream(RemotePeer peer, uint seq) => (int)(seq - 1) < 0 || peer.Protection is null && seq < 1;

    private byte[] Options(RemotePeer peer, int choice) => choice switch
    {
        1 => [],
        2 => Opt.Ts(peer.TsVal - 100, peer.TsEcr),
        3 => Opt.Ts(peer.TsVal + 100_000, peer.TsEcr),
        4 => Opt.Sack((peer.Absolute(peer.Una + 100), peer.Absolute(peer.RcvNxt))),
        5 => Opt.Sack((peer.Absolute(peer.RcvNxt - 10), peer.Absolute(peer.RcvNxt)), (peer.Absolute(peer.Una + 1), peer.Absolute(peer.Una + 2))),
        6 => Opt.Sack((peer.Absolute(peer.Una - 100), peer.Absolute(peer.Una))),
        7 => [5, 9, 1],
        8 => [19, 18, 1, 2],
        9 => [2, 4, 0, 1],
        10 => [3, 3, 14],
        11 => [69, 3, 4],
        15 => Opt.Sack((peer.Absolute(peer.RcvNxt), peer.Absolute(peer.Una)), (peer.Absolute(0), peer.Absolute(0x8000_0000))),
        _ => [],
    };

    /// <summary>The next octets of the peer's stream.</summary>
    private void Data(RemotePeer peer, int length, TcpFlags flags, byte typeOfService)
    {
        Inject(peer.Segment(flags, peer.Nxt, peer.Una, peer.Data(peer.Nxt, length), typeOfService: typeOfService));
        peer.Nxt += (uint)length;
        peer.TsVal++;
    }

    /// <summary>Up to three blocks of what is outstanding: start and length in parts of 256.</summary>
    private void Sack(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        uint outstanding = peer.RcvNxt - peer.Una;
        List<(uint, uint)> blocks = [];
        for (int i = 0; i < 3; i++)
        {
            uint left = peer.Una + (outstanding * operands[2 * i] / 256);
            uint right = left + Math.Max(1, outstanding * operands[(2 * i) + 1] / 256);
            if (operands[(2 * i) + 1] > 0)
            {
                blocks.Add((peer.Absolute(left), peer.Absolute(right)));
            }
        }

        Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, Opt.Sack([.. blocks])));
    }

    private void Fragmented(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        byte[] whole = peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, peer.Data(peer.Nxt, operands[0] * 8));
        peer.Nxt += (uint)operands[0] * 8;
        int size = Math.Max(24, (operands[1] & 31) * 8);
        int count = (whole.Length - 20 + size - 1) / size;
        for (int i = 0; i < count; i++)
        {
            int index = (operands[2] & 1) != 0 ? count - 1 - i : i;
            if (operands[3] == index + 1)
            {
                continue;
            }

            int at = index * size;
            int length = Math.Min(size, whole.Length - 20 - at);
            ushort flags = (ushort)((at / 8) | (index < count - 1 ? Ipv4Header.MoreFragments : 0));
            Inject(Packets.Ip(IpProtocol.Tcp, whole.AsSpan(20 + at, length), peer.Remote.Address, peer.Local.Address, operands[4], flags));
        }
    }

    /// <summary>Several segments in one, as a device with offload gives them.</summary>
    private void SuperSegment(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        int size = Math.Max(1, operands[0] * 8);
        int length = Math.Min(size * (operands[1] & 31), 60_000);
        byte[] whole = peer.Segment(TcpFlags.Ack | TcpFlags.Psh, peer.Nxt + (uint)(sbyte)operands[2], peer.Una, peer.Data(peer.Nxt + (uint)(sbyte)operands[2], length));
        if ((sbyte)operands[2] == 0)
        {
            peer.Nxt += (uint)length;
        }

        PacketSlot slot = new();
        slot.CopyFrom(whole);
        slot.GsoSize = size;
        slot.HeaderLength = whole.Length - length;
        slot.Checksum = ChecksumState.Partial;
        _stack.Core.OnPacket(_stack.Now, slot);
        _stack.Flush();
    }

    private void Icmp(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        byte[] quoted = peer.Heard.Length >= 28 ? peer.Heard[..(operands[4] == 1 ? peer.Heard.Length : 28)] : new byte[28];
        if (operands[5] != 0)
        {
            quoted[operands[5] % quoted.Length] ^= 0x10;
        }

        byte[] packet = Packets.Ip(IpProtocol.Icmp, [operands[0], operands[1], 0, 0, 0, 0, operands[2], operands[3], .. quoted], operands[4] == 2 ? Ipv4Address.Parse("10.0.0.254") : peer.Remote.Address);
        Packets.FixChecksums(packet);
        Inject(packet);
    }

    private void Corrupt(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        if (peer.Sent.Count == 0)
        {
            return;
        }

        byte[] packet = [.. peer.Sent[^(1 + (operands[0] % peer.Sent.Count))]];
        for (int i = 1; i + 1 < operands.Length; i += 2)
        {
            packet[operands[i] % packet.Length] ^= operands[i + 1];
        }

        // Under MAC this is noise, else it may be taken for the peer's.
        peer.IsTainted |= peer.Protection is null;
        Packets.FixChecksums(packet);
        Inject(packet);
    }

    /// <summary>CRYPT in a segment of its own, protected where there are keys; or the messages of the handshake again.</summary>
    private void Suboptions(RemotePeer peer, ReadOnlySpan<byte> operands)
    {
        switch (operands[0] & 15)
        {
            case 0 when _isEncrypted && peer.HasIss && peer.Protection is null && peer.Init2.Length == 0:
                Inject(peer.Init1(_keys, TcpcryptDialect.Draft));
                break;
            case 1 when peer.Init2.Length > 0:
                Inject(peer.Segment(TcpFlags.Ack | TcpFlags.Psh, 1, peer.RcvNxt, peer.Init2, [1, 69, 3, 8], isPlain: true));
                break;
            case 2:
                Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, [69, 7, 0x80, 0, 0, operands[1], operands[2]]));
                break;
            case 3:
                Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, [69, 7, 0x81, 0, 0, operands[1], operands[2]]));
                break;
            case 4:
                Rekeyed(peer, (byte)(peer.Generation + (operands[1] & 3)), operands[2]);
                break;
            case 5:
                peer.IsTainted |= peer.Protection is null;
                Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, new byte[operands[1]], [69, 3, (byte)(operands[2] & 15)], isPlain: true));
                break;
            default:
                Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, default, [69, 6, operands[1], operands[2], operands[3], operands[4]]));
                break;
        }
    }

    /// <summary>The peer's next octets under new keys, with the label that says so.</summary>
    private void Rekeyed(RemotePeer peer, byte label, byte length)
    {
        if (peer.Protection is null)
        {
            return;
        }

        long generation = Math.Max(peer.Generation, (peer.Generation & ~0x7FL) | (uint)(label & 0x7F));
        Inject(peer.Segment(TcpFlags.Ack, peer.Nxt, peer.Una, peer.Data(peer.Nxt, length), [69, 4, 0x82, label], generation: generation));
        peer.Nxt += length;
        peer.Generation = generation;
    }

    // ---- The application ----

    private static readonly SteppedSocketOption[] s_options = Enum.GetValues<SteppedSocketOption>();

    /// <summary>A closed connection lives as long as its user said: no longer than <see cref="Finish"/> waits.</summary>
    private static void SetOption(RemotePeer peer, SteppedSocketOption option, int value) => peer.Socket?.SetOption(option, option switch
    {
        SteppedSocketOption.UserTimeout => value % 600_000,
        SteppedSocketOption.MaxPacingRate => Math.Max(value, 1000),
        _ => value,
    });

    private void AppSend(RemotePeer peer, int length, bool isUrgent)
    {
        if (peer.Socket is { } socket && socket.Send(peer.Outbound(Math.Min(length, 65_535)), out int sent, isUrgent ? SocketFlags.OutOfBand : SocketFlags.None) == SocketError.Success)
        {
            peer.Written += sent;
        }
    }

    private void AppReceive(RemotePeer peer, int length, bool isPeek)
    {
        if (peer.Socket is { } socket && socket.Receive(_buffer.AsSpan(0, Math.Min(length, _buffer.Length)), out int received, isPeek ? SocketFlags.Peek : SocketFlags.None) == SocketError.Success && !isPeek)
        {
            peer.OnRead(_buffer.AsSpan(0, received));
        }
    }

    /// <summary>Both sides do what they should for a while: read, acknowledge, write.</summary>
    private void Talk(RemotePeer peer, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            AppReceive(peer, _buffer.Length, isPeek: false);
            AppSend(peer, 3000, isUrgent: false);
            Hear();
            peer.Una = peer.RcvNxt;
            Data(peer, 500, TcpFlags.Ack | TcpFlags.Psh, 0);
            _stack.RunUntil(_stack.NowNs + 10_000_000);
            Hear();
        }
    }

    // ---- Everything else ----

    private void Wait(ReadOnlySpan<byte> operands)
    {
        long time = (operands[0] & 3) switch { 0 => 1_000_000L, 1 => 20_000_000L, 2 => 1_000_000_000L, _ => 10_000_000_000L } * operands[1];
        long until = _stack.NowNs + time;
        while (_stack.NextDeadlineNs is { } next && next <= until)
        {
            _stack.RunNextTimer();
            Hear();
            Audit();
        }

        _stack.RunUntil(until);
        Hear();
        foreach (RemotePeer peer in _peers)
        {
            peer.TsVal += (uint)(time / 1_000_000);
        }
    }

    /// <summary>A packet out of the records that follow: how many, protocol, whether the checksums are right, or the whole is taken as it is.</summary>
    private void Raw(ReadOnlySpan<byte> operands, ref ReadOnlySpan<byte> rest)
    {
        int length = Math.Min((operands[0] & 15) * RecordLength, rest.Length);
        byte[] packet = operands[2] == 1 ? [.. rest[..length]] : Packets.Ip(operands[1], rest[..length]);
        rest = rest[length..];
        if (operands[3] == 0)
        {
            Packets.FixChecksums(packet);
        }

        foreach (RemotePeer peer in _peers)
        {
            peer.IsTainted = true;
        }

        Inject(packet);
    }

    private void Udp(ReadOnlySpan<byte> operands)
    {
        byte[] datagram = new byte[8 + operands[0]];
        datagram[1] = 9;
        datagram[3] = operands[1] == 0 ? (byte)53 : operands[1];
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        byte[] packet = Packets.Ip(IpProtocol.Udp, datagram);
        Packets.FixChecksums(packet);
        Inject(packet);
        if ((operands[2] & 1) == 0)
        {
            while (_datagrams.Receive(_buffer, out _) == SocketError.Success)
            {
            }
        }
        else
        {
            _datagrams.SendTo(datagram, new IPEndPoint(Packets.Them.ToIPAddress(), 9), out _);
            Hear();
        }
    }
}
