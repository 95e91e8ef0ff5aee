using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>What tcpcryptd 0.3 does (reference spec 4 to 6), its accidents included.</summary>
internal sealed class ReferenceDialect : WireDialect
{
    private const uint Magic1 = 0x15101a0e;
    private const uint Magic2 = 0x097105e0;

    /// <summary>INIT1: magic, length, one octet, key exchange, two octets, number of ciphers; ciphers, nonce, key. The daemon leaves in the three octets between what its buffer held: not to be checked.</summary>
    private const int Header1 = 16;

    /// <summary>INIT2: magic, length, cipher; KX_S.</summary>
    private const int Header2 = 12;

    private const int MinTcpHeader = 20;

    public override TcpcryptDialect Name => TcpcryptDialect.Reference;

    public override OaepHash OaepHash => OaepHash.Sha1;

    public override CounterLayout CounterLayout => CounterLayout.Reference;

    public override bool HasRekeying => false;

    /// <summary>The daemon hands INIT1 to its application when it finds no cipher; ours aborts (reference spec 3.6), and has no DECLINE to send here.</summary>
    public override HandshakeError NoCommonCipher => HandshakeError.Malformed;

    /// <summary>512 bits (reference spec 4.3).</summary>
    public override int ModulusStep => 64;

    public override bool Knows(TcpcryptCipher cipher) => cipher == TcpcryptCipher.Aes128HmacSha256;

    /// <summary>The first of C's list that S supports (reference spec 4.4).</summary>
    public override TcpcryptCipher Choose(ReadOnlySpan<byte> offered, ReadOnlySpan<TcpcryptCipher> preference)
    {
        for (; offered.Length > 0; offered = offered[CipherList.EntryLength..])
        {
            TcpcryptCipher cipher = (TcpcryptCipher)BinaryPrimitives.ReadUInt32BigEndian(offered);
            if (Knows(cipher) && preference.Contains(cipher))
            {
                return cipher;
            }
        }

        return TcpcryptCipher.None;
    }

    public override bool TryReadLength1(ReadOnlySpan<byte> prefix, out uint length) => TryReadLength(prefix, Magic1, out length);

    public override bool TryReadLength2(ReadOnlySpan<byte> prefix, out uint length) => TryReadLength(prefix, Magic2, out length);

    public override bool TryRead1(ReadOnlySpan<byte> message, out Init1 init1)
    {
        init1 = default;
        if (message.Length < Header1 || !TryReadLength1(message, out uint length) || length != message.Length)
        {
            return false;
        }

        int ciphers = CipherList.EntryLength * BinaryPrimitives.ReadUInt16BigEndian(message[14..]);
        if (message.Length < Header1 + ciphers + Algorithms.NonceLength)
        {
            return false;
        }

        init1 = new Init1
        {
            Message = message,
            Ciphers = message.Slice(Header1, ciphers),
            Nonce = message.Slice(Header1 + ciphers, Algorithms.NonceLength),
            KeyExchange = (TcpcryptKeyExchange)(BinaryPrimitives.ReadUInt32BigEndian(message[8..]) & 0xffffff),
            PublicKey = message[(Header1 + ciphers + Algorithms.NonceLength)..],
        };
        return true;
    }

    public override bool TryRead2(ReadOnlySpan<byte> message, out Init2 init2)
    {
        init2 = default;
        if (message.Length < Header2 || !TryReadLength2(message, out uint length) || length != message.Length)
        {
            return false;
        }

        init2 = new Init2 { Message = message, Cipher = (TcpcryptCipher)BinaryPrimitives.ReadUInt32BigEndian(message[8..]), KeyMaterial = message[Header2..] };
        return true;
    }

    public override void Write1(Span<byte> message, TcpcryptKeyExchange keyExchange, ReadOnlySpan<TcpcryptCipher> ciphers, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> publicKey)
    {
        BinaryPrimitives.WriteUInt32BigEndian(message, Magic1);
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], (uint)message.Length);
        BinaryPrimitives.WriteUInt32BigEndian(message[8..], (uint)keyExchange);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], (uint)ciphers.Length);
        Span<byte> rest = message[Header1..];
        rest = rest[CipherList.Write(ciphers, rest)..];
        nonce.CopyTo(rest);
        publicKey.CopyTo(rest[nonce.Length..]);
    }

    public override void Write2(Span<byte> message, TcpcryptCipher cipher, ReadOnlySpan<byte> keyMaterial)
    {
        BinaryPrimitives.WriteUInt32BigEndian(message, Magic2);
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], (uint)message.Length);
        BinaryPrimitives.WriteUInt32BigEndian(message[8..], (uint)cipher);
        keyMaterial.CopyTo(message[Header2..]);
    }

    /// <summary>Extract(N_C, count || pub-cipher-list || INIT1 || INIT2 || PMS) (reference spec 5).</summary>
    public override void FirstSecret(CryptoProvider provider, ReadOnlySpan<byte> pkConf, in Init1 init1, in Init2 init2, ReadOnlySpan<byte> premaster, Span<byte> secret)
    {
        Span<byte> input = stackalloc byte[1 + pkConf.Length + init1.Message.Length + init2.Message.Length + premaster.Length];
        SpanWriter writer = new(input);
        writer.Write([(byte)(pkConf.Length / PkConfList.EntryLength)]);
        writer.Write(pkConf);
        writer.Write(init1.Message);
        writer.Write(init2.Message);
        writer.Write(premaster);
        KeySchedule.Extract(provider, init1.Nonce, writer.Written, secret);
        CryptographicOperations.ZeroMemory(input);
    }

    public override void NextMasterKey(CryptoProvider provider, byte applicationBits, ReadOnlySpan<byte> secret, Span<byte> masterKey) =>
        KeySchedule.Expand(provider, secret, [KeySchedule.Rekey, applicationBits], masterKey);

    /// <summary>From the header alone: absolute for the key stream, else less the sign-extended ISN, the ACK field as it stands (reference spec 6.1).</summary>
    public override SegmentNumbers Number(ReadOnlySpan<byte> header, ulong sequence, ulong acknowledgment, uint senderIsn, uint receiverIsn)
    {
        uint seq = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        return new(seq, Extend(seq, senderIsn), Extend(BinaryPrimitives.ReadUInt32BigEndian(header[8..]), receiverIsn));
    }

    /// <summary>M, the options that are covered, the ciphertext (reference spec 6.3).</summary>
    public override bool TryAuthenticate(MacKey key, ReadOnlySpan<byte> segment, int headerLength, int tagOffset, ulong sequence, Span<byte> tag)
    {
        Span<byte> covered = stackalloc byte[16 + headerLength - MinTcpHeader];
        BinaryPrimitives.WriteUInt16BigEndian(covered, 0x8000);
        BinaryPrimitives.WriteUInt16BigEndian(covered[2..], (ushort)segment.Length);
        covered[4] = (byte)(headerLength / 4);
        covered[5] = segment[13];
        segment.Slice(18, 2).CopyTo(covered[6..]);
        BinaryPrimitives.WriteUInt64BigEndian(covered[8..], sequence);
        int length = 16;

        bool hasMac = false;
        ReadOnlySpan<byte> options = segment[MinTcpHeader..headerLength];
        OptionWalk walk = new(options);
        while (walk.MoveNext())
        {
            bool isMac = MinTcpHeader + walk.Start + 2 == tagOffset && walk.Length == CryptOptions.MacLength;
            hasMac |= isMac;
            if (!isMac && !IsUnprotected(walk.Kind))
            {
                options.Slice(walk.Start, walk.Length).CopyTo(covered[length..]);
                length += walk.Length;
            }
        }

        if (!hasMac || walk.IsMalformed)
        {
            return false;
        }

        key.Compute(covered[..length], segment[headerLength..], tag);
        return true;
    }

    public override void WriteAcknowledgmentBlock(ulong acknowledgment, Span<byte> block)
    {
        BinaryPrimitives.WriteUInt64BigEndian(block, acknowledgment);
        block[8..].Clear();
    }

    private static ulong Extend(uint number, uint isn) => unchecked(number - (ulong)(int)isn);

    private static bool TryReadLength(ReadOnlySpan<byte> prefix, uint magic, out uint length)
    {
        length = BinaryPrimitives.ReadUInt32BigEndian(prefix[4..]);
        return BinaryPrimitives.ReadUInt32BigEndian(prefix) == magic;
    }
}
