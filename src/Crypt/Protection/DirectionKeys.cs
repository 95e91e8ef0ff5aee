using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>The keys of one direction in one generation: k_enc, k_mac, k_ack ([TD-69]; reference spec 5).</summary>
internal sealed class DirectionKeys : IDisposable
{
    /// <param name="provider">The primitives.</param>
    /// <param name="cipher">The cipher of the session.</param>
    /// <param name="generation">The generation j.</param>
    /// <param name="masterKey">mk[j].</param>
    /// <param name="sender">Who sends under these keys.</param>
    public DirectionKeys(CryptoProvider provider, TcpcryptCipher cipher, long generation, ReadOnlySpan<byte> masterKey, TcpcryptRole sender)
    {
        Generation = generation;
        Span<byte> k = stackalloc byte[KeySchedule.SecretLength];
        Span<byte> key = stackalloc byte[KeySchedule.SecretLength];
        KeySchedule.Expand(provider, masterKey, sender == TcpcryptRole.C ? KeySchedule.KeyC : KeySchedule.KeyS, k);

        KeySchedule.Expand(provider, k, KeySchedule.Encryption, key);
        Encryption = provider.CreateAes(key[..Algorithms.EncryptionKeyLength]);
        KeySchedule.Expand(provider, k, KeySchedule.Authentication, key);
        Authentication = cipher == TcpcryptCipher.Aes128Cmac ? provider.CreateCmac(key[..Algorithms.MacKeyLength(cipher)]) : provider.CreateHmacSha256(key[..Algorithms.MacKeyLength(cipher)]);
        KeySchedule.Expand(provider, k, KeySchedule.Acknowledgment, key);
        Acknowledgment = provider.CreateAes(key[..Algorithms.AcknowledgmentKeyLength]);

        CryptographicOperations.ZeroMemory(k);
        CryptographicOperations.ZeroMemory(key);
    }

    public long Generation { get; }

    public AesKey Encryption { get; }

    public MacKey Authentication { get; }

    public AesKey Acknowledgment { get; }

    public void Dispose()
    {
        Encryption.Dispose();
        Authentication.Dispose();
        Acknowledgment.Dispose();
    }
}
