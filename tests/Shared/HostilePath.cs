using System.Buffers.Binary;
using NUnit.Framework;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tests;

/// <summary>What an attacker on the path does to a packet that passes.</summary>
[Flags]
internal enum Attacks
{
    None = 0,

    /// <summary>A copy with one bit turned over arrives beside the genuine packet.</summary>
    Flip = 1 << 0,

    /// <summary>Packets of the past arrive again, just now or much later.</summary>
    Replay = 1 << 1,

    /// <summary>Packets are held back, so that others overtake them.</summary>
    Reorder = 1 << 2,

    /// <summary>The segment arrives in two parts as well, headers and options copied.</summary>
    Resegment = 1 << 3,

    /// <summary>A copy without its MAC and CRYPT options arrives beside it.</summary>
    Strip = 1 << 4,

    /// <summary>Data, RST, SYN, FIN and ACKs with the right numbers, without MAC, with an old one, or with noise for one.</summary>
    Inject = 1 << 5,

    /// <summary>Copies with another window, flag, urgent pointer or number: zero window, FIN, ACKs of what was not received.</summary>
    Desynchronise = 1 << 6,

    /// <summary>ICMP errors that quote genuine packets.</summary>
    Icmp = 1 << 7,

    /// <summary>INIT1, INIT2, PKCONF and NEXTK2 that nobody said.</summary>
    Forge = 1 << 8,

    /// <summary>The packet itself is altered or lost, one in ten; its retransmission may get through.</summary>
    Alter = 1 << 9,

    /// <summary>The timestamps of genuine packets are changed, which no MAC covers.</summary>
    Timestamps = 1 << 10,

    All = (1 << 11) - 1,
}

/// <summary>
/// Two stacks and, between them, somebody who reads, holds back, alters and adds packets, all by a seed. A scanner looks at what the stacks themselves send: <see cref="Secret"/> may not be in it once
/// <see cref="IsSecret"/> says so.
/// </summary>
internal sealed class HostilePath(SteppedStack a, SteppedStack b, int seed, Attacks attacks)
{
    private const long Delay = 5_000_000;

    private readonly Random _random = new(seed);
    private readonly PriorityQueue<(bool ToA, byte[] Packet), (long TimeNs, long Order)> _inFlight = new();
    private readonly List<(bool ToA, byte[] Packet)> _history = [];
    private long _order;

    /// <summary>The attacker is at work; packets pass in any case.</summary>
    public Func<bool> IsActive { get; set; } = static () => true;

    /// <summary>Everything is lost.</summary>
    public bool IsCut { get; set; }

    /// <summary>How often the attacker acts, per packet and kind of attack.</summary>
    public double Zeal { get; set; } = 0.15;

    /// <summary>What may not be on the wire.</summary>
    public byte[] Secret { get; set; } = [];

    public Func<bool> IsSecret { get; set; } = static () => false;

    /// <summary>Genuine packets, as they are sent: true = to the first stack. Returns what goes on instead of it; null = dropped.</summary>
    public Func<bool, byte[], byte[]?>? Hook { get; set; }

    /// <summary>Told of each packet: when, whether it goes to the first stack, the octets, and "sent" by a stack or "arrives", whoever sent it.</summary>
    public Action<long, bool, byte[], string>? Tap { get; set; }

    public long Injected { get; private set; }

    public long Genuine { get; private set; }

    public long NowNs => Math.Max(a.NowNs, b.NowNs);

    public SteppedStack A => a;

    public SteppedStack B => b;

    /// <summary>Steps until a condition holds; false when it does not within the limits, or nothing more happens.</summary>
    public bool Run(Func<bool> until, double seconds = 3600, int maxSteps = 2_000_000)
    {
        long limit = NowNs + (long)(seconds * 1e9);
        while (!until())
        {
            if (maxSteps-- <= 0 || !Step(limit))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Lets time pass.</summary>
    public void Pass(double seconds)
    {
        long limit = NowNs + (long)(seconds * 1e9);
        while (Step(limit))
        {
        }

        a.RunUntil(limit);
        b.RunUntil(limit);
    }

    /// <summary>The next thing that happens; false when nothing does up to an instant.</summary>
    private bool Step(long limitNs)
    {
        Collect(a, toA: false);
        Collect(b, toA: true);
        long next = Math.Min(a.NextDeadlineNs ?? long.MaxValue, b.NextDeadlineNs ?? long.MaxValue);
        bool isPacket = _inFlight.TryPeek(out _, out (long TimeNs, long Order) first) && first.TimeNs <= next;
        next = isPacket ? first.TimeNs : next;
        if (next > limitNs)
        {
            return false;
        }

        a.RunUntil(next);
        b.RunUntil(next);
        if (isPacket)
        {
            (bool toA, byte[] packet) = _inFlight.Dequeue();
            Tap?.Invoke(NowNs, toA, packet, "arrives");
            (toA ? a : b).Inject(packet);
        }

        return true;
    }

    public void Inject(bool toA, byte[] packet, long delayNs = Delay)
    {
        Injected++;
        Enqueue(toA, packet, delayNs);
    }

    private void Collect(SteppedStack from, bool toA)
    {
        while (from.TryTake(out _, out byte[] packet))
        {
            Genuine++;
            Tap?.Invoke(NowNs, toA, packet, "sent");
            if (Secret.Length > 0 && IsSecret() && packet.AsSpan().IndexOf(Secret) >= 0)
            {
                Assert.Fail($"plaintext on the wire: {PacketPrinter.Format(packet)}");
            }

            byte[]? passed = Hook is { } hook ? hook(toA, packet) : packet;
            if (passed is null || IsCut)
            {
                continue;
            }

            if (IsActive())
            {
                Attack(toA, passed);
            }
            else
            {
                Enqueue(toA, passed, Delay);
            }

            if (_history.Count < 4000)
            {
                _history.Add((toA, packet));
            }
            else
            {
                _history[_random.Next(_history.Count)] = (toA, packet);
            }
        }
    }

    private void Enqueue(bool toA, byte[] packet, long delayNs) => _inFlight.Enqueue((toA, packet), (NowNs + delayNs, _order++));

    private bool Draws(Attacks attack) => (attacks & attack) != 0 && _random.NextDouble() < Zeal;

    /// <summary>Beside the genuine packet: before it or after it.</summary>
    private void Beside(bool toA, byte[] packet) => Inject(toA, packet, Delay + _random.Next(-1_000_000, 1_000_000));

    private void Attack(bool toA, byte[] packet)
    {
        bool isTcp = packet.Length >= 40 && packet[9] == 6;
        if (isTcp)
        {
            Add(toA, packet);
        }

        if (Draws(Attacks.Replay) && _history.Count > 0)
        {
            (bool oldToA, byte[] old) = _history[_random.Next(3) == 0 ? _random.Next(_history.Count) : Math.Max(0, _history.Count - 1 - _random.Next(20))];
            for (int copies = _random.Next(1, 6); copies > 0; copies--)
            {
                Beside(oldToA, old);
            }
        }

        if (isTcp && (attacks & Attacks.Timestamps) != 0)
        {
            packet = WithTimestamps(packet);
        }

        if (isTcp && (attacks & Attacks.Alter) != 0 && _random.Next(10) == 0)
        {
            if (_random.Next(2) == 0)
            {
                return;
            }

            packet = Altered(packet);
        }

        Enqueue(toA, packet, Delay + (Draws(Attacks.Reorder) ? _random.Next(60_000_000) : 0));
    }

    /// <summary>What goes beside a genuine segment.</summary>
    private void Add(bool toA, byte[] packet)
    {
        int header = (packet[32] >> 4) * 4;
        if (Draws(Attacks.Flip))
        {
            Beside(toA, Altered(packet));
        }

        if (Draws(Attacks.Strip))
        {
            byte[] stripped = [.. packet];
            stripped.AsSpan(40, header - 20).Fill(1);
            Beside(toA, Fixed(stripped));
        }

        if (Draws(Attacks.Resegment) && packet.Length > 20 + header + 1)
        {
            int cut = _random.Next(1, packet.Length - 20 - header);
            Beside(toA, Part(packet, header, 0, cut));
            Beside(toA, Part(packet, header, cut, packet.Length - 20 - header - cut));
        }

        if (Draws(Attacks.Desynchronise))
        {
            byte[] changed = [.. packet];
            switch (_random.Next(6))
            {
                case 0:
                    BinaryPrimitives.WriteUInt16BigEndian(changed.AsSpan(34), (ushort)(_random.Next(2) == 0 ? 0 : 0xFFFF));
                    break;
                case 1:
                    changed[33] ^= (byte)(1 << _random.Next(6));
                    break;
                case 2:
                    AddTo(changed.AsSpan(28), (uint)_random.Next(-3000, 3000));
                    break;
                case 3:
                    AddTo(changed.AsSpan(24), (uint)_random.Next(-3000, 3000));
                    break;
                case 4:
                    BinaryPrimitives.WriteUInt16BigEndian(changed.AsSpan(38), (ushort)_random.Next(65536));
                    changed[33] |= 0x20;
                    break;
                default:
                    changed[33] |= 1;
                    break;
            }

            Beside(toA, Fixed(changed));
        }

        if (Draws(Attacks.Inject))
        {
            Beside(toA, Forged(packet, header, _random.Next(2) == 0));
        }

        if (Draws(Attacks.Forge))
        {
            Beside(toA, Handshake(packet, header));
        }

        if (Draws(Attacks.Icmp))
        {
            Beside(!toA, IcmpAbout(packet));
        }
    }

    /// <summary>Numbers as the genuine segment would have them next; the content is the attacker's.</summary>
    private byte[] Forged(byte[] packet, int header, bool keepsOptions)
    {
        int options = keepsOptions ? header - 20 : 0;
        byte[] data = new byte[_random.Next(2) == 0 ? 0 : _random.Next(1, 400)];
        _random.NextBytes(data);
        byte flags = _random.Next(7) switch { 0 => 0x04, 1 => 0x14, 2 => 0x02, 3 => 0x11, 4 => 0x12, 5 => 0x18, _ => 0x10 };
        byte[] forged = [.. packet[..(40 + options)], .. data];
        BinaryPrimitives.WriteUInt16BigEndian(forged.AsSpan(2), (ushort)forged.Length);
        forged[32] = (byte)((20 + options) << 2);
        forged[33] = flags;
        if (_random.Next(3) > 0)
        {
            // Right behind the genuine segment.
            AddTo(forged.AsSpan(24), (uint)(packet.Length - 20 - header));
        }

        if (flags == 0x02 && _random.Next(2) == 0)
        {
            AddTo(forged.AsSpan(24), 1_000_000);
        }

        if (keepsOptions && _random.Next(2) == 0)
        {
            _random.NextBytes(forged.AsSpan(40 + (options / 2), options - (options / 2)));
        }

        return Fixed(forged);
    }

    /// <summary>Something of the handshake, in a segment with the genuine one's numbers or those of the start.</summary>
    private byte[] Handshake(byte[] packet, int header)
    {
        byte[] suboptions = _random.Next(6) switch
        {
            0 => [7],
            1 => [8],
            2 => [0x41, 8, 0, 2, 0, 0, 0xf0, 4],
            3 => [5],
            4 => [4, 0x43, 3, 7],
            _ => [0xc7],
        };
        byte[] option = [69, (byte)(2 + suboptions.Length), .. suboptions];
        option = [.. option, .. Enumerable.Repeat((byte)1, (4 - (option.Length % 4)) % 4)];
        byte[] data = new byte[_random.Next(3) == 0 ? 0 : 117];
        _random.NextBytes(data);
        if (data.Length > 8)
        {
            ((byte[])[0, 0, 0, 117, 0x29, 0x11, 0, 1]).CopyTo(data, 0);
        }

        byte[] forged = [.. packet[..40], .. option, .. data];
        BinaryPrimitives.WriteUInt16BigEndian(forged.AsSpan(2), (ushort)forged.Length);
        forged[32] = (byte)((20 + option.Length) << 2);
        forged[33] = (byte)(_random.Next(4) == 0 ? 0x12 : 0x18);
        if (_random.Next(2) == 0 && _history.Find(old => old.Packet.AsSpan(12, 12).SequenceEqual(packet.AsSpan(12, 12))).Packet is { } first)
        {
            BinaryPrimitives.WriteUInt32BigEndian(forged.AsSpan(24), BinaryPrimitives.ReadUInt32BigEndian(first.AsSpan(24)) + 1);
        }

        _ = header;
        return Fixed(forged);
    }

    private byte[] IcmpAbout(byte[] packet)
    {
        // From the host that the packet was for, back to its sender.
        int code = _random.Next(6) switch { 0 => 0, 1 => 1, 2 => 2, 3 => 3, 4 => 13, _ => 4 };
        byte[] icmp = new byte[20 + 8 + 28];
        packet.AsSpan(0, 20).CopyTo(icmp);
        packet.AsSpan(16, 4).CopyTo(icmp.AsSpan(12));
        packet.AsSpan(12, 4).CopyTo(icmp.AsSpan(16));
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(2), (ushort)icmp.Length);
        icmp[9] = 1;
        icmp[20] = 3;
        icmp[21] = (byte)code;
        if (code == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(26), (ushort)_random.Next(60, 1500));
        }

        packet.AsSpan(0, 28).CopyTo(icmp.AsSpan(28));
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(10), 0);
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(0, 20))));
        BinaryPrimitives.WriteUInt16BigEndian(icmp.AsSpan(22), InternetChecksum.Finish(InternetChecksum.Sum(icmp.AsSpan(20))));
        return icmp;
    }

    /// <summary>One bit behind the ports turned over, checksums made right.</summary>
    private byte[] Altered(byte[] packet)
    {
        byte[] altered = [.. packet];
        int bit = _random.Next(24 * 8, packet.Length * 8);
        altered[bit / 8] ^= (byte)(1 << (bit % 8));
        return Fixed(altered);
    }

    private byte[] WithTimestamps(byte[] packet)
    {
        byte[] changed = [.. packet];
        int end = 20 + ((packet[32] >> 4) * 4);
        for (int at = 40; at + 10 <= end && packet[at] != 0;)
        {
            if (packet[at] == 1)
            {
                at++;
                continue;
            }

            if (packet[at] == 8 && (packet[33] & 2) == 0)
            {
                AddTo(changed.AsSpan(at + 2), (uint)_random.Next());
                AddTo(changed.AsSpan(at + 6), (uint)_random.Next(-100, 100));
                break;
            }

            at += Math.Max(packet[at + 1], (byte)2);
        }

        return Fixed(changed);
    }

    private static byte[] Part(byte[] packet, int header, int offset, int length)
    {
        byte[] part = [.. packet[..(20 + header)], .. packet[(20 + header + offset)..(20 + header + offset + length)]];
        BinaryPrimitives.WriteUInt16BigEndian(part.AsSpan(2), (ushort)part.Length);
        AddTo(part.AsSpan(24), (uint)offset);
        return Fixed(part);
    }

    private static void AddTo(Span<byte> number, uint value) => BinaryPrimitives.WriteUInt32BigEndian(number, unchecked(BinaryPrimitives.ReadUInt32BigEndian(number) + value));

    private static byte[] Fixed(byte[] packet)
    {
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), 0);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Finish(InternetChecksum.Sum(packet.AsSpan(0, 20))));
        Span<byte> tcp = packet.AsSpan(20);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], 0);
        ulong pseudo = InternetChecksum.PseudoHeader(Core.Ipv4Address.Read(packet.AsSpan(12)), Core.Ipv4Address.Read(packet.AsSpan(16)), IpProtocol.Tcp, tcp.Length);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], InternetChecksum.Finish(InternetChecksum.Sum(tcp, pseudo)));
        return packet;
    }
}
