using System.Globalization;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Scripts.Language;

/// <summary>Reads packetdrill's notation: options, an initial command, events. Packets are in the other part.</summary>
/// <remarks>
/// Beyond packetdrill: the comments "// Spec: ids", "// Stack: key=value" and "// Known failure: reason" at the start of a line; * for a timestamp that may be anything;
/// the options opt(kind hex) and bytes(hex); {key value, …} behind an inbound packet, which makes it wrong (see PacketBuilder).
/// </remarks>
internal sealed partial class ScriptParser
{
    private readonly string _name;
    private readonly string _text;
    private readonly List<Token> _tokens;
    private int _next;

    private ScriptParser(string name, string text)
    {
        _name = name;
        _text = text;
        _tokens = new ScriptLexer(name, text).ReadAll();
    }

    private Token Current => _tokens[_next];

    /// <summary>Parses a script.</summary>
    /// <exception cref="ScriptSyntaxException">It cannot be read; the message has name and line.</exception>
    public static Script Parse(string name, string text) => new ScriptParser(name, text).ParseScript();

    [GeneratedRegex(@"^//\s*Spec:\s*(.+)$", RegexOptions.Multiline)]
    private static partial Regex SpecComment();

    [GeneratedRegex(@"^//\s*Stack:\s*(.+)$", RegexOptions.Multiline)]
    private static partial Regex StackComment();

    [GeneratedRegex(@"^//\s*Known failure:\s*(.+)$", RegexOptions.Multiline)]
    private static partial Regex KnownFailureComment();

    private Script ParseScript()
    {
        Dictionary<string, string> options = [];
        while (Current.Kind == TokenKind.Option)
        {
            string[] parts = Take().Text[2..].Split('=', 2);
            options[parts[0]] = parts.Length == 2 ? parts[1].Trim('"', '`') : "";
        }

        string? init = Current.Kind == TokenKind.BackQuoted ? Take().Text : null;
        List<ScriptEvent> events = [];
        while (Current.Kind != TokenKind.End)
        {
            if (Current.Kind == TokenKind.BackQuoted && _tokens[_next + 1].Kind == TokenKind.End)
            {
                // A command without a time cleans up behind the script; there is nothing to clean up here.
                Take();
                break;
            }

            events.Add(ParseEvent());
        }

        return new Script(_name, options, init, events, [.. CommentItems(SpecComment())], [.. CommentItems(StackComment()).Select(Setting)])
        {
            KnownFailure = KnownFailureComment().Match(_text) is { Success: true } known ? known.Groups[1].Value.Trim() : null,
        };
    }

    private IEnumerable<string> CommentItems(Regex comment) =>
        comment.Matches(_text).SelectMany(m => m.Groups[1].Value.Split([' ', ',', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries));

    private KeyValuePair<string, string> Setting(string item) => item.Split('=', 2) is [var key, var value]
        ? new KeyValuePair<string, string>(key, value)
        : throw new ScriptSyntaxException(_name, 1, $"stack setting \"{item}\" is not key=value");

    private ScriptEvent ParseEvent()
    {
        Token first = Current;
        EventTime time = ParseTime();
        Token action = Current;
        if (IsSymbol('<') || IsSymbol('>'))
        {
            bool isInbound = Take().Text == "<";
            PacketSpec packet = ParsePacket(isInbound);
            if (isInbound && time.Kind is not (TimeKind.Absolute or TimeKind.Relative))
            {
                throw Error(first, "only outbound packets may have a time range or *");
            }

            return new PacketEvent(first.Line, time, TextFrom(first), isInbound, packet);
        }

        if (time.Kind is not (TimeKind.Absolute or TimeKind.Relative))
        {
            throw Error(first, "only outbound packets may have a time range or *");
        }

        switch (action.Kind)
        {
            case TokenKind.BackQuoted:
                Take();
                return new CommandEvent(first.Line, time, TextFrom(first), action.Text);
            case TokenKind.Code:
                Take();
                return new CodeEvent(first.Line, time, TextFrom(first), action.Text);
            default:
                return ParseSyscall(first, time);
        }
    }

    private EventTime ParseTime()
    {
        if (TrySymbol('*'))
        {
            return new EventTime(TimeKind.Any, 0);
        }

        bool isRelative = TrySymbol('+');
        long start = TakeSeconds();
        if (!TrySymbol('~'))
        {
            return new EventTime(isRelative ? TimeKind.Relative : TimeKind.Absolute, start);
        }

        Token at = Current;
        if (TrySymbol('+') != isRelative)
        {
            throw Error(at, "both ends of a time range are absolute, or both relative");
        }

        long end = TakeSeconds();
        return end >= start
            ? new EventTime(isRelative ? TimeKind.RelativeRange : TimeKind.AbsoluteRange, start, end)
            : throw Error(at, "the time range runs backwards");
    }

    private SyscallEvent ParseSyscall(Token first, EventTime time)
    {
        long? end = null;
        if (Current.Kind == TokenKind.Ellipsis)
        {
            Take();
            TrySymbol('+');
            end = TakeSeconds();
        }

        string name = Expect(TokenKind.Word, "a system call, a packet, a command or code").Text;
        Expect('(');
        List<Expression> arguments = ParseList(')');
        Expect('=');
        Expression result = TrySymbol('?') ? new EllipsisExpression() : ParseExpression();
        string? errno = Current.Kind == TokenKind.Word ? Take().Text : null;
        string text = TextFrom(first);
        if (TrySymbol('('))
        {
            while (!TrySymbol(')'))
            {
                if (Take().Kind == TokenKind.End)
                {
                    throw Error(first, "the note behind the result has no )");
                }
            }
        }

        return new SyscallEvent(first.Line, time, text, end, name, arguments, result, errno);
    }

    private List<Expression> ParseList(char close)
    {
        List<Expression> items = [];
        while (!TrySymbol(close))
        {
            if (items.Count > 0)
            {
                Expect(',');
            }

            items.Add(ParseExpression());
        }

        return items;
    }

    private Expression ParseExpression()
    {
        Expression left = ParseOperand();
        while (TrySymbol('|'))
        {
            left = new OrExpression(left, ParseOperand());
        }

        return left;
    }

    private Expression ParseOperand()
    {
        Token token = Take();
        switch (token.Kind)
        {
            case TokenKind.Ellipsis:
                return new EllipsisExpression();
            case TokenKind.Integer:
                return new NumberExpression(Integer(token));
            case TokenKind.String:
                if (Current.Kind == TokenKind.Ellipsis)
                {
                    Take();
                }

                return new StringExpression(token.Text);
            case TokenKind.Word when TrySymbol('('):
                return new CallExpression(token.Text, ParseList(')'));
            case TokenKind.Word:
                return new WordExpression(token.Text);
            case TokenKind.Symbol when token.Text == "[":
                return new ArrayExpression(ParseList(']'));
            case TokenKind.Symbol when token.Text == "{":
                return ParseStruct();
            default:
                throw Error(token, $"\"{token.Text}\" is no expression");
        }
    }

    private StructExpression ParseStruct()
    {
        List<(string, Expression)> members = [];
        while (!TrySymbol('}'))
        {
            if (members.Count > 0)
            {
                Expect(',');
            }

            Expression value = ParseExpression();
            string member = "";
            if (TrySymbol('='))
            {
                member = value switch { WordExpression word => word.Word, CallExpression call => call.Name, _ => "" };
                value = ParseExpression();
            }

            members.Add((member, value));
        }

        return new StructExpression(members);
    }

    // Tokens.

    private Token Take() => _tokens[_next < _tokens.Count - 1 ? _next++ : _next];

    private bool IsSymbol(char symbol, int ahead = 0) =>
        _next + ahead < _tokens.Count && _tokens[_next + ahead] is { Kind: TokenKind.Symbol } token && token.Text[0] == symbol;

    private bool TrySymbol(char symbol)
    {
        bool found = IsSymbol(symbol);
        _next += found ? 1 : 0;
        return found;
    }

    private bool TryWord(string word)
    {
        bool found = Current.Kind == TokenKind.Word && Current.Text == word;
        _next += found ? 1 : 0;
        return found;
    }

    private void Expect(char symbol)
    {
        if (!TrySymbol(symbol))
        {
            throw Error(Current, $"\"{symbol}\" expected, found \"{Current.Text}\"");
        }
    }

    private Token Expect(TokenKind kind, string what) => Current.Kind == kind ? Take() : throw Error(Current, $"{what} expected, found \"{Current.Text}\"");

    private long TakeSeconds()
    {
        Token token = Take();
        return token.Kind is TokenKind.Integer or TokenKind.Float && decimal.TryParse(token.Text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal seconds)
            ? (long)(seconds * 1_000_000_000)
            : throw Error(token, $"a time in seconds expected, found \"{token.Text}\"");
    }

    private long TakeInteger(long max, string what)
    {
        Token token = Expect(TokenKind.Integer, what);
        long value = Integer(token);
        return value >= 0 && value <= max ? value : throw Error(token, $"{what}: {value} is out of range");
    }

    private static long Integer(Token token) => token.Text.StartsWith("0x", StringComparison.Ordinal)
        ? long.Parse(token.Text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
        : long.Parse(token.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

    /// <summary>The script's own words from a token up to the one not yet taken, on one line.</summary>
    private string TextFrom(Token first)
    {
        int last = _next < _tokens.Count ? _tokens[_next].Position : _text.Length;
        string text = _text[first.Position..last];
        int comment = text.IndexOf("//", StringComparison.Ordinal);
        text = comment < 0 ? text : text[..comment];
        return string.Join(' ', text.Split([' ', '\t', '\r', '\n'], StringSplitOptions.RemoveEmptyEntries));
    }

    private ScriptSyntaxException Error(Token at, string message) => new(_name, at.Line, message);
}
