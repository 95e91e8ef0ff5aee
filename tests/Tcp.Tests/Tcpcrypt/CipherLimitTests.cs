using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Tcp.Tests.TwoStacks;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>LegacyCipherByteLimit: the cipher of dialect Reference repeats its key stream, and who has set a limit gets an orderly end there (reference spec 13).</summary>
public sealed class CipherLimitTests
{
    private const int Limit = 100_000;

    [Test]
    [Spec("REF-13")]
    public void What_is_sent_up_to_the_limit_arrives_and_FIN_behind_it([Values(0.0, 0.05)] double loss, [Values] bool early)
    {
        (Pair pair, SteppedSocket client, SteppedSocket server) = Connect(loss, clientLimit: Limit);
        byte[] data = Content(3 * Limit);
        int sent = 0;
        List<byte> received = [];
        bool hasEnd = false;
        SocketError refused = SocketError.Success;
        Assert.That(
            pair.Link.Run(() =>
            {
                while (refused == SocketError.Success && client.Send(data.AsSpan(sent, Math.Min(7_000, data.Length - sent)), out int taken) is var error && error != SocketError.WouldBlock)
                {
                    sent += taken;
                    refused = error;
                }

                hasEnd |= Drain(server, received);
                return hasEnd;
            }),
            Is.True);

        Assert.That(refused, Is.EqualTo(SocketError.Shutdown));
        Assert.That(sent, Is.EqualTo(Limit));
        Assert.That(received, Is.EqualTo(data[..Limit]));

        // The other direction is as it was.
        List<byte> back = [];
        Assert.That(server.Send(data.AsSpan(0, 5_000), out _), Is.EqualTo(SocketError.Success));
        if (early)
        {
            server.Close();
        }

        Assert.That(pair.Link.Run(() => { Drain(client, back); return back.Count == 5_000; }), Is.True);
        server.Close();
        Assert.That(pair.Link.Run(() => client.State is TcpState.TimeWait or TcpState.Closed), Is.True);
        Assert.That(client.TakeError(), Is.EqualTo(SocketError.Success));
        pair.Finish(client);
    }

    [Test]
    [Spec("REF-13")]
    public void A_peer_that_goes_beyond_the_limit_gets_all_of_ours_and_is_reset_when_it_does_not_close()
    {
        (Pair pair, SteppedSocket client, SteppedSocket server) = Connect(0, serverLimit: Limit);
        byte[] data = Content(3 * Limit);
        int sent = 0;
        List<byte> atServer = [];
        List<byte> atClient = [];
        Assert.That(server.Send(data.AsSpan(0, 50_000), out int back), Is.EqualTo(SocketError.Success));
        bool hasEnd = false;
        SocketError error = SocketError.Success;
        long limit = pair.Link.NowNs + (long)600e9;
        pair.Link.Run(
            () =>
            {
                if (error is SocketError.Success or SocketError.WouldBlock && sent < data.Length)
                {
                    error = client.Send(data.AsSpan(sent), out int taken);
                    sent += taken;
                }

                hasEnd |= client.State != TcpState.Closed && Drain(client, atClient);
                if (server.State != TcpState.Closed)
                {
                    Drain(server, atServer);
                }

                return client.State == TcpState.Closed && server.State == TcpState.Closed;
            },
            limit);

        Assert.That((client.State, server.State), Is.EqualTo((TcpState.Closed, TcpState.Closed)));
        Assert.That(atServer, Has.Count.InRange(Limit, Limit + 65_536));
        Assert.That(atServer, Is.EqualTo(data[..atServer.Count]));
        Assert.That(atClient, Is.EqualTo(data[..back]), "what the server had to say");
        Assert.That(hasEnd, Is.True, "and its end");
        Assert.That(server.TakeError(), Is.EqualTo(SocketError.ConnectionAborted), "the peer's stream was cut off");
        Assert.That(pair.Server.Core.Counters.TcpOutRsts, Is.EqualTo(1));
        pair.Finish(client, server);
    }

    [Test]
    [Spec("REF-13")]
    public void A_peer_that_ends_at_the_limit_has_said_everything()
    {
        (Pair pair, SteppedSocket client, SteppedSocket server) = Connect(0, serverLimit: Limit);
        byte[] data = Content(Limit);
        Assert.That(client.Send(data, out int sent), Is.EqualTo(SocketError.Success));
        Assert.That(sent, Is.EqualTo(Limit));
        client.Close();
        List<byte> received = [];
        Assert.That(pair.Link.Run(() => Drain(server, received)), Is.True);
        Assert.That(received, Is.EqualTo(data));
        pair.Finish(server);
        Assert.That(pair.Server.Core.Counters.TcpOutRsts, Is.Zero);
    }

    [Test]
    [Spec("REF-13")]
    public void Dialect_Draft_has_no_limit()
    {
        Pair pair = new(client: On(Limit), server: On(Limit));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        pair.Transfer(client, server, 2 * Limit);
    }

    private static (Pair Pair, SteppedSocket Client, SteppedSocket Server) Connect(double loss, int? clientLimit = null, int? serverLimit = null)
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Loss = loss }, client: On(clientLimit), server: On(serverLimit));
        pair.Server.Core.Crypt!.Settings = pair.Server.Core.Crypt.Settings with { SendsMarker = false };
        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(client.Tcpcrypt!.Dialect, Is.EqualTo(TcpcryptDialect.Reference));
        return (pair, client, server);
    }

    private static Action<SteppedStackOptions> On(int? limit) => options =>
    {
        options.Tcpcrypt = true;
        options.TcpcryptOptions.LegacyCipherByteLimit = limit;
    };

    /// <summary>Reads what is there; true at the end of the stream.</summary>
    private static bool Drain(SteppedSocket socket, List<byte> into)
    {
        byte[] buffer = new byte[65_536];
        while (socket.Receive(buffer, out int count) == SocketError.Success)
        {
            into.AddRange(buffer.AsSpan(0, count));
            if (count == 0)
            {
                return true;
            }
        }

        return false;
    }

    private static byte[] Content(int octets)
    {
        byte[] content = new byte[octets];
        new Random(octets).NextBytes(content);
        return content;
    }
}
