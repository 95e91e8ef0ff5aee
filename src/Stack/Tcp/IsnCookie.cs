using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>
/// SYN cookies (RFC 4987 §3.6): under flood nothing is kept of a SYN. The ISN of the SYN,ACK says what the peer's MSS was, in 28 bits of keyed hash that nobody else can make, and the last bits of
/// its timestamp say the rest; without timestamps the connection has neither window scaling nor SACK.
/// </summary>
internal sealed class IsnCookie(IRandomSource random)
{
    /// <summary>The bits of a timestamp that carry options.</summary>
    public const uint TimestampMask = 0x3F;

    private const int NoScaling = 15;

    private const int SackBit = 0x10;

    private const int EcnBit = 0x20;

    private const uint HashMask = 0x0FFF_FFFF;

    /// <summary>What the peer's MSS is rounded down to.</summary>
    private static ReadOnlySpan<ushort> MssTable => [SynAgreement.PeerMssFloor, 256, 536, 1220, 1300, 1400, 1440, 1460];

    private readonly CookieKeys _keys = new(random);
    private TcpInstant _lastWrittenAt = TcpInstant.Never;

    /// <summary>Some of those written may still come back.</summary>
    public bool IsOut(TcpInstant now) => !_lastWrittenAt.IsNever && now - _lastWrittenAt <= 2 * CookieKeys.Epoch;

    /// <summary>The ISN that says what was agreed, and the timestamp of its SYN,ACK, which is not ahead of the clock.</summary>
    public Seq<Local> Write(TcpInstant now, in FourTuple tuple, Seq<Remote> irs, in SynAgreement agreed, ref uint tsVal)
    {
        _keys.Advance(now);
        _lastWrittenAt = now;
        int mss = 0;
        while (mss + 1 < MssTable.Length && MssTable[mss + 1] <= agreed.PeerMss)
        {
            mss++;
        }

        uint? options = null;
        if (agreed.Timestamps)
        {
            options = (uint)((agreed.WindowScaling ? agreed.PeerShift : NoScaling) | (agreed.Sack ? SackBit : 0) | (agreed.Ecn ? EcnBit : 0));
            uint marked = (tsVal & ~TimestampMask) | options.Value;
            tsVal = Acceptability.IsTimestampOlder(tsVal, marked) ? unchecked(marked - TimestampMask - 1) : marked;
        }

        return new Seq<Local>((_keys.CurrentBit << 31) | ((uint)mss << 28) | Hash(_keys.Current, tuple, irs, mss, options));
    }

    /// <summary>Reads what came back; false when it is not ours, or too old. Without timestamps <paramref name="tsEcr"/> is null.</summary>
    public bool TryRead(TcpInstant now, in FourTuple tuple, Seq<Local> iss, Seq<Remote> irs, uint? tsEcr, out SynAgreement agreed)
    {
        _keys.Advance(now);
        uint? options = tsEcr & TimestampMask;
        int mss = (int)(iss.Value >> 28) & 7;
        agreed = default;
        if ((iss.Value & HashMask) != Hash(_keys.Of(iss.Value >> 31), tuple, irs, mss, options))
        {
            return false;
        }

        int shift = (int)((options ?? NoScaling) & 15);
        agreed = new SynAgreement
        {
            PeerMss = MssTable[mss],
            Timestamps = options is not null,
            WindowScaling = shift != NoScaling,
            PeerShift = shift != NoScaling ? (byte)shift : (byte)0,
            Sack = (options & SackBit) > 0,
            Ecn = (options & EcnBit) > 0,
        };
        return true;
    }

    private static uint Hash(SipHash hash, in FourTuple tuple, Seq<Remote> irs, int mss, uint? options)
    {
        Span<byte> message = stackalloc byte[CookieKeys.TupleLength + 6];
        CookieKeys.WriteTuple(message, tuple);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], irs.Value);
        message[16] = (byte)mss;
        message[17] = (byte)(options ?? 0xFF);
        return (uint)hash.Compute(message) & HashMask;
    }
}
