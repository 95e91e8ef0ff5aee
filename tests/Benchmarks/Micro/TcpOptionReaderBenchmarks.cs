using BenchmarkDotNet.Attributes;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Benchmarks.Micro;

public class TcpOptionReaderBenchmarks
{
    // As Linux sends them: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
    private readonly byte[] _syn = [2, 4, 5, 180, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7];

    // NOP, NOP, timestamps; and two SACK blocks behind them.
    private readonly byte[] _data = [1, 1, 8, 10, 0, 1, 2, 3, 0, 4, 5, 6];
    private readonly byte[] _sack = [1, 1, 8, 10, 0, 1, 2, 3, 0, 4, 5, 6, 1, 1, 5, 18, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 5, 0];

    [Benchmark]
    public int Syn()
    {
        SynOptions options = SynOptions.Parse(_syn);
        return options.MaximumSegmentSize ?? 0;
    }

    [Benchmark(Baseline = true)]
    public int Data() => Walk(_data);

    [Benchmark]
    public int Sack() => Walk(_sack);

    private static int Walk(ReadOnlySpan<byte> options)
    {
        int octets = 0;
        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
            octets += reader.Current.Content.Length;
        }

        return octets;
    }
}
