using System.Runtime.InteropServices;

namespace Tcpcrypt.Crypt;

/// <summary>
/// Encryption and authentication of the segments of one connection, both directions, all generations of keys that are alive ([TD-74..80]; reference spec 6).
/// Offsets are 64-bit distances from the sender's ISN; dialect Reference computes its own from the header and the ISNs.
/// </summary>
/// <remarks>
/// Keys of a generation are made when it is first used. A label in a segment may ask for keys ahead of everything that was ever genuine ([TD-94], [TD-124]): the chain is then derived once, at most
/// <see cref="MaxAhead"/> steps, and of the keys themselves only those asked for last are kept until a tag proves them, so that forgeries cost neither time nor memory without bound.
/// </remarks>
internal sealed class SegmentProtection : IDisposable
{
    /// <summary>How far ahead of the latest genuine generation a label may point ([TD-94]).</summary>
    public const int MaxAhead = 127;

    private const int MinHeaderLength = 20;

    private readonly CryptoProvider _provider;
    private readonly WireDialect _dialect;
    private readonly TcpcryptCipher _cipher;
    private readonly TcpcryptRole _localRole;
    private readonly TcpcryptRole _remoteRole;
    private readonly uint _localIsn;
    private readonly uint _remoteIsn;
    private readonly MasterKeyChain _chain;
    private readonly KeyRing _send = new();
    private readonly KeyRing _receive = new();
    private DirectionKeys? _unproven;
    private long _latest;

    /// <param name="session">Gives dialect, role, cipher and ss[i]; the keys are derived at once and the session is not kept.</param>
    /// <param name="localIsn">ISS.</param>
    /// <param name="remoteIsn">IRS.</param>
    public SegmentProtection(TcpcryptSession session, uint localIsn, uint remoteIsn)
    {
        SessionAgreement agreement = session.Agreement;
        _provider = session.Provider;
        _dialect = WireDialect.Of(agreement.Dialect);
        _cipher = agreement.Cipher;
        _localRole = agreement.Role;
        _remoteRole = agreement.Role == TcpcryptRole.C ? TcpcryptRole.S : TcpcryptRole.C;
        _localIsn = localIsn;
        _remoteIsn = remoteIsn;
        _chain = new MasterKeyChain(_provider, _dialect, agreement.ApplicationBits, session.Secret);
        _send.Add(CreateKeys(0, _localRole));
        _receive.Add(CreateKeys(0, _remoteRole));
        if (!_dialect.HasRekeying)
        {
            _chain.Dispose();
        }
    }

    /// <summary>Encrypts the payload in place and writes the tag.</summary>
    /// <param name="segment">The whole TCP segment: header, options with the MAC option in place, plaintext.</param>
    /// <param name="tagOffset">Where the tag is in the segment.</param>
    /// <param name="sequence">Offset of the sequence number.</param>
    /// <param name="acknowledgment">Offset of the acknowledgment number; ignored without the ACK flag.</param>
    /// <param name="generation">The generation of the keys, not below what was forgotten; 0 in dialect Reference.</param>
    public void Seal(Span<byte> segment, int tagOffset, ulong sequence, ulong acknowledgment, long generation)
    {
        DirectionKeys keys = _send.Find(generation) ?? CreateSendKeys(generation);
        if (!TryGetHeaderLength(segment, tagOffset, out int headerLength))
        {
            throw new ArgumentException("The segment has no room for a tag there.", nameof(segment));
        }

        SegmentNumbers numbers = _dialect.Number(segment[..headerLength], sequence, acknowledgment, _localIsn, _remoteIsn);
        Span<byte> payload = segment[headerLength..];
        keys.Encryption.XorKeyStream(_dialect.CounterLayout, numbers.KeyStream, payload, payload);
        if (!TryComputeTag(keys, segment, headerLength, tagOffset, numbers, segment.Slice(tagOffset, CryptOptions.TagLength)))
        {
            throw new ArgumentException("The segment has no MAC option there.", nameof(tagOffset));
        }
    }

    /// <summary>Checks the tag with the receive keys of a generation and decrypts the payload in place. False, and nothing changed, when the tag is wrong, or the segment cannot have one.</summary>
    public bool TryOpen(Span<byte> segment, int tagOffset, ulong sequence, ulong acknowledgment, long generation)
    {
        if (!TryGetHeaderLength(segment, tagOffset, out int headerLength) || FindReceiveKeys(generation) is not { } keys)
        {
            return false;
        }

        SegmentNumbers numbers = _dialect.Number(segment[..headerLength], sequence, acknowledgment, _remoteIsn, _localIsn);
        Span<byte> tag = stackalloc byte[CryptOptions.TagLength];
        if (!TryComputeTag(keys, segment, headerLength, tagOffset, numbers, tag) || !AreEqual(tag, segment.Slice(tagOffset, CryptOptions.TagLength)))
        {
            return false;
        }

        if (keys == _unproven)
        {
            Prove();
        }

        Span<byte> payload = segment[headerLength..];
        keys.Encryption.XorKeyStream(_dialect.CounterLayout, numbers.KeyStream, payload, payload);
        return true;
    }

    /// <summary>Wipes the send keys below a generation ([TD-98]).</summary>
    public void ForgetSend(long below)
    {
        _send.ForgetBelow(below);
        EraseMasterKeys();
    }

    /// <summary>Wipes the receive keys below a generation ([TD-98]).</summary>
    public void ForgetReceive(long below)
    {
        _receive.ForgetBelow(below);
        if (_unproven is { } unproven && unproven.Generation < below)
        {
            unproven.Dispose();
            _unproven = null;
        }

        EraseMasterKeys();
    }

    /// <summary>Wipes everything: from then on nothing opens, and nothing can be sealed.</summary>
    public void Dispose()
    {
        _send.Dispose();
        _receive.Dispose();
        _unproven?.Dispose();
        _unproven = null;
        _chain.Dispose();
    }

    private static bool TryGetHeaderLength(ReadOnlySpan<byte> segment, int tagOffset, out int headerLength)
    {
        headerLength = segment.Length >= MinHeaderLength && segment.Length <= ushort.MaxValue ? (segment[12] >> 4) * 4 : 0;
        return headerLength >= MinHeaderLength && headerLength <= segment.Length && tagOffset >= MinHeaderLength + 2 && tagOffset <= headerLength - CryptOptions.TagLength;
    }

    /// <summary>Both halves ([TD-77]; reference spec 6.3). The tag may be written into the segment itself, where it is not covered.</summary>
    private bool TryComputeTag(DirectionKeys keys, ReadOnlySpan<byte> segment, int headerLength, int tagOffset, in SegmentNumbers numbers, Span<byte> tag)
    {
        Span<byte> first = stackalloc byte[CryptOptions.TagLength];
        if (!_dialect.TryAuthenticate(keys.Authentication, segment, headerLength, tagOffset, numbers.Sequence, first))
        {
            return false;
        }

        Span<byte> block = stackalloc byte[CryptOptions.TagLength];
        Span<byte> second = stackalloc byte[CryptOptions.TagLength];
        _dialect.WriteAcknowledgmentBlock(numbers.Acknowledgment, block);
        keys.Acknowledgment.EncryptBlock(block, second);
        MemoryMarshal.Write(tag, MemoryMarshal.Read<UInt128>(first) ^ MemoryMarshal.Read<UInt128>(second));
        return true;
    }

    /// <summary>In constant time: FixedTimeEquals takes forty times as long.</summary>
    private static bool AreEqual(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right) =>
        ((MemoryMarshal.Read<ulong>(left) ^ MemoryMarshal.Read<ulong>(right)) | (MemoryMarshal.Read<ulong>(left[8..]) ^ MemoryMarshal.Read<ulong>(right[8..]))) == 0;

    private DirectionKeys CreateSendKeys(long generation)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(generation, _send.Floor);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(generation, _dialect.HasRekeying ? _latest + MaxAhead : 0);
        DirectionKeys keys = CreateKeys(generation, _localRole);
        _send.Add(keys);
        _latest = Math.Max(_latest, generation);
        EraseMasterKeys();
        return keys;
    }

    /// <summary>Null for generations that are forgotten, too far ahead, or unknown to the dialect.</summary>
    private DirectionKeys? FindReceiveKeys(long generation)
    {
        if (_receive.Find(generation) is { } known)
        {
            return known;
        }

        if (_unproven is { } unproven && unproven.Generation == generation)
        {
            return unproven;
        }

        if (generation < _receive.Floor || generation > (_dialect.HasRekeying ? _latest + MaxAhead : 0))
        {
            return null;
        }

        _unproven?.Dispose();
        _unproven = CreateKeys(generation, _remoteRole);
        return _unproven;
    }

    /// <summary>A tag was right: the keys last asked for are the peer's.</summary>
    private void Prove()
    {
        _receive.Add(_unproven!);
        _latest = Math.Max(_latest, _unproven!.Generation);
        _unproven = null;
        EraseMasterKeys();
    }

    private DirectionKeys CreateKeys(long generation, TcpcryptRole sender) => new(_provider, _cipher, generation, _chain.Get(generation), sender);

    /// <summary>mk[j] goes when mk[j+1] exists and both directions have their keys of j, or will never want them ([TD-73]).</summary>
    private void EraseMasterKeys()
    {
        long generation = _chain.First;
        while (generation < _chain.Last && _send.IsSettled(generation) && _receive.IsSettled(generation))
        {
            generation++;
        }

        _chain.EraseBelow(generation);
    }
}
