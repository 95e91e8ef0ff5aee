using System.Buffers.Binary;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Handshake;

/// <summary>Well-formed messages with made-up keys, written by hand from the tables of the specifications, to be spoiled by tests.</summary>
internal static class Init
{
    public const string P256List = "00020000f004";

    public static byte[] Message1(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, int keyLength, params uint[] ciphers)
    {
        byte[] key = new byte[keyLength];
        key.AsSpan().Fill(0x93);
        if (keyLength > 0)
        {
            key[0] = keyExchange == TcpcryptKeyExchange.OaepRsa ? (byte)0x93 : (byte)4;
        }

        List<byte> message = [];
        int length = 48 + (4 * ciphers.Length) + keyLength;
        byte[] id = [(byte)((int)keyExchange >> 16), (byte)((int)keyExchange >> 8), (byte)keyExchange];
        if (dialect == TcpcryptDialect.Draft)
        {
            message.AddRange([.. Big(length), 0x29, 0x11, (byte)(ciphers.Length >> 8), (byte)ciphers.Length, 0, 32, (byte)(keyLength >> 8), (byte)keyLength]);
            message.AddRange(ciphers.SelectMany(static cipher => Big((int)cipher)));
            message.AddRange([.. Enumerable.Repeat((byte)0x77, 32), 0, .. id]);
        }
        else
        {
            message.AddRange([0x15, 0x10, 0x1a, 0x0e, .. Big(length), 0, .. id, 0, 0, (byte)(ciphers.Length >> 8), (byte)ciphers.Length]);
            message.AddRange(ciphers.SelectMany(static cipher => Big((int)cipher)));
            message.AddRange(Enumerable.Repeat((byte)0x77, 32));
        }

        message.AddRange(key);
        return [.. message];
    }

    public static byte[] Message2(TcpcryptDialect dialect, TcpcryptCipher cipher, params byte[] keyMaterial) => dialect == TcpcryptDialect.Draft
        ? [.. Big(12 + keyMaterial.Length), 0x83, 0x10, (byte)(keyMaterial.Length >> 8), (byte)keyMaterial.Length, .. Big((int)cipher), .. keyMaterial]
        : [0x09, 0x71, 0x05, 0xe0, .. Big(12 + keyMaterial.Length), .. Big((int)cipher), .. keyMaterial];

    /// <summary>20 N_S PK_S.</summary>
    public static byte[] PointMaterial(int pointLength) => [32, .. Enumerable.Repeat((byte)0x66, 32), 4, .. Enumerable.Repeat((byte)0x55, pointLength - 1)];

    /// <summary>The list with all key exchanges and the marker.</summary>
    public static byte[] AllOffered => Convert.FromHexString("00020000020100010000f004");

    private static byte[] Big(int value)
    {
        byte[] octets = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(octets, value);
        return octets;
    }
}
