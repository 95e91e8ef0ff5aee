using System.Buffers.Binary;

namespace Tcpcrypt.Wire;

/// <summary>TCP option kinds.</summary>
internal static class TcpOptionKind
{
    public const byte EndOfList = 0;
    public const byte NoOperation = 1;
    public const byte MaximumSegmentSize = 2;
    public const byte WindowScale = 3;
    public const byte SackPermitted = 4;
    public const byte Sack = 5;
    public const byte Timestamps = 8;
}

/// <summary>One option in place: its kind and the content behind kind and length.</summary>
internal readonly ref struct TcpOption(byte kind, ReadOnlySpan<byte> content)
{
    public byte Kind { get; } = kind;

    public ReadOnlySpan<byte> Content { get; } = content;
}

/// <summary>Walks the options of a header. Always advances and always ends; an illegal length stops the walk (RFC 9293 MUST-7) and is told by <see cref="IsMalformed"/>.</summary>
internal ref struct TcpOptionReader
{
    private ReadOnlySpan<byte> _rest;

    public TcpOptionReader(ReadOnlySpan<byte> options)
    {
        _rest = options;
        Current = default;
        IsMalformed = false;
    }

    public TcpOption Current { get; private set; }

    /// <summary>True when the walk stopped at a length of 0 or 1, or one that runs past the header.</summary>
    public bool IsMalformed { get; private set; }

    public bool MoveNext()
    {
        while (_rest.Length > 0)
        {
            byte kind = _rest[0];
            if (kind == TcpOptionKind.EndOfList)
            {
                break;
            }

            if (kind == TcpOptionKind.NoOperation)
            {
                _rest = _rest[1..];
                continue;
            }

            if (_rest.Length < 2 || _rest[1] < 2 || _rest[1] > _rest.Length)
            {
                IsMalformed = true;
                break;
            }

            Current = new TcpOption(kind, _rest[2.._rest[1]]);
            _rest = _rest[_rest[1]..];
            return true;
        }

        _rest = default;
        return false;
    }
}

/// <summary>The options of a SYN as a small value (RFC 9293 §3.2, RFC 7323, RFC 2018). Wrong lengths count as absent.</summary>
internal readonly record struct SynOptions
{
    /// <summary>MSS, or null when absent (RFC 9293 MUST-15: assume 536).</summary>
    public ushort? MaximumSegmentSize { get; init; }

    /// <summary>The shift count as sent (0..255), or null.</summary>
    public byte? WindowScale { get; init; }

    public bool SackPermitted { get; init; }

    public bool HasTimestamps { get; init; }

    public uint TsVal { get; init; }

    public uint TsEcr { get; init; }

    /// <summary>True when the option list was cut short by an illegal length.</summary>
    public bool IsMalformed { get; init; }

    public static SynOptions Parse(ReadOnlySpan<byte> options)
    {
        SynOptions result = default;
        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
            ReadOnlySpan<byte> content = reader.Current.Content;
            switch (reader.Current.Kind)
            {
                case TcpOptionKind.MaximumSegmentSize when content.Length == 2:
                    ushort mss = BinaryPrimitives.ReadUInt16BigEndian(content);
                    result = result with { MaximumSegmentSize = mss == 0 ? null : mss };
                    break;
                case TcpOptionKind.WindowScale when content.Length == 1:
                    result = result with { WindowScale = content[0] };
                    break;
                case TcpOptionKind.SackPermitted when content.Length == 0:
                    result = result with { SackPermitted = true };
                    break;
                case TcpOptionKind.Timestamps when content.Length == 8:
                    result = result with
                    {
                        HasTimestamps = true,
                        TsVal = BinaryPrimitives.ReadUInt32BigEndian(content),
                        TsEcr = BinaryPrimitives.ReadUInt32BigEndian(content[4..]),
                    };
                    break;
                default:
                    break;
            }
        }

        return result with { IsMalformed = reader.IsMalformed };
    }
}
