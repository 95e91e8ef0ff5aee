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

/// <summary>Octets outside of the managed heap, where nothing moves and copies them; aligned to a cache line and zero at first.</summary>
internal unsafe class SecretMemory : NativeHandle
{
    private readonly int _length;

    public SecretMemory(int length)
        : base((nint)NativeMemory.AlignedAlloc((nuint)length, 64))
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
    protected virtual void Free() => NativeMemory.AlignedFree((void*)handle);
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
