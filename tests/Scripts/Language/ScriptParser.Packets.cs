namespace Tcpcrypt.Scripts.Language;

internal sealed partial class ScriptParser
{
    private static readonly Dictionary<string, byte> s_icmpTypes = new()
    {
        ["echo_reply"] = 0,
        ["unreachable"] = 3,
        ["source_quench"] = 4,
        ["redirect"] = 5,
        ["echo_request"] = 8,
        ["echo"] = 8,
        ["time_exceeded"] = 11,
        ["parameter_problem"] = 12,
        ["timestamp_request"] = 13,
        ["timestamp_reply"] = 14,
        ["information_request"] = 15,
        ["information_reply"] = 16,
        ["address_mask_request"] = 17,
        ["address_mask_reply"] = 18,
    };

    private static readonly Dictionary<string, byte> s_icmpCodes = new()
    {
        ["net_unreachable"] = 0,
        ["host_unreachable"] = 1,
        ["protocol_unreachable"] = 2,
        ["port_unreachable"] = 3,
        ["frag_needed"] = 4,
        ["source_route_failed"] = 5,
        ["net_unknown"] = 6,
        ["host_unknown"] = 7,
        ["source_host_isolated"] = 8,
        ["net_prohibited"] = 9,
        ["host_prohibited"] = 10,
        ["net_unreachable_for_tos"] = 11,
        ["host_unreachable_for_tos"] = 12,
        ["packet_filtered"] = 13,
        ["precedence_violation"] = 14,
        ["precedence_cutoff"] = 15,
        ["ttl_exceeded"] = 0,
        ["ttl_exceeded_in_transit"] = 0,
        ["reassembly_exceeded"] = 1,
        ["frag_reass_exceeded"] = 1,
    };

    private PacketSpec ParsePacket(bool isInbound)
    {
        IcmpSpec? quoted = null;
        IpSpec ip = new();
        if (IsSymbol('[') && (_tokens[_next + 1].Text == "udp" || IsSymbol(':', 2)))
        {
            quoted = ParseQuote(new IcmpSpec(ip, 0, null));
        }
        else if (IsSymbol('[') || IsSymbol('('))
        {
            ip = ParseIpInfo();
        }

        PacketSpec packet;
        if (TryWord("icmp"))
        {
            packet = ParseIcmp(ip, quoted);
        }
        else if (TryWord("udp"))
        {
            PortSpec? ports = ParsePorts();
            Expect('(');
            packet = new UdpSpec(ip, ports, (int)TakeInteger(65_507, "a payload length"));
            Expect(')');
        }
        else
        {
            packet = ParseTcp(ip);
        }

        if (packet is TcpSpec { Options: null } && isInbound)
        {
            throw Error(Current, "<...> is for outbound packets only");
        }

        if (packet is TcpSpec { IsAnySequence: true } && isInbound)
        {
            throw Error(Current, "a sequence number may be any in outbound packets only");
        }

        if (!IsSymbol('{'))
        {
            return packet;
        }

        Token brace = Current;
        return isInbound ? packet with { Mutations = ParseMutations() } : throw Error(brace, "only inbound packets can be made wrong");
    }

    private IpSpec ParseIpInfo()
    {
        char close = Take().Text == "[" ? ']' : ')';
        IpSpec ip = new();
        do
        {
            Token token = Expect(TokenKind.Word, "ect0, ect1, ect01, ce, noecn, tos or ttl");
            ip = token.Text switch
            {
                "noecn" => ip with { Ecn = EcnSpec.NotEct },
                "ect0" => ip with { Ecn = EcnSpec.Ect0 },
                "ect1" => ip with { Ecn = EcnSpec.Ect1 },
                "ect01" => ip with { Ecn = EcnSpec.AnyEct },
                "ce" => ip with { Ecn = EcnSpec.Ce },
                "tos" => ip with { TypeOfService = (byte)TakeInteger(255, "a type of service") },
                "ttl" => ip with { TimeToLive = (byte)TakeInteger(255, "a time to live") },
                _ => throw Error(token, $"\"{token.Text}\" is not known about an IP header"),
            };
        }
        while (TrySymbol(','));
        Expect(close);
        return ip;
    }

    private PortSpec? ParsePorts()
    {
        if (Current.Kind != TokenKind.Integer || !IsSymbol('>', 1))
        {
            return null;
        }

        ushort source = (ushort)TakeInteger(65_535, "a port");
        Expect('>');
        return new PortSpec(source, (ushort)TakeInteger(65_535, "a port"));
    }

    private TcpSpec ParseTcp(IpSpec ip)
    {
        PortSpec? ports = ParsePorts();
        ScriptFlags flags = ParseFlags();
        bool isAny = Current.Kind == TokenKind.Ellipsis;
        (uint sequence, int length) = isAny ? (0, ParseAnySequence()) : ParseSequence();
        TcpSpec packet = new(ip, ports, flags, sequence, length) { IsAnySequence = isAny };
        while (true)
        {
            if (TryWord("ack"))
            {
                packet = packet with { Ack = (uint)TakeInteger(uint.MaxValue, "an acknowledgment number") };
            }
            else if (TryWord("win"))
            {
                packet = packet with { Window = (ushort)TakeInteger(65_535, "a window") };
            }
            else if (TryWord("urg"))
            {
                packet = packet with { Urgent = (ushort)TakeInteger(65_535, "an urgent pointer") };
            }
            else if (IsSymbol('<'))
            {
                packet = packet with { Options = ParseOptions() };
            }
            else
            {
                return packet;
            }
        }
    }

    private ScriptFlags ParseFlags()
    {
        if (TrySymbol('-'))
        {
            return ScriptFlags.None;
        }

        ScriptFlags flags = ScriptFlags.None;
        Token first = Current;
        while (Current.Kind == TokenKind.Word || IsSymbol('.'))
        {
            foreach (char letter in Take().Text)
            {
                flags |= letter switch
                {
                    'F' => ScriptFlags.F,
                    'S' => ScriptFlags.S,
                    'R' => ScriptFlags.R,
                    'P' => ScriptFlags.P,
                    '.' => ScriptFlags.Ack,
                    'U' => ScriptFlags.U,
                    'E' => ScriptFlags.E,
                    'W' => ScriptFlags.W,
                    _ => throw Error(first, $"'{letter}' is no TCP flag: F S R P . U E W, or - for none"),
                };
            }
        }

        return flags != ScriptFlags.None ? flags : throw Error(first, $"TCP flags expected, found \"{first.Text}\"");
    }

    private (uint Sequence, int Length) ParseSequence()
    {
        Token at = Current;
        long start = TakeInteger(uint.MaxValue, "a sequence number");
        Expect(':');
        long end = TakeInteger(uint.MaxValue, "a sequence number");
        Expect('(');
        long length = TakeInteger(65_495, "a payload length");
        Expect(')');
        return end == ((start + length) & uint.MaxValue) ? ((uint)start, (int)length) : throw Error(at, $"{start}:{end}({length}) does not add up");
    }

    /// <summary>...(length): wherever it begins.</summary>
    private int ParseAnySequence()
    {
        Take();
        Expect('(');
        long length = TakeInteger(65_495, "a payload length");
        Expect(')');
        return (int)length;
    }

    private List<OptionSpec>? ParseOptions()
    {
        Expect('<');
        if (Current.Kind == TokenKind.Ellipsis || (Current.Kind == TokenKind.Word && Current.Text == "nocheck"))
        {
            // <nocheck> is what old scripts say.
            Take();
            Expect('>');
            return null;
        }

        List<OptionSpec> options = [];
        do
        {
            options.Add(ParseOption());
        }
        while (TrySymbol(','));
        Expect('>');
        return options;
    }

    private OptionSpec ParseOption()
    {
        Token token = Expect(TokenKind.Word, "a TCP option");
        switch (token.Text)
        {
            case "nop":
                return new NopOption();
            case "eol":
                return new EolOption();
            case "mss":
                return new MssOption((ushort)TakeInteger(65_535, "an MSS"));
            case "wscale":
                return new WindowScaleOption((byte)TakeInteger(255, "a shift count"));
            case "sackOK":
                return new SackPermittedOption();
            case "sack":
                List<(uint, uint)> blocks = [];
                while (Current.Kind == TokenKind.Integer)
                {
                    uint left = (uint)TakeInteger(uint.MaxValue, "a sequence number");
                    Expect(':');
                    blocks.Add((left, (uint)TakeInteger(uint.MaxValue, "a sequence number")));
                }

                return new SackOption(blocks);
            case "TS":
                uint? value = TryWord("val") ? TakeTimestamp() : null;
                uint? echo = TryWord("ecr") ? TakeTimestamp() : null;
                return new TimestampOption(value, echo);
            case "FO":
                return new OtherOption(34, IsSymbol(',') || IsSymbol('>') ? "" : Take().Text);
            case "opt":
                Expect('(');
                byte kind = (byte)TakeInteger(255, "an option kind");
                string content = IsSymbol(')') ? "" : TakeHex();
                Expect(')');
                return new OtherOption(kind, content);
            case "bytes":
                Expect('(');
                string octets = TakeHex();
                Expect(')');
                return new RawOctets(octets);
            default:
                throw Error(token, $"\"{token.Text}\" is no TCP option");
        }
    }

    /// <summary>* and ... are any.</summary>
    private uint? TakeTimestamp()
    {
        if (Current.Kind == TokenKind.Ellipsis)
        {
            Take();
            return null;
        }

        return TrySymbol('*') ? null : (uint)TakeInteger(uint.MaxValue, "a timestamp");
    }

    private string TakeHex()
    {
        Token token = Take();
        return token.Text.Length % 2 == 0 && token.Text.All(char.IsAsciiHexDigit) ? token.Text.ToLowerInvariant() : throw Error(token, $"pairs of hexadecimal digits expected, found \"{token.Text}\"");
    }

    private IcmpSpec ParseIcmp(IpSpec ip, IcmpSpec? quoted)
    {
        Token type = Take();
        if (!(type.Kind == TokenKind.Integer ? byte.TryParse(type.Text, out byte typeNumber) : s_icmpTypes.TryGetValue(type.Text, out typeNumber) || TryNumber(type, "type_", out typeNumber)))
        {
            throw Error(type, $"\"{type.Text}\" is no ICMP type");
        }

        byte? code = null;
        if (Current.Kind == TokenKind.Word && (s_icmpCodes.TryGetValue(Current.Text, out byte codeNumber) || TryNumber(Current, "code_", out codeNumber)))
        {
            Take();
            code = codeNumber;
        }
        else if (TryWord("code"))
        {
            code = (byte)TakeInteger(255, "an ICMP code");
        }

        IcmpSpec packet = (quoted ?? new IcmpSpec(ip, 0, null)) with { Ip = ip, Type = typeNumber, Code = code };
        if (TryWord("mtu"))
        {
            packet = packet with { Mtu = (int)TakeInteger(65_535, "an MTU") };
        }

        if (TryWord("id"))
        {
            packet = packet with { Id = (ushort)TakeInteger(65_535, "an identifier") };
        }

        return IsSymbol('[') ? ParseQuote(packet) : packet;
    }

    /// <summary>type_12, code_3.</summary>
    private static bool TryNumber(Token token, string prefix, out byte number)
    {
        number = 0;
        return token.Text.StartsWith(prefix, StringComparison.Ordinal) && byte.TryParse(token.Text.AsSpan(prefix.Length), out number);
    }

    private IcmpSpec ParseQuote(IcmpSpec packet)
    {
        Expect('[');
        if (TryWord("udp"))
        {
            Expect('(');
            packet = packet with { QuotesUdp = true, QuotedLength = (int)TakeInteger(65_507, "a payload length") };
            Expect(')');
        }
        else
        {
            (uint sequence, int length) = ParseSequence();
            packet = packet with { QuotedSequence = sequence, QuotedLength = length };
        }

        Expect(']');
        return packet;
    }

    private Dictionary<string, string> ParseMutations()
    {
        Dictionary<string, string> mutations = [];
        Expect('{');
        do
        {
            string key = Expect(TokenKind.Word, "what to make wrong").Text;
            mutations[key] = IsSymbol(',') || IsSymbol('}') ? "" : Take().Text;
        }
        while (TrySymbol(','));
        Expect('}');
        return mutations;
    }
}
