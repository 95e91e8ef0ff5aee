using BenchmarkDotNet.Attributes;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Benchmarks.Micro;

public class InternetChecksumBenchmarks
{
    private readonly byte[] _octets = new byte[65_535];
    private ushort _checksum = 0x1234;
    private ushort _word = 0x4006;

    /// <summary>An IP header, a full segment, a super-segment.</summary>
    [Params(20, 1460, 65_495)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Fill() => new Random(1).NextBytes(_octets);

    [Benchmark]
    public ushort Sum() => InternetChecksum.Finish(InternetChecksum.Sum(_octets.AsSpan(0, Length)));

    [Benchmark]
    public ushort Segment() => InternetChecksum.Finish(InternetChecksum.Sum(
        _octets.AsSpan(0, Length), InternetChecksum.PseudoHeader(new Ipv4Address(0x0A00_0001), new Ipv4Address(0x0A00_0002), 6, Length)));

    /// <summary>One word changed, from fields: constants would be folded away.</summary>
    [Benchmark]
    public ushort Update()
    {
        ushort word = (ushort)(_word - 0x100);
        _checksum = InternetChecksum.Update(_checksum, _word, word);
        _word = word;
        return _checksum;
    }
}
