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
        Assert.That(first.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.KeysNotConfirmed));

        (SteppedSocket client, SteppedSocket server) = pair.Connect();
        Assert.That(client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.RememberedPlain));
        pair.Transfer(client, server, 10_000);
    }

    [Test]
    [Spec("TD-52"), Spec("7323-3")]
    public void Plain_answer_without_the_agreed_timestamp_leaves_no_connection_behind()
    {
        SecretTalk talk = new(17, Attacks.None);
        talk.Path.Hook = static (_, packet) =>
        {
            if ((packet[33] & 0x12) == 0x12)
            {
                // The SYN,ACK loses all its options: the opener goes on without tcpcrypt and without timestamps, which the listener believes to be agreed.
                packet = [.. packet];
                packet.AsSpan(40, ((packet[32] >> 4) * 4) - 20).Fill(1);
                Seg.FixChecksums(packet);
            }

            return packet;
        };
        talk.Connect(30);
        Assert.That(talk.Client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDidNotOffer));
        talk.Path.Pass(600);
        Assert.That(talk.Path.B.Core.Tcp.Endpoints, Is.Empty, "given up, as a handshake is that does not end");
    }

    [Test]
    [Spec("TD-72"), Spec("TD-137")]
    public void Status_says_on_both_sides_that_the_keys_were_never_confirmed([Values] bool differ, [Values] bool resumed)
    {
        SecretTalk talk = new(17, Attacks.None);
        if (resumed)
        {
            Assert.That(talk.Connect() && talk.Transfer(1000), Is.True);
            talk.Path.Pass(100);
        }

        // Either the keys differ, since the octet of N_C that comes first was changed on the way, or nothing under MAC gets through unharmed.
        talk.Path.Hook = (toA, packet) =>
        {
            int header = 20 + ((packet[32] >> 4) * 4);
            if (differ && !resumed ? !toA && packet.Length > header + 100 && packet.AsSpan(header + 4, 2).SequenceEqual((byte[])[0x29, 0x11]) : HasMac(packet))
            {
                packet = [.. packet];
                packet[differ && !resumed ? header + 30 : 23] ^= 1;
                Seg.FixChecksums(packet);
            }

            return packet;
        };
        if (!talk.Connect(30))
        {
            // The listener's half of a resumption is not handed out before something valid came.
            Assert.That(resumed, Is.True);
            talk.Client.Send("x"u8, out _);
            Assert.That(talk.Path.Run(() => talk.Client.State == TcpState.Closed, 7200), Is.True);
            Assert.That(talk.Client.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.KeysNotConfirmed));
            return;
        }

        Assert.That(talk.IsEncrypted, Is.True, "for all that the two know");
        talk.Client.Send("x"u8, out _);
        talk.Server!.Send("y"u8, out _);
        Assert.That(talk.Path.Run(() => talk.Client.State == TcpState.Closed && talk.Server.State == TcpState.Closed, 7200), Is.True);
        foreach (SteppedSocket socket in (SteppedSocket[])[talk.Client, talk.Server])
        {
            Assert.That(socket.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.KeysNotConfirmed));
            Assert.That(socket.Tcpcrypt!.IsEncrypted, Is.False);
            Assert.That(socket.Readable, Is.Zero);
        }
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

        Assert.That(first.Tcpcrypt!.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
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
