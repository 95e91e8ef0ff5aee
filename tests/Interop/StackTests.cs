using System.Net;

namespace Tcpcrypt.Interop;

/// <summary>
/// Our stack against the independent peer: every role, dialect, key exchange, cipher and feature that the peer has, across forwarding kernels, address translation, loss, and an attacker
/// on the path. The rows are in StackTests.Rows.cs.
/// </summary>
public sealed partial class StackTests : InteropFixture
{
    private const int Port = 7000;

    /// <summary>Ports for rows that need the same four-tuple twice.</summary>
    private const int OurFixedPort = 7001;
    private const int PeerFixedPort = 40_000;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(40);

    private static IEnumerable<TestCaseData<int>> Rows => s_rows.Select((row, index) => new TestCaseData<int>(index).SetName($"{(row.WeOpen ? "We open" : "We listen")}: {row.Name}"));

    [TestCaseSource(nameof(Rows))]
    [Spec("TD-74")]
    [Spec("TD-77")]
    [Spec("REF-6.2")]
    [Spec("REF-6.3")]
    public async Task Stack_and_peer_agree(int index)
    {
        Row row = s_rows[index];
        // Who opens first is on the left, where a translator would be.
        (Site ourSite, Site peerSite) = row.WeOpen ? (Left, Right) : (Right, Left);
        if (row.Translated)
        {
            TranslateLeft();
        }

        StackEnd ours = Own(await StackEnd.StartAsync(ourSite, row.Ours));
        IPAddress ourAddress = row is { WeOpen: true, Translated: true } ? Left.Router : ourSite.Address;
        IPAddress peerAddress = row is { WeOpen: false, Translated: true } ? Left.Router : peerSite.Address;
        await using TcpConnectionListener listener = await ours.Stack.ListenAsync(new IPEndPoint(ourSite.Address, Port));
        if (row is { KeyExchange: TcpcryptKeyExchange.OaepRsa, Role: TcpcryptRole.C })
        {
            await MakeRsaKeyAsync(ours, row, peerSite.Address);
        }

        if (row.OurIsn is { } isn)
        {
            await SteerAsync(ours, row, peerAddress, isn);
        }

        Wire.Rule? rule = row.Path?.Invoke(Wire, row.WeOpen ? Heading.ToLeft : Heading.ToRight);
        if (row.Rewrite is { } rewrite)
        {
            Wire.RewriteIsn(rewrite.Ours == row.WeOpen ? Heading.ToRight : Heading.ToLeft, rewrite.Isn);
        }

        using Peer peer = await Peer.StartAsync(peerSite, ourAddress, client: !row.WeOpen, Port, row.Peer);
        List<EndStatus> statuses = [];
        for (int i = 0; i < row.Connections; i++)
        {
            bool weOpen = row.WeOpen != (row.Swap && i % 2 == 1);
            await using TcpConnection connection = weOpen ? await ConnectAsync(ours, row, peerAddress) : await listener.AcceptAsync().AsTask().WaitAsync(s_patience);
            if (row.KeepAlive)
            {
                connection.KeepAlive = new TcpKeepAlive(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), 3);
                await Task.Delay(2500);
            }

            await (row.WeOpen ? Talk.AskAsync(connection, row.Early, row.Rekey, row.Urgent, row.Size) : Talk.ServeAsync(connection, row.Early, row.Rekey, row.Ending, row.Size));
            statuses.Add(StackEnd.Status(connection));
        }

        PeerReport report = await peer.EndAsync();
        TestContext.Out.WriteLine($"{string.Join('\n', statuses)}\npeer:\n{report.Output}");
        using (Assert.EnterMultipleScope())
        {
            AssertStatuses(row, statuses, report);
            Assert.That(report.Output, Does.Contain(row.Says));
            Assert.That(row.Seen?.Invoke(Wire) ?? true, Is.True, "what is to be seen on the wire");
            Assert.That(rule?.Applied, Is.Null.Or.GreaterThan(0), "what was to happen on the wire has happened");
            if (row.OurIsn is { } wanted)
            {
                byte flags = row.WeOpen ? WirePacket.Syn : (byte)(WirePacket.Syn | WirePacket.Ack);
                Assert.That(Wire.Log.Where(packet => (packet.Flags & (WirePacket.Syn | WirePacket.Ack)) == flags).Select(packet => packet.Seq), Does.Contain(wanted), "our initial sequence number");
            }

            if (row.Sessions > 0)
            {
                AssertNoPlaintext();
            }
        }
    }

    private static async Task<TcpConnection> ConnectAsync(StackEnd ours, Row row, IPAddress peer, CancellationToken ct = default)
    {
        TcpConnectOptions options = new() { Timeout = s_patience };
        if (row.OurIsn is not null)
        {
            options.Local = new IPEndPoint(ours.Site.Address, OurFixedPort);
        }

        return await ours.Stack.ConnectAsync(new IPEndPoint(peer, Port), options, ct);
    }

    private static void AssertStatuses(Row row, List<EndStatus> statuses, PeerReport report)
    {
        Assert.That(report.Sessions, Has.Count.EqualTo(row.Sessions), "encrypted connections, by the peer");
        Assert.That(statuses.Count(status => status.IsEncrypted), Is.EqualTo(row.Sessions), "encrypted connections, by us");
        Assert.That(statuses.Where(status => status.IsEncrypted).Select(status => status.SessionId), Is.EqualTo(report.Sessions.Select(session => session.SessionId)));
        foreach ((EndStatus status, PeerSession session, int number) in statuses.Zip(report.Sessions, Enumerable.Range(0, row.Sessions)))
        {
            Assert.That(session.IsDraft, Is.EqualTo(row.Dialect == TcpcryptDialect.Draft), "the peer's dialect");
            Assert.That(session.Role, Is.EqualTo(row.Role == TcpcryptRole.C ? 's' : 'c'), "the peer's role");
            Assert.That((status.Dialect, status.Role), Is.EqualTo((row.Dialect, row.Role)));
            Assert.That((status.KeyExchange, status.Cipher, status.IsResumed), Is.EqualTo((row.KeyExchange, row.Cipher, number > 0)));
            Assert.That(status.RemoteApplicationAware, Is.EqualTo(row.RemoteApplicationAware), "the peer's application bit");
            Assert.That(status.RekeyCount, Is.EqualTo(row.Generation), "our generation");
            Assert.That(report.Ends[number].Generation, Is.EqualTo(row.Generation), "the peer's generation");
        }

        if (row.Sessions > 0)
        {
            Assert.That(report.Ends.Select(end => end.BadMac), Has.All.Zero, "segments of ours that the peer did not believe");
            if (!row.WeOpen)
            {
                Assert.That(report.Complete, Is.EqualTo(row.Connections), "complete answers at the peer");
            }
        }
    }

    /// <summary>Chooses the next initial sequence number of ours: a first SYN or SYN,ACK, which is lost on the wire, tells what it would be at the clock as it stands.</summary>
    private async Task SteerAsync(StackEnd ours, Row row, IPAddress peer, uint isn)
    {
        ours.Clock.Hold();
        Heading fromUs = row.WeOpen ? Heading.ToRight : Heading.ToLeft;
        Wire.Rule lost = Wire.Lose(packet => packet.Heading == fromUs, 100);
        if (row.WeOpen)
        {
            using CancellationTokenSource enough = new();
            Task<TcpConnection> probe = ConnectAsync(ours, row, peer, enough.Token);
            await Poll.UntilAsync(() => lost.Applied > 0, "a SYN was sent");
            await enough.CancelAsync();
            await Assert.CatchAsync<OperationCanceledException>(() => probe);
        }
        else
        {
            IPEndPoint from = new(peer, PeerFixedPort), to = new(ours.Site.Address, Port);
            Wire.Inject(WirePacket.Make(Heading.ToRight, from, to, WirePacket.Syn, 1000, 0));
            await Poll.UntilAsync(() => lost.Applied > 0, "a SYN,ACK was sent");
            Wire.Inject(WirePacket.Make(Heading.ToRight, from, to, WirePacket.Rst, 1001, 0));
            await Poll.UntilAsync(() => ours.Stack.GetConnections().Count == 0, "the probe's connection is gone");
        }

        uint seen = Wire.Log.Last(packet => packet.Heading == fromUs).Seq;
        ours.Clock.Advance(unchecked(isn - seen));
        lost.Stop();
        Wire.Change(packet => packet.Heading == fromUs && (packet.Flags & WirePacket.Syn) != 0, _ => ours.Clock.Release());
    }

    /// <summary>
    /// Has the stack make its key before the peer is there, which waits for INIT1 five seconds only: a key can take longer. As opener, by a connection with itself; as a listener that
    /// plays C, by the SYN and the PKCONF of an opener that is never heard of again.
    /// </summary>
    private async Task MakeRsaKeyAsync(StackEnd ours, Row row, IPAddress peer)
    {
        IPEndPoint self = new(ours.Site.Address, Port);
        if (row.WeOpen)
        {
            for (int port = 1; ; port++)
            {
                await using TcpConnectionListener listener = await ours.Stack.ListenAsync(new IPEndPoint(ours.Site.Address, port));
                try
                {
                    await using TcpConnection connection = await ours.Stack.ConnectAsync(listener.LocalEndPoint, new TcpConnectOptions { Timeout = s_patience });
                    connection.Abort();
                    return;
                }
                catch (TcpcryptException error) when (error.Outcome == TcpcryptOutcome.HandshakeTimedOut && port < 5)
                {
                    // On a busy machine the key takes longer than a handshake may; it is being made all the same.
                }
            }
        }

        IPEndPoint from = new(peer, PeerFixedPort);
        Wire.Rule answers = Wire.Lose(static packet => packet.Heading == Heading.ToLeft && !packet.IsInit1, 10);
        Wire.Rule init1 = Wire.Lose(static packet => packet.IsInit1);
        Wire.Inject(WirePacket.Make(Heading.ToRight, from, self, WirePacket.Syn, 1000, 0, 0x02, 0x04, 0x05, 0x78, 0x45, 0x02, 0x01, 0x01));
        await Poll.UntilAsync(() => answers.Applied > 0, "a SYN,ACK was sent");
        uint ack = Wire.Log.Last(static packet => packet.IsSynAck).Seq + 1;
        Wire.Inject(WirePacket.Make(Heading.ToRight, from, self, WirePacket.Ack, 1001, ack, 0x45, 0x0a, 0x41, 0x08, 0x00, 0x01, 0x00, 0x00, 0xf0, 0x04, 0x01, 0x01));
        await Poll.UntilAsync(() => init1.Applied > 0, "INIT1 was sent");
        Wire.Inject(WirePacket.Make(Heading.ToRight, from, self, WirePacket.Rst, 1001, 0));
        answers.Stop();
    }
}
