using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>Initial sequence numbers: ISN = M + F(4-tuple, secret) (RFC 6528; RFC 9293 MUST-8, MUST-9, SHLD-1). Also the timestamps' offsets (RFC 7323 §5.4).</summary>
internal readonly struct IsnGenerator(IRandomSource random)
{
    private readonly SipHash _isnHash = new(random);
    private readonly SipHash _timestampHash = new(random);

    public Seq<Local> Next(TcpInstant now, in FourTuple tuple)
    {
        // M is a clock that ticks every 4 microseconds.
        uint clock = unchecked((uint)(now.Nanoseconds / 4000));
        return new Seq<Local>(unchecked(clock + (uint)_isnHash.Compute(tuple)));
    }

    /// <summary>Where a connection's IP identifications start: any value will do for atomic datagrams (RFC 6864 §4.1), but no global counter may show (HI_INJ_07).</summary>
    public ushort Identification(in FourTuple tuple) => (ushort)(_timestampHash.Compute(tuple) >> 48);

    /// <summary>What is added to the clock in TSval: one value per pair of addresses, so that timestamps grow across the pair's connections (RFC 6191) and tell nothing about others.</summary>
    public uint TimestampOffset(in FourTuple tuple) => unchecked((uint)_timestampHash.Compute(((ulong)tuple.Local.Address.Value << 32) | tuple.Remote.Address.Value, 0));
}
