using Tcpcrypt.Core;

namespace Tcpcrypt.Ip;

/// <summary>What a fragment belongs to (RFC 791 §3.2): its datagram's name.</summary>
internal readonly record struct FragmentKey(Ipv4Address Source, Ipv4Address Destination, ushort Identification, byte Protocol);

/// <summary>Hashes what strangers choose with a secret key, so that nobody can aim at one bucket of a table (HI_SYS_05).</summary>
internal sealed class KeyedComparer(IRandomSource random) : IEqualityComparer<Ipv4Address>, IEqualityComparer<FourTuple>, IEqualityComparer<FragmentKey>
{
    private readonly SipHash _hash = new(random);

    public bool Equals(Ipv4Address x, Ipv4Address y) => x.Value == y.Value;

    public int GetHashCode(Ipv4Address obj) => (int)_hash.Compute(obj.Value, 0);

    public bool Equals(FourTuple x, FourTuple y) => x == y;

    public int GetHashCode(FourTuple obj) => (int)_hash.Compute(obj);

    public bool Equals(FragmentKey x, FragmentKey y) => x == y;

    public int GetHashCode(FragmentKey obj) => (int)_hash.Compute(
        ((ulong)obj.Source.Value << 32) | obj.Destination.Value,
        ((ulong)obj.Identification << 8) | obj.Protocol);
}
