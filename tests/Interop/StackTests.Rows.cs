namespace Tcpcrypt.Interop;

public sealed partial class StackTests
{
    private const TcpcryptDialect Draft = TcpcryptDialect.Draft;
    private const TcpcryptDialect Reference = TcpcryptDialect.Reference;
    private const TcpcryptCipher Hmac = TcpcryptCipher.Aes128HmacSha256;
    private const TcpcryptCipher Cmac = TcpcryptCipher.Aes128Cmac;
    private const uint HighIsn = 0x9abc_def0;

    /// <summary>So that the number wraps within the messages, or the data.</summary>
    private static readonly uint[] s_wrapping = [0xffff_ffff, 0xffff_ff80, 0xffff_f800];

    private static readonly TcpcryptDialect[] s_dialects = [Draft, Reference];

    private static readonly Row[] s_rows = [.. Plain(), .. KeyExchanges(), .. Roles(), .. Resumptions(), .. ApplicationBits(), .. Rekeying(), .. Features(), .. Numbers(), .. Misbehaviour(), .. Losses(), .. Attacks()];

    // ---- What the peer is told, so that a connection comes to be in a dialect and with us in a role. C decides the dialect: the peer, by its command line; or we, by the peer's marker.

    private static Row Basic(string name, bool weOpen, TcpcryptDialect dialect, string peer = "") =>
        new($"{name}, {dialect}") { WeOpen = weOpen, Dialect = dialect, Role = weOpen ? TcpcryptRole.C : TcpcryptRole.S, Peer = $"{(dialect == Draft ? "" : weOpen ? "--nomarker" : "--dialect reference")} {peer}" };

    private static Row Reversed(string name, bool weOpen, TcpcryptDialect dialect, string peer = "") => weOpen
        ? new($"{name}, {dialect}, the listener plays C") { WeOpen = true, Dialect = dialect, Role = TcpcryptRole.S, Peer = $"--cmode {(dialect == Draft ? "" : "--dialect reference")} {peer}" }
        : new($"{name}, {dialect}, the listener plays C") { Dialect = dialect, Role = TcpcryptRole.C, Peer = $"{(dialect == Draft ? "" : "--nomarker")} {peer}", Ours = new EndOptions { CMode = "Always" } };

    private static IEnumerable<Row> Each(Func<bool, TcpcryptDialect, Row> make) => from weOpen in new[] { true, false } from dialect in s_dialects select make(weOpen, dialect);

    private static IEnumerable<Row> EachDraft(Func<bool, Row> make) => [make(true), make(false)];

    private static IEnumerable<Row> Plain() =>
    [
        .. EachDraft(static weOpen => Unencrypted("policy Disabled", weOpen) with { Ours = new EndOptions { Policy = "Disabled" } }),
        .. EachDraft(static weOpen => Unencrypted("CRYPT stripped from the SYN", weOpen) with { Path = static (wire, _) => wire.Change(static packet => packet.IsSyn, static packet => packet.StripCrypt()) }),
        .. from isn in s_wrapping from row in EachDraft(weOpen => Unencrypted($"our number starts at {isn:x}", weOpen)) select row with
        {
            Ours = new EndOptions { Policy = "Disabled" }, Peer = row.WeOpen ? "" : $"--lport {PeerFixedPort}", OurIsn = isn,
        },
        .. EachDraft(static weOpen => Unencrypted("address translation", weOpen) with { Ours = new EndOptions { Policy = "Disabled" }, Translated = true }),
        .. EachDraft(static weOpen => Unencrypted("no common key exchange", weOpen) with { Ours = new EndOptions { KeyExchanges = [TcpcryptKeyExchange.EcdheP521] }, Peer = "--alg 0x200" }),
        .. EachDraft(static weOpen => Unencrypted("no common cipher", weOpen) with { Ours = new EndOptions { Ciphers = [Hmac] }, Peer = "--sym 00000300" }),
    ];

    private static Row Unencrypted(string name, bool weOpen) => new($"plain: {name}") { WeOpen = weOpen, Sessions = 0, Says = "plain" };

    private static IEnumerable<Row> KeyExchanges()
    {
        foreach ((TcpcryptKeyExchange exchange, string name, string option) in new[]
        {
            (TcpcryptKeyExchange.EcdheP256, "P-256", "--alg 0x200"), (TcpcryptKeyExchange.EcdheP521, "P-521", "--alg 0x201"), (TcpcryptKeyExchange.OaepRsa, "RSA", "--alg 0x100"),
        })
        {
            EndOptions ours = new() { KeyExchanges = [exchange] };
            foreach (Row row in Each((weOpen, dialect) => Basic(name, weOpen, dialect, option)))
            {
                yield return row with { KeyExchange = exchange, Ours = ours with { RsaKeySize = row.Dialect == Reference ? 4096 : 2048 } };
            }

            foreach (Row row in Each((weOpen, dialect) => Reversed(name, weOpen, dialect, option)))
            {
                yield return row with { KeyExchange = exchange, Ours = ours with { RsaKeySize = row.Dialect == Reference ? 4096 : 2048, CMode = row.Ours.CMode } };
            }
        }

        foreach (Row row in EachDraft(static weOpen => Basic("RSA of 3072 bits", weOpen, Draft, "--alg 0x100 --rsabits 3072")))
        {
            yield return row with { KeyExchange = TcpcryptKeyExchange.OaepRsa, Ours = new EndOptions { KeyExchanges = [TcpcryptKeyExchange.OaepRsa], RsaKeySize = 3072 } };
        }

        foreach (Row row in EachDraft(static weOpen => Basic("CMAC alone", weOpen, Draft, "--sym 00000300")).Concat(EachDraft(static weOpen => Reversed("CMAC alone", weOpen, Draft, "--sym 00000300"))))
        {
            yield return row with { Cipher = Cmac, Ours = row.Ours with { Ciphers = [Hmac, Cmac] } };
        }

        // S chooses: the peer when we open, we when we listen.
        yield return Basic("the peer prefers CMAC", true, Draft, "--sym 0000030000000100") with { Cipher = Cmac, Ours = new EndOptions { Ciphers = [Hmac, Cmac] } };
        yield return Basic("the peer prefers HMAC", true, Draft, "--sym 0000010000000300") with { Cipher = Hmac, Ours = new EndOptions { Ciphers = [Cmac, Hmac] } };
        yield return Basic("we prefer CMAC", false, Draft, "--sym 0000010000000300") with { Cipher = Cmac, Ours = new EndOptions { Ciphers = [Cmac, Hmac] } };
        yield return Basic("we prefer HMAC", false, Draft, "--sym 0000030000000100") with { Cipher = Hmac, Ours = new EndOptions { Ciphers = [Hmac, Cmac] } };

        // In Reference there is one cipher, and unknown ones in the list are skipped.
        yield return Basic("an unknown cipher in front", false, Reference, "--sym 0000030000000100");
    }

    private static IEnumerable<Row> Roles() =>
    [
        Basic("no marker, taken for the draft", true, Draft, "--nomarker") with { Ours = new EndOptions { UnknownPeerDialect = Draft } },
        Basic("our marker is heeded", false, Draft, "--dialect auto"),
        Reversed("our marker is heeded", true, Draft, "--dialect auto"),
        .. Each(static (weOpen, dialect) => Basic("never C, listening", weOpen, dialect)).Where(static row => !row.WeOpen).Select(static row => row with { Ours = new EndOptions { CMode = "Never" } }),
        .. Each(static (weOpen, dialect) => Basic("always C, opening", weOpen, dialect)).Where(static row => row.WeOpen).Select(static row => row with { Ours = new EndOptions { CMode = "Always" } }),
    ];

    private static IEnumerable<Row> Resumptions() =>
    [
        .. Each(static (weOpen, dialect) => Basic("a chain of four", weOpen, dialect, "--resume 3") with { Sessions = 4 }),
        .. Each(static (weOpen, dialect) => Reversed("a chain", weOpen, dialect, "--resume 2") with { Sessions = 3 }),
        .. EachDraft(static weOpen => Basic("a chain opened in turn", weOpen, Draft, "--resume 3 --swap") with { Sessions = 4, Swap = true }),
        .. EachDraft(static weOpen => Basic("a chain of P-521", weOpen, Draft, "--resume 2 --alg 0x201") with { Sessions = 3, KeyExchange = TcpcryptKeyExchange.EcdheP521, Ours = new EndOptions { KeyExchanges = [TcpcryptKeyExchange.EcdheP521] } }),
        .. EachDraft(static weOpen => Basic("a chain with CMAC", weOpen, Draft, "--resume 2 --sym 00000300") with { Sessions = 3, Cipher = Cmac, Ours = new EndOptions { Ciphers = [Cmac, Hmac] } }),
        .. Each(static (weOpen, dialect) => Basic("a chain across an address translator", weOpen, dialect, "--resume 2") with { Sessions = 3, Translated = true }),

        // The peer as a listener does not repeat this SYN,ACK.
        .. from dialect in s_dialects select Basic("a chain, the SYN,ACK of the second lost", false, dialect, "--resume 1") with
        {
            Sessions = 2, Path = static (wire, _) => wire.Lose(static packet => packet.IsSynAck && packet.Crypt is [0x05 or 0x06]),
        },
    ];

    private static IEnumerable<Row> ApplicationBits()
    {
        EndOptions aware = new() { ApplicationAware = "Yes" };
        EndOptions required = new() { ApplicationAware = "Required" };
        return
        [
            .. Each((weOpen, dialect) => Basic("both aware", weOpen, dialect, "--app 1") with { Ours = aware, RemoteApplicationAware = true }),
            .. Each((weOpen, dialect) => Basic("we are aware", weOpen, dialect) with { Ours = aware }),
            .. Each((weOpen, dialect) => Basic("the peer is aware", weOpen, dialect, "--app 1") with { RemoteApplicationAware = true }),
            .. Each((weOpen, dialect) => Basic("a chain, both aware", weOpen, dialect, "--app 1 --resume 2") with { Ours = aware, RemoteApplicationAware = true, Sessions = 3 }),
            .. Each((weOpen, dialect) => Basic("a chain, the peer is aware", weOpen, dialect, "--app 1 --resume 2") with { RemoteApplicationAware = true, Sessions = 3 }),
            .. EachDraft(weOpen => Reversed("both aware", weOpen, Draft, "--app 1") with { Ours = aware with { CMode = weOpen ? null : "Always" }, RemoteApplicationAware = true }),
            .. EachDraft(weOpen => Basic("we demand it", weOpen, Draft, "--app 1") with { Ours = required, RemoteApplicationAware = true }),
            .. EachDraft(weOpen => Basic("the peer demands it", weOpen, Draft, "--app 2") with { Ours = aware, RemoteApplicationAware = true }),
            .. EachDraft(weOpen => Unencrypted("we demand awareness in vain", weOpen) with { Ours = required }),
            .. EachDraft(static weOpen => Unencrypted("the peer demands awareness in vain", weOpen) with { Peer = "--app 2" }),
        ];
    }

    private static IEnumerable<Row> Rekeying() =>
    [
        .. EachDraft(static weOpen => Basic("new keys from us", weOpen, Draft) with { Rekey = true, Generation = 1 }),
        .. EachDraft(static weOpen => Reversed("new keys from us", weOpen, Draft) with { Rekey = true, Generation = 1 }),
        .. EachDraft(static weOpen => Basic("new keys from the peer with data", weOpen, Draft, "--rekey data") with { Generation = 1 }),
        .. EachDraft(static weOpen => Basic("new keys from the peer by an acknowledgment", weOpen, Draft, "--rekey ack") with { Generation = 1 }),
        .. EachDraft(static weOpen => Basic("new keys from both", weOpen, Draft, "--rekey data") with { Rekey = true, Generation = 2 }),
        Basic("new keys, then a segment under the old ones", false, Draft, "--rekey data,old") with { Generation = 1 },
        .. EachDraft(static weOpen => Basic("new keys with CMAC", weOpen, Draft, "--rekey data --sym 00000300") with { Cipher = Cmac, Ours = new EndOptions { Ciphers = [Cmac, Hmac] }, Generation = 1 }),
        .. EachDraft(static weOpen => Basic("new keys in every connection of a chain", weOpen, Draft, "--rekey data --resume 2") with { Sessions = 3, Generation = 1 }),
        .. EachDraft(static weOpen => Basic("new keys, the first segment under them lost", weOpen, Draft) with
        {
            Rekey = true, Generation = 1, Path = static (wire, towardsUs) => wire.Lose(packet => packet.Heading != towardsUs && packet.HasMac && packet.Crypt is [0x82, ..]),
        }),
    ];

    private static IEnumerable<Row> Features() =>
    [
        Basic("we answer SYNC_REQ", false, Draft, "--sync 3") with { Sync = true, Says = "SYNC 3 answered" },
        Basic("our keep-alive asks, the peer answers", true, Draft) with
        {
            KeepAlive = true, Sync = true, Seen = static wire => wire.Log.Any(static packet => packet.Heading == Heading.ToRight && packet.Crypt is [0x80, ..]) && wire.Log.Any(static packet => packet.Heading == Heading.ToLeft && packet.Crypt is [0x81, ..]),
        },
        Basic("keep-alives", true, Reference) with { KeepAlive = true, Seen = static wire => wire.Log.All(static packet => packet.Crypt is not [>= 0x80 and not 0x84 and not 0x85, ..]) },
        Basic("cookie", true, Draft, "--cookie 0102030405060708") with { Says = "ACKCOOKIE ok" },
        Basic("long cookie", true, Draft, "--cookie 0102030405060708090a0b0c0d0e0f10") with { Says = "ACKCOOKIE ok" },
        Basic("cookie, INIT1 lost", true, Draft, "--cookie 0102030405060708") with { Says = "ACKCOOKIE ok", Path = static (wire, _) => wire.Lose(static packet => packet.IsInit1) },
        .. Each(static (weOpen, dialect) => Basic("S speaks first", weOpen, dialect, "--early") with { Early = true }),
        .. EachDraft(static weOpen => Reversed("S speaks first", weOpen, Draft, "--early") with { Early = true }),
        Basic("urgent data", true, Draft) with { Urgent = true, Says = "URG 5" },
        Basic("urgent data", true, Reference) with { Urgent = true, Says = "URG 5" },
        Basic("urgent data", false, Draft, "--urg"),
        Basic("urgent data", false, Reference, "--urg"),
        .. Each(static (weOpen, dialect) => Basic("timestamps", weOpen, dialect, "--ts")),
        .. Each(static (weOpen, dialect) => Basic("much data", weOpen, dialect, "--size 40000") with { Size = 40_000 }),
        .. Each(static (weOpen, dialect) => Basic("address translation", weOpen, dialect) with { Translated = true }),
    ];

    private static IEnumerable<Row> Numbers() =>
    [
        .. Each(static (weOpen, dialect) => Basic("the peer's number is high", weOpen, dialect, $"--isn {HighIsn}")),
        .. from isn in s_wrapping from row in Each((weOpen, dialect) => Basic($"the peer's number wraps from {isn:x}", weOpen, dialect, $"--isn {isn}")) select row,
        .. from isn in s_wrapping.Append(HighIsn) from row in Each((weOpen, dialect) => Basic($"our number starts at {isn:x}", weOpen, dialect, weOpen ? "" : $"--lport {PeerFixedPort}")) select row with { OurIsn = isn },
        .. from ours in new[] { true, false } from row in EachDraft(weOpen => Basic($"a firewall rewrites {(ours ? "our" : "the peer's")} numbers", weOpen, Draft)) select row with { Rewrite = (ours, 0xffff_ff00) },
    ];

    private static IEnumerable<Row> Misbehaviour()
    {
        foreach (TcpcryptDialect dialect in s_dialects)
        {
            yield return Basic("data without MAC", false, dialect, "--bad nomac");
            yield return Basic("data with a wrong MAC", false, dialect, "--bad corrupt");
            yield return Basic("a replay", false, dialect, "--bad replay");
            yield return Basic("RST with MAC", false, dialect, "--bad macrst") with { Ending = Ending.Reset };
            yield return Basic("RST without MAC", false, dialect, "--bad rst") with { Ending = Ending.DoubtfulReset };
        }
    }

    private static IEnumerable<Row> Losses() =>
    [
        .. Each(static (weOpen, dialect) => Basic("SYN lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsSyn) }),
        .. Each(static (weOpen, dialect) => Basic("SYN,ACK lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsSynAck) }),
        .. Each(static (weOpen, dialect) => Basic("INIT1 lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit1) }),
        .. Each(static (weOpen, dialect) => Basic("INIT1 lost twice", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit1, 2) }),
        .. Each(static (weOpen, dialect) => Basic("INIT2 lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit2) }),
        .. Each(static (weOpen, dialect) => Basic("INIT2 lost twice", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit2, 2) }),
        .. Each(static (weOpen, dialect) => Basic("first protected segment lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.HasMac && packet.Payload.Length == 0) }),
        .. Each(static (weOpen, dialect) => Basic("INIT1 and INIT2 twice", weOpen, dialect) with { Path = static (wire, _) => wire.Repeat(static packet => packet.IsInit1 || packet.IsInit2, 2) }),
        .. Each(static (weOpen, dialect) => Basic("SYN and SYN,ACK twice", weOpen, dialect) with { Path = static (wire, _) => wire.Repeat(static packet => (packet.Flags & WirePacket.Syn) != 0, 2) }),
        .. Each(static (weOpen, dialect) => Basic("protected segments twice", weOpen, dialect) with { Path = static (wire, _) => wire.Repeat(static packet => packet.HasMac, 100) }),
        .. EachDraft(static weOpen => Basic("INIT2 lost, early data passes it", weOpen, Draft, "--early") with { Early = true, Path = static (wire, _) => wire.Lose(static packet => packet.IsInit2) }),
        .. EachDraft(static weOpen => Basic("INIT2 behind early data", weOpen, Draft, "--early") with { Early = true, Path = static (wire, _) => wire.Swap(static packet => packet.IsInit2) }),
        .. from dialect in s_dialects select Reversed("PKCONF lost", true, dialect) with { Path = static (wire, _) => wire.Lose(static packet => !packet.IsSynAck && packet.Crypt is [0x41 or 0x42, ..]) },
        .. Each(static (weOpen, dialect) => Reversed("INIT1 lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit1) }),
        .. Each(static (weOpen, dialect) => Reversed("INIT2 lost", weOpen, dialect) with { Path = static (wire, _) => wire.Lose(static packet => packet.IsInit2) }),
        .. from dialect in s_dialects select Basic("a slow peer", true, dialect, "--delay2 2"),

        // The peer does not repeat its data: what is lost is ours.
        .. Each(static (weOpen, dialect) => Basic("our data lost", weOpen, dialect) with { Path = static (wire, towardsUs) => wire.Lose(packet => packet.Heading != towardsUs && packet.IsProtectedData) }),
        .. Each(static (weOpen, dialect) => Basic("our data overtaken", weOpen, dialect, "--size 40000") with { Size = 40_000, Path = static (wire, towardsUs) => wire.Swap(packet => packet.Heading != towardsUs && packet.IsProtectedData) }),
        .. Each(static (weOpen, dialect) => Basic("our FIN lost", weOpen, dialect) with { Path = static (wire, towardsUs) => wire.Lose(packet => packet.Heading != towardsUs && (packet.Flags & WirePacket.Fin) != 0) }),
    ];

    /// <summary>Somebody on the path, while the genuine packets still arrive: nothing of it has an effect ([TD-83], [TD-35]).</summary>
    private static IEnumerable<Row> Attacks()
    {
        (string Name, Action<WirePacket> Forge)[] forgeries =
        [
            ("changes the data", static packet => packet.Payload[0] ^= 0x20),
            ("sends other data without MAC", static packet => { packet.StripMac(); packet.Payload.Fill((byte)'E'); }),
            ("takes the MAC away", static packet => packet.StripMac()),
            ("resets at the exact number", static packet => { packet.StripMac(); packet.SetPayload([]); packet.Flags = WirePacket.Rst; }),
            ("resets and acknowledges", static packet => { packet.SetPayload([]); packet.Flags = WirePacket.Rst | WirePacket.Ack; }),
            ("closes", static packet => { packet.StripMac(); packet.SetPayload([]); packet.Flags = WirePacket.Fin | WirePacket.Ack; }),
            ("opens anew", static packet => { packet.StripMac(); packet.SetPayload([]); packet.Flags = WirePacket.Syn; }),
            ("answers a SYN anew", static packet => { packet.StripMac(); packet.SetPayload([]); packet.Flags = WirePacket.Syn | WirePacket.Ack; }),
            ("marks it urgent", static packet => packet.Flags |= 0x20),
            ("moves it forward", static packet => packet.Seq += 5),
            ("acknowledges more", static packet => packet.AckNumber += 1),
            ("acknowledges less", static packet => packet.AckNumber -= 1),
        ];
        foreach ((string name, Action<WirePacket> forge) in forgeries)
        {
            foreach (Row row in Each((weOpen, dialect) => Basic($"an attacker {name}", weOpen, dialect)))
            {
                yield return row with
                {
                    Path = (wire, towardsUs) => wire.Precede(
                        packet => packet.Heading == towardsUs && packet.IsProtectedData,
                        packet =>
                        {
                            forge(packet);
                            return packet;
                        },
                        100),
                };
            }
        }

        // The window is covered in Draft only: in Reference a forged one counts.
        foreach (Row row in EachDraft(static weOpen => Basic("an attacker closes the window", weOpen, Draft)))
        {
            yield return row with
            {
                Path = static (wire, towardsUs) => wire.Precede(
                    packet => packet.Heading == towardsUs && packet.HasMac,
                    static packet =>
                    {
                        packet.Window = 0;
                        return packet;
                    },
                    100),
            };
        }

        foreach (Row row in Each(static (weOpen, dialect) => Basic("an attacker repeats all that was", weOpen, dialect)))
        {
            yield return row with
            {
                Path = static (wire, towardsUs) =>
                {
                    List<WirePacket> seen = [];
                    return wire.On(
                        packet => packet.Heading == towardsUs,
                        packet =>
                        {
                            seen.Add(packet.Clone());
                            return [.. seen.Select(static old => old.Clone()), packet];
                        },
                        100);
                },
            };
        }
    }

    private sealed record Row(string Name)
    {
        public bool WeOpen { get; init; }

        /// <summary>The peer's command line.</summary>
        public string Peer { get; init; } = "";

        public EndOptions Ours { get; init; } = new();

        /// <summary>How many connections are encrypted; without any there is one in plain.</summary>
        public int Sessions { get; init; } = 1;

        public int Connections => Math.Max(Sessions, 1);

        /// <summary>Every second connection is opened by the other side.</summary>
        public bool Swap { get; init; }

        public TcpcryptDialect Dialect { get; init; }

        /// <summary>Ours.</summary>
        public TcpcryptRole Role { get; init; }

        public TcpcryptKeyExchange KeyExchange { get; init; } = TcpcryptKeyExchange.EcdheP256;

        public TcpcryptCipher Cipher { get; init; } = Hmac;

        public bool RemoteApplicationAware { get; init; }

        /// <summary>Of both sides' keys, in the end.</summary>
        public int Generation { get; init; }

        public bool Rekey { get; init; }

        /// <summary>SYNC_REQ and SYNC_OK are exchanged.</summary>
        public bool Sync { get; init; }

        public bool Early { get; init; }

        public bool Urgent { get; init; }

        public bool KeepAlive { get; init; }

        public int Size { get; init; } = Talk.PatternLength;

        public Ending Ending { get; init; }

        /// <summary>The opener is behind an address translator.</summary>
        public bool Translated { get; init; }

        /// <summary>The initial sequence number that our first connection gets.</summary>
        public uint? OurIsn { get; init; }

        /// <summary>Whose initial sequence number becomes what on the way.</summary>
        public (bool Ours, uint Isn)? Rewrite { get; init; }

        /// <summary>What happens on the wire; it is told which way leads to us.</summary>
        public Func<Wire, Heading, Wire.Rule>? Path { get; init; }

        /// <summary>What the peer prints.</summary>
        public string Says { get; init; } = "";

        /// <summary>What is to be found on the wire.</summary>
        public Func<Wire, bool>? Seen { get; init; }
    }
}
