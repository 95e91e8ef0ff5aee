using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>SYN cookies (RFC 4987 §3.6): what gets in during a flood, and what does not.</summary>
public sealed class SynCookieTests
{
    private static readonly byte[] s_options = [.. Opt.Mss(1400), .. Opt.SackOk, .. Opt.Scale(7)];

    /// <summary>SYNs of as many senders.</summary>
    private static void Flood(Host host, uint first, uint count)
    {
        const int Source = 12;
        byte[] packet = Seg.Syn(Opt.Mss(1460)).ToPacket(new Endpoint4(new Ipv4Address(0x0B00_0000), 999), new Endpoint4(Host.Here, Host.ListenPort), first, 0);
        for (uint i = first; i < first + count; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(Source), 0x0B00_0000 + i);
            Seg.FixChecksums(packet);
            host.Inject(packet);
        }
    }

    /// <summary>A stack whose cache is full of half-open connections that nobody will finish.</summary>
    private static Host Flooded(Action<SteppedStackOptions>? configure = null)
    {
        Host host = new(options =>
        {
            options.Tcp.SynCacheSize = 16;
            configure?.Invoke(options);
        });
        Flood(host, 0, 20);
        host.TakeAll();
        return host;
    }

    [Test]
    [Spec("4987-2")]
    public void HI_HS_01_every_honest_client_gets_in_during_a_flood([Values] bool timestamps)
    {
        Host host = new(options => options.Tcp.SynCacheSize = 1000);
        Flood(host, 0, 2000);
        List<Peer> clients = [];
        for (uint i = 0; i < 200; i++)
        {
            Peer client = host.NewPeer(i * 77_777);
            client.HasTimestamps = timestamps;
            Assert.That(client.Ask(Seg.Syn(Opt.Mss(1460))).Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ack));
            Flood(host, 2000 + (i * 490), 490);
            client.Expect0(Seg.Ack());
            client.Socket = host.AcceptAll().Single();
            clients.Add(client);
            if (i % 20 == 0)
            {
                Assert.That(host.TakeAll(), Is.LessThanOrEqualTo(40 * 490), "no more answers than SYNs");
            }
        }

        StackCounters counters = host.Core.Counters;
        Assert.That(host.Core.Tcp.SynCache.Count, Is.EqualTo(1000), "the cache is full, and nothing more is kept");
        Assert.That(host.Core.Tcp.Endpoints, Has.Count.EqualTo(201), "the clients and the bystander");
        Assert.That((counters.TcpSynCookiesAccepted, counters.TcpSynCookiesRejected), Is.EqualTo((200L, 0L)));
        Assert.That(counters.TcpSynCookiesSent, Is.GreaterThan(98_000));
        foreach (Peer client in clients)
        {
            client.SendNext([1, 2, 3]);
            Assert.That(Host.Read(client.Socket), Is.EqualTo(new byte[] { 1, 2, 3 }));
        }

        host.TakeAll();
        host.Finish();
    }

    [TestCase(true, 7, true)]
    [TestCase(false, 0, false)]
    [Spec("4987-2")]
    public void What_was_agreed_comes_back(bool timestamps, int shift, bool selective)
    {
        Host host = Flooded();
        Peer client = host.NewPeer();
        client.HasTimestamps = timestamps;
        Seg synAck = client.Ask(Seg.Syn(s_options) with { Flags = TcpFlags.Syn | TcpFlags.Ece | TcpFlags.Cwr });
        Assert.That(synAck.Flags, Is.EqualTo(TcpFlags.Syn | TcpFlags.Ack | (timestamps ? TcpFlags.Ece : 0)));
        client.Expect0(Seg.Ack());
        TcpInfo info = host.AcceptAll().Single().GetInfo();
        Assert.That((info.PeerMss, (int)info.PeerWindowScale, info.SelectiveAcknowledgments, info.Timestamps, info.ExplicitCongestionNotification), Is.EqualTo((1400, shift, selective, timestamps, timestamps)));
        host.Finish();
    }

    [Test]
    [Spec("4987-2")]
    public void HI_HS_02_forged_and_altered_cookies_are_reset()
    {
        Host host = Flooded();
        Peer client = host.NewPeer();
        client.HasTimestamps = true;
        client.Ask(Seg.Syn(s_options));
        long timers = host.Core.Deadlines.Count;
        for (int bit = 0; bit < 32; bit++)
        {
            Assert.That(client.Ask(Seg.Ack(1u ^ (1u << bit))).IsRst, Is.True, "another ISN");
            Assert.That(client.Ask(Seg.Ack(1) with { Seq = 1u ^ (1u << bit) }).IsRst, Is.True, "another SYN");
        }

        for (int bit = 0; bit < 6; bit++)
        {
            Assert.That(client.Ask(Seg.Ack(1) with { Ts = (client.TsVal, client.TsEcr ^ (1u << bit)) }).IsRst, Is.True, "other options");
        }

        Assert.That(client.Ask(Seg.Ack(1) with { NoTs = true }).IsRst, Is.True, "no options");
        Assert.That(host.Core.Deadlines.Count, Is.EqualTo(timers));
        Assert.That(host.Core.Counters.TcpSynCookiesRejected, Is.EqualTo(71));
        client.Expect0(Seg.Ack());
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1), "the right one is still good");
        host.Finish();
    }

    [TestCase(60, true)]
    [TestCase(130, false)]
    [Spec("4987-2")]
    public void A_cookie_is_good_for_a_minute_and_not_for_ever(int seconds, bool isGood)
    {
        Host host = Flooded();
        Peer client = host.NewPeer();
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        host.Advance(seconds);
        host.TakeAll();
        List<Seg> replies = client.Send(Seg.Ack());
        Assert.That(replies.Count(static seg => seg.IsRst), Is.EqualTo(isGood ? 0 : 1));
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(isGood ? 1 : 0));
        host.Finish();
    }

    [Test]
    [Spec("4987-2")]
    public void HI_HS_08_data_behind_a_cookie_is_delivered()
    {
        Host host = Flooded();
        Peer client = host.NewPeer();
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        client.SendNext([1, 2, 3], int.MaxValue);
        client.SendNext([4, 5, 6], int.MaxValue);
        Assert.That(Host.Read(host.AcceptAll().Single()), Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6 }), "the handshake's last ACK was lost");
        host.Finish();
    }

    [Test]
    public void HI_HS_08_data_that_overtakes_a_cookie_is_not_reset()
    {
        Host host = Flooded();
        Peer client = host.NewPeer();
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        client.Expect0(Seg.Bytes([4, 5, 6], 4));
        Assert.That(host.AcceptAll(), Is.Empty);
        client.SendNext([1, 2, 3], int.MaxValue);
        client.SendNext([4, 5, 6], int.MaxValue);
        Assert.That(Host.Read(host.AcceptAll().Single()), Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6 }));
        host.Finish();
    }

    [Test]
    public void A_cookie_is_good_when_the_syn_was_repeated_and_found_room()
    {
        Host host = new(static options => options.Tcp.SynCacheSize = 1);
        Peer holder = host.NewPeer();
        holder.Ask(Seg.Syn());
        Peer client = host.NewPeer();
        client.HasTimestamps = true;
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        (uint first, uint echo) = (client.Iss, client.TsEcr);
        holder.Expect0(Seg.Rst(1));
        client.Ask(Seg.Syn(Opt.Mss(1460)));
        Assert.That(host.Core.Tcp.SynCache.Count, Is.EqualTo(1));
        Assert.That(client.Iss, Is.Not.EqualTo(first));

        // The first SYN,ACK came after all, and is what the client has believed.
        uint ahead = unchecked(first - client.Iss);
        client.Expect0(Seg.Ack(unchecked(ahead + 1)) with { Ts = (client.TsVal, echo) });
        Assert.That(host.Core.Tcp.SynCache.Count, Is.Zero);
        SteppedSocket accepted = host.AcceptAll().Single();
        client.Send(Seg.Bytes([1, 2, 3]) with { AckNo = unchecked(ahead + 1), Ts = (client.TsVal, echo) });
        Assert.That(Host.Read(accepted), Is.EqualTo(new byte[] { 1, 2, 3 }));
        host.Finish();
    }

    [Test]
    [Spec("4987-2")]
    public void HI_HS_07_a_cookie_waits_for_room_in_the_accept_queue()
    {
        Host host = new(static options => options.Tcp.SynCacheSize = 1);
        host.Listener.Listen(1);
        Flood(host, 0, 3);
        host.TakeAll();
        Peer[] clients = [host.NewPeer(), host.NewPeer(), host.NewPeer()];
        foreach (Peer client in clients)
        {
            client.Ask(Seg.Syn(Opt.Mss(1460)));
        }

        foreach (Peer client in clients)
        {
            client.Expect0(Seg.Ack());
        }

        int accepted = host.AcceptAll().Count;
        Assert.That(accepted, Is.LessThan(3));
        clients[^1].SendNext([1], int.MaxValue);
        Assert.That(host.AcceptAll(), Has.Count.EqualTo(1), "it was not reset, and sends again");
        host.Listener.Listen(128);
        host.Finish();
    }

    [Test]
    public void Switched_off_the_oldest_gives_way()
    {
        Host host = Flooded(static options => options.Tcp.SynCookies = false);
        Assert.That(host.Core.Counters.TcpSynCookiesSent, Is.Zero);
        Assert.That(host.Drops(DropReason.TcpSynCacheFull), Is.EqualTo(4));
        Assert.That(host.NewPeer().Ask(Seg.Ack(1)).IsRst, Is.True);
        host.Finish();
    }

    [Test]
    [Spec("4987-2")]
    public void Under_policy_Required_there_is_no_cookie_for_a_plain_opener()
    {
        Host host = Flooded(static options => options.Tcpcrypt = true);
        Assert.That(host.Core.Tcp.Listen(new Endpoint4(Host.Here, 81), TcpEndpointOptions.From(host.Core.Options.Tcp), 8, out TcpListener? listener), Is.EqualTo(System.Net.Sockets.SocketError.Success));
        Peer client = host.NewPeer(localPort: 81);
        Assert.That(client.Ask(Seg.Syn(Opt.Mss(1460))).IsSyn, Is.True);
        listener!.Options.Crypt = host.Core.Crypt!.Settings with { Policy = TcpcryptPolicy.Required };
        Assert.That(client.Ask(Seg.Ack()).IsRst, Is.True, "one sent before is void");
        long sent = host.Core.Counters.TcpSynCookiesSent;
        Assert.That(host.NewPeer(localPort: 81).Ask(Seg.Syn(Opt.Mss(1460))).IsRst, Is.True);
        Assert.That(host.Core.Counters.TcpSynCookiesSent, Is.EqualTo(sent));
        listener.Close(TcpInstant.Zero + TimeSpan.FromTicks(host.Stack.NowNs / 100));
        host.Finish();
    }
}
