using System.Globalization;
using System.Text.Json;

namespace Tcpcrypt.Interop;

/// <summary>The Wireshark dissector of samples/wireshark, run by tshark.</summary>
public sealed class DissectorTests
{
    private const byte Syn = 0x02;
    private const byte SynAck = 0x12;
    private const byte Ack = 0x10;

    private const string Told = "told";

    private static readonly string[] s_fields =
    [
        "_ws.col.Protocol", "_ws.col.Info", "tcpcrypt.name", "tcpcrypt.pkconf", "tcpcrypt.unknown", "tcpcrypt.syncookie", "tcpcrypt.ackcookie", "tcpcrypt.sync_req", "tcpcrypt.sync_ok",
        "tcpcrypt.rekey", "tcpcrypt.rekeystream", "tcpcrypt.rekeystream.offset", "tcpcrypt.nextk1", "tcpcrypt.data", "tcpcrypt.dialect",
        "tcpcrypt.init1", "tcpcrypt.init1.length", "tcpcrypt.init1.magic", "tcpcrypt.init1.cipher_count", "tcpcrypt.init1.nonce_length", "tcpcrypt.init1.key_length", "tcpcrypt.init1.cipher",
        "tcpcrypt.init1.nonce", "tcpcrypt.init1.key_exchange", "tcpcrypt.init1.key",
        "tcpcrypt.init2", "tcpcrypt.init2.length", "tcpcrypt.init2.magic", "tcpcrypt.init2.kx_length", "tcpcrypt.init2.cipher", "tcpcrypt.init2.kx", "tcpcrypt.init2.nonce", "tcpcrypt.init2.key", "tcpcrypt.init2.secret",
        "tcpcrypt.mac.tag", "tcpcrypt.ciphertext", "tcpcrypt.malformed", "tcpcrypt.unknown_opcode", "tcpcrypt.behind_end", "tcpcrypt.init.part", "tcpcrypt.init.missing", "tcpcrypt.init.malformed",
        "tcpcrypt.mac.invalid", Tshark.LuaError,
    ];

    /// <summary>What no capture has: the flags of a segment, its options and data, a field of what is read from it, and the field's values.</summary>
    private static readonly (string Name, byte Flags, string Options, string Data, string Field, string Values)[] s_rare =
    [
        ("an empty option on a SYN says HELLO", Syn, "4502 0101", "", "tcpcrypt.name", "HELLO"),
        ("an empty option on a SYN,ACK says nothing", SynAck, "4502 0101", "", "tcpcrypt.name", ""),
        ("85 on a SYN is the daemon's NEXTK1-app-support", Syn, "450c 85 010203040506070809", "", "tcpcrypt.name", "NEXTK1-app-support"),
        ("85 on a SYN has a session ID", Syn, "450c 85 010203040506070809", "", "tcpcrypt.nextk1", "010203040506070809"),
        ("85 elsewhere is an IV", Ack, "450c 85 010203040506070809", "", "tcpcrypt.name", "IV"),
        ("85 elsewhere has no session ID", Ack, "450c 85 010203040506070809", "", "tcpcrypt.nextk1", ""),
        ("what follows an IV cannot be read", Ack, "450c 85 010203040506070809", "", "tcpcrypt.unknown_opcode", Told),
        ("key number of REKEYSTREAM", Ack, "4508 83 07 00010203", "", "tcpcrypt.rekeystream", "7"),
        ("offset of REKEYSTREAM", Ack, "4508 83 07 00010203", "", "tcpcrypt.rekeystream.offset", "66051"),
        ("suboptions behind clocks", Ack, "450d 81 00000007 80 fffffffe 01", "", "tcpcrypt.name", "SYNC_OK|SYNC_REQ|HELLO"),
        ("unknown suboptions below 80 are skipped", Syn, "4507 20 52 03 aa 01 01", "", "tcpcrypt.name", "20|52|HELLO"),
        ("an unknown suboption from 80 on ends the option", Syn, "4504 90 01", "", "tcpcrypt.name", "90"),
        ("an unknown suboption does not end the next option", Syn, "4504 c3 01 4503 02 01", "", "tcpcrypt.name", "c3|HELLO-app-support"),
        ("several options are all read", Syn, "4503 04 4505 43 03 41", "", "tcpcrypt.unknown", "0x41"),
        ("PKCONF without entries", Syn, "4504 41 02", "", "tcpcrypt.malformed", Told),
        ("PKCONF with half an entry", Syn, "4506 41 04 0002", "0101", "tcpcrypt.malformed", Told),
        ("a suboption shorter than its own head", Syn, "4504 41 01", "", "tcpcrypt.malformed", Told),
        ("a suboption longer than the option", Syn, "4504 44 05", "", "tcpcrypt.malformed", Told),
        ("a suboption without its length", Syn, "4503 44 01", "", "tcpcrypt.malformed", Told),
        ("a clock cut short", Ack, "4504 80 01", "", "tcpcrypt.malformed", Told),
        ("a MAC of two octets", Ack, "4604 0102", "", "tcpcrypt.mac.invalid", Told),
        ("a second MAC", Ack, "4612 00000000000000000000000000000000 4602", "", "tcpcrypt.mac.invalid", Told),
        ("a tag", Ack, "4612 000102030405060708090a0b0c0d0e0f 0101", "", "tcpcrypt.mac.tag", "000102030405060708090a0b0c0d0e0f"),
        ("REKEY without its number", Ack, "4503 82 00", "", "tcpcrypt.malformed", Told),
        ("the first part of INIT1", Ack, "4503 07 01", "00000075 2911 0001 0020 0041 00000100", "tcpcrypt.init.part", Told),
        ("the first part of INIT1 has a cipher", Ack, "4503 07 01", "00000075 2911 0001 0020 0041 00000100", "tcpcrypt.init1.cipher", "0x00000100"),
        ("another part of INIT1", Ack, "4503 07 01", "11223344 5566", "tcpcrypt.init.missing", Told),
        ("INIT1 with lengths that contradict each other", Ack, "4503 07 01", "00000075 2911 ffff ffff ffff 00000100", "tcpcrypt.init.malformed", Told),
        ("INIT1 of 4 GiB", Ack, "4503 07 01", "15101a0e ffffffff 00000200 0000 ffff 00000100", "tcpcrypt.init.part", Told),
        ("data behind INIT2", Ack, "4503 08 01", "0000000d 8310 0001 00000100 55 66", "tcpcrypt.data", "66"),
        ("INIT2 shorter than its own head", Ack, "4503 08 01", "097105e0 00000003 00000100", "tcpcrypt.init.malformed", Told),
        ("an option behind the end of the list", Ack, "0100 4503 0201 4500", "", "tcpcrypt.behind_end", Told),
        ("a MAC without a tag", Ack, "4502 4602", "", "tcpcrypt.mac.tag", ""),
    ];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("tcpcrypt-dissector-");
    private readonly Lazy<List<Dictionary<string, string[]>>> _rare;

    public DissectorTests() => _rare = new(ReadRare);

    private static IEnumerable<string> Captures => Directory.EnumerateFiles(Folder, "*.json", SearchOption.AllDirectories).Where(static file => !file.EndsWith("g2.json", StringComparison.Ordinal)).Select(file => Path.ChangeExtension(Path.GetRelativePath(Folder, file), null)).Order();

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "captures");

    [OneTimeSetUp]
    public void NeedTshark()
    {
        if (!Shell.Has("tshark"))
        {
            Assert.Ignore("tshark is not installed");
        }
    }

    [OneTimeTearDown]
    public void LeaveNothing() => _folder.Delete(recursive: true);

    [TestCaseSource(nameof(Captures))]
    [Spec("TD-5")]
    public void Options_and_messages_of_a_capture_are_named(string capture)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, capture + ".json")));
        JsonElement connection = document.RootElement;
        JsonElement[] packets = [.. connection.GetProperty("packets").EnumerateArray()];
        List<Dictionary<string, string[]>> read = Tshark.Read(Path.Combine(Folder, capture + ".pcap"), s_fields);
        Assert.That(read, Has.Count.EqualTo(packets.Length));
        using (Assert.EnterMultipleScope())
        {
            foreach ((JsonElement packet, int number) in packets.Select((packet, index) => (packet, index + 1)))
            {
                ComparePacket(packet, connection, read[number - 1], $"packet {number}", capture.StartsWith("draft", StringComparison.Ordinal));
            }
        }
    }

    private static void ComparePacket(JsonElement packet, JsonElement connection, Dictionary<string, string[]> read, string which, bool draft)
    {
        (string Name, string Data)[] suboptions = packet.TryGetProperty("crypt", out JsonElement crypt) && crypt.ValueKind == JsonValueKind.Array
            ? [.. crypt.EnumerateArray().Select(suboption => (suboption.GetProperty("op").GetString()!, suboption.GetProperty("data").GetString()!))]
            : [];
        string data = Payload(packet);
        bool behindEnd = packet.TryGetProperty("note", out JsonElement note) && note.GetString()!.StartsWith("reference artefact", StringComparison.Ordinal);
        bool mac = packet.TryGetProperty("mac", out JsonElement tag) && tag.ValueKind == JsonValueKind.Object && !behindEnd;

        Assert.That(read["tcpcrypt.name"], Is.EqualTo(suboptions.Select(suboption => suboption.Name)), which);
        Assert.That(read["tcpcrypt.pkconf"], Is.EqualTo(Of("PKCONF", "PKCONF-app-support").SelectMany(entries => entries.Chunk(6)).Select(entry => $"0x{new string(entry)}")), which);
        Assert.That(read["tcpcrypt.unknown"], Is.EqualTo(Of("UNKNOWN").SelectMany(entries => entries.Chunk(2)).Select(entry => $"0x{new string(entry)}")), which);
        Assert.That(read["tcpcrypt.syncookie"], Is.EqualTo(Of("SYNCOOKIE")), which);
        Assert.That(read["tcpcrypt.ackcookie"], Is.EqualTo(Of("ACKCOOKIE")), which);
        Assert.That(read["tcpcrypt.sync_req"], Is.EqualTo(Of("SYNC_REQ").Select(Number)), which);
        Assert.That(read["tcpcrypt.sync_ok"], Is.EqualTo(Of("SYNC_OK").Select(Number)), which);
        Assert.That(read["tcpcrypt.rekey"], Is.EqualTo(Of("REKEY").Select(Number)), which);
        Assert.That(read["tcpcrypt.nextk1"], Is.EqualTo(Of("NEXTK1", "NEXTK1-app-support")), which);

        // A MAC with a wrong tag is a MAC, too, but the vectors have no right tag for it.
        bool forged = note.ValueKind == JsonValueKind.String && !behindEnd;
        if (!forged)
        {
            Assert.That(read["_ws.col.Protocol"], Is.EqualTo(new[] { suboptions.Length > 0 || mac ? "tcpcrypt" : "TCP" }), which);
            Assert.That(read["tcpcrypt.mac.tag"], Is.EqualTo(mac ? new[] { tag.GetProperty("mac").GetString()! } : []), which);
            Assert.That(read["tcpcrypt.ciphertext"], Is.EqualTo(mac && data.Length > 0 ? new[] { data } : []), which);
        }

        Assert.That(read["tcpcrypt.behind_end"], behindEnd ? Is.Not.Empty : Is.Empty, which);
        bool init1 = suboptions.Any(suboption => suboption.Name == "INIT1");
        bool init2 = suboptions.Any(suboption => suboption.Name == "INIT2");
        Assert.That(read["tcpcrypt.init1"], Is.EqualTo(init1 ? new[] { data } : []), which);
        Assert.That(read["tcpcrypt.init2"], Is.EqualTo(init2 ? new[] { data } : []), which);
        Assert.That(read["tcpcrypt.init.missing"], behindEnd ? Is.Not.Empty : Is.Empty, which);
        Assert.That(read["tcpcrypt.dialect"], Is.EqualTo((init1 || init2) && !behindEnd ? new[] { draft ? "1" : "2" } : []), which);
        foreach (string fault in new[] { "tcpcrypt.malformed", "tcpcrypt.unknown_opcode", "tcpcrypt.init.part", "tcpcrypt.init.malformed", "tcpcrypt.mac.invalid", Tshark.LuaError })
        {
            Assert.That(read[fault], Is.Empty, $"{fault}, {which}");
        }

        if (connection.TryGetProperty("key_exchange", out JsonElement exchange) && !behindEnd)
        {
            if (init1)
            {
                CompareInit1(exchange, read, which, draft, data);
            }
            else if (init2)
            {
                CompareInit2(exchange, read, which, draft, data);
            }
        }

        IEnumerable<string> Of(params string[] names) => suboptions.Where(suboption => names.Contains(suboption.Name)).Select(suboption => suboption.Data);
    }

    private static void CompareInit1(JsonElement exchange, Dictionary<string, string[]> read, string which, bool draft, string data)
    {
        string key = new[] { "c_pub", "c_rsa_n", "pk_c" }.Select(name => exchange.TryGetProperty(name, out JsonElement value) ? value.GetString() : null).First(value => value is not null)!;
        string nonce = exchange.GetProperty("n_c").GetString()!;
        string ciphers = draft ? exchange.GetProperty("sym_cipher_list").GetString()! : exchange.GetProperty("sym_cipher").GetString()!;
        Assert.That(data, Is.EqualTo(exchange.GetProperty("init1").GetString()), which);
        Assert.That(read["tcpcrypt.init1.length"], Is.EqualTo(new[] { Invariant(data.Length / 2) }), which);
        Assert.That(read["tcpcrypt.init1.magic"], Is.EqualTo(new[] { draft ? "0x00002911" : "0x15101a0e" }), which);
        Assert.That(read["tcpcrypt.init1.cipher_count"], Is.EqualTo(new[] { Invariant(ciphers.Length / 8) }), which);
        Assert.That(read["tcpcrypt.init1.cipher"], Is.EqualTo(ciphers.Chunk(8).Select(cipher => $"0x{new string(cipher)}")), which);
        Assert.That(read["tcpcrypt.init1.nonce"], Is.EqualTo(new[] { nonce }), which);
        Assert.That(read["tcpcrypt.init1.key_exchange"], Is.EqualTo(new[] { $"0x{exchange.GetProperty("pub_cipher").GetString()}" }), which);
        Assert.That(read["tcpcrypt.init1.key"], Is.EqualTo(new[] { key }), which);
        Assert.That(read["tcpcrypt.init1.nonce_length"], Is.EqualTo(draft ? new[] { "32" } : []), which);
        Assert.That(read["tcpcrypt.init1.key_length"], Is.EqualTo(draft ? new[] { Invariant(key.Length / 2) } : []), which);
    }

    private static void CompareInit2(JsonElement exchange, Dictionary<string, string[]> read, string which, bool draft, string data)
    {
        const int Before = 24;
        Assert.That(data, Is.EqualTo(exchange.GetProperty("init2").GetString()), which);
        Assert.That(read["tcpcrypt.init2.length"], Is.EqualTo(new[] { Invariant(data.Length / 2) }), which);
        Assert.That(read["tcpcrypt.init2.magic"], Is.EqualTo(new[] { draft ? "0x00008310" : "0x097105e0" }), which);
        Assert.That(read["tcpcrypt.init2.kx_length"], Is.EqualTo(draft ? new[] { Invariant((data.Length - Before) / 2) } : []), which);
        Assert.That(read["tcpcrypt.init2.cipher"], Is.EqualTo(new[] { $"0x{exchange.GetProperty("sym_cipher").GetString()}" }), which);
        Assert.That(read["tcpcrypt.init2.kx"], Is.EqualTo(new[] { data[Before..] }), which);
        bool rsa = exchange.GetProperty("pub_cipher").GetString() == "000100";
        string? key = exchange.TryGetProperty("s_pub", out JsonElement value) || exchange.TryGetProperty("pk_s", out value) ? value.GetString() : null;
        Assert.That(read["tcpcrypt.init2.secret"], Is.EqualTo(rsa ? new[] { data[Before..] } : []), which);
        Assert.That(read["tcpcrypt.init2.nonce"], Is.EqualTo(rsa ? [] : new[] { exchange.GetProperty("n_s").GetString()! }), which);
        Assert.That(read["tcpcrypt.init2.key"], Is.EqualTo(rsa ? [] : new[] { key! }), which);
    }

    [TestCaseSource(nameof(Rare))]
    [Spec("TD-4")]
    [Spec("TD-8")]
    [Spec("TD-9")]
    public void Rare_and_malformed_options_are_told(int row)
    {
        (_, _, _, _, string field, string expected) = s_rare[row];
        string[] values = _rare.Value[row][field];
        Assert.That(_rare.Value[row][Tshark.LuaError], Is.Empty);
        if (expected == Told)
        {
            Assert.That(values, Is.Not.Empty);
        }
        else
        {
            Assert.That(string.Join('|', values), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Option_kinds_are_preferences()
    {
        byte[] options = Padded(Hex("fd03 02 fe12 000102030405060708090a0b0c0d0e0f 4503 01"));
        string file = Tshark.Write(Path.Combine(_folder.FullName, "kinds.pcap"), [Tshark.Packet(Syn, options, [])]);
        Dictionary<string, string[]> read = Tshark.Read(file, s_fields, "-o", "tcpcrypt.crypt_kind:253", "-o", "tcpcrypt.mac_kind:254").Single();
        Assert.That(read["tcpcrypt.name"], Is.EqualTo(new[] { "HELLO-app-support" }));
        Assert.That(read["tcpcrypt.mac.tag"], Is.EqualTo(new[] { "000102030405060708090a0b0c0d0e0f" }));
    }

    [Test]
    public void Info_column_tells_the_handshake_at_a_glance()
    {
        List<Dictionary<string, string[]>> read = Tshark.Read(Path.Combine(Folder, "draft", "cookie.pcap"), s_fields);
        string[] info = [.. read.Take(5).Select(packet => string.Join('|', packet["_ws.col.Info"])).Select(text => text[text.IndexOf("[tcpcrypt", StringComparison.Ordinal)..])];
        Assert.That(info, Is.EqualTo(new[]
        {
            "[tcpcrypt HELLO]", "[tcpcrypt PKCONF P-256 draft, SYNCOOKIE]", "[tcpcrypt ACKCOOKIE, INIT1 P-256]", "[tcpcrypt INIT2]", "[tcpcrypt MAC]",
        }));
    }

    [Test]
    public void No_packet_makes_the_script_fail()
    {
        // Options and data of all captures with octets exchanged, inserted, removed and cut off; the IPv4 header stays, so that TCP is what it is.
        Random random = new(1);
        byte[][] genuine = [.. Captures.SelectMany(capture => Packets(Path.Combine(Folder, capture + ".json"))).Where(packet => packet.Length > 40)];
        List<byte[]> mutants = [];
        for (int i = 0; i < 6000; i++)
        {
            byte[] packet = [.. genuine[random.Next(genuine.Length)]];
            for (int changes = random.Next(1, 6); changes > 0; changes--)
            {
                int at = random.Next(40, Math.Min(packet.Length, 120));
                packet[at] = random.Next(4) switch
                {
                    0 => (byte)random.Next(256),
                    1 => packet[random.Next(40, packet.Length)],
                    2 => (byte)(packet[at] + random.Next(-2, 3)),
                    _ => (byte)(random.Next(2) == 0 ? 69 : 70),
                };
            }

            if (random.Next(3) == 0)
            {
                packet[32] = (byte)(random.Next(6, 16) << 4);
            }

            mutants.Add(random.Next(3) == 0 ? packet[..random.Next(40, packet.Length)] : packet);
        }

        List<Dictionary<string, string[]>> read = Tshark.Read(Tshark.Write(Path.Combine(_folder.FullName, "mutants.pcap"), mutants), s_fields);
        Assert.That(read, Has.Count.EqualTo(mutants.Count));
        Assert.That(read.Select((packet, index) => (packet, index)).Where(pair => pair.packet[Tshark.LuaError].Length > 0).Select(pair => Convert.ToHexString(mutants[pair.index])), Is.Empty);

        // The mutations reach every complaint.
        foreach (string fault in new[] { "tcpcrypt.malformed", "tcpcrypt.unknown_opcode", "tcpcrypt.behind_end", "tcpcrypt.init.part", "tcpcrypt.init.missing", "tcpcrypt.init.malformed", "tcpcrypt.mac.invalid" })
        {
            Assert.That(read.Any(packet => packet[fault].Length > 0), fault);
        }
    }

    private static IEnumerable<TestCaseData<int>> Rare() => s_rare.Select((row, index) => new TestCaseData<int>(index).SetName($"Rare and malformed: {row.Name}, {row.Field}"));

    private List<Dictionary<string, string[]>> ReadRare() =>
        Tshark.Read(Tshark.Write(Path.Combine(_folder.FullName, "rare.pcap"), s_rare.Select(row => Tshark.Packet(row.Flags, Padded(Hex(row.Options)), Hex(row.Data)))), s_fields);

    private static IEnumerable<byte[]> Packets(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(file));
        return [.. document.RootElement.GetProperty("packets").EnumerateArray().Select(packet => Convert.FromHexString(packet.GetProperty("ip").GetString()!))];
    }

    private static string Payload(JsonElement packet)
    {
        byte[] octets = Convert.FromHexString(packet.GetProperty("ip").GetString()!);
        int tcp = (octets[0] & 15) * 4;
        return Convert.ToHexStringLower(octets.AsSpan(tcp + (octets[tcp + 12] >> 4) * 4));
    }

    private static byte[] Padded(byte[] options) => [.. options, .. Enumerable.Repeat((byte)1, -options.Length & 3)];

    private static byte[] Hex(string text) => Convert.FromHexString(text.Replace(" ", "", StringComparison.Ordinal));

    private static string Number(string hex) => Invariant(uint.Parse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    private static string Invariant(long number) => number.ToString(CultureInfo.InvariantCulture);
}
