using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Tcp.Tests.TwoStacks;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Something on the path lets the handshake pass and nothing that has a MAC.</summary>
public sealed class EditedPathTests
{
    [Test]
    [Spec("TD-72"), Spec("TD-130")]
    public void Destination_from_which_nothing_valid_ever_came_is_tried_in_plain()
    {
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Drop = static (_, packet) => HasMac(packet.Span) }, client: On(), server: On());
        (SteppedSocket first, _) = pair.Connect();
        Assert.That(first.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted), "the handshake's messages have no MAC");
        Assert.That(first.Send(new byte[100], out _), Is.EqualTo(SocketError.Success));
        Assert.That(pair.Link.Run(() => first.State == TcpState.Closed, pair.Link.NowNs + (long)3600e9), Is.True, "it times out");
        Assert.That(first.TakeError(), Is.EqualTo(SocketError.TimedOut));

        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.RememberedPlain));
        pair.Transfer(client, server, 10_000);
    }

    [Test]
    [Spec("TD-72")]
    public void Time_out_of_a_connection_that_worked_is_not_remembered()
    {
        bool isBroken = false;
        Pair pair = new(new LinkDirection { Delay = TimeSpan.FromMilliseconds(10), Drop = (_, packet) => isBroken && HasMac(packet.Span) }, client: On(), server: On());
        (SteppedSocket first, _) = pair.Connect();
        Assert.That(first.Send(new byte[100], out _), Is.EqualTo(SocketError.Success));
        Assert.That(pair.Link.Run(() => first.Unacknowledged == 0), Is.True, "acknowledged under MAC");
        isBroken = true;
        Assert.That(first.Send(new byte[100], out _), Is.EqualTo(SocketError.Success));
        Assert.That(pair.Link.Run(() => first.State == TcpState.Closed, pair.Link.NowNs + (long)3600e9), Is.True, "it times out");

        isBroken = false;
        (SteppedSocket client, _) = pair.Connect();
        Assert.That(client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
    }

    private static bool HasMac(ReadOnlySpan<byte> packet)
    {
        ReadOnlySpan<byte> tcp = packet[20..];
        ReadOnlySpan<byte> options = tcp[20..((tcp[12] >> 4) * 4)];
        while (options.Length > 1 && options[0] != 0)
        {
            if (options[0] == 70)
            {
                return true;
            }

            options = options[(options[0] == 1 ? 1 : options[1])..];
        }

        return false;
    }

    private static Action<SteppedStackOptions> On() => static options => options.Tcpcrypt = true;
}
