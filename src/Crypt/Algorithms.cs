namespace Tcpcrypt.Crypt;

/// <summary>What is fixed about the key exchanges and ciphers ([TD-65], [TD-68]; reference spec 4.3, 4.4).</summary>
internal static class Algorithms
{
    /// <summary>N_C and N_S.</summary>
    public const int NonceLength = 32;

    /// <summary>R_S with OAEP-RSA.</summary>
    public const int RsaSecretLength = 48;

    /// <summary>PMS: the X coordinate of P-521 is the longest.</summary>
    public const int MaxPremasterLength = 66;

    public const int MinModulusLength = 2048 / 8;
    public const int MaxModulusLength = 4096 / 8;

    public const int EncryptionKeyLength = 16;
    public const int AcknowledgmentKeyLength = 16;

    public static bool IsKnown(TcpcryptKeyExchange keyExchange) => keyExchange is TcpcryptKeyExchange.OaepRsa or TcpcryptKeyExchange.EcdheP256 or TcpcryptKeyExchange.EcdheP521;

    /// <summary>PMS in octets.</summary>
    public static int PremasterLength(TcpcryptKeyExchange keyExchange) => keyExchange switch
    {
        TcpcryptKeyExchange.EcdheP256 => 32,
        TcpcryptKeyExchange.EcdheP521 => 66,
        _ => RsaSecretLength,
    };

    /// <summary>KX_S in octets: the curves send length, N_S and PK_S; RSA a ciphertext as long as the modulus.</summary>
    public static int KeyMaterialLength(TcpcryptKeyExchange keyExchange, int publicKeyLength) => keyExchange == TcpcryptKeyExchange.OaepRsa ? publicKeyLength : 1 + NonceLength + publicKeyLength;

    /// <summary>C's public key in bits.</summary>
    public static int PublicKeySize(TcpcryptKeyExchange keyExchange, int publicKeyLength) => keyExchange switch
    {
        TcpcryptKeyExchange.EcdheP256 => 256,
        TcpcryptKeyExchange.EcdheP521 => 521,
        _ => 8 * publicKeyLength,
    };

    public static int MacKeyLength(TcpcryptCipher cipher) => cipher == TcpcryptCipher.Aes128Cmac ? 16 : 32;
}
