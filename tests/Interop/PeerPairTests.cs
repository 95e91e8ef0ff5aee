namespace Tcpcrypt.Interop;

/// <summary>
/// The independent peer at both ends of the path: what proves the harness, the rules of the wire included, without our stack. Whatever fails here must not be looked for in the stack.
/// </summary>
public sealed class PeerPairTests : InteropFixture
{
    private const int Port = 7000;

    /// <summary>Options of the client, of the server, and of both; and how many connections are encrypted, in which dialect.</summary>
    private static readonly Row[] s_rows =
    [
        new("P-256") { Always = true },
        new("P-521") { Both = "--alg 0x201" },
        new("RSA 2048") { Both = "--alg 0x100" },
        new("RSA 4096 of the reference") { Both = "--alg 0x100", Client = "--dialect reference", Draft = false },
        new("reference") { Client = "--dialect reference", Draft = false },
        new("the marker selects the draft") { Client = "--dialect auto" },
        new("no marker selects the reference") { Client = "--dialect auto", Server = "--nomarker", Draft = false },
        new("CMAC") { Both = "--sym 00000300" },
        new("the server's preference of ciphers") { Client = "--sym 0000010000000300", Server = "--sym 0000030000000100" },
        new("resumption") { Both = "--resume 2", Sessions = 3 },
        new("resumption of the reference") { Both = "--resume 2", Client = "--dialect reference", Sessions = 3, Draft = false },
        new("resumption opened by either side") { Both = "--resume 3 --swap", Sessions = 4 },
        new("the listener plays C") { Server = "--cmode", ClientRole = 's' },
        new("the listener plays C in the reference") { Server = "--cmode --dialect reference", ClientRole = 's', Draft = false },
        new("resumption of reversed roles") { Both = "--resume 1", Server = "--cmode", ClientRole = 's', Sessions = 2 },
        new("application bits of both") { Both = "--app 1" },
        new("application bit demanded") { Client = "--app 2", Server = "--app 1" },
        new("application bit demanded in vain") { Client = "--app 2", Sessions = 0, ServerSays = "in plain" },
        new("application bit demanded by the server in vain") { Server = "--app 2", Sessions = 0, ServerSays = "decline: plain" },
        new("no common key exchange") { Client = "--alg 0x201", Sessions = 0, ClientSays = "no common key exchange: plain" },
        new("no common cipher") { Client = "--sym 00000300", Sessions = 0, ClientSays = "declined" },
        new("re-keying with data") { Client = "--rekey data", Generation = 1 },
        new("re-keying by an acknowledgment") { Client = "--rekey ack", Generation = 1 },
        new("re-keying from both sides, then an old segment") { Client = "--rekey data,old", Server = "--rekey data", Generation = 2 },
        new("SYNC") { Client = "--sync 3", ClientSays = "SYNC 3 answered" },
        new("cookie") { Server = "--cookie 0102030405060708", ServerSays = "ACKCOOKIE ok" },
        new("early data") { Both = "--early", ClientSays = "early b'world" },
        new("urgent data") { Client = "--urg", ServerSays = "URG 5" },
        new("timestamps") { Both = "--ts" },
        new("high initial sequence numbers") { Both = "--isn 0x9abcdef0" },
        new("wrapping initial sequence numbers") { Both = "--isn 0xffffff80" },
        new("wrapping initial sequence numbers in the reference") { Both = "--isn 0xffffff80", Client = "--dialect reference", Draft = false },
        new("a segment without MAC") { Client = "--bad nomac", ServerSays = "nomac 1" },
        new("a segment with a wrong MAC") { Client = "--bad corrupt", ServerSays = "badmac 1" },
        new("a replay") { Client = "--bad replay" },
        new("RST without MAC") { Client = "--bad rst", ServerSays = "nomac 1" },
        new("RST with MAC") { Client = "--bad macrst", ServerSays = "RST with MAC" },
        new("a slow server") { Server = "--delay2 2", ClientSays = "again INIT1" },
        new("address translation") { Always = true, Translated = true },
        new("address translation of the reference") { Translated = true, Client = "--dialect reference", Draft = false },
        new("address translation and resumption") { Translated = true, Both = "--resume 1", Sessions = 2 },
        new("SYN lost") { Path = static wire => wire.Lose(static packet => packet.IsSyn) },
        new("SYN,ACK lost") { Path = static wire => wire.Lose(static packet => packet.IsSynAck) },
        new("INIT1 lost") { Path = static wire => wire.Lose(static packet => packet.IsInit1) },
        new("INIT2 lost") { Always = true, Path = static wire => wire.Lose(static packet => packet.IsInit2) },
        new("INIT2 lost, early data passes it") { Both = "--early", Path = static wire => wire.Lose(static packet => packet.IsInit2) },
        new("INIT2 behind early data") { Both = "--early", Path = static wire => wire.Swap(static packet => packet.IsInit2) },
        new("data twice") { Path = static wire => wire.Repeat(static packet => packet.HasMac, 20) },
        new("CRYPT stripped from the SYN")
        {
            Sessions = 0, ClientSays = "plain", ServerSays = "plain", Path = static wire => wire.Change(static packet => packet.IsSyn, static packet => packet.StripCrypt()),
        },
        new("sequence numbers rewritten") { Rewrite = 0xffff_ff00 },
    ];

    private static IEnumerable<TestCaseData<int>> Rows => s_rows.Select((row, index) => row.ToCase(index));

    [TestCaseSource(nameof(Rows))]
    public async Task Two_peers_agree(int index)
    {
        Row row = s_rows[index];
        if (row.Translated)
        {
            TranslateLeft();
        }

        Wire.Rule? rule = row.Path?.Invoke(Wire);
        if (row.Rewrite is { } isn)
        {
            Wire.RewriteIsn(Heading.ToRight, isn);
        }

        using Peer server = await Peer.StartAsync(Right, row.Translated ? Left.Router : Left.Address, client: false, Port, $"{row.Both} {row.Server}");
        using Peer client = await Peer.StartAsync(Left, Right.Address, client: true, Port, $"{row.Both} {row.Client}");
        PeerReport left = await client.EndAsync();
        PeerReport right = await server.EndAsync();
        TestContext.Out.WriteLine($"client:\n{left.Output}\nserver:\n{right.Output}");

        Assert.That(left.Sessions, Has.Count.EqualTo(row.Sessions), "encrypted connections");
        Assert.That(right.Sessions.Select(session => session.SessionId), Is.EqualTo(left.Sessions.Select(session => session.SessionId)));
        Assert.That(left.Sessions.Select(session => session.SessionId).Distinct().Count(), Is.EqualTo(row.Sessions));
        Assert.That(left.Sessions.All(session => session.IsDraft == row.Draft && session.Role == row.ClientRole), Is.True, "dialect and role");
        Assert.That(right.Sessions.All(session => session.IsDraft == row.Draft && session.Role != row.ClientRole), Is.True, "dialect and role");
        Assert.That(left.Output, Does.Contain(row.ClientSays));
        Assert.That(right.Output, Does.Contain(row.ServerSays));
        if (row.Sessions > 0)
        {
            Assert.That(left.Complete, Is.EqualTo(row.Sessions));
            Assert.That(left.Ends.Select(end => end.Generation), Has.All.EqualTo(row.Generation));
            AssertNoPlaintext();
        }
        else
        {
            Assert.That(left.Output, Does.Contain("got 3006 b'world"));
        }

        if (rule is not null)
        {
            Assert.That(rule.Applied, Is.GreaterThan(0), "what was to happen on the wire has happened");
        }
    }

    private sealed record Row(string Name)
    {
        public string Client { get; init; } = "";

        public string Server { get; init; } = "";

        public string Both { get; init; } = "";

        public int Sessions { get; init; } = 1;

        public bool Draft { get; init; } = true;

        public char ClientRole { get; init; } = 'c';

        public int Generation { get; init; }

        public string ClientSays { get; init; } = "";

        public string ServerSays { get; init; } = "";

        public bool Translated { get; init; }

        public Func<Wire, Wire.Rule>? Path { get; init; }

        public uint? Rewrite { get; init; }

        /// <summary>Runs always; the others are for whoever changes the harness.</summary>
        public bool Always { get; init; }

        public TestCaseData<int> ToCase(int index)
        {
            TestCaseData<int> made = new(index);
            made.SetName($"Peers: {Name}");
            if (!Always)
            {
                made.SetCategory("Long");
            }

            return made;
        }
    }
}
