using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>
/// The identification field (RFC 6864 §4): unique for each source, destination and protocol over the last 65,536 datagrams. Counters live in buckets that a
/// keyed hash chooses, and each flow has its own start (RFC 7739 §5.4): there is no global counter to watch, and memory is fixed.
/// </summary>
internal sealed class IdentificationSource(IRandomSource random)
{
    private readonly SipHash _hash = new(random);
    private readonly ushort[] _counters = new ushort[2048];

    public ushort Next(Ipv4Address source, Ipv4Address destination, byte protocol)
    {
        ulong hash = _hash.Compute(((ulong)source.Value << 32) | destination.Value, protocol);
        ref ushort counter = ref _counters[(int)(hash & 2047)];
        unchecked
        {
            return (ushort)((hash >> 32) + counter++);
        }
    }
}
