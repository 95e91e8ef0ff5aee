using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>
/// Elliptic curves by EC_POINT_mul, which takes constant time for a secret scalar on these curves, and without EVP: for a point of a curve with cofactor 1, on the curve and not
/// infinity is all there is to check, and EC_POINT_oct2point does. P-256 pair and derivation: 90 us here; EVP adds 25, and 65 more when it validates.
/// </summary>
internal sealed unsafe class NativeEcKeyPair : EcKeyPair
{
    // A group is constant once it exists, and is shared by all threads; it lives as long as the process. Making one takes 14 us.
    private static readonly nint s_p256 = LibCrypto.EC_GROUP_new_by_curve_name(LibCrypto.NidP256);
    private static readonly nint s_p521 = LibCrypto.EC_GROUP_new_by_curve_name(LibCrypto.NidP521);

    private readonly BigNumber _scalar;
    private readonly byte[] _publicKey;

    /// <param name="keyExchange">The curve.</param>
    /// <param name="privateKey">A scalar in range.</param>
    public NativeEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey)
    {
        KeyExchange = keyExchange;
        fixed (byte* octets = privateKey)
        {
            _scalar = new BigNumber(LibCrypto.BN_bin2bn(octets, privateKey.Length, 0));
        }

        LibCrypto.BN_set_flags(_scalar.Pointer, LibCrypto.BnFlagConstantTime);
        _publicKey = new byte[EcCurves.PointLength(keyExchange)];
        nint context = LibCrypto.BN_CTX_new();
        nint point = LibCrypto.EC_POINT_new(Group);
        try
        {
            NativeCall.Check(context != 0 && point != 0 && LibCrypto.EC_POINT_mul(Group, point, _scalar.Pointer, 0, 0, context) == 1);
            fixed (byte* output = _publicKey)
            {
                NativeCall.Check(LibCrypto.EC_POINT_point2oct(Group, point, LibCrypto.Uncompressed, output, (nuint)_publicKey.Length, context) == (nuint)_publicKey.Length);
            }
        }
        finally
        {
            LibCrypto.EC_POINT_clear_free(point);
            LibCrypto.BN_CTX_free(context);
        }
    }

    public override TcpcryptKeyExchange KeyExchange { get; }

    public override ReadOnlySpan<byte> PublicKey => _publicKey;

    private nint Group => NativeCall.Check(KeyExchange == TcpcryptKeyExchange.EcdheP256 ? s_p256 : s_p521);

    public override bool TryDerive(ReadOnlySpan<byte> peerPublicKey, Span<byte> secret)
    {
        nint scalar = _scalar.Pointer;
        if (!EcCurves.IsUncompressed(KeyExchange, peerPublicKey))
        {
            return false;
        }

        Span<byte> x = secret[..EcCurves.FieldLength(KeyExchange)];
        nint group = Group;
        nint context = LibCrypto.BN_CTX_new();
        nint point = LibCrypto.EC_POINT_new(group);
        nint number = LibCrypto.BN_new();
        try
        {
            NativeCall.Check(context != 0 && point != 0 && number != 0);
            fixed (byte* octets = peerPublicKey, output = x)
            {
                // Refuses a point off the curve and coordinates that are not below the field's prime.
                if (LibCrypto.EC_POINT_oct2point(group, point, octets, (nuint)peerPublicKey.Length, context) != 1)
                {
                    LibCrypto.ERR_clear_error();
                    return false;
                }

                NativeCall.Check(LibCrypto.EC_POINT_mul(group, point, 0, point, scalar, context) == 1);
                NativeCall.Check(LibCrypto.EC_POINT_get_affine_coordinates(group, point, number, 0, context) == 1);
                NativeCall.Check(LibCrypto.BN_bn2binpad(number, output, x.Length) == x.Length);
                return true;
            }
        }
        finally
        {
            LibCrypto.BN_clear_free(number);
            LibCrypto.EC_POINT_clear_free(point);
            LibCrypto.BN_CTX_free(context);
            GC.KeepAlive(this);
        }
    }

    public override void Dispose() => _scalar.Dispose();
}
