using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Tcpcrypt.Crypt;

/// <summary>
/// libcrypto of OpenSSL 3 or later, under a logical name: which file it is, is found out at run time by <see cref="TryLoad"/>. Nothing else may be called before that has succeeded.
/// Pointers and numbers only, so calls need no marshalling and cost 5 to 12 ns.
/// </summary>
internal static unsafe partial class LibCrypto
{
    // openssl/bn.h, openssl/evp.h, openssl/rsa.h, openssl/obj_mac.h, openssl/core.h
    public const int BnFlagConstantTime = 0x04;
    public const int Uncompressed = 4;
    public const int PkeyKeyPair = 0x87;
    public const int RsaOaepPadding = 4;
    public const int NidP256 = 415;
    public const int NidP521 = 716;
    public const uint ParamUnsignedInteger = 2;
    public const uint ParamUtf8String = 4;

    private const string Library = "tcpcrypt-libcrypto";

    // The version that runs is preferred to the one of tomorrow and to the link of a development package.
    private static readonly string[] s_fileNames = ["libcrypto.so.3", "libcrypto.so.4", "libcrypto.so"];

    private static readonly string[] s_entryPoints =
    [
        nameof(OpenSSL_version), nameof(ERR_clear_error),
        nameof(BN_new), nameof(BN_clear_free), nameof(BN_bin2bn), nameof(BN_bn2binpad), nameof(BN_bn2nativepad), nameof(BN_num_bits), nameof(BN_set_flags), nameof(BN_set_word), nameof(BN_is_one), nameof(BN_cmp),
        nameof(BN_copy), nameof(BN_sub_word), nameof(BN_mul_word), nameof(BN_mul), nameof(BN_div), nameof(BN_mod_sqr), nameof(BN_mod_mul), nameof(BN_mod_inverse), nameof(BN_CTX_new), nameof(BN_CTX_free),
        nameof(EC_GROUP_new_by_curve_name), nameof(EC_POINT_new), nameof(EC_POINT_clear_free), nameof(EC_POINT_oct2point), nameof(EC_POINT_point2oct), nameof(EC_POINT_mul), nameof(EC_POINT_get_affine_coordinates),
        nameof(EVP_PKEY_free), nameof(EVP_PKEY_get_bn_param), nameof(EVP_PKEY_fromdata_init), nameof(EVP_PKEY_fromdata), nameof(EVP_PKEY_keygen_init), nameof(EVP_PKEY_generate),
        nameof(EVP_PKEY_decrypt_init), nameof(EVP_PKEY_decrypt), nameof(EVP_PKEY_CTX_new_from_name), nameof(EVP_PKEY_CTX_new_from_pkey), nameof(EVP_PKEY_CTX_free),
        nameof(EVP_PKEY_CTX_set_rsa_keygen_bits), nameof(EVP_PKEY_CTX_set1_rsa_keygen_pubexp), nameof(EVP_PKEY_CTX_set_rsa_padding), nameof(EVP_PKEY_CTX_set_rsa_oaep_md),
        nameof(EVP_sha1), nameof(EVP_sha256), nameof(EVP_Digest), nameof(EVP_MAC_fetch), nameof(EVP_MAC_CTX_new), nameof(EVP_MAC_CTX_free), nameof(EVP_MAC_init), nameof(EVP_MAC_update), nameof(EVP_MAC_final),
    ];

    // Deprecated since 3.0 and absent from no-deprecated builds.
    private static readonly string[] s_hashEntryPoints =
    [
        nameof(SHA1_Init), nameof(SHA1_Update), nameof(SHA1_Final), nameof(SHA256_Init), nameof(SHA256_Update), nameof(SHA256_Final), nameof(SHA256_Transform),
    ];

    private static nint s_handle;

    /// <summary>True when the functions on hash states are there (SHA1_*, SHA256_*); else there is only EVP.</summary>
    public static bool HasHashStates { get; private set; }

    /// <summary>Finds the library and puts it behind the logical name. Once for a process: an assembly has one resolver.</summary>
    /// <param name="reason">Why not, for people.</param>
    public static bool TryLoad([NotNullWhen(false)] out string? reason)
    {
        if (!TryFind(s_fileNames, out nint library, out reason))
        {
            return false;
        }

        s_handle = library;
        HasHashStates = Array.TrueForAll(s_hashEntryPoints, name => NativeLibrary.TryGetExport(library, name, out _));
        NativeLibrary.SetDllImportResolver(typeof(LibCrypto).Assembly, static (name, _, _) => name == Library ? s_handle : 0);
        return true;
    }

    /// <summary>The first of some files that is a library of the right version with every entry point.</summary>
    internal static bool TryFind(ReadOnlySpan<string> fileNames, out nint library, [NotNullWhen(false)] out string? reason)
    {
        reason = $"there is no {fileNames[0]}";
        foreach (string fileName in fileNames)
        {
            if (!NativeLibrary.TryLoad(fileName, out library))
            {
                continue;
            }

            if (MissingFrom(fileName, library) is not { } missing)
            {
                reason = null;
                return true;
            }

            reason = missing;
            NativeLibrary.Free(library);
        }

        library = 0;
        return false;
    }

    private static string? MissingFrom(string fileName, nint handle)
    {
        if (!NativeLibrary.TryGetExport(handle, nameof(OpenSSL_version_num), out nint versionNumber))
        {
            return $"{fileName} is not OpenSSL";
        }

        // MNN00PP0: the major version is in the top four bits.
        nuint version = ((delegate* unmanaged<nuint>)versionNumber)();
        return (version >> 28) < 3
            ? $"{fileName} is version {version:x8}, older than OpenSSL 3"
            : Array.Find(s_entryPoints, name => !NativeLibrary.TryGetExport(handle, name, out _)) is { } missing ? $"{fileName} has no {missing}" : null;
    }

    /// <summary>OSSL_PARAM: a name, and where its value is. A list of them ends with an empty one.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Param
    {
        public byte* Key;
        public uint DataType;
        public void* Data;
        public nuint DataSize;
        public nuint ReturnSize;
    }

    [LibraryImport(Library)]
    public static partial nuint OpenSSL_version_num();

    [LibraryImport(Library)]
    public static partial byte* OpenSSL_version(int type);

    [LibraryImport(Library)]
    public static partial void ERR_clear_error();

    // Hash states. All but SHA256_Transform return 1, always.

    [LibraryImport(Library)]
    public static partial void SHA1_Init(void* state);

    [LibraryImport(Library)]
    public static partial void SHA1_Update(void* state, void* data, nuint length);

    [LibraryImport(Library)]
    public static partial void SHA1_Final(byte* digest, void* state);

    [LibraryImport(Library)]
    public static partial void SHA256_Init(void* state);

    [LibraryImport(Library)]
    public static partial void SHA256_Update(void* state, void* data, nuint length);

    [LibraryImport(Library)]
    public static partial void SHA256_Final(byte* digest, void* state);

    [LibraryImport(Library)]
    public static partial void SHA256_Transform(void* state, byte* block);

    // Hashes and MACs by EVP.

    [LibraryImport(Library)]
    public static partial void* EVP_sha1();

    [LibraryImport(Library)]
    public static partial void* EVP_sha256();

    [LibraryImport(Library)]
    public static partial int EVP_Digest(void* data, nuint length, byte* digest, uint* digestLength, void* type, void* engine);

    [LibraryImport(Library)]
    public static partial void* EVP_MAC_fetch(void* context, byte* algorithm, byte* properties);

    [LibraryImport(Library)]
    public static partial nint EVP_MAC_CTX_new(void* mac);

    [LibraryImport(Library)]
    public static partial void EVP_MAC_CTX_free(nint context);

    [LibraryImport(Library)]
    public static partial int EVP_MAC_init(nint context, byte* key, nuint length, Param* parameters);

    [LibraryImport(Library)]
    public static partial int EVP_MAC_update(nint context, byte* data, nuint length);

    [LibraryImport(Library)]
    public static partial int EVP_MAC_final(nint context, byte* output, nuint* length, nuint size);

    // Numbers.

    [LibraryImport(Library)]
    public static partial nint BN_new();

    [LibraryImport(Library)]
    public static partial void BN_clear_free(nint number);

    [LibraryImport(Library)]
    public static partial nint BN_bin2bn(byte* octets, int length, nint result);

    [LibraryImport(Library)]
    public static partial int BN_bn2binpad(nint number, byte* octets, int length);

    [LibraryImport(Library)]
    public static partial int BN_bn2nativepad(nint number, byte* octets, int length);

    [LibraryImport(Library)]
    public static partial int BN_num_bits(nint number);

    [LibraryImport(Library)]
    public static partial void BN_set_flags(nint number, int flags);

    [LibraryImport(Library)]
    public static partial int BN_set_word(nint number, nuint word);

    [LibraryImport(Library)]
    public static partial int BN_is_one(nint number);

    [LibraryImport(Library)]
    public static partial int BN_cmp(nint left, nint right);

    [LibraryImport(Library)]
    public static partial nint BN_copy(nint destination, nint source);

    [LibraryImport(Library)]
    public static partial int BN_sub_word(nint number, nuint word);

    [LibraryImport(Library)]
    public static partial int BN_mul_word(nint number, nuint word);

    [LibraryImport(Library)]
    public static partial int BN_mul(nint result, nint left, nint right, nint context);

    [LibraryImport(Library)]
    public static partial int BN_div(nint quotient, nint remainder, nint number, nint divisor, nint context);

    [LibraryImport(Library)]
    public static partial int BN_mod_sqr(nint result, nint number, nint modulus, nint context);

    [LibraryImport(Library)]
    public static partial int BN_mod_mul(nint result, nint left, nint right, nint modulus, nint context);

    [LibraryImport(Library)]
    public static partial nint BN_mod_inverse(nint result, nint number, nint modulus, nint context);

    [LibraryImport(Library)]
    public static partial nint BN_CTX_new();

    [LibraryImport(Library)]
    public static partial void BN_CTX_free(nint context);

    // Elliptic curves.

    [LibraryImport(Library)]
    public static partial nint EC_GROUP_new_by_curve_name(int nid);

    [LibraryImport(Library)]
    public static partial nint EC_POINT_new(nint group);

    [LibraryImport(Library)]
    public static partial void EC_POINT_clear_free(nint point);

    [LibraryImport(Library)]
    public static partial int EC_POINT_oct2point(nint group, nint point, byte* octets, nuint length, nint context);

    [LibraryImport(Library)]
    public static partial nuint EC_POINT_point2oct(nint group, nint point, int form, byte* octets, nuint length, nint context);

    [LibraryImport(Library)]
    public static partial int EC_POINT_mul(nint group, nint result, nint generatorScalar, nint point, nint scalar, nint context);

    [LibraryImport(Library)]
    public static partial int EC_POINT_get_affine_coordinates(nint group, nint point, nint x, nint y, nint context);

    // Keys.

    [LibraryImport(Library)]
    public static partial void EVP_PKEY_free(nint key);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_get_bn_param(nint key, byte* name, nint* number);

    [LibraryImport(Library)]
    public static partial nint EVP_PKEY_CTX_new_from_name(void* library, byte* name, byte* properties);

    [LibraryImport(Library)]
    public static partial nint EVP_PKEY_CTX_new_from_pkey(void* library, nint key, byte* properties);

    [LibraryImport(Library)]
    public static partial void EVP_PKEY_CTX_free(nint context);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_fromdata_init(nint context);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_fromdata(nint context, nint* key, int selection, Param* parameters);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_keygen_init(nint context);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_generate(nint context, nint* key);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_CTX_set_rsa_keygen_bits(nint context, int bits);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_CTX_set1_rsa_keygen_pubexp(nint context, nint exponent);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_decrypt_init(nint context);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_CTX_set_rsa_padding(nint context, int padding);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_CTX_set_rsa_oaep_md(nint context, void* digest);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_decrypt(nint context, byte* output, nuint* outputLength, byte* input, nuint inputLength);
}
