namespace Tcpcrypt.Crypt;

/// <summary>INIT1 taken apart, in place.</summary>
internal readonly ref struct Init1
{
    public required ReadOnlySpan<byte> Message { get; init; }

    /// <summary>sym-cipher-list.</summary>
    public required ReadOnlySpan<byte> Ciphers { get; init; }

    /// <summary>N_C.</summary>
    public required ReadOnlySpan<byte> Nonce { get; init; }

    public required TcpcryptKeyExchange KeyExchange { get; init; }

    /// <summary>PK_C.</summary>
    public required ReadOnlySpan<byte> PublicKey { get; init; }
}

/// <summary>INIT2 taken apart, in place.</summary>
internal readonly ref struct Init2
{
    public required ReadOnlySpan<byte> Message { get; init; }

    public required TcpcryptCipher Cipher { get; init; }

    /// <summary>KX_S.</summary>
    public required ReadOnlySpan<byte> KeyMaterial { get; init; }
}

/// <summary>INIT1 and INIT2 as messages in the byte stream ([TD-62..64]; reference spec 4).</summary>
internal static class InitMessage
{
    /// <summary>The longest message that is gathered ([TD-64]).</summary>
    public const int MaxLength = 1024;

    /// <summary>Octets that must be there before <see cref="TryReadLength1"/> and <see cref="TryReadLength2"/> can tell.</summary>
    public const int PrefixLength = 8;

    /// <summary>What is fixed in front of the ciphers and between them and the key, in both dialects.</summary>
    private const int Overhead1 = 16;

    private const int Overhead2 = 12;

    private const byte UncompressedPoint = 4;

    /// <summary>Reads dialect and total length from the first octets of INIT1 ([TD-134]); false when it is neither dialect's or too long.</summary>
    public static bool TryReadLength1(ReadOnlySpan<byte> message, out TcpcryptDialect dialect, out int length)
    {
        WireDialect? recognised = Recognise(message, out uint announced);
        dialect = recognised?.Name ?? TcpcryptDialect.None;
        return IsPossible(recognised is not null, announced, Overhead1 + Algorithms.NonceLength, out length);
    }

    /// <summary>Reads the total length of INIT2 in a dialect; false when it is malformed or too long.</summary>
    public static bool TryReadLength2(TcpcryptDialect dialect, ReadOnlySpan<byte> message, out int length)
    {
        uint announced = 0;
        return IsPossible(message.Length >= PrefixLength && WireDialect.Of(dialect).TryReadLength2(message, out announced), announced, Overhead2, out length);
    }

    /// <summary>How long INIT1 will be: what does not fit the MSS is not offered ([TD-64]). Both dialects need the same.</summary>
    public static int Length1(int publicKeyLength, int ciphers) => Overhead1 + (CipherList.EntryLength * ciphers) + Algorithms.NonceLength + publicKeyLength;

    /// <summary>How long INIT2 will be.</summary>
    public static int Length2(TcpcryptKeyExchange keyExchange, int publicKeyLength) => Overhead2 + Algorithms.KeyMaterialLength(keyExchange, publicKeyLength);

    /// <summary>The length of PK_C in octets, for the two curves: an uncompressed point.</summary>
    public static int PublicKeyLength(TcpcryptKeyExchange keyExchange) => keyExchange == TcpcryptKeyExchange.EcdheP521 ? 133 : 65;

    /// <summary>Reads an INIT1 of either dialect; false unless every field is as it must be ([TD-50]). Whether a point is on its curve is left to who computes with it.</summary>
    /// <param name="message">The whole message.</param>
    /// <param name="pkConf">The list that S sent.</param>
    /// <param name="dialect">The dialect of the message; null when it is malformed.</param>
    /// <param name="init1">The fields.</param>
    public static bool TryRead1(ReadOnlySpan<byte> message, ReadOnlySpan<byte> pkConf, out WireDialect? dialect, out Init1 init1)
    {
        init1 = default;
        dialect = message.Length <= MaxLength ? Recognise(message, out _) : null;
        if (dialect is null || !dialect.TryRead1(message, out init1) || init1.Nonce.Length != Algorithms.NonceLength || !PkConfList.Contains(pkConf, init1.KeyExchange)
            || !IsPublicKey(dialect, init1.KeyExchange, init1.PublicKey))
        {
            dialect = null;
            return false;
        }

        return true;
    }

    /// <summary>Reads an INIT2; false unless it answers that INIT1: a cipher of its list, key material of the right length.</summary>
    public static bool TryRead2(WireDialect dialect, in Init1 init1, ReadOnlySpan<byte> message, out Init2 init2)
    {
        init2 = default;
        return message.Length <= MaxLength
            && dialect.TryRead2(message, out init2)
            && dialect.Knows(init2.Cipher)
            && CipherList.Contains(init1.Ciphers, init2.Cipher)
            && init2.KeyMaterial.Length == Algorithms.KeyMaterialLength(init1.KeyExchange, init1.PublicKey.Length)
            && HasNonce(init1.KeyExchange, init2.KeyMaterial);
    }

    /// <summary>True when the octets are a well-formed INIT1 of a key exchange in the list ([TD-49]).</summary>
    public static bool IsWellFormed1(ReadOnlySpan<byte> message, ReadOnlySpan<byte> pkConf) => TryRead1(message, pkConf, out _, out _);

    /// <summary>True when the octets are a well-formed INIT2 of any key exchange ([TD-49]).</summary>
    public static bool IsWellFormed2(TcpcryptDialect dialect, ReadOnlySpan<byte> message)
    {
        WireDialect wire = WireDialect.Of(dialect);
        if (message.Length > MaxLength || !wire.TryRead2(message, out Init2 init2) || !wire.Knows(init2.Cipher))
        {
            return false;
        }

        int length = init2.KeyMaterial.Length;
        return IsModulusLength(wire, length)
            || IsPointMaterial(TcpcryptKeyExchange.EcdheP256, init2.KeyMaterial)
            || IsPointMaterial(TcpcryptKeyExchange.EcdheP521, init2.KeyMaterial);

        static bool IsPointMaterial(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> material) =>
            material.Length == Algorithms.KeyMaterialLength(keyExchange, PublicKeyLength(keyExchange)) && HasNonce(keyExchange, material);
    }

    /// <summary>15 10 1a 0e at octet 0, or 29 11 at octet 4 ([TD-134]).</summary>
    private static WireDialect? Recognise(ReadOnlySpan<byte> message, out uint length)
    {
        length = 0;
        return message.Length < PrefixLength ? null
            : WireDialect.Reference.TryReadLength1(message, out length) ? WireDialect.Reference
            : WireDialect.Draft.TryReadLength1(message, out length) ? WireDialect.Draft
            : null;
    }

    private static bool IsPossible(bool isRecognised, uint announced, int min, out int length)
    {
        bool isPossible = isRecognised && announced >= min && announced <= MaxLength;
        length = isPossible ? (int)announced : 0;
        return isPossible;
    }

    private static bool IsPublicKey(WireDialect dialect, TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> publicKey)
    {
        if (keyExchange == TcpcryptKeyExchange.OaepRsa)
        {
            // As many bits as octets make, so the top bit is set.
            return IsModulusLength(dialect, publicKey.Length) && (publicKey[0] & 0x80) != 0 && (publicKey[^1] & 1) != 0;
        }

        return publicKey.Length == PublicKeyLength(keyExchange) && publicKey[0] == UncompressedPoint;
    }

    private static bool IsModulusLength(WireDialect dialect, int octets) => octets is >= Algorithms.MinModulusLength and <= Algorithms.MaxModulusLength && octets % dialect.ModulusStep == 0;

    /// <summary>With the curves N_S has its length in front, and PK_S is uncompressed.</summary>
    private static bool HasNonce(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> material) =>
        keyExchange == TcpcryptKeyExchange.OaepRsa || (material[0] == Algorithms.NonceLength && material[1 + Algorithms.NonceLength] == UncompressedPoint);
}
