namespace Tcpcrypt.Scripts.Language;

/// <summary>A script in packetdrill's notation, parsed.</summary>
internal sealed record Script(
    string Name,
    IReadOnlyDictionary<string, string> Options,
    string? InitCommand,
    IReadOnlyList<ScriptEvent> Events,
    IReadOnlyList<string> Specs,
    IReadOnlyList<KeyValuePair<string, string>> StackSettings)
{
    /// <summary>Why the stack does not yet do what the script says; null when it should.</summary>
    public string? KnownFailure { get; init; }
}

internal enum TimeKind
{
    Absolute,
    Relative,
    Any,
    AbsoluteRange,
    RelativeRange,
}

/// <summary>When an event happens, in nanoseconds of script time.</summary>
internal readonly record struct EventTime(TimeKind Kind, long Ns, long EndNs = 0);

internal abstract record ScriptEvent(int Line, EventTime Time, string Text);

internal sealed record PacketEvent(int Line, EventTime Time, string Text, bool IsInbound, PacketSpec Packet) : ScriptEvent(Line, Time, Text);

/// <summary>A system call. With an end time it blocks and is expected to return then.</summary>
internal sealed record SyscallEvent(int Line, EventTime Time, string Text, long? EndNs, string Name, IReadOnlyList<Expression> Arguments, Expression Result, string? Errno) : ScriptEvent(Line, Time, Text);

internal sealed record CommandEvent(int Line, EventTime Time, string Text, string Command) : ScriptEvent(Line, Time, Text);

internal sealed record CodeEvent(int Line, EventTime Time, string Text, string Code) : ScriptEvent(Line, Time, Text);

internal enum EcnSpec
{
    NotEct,
    Ect1,
    Ect0,
    Ce,
    AnyEct,
}

/// <summary>What the script says about the IP header; null = nothing.</summary>
internal sealed record IpSpec(EcnSpec? Ecn = null, byte? TypeOfService = null, byte? TimeToLive = null);

/// <summary>Ports as written, source first; null = the connection's.</summary>
internal readonly record struct PortSpec(ushort Source, ushort Destination);

internal abstract record PacketSpec(IpSpec Ip, PortSpec? Ports)
{
    /// <summary>What is made wrong on purpose: key and value (inbound only).</summary>
    public IReadOnlyDictionary<string, string> Mutations { get; init; } = new Dictionary<string, string>();
}

[Flags]
internal enum ScriptFlags
{
    None = 0,
    F = 1,
    S = 2,
    R = 4,
    P = 8,
    Ack = 16,
    U = 32,
    E = 64,
    W = 128,
}

internal sealed record TcpSpec(IpSpec Ip, PortSpec? Ports, ScriptFlags Flags, uint Sequence, int Length) : PacketSpec(Ip, Ports)
{
    /// <summary>The number may be any (outbound only); <see cref="Sequence"/> says nothing then.</summary>
    public bool IsAnySequence { get; init; }

    public uint? Ack { get; init; }
    public ushort? Window { get; init; }
    public ushort? Urgent { get; init; }

    /// <summary>Null = any options (outbound only).</summary>
    public IReadOnlyList<OptionSpec>? Options { get; init; } = [];
}

internal abstract record OptionSpec;

internal sealed record NopOption : OptionSpec;

internal sealed record EolOption : OptionSpec;

internal sealed record MssOption(ushort Value) : OptionSpec;

internal sealed record WindowScaleOption(byte Shift) : OptionSpec;

internal sealed record SackPermittedOption : OptionSpec;

internal sealed record SackOption(IReadOnlyList<(uint Left, uint Right)> Blocks) : OptionSpec
{
    public bool Equals(SackOption? other) => other is not null && Blocks.SequenceEqual(other.Blocks);

    public override int GetHashCode() => Blocks.Count;
}

/// <summary>Timestamps; null = any value (outbound only).</summary>
internal sealed record TimestampOption(uint? Value, uint? Echo) : OptionSpec;

/// <summary>An option by number, with its content.</summary>
internal sealed record OtherOption(byte Kind, string ContentHex) : OptionSpec;

/// <summary>Octets put into the option area as they are (inbound only).</summary>
internal sealed record RawOctets(string Hex) : OptionSpec;

internal sealed record UdpSpec(IpSpec Ip, PortSpec? Ports, int Length) : PacketSpec(Ip, Ports);

/// <summary>An ICMP message. Errors quote a packet: TCP with sequence number and length, or UDP.</summary>
internal sealed record IcmpSpec(IpSpec Ip, byte Type, byte? Code) : PacketSpec(Ip, null)
{
    public int? Mtu { get; init; }
    public ushort Id { get; init; }
    public uint QuotedSequence { get; init; }
    public int QuotedLength { get; init; }
    public bool QuotesUdp { get; init; }
}

/// <summary>An argument or result of a system call.</summary>
internal abstract record Expression;

internal sealed record EllipsisExpression : Expression;

internal sealed record NumberExpression(long Value) : Expression;

internal sealed record WordExpression(string Word) : Expression;

internal sealed record StringExpression(string Text) : Expression;

internal sealed record OrExpression(Expression Left, Expression Right) : Expression;

internal sealed record ArrayExpression(IReadOnlyList<Expression> Items) : Expression;

internal sealed record CallExpression(string Name, IReadOnlyList<Expression> Arguments) : Expression;

/// <summary>{a=1, b=2}; positional members have an empty name.</summary>
internal sealed record StructExpression(IReadOnlyList<(string Name, Expression Value)> Members) : Expression
{
    public Expression? this[string name] => Members.FirstOrDefault(m => m.Name == name).Value;
}

/// <summary>The script cannot be read.</summary>
internal sealed class ScriptSyntaxException(string name, int line, string message) : Exception($"{name}:{line}: {message}")
{
    public int Line { get; } = line;
}
