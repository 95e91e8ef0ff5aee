using System.Runtime.InteropServices;

namespace Tcpcrypt.Crypt;

/// <summary>
/// Something native that is wiped when it goes, at the latest by the finalizer. <see cref="Pointer"/> is taken without counting references: whoever uses it keeps the owner alive
/// with GC.KeepAlive behind the last use, and no two threads use one owner.
/// </summary>
internal abstract class NativeHandle : SafeHandle
{
    protected NativeHandle(nint pointer)
        : base(0, ownsHandle: true)
    {
        SetHandle(pointer);
    }

    public override bool IsInvalid => handle == 0;

    public nint Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }
}

/// <summary>
/// Octets outside of the managed heap, where nothing moves and copies them; aligned to a cache line and zero at first.
/// The two sizes that a direction of a connection takes come from <see cref="SecretBlocks"/>: aligned memory of malloc, freed by another thread, is not found again but taken anew from the kernel, a page for two connections.
/// </summary>
internal unsafe class SecretMemory : NativeHandle
{
    private readonly int _length;

    public SecretMemory(int length)
        : base(SecretBlocks.For(length)?.Take() ?? (nint)NativeMemory.AlignedAlloc((nuint)length, SecretBlocks.Alignment))
    {
        _length = length;
        NativeMemory.Clear((void*)handle, (nuint)length);
    }

    public Span<byte> Octets => new((void*)Pointer, _length);

    protected override bool ReleaseHandle()
    {
        NativeMemory.Clear((void*)handle, (nuint)_length);
        Free();
        return true;
    }

    /// <summary>Called with nothing but zeros left in it.</summary>
    protected virtual void Free()
    {
        if (SecretBlocks.For(_length) is { } blocks)
        {
            blocks.Return(handle);
        }
        else
        {
            NativeMemory.AlignedFree((void*)handle);
        }
    }
}

/// <summary>Blocks of one size, cut from larger pieces; what was wiped and returned is used again and never goes back to the system, so this is as large as it once had to be.</summary>
internal sealed unsafe class SecretBlocks
{
    public const int Alignment = 64;

    private const int Count = 64;

    // Keys of one direction: 448 octets with HMAC, 576 with CMAC.
    private static readonly SecretBlocks s_small = new(7 * Alignment);
    private static readonly SecretBlocks s_large = new(9 * Alignment);

    private readonly Lock _gate = new();
    private readonly int _length;

    /// <summary>A list through the first words of the free blocks.</summary>
    private nint _free;

    private SecretBlocks(int length)
    {
        _length = length;
    }

    /// <summary>The smallest size that holds so much; null: too much for any.</summary>
    public static SecretBlocks? For(int length) => length <= s_small._length ? s_small : length <= s_large._length ? s_large : null;

    public nint Take()
    {
        lock (_gate)
        {
            if (_free == 0)
            {
                nint blocks = (nint)NativeMemory.AlignedAlloc((nuint)(Count * _length), Alignment);
                for (int index = 0; index < Count; index++)
                {
                    Push(blocks + (index * _length));
                }
            }

            nint block = _free;
            _free = *(nint*)block;
            return block;
        }
    }

    public void Return(nint block)
    {
        lock (_gate)
        {
            Push(block);
        }
    }

    private void Push(nint block)
    {
        *(nint*)block = _free;
        _free = block;
    }
}

/// <summary>A BIGNUM.</summary>
internal sealed class BigNumber(nint number) : NativeHandle(NativeCall.Check(number))
{
    protected override bool ReleaseHandle()
    {
        LibCrypto.BN_clear_free(handle);
        return true;
    }
}

/// <summary>An EVP_PKEY; libcrypto wipes the private numbers when it frees one.</summary>
internal sealed class PkeyHandle(nint key) : NativeHandle(NativeCall.Check(key))
{
    protected override bool ReleaseHandle()
    {
        LibCrypto.EVP_PKEY_free(handle);
        return true;
    }
}

/// <summary>An EVP_MAC_CTX; libcrypto wipes it when it frees one.</summary>
internal sealed class MacHandle(nint context) : NativeHandle(NativeCall.Check(context))
{
    protected override bool ReleaseHandle()
    {
        LibCrypto.EVP_MAC_CTX_free(handle);
        return true;
    }
}
