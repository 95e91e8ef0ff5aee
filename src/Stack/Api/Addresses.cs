using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>An interface address with its prefix length, host bits kept: <c>10.0.0.2/24</c>. (<see cref="IPNetwork"/> drops the host bits.)</summary>
public readonly record struct IPPrefixAddress : ISpanParsable<IPPrefixAddress>
{
    /// <summary>Makes an interface address.</summary>
    /// <param name="address">An IPv4 address.</param>
    /// <param name="prefixLength">The length of the network part: 0 to 32.</param>
    /// <exception cref="ArgumentException">Not IPv4.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The prefix length is out of range.</exception>
    public IPPrefixAddress(IPAddress address, int prefixLength)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (address.AddressFamily != AddressFamily.InterNetwork)
        {
            throw new ArgumentException($"{address} is not an IPv4 address.", nameof(address));
        }

        ArgumentOutOfRangeException.ThrowIfNegative(prefixLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefixLength, 32);
        Address = address;
        PrefixLength = prefixLength;
    }

    /// <summary>The address itself.</summary>
    public IPAddress Address { get; }

    /// <summary>The length of the network part, in bits.</summary>
    public int PrefixLength { get; }

    /// <summary>Reads <c>a.b.c.d/n</c>; without <c>/n</c> it is a host address (/32).</summary>
    /// <param name="s">The text.</param>
    /// <param name="provider">Not used.</param>
    /// <returns>The address.</returns>
    /// <exception cref="FormatException">The text is not an IPv4 interface address.</exception>
    public static IPPrefixAddress Parse(ReadOnlySpan<char> s, IFormatProvider? provider) =>
        TryParse(s, provider, out IPPrefixAddress result) ? result : throw new FormatException($"\"{s}\" is not an IPv4 address with a prefix length, such as 10.0.0.2/24.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char}, IFormatProvider?)"/>
    public static IPPrefixAddress Parse(string s) => Parse(s, null);

    /// <inheritdoc cref="Parse(ReadOnlySpan{char}, IFormatProvider?)"/>
    public static IPPrefixAddress Parse(string s, IFormatProvider? provider)
    {
        ArgumentNullException.ThrowIfNull(s);
        return Parse(s.AsSpan(), provider);
    }

    /// <summary>Tries to read <c>a.b.c.d/n</c>.</summary>
    /// <param name="s">The text.</param>
    /// <param name="provider">Not used.</param>
    /// <param name="result">The address.</param>
    /// <returns>True when the text was understood.</returns>
    public static bool TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out IPPrefixAddress result)
    {
        result = default;
        int slash = s.IndexOf('/');
        ReadOnlySpan<char> host = slash < 0 ? s : s[..slash];
        int prefix = 32;
        if (slash >= 0 && !(int.TryParse(s[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out prefix) && prefix <= 32))
        {
            return false;
        }

        // IPAddress.Parse reads "1.2" as 1.0.0.2; an interface address needs all four parts.
        if (host.Count('.') != 3 || !IPAddress.TryParse(host, out IPAddress? address) || address.AddressFamily != AddressFamily.InterNetwork)
        {
            return false;
        }

        result = new IPPrefixAddress(address, prefix);
        return true;
    }

    /// <inheritdoc cref="TryParse(ReadOnlySpan{char}, IFormatProvider?, out IPPrefixAddress)"/>
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out IPPrefixAddress result) => TryParse(s.AsSpan(), provider, out result);

    /// <summary>The text form, <c>a.b.c.d/n</c>.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => $"{Address}/{PrefixLength}";
}

/// <summary>A route: destinations that are reached through the device.</summary>
/// <param name="Destination">The destinations.</param>
/// <param name="Source">The source address for new flows; null = the stack's first address.</param>
/// <param name="Mtu">The path's MTU when smaller than the device's, in octets; null = the device's.</param>
public sealed record StackRoute(IPNetwork Destination, IPAddress? Source = null, int? Mtu = null);
