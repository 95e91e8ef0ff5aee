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
        KeySchedule.Expand(provider, masterKey, sender == TcpcryptRole.C ? KeySchedule.KeyC : KeySchedule.KeyS, k);

        Span<byte> keys = stackalloc byte[3 * KeySchedule.SecretLength];
        provider.Expand(k, [KeySchedule.Encryption, KeySchedule.Authentication, KeySchedule.Acknowledgment], keys);
        (Encryption, Authentication, Acknowledgment) = provider.CreateKeys(
            keys[..Algorithms.EncryptionKeyLength],
            cipher == TcpcryptCipher.Aes128Cmac,
            keys.Slice(KeySchedule.SecretLength, Algorithms.MacKeyLength(cipher)),
            keys.Slice(2 * KeySchedule.SecretLength, Algorithms.AcknowledgmentKeyLength));

        CryptographicOperations.ZeroMemory(k);
        CryptographicOperations.ZeroMemory(keys);
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
