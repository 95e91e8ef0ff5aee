using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// mk[First] .. mk[Last], a window of the chain that is derived forwards and erased from behind ([TD-69], [TD-73]). The last one stays: without it there is no next.
/// </summary>
internal sealed class MasterKeyChain : IDisposable
{
    private readonly CryptoProvider _provider;
    private readonly WireDialect _dialect;
    private readonly byte _applicationBits;
    private byte[] _keys = Allocate(1);

    public MasterKeyChain(CryptoProvider provider, WireDialect dialect, byte applicationBits, ReadOnlySpan<byte> secret)
    {
        _provider = provider;
        _dialect = dialect;
        _applicationBits = applicationBits;
        dialect.NextMasterKey(provider, applicationBits, secret, _keys);
    }

    public long First { get; private set; }

    public long Last { get; private set; }

    /// <summary>mk[generation], which is not below <see cref="First"/>; what is missing in front of it is derived and kept.</summary>
    public ReadOnlySpan<byte> Get(long generation)
    {
        Reserve(checked((int)(generation - First)) + 1);
        while (Last < generation)
        {
            _dialect.NextMasterKey(_provider, _applicationBits, At(Last), At(Last + 1));
            Last++;
        }

        return At(generation);
    }

    /// <summary>Erases what is below a generation, but never the last one.</summary>
    public void EraseBelow(long generation)
    {
        generation = Math.Min(generation, Last);
        if (generation <= First)
        {
            return;
        }

        int erased = (int)(generation - First) * KeySchedule.SecretLength;
        int used = (int)(Last - First + 1) * KeySchedule.SecretLength;
        _keys.AsSpan(erased, used - erased).CopyTo(_keys);
        CryptographicOperations.ZeroMemory(_keys.AsSpan(used - erased));
        First = generation;
    }

    public void Dispose() => CryptographicOperations.ZeroMemory(_keys);

    private Span<byte> At(long generation) => _keys.AsSpan((int)(generation - First) * KeySchedule.SecretLength, KeySchedule.SecretLength);

    private void Reserve(int count)
    {
        if (count * KeySchedule.SecretLength <= _keys.Length)
        {
            return;
        }

        byte[] larger = Allocate(Math.Max(count, 2));
        _keys.CopyTo(larger, 0);
        CryptographicOperations.ZeroMemory(_keys);
        _keys = larger;
    }

    /// <summary>Pinned, so that no copy is left behind by the garbage collector.</summary>
    private static byte[] Allocate(int count) => GC.AllocateArray<byte>(count * KeySchedule.SecretLength, pinned: true);
}
