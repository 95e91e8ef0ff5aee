using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

[CancelAfter(60_000)]
public class DiagnosticsTests
{
    [Test]
    public async Task Statistics_count_what_happens()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await pair.First.PingAsync(SecondAddress);
        IpStackStatistics statistics = pair.Second.GetStatistics();
        Assert.That((statistics.IpInReceives, statistics.IcmpInEchos, statistics.IcmpOutEchoReps, statistics.IpOutRequests), Is.EqualTo((1, 1, 1, 1)));
        Assert.That(statistics.TcpMaxConn, Is.EqualTo(1_000_000));
        Assert.That(statistics.Drops.Values.Sum(), Is.Zero);
    }

    [Test]
    public async Task Connections_are_listed_with_their_states()
    {
        await using StackPair pair = await StackPair.StartAsync();
        await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, 80));
        TcpConnection client = await pair.First.ConnectAsync(listener.LocalEndPoint);
        TcpConnection server = await listener.AcceptAsync();

        TcpConnectionInfo info = pair.First.GetConnections().Single();
        Assert.That((info.Local, info.Remote, info.State), Is.EqualTo((client.LocalEndPoint, client.RemoteEndPoint, TcpState.Established)));
        Assert.That(info.Info.SendMss, Is.InRange(1000, 1460));

        await client.DisposeAsync();
        await Poll.UntilAsync(() => pair.Second.GetConnections().Single().State == TcpState.CloseWait, "the server has the FIN");
        await server.DisposeAsync();
        await Poll.UntilAsync(() => pair.First.GetConnections().SingleOrDefault()?.State == TcpState.TimeWait && pair.Second.GetConnections().Count == 0, "who closes first keeps TIME-WAIT");
        Assert.That(pair.First.GetConnections().Single(), Has.Property("Id").EqualTo(0));
    }

    [Test]
    public async Task Half_open_connection_is_listed()
    {
        // The first stack is gone before it can answer the SYN,ACK of the second.
        await using StackPair pair = await StackPair.StartAsync(static options => options.Tcp.SynAckRetransmissions = 1);
        await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, 80));
        byte[] syn = Syn();
        pair.Second.Host.Post(syn, static (packet, core, now) =>
        {
            PacketSlot slot = new();
            slot.CopyFrom(packet);
            core.OnPacket(now, slot);
        });
        TcpConnectionInfo info = pair.Second.GetConnections().Single();
        Assert.That((info.Id, info.State, info.Remote), Is.EqualTo((0L, TcpState.SynReceived, new IPEndPoint(Foreign, 1234))));
    }

    [Test]
    public async Task Metrics_say_what_was_spoken_and_why_not()
    {
        using TestMeterFactory factory = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.MeterFactory = factory);
        List<string> durations = [];
        Dictionary<string, long> handshakes = [];
        using MeterListener meters = new();
        meters.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Name is "tcpcrypt.handshakes" or "tcpcrypt.handshake.duration")
            {
                self.EnableMeasurementEvents(instrument);
            }
        };
        meters.SetMeasurementEventCallback<long>((_, value, tags, _) => handshakes[Text(tags)] = value);
        meters.SetMeasurementEventCallback<double>((_, value, tags, _) =>
        {
            lock (durations)
            {
                durations.Add((value > 0 ? "takes time: " : "at once: ") + Text(tags));
            }
        });
        meters.Start();

        await TalkAsync(80, null, null);                                            // with a key exchange
        await TalkAsync(81, null, null);                                            // resumed
        Tcp.Crypt.CryptLayer layer = pair.Second.Host.Core.Crypt!;
        layer.Settings = layer.Settings with { SendsMarker = false, KeyExchanges = [TcpcryptKeyExchange.EcdheP521] };
        await TalkAsync(82, null, null, allowResumption: false);                    // to C, someone else: dialect Reference
        await TalkAsync(83, null, TcpcryptPolicy.Disabled);
        await TalkAsync(84, TcpcryptPolicy.Disabled, null);
        Assert.That(async () => await TalkAsync(85, TcpcryptPolicy.Required, TcpcryptPolicy.Disabled), Throws.InstanceOf<SocketException>());
        meters.RecordObservableInstruments();

        Assert.That(handshakes, Is.EqualTo(new Dictionary<string, long>
        {
            ["outcome=encrypted protocol=draft key_exchange=ecdhe_p256 resumed=False"] = 1,
            ["outcome=encrypted protocol=draft key_exchange=ecdhe_p256 resumed=True"] = 1,
            ["outcome=encrypted protocol=reference key_exchange=ecdhe_p521 resumed=False"] = 1,
            ["outcome=plain reason=disabled_here"] = 1,
            ["outcome=plain reason=peer_did_not_offer"] = 1,
            ["outcome=failed reason=peer_did_not_offer"] = 1,
        }));
        Assert.That(durations, Is.EqualTo(new[]
        {
            "takes time: protocol=draft key_exchange=ecdhe_p256 resumed=False",
            "at once: protocol=draft key_exchange=ecdhe_p256 resumed=True",
            "takes time: protocol=reference key_exchange=ecdhe_p521 resumed=False",
        }));
        IpStackStatistics statistics = pair.Second.GetStatistics();
        Assert.That((statistics.CryptHandshakes, statistics.CryptResumptions, statistics.CryptPlain, statistics.CryptFailures), Is.EqualTo((2L, 1L, 2L, 1L)));
        Assert.That(statistics.CryptPlainReasons.Keys, Is.EquivalentTo(new[] { TcpcryptOutcome.DisabledHere, TcpcryptOutcome.PeerDidNotOffer }));

        static string Text(ReadOnlySpan<KeyValuePair<string, object?>> tags) => string.Join(' ', tags.ToArray().Where(static tag => tag.Key != "network.interface.name").Select(static tag => $"{tag.Key}={tag.Value}"));

        async Task TalkAsync(int port, TcpcryptPolicy? listening, TcpcryptPolicy? opening, bool allowResumption = true)
        {
            await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, port), new TcpListenOptions { Policy = listening });
            await using TcpConnection client = await pair.First.ConnectAsync(listener.LocalEndPoint, new TcpConnectOptions { Policy = opening, AllowResumption = allowResumption });
            await using TcpConnection server = await listener.AcceptAsync();
            await client.Output.WriteAsync(new byte[1]);
            await server.Input.ReadAsync();
            await server.Output.WriteAsync(new byte[1]);
            await client.Input.ReadAsync();
        }
    }

    [Test]
    public async Task Metrics_report_the_counters_without_addresses()
    {
        using TestMeterFactory factory = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.MeterFactory = factory);
        await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, 80));
        await using TcpConnection client = await pair.First.ConnectAsync(listener.LocalEndPoint);
        await using TcpConnection server = await listener.AcceptAsync();

        Dictionary<string, long> seen = [];
        using MeterListener meters = new();
        meters.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Name == "Tcpcrypt.Stack")
            {
                self.EnableMeasurementEvents(instrument);
            }
        };
        meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            string key = instrument.Name;
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                Assert.That(tag.Key, Is.AnyOf("network.interface.name", "network.io.direction", "reason", "state", "encrypted", "kind", "outcome", "protocol", "key_exchange", "resumed"));
                key += tag.Key is "network.io.direction" or "state" or "kind" ? " " + tag.Value : "";
            }

            seen[key] = seen.GetValueOrDefault(key) + value;
        });
        List<(string Name, double Value, int Tags)> recorded = [];
        meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => recorded.Add((instrument.Name, value, tags.Length)));
        meters.Start();
        meters.RecordObservableInstruments();
        Assert.That(seen["tcpcrypt.packets receive"], Is.GreaterThanOrEqualTo(2));
        Assert.That(seen["tcpcrypt.packets transmit"], Is.GreaterThanOrEqualTo(1));
        Assert.That(seen["tcpcrypt.io receive"], Is.GreaterThan(seen["tcpcrypt.packets receive"] * 20));
        Assert.That(seen["tcpcrypt.tcp.connections established"], Is.EqualTo(1));
        Assert.That(seen["tcpcrypt.tcp.retransmits fast"], Is.Zero);
        Assert.That(seen.Keys, Does.Contain("tcpcrypt.forward.in_flight").And.Contain("tcpcrypt.forward.rejected"));

        pair.Second.Metrics!.ConnectionClosed(TimeSpan.FromSeconds(2), TimeSpan.FromMilliseconds(5), "ConnectionReset");
        Assert.That(recorded, Is.EqualTo(new[] { ("tcpcrypt.tcp.connection.duration", 2.0, 2), ("tcpcrypt.tcp.rtt", 0.005, 1) }));

        seen.Clear();
        await pair.Second.DisposeAsync();
        meters.RecordObservableInstruments();
        Assert.That(seen, Is.Empty, "a stopped stack has no figures");
    }

    [Test]
    public async Task Forwarded_connection_is_a_span()
    {
        List<Activity> spans = [];
        using ActivityListener activities = new()
        {
            ShouldListenTo = static source => source.Name == "Tcpcrypt.Stack",
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = span =>
            {
                lock (spans)
                {
                    spans.Add(span);
                }
            },
        };
        ActivitySource.AddActivityListener(activities);
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(Everything, static (request, _) => throw new InvalidDataException());
        Assert.That(async () => await pair.First.ConnectAsync(new IPEndPoint(Foreign, 80)), Throws.Exception);
        await Poll.UntilAsync(() => Find() is not null, "the span has ended");
        Activity forward = Find()!;
        Assert.That(forward.Kind, Is.EqualTo(ActivityKind.Server));
        Assert.That(forward.GetTagItem("server.address"), Is.EqualTo(Foreign.ToString()));
        Assert.That(forward.GetTagItem("error.type"), Is.EqualTo(typeof(InvalidDataException).FullName));
        Assert.That(forward.Status, Is.EqualTo(ActivityStatusCode.Error));

        Activity? Find()
        {
            lock (spans)
            {
                return spans.Find(static span => span.OperationName == "tcp forward");
            }
        }
    }

    private static byte[] Syn()
    {
        byte[] packet = CaptureFormattingTests.Tcp(payloadLength: 0);
        Wire.Ipv4Header.Write(packet, Wire.IpProtocol.Tcp, Core.Ipv4Address.Parse("203.0.113.7"), Core.Ipv4Address.Parse("10.0.0.2"), 1);
        packet[33] = (byte)Wire.TcpFlags.Syn;
        packet[34] = 0x10;
        packet[36] = packet[37] = 0;
        ulong pseudo = Wire.InternetChecksum.PseudoHeader(Core.Ipv4Address.Parse("203.0.113.7"), Core.Ipv4Address.Parse("10.0.0.2"), Wire.IpProtocol.Tcp, 20);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(36), Wire.InternetChecksum.Finish(Wire.InternetChecksum.Sum(packet.AsSpan(20), pseudo)));
        return packet;
    }
}
