using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>What a listener has to remember of a SYN between its SYN,ACK and INIT1.</summary>
internal readonly record struct CookieFacts
{
    public required TcpcryptKeyExchange KeyExchange { get; init; }

    public required bool IsRemoteAware { get; init; }

    public required SynAgreement Agreed { get; init; }
}

/// <summary>
/// SYNCOOKIE ([TD-58]): under flood the listener answers with CRYPT and keeps nothing; INIT1 brings back what it has to know, in eight octets that nobody else can make.
/// </summary>
internal sealed class SynCookie(IRandomSource random)
{
    public const int Length = 8;

    private const int HashLength = 6;

    /// <summary>What the peer's MSS is rounded down to: its octets would not fit into the cookie.</summary>
    private static ReadOnlySpan<ushort> MssTable => [SynAgreement.PeerMssFloor, 128, 256, 384, 512, 536, 768, 1024, 1220, 1300, 1360, 1400, 1440, 1460, 4096, 8960];

    private static ReadOnlySpan<TcpcryptKeyExchange> KeyExchanges => [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa];

    private readonly CookieKeys _keys = new(random);

    /// <summary>Writes the cookie for a SYN,ACK.</summary>
    public void Write(TcpInstant now, in FourTuple tuple, Seq<Local> iss, Seq<Remote> irs, in CookieFacts facts, Span<byte> cookie)
    {
        _keys.Advance(now);
        int mss = 0;
        while (mss + 1 < MssTable.Length && MssTable[mss + 1] <= facts.Agreed.PeerMss)
        {
            mss++;
        }

        cookie[0] = (byte)((int)_keys.CurrentBit
            | (facts.IsRemoteAware ? 2 : 0)
            | (facts.Agreed.WindowScaling ? 4 : 0)
            | (facts.Agreed.Sack ? 8 : 0)
            | (facts.Agreed.Timestamps ? 16 : 0)
            | (KeyExchanges.IndexOf(facts.KeyExchange) << 5));
        cookie[1] = (byte)((mss << 4) | facts.Agreed.PeerShift);
        Hash(_keys.Current, tuple, iss, irs, cookie[..2], cookie[2..]);
    }

    /// <summary>Reads a cookie that came back with INIT1; false when it is not ours, or too old.</summary>
    public bool TryRead(TcpInstant now, in FourTuple tuple, Seq<Local> iss, Seq<Remote> irs, ReadOnlySpan<byte> cookie, out CookieFacts facts)
    {
        facts = default;
        if (cookie.Length != Length)
        {
            return false;
        }

        _keys.Advance(now);
        Span<byte> expected = stackalloc byte[HashLength];
        Hash(_keys.Of(cookie[0] & 1u), tuple, iss, irs, cookie[..2], expected);
        int keyExchange = cookie[0] >> 5;
        if (!System.Security.Cryptography.CryptographicOperations.FixedTimeEquals(expected, cookie[2..]) || keyExchange >= KeyExchanges.Length)
        {
            return false;
        }

        facts = new CookieFacts
        {
            KeyExchange = KeyExchanges[keyExchange],
            IsRemoteAware = (cookie[0] & 2) != 0,
            Agreed = new SynAgreement
            {
                PeerMss = MssTable[cookie[1] >> 4],
                WindowScaling = (cookie[0] & 4) != 0,
                Sack = (cookie[0] & 8) != 0,
                Timestamps = (cookie[0] & 16) != 0,
                PeerShift = (byte)(cookie[1] & 15),
            },
        };
        return true;
    }

    private static void Hash(SipHash hash, in FourTuple tuple, Seq<Local> iss, Seq<Remote> irs, ReadOnlySpan<byte> facts, Span<byte> destination)
    {
        Span<byte> message = stackalloc byte[CookieKeys.TupleLength + 10];
        CookieKeys.WriteTuple(message, tuple);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], iss.Value);
        BinaryPrimitives.WriteUInt32BigEndian(message[16..], irs.Value);
        facts.CopyTo(message[20..]);
        Span<byte> value = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(value, hash.Compute(message));
        value[..HashLength].CopyTo(destination);
    }
}
