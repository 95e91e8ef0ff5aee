using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Tcpcrypt.Core;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>A packet as the stack sent it (or got it), taken apart for comparison and print-out. Its checksums must be right.</summary>
internal sealed class LivePacket
{
    private LivePacket(byte[] octets) => Octets = octets;

    public byte[] Octets { get; }
    public byte Protocol { get; private init; }
    public Ipv4Address Source { get; private init; }
    public Ipv4Address Destination { get; private init; }
    public byte TypeOfService { get; private init; }
    public byte TimeToLive { get; private init; }
    public bool IsDontFragment { get; private init; }
    public ushort SourcePort { get; private init; }
    public ushort DestinationPort { get; private init; }

    // TCP.
    public ScriptFlags Flags { get; private init; }
    public uint Sequence { get; private init; }
    public uint Ack { get; private init; }
    public ushort Window { get; private init; }
    public ushort UrgentPointer { get; private init; }
    public IReadOnlyList<OptionSpec> Options { get; private init; } = [];

    // ICMP.
    public byte IcmpType { get; private init; }
    public byte IcmpCode { get; private init; }

    public byte[] Payload { get; private init; } = [];

    /// <summary>What is wrong with the packet itself: a checksum, the length; null when it is well-formed.</summary>
    public string? Defect { get; private init; }

    public static LivePacket Parse(byte[] octets)
    {
        Ipv4ParseError error = Ipv4Header.TryParse(octets, out Ipv4Header ip);
        if (error != Ipv4ParseError.None)
        {
            return new LivePacket(octets) { Defect = $"IP header: {error}" };
        }

        ulong pseudo = InternetChecksum.PseudoHeader(ip.Source, ip.Destination, ip.Protocol, ip.Payload.Length);
        LivePacket packet = new(octets)
        {
            Protocol = ip.Protocol,
            Source = ip.Source,
            Destination = ip.Destination,
            TypeOfService = ip.TypeOfService,
            TimeToLive = ip.TimeToLive,
            IsDontFragment = ip.IsDontFragment,
            Defect = octets.Length != ip.TotalLength ? $"total length {ip.TotalLength} in a packet of {octets.Length}" : null,
        };
        switch (ip.Protocol)
        {
            case IpProtocol.Tcp when TcpHeader.TryParse(ip.Payload, out TcpHeader tcp):
                return packet.With(tcp, InternetChecksum.IsValid(ip.Payload, pseudo) ? null : "TCP checksum");
            case IpProtocol.Udp when UdpHeader.TryParse(ip.Payload, out UdpHeader udp):
                return new LivePacket(octets, packet)
                {
                    SourcePort = udp.SourcePort,
                    DestinationPort = udp.DestinationPort,
                    Payload = udp.Payload.ToArray(),
                    Defect = udp.Checksum == 0 || InternetChecksum.IsValid(udp.Octets, pseudo) ? packet.Defect : "UDP checksum",
                };
            case IpProtocol.Icmp when IcmpHeader.TryParse(ip.Payload, out IcmpHeader icmp):
                return new LivePacket(octets, packet)
                {
                    IcmpType = icmp.Type,
                    IcmpCode = icmp.Code,
                    Payload = icmp.Body.ToArray(),
                    Defect = InternetChecksum.IsValid(ip.Payload) ? packet.Defect : "ICMP checksum",
                };
            default:
                return new LivePacket(octets, packet) { Defect = $"protocol {ip.Protocol} with a header that cannot be read" };
        }
    }

    /// <summary>The segment with the one behind it, where both are of one super-segment: only PSH, FIN and CWR may differ.</summary>
    public bool TryAppend(LivePacket next, [NotNullWhen(true)] out LivePacket? joined)
    {
        const ScriptFlags Edge = ScriptFlags.P | ScriptFlags.F | ScriptFlags.W;
        bool continues = next.Protocol == IpProtocol.Tcp && next.SourcePort == SourcePort && next.DestinationPort == DestinationPort && next.Sequence == Sequence + (uint)Payload.Length
            && next.Ack == Ack && next.Window == Window && next.TypeOfService == TypeOfService && (next.Flags & ~Edge) == (Flags & ~Edge) && next.Options.SequenceEqual(Options);
        joined = !continues ? null : new LivePacket(Octets, this)
        {
            SourcePort = SourcePort,
            DestinationPort = DestinationPort,
            Flags = next.Flags | (Flags & ScriptFlags.W),
            Sequence = Sequence,
            Ack = Ack,
            Window = Window,
            UrgentPointer = UrgentPointer,
            Options = Options,
            Payload = [.. Payload, .. next.Payload],
            Defect = Defect ?? next.Defect,
        };
        return continues;
    }

    /// <summary>The packet in the script's notation and numbers.</summary>
    public string Describe(bool isInbound, Connection? connection)
    {
        StringBuilder text = new();
        text.Append(isInbound ? "< " : "> ");
        if (Defect is not null)
        {
            text.Append(CultureInfo.InvariantCulture, $"[{Defect}] ");
        }

        if ((TypeOfService & 3) != 0)
        {
            text.Append('[').Append((TypeOfService & 3) switch { 1 => "ect1", 2 => "ect0", _ => "ce" }).Append("] ");
        }

        switch (Protocol)
        {
            case IpProtocol.Tcp:
                if (connection is null)
                {
                    text.Append(CultureInfo.InvariantCulture, $"{SourcePort} > {DestinationPort} ");
                }

                DescribeTcp(text, isInbound, connection);
                break;
            case IpProtocol.Udp:
                text.Append(CultureInfo.InvariantCulture, $"udp {SourcePort} > {DestinationPort} ({Payload.Length})");
                break;
            case IpProtocol.Icmp:
                text.Append(CultureInfo.InvariantCulture, $"icmp {IcmpType} code {IcmpCode} ({Payload.Length})");
                break;
            default:
                text.Append(CultureInfo.InvariantCulture, $"protocol {Protocol}, {Octets.Length} octets");
                break;
        }

        return text.ToString();
    }

    public static string Describe(ScriptFlags flags)
    {
        const string Letters = "FSRP.UEW";
        string text = string.Concat(Enumerable.Range(0, 8).Where(i => flags.HasFlag((ScriptFlags)(1 << i))).Select(i => Letters[i]));
        return text.Length == 0 ? "-" : text;
    }

    public static string Describe(OptionSpec option, Func<uint, string> timestamp) => option switch
    {
        NopOption => "nop",
        EolOption => "eol",
        MssOption mss => $"mss {mss.Value}",
        WindowScaleOption scale => $"wscale {scale.Shift}",
        SackPermittedOption => "sackOK",
        SackOption sack => "sack " + string.Join(' ', sack.Blocks.Select(b => $"{b.Left}:{b.Right}")),
        TimestampOption ts => $"TS val {(ts.Value is { } value ? timestamp(value) : "*")} ecr {ts.Echo?.ToString(CultureInfo.InvariantCulture) ?? "*"}",
        OtherOption other => $"opt({other.Kind} {other.ContentHex})",
        RawOctets raw => $"bytes({raw.Hex})",
        _ => option.ToString(),
    };

    private LivePacket(byte[] octets, LivePacket from)
        : this(octets)
    {
        Protocol = from.Protocol;
        Source = from.Source;
        Destination = from.Destination;
        TypeOfService = from.TypeOfService;
        TimeToLive = from.TimeToLive;
        IsDontFragment = from.IsDontFragment;
    }

    private LivePacket With(scoped in TcpHeader tcp, string? defect) => new(Octets, this)
    {
        SourcePort = tcp.SourcePort,
        DestinationPort = tcp.DestinationPort,
        Flags = (ScriptFlags)(byte)tcp.Flags,
        Sequence = tcp.Seq.Value,
        Ack = tcp.Ack.Value,
        Window = tcp.Window,
        UrgentPointer = tcp.UrgentPointer,
        Payload = tcp.Payload.ToArray(),
        Options = ParseOptions(tcp.Options, out string? optionDefect),
        Defect = defect ?? optionDefect ?? Defect,
    };

    private static List<OptionSpec> ParseOptions(ReadOnlySpan<byte> octets, out string? defect)
    {
        defect = null;
        List<OptionSpec> options = [];
        while (octets.Length > 0)
        {
            if (octets[0] == 0)
            {
                // RFC 9293 MUST-69.
                defect = octets.IndexOfAnyExcept((byte)0) >= 0 ? "octets other than zero behind end-of-list" : null;
                options.Add(new EolOption());
                return options;
            }

            if (octets[0] == 1)
            {
                options.Add(new NopOption());
                octets = octets[1..];
                continue;
            }

            if (octets.Length < 2 || octets[1] < 2 || octets[1] > octets.Length)
            {
                defect = "an option of illegal length";
                return options;
            }

            options.Add(ParseOption(octets[0], octets[2..octets[1]]));
            octets = octets[octets[1]..];
        }

        return options;
    }

    private static OptionSpec ParseOption(byte kind, ReadOnlySpan<byte> content)
    {
        switch (kind)
        {
            case TcpOptionKind.MaximumSegmentSize when content.Length == 2:
                return new MssOption(BinaryPrimitives.ReadUInt16BigEndian(content));
            case TcpOptionKind.WindowScale when content.Length == 1:
                return new WindowScaleOption(content[0]);
            case TcpOptionKind.SackPermitted when content.Length == 0:
                return new SackPermittedOption();
            case TcpOptionKind.Sack when content.Length % 8 == 0:
                List<(uint, uint)> blocks = [];
                for (; content.Length > 0; content = content[8..])
                {
                    blocks.Add((BinaryPrimitives.ReadUInt32BigEndian(content), BinaryPrimitives.ReadUInt32BigEndian(content[4..])));
                }

                return new SackOption(blocks);
            case TcpOptionKind.Timestamps when content.Length == 8:
                return new TimestampOption(BinaryPrimitives.ReadUInt32BigEndian(content), BinaryPrimitives.ReadUInt32BigEndian(content[4..]));
            default:
                return new OtherOption(kind, Convert.ToHexStringLower(content));
        }
    }

    private void DescribeTcp(StringBuilder text, bool isInbound, Connection? connection)
    {
        uint sequence = isInbound || connection is null ? Sequence : connection.ToScript(Sequence);
        text.Append(CultureInfo.InvariantCulture, $"{Describe(Flags)} {sequence}:{sequence + (uint)Payload.Length}({Payload.Length})");
        if (Flags.HasFlag(ScriptFlags.Ack))
        {
            text.Append(CultureInfo.InvariantCulture, $" ack {(isInbound && connection is not null ? connection.ToScript(Ack) : Ack)}");
        }

        text.Append(CultureInfo.InvariantCulture, $" win {Window}");
        if (Flags.HasFlag(ScriptFlags.U))
        {
            text.Append(CultureInfo.InvariantCulture, $" urg {UrgentPointer}");
        }

        if (Options.Count > 0)
        {
            string Timestamp(uint live) => connection is null || isInbound
                ? live.ToString(CultureInfo.InvariantCulture)
                : connection.TimestampToScript(live)?.ToString(CultureInfo.InvariantCulture) ?? $"{live}(live)";
            text.Append(" <").AppendJoin(',', Options.Select(o => Describe(o, Timestamp))).Append('>');
        }
    }
}
