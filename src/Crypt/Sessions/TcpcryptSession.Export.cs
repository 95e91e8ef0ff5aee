using System.Buffers.Binary;
using Tcpcrypt.Crypt;

namespace Tcpcrypt;

/// <content>A session as octets, for stores outside of this process. All numbers are big-endian.</content>
/// <remarks>
/// 0 version 1 | 1 dialect | 2 role | 3 bit 0: opened here | 4 application bits | 5 key exchange (3) | 8 cipher (4) | 12 bits of the public key (4) | 16 index (8) | 24 chain (32) | 56 secret (32)
/// </remarks>
public sealed partial class TcpcryptSession
{
    /// <summary>The length of what <see cref="Export"/> returns.</summary>
    public const int ExportLength = 88;

    private const byte ExportVersion = 1;

    /// <summary>
    /// The session as 88 octets, <b>the secret included</b>: who reads them can read the connection that resumes the session. Keep them in memory, move them over protected channels only, wipe them after use.
    /// The layout: version (1), dialect, role, flags (bit 0: opened here), application bits, one octet each; key exchange (3), cipher (4), bits of the public key (4), index (8), chain (32), secret (32); big-endian.
    /// </summary>
    public byte[] Export()
    {
        byte[] octets = GC.AllocateUninitializedArray<byte>(ExportLength, pinned: true);
        octets[0] = ExportVersion;
        octets[1] = (byte)Dialect;
        octets[2] = (byte)Role;
        octets[3] = (byte)(Agreement.OpenedHere ? 1 : 0);
        octets[4] = Agreement.ApplicationBits;
        octets[5] = (byte)((int)Agreement.KeyExchange >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(octets.AsSpan(6), unchecked((ushort)Agreement.KeyExchange));
        BinaryPrimitives.WriteInt32BigEndian(octets.AsSpan(8), (int)Agreement.Cipher);
        BinaryPrimitives.WriteInt32BigEndian(octets.AsSpan(12), Agreement.PublicKeySize);
        BinaryPrimitives.WriteInt64BigEndian(octets.AsSpan(16), Index);
        Chain.Span.CopyTo(octets.AsSpan(24));
        Secret.CopyTo(octets.AsSpan(56));
        return octets;
    }

    /// <summary>Brings back what <see cref="Export"/> wrote.</summary>
    /// <param name="octets">88 octets; wiping them is up to the caller.</param>
    /// <exception cref="FormatException">They are not an exported session of this version.</exception>
    public static TcpcryptSession Import(ReadOnlySpan<byte> octets) => Import(CryptoProvider.Default, octets);

    internal static TcpcryptSession Import(CryptoProvider provider, ReadOnlySpan<byte> octets)
    {
        if (octets.Length != ExportLength || octets[0] != ExportVersion)
        {
            throw new FormatException($"An exported session has {ExportLength} octets and begins with version {ExportVersion}.");
        }

        SessionAgreement agreement = new()
        {
            Dialect = (TcpcryptDialect)octets[1],
            Role = (TcpcryptRole)octets[2],
            OpenedHere = octets[3] == 1,
            ApplicationBits = octets[4],
            KeyExchange = (TcpcryptKeyExchange)((octets[5] << 16) | BinaryPrimitives.ReadUInt16BigEndian(octets[6..])),
            Cipher = (TcpcryptCipher)BinaryPrimitives.ReadInt32BigEndian(octets[8..]),
            PublicKeySize = BinaryPrimitives.ReadInt32BigEndian(octets[12..]),
        };
        long index = BinaryPrimitives.ReadInt64BigEndian(octets[16..]);
        bool isValid = agreement is
        {
            Dialect: TcpcryptDialect.Draft or TcpcryptDialect.Reference,
            Role: TcpcryptRole.C or TcpcryptRole.S,
            ApplicationBits: <= 3,
            KeyExchange: TcpcryptKeyExchange.OaepRsa or TcpcryptKeyExchange.EcdheP256 or TcpcryptKeyExchange.EcdheP521,
            Cipher: TcpcryptCipher.Aes128HmacSha256 or TcpcryptCipher.Aes128Cmac,
            PublicKeySize: >= 0,
        } && octets[3] <= 1 && index >= 0;
        return isValid
            ? new TcpcryptSession(provider, octets[56..], agreement, new SessionChain(octets.Slice(24, KeySchedule.SecretLength).ToArray()), index)
            : throw new FormatException("The octets are not an exported session: a field has a value that none can have.");
    }
}
