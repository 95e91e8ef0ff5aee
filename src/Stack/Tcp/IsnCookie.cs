using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>
/// SYN cookies (RFC 4987 §3.6): under flood nothing is kept of a SYN. The ISN of the SYN,ACK says what the peer's MSS was, in 28 bits of keyed hash that nobody else can make, and the last bits of
/// its timestamp say the rest; without timestamps the connection has neither window scaling nor SACK. Two keys are alive at a time, so a cookie is good for one to two minutes.
/// </summary>
internal sealed class IsnCookie(IRandomSource random)
{
    /// <summary>The bits of a timestamp that carry options.</summary>
    public const uint TimestampMask = 0x3F;

    private const int NoScaling = 15;

    private const int SackBit = 0x10;

    private const int EcnBit = 0x20;

    private const uint HashMask = 0x0FFF_FFFF;

    private static readonly TimeSpan s_epoch = TimeSpan.FromSeconds(64);

    /// <summary>What the peer's MSS is rounded down to.</summary>
    private static ReadOnlySpan<ushort> MssTable => [SynAgreement.PeerMssFloor, 256, 536, 1220, 1300, 1400, 1440, 1460];

    private SipHash _current = new(random);
    private SipHash _previous = new(random);
    private long _epoch = -1;
    private TcpInstant _lastWrittenAt = TcpInstant.Never;

    /// <summary>Some of those written may still come back.</summary>
    public bool IsOut(TcpInstant now) => !_lastWrittenAt.IsNever && now - _lastWrittenAt <= 2 * s_epoch;

    /// <summary>The ISN that says what was agreed, and the timestamp of its SYN,ACK, which is not ahead of the clock.</summary>
    public Seq<Local> Write(TcpInstant now, in FourTuple tuple, Seq<Remote> irs, in SynAgreement agreed, ref uint tsVal)
    {
        Advance(now);
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

        return new Seq<Local>(((uint)(_epoch & 1) << 31) | ((uint)mss << 28) | Hash(_current, tuple, irs, mss, options));
    }

    /// <summary>Reads what came back; false when it is not ours, or too old. Without timestamps <paramref name="tsEcr"/> is null.</summary>
    public bool TryRead(TcpInstant now, in FourTuple tuple, Seq<Local> iss, Seq<Remote> irs, uint? tsEcr, out SynAgreement agreed)
    {
        Advance(now);
        uint? options = tsEcr & TimestampMask;
        int mss = (int)(iss.Value >> 28) & 7;
        agreed = default;
        if ((iss.Value & HashMask) != Hash(iss.Value >> 31 == (uint)(_epoch & 1) ? _current : _previous, tuple, irs, mss, options))
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

    private void Advance(TcpInstant now)
    {
        long epoch = now.SinceStart.Ticks / s_epoch.Ticks;
        if (epoch == _epoch)
        {
            return;
        }

        // After a pause both are new: a bit of the epoch must not bring an old one back.
        _previous = epoch == _epoch + 1 ? _current : new SipHash(random);
        _current = new SipHash(random);
        _epoch = epoch;
    }

    private static uint Hash(SipHash hash, in FourTuple tuple, Seq<Remote> irs, int mss, uint? options)
    {
        Span<byte> message = stackalloc byte[18];
        BinaryPrimitives.WriteUInt32BigEndian(message, tuple.Local.Address.Value);
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], tuple.Remote.Address.Value);
        BinaryPrimitives.WriteUInt16BigEndian(message[8..], tuple.Local.Port);
        BinaryPrimitives.WriteUInt16BigEndian(message[10..], tuple.Remote.Port);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], irs.Value);
        message[16] = (byte)mss;
        message[17] = (byte)(options ?? 0xFF);
        return (uint)hash.Compute(message) & HashMask;
    }
}
