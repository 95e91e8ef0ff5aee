using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>What libcrypto returns, checked: what fails here is memory or a defect, never input.</summary>
internal static class NativeCall
{
    public static nint Check(nint pointer, [CallerArgumentExpression(nameof(pointer))] string what = "") => pointer != 0 ? pointer : throw Failure(what);

    public static void Check(bool succeeded, [CallerArgumentExpression(nameof(succeeded))] string what = "")
    {
        if (!succeeded)
        {
            throw Failure(what);
        }
    }

    // The queue of errors belongs to the thread; System.Security.Cryptography reads it too.
    private static CryptographicException Failure(string what)
    {
        LibCrypto.ERR_clear_error();
        return new CryptographicException($"libcrypto failed: {what}");
    }
}
