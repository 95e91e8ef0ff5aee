using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Tcpcrypt.Crypt;

/// <summary>The text of draft-bittau-tcp-crypt (draft spec 5 to 7).</summary>
internal sealed class DraftDialect : WireDialect
{
    private const ushort Magic1 = 0x2911;
    private const ushort Magic2 = 0x8310;

    /// <summary>INIT1: length, 29 11, number of ciphers, length of the nonce, length of the key; ciphers, nonce, 00, key exchange, key.</summary>
    private const int Header1 = 12;

    /// <summary>INIT2: length, 83 10, length of KX_S, cipher; KX_S.</summary>
    private const int Header2 = 12;

    /// <summary>Assoc-Data ahead of the options ([TD-75]): as long as the header without options.</summary>
    private const int AssociatedLength = 20;

    private const byte AcknowledgmentFlag = 0x10;

    public override TcpcryptDialect Name => TcpcryptDialect.Draft;

    public override OaepHash OaepHash => OaepHash.Sha256;

    public override CounterLayout CounterLayout => CounterLayout.Draft;

    public override bool HasRekeying => true;

    public override HandshakeError NoCommonCipher => HandshakeError.NoCommonAlgorithm;

    public override int ModulusStep => 1;

    public override bool Knows(TcpcryptCipher cipher) => cipher is TcpcryptCipher.Aes128HmacSha256 or TcpcryptCipher.Aes128Cmac;

    /// <summary>By S's own order ([TD-68]).</summary>
    public override TcpcryptCipher Choose(ReadOnlySpan<byte> offered, ReadOnlySpan<TcpcryptCipher> preference)
    {
        foreach (TcpcryptCipher cipher in preference)
        {
            if (Knows(cipher) && CipherList.Contains(offered, cipher))
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

        int ciphers = CipherList.EntryLength * BinaryPrimitives.ReadUInt16BigEndian(message[6..]);
        int nonce = BinaryPrimitives.ReadUInt16BigEndian(message[8..]);
        int key = BinaryPrimitives.ReadUInt16BigEndian(message[10..]);
        if (message.Length != Header1 + ciphers + nonce + sizeof(uint) + key)
        {
            return false;
        }

        ReadOnlySpan<byte> behindNonce = message[(Header1 + ciphers + nonce)..];
        init1 = new Init1
        {
            Message = message,
            Ciphers = message.Slice(Header1, ciphers),
            Nonce = message.Slice(Header1 + ciphers, nonce),
            KeyExchange = (TcpcryptKeyExchange)BinaryPrimitives.ReadUInt32BigEndian(behindNonce),
            PublicKey = behindNonce[sizeof(uint)..],
        };
        return behindNonce[0] == 0;
    }

    public override bool TryRead2(ReadOnlySpan<byte> message, out Init2 init2)
    {
        init2 = default;
        if (message.Length < Header2 || !TryReadLength2(message, out uint length) || length != message.Length || message.Length != Header2 + BinaryPrimitives.ReadUInt16BigEndian(message[6..]))
        {
            return false;
        }

        init2 = new Init2 { Message = message, Cipher = (TcpcryptCipher)BinaryPrimitives.ReadUInt32BigEndian(message[8..]), KeyMaterial = message[Header2..] };
        return true;
    }

    public override void Write1(Span<byte> message, TcpcryptKeyExchange keyExchange, ReadOnlySpan<TcpcryptCipher> ciphers, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> publicKey)
    {
        BinaryPrimitives.WriteUInt32BigEndian(message, (uint)message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[4..], Magic1);
        BinaryPrimitives.WriteUInt16BigEndian(message[6..], (ushort)ciphers.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[8..], (ushort)nonce.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[10..], (ushort)publicKey.Length);
        Span<byte> rest = message[Header1..];
        rest = rest[CipherList.Write(ciphers, rest)..];
        nonce.CopyTo(rest);
        BinaryPrimitives.WriteUInt32BigEndian(rest[nonce.Length..], (uint)keyExchange);
        publicKey.CopyTo(rest[(nonce.Length + sizeof(uint))..]);
    }

    public override void Write2(Span<byte> message, TcpcryptCipher cipher, ReadOnlySpan<byte> keyMaterial)
    {
        BinaryPrimitives.WriteUInt32BigEndian(message, (uint)message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[4..], Magic2);
        BinaryPrimitives.WriteUInt16BigEndian(message[6..], (ushort)keyMaterial.Length);
        BinaryPrimitives.WriteUInt32BigEndian(message[8..], (uint)cipher);
        keyMaterial.CopyTo(message[Header2..]);
    }

    /// <summary>Extract(N_C, pub-cipher-list || sym-cipher-list || sym-cipher || key-exchange-id || PK_C || KX_S || PMS) ([TD-69], [TD-71]).</summary>
    public override void FirstSecret(CryptoProvider provider, ReadOnlySpan<byte> pkConf, in Init1 init1, in Init2 init2, ReadOnlySpan<byte> premaster, Span<byte> secret)
    {
        Span<byte> input = stackalloc byte[pkConf.Length + init1.Message.Length + init2.Message.Length + premaster.Length];
        SpanWriter writer = new(input);
        writer.Write(pkConf);
        writer.Write(init1.Ciphers);
        writer.Write(init2.Message.Slice(8, sizeof(uint)));
        writer.Write([(byte)((int)init1.KeyExchange >> 16), (byte)((int)init1.KeyExchange >> 8), (byte)init1.KeyExchange]);
        writer.Write(init1.PublicKey);
        writer.Write(init2.KeyMaterial);
        writer.Write(premaster);
        KeySchedule.Extract(provider, init1.Nonce, writer.Written, secret);
        CryptographicOperations.ZeroMemory(input);
    }

    public override void NextMasterKey(CryptoProvider provider, byte applicationBits, ReadOnlySpan<byte> secret, Span<byte> masterKey) => KeySchedule.Expand(provider, secret, KeySchedule.Rekey, masterKey);

    /// <summary>Offsets from the ISN as they are; Up-Data is zero without ACK ([TD-76]).</summary>
    public override SegmentNumbers Number(ReadOnlySpan<byte> header, ulong sequence, ulong acknowledgment, uint senderIsn, uint receiverIsn) =>
        new(sequence, sequence, (header[13] & AcknowledgmentFlag) != 0 ? acknowledgment : 0);

    /// <summary>MAC1: ciphertext, then Assoc-Data ([TD-75], [TD-77]) with the options as they stand, but for the contents of the unprotected kinds ([TD-78]).</summary>
    public override bool TryAuthenticate(MacKey key, ReadOnlySpan<byte> segment, int headerLength, int tagOffset, ulong sequence, Span<byte> tag)
    {
        Span<byte> associated = stackalloc byte[headerLength];
        BinaryPrimitives.WriteUInt16BigEndian(associated, 0x8000);
        BinaryPrimitives.WriteUInt16BigEndian(associated[2..], (ushort)segment.Length);
        segment.Slice(12, 4).CopyTo(associated[4..]);
        associated[8..10].Clear();
        segment.Slice(18, 2).CopyTo(associated[10..]);
        BinaryPrimitives.WriteUInt64BigEndian(associated[12..], sequence);
        segment[AssociatedLength..headerLength].CopyTo(associated[AssociatedLength..]);

        bool hasMac = false;
        OptionWalk walk = new(segment[AssociatedLength..headerLength]);
        while (walk.MoveNext())
        {
            bool isMac = AssociatedLength + walk.Start + 2 == tagOffset && walk.Length == CryptOptions.MacLength;
            hasMac |= isMac;
            if (isMac || IsUnprotected(walk.Kind))
            {
                associated.Slice(AssociatedLength + walk.Start + 2, walk.Length - 2).Clear();
            }
        }

        if (!hasMac || walk.IsMalformed)
        {
            return false;
        }

        key.Compute(segment[headerLength..], associated, tag);
        return true;
    }

    public override void WriteAcknowledgmentBlock(ulong acknowledgment, Span<byte> block)
    {
        block[..8].Clear();
        BinaryPrimitives.WriteUInt64BigEndian(block[8..], acknowledgment);
    }

    private static bool TryReadLength(ReadOnlySpan<byte> prefix, ushort magic, out uint length)
    {
        length = BinaryPrimitives.ReadUInt32BigEndian(prefix);
        return BinaryPrimitives.ReadUInt16BigEndian(prefix[4..]) == magic;
    }
}
