using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>An IPv4 packet with TCP inside that a daemon on its way may edit. Options are walked as the daemon does: past EOL (reference spec 1.2).</summary>
internal sealed class DaemonPacket
{
    /// <summary>What the daemon takes every MTU to be.</summary>
    public const int Mtu = 1500;

    public Endpoint4 From { get; init; }

    public Endpoint4 To { get; init; }

    public uint Seq { get; set; }

    public uint Ack { get; set; }

    public TcpFlags Flags { get; set; }

    public ushort Window { get; set; }

    public ushort Urgent { get; init; }

    public byte[] Options { get; set; } = [];

    public byte[] Data { get; set; } = [];

    public bool IsSynAck => Flags == (TcpFlags.Syn | TcpFlags.Ack);

    public int HeaderLength => 20 + Options.Length;

    public static DaemonPacket? Parse(byte[] packet)
    {
        if (Ipv4Header.TryParse(packet, out Ipv4Header ip) != Ipv4ParseError.None || ip.Protocol != IpProtocol.Tcp || !TcpHeader.TryParse(ip.Payload, out TcpHeader tcp))
        {
            return null;
        }

        return new DaemonPacket
        {
            From = new Endpoint4(ip.Source, tcp.SourcePort),
            To = new Endpoint4(ip.Destination, tcp.DestinationPort),
            Seq = tcp.Seq.Value,
            Ack = tcp.Ack.Value,
            Flags = tcp.Flags,
            Window = tcp.Window,
            Urgent = tcp.UrgentPointer,
            Options = packet[40..(20 + tcp.HeaderLength)],
            Data = ip.Payload[tcp.HeaderLength..].ToArray(),
        };
    }

    public byte[] ToBytes() => new Seg { Flags = Flags, Wnd = Window, Urg = Urgent, Options = Options, Data = Data }.ToPacket(From, To, Seq, Ack);

    public DaemonPacket Clone() => Parse(ToBytes())!;

    /// <summary>The option behind all others, padded by EOL; false when the packet becomes too long for the daemon.</summary>
    public bool TryAdd(params byte[] option)
    {
        byte[] options = [.. Options, .. option];
        options = [.. options, .. new byte[-options.Length & 3]];
        DaemonDied.Unless(options.Length <= 40, "room for an option");
        if (20 + 20 + options.Length + Data.Length > Mtu)
        {
            return false;
        }

        Options = options;
        return true;
    }

    /// <summary>Where an option starts; -1 without it.</summary>
    public int Find(byte kind)
    {
        for (int at = 0; at < Options.Length;)
        {
            if (Options[at] is 0 or 1)
            {
                at++;
                continue;
            }

            if (at + 1 == Options.Length || Options[at + 1] < 2 || at + Options[at + 1] > Options.Length)
            {
                return -1;
            }

            if (Options[at] == kind)
            {
                return at;
            }

            at += Options[at + 1];
        }

        return -1;
    }

    /// <summary>The content of a suboption of CRYPT; null without it. What the daemon cannot take the length of ends it.</summary>
    public byte[]? Sub(byte opcode)
    {
        int start = Find(69);
        if (start < 0)
        {
            return null;
        }

        byte[] all = Options[(start + 2)..(start + Options[start + 1])];
        if (all.Length == 0)
        {
            return opcode == 1 ? [] : null;
        }

        for (int at = 0; at < all.Length;)
        {
            int length = all[at] switch
            {
                < 0x40 => 1,
                < 0x80 => at + 1 < all.Length ? all[at + 1] : 0,
                0x83 => 6,
                0x84 or 0x85 => 10,
                _ => throw new DaemonDied($"option {all[at]:x2} is unknown to it"),
            };
            if (at + length > all.Length)
            {
                return null;
            }

            DaemonDied.Unless(length > 0, "it walks suboptions for ever");
            if (all[at] == opcode)
            {
                return all[at] is >= 0x40 and < 0x80 ? all[(at + 2)..(at + length)] : all[(at + 1)..(at + length)];
            }

            at += length;
        }

        return null;
    }

    public bool Has(byte opcode) => Sub(opcode) is not null;

    /// <summary>The length field of the MSS option, less what the daemon wants for itself.</summary>
    public void ClampMss()
    {
        int at = Find(2);
        if (at >= 0)
        {
            int mss = BinaryPrimitives.ReadUInt16BigEndian(Options.AsSpan(at + 2)) - 40;
            DaemonDied.Unless(mss > 0, "an MSS above 40");
            BinaryPrimitives.WriteUInt16BigEndian(Options.AsSpan(at + 2), (ushort)mss);
        }
    }

    public void StripSack()
    {
        int at = Find(4);
        if (at >= 0)
        {
            Options[at] = Options[at + 1] = 1;
        }
    }

    public override string ToString() => $"<{Flags} {Seq:x8} {Ack:x8} LEN={Data.Length} {Convert.ToHexString(Options)}>";
}

/// <summary>An assertion of the daemon fails, or it exits: with it go all connections of its host.</summary>
internal sealed class DaemonDied(string message) : Exception(message)
{
    public static void Unless(bool condition, string what)
    {
        if (!condition)
        {
            throw new DaemonDied($"the daemon insists on: {what}");
        }
    }
}
