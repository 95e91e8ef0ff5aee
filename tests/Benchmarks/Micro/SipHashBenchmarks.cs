using BenchmarkDotNet.Attributes;
using Tcpcrypt.Core;

namespace Tcpcrypt.Benchmarks.Micro;

public class SipHashBenchmarks
{
    private readonly SipHash _hash = new(1, 2);
    private readonly byte[] _message = new byte[64];
    private readonly FourTuple _tuple = new(new Ipv4Address(0x0A00_0001), 80, new Ipv4Address(0x0A00_0002), 40_000);

    [Benchmark]
    public ulong Tuple() => _hash.Compute(_tuple);

    [Benchmark]
    public ulong Message() => _hash.Compute(_message);
}
