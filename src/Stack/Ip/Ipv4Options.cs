namespace Tcpcrypt.Ip;

/// <summary>IPv4 option types (RFC 791 §3.1, RFC 2113).</summary>
internal static class Ipv4OptionType
{
    public const byte EndOfList = 0;
    public const byte NoOperation = 1;
    public const byte RecordRoute = 7;
    public const byte Timestamp = 68;
    public const byte LooseSourceRoute = 131;
    public const byte StrictSourceRoute = 137;
    public const byte RouterAlert = 148;
}

internal enum Ipv4OptionVerdict
{
    Acceptable,

    /// <summary>Dropped in silence (RFC 7126 §4.3, §4.4): a reply along the route would go wherever the sender likes.</summary>
    SourceRoute,

    /// <summary>A length or pointer that cannot be: parameter problem.</summary>
    Malformed,
}

/// <summary>Checks an option list. Nothing is recorded or time-stamped (both are optional for hosts, RFC 1122 §3.2.1.8); unknown options are skipped.</summary>
internal static class Ipv4Options
{
    /// <param name="options">The octets between the fixed header and the payload.</param>
    /// <param name="errorAt">When malformed: index of the octet found wrong, from the start of the IP header.</param>
    public static Ipv4OptionVerdict Check(ReadOnlySpan<byte> options, out int errorAt)
    {
        errorAt = 0;
        int at = 0;
        while (at < options.Length && options[at] != Ipv4OptionType.EndOfList)
        {
            byte type = options[at];
            if (type == Ipv4OptionType.NoOperation)
            {
                at++;
                continue;
            }

            if (type is Ipv4OptionType.LooseSourceRoute or Ipv4OptionType.StrictSourceRoute)
            {
                return Ipv4OptionVerdict.SourceRoute;
            }

            int length = at + 1 < options.Length ? options[at + 1] : 0;
            if (length < MinLength(type) || length > options.Length - at)
            {
                errorAt = Wire.Ipv4Header.MinLength + Math.Min(at + 1, options.Length - 1);
                return Ipv4OptionVerdict.Malformed;
            }

            // The pointer counts from 1; it starts behind type, length and itself, for a timestamp behind the flags too.
            int firstSlot = type switch { Ipv4OptionType.RecordRoute => 4, Ipv4OptionType.Timestamp => 5, _ => 0 };
            if (firstSlot > 0 && options[at + 2] < firstSlot)
            {
                errorAt = Wire.Ipv4Header.MinLength + at + 2;
                return Ipv4OptionVerdict.Malformed;
            }

            at += length;
        }

        return Ipv4OptionVerdict.Acceptable;
    }

    private static int MinLength(byte type) => type switch
    {
        Ipv4OptionType.RecordRoute => 3,
        Ipv4OptionType.Timestamp or Ipv4OptionType.RouterAlert => 4,
        _ => 2,
    };
}
