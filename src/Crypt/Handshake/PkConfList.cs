namespace Tcpcrypt.Crypt;

/// <summary>The list in PKCONF ([TD-56], [TD-132]).</summary>
internal static class PkConfList
{
    public const int EntryLength = 3;

    /// <summary>The most that is ever sent: three key exchanges and the marker.</summary>
    public const int MaxLength = 4 * EntryLength;

    private const int Marker = 0x00f004;

    /// <summary>Entries with this bit are of a longer form that is still to be invented: not ours to read ([TD-5]).</summary>
    private const int Reserved = 0x800000;

    /// <summary>Writes the key exchanges in order, and the dialect marker 00f004 last; returns the length.</summary>
    public static int Write(ReadOnlySpan<TcpcryptKeyExchange> keyExchanges, bool withMarker, Span<byte> destination)
    {
        int length = 0;
        foreach (TcpcryptKeyExchange keyExchange in keyExchanges)
        {
            Write((int)keyExchange, destination[length..]);
            length += EntryLength;
        }

        if (withMarker)
        {
            Write(Marker, destination[length..]);
            length += EntryLength;
        }

        return length;
    }

    /// <summary>C's choice: the first entry that C supports ([TD-56]), and the dialect ([TD-133]).</summary>
    public static HandshakeError Choose(ReadOnlySpan<byte> list, ReadOnlySpan<TcpcryptKeyExchange> supported, TcpcryptDialect unknownPeer, out TcpcryptKeyExchange keyExchange, out TcpcryptDialect dialect)
    {
        keyExchange = TcpcryptKeyExchange.None;
        dialect = unknownPeer;
        if (list.Length == 0 || list.Length % EntryLength != 0)
        {
            return HandshakeError.Malformed;
        }

        for (; list.Length > 0; list = list[EntryLength..])
        {
            int entry = Read(list);
            if (entry == Marker)
            {
                dialect = TcpcryptDialect.Draft;
            }
            else if (keyExchange == TcpcryptKeyExchange.None && (entry & Reserved) == 0 && Algorithms.IsKnown((TcpcryptKeyExchange)entry) && supported.Contains((TcpcryptKeyExchange)entry))
            {
                keyExchange = (TcpcryptKeyExchange)entry;
            }
        }

        return keyExchange == TcpcryptKeyExchange.None ? HandshakeError.NoCommonAlgorithm : HandshakeError.None;
    }

    /// <summary>True for a key exchange that was offered; the marker never is one.</summary>
    public static bool Contains(ReadOnlySpan<byte> list, TcpcryptKeyExchange keyExchange)
    {
        for (; list.Length >= EntryLength; list = list[EntryLength..])
        {
            if (Read(list) == (int)keyExchange)
            {
                return Algorithms.IsKnown(keyExchange);
            }
        }

        return false;
    }

    private static int Read(ReadOnlySpan<byte> entry) => (entry[0] << 16) | (entry[1] << 8) | entry[2];

    private static void Write(int value, Span<byte> entry)
    {
        entry[0] = (byte)(value >> 16);
        entry[1] = (byte)(value >> 8);
        entry[2] = (byte)value;
    }
}
