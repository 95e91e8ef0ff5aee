using System.Buffers.Binary;
using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tests.Provider;

namespace Tcpcrypt.Tests.Vectors;

/// <summary>One recorded connection (README.md tells the format).</summary>
internal sealed class VectorConnection
{
    private static readonly string s_folder = Path.Combine(TestContext.CurrentContext.TestDirectory, "Vectors");

    private VectorConnection(string name)
    {
        Name = name;
        Json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(s_folder, name + ".json"))).RootElement;
        Dialect = name.StartsWith("draft/", StringComparison.Ordinal) ? TcpcryptDialect.Draft : TcpcryptDialect.Reference;
        Packets = [.. Json.GetProperty("packets").EnumerateArray().Select(packet => new VectorPacket(packet))];
    }

    /// <summary>The connections with packets of their dialect: all but g2, of which only the key schedule is (see its description).</summary>
    public static IEnumerable<string> Names => AllNames.Where(static name => name != "draft/g2");

    /// <summary>Those that end encrypted.</summary>
    public static IEnumerable<string> Encrypted => Names.Where(static name => Load(name).Derived is not null);

    /// <summary>Those with INIT1 and INIT2 and the private keys.</summary>
    public static IEnumerable<string> Full => Encrypted.Where(static name => Load(name).KeyExchange is not null);

    private static IEnumerable<string> AllNames =>
        Directory.EnumerateFiles(s_folder, "*.json", SearchOption.AllDirectories)
            .Select(static file => Path.GetFileName(Path.GetDirectoryName(file)) + "/" + Path.GetFileNameWithoutExtension(file))
            .Where(static name => !name.EndsWith("/primitives", StringComparison.Ordinal))
            .Order();

    public string Name { get; }

    public JsonElement Json { get; }

    public TcpcryptDialect Dialect { get; }

    public VectorPacket[] Packets { get; }

    /// <summary>Null where a session is resumed, or nothing is encrypted.</summary>
    public JsonElement? KeyExchange => Json.TryGetProperty("key_exchange", out JsonElement value) ? value : null;

    public JsonElement? Derived => Json.TryGetProperty("derived", out JsonElement value) ? value : null;

    public bool OpenerIsC => Json.GetProperty("c_role").GetString() == "opener";

    public uint IsnOf(string host) => Json.GetProperty(host).GetProperty("isn").GetUInt32();

    /// <summary>The ISN of the host in a role.</summary>
    public uint IsnOf(TcpcryptRole role) => IsnOf((role == TcpcryptRole.C) == OpenerIsC ? "opener" : "listener");

    public TcpcryptCipher Cipher => Dialect == TcpcryptDialect.Draft ? (TcpcryptCipher)Convert.ToUInt32((Json.TryGetProperty("sym_cipher", out JsonElement cipher) ? cipher : KeyExchange!.Value.GetProperty("sym_cipher")).GetString(), 16) : TcpcryptCipher.Aes128HmacSha256;

    /// <summary>Reference: those that went into mk.</summary>
    public byte ApplicationBits => Dialect == TcpcryptDialect.Draft ? (byte)0 : Derived!.Value.GetProperty("app_support_byte").GetByte();

    /// <summary>Reference: those that were seen in this connection's own options.</summary>
    public byte OwnApplicationBits => Dialect == TcpcryptDialect.Draft ? (byte)0 : Json.GetProperty("app_support_byte_negotiated").GetByte();

    public TcpcryptKeyExchange PublicKeyCipher => (TcpcryptKeyExchange)Convert.ToInt32(KeyExchange!.Value.GetProperty("pub_cipher").GetString(), 16);

    public VectorConnection? ResumedFrom => Json.TryGetProperty("resume_from", out JsonElement value) ? Load(Name[..(Name.IndexOf('/', StringComparison.Ordinal) + 1)] + value.GetString()) : null;

    public static VectorConnection Load(string name) => new(name);

    /// <summary>The key schedule's witness, by the authors' own daemon.</summary>
    public static VectorConnection LoadWitness() => new("draft/g2");

    public byte[] Secret(string name) => KeyExchange!.Value.Hex(name);

    /// <summary>Keys of a generation; dialect Reference has one.</summary>
    public JsonElement Generation(long generation) => Dialect == TcpcryptDialect.Draft ? Derived!.Value.GetProperty("generations")[(int)generation] : Derived!.Value;

    public int Generations => Dialect == TcpcryptDialect.Draft ? Derived!.Value.GetProperty("generations").GetArrayLength() : 1;

    /// <summary>The session as a host in a role has it.</summary>
    public TcpcryptSession Session(CryptoProvider provider, TcpcryptRole role) => new(provider, Derived!.Value.Hex("ss"), new SessionAgreement
    {
        Dialect = Dialect,
        Role = role,
        KeyExchange = TcpcryptKeyExchange.EcdheP256,
        Cipher = Cipher,
        PublicKeySize = 256,
        ApplicationBits = ApplicationBits,
    });

    public SegmentProtection Protection(CryptoProvider provider, TcpcryptRole role)
    {
        using TcpcryptSession session = Session(provider, role);
        return new SegmentProtection(session, IsnOf(role), IsnOf(role == TcpcryptRole.C ? TcpcryptRole.S : TcpcryptRole.C));
    }

    /// <summary>The role of a packet's sender.</summary>
    public TcpcryptRole SenderOf(VectorPacket packet) => packet.FromOpener == OpenerIsC ? TcpcryptRole.C : TcpcryptRole.S;

    /// <summary>Distance of the sequence number from the sender's ISN; no recorded connection is longer than 4 GiB.</summary>
    public ulong SequenceOf(VectorPacket packet) => unchecked(packet.SequenceNumber - IsnOf(packet.FromOpener ? "opener" : "listener"));

    public ulong AcknowledgmentOf(VectorPacket packet) => unchecked(packet.AcknowledgmentNumber - IsnOf(packet.FromOpener ? "listener" : "opener"));

    /// <summary>The packets in the pcap file beside the JSON.</summary>
    public List<byte[]> Capture()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(s_folder, Name + ".pcap"));
        List<byte[]> packets = [];
        for (int at = 24; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 8));
            packets.Add(file[(at + 16)..(at + 16 + length)]);
            at += 16 + length;
        }

        return packets;
    }

    public override string ToString() => Name;
}

/// <summary>One packet of a connection.</summary>
internal sealed class VectorPacket(JsonElement json)
{
    public byte[] Ip { get; } = json.Hex("ip");

    public bool FromOpener => json.GetProperty("dir").GetString() == "o>l";

    /// <summary>The TCP segment, a copy.</summary>
    public byte[] Segment => Ip[((Ip[0] & 15) * 4)..BinaryPrimitives.ReadUInt16BigEndian(Ip.AsSpan(2))];

    public int HeaderLength => (Segment[12] >> 4) * 4;

    public byte[] Options => Segment[20..HeaderLength];

    public byte[] Data => Segment[HeaderLength..];

    public uint SequenceNumber => BinaryPrimitives.ReadUInt32BigEndian(Segment.AsSpan(4));

    public uint AcknowledgmentNumber => BinaryPrimitives.ReadUInt32BigEndian(Segment.AsSpan(8));

    public bool IsOpeningSyn => (Segment[13] & 0x12) == 2;

    /// <summary>The values of the tag, where it is right.</summary>
    public JsonElement? Mac => json.TryGetProperty("mac", out JsonElement value) ? value : null;

    public string? Note => json.TryGetProperty("note", out JsonElement value) ? value.GetString() : null;

    public byte[] Plaintext => json.TryGetProperty("plaintext", out _) ? json.Hex("plaintext") : [];

    public long Generation => Mac is { } mac && mac.TryGetProperty("generation", out JsonElement value) ? value.GetInt64() : 0;

    /// <summary>The suboptions as the vector decodes them.</summary>
    public IEnumerable<(string Name, byte[] Content)> Suboptions =>
        json.TryGetProperty("crypt", out JsonElement list) ? list.EnumerateArray().Select(static entry => (entry.GetProperty("op").GetString()!, entry.Hex("data"))) : [];
}
