using System.Net;

namespace Tcpcrypt.Interop;

/// <summary>Two stacks of ours on TUN devices in two namespaces, two forwarding kernels and the wire between them: all combinations of features, and bulk across a bad path with an attacker on it.</summary>
public sealed class StackPairTests : InteropFixture
{
    private const int Port = 7000;
    private const TcpcryptCipher Hmac = TcpcryptCipher.Aes128HmacSha256;
    private const TcpcryptCipher Cmac = TcpcryptCipher.Aes128Cmac;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly byte[] s_marker = "this is in plain"u8.ToArray();

    /// <summary>A full handshake, then a connection that the former listener opens, then one that the first opener opens: both are resumed, and the roles stay.</summary>
    [Test]
    [Combinatorial]
    [Spec("TD-102")]
    [Spec("TD-106")]
    public async Task Chain_opened_in_turn(
        [Values(TcpcryptKeyExchange.EcdheP256, TcpcryptKeyExchange.EcdheP521, TcpcryptKeyExchange.OaepRsa)] TcpcryptKeyExchange exchange,
        [Values(Hmac, Cmac)] TcpcryptCipher cipher,
        [Values("Default", "Always", "Never")] string listenersMode)
    {
        EndOptions options = new() { KeyExchanges = [exchange], Ciphers = [cipher] };
        StackEnd left = Own(await StackEnd.StartAsync(Left, options));
        StackEnd right = Own(await StackEnd.StartAsync(Right, options with { CMode = listenersMode }));
        TcpcryptRole leftRole = listenersMode == "Always" ? TcpcryptRole.S : TcpcryptRole.C;
        HashSet<string> identifiers = [];
        for (int i = 0; i < 3; i++)
        {
            (EndStatus opener, EndStatus listener) = i == 1 ? await TalkAsync(right, left) : await TalkAsync(left, right);
            EndStatus atLeft = i == 1 ? listener : opener;
            using (Assert.EnterMultipleScope())
            {
                Assert.That((atLeft.IsEncrypted, atLeft.Dialect, atLeft.KeyExchange, atLeft.Cipher), Is.EqualTo((true, TcpcryptDialect.Draft, exchange, cipher)));
                Assert.That((atLeft.Role, atLeft.IsResumed), Is.EqualTo((leftRole, i > 0)), $"connection {i}");
                Assert.That(listener with { Role = opener.Role }, Is.EqualTo(opener));
                Assert.That(listener.Role, Is.Not.EqualTo(opener.Role));
                Assert.That(identifiers.Add(opener.SessionId), Is.True, "every connection has a session ID of its own");
            }
        }

        AssertNoPlaintext();
    }

    [TestCase(TcpcryptKeyExchange.EcdheP256)]
    [TestCase(TcpcryptKeyExchange.EcdheP521)]
    [TestCase(TcpcryptKeyExchange.OaepRsa)]
    [Spec("TD-114")]
    public async Task Chain_across_an_address_translator(TcpcryptKeyExchange exchange)
    {
        TranslateLeft();
        EndOptions options = new() { KeyExchanges = [exchange] };
        StackEnd left = Own(await StackEnd.StartAsync(Left, options));
        StackEnd right = Own(await StackEnd.StartAsync(Right, options));
        for (int i = 0; i < 3; i++)
        {
            (EndStatus opener, EndStatus listener) = await TalkAsync(left, right);
            Assert.That((opener.IsEncrypted, opener.IsResumed, opener.SessionId), Is.EqualTo((true, i > 0, listener.SessionId)));
        }

        Assert.That(Wire.Log.Select(packet => packet.Source), Has.None.EqualTo(Left.Address), "the translator is at work");
        AssertNoPlaintext();
    }

    [Test]
    [Spec("TD-53")]
    [Spec("TD-107")]
    public async Task Resumption_survives_the_loss_of_each_of_its_segments([Values(0, 1, 2)] int lost, [Values("Default", "Always")] string listenersMode)
    {
        StackEnd left = Own(await StackEnd.StartAsync(Left, new EndOptions()));
        StackEnd right = Own(await StackEnd.StartAsync(Right, new EndOptions { CMode = listenersMode }));
        await TalkAsync(left, right);
        Wire.Rule rule = lost switch
        {
            0 => Wire.Lose(static packet => packet.IsSyn),
            1 => Wire.Lose(static packet => packet.IsSynAck),
            _ => Wire.Lose(static packet => packet.HasMac && packet.Heading == Heading.ToRight && (packet.Flags & WirePacket.Fin) == 0),
        };
        (EndStatus opener, EndStatus listener) = await TalkAsync(left, right);
        Assert.That((opener.IsResumed, listener.IsResumed, opener.SessionId), Is.EqualTo((true, true, listener.SessionId)));
        Assert.That(rule.Applied, Is.EqualTo(1));
        AssertNoPlaintext();
    }

    [Test]
    [Combinatorial]
    [Spec("TD-108")]
    public async Task Application_bits([Values("No", "Yes", "Required")] string openers, [Values("No", "Yes", "Required")] string listeners)
    {
        StackEnd left = Own(await StackEnd.StartAsync(Left, new EndOptions { ApplicationAware = openers }));
        StackEnd right = Own(await StackEnd.StartAsync(Right, new EndOptions { ApplicationAware = listeners }));
        (EndStatus opener, EndStatus listener) = await TalkAsync(left, right);
        bool agree = (openers, listeners) is not (("Required", "No") or ("No", "Required"));
        Assert.That((opener.IsEncrypted, listener.IsEncrypted), Is.EqualTo((agree, agree)));
        if (agree)
        {
            Assert.That((opener.RemoteApplicationAware, listener.RemoteApplicationAware), Is.EqualTo((listeners != "No", openers != "No")));
            AssertNoPlaintext();
        }
    }

    [TestCase("Opportunistic", "Opportunistic", true)]
    [TestCase("Required", "Required", true)]
    [TestCase("Required", "Opportunistic", true)]
    [TestCase("Opportunistic", "Required", true)]
    [TestCase("Disabled", "Opportunistic", false)]
    [TestCase("Opportunistic", "Disabled", false)]
    [TestCase("Disabled", "Disabled", false)]
    [Spec("TD-39")]
    public async Task Policies_that_can_agree(string openers, string listeners, bool encrypted)
    {
        StackEnd left = Own(await StackEnd.StartAsync(Left, new EndOptions { Policy = openers }));
        StackEnd right = Own(await StackEnd.StartAsync(Right, new EndOptions { Policy = listeners }));
        (EndStatus opener, EndStatus listener) = await TalkAsync(left, right);
        Assert.That((opener.IsEncrypted, listener.IsEncrypted), Is.EqualTo((encrypted, encrypted)));
    }

    [TestCase("Required", "Disabled", false, TestName = "Required against Disabled")]
    [TestCase("Disabled", "Required", false, TestName = "Disabled against Required")]
    [TestCase("Required", "Opportunistic", true, TestName = "Required against a path that strips the options")]
    [TestCase("Opportunistic", "Required", true, TestName = "a path that strips the options against Required")]
    [Spec("TD-117")]
    public async Task Required_never_becomes_plain(string openers, string listeners, bool strip)
    {
        if (strip)
        {
            Wire.Change(static packet => packet.Crypt is not null, static packet => packet.StripCrypt(), int.MaxValue);
        }

        StackEnd left = Own(await StackEnd.StartAsync(Left, new EndOptions { Policy = openers }));
        StackEnd right = Own(await StackEnd.StartAsync(Right, new EndOptions { Policy = listeners }));
        await using TcpConnectionListener listener = await right.Stack.ListenAsync(new IPEndPoint(Right.Address, Port));
        Task<TcpConnection> accepting = listener.AcceptAsync().AsTask();
        Exception? refused = null;
        try
        {
            await using TcpConnection connection = await left.Stack.ConnectAsync(new IPEndPoint(Right.Address, Port), new TcpConnectOptions { Timeout = TimeSpan.FromSeconds(15) });

            // A listener that refuses may do so after the three-way handshake: then nothing that is written arrives.
            await using Stream stream = connection.GetStream(ownsConnection: false);
            await stream.WriteAsync("helloworld\n"u8.ToArray()).AsTask().WaitAsync(s_patience);
            Assert.That(await stream.ReadAsync(new byte[1]).AsTask().WaitAsync(s_patience), Is.Zero);
        }
        catch (Exception error) when (error is IOException or System.Net.Sockets.SocketException or TcpcryptException)
        {
            refused = error;
        }

        Assert.That(refused, openers == "Required" ? Is.InstanceOf<TcpcryptException>() : Is.Not.Null);
        Assert.That(accepting.IsCompletedSuccessfully, Is.False, "nothing was accepted");
        if (openers == "Required")
        {
            AssertNoPlaintext();
        }
    }

    /// <summary>Bulk both ways at once, new keys meanwhile, across loss, reordering and duplication, while somebody on the path forges what he can.</summary>
    [Test]
    [Combinatorial]
    [Spec("TD-74")]
    [Spec("TD-93")]
    [Spec("TD-95")]
    public async Task Bulk_across_a_bad_path_with_an_attacker([Values(Hmac, Cmac)] TcpcryptCipher cipher, [Values(false, true)] bool translated, [Values(1, 2)] int seed)
    {
        if (translated)
        {
            TranslateLeft();
        }

        StackEnd left = Own(await StackEnd.StartAsync(Left, new EndOptions { Policy = "Required", Ciphers = [cipher] }));
        StackEnd right = Own(await StackEnd.StartAsync(Right, new EndOptions { Policy = "Required", Ciphers = [cipher] }));
        await using TcpConnectionListener listener = await right.Stack.ListenAsync(new IPEndPoint(Right.Address, Port));
        Task<TcpConnection> accepting = listener.AcceptAsync().AsTask();
        await using TcpConnection opened = await left.Stack.ConnectAsync(new IPEndPoint(Right.Address, Port));
        await using TcpConnection accepted = await accepting.WaitAsync(s_patience);
        Wire.Rule[] rules = SpoilPath(new Random(seed));

        byte[] data = Bulk(seed, 3_000_000);
        Task[] transfers = [SendAndRekeyAsync(opened, data), SendAndRekeyAsync(accepted, data), ReceiveAsync(opened, data), ReceiveAsync(accepted, data)];
        await Task.WhenAll(transfers).WaitAsync(s_patience);

        EndStatus atLeft = StackEnd.Status(opened), atRight = StackEnd.Status(accepted);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((atLeft.IsEncrypted, atRight.IsEncrypted), Is.EqualTo((true, true)));
            Assert.That((atLeft.RekeyCount > 0, atLeft.RekeyCount), Is.EqualTo((true, atRight.RekeyCount)));
            Assert.That(rules.Select(rule => rule.Applied), Has.All.GreaterThan(0), "all of it happened");
            Assert.That(Wire.Log.Any(packet => packet.Payload.IndexOf(s_marker) >= 0), Is.False, "plaintext on the wire");
        }
    }

    private Wire.Rule[] SpoilPath(Random random)
    {
        List<WirePacket> old = [];
        return
        [
            Wire.Lose(Sometimes(0.01), int.MaxValue),
            Wire.Repeat(Sometimes(0.01), int.MaxValue),
            Wire.On(Sometimes(0.02), packet => [Forge(packet.Clone()), packet], int.MaxValue),
            Wire.On(
                Sometimes(0.02),
                packet =>
                {
                    old.Add(packet.Clone());
                    return [packet, old[random.Next(old.Count)].Clone()];
                },
                int.MaxValue),
        ];

        // Once both sides have keys: who is lost before that is the handshake's business.
        Func<WirePacket, bool> Sometimes(double probability) => packet => packet.HasMac && random.NextDouble() < probability;

        WirePacket Forge(WirePacket packet)
        {
            switch (random.Next(7))
            {
                case 0 when packet.Payload.Length > 0:
                    packet.Payload[random.Next(packet.Payload.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    packet.Options[random.Next(packet.Options.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    packet.StripMac();
                    packet.Flags = WirePacket.Rst;
                    break;
                case 3:
                    packet.StripMac();
                    packet.Flags = WirePacket.Fin | WirePacket.Ack;
                    break;
                case 4:
                    packet.Window = 0;
                    break;
                case 5:
                    packet.AckNumber += (uint)random.Next(1, 100_000);
                    break;
                default:
                    packet.Flags = (byte)random.Next(256);
                    packet.Seq += (uint)random.Next(1, 2000);
                    break;
            }

            return packet;
        }
    }

    private static async Task<(EndStatus Opener, EndStatus Listener)> TalkAsync(StackEnd opener, StackEnd listener)
    {
        await using TcpConnectionListener listening = await listener.Stack.ListenAsync(new IPEndPoint(listener.Site.Address, Port));
        Task<TcpConnection> accepting = listening.AcceptAsync().AsTask();
        await using TcpConnection opened = await opener.Stack.ConnectAsync(new IPEndPoint(listener.Site.Address, Port));
        await using TcpConnection accepted = await accepting.WaitAsync(s_patience);
        await Task.WhenAll(Talk.AskAsync(opened), Talk.ServeAsync(accepted)).WaitAsync(s_patience);
        return (StackEnd.Status(opened), StackEnd.Status(accepted));
    }

    // Recognisable wherever it is cut.
    private static byte[] Bulk(int seed, int length)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        for (int at = 0; at + s_marker.Length < length; at += 200)
        {
            s_marker.CopyTo(data, at);
        }

        return data;
    }

    private static async Task SendAsync(TcpConnection connection, byte[] data)
    {
        await using Stream stream = connection.GetStream(ownsConnection: false);
        await stream.WriteAsync(data);
        connection.CompleteWrites();
    }

    private static async Task ReceiveAsync(TcpConnection connection, byte[] expected)
    {
        await using Stream stream = connection.GetStream(ownsConnection: false);
        using MemoryStream received = new();
        await stream.CopyToAsync(received);
        Assert.That(received.ToArray().AsSpan().SequenceEqual(expected), Is.True, "the data, octet by octet");
    }

    /// <summary>The keys are replaced between two octets of the data: FIN waits for them, or a fast transfer would be over before.</summary>
    private static async Task SendAndRekeyAsync(TcpConnection connection, byte[] data)
    {
        await using Stream stream = connection.GetStream(ownsConnection: false);
        await stream.WriteAsync(data.AsMemory(0, data.Length / 2));
        Task rekeying = StackEnd.RekeyAsync(connection);
        await stream.WriteAsync(data.AsMemory(data.Length / 2));
        await rekeying;
        connection.CompleteWrites();
    }
}
