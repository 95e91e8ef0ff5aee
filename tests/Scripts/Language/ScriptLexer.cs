namespace Tcpcrypt.Scripts.Language;

internal enum TokenKind
{
    /// <summary>Decimal or hexadecimal integer, perhaps negative.</summary>
    Integer,

    /// <summary>Number with a fraction.</summary>
    Float,
    Word,
    Address,
    String,
    BackQuoted,
    Code,

    /// <summary>--name=value, whole.</summary>
    Option,
    Ellipsis,

    /// <summary>Any other character.</summary>
    Symbol,
    End,
}

internal readonly record struct Token(TokenKind Kind, string Text, int Line, int Position);

/// <summary>Cuts a script into tokens; comments vanish.</summary>
internal sealed class ScriptLexer(string name, string text)
{
    private int _position;
    private int _line = 1;

    public List<Token> ReadAll()
    {
        List<Token> tokens = [];
        while (true)
        {
            SkipBlanks();
            Token token = Read();
            tokens.Add(token);
            if (token.Kind == TokenKind.End)
            {
                return tokens;
            }
        }
    }

    private char Peek(int ahead = 0) => _position + ahead < text.Length ? text[_position + ahead] : '\0';

    private void SkipBlanks()
    {
        while (_position < text.Length)
        {
            if (char.IsWhiteSpace(Peek()))
            {
                Advance(1);
            }
            else if (Peek() == '/' && Peek(1) == '/')
            {
                int end = text.IndexOf('\n', _position);
                Advance((end < 0 ? text.Length : end) - _position);
            }
            else if (Peek() == '/' && Peek(1) == '*')
            {
                Advance(Find("*/", 2) - _position);
            }
            else
            {
                return;
            }
        }
    }

    private Token Read()
    {
        if (_position >= text.Length)
        {
            return new Token(TokenKind.End, "end of the script", _line, _position);
        }

        char c = Peek();
        if (c == '"')
        {
            return Quoted(TokenKind.String, "\"", 1);
        }

        if (c == '`')
        {
            return Quoted(TokenKind.BackQuoted, "`", 1);
        }

        if (c == '%' && Peek(1) == '{')
        {
            return Quoted(TokenKind.Code, "}%", 2);
        }

        if (c == '.' && Peek(1) == '.' && Peek(2) == '.')
        {
            return Take(TokenKind.Ellipsis, 3);
        }

        if (c == '-' && Peek(1) == '-' && char.IsLetter(Peek(2)))
        {
            return OptionToken();
        }

        if (char.IsDigit(c) || (c is '.' or '-' && char.IsDigit(Peek(1))) || (c == '-' && Peek(1) == '.' && char.IsDigit(Peek(2))))
        {
            return Number();
        }

        int length = WordLength(0);
        return length > 0 ? Take(TokenKind.Word, length) : Take(TokenKind.Symbol, 1);
    }

    private int WordLength(int from)
    {
        int length = from;
        while (char.IsAsciiLetterOrDigit(Peek(length)) || Peek(length) == '_')
        {
            length++;
        }

        return length - from;
    }

    private Token Number()
    {
        int start = Peek() == '-' ? 1 : 0;
        int length = start + WordLength(start);
        ReadOnlySpan<char> first = text.AsSpan(_position + start, length - start);
        if (first.Length > 0 && first.IndexOfAnyExceptInRange('0', '9') >= 0)
        {
            // 0x2c, or a word that starts with a digit, such as the content of an option.
            bool isHex = first.StartsWith("0x", StringComparison.Ordinal) && first.Length > 2 && IsAllHex(first[2..]);
            return Take(isHex ? TokenKind.Integer : TokenKind.Word, length);
        }

        int dots = 0;
        while (Peek(length) == '.' && char.IsDigit(Peek(length + 1)))
        {
            dots++;
            length++;
            while (char.IsDigit(Peek(length)))
            {
                length++;
            }
        }

        return dots switch
        {
            0 => Take(TokenKind.Integer, length),
            1 => Take(TokenKind.Float, length),
            3 => Take(TokenKind.Address, length),
            _ => throw new ScriptSyntaxException(name, _line, $"\"{text.Substring(_position, length)}\" is neither a number nor an address"),
        };
    }

    private static bool IsAllHex(ReadOnlySpan<char> digits)
    {
        foreach (char digit in digits)
        {
            if (!char.IsAsciiHexDigit(digit))
            {
                return false;
            }
        }

        return true;
    }

    private Token OptionToken()
    {
        int length = 2;
        while (_position + length < text.Length && !char.IsWhiteSpace(Peek(length)))
        {
            // A value in quotes may contain blanks.
            char quote = Peek(length);
            if (quote is '"' or '`')
            {
                int end = text.IndexOf(quote, _position + length + 1);
                length = end < 0 ? text.Length - _position : end - _position;
            }

            length++;
        }

        return Take(TokenKind.Option, Math.Min(length, text.Length - _position));
    }

    private Token Quoted(TokenKind kind, string close, int openLength)
    {
        int end = Find(close, openLength);
        Token token = new(kind, text[(_position + openLength)..(end - close.Length)], _line, _position);
        Advance(end - _position);
        return token;
    }

    /// <summary>Position behind the next <paramref name="close"/>.</summary>
    private int Find(string close, int from)
    {
        int end = text.IndexOf(close, Math.Min(_position + from, text.Length), StringComparison.Ordinal);
        return end < 0 ? throw new ScriptSyntaxException(name, _line, $"\"{close}\" is missing") : end + close.Length;
    }

    private Token Take(TokenKind kind, int length)
    {
        Token token = new(kind, text.Substring(_position, length), _line, _position);
        Advance(length);
        return token;
    }

    private void Advance(int count)
    {
        _line += text.AsSpan(_position, count).Count('\n');
        _position += count;
    }
}
