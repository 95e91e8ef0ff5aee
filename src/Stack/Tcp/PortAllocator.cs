using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

/// <summary>Ephemeral ports by RFC 6056 §3.3.4 (algorithm 4): a keyed hash of the destination picks the start, a table of counters the step, so that no stranger can predict another destination's ports.</summary>
internal sealed class PortAllocator(IRandomSource random, int first, int last)
{
    private const int TableLength = 64;
    private readonly SipHash _offset = new(random);
    private readonly SipHash _index = new(random);
    private readonly uint[] _counters = MakeCounters(random);
    private readonly int _first = first;
    private readonly uint _range = (uint)(last - first + 1);

    /// <summary>Finds a local port for the tuple (whose own local port is ignored); false when all are taken.</summary>
    public bool TryAllocate(in FourTuple tuple, Func<FourTuple, bool> isFree, out ushort port)
    {
        FourTuple wanted = new(tuple.Local.Address, 0, tuple.Remote.Address, tuple.Remote.Port);
        uint offset = (uint)_offset.Compute(wanted);
        ref uint counter = ref _counters[_index.Compute(wanted) % TableLength];
        for (uint attempts = 0; attempts < _range; attempts++)
        {
            port = (ushort)(_first + (unchecked(offset + counter++) % _range));
            if (isFree(new FourTuple(tuple.Local.Address, port, tuple.Remote.Address, tuple.Remote.Port)))
            {
                return true;
            }
        }

        port = 0;
        return false;
    }

    private static uint[] MakeCounters(IRandomSource random)
    {
        uint[] counters = new uint[TableLength];
        random.Fill(System.Runtime.InteropServices.MemoryMarshal.AsBytes(counters.AsSpan()));
        return counters;
    }
}
