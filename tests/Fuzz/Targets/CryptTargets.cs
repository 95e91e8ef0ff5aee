using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

/// <summary>The CRYPT and MAC options of a segment: the first octet says whether it opens, the rest are the options.</summary>
internal sealed class CryptOptionTarget : FuzzTarget
{
    public override string Name => "cryptoptions";

    public override int MaxLength => 41;

    public override IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [69, 2], [69, 3], [69, 8, 0x41, 6], [70, 18], [0x41, 5], [0x41, 8], [0x42, 5], [0x43, 3], [0x44, 10], [0x45, 10], [0x80], [0x81], [0x82], [0x83], [0x84], [0x85], [0xC0], [0xFF], [0x7F, 2], [1], [4], [5], [7], [8], [1, 1],
    ];

    public override IEnumerable<byte[]> Seeds =>
    [
        [1, 69, 2], [0, 69, 3, 4], [0, 69, 7, 0x41, 5, 0, 2, 0], [0, 69, 13, 0x44, 10, 1, 2, 3, 4, 5, 6, 7, 8, 7], [1, 69, 12, 0x84, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 70, 18, .. new byte[16], 69, 12, 0x80, 0, 0, 0, 1, 0x81, 0, 0, 0, 2],
        [0, 69, 10, 0x82, 1, 0x83, 2, 0, 0, 0, 0], [0, 69, 7, 0x43, 3, 0xC1, 0xC2, 9],
    ];

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length == 0)
        {
            return;
        }

        bool isOpeningSyn = (input[0] & 1) != 0;
        ReadOnlySpan<byte> options = input[1..];
        CryptOptions parsed = CryptOptions.Parse(options, CryptOptionKinds.Default, isOpeningSyn);
        Check(IsIn(options, parsed.PkConf) && IsIn(options, parsed.UnknownOpcodes) && IsIn(options, parsed.SynCookie) && IsIn(options, parsed.AckCookie) && IsIn(options, parsed.SessionIdentifier), "what is read lies in the options");
        Check(parsed.PkConf.Length % 3 == 0 && parsed.Has(Suboptions.AnyPkConf) == (parsed.PkConf.Length > 0), "PKCONF is a list of identifiers");
        Check(parsed.SessionIdentifier.Length == (parsed.Has(Suboptions.AnyNextK1) ? 9 : 0), "NEXTK1 has nine octets");
        Check(parsed.TagOffset == -1 || (parsed.HasMac && parsed.TagOffset >= 2 && parsed.TagOffset + 16 <= options.Length && options[parsed.TagOffset - 2] == 70 && options[parsed.TagOffset - 1] == 18), "the tag lies in a MAC option");
        Check(parsed.HasCrypt || parsed.Present == Suboptions.None, "without CRYPT there are no suboptions");
        Check(parsed.Has(Suboptions.UnknownMandatory) == (parsed.UnknownMandatory != 0), "what is mandatory and unknown has a number");
        Check(!isOpeningSyn || parsed.HasCrypt == parsed.Has(Suboptions.AnyHello), "HELLO is implied");
        byte[] opcodes = CryptOptions.OpcodesOf(parsed.UnknownMandatory);
        Check(Array.TrueForAll(opcodes, static opcode => opcode >= 0xC0), "mandatory opcodes are c0 and above");
    }

    private static bool IsIn(ReadOnlySpan<byte> whole, ReadOnlySpan<byte> part) => part.IsEmpty || (whole.Overlaps(part, out int offset) && offset >= 0 && offset + part.Length <= whole.Length);
}

/// <summary>INIT1 as S gets it, up to the keys: first octet: the list that S has sent; then the message.</summary>
internal sealed class Init1Target : FuzzTarget
{
    private static readonly TcpcryptKeyExchange[] s_all = [TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa];
    private static readonly TcpcryptCipher[] s_ciphers = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];

    public override string Name => "init1";

    public override int MaxLength => 1100;

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[0x15, 0x10, 0x1A, 0x0E], [0x29, 0x11], [0, 0, 1, 0], [0, 0, 2, 0], [0, 0, 4], [4], [32], [20], [0, 0, 0, 117]];

    public override IEnumerable<byte[]> Seeds => [.. Make()];

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length == 0)
        {
            return;
        }

        Span<byte> list = stackalloc byte[PkConfList.MaxLength];
        list = list[..PkConfList.Write(s_all.AsSpan(input[0] % 3), (input[0] & 4) != 0, list)];
        ReadOnlySpan<byte> message = input[1..];
        bool hasLength = InitMessage.TryReadLength1(message, out _, out int length);
        Check(!hasLength || length is > 0 and <= InitMessage.MaxLength, "a length is possible");
        bool isWell = InitMessage.TryRead1(message, list, out WireDialect? dialect, out Init1 init1);
        Check(isWell == InitMessage.IsWellFormed1(message, list), "two ways to ask");
        Check(!isWell || (hasLength && length == message.Length && dialect is not null && init1.Nonce.Length + init1.PublicKey.Length + init1.Ciphers.Length < length), "a message that is well has the length that it says");
        HandshakeError error = ServerHandshake.TryAccept(CryptoProvider.Default, list, message, s_ciphers, out ServerHandshake? handshake);
        Check(isWell || error == HandshakeError.Malformed, "what is malformed is refused");
        if (handshake is null)
        {
            return;
        }

        SteppedWorkers keys = new(new SeededRandom(1));
        error = handshake.Respond(keys, 0, out TcpcryptSession? session);
        Check((error == HandshakeError.None) == (session is not null), "keys or an error");
        if (session is not null)
        {
            Check(InitMessage.TryRead2(dialect!, init1, handshake.Init2.Span, out _), "our INIT2 answers it");
            Check(InitMessage.TryReadLength2(handshake.Dialect, handshake.Init2.Span, out int answered) && answered == handshake.Init2.Length, "our INIT2 has the length that it says");
            session.Dispose();
        }
    }

    private static IEnumerable<byte[]> Make()
    {
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            foreach (TcpcryptKeyExchange keyExchange in s_all)
            {
                if (keyExchange == TcpcryptKeyExchange.OaepRsa)
                {
                    // A modulus that nobody knows the factors of is as good as another here.
                    byte[] modulus = new byte[dialect == TcpcryptDialect.Draft ? 256 : 512];
                    Array.Fill(modulus, (byte)0xE5);
                    byte[] message = new byte[InitMessage.Length1(modulus.Length, 1)];
                    WireDialect.Of(dialect).Write1(message, keyExchange, s_ciphers.AsSpan(0, 1), new byte[32], modulus);
                    yield return [0, .. message];
                    continue;
                }

                using ClientHandshake client = new(CryptoProvider.Default, dialect, [0, 0, 4], keyExchange, s_ciphers.AsSpan(0, 1), new SteppedWorkers(new SeededRandom(2)), null);
                yield return [0, .. client.Init1.Span];
            }
        }
    }
}

/// <summary>INIT2 as C gets it, up to the keys: first octet: what C has sent; then the message.</summary>
internal sealed class Init2Target : FuzzTarget
{
    private static readonly TcpcryptCipher[] s_ciphers = [TcpcryptCipher.Aes128HmacSha256, TcpcryptCipher.Aes128Cmac];
    private static readonly byte[] s_list = [0, 2, 0, 0, 2, 1, 0, 0xF0, 4];

    public override string Name => "init2";

    public override int MaxLength => 1100;

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[0x15, 0x10, 0x1A, 0x0F], [0x29, 0x12], [0, 0, 1, 0], [0, 0, 2, 0], [32], [4]];

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            for (byte kind = 0; kind < 4; kind++)
            {
                using ClientHandshake client = MakeClient(kind, out byte[] list);
                ServerHandshake.TryAccept(CryptoProvider.Default, list, client.Init1.Span, s_ciphers, out ServerHandshake? server);
                server!.Respond(new SteppedWorkers(new SeededRandom(3)), 0, out TcpcryptSession? session);
                session!.Dispose();
                yield return [kind, .. server.Init2.Span];
            }
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length == 0)
        {
            return;
        }

        ReadOnlySpan<byte> message = input[1..];
        foreach (TcpcryptDialect dialect in (TcpcryptDialect[])[TcpcryptDialect.Draft, TcpcryptDialect.Reference])
        {
            bool hasLength = InitMessage.TryReadLength2(dialect, message, out int length);
            Check(!hasLength || length is > 0 and <= InitMessage.MaxLength, "a length is possible");
            Check(!InitMessage.IsWellFormed2(dialect, message) || (hasLength && length == message.Length), "a message that is well has the length that it says");
        }

        using ClientHandshake client = MakeClient(input[0], out _);
        HandshakeError error = client.Complete(message, 0, out TcpcryptSession? session);
        Check((error == HandshakeError.None) == (session is not null), "keys or an error");
        session?.Dispose();
    }

    private static ClientHandshake MakeClient(byte kind, out byte[] list)
    {
        TcpcryptDialect dialect = (kind & 1) == 0 ? TcpcryptDialect.Draft : TcpcryptDialect.Reference;
        TcpcryptKeyExchange keyExchange = (kind & 2) == 0 ? TcpcryptKeyExchange.EcdheP256 : TcpcryptKeyExchange.EcdheP521;
        list = new byte[PkConfList.MaxLength];
        list = list[..PkConfList.Write([TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521], withMarker: true, list)];
        return new ClientHandshake(CryptoProvider.Default, dialect, list, keyExchange, s_ciphers.AsSpan(0, dialect == TcpcryptDialect.Draft ? 2 : 1), new SteppedWorkers(new SeededRandom(2)), null);
    }
}

/// <summary>
/// Segments under MAC: first octet: dialect, cipher, whether the octets are sealed or taken as they are; two for where the tag should be and the generation; three for where and how the segment is changed on its way; then the segment.
/// </summary>
internal sealed class SegmentTarget : FuzzTarget
{
    private static readonly TcpcryptSession[] s_ofC = [.. Enumerable.Range(0, 4).Select(static kind => Make(kind, TcpcryptRole.C))];
    private static readonly TcpcryptSession[] s_ofS = [.. Enumerable.Range(0, 4).Select(static kind => Make(kind, TcpcryptRole.S))];

    public override string Name => "segments";

    public override int MaxLength => 300;

    public override IReadOnlyList<byte[]> Dictionary { get; } = [[70, 18], [69, 4], [8, 10], [1, 1], [19, 18], [0x80, 0x10], [0xA0, 0x18]];

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            byte[] segment = Packets.Tcp(new Endpoint4(Packets.Them, 4000), new Endpoint4(Packets.Us, 80), 1001, 2001, TcpFlags.Ack, 100, 0, [70, 18, .. new byte[16], 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5])[20..];
            for (byte kind = 0; kind < 8; kind++)
            {
                yield return [kind, 22, 0, 0, 0, 0, .. segment];
            }
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length < 6)
        {
            return;
        }

        int kind = input[0] & 3;
        long generation = input[2] & 0x7F;
        int tagOffset = input[1];
        (int at, byte change) = (BinaryPrimitives.ReadUInt16BigEndian(input[3..]), input[5]);
        byte[] original = [.. input[6..]];
        byte[] segment = [.. original];
        using SegmentProtection here = new(s_ofC[kind], 1000, 2000);
        using SegmentProtection there = new(s_ofS[kind], 2000, 1000);
        bool isSealed = (input[0] & 4) == 0 && TrySeal(here, segment, tagOffset, generation);
        bool isChanged = change != 0 && segment.Length > 0;
        if (isChanged)
        {
            at %= segment.Length;
            segment[at] ^= change;
        }

        byte[] arrived = [.. segment];
        bool isOpen = there.TryOpen(segment, tagOffset, 1, 1, generation);
        Check(isOpen || segment.AsSpan().SequenceEqual(arrived), "what does not open is left as it is");
        Check(isOpen == isSealed || (isSealed && isChanged), "what was sealed opens, and nothing else");
        Check(!isOpen || isChanged || PayloadOf(segment).SequenceEqual(PayloadOf(original)), "what opens is what was sealed");
        Check(!isOpen || !isChanged || (at < (original[12] >> 4) * 4 && (at < tagOffset || at >= tagOffset + CryptOptions.TagLength)), "changed data and changed tags do not open");
    }

    private static ReadOnlySpan<byte> PayloadOf(ReadOnlySpan<byte> segment) => segment[((segment[12] >> 4) * 4)..];

    /// <summary>A segment that has no place for a tag is a mistake of the caller, not of the peer.</summary>
    private static bool TrySeal(SegmentProtection protection, byte[] segment, int tagOffset, long generation)
    {
        try
        {
            protection.Seal(segment, tagOffset, 1, 1, generation);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private static TcpcryptSession Make(int kind, TcpcryptRole role) => new(CryptoProvider.Default, new byte[32], new SessionAgreement
    {
        Dialect = (kind & 1) == 0 ? TcpcryptDialect.Draft : TcpcryptDialect.Reference,
        Role = role,
        KeyExchange = TcpcryptKeyExchange.EcdheP256,
        Cipher = (kind & 3) == 2 ? TcpcryptCipher.Aes128Cmac : TcpcryptCipher.Aes128HmacSha256,
        PublicKeySize = 256,
        ApplicationBits = 0,
    });
}

/// <summary>A session as a store gives it back.</summary>
internal sealed class SessionTarget : FuzzTarget
{
    public override string Name => "sessions";

    public override int MaxLength => 100;

    public override IEnumerable<byte[]> Seeds => [[1, 1, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, .. new byte[72]], [1, 2, 1, 1, 3, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, .. new byte[72]]];

    public override void Run(ReadOnlySpan<byte> input)
    {
        try
        {
            using TcpcryptSession session = TcpcryptSession.Import(input);
            Check(session.Export().AsSpan().SequenceEqual(input), "what comes back is what was kept");
            Check(session.Identifier.Length == TcpcryptSession.IdentifierLength, "a session has an identifier");
            using TcpcryptSession next = session.Next(openedHere: true, 0);
            Check(next.Index == session.Index + 1, "one after the other");
            using SegmentProtection protection = new(session, 1, 2);
        }
        catch (FormatException)
        {
            // The answer to what is none.
        }
    }
}

/// <summary>Cookies: eight octets that are taken as they are, after which the numbers and facts follow of one that is made and changed.</summary>
internal sealed class CookieTarget : FuzzTarget
{
    public override string Name => "cookies";

    public override int MaxLength => 64;

    public override IEnumerable<byte[]> Seeds => [[.. new byte[8], 5, 0xB4, 0x1F, 7, 0, 0, 0, 10], [.. new byte[8], 0, 88, 0, 0, 0, 1, 1, 200]];

    public override void Run(ReadOnlySpan<byte> input)
    {
        if (input.Length < 16)
        {
            return;
        }

        SynCookie cookies = new(new SeededRandom(4));
        FourTuple tuple = new(Packets.Us, 80, Packets.Them, 4000);
        Check(!cookies.TryRead(TcpInstant.Zero, tuple, new(1), new(2), input[..8], out _), "nobody else can make a cookie");
        _ = cookies.TryRead(TcpInstant.Zero, tuple, new(1), new(2), input[8..], out _);
        CookieFacts facts = new()
        {
            KeyExchange = (input[10] & 3) switch { 0 => TcpcryptKeyExchange.EcdheP256, 1 => TcpcryptKeyExchange.EcdheP521, _ => TcpcryptKeyExchange.OaepRsa },
            IsRemoteAware = (input[10] & 4) != 0,
            Agreed = new SynAgreement
            {
                PeerMss = Math.Max(BinaryPrimitives.ReadUInt16BigEndian(input[8..]), (ushort)SynAgreement.PeerMssFloor),
                WindowScaling = (input[10] & 8) != 0,
                Sack = (input[10] & 16) != 0,
                Timestamps = (input[10] & 32) != 0,
                PeerShift = (byte)(input[11] % 15),
            },
        };
        Span<byte> cookie = stackalloc byte[SynCookie.Length];
        cookies.Write(TcpInstant.Zero, tuple, new(1), new(2), facts, cookie);
        (int at, byte change, int seconds) = (input[12] & 7, input[13], BinaryPrimitives.ReadUInt16BigEndian(input[14..]));
        cookie[at] ^= change;
        bool isRead = cookies.TryRead(TcpInstant.Zero + TimeSpan.FromSeconds(seconds), tuple, new(1), new(2), cookie, out CookieFacts read);
        Check(isRead || change != 0 || seconds >= 64, "a cookie is good for a minute");
        Check(!isRead || (change == 0 && seconds < 128), "an old or changed cookie is none");
        Check(!isRead || (read.KeyExchange == facts.KeyExchange && read.IsRemoteAware == facts.IsRemoteAware && read.Agreed.WindowScaling == facts.Agreed.WindowScaling && read.Agreed.Sack == facts.Agreed.Sack
            && read.Agreed.Timestamps == facts.Agreed.Timestamps && read.Agreed.PeerMss <= facts.Agreed.PeerMss), "the facts come back");
    }
}
