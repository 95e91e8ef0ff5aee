namespace Tcpcrypt.Crypt;

/// <summary>What both providers have to know of the two curves (SEC 2; FIPS 186-4 D.1.2).</summary>
internal static class EcCurves
{
    /// <summary>Octets of the longest coordinate.</summary>
    public const int MaxFieldLength = 66;

    /// <summary>The first octet of an uncompressed point (SEC 1 §2.3.3).</summary>
    public const byte Uncompressed = 4;

    private static ReadOnlySpan<byte> OrderP256 =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];

    private static ReadOnlySpan<byte> OrderP521 =>
    [
        0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFA,
        0x51, 0x86, 0x87, 0x83, 0xBF, 0x2F, 0x96, 0x6B, 0x7F, 0xCC, 0x01, 0x48, 0xF7, 0x09, 0xA5, 0xD0,
        0x3B, 0xB5, 0xC9, 0xB8, 0x89, 0x9C, 0x47, 0xAE, 0xBB, 0x6F, 0xB7, 0x1E, 0x91, 0x38, 0x64, 0x09,
    ];

    /// <summary>Octets of a coordinate and of a scalar.</summary>
    public static int FieldLength(TcpcryptKeyExchange keyExchange) => keyExchange switch
    {
        TcpcryptKeyExchange.EcdheP256 => 32,
        TcpcryptKeyExchange.EcdheP521 => MaxFieldLength,
        _ => throw new ArgumentOutOfRangeException(nameof(keyExchange), keyExchange, "not a curve"),
    };

    /// <summary>Octets of an uncompressed point.</summary>
    public static int PointLength(TcpcryptKeyExchange keyExchange) => 1 + (2 * FieldLength(keyExchange));

    /// <summary>True for an encoding that may be a point: infinity (one octet), the compressed and the hybrid forms are refused before any library sees them.</summary>
    public static bool IsUncompressed(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> point) => point.Length == PointLength(keyExchange) && point[0] == Uncompressed;

    /// <summary>True for 0 &lt; scalar &lt; order. In time that does not depend on the octets.</summary>
    /// <exception cref="ArgumentException">The scalar is not as long as the curve's.</exception>
    public static bool IsScalar(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> scalar)
    {
        ReadOnlySpan<byte> order = keyExchange == TcpcryptKeyExchange.EcdheP256 ? OrderP256 : OrderP521;
        if (scalar.Length != FieldLength(keyExchange))
        {
            throw new ArgumentException($"The private key has {scalar.Length} octets; the curve's have {order.Length}.", nameof(scalar));
        }

        int any = 0;
        int borrow = 0;
        for (int index = scalar.Length - 1; index >= 0; index--)
        {
            any |= scalar[index];
            borrow = ((scalar[index] - order[index] - borrow) >> 8) & 1;
        }

        return (any != 0) & (borrow == 1);
    }
}
