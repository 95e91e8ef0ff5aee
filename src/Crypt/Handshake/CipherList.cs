using System.Buffers.Binary;

namespace Tcpcrypt.Crypt;

/// <summary>sym-cipher-list in INIT1.</summary>
internal static class CipherList
{
    public const int EntryLength = 4;

    /// <summary>Returns the length.</summary>
    public static int Write(ReadOnlySpan<TcpcryptCipher> ciphers, Span<byte> destination)
    {
        for (int i = 0; i < ciphers.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(destination[(i * EntryLength)..], (uint)ciphers[i]);
        }

        return ciphers.Length * EntryLength;
    }

    public static bool Contains(ReadOnlySpan<byte> list, TcpcryptCipher cipher)
    {
        for (; list.Length > 0; list = list[EntryLength..])
        {
            if (BinaryPrimitives.ReadUInt32BigEndian(list) == (uint)cipher)
            {
                return true;
            }
        }

        return false;
    }
}
