using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.Hostile;

/// <summary>Who gives way when buffer memory runs out, and the limits of what the application has let go (HI_SYS_02, HI_SEQ_01, HI_HS_10, HI_CLS_04).</summary>
public sealed class MemoryTests
{
    private const int Piece = 1000;

    private static readonly byte[] s_scaled = [.. Opt.Mss(1460), .. Opt.SackOk, .. Opt.Scale(7)];

    private static Host Make(long memory, Action<TcpStackOptions>? configure = null) => new(options =>
    {
        options.MemoryLimit = memory;
        options.Tcp.ReceiveBufferSize = options.Tcp.SendBufferSize = 1024 * 1024;
        configure?.Invoke(options.Tcp);
    });

    /// <summary>A connection whose window is a megabyte.</summary>
    private static Peer Accept(Host host)
    {
        Peer peer = host.Accept(0, false, s_scaled);
        peer.SendNext([7]);
        Assert.That(Host.Read(peer.Socket), Is.EqualTo(new byte[] { 7 }));
        peer.Take();
        return peer;
    }

    /// <summary>Octets of the stream from 2 on, as all peers here send them.</summary>
    private static byte[] Octets(int start, int count) => [.. Enumerable.Range(start, count).Select(static i => (byte)(i * 31))];

    /// <summary>Sends pieces behind a gap of one piece, each of which is answered by a duplicate ACK.</summary>
    private static void SendAhead(Peer peer, int octets)
    {
        for (int at = Piece; at < Piece + octets; at += Piece)
        {
            peer.Send(Seg.Bytes(Octets(at, Piece), (uint)(2 + at)));
        }
    }

    /// <summary>Sends in order, as a sender does that repeats what is not acknowledged, until all has been acknowledged or nothing more is.</summary>
    private static int SendInOrder(Host host, Peer peer, int from, int to, Action<int>? onReply = null)
    {
        int acknowledged = from;
        int tries = 0;
        while (acknowledged < to && tries++ < 3)
        {
            List<Seg> replies = peer.Send(Seg.Bytes(Octets(acknowledged, Math.Min(Piece, to - acknowledged)), (uint)(2 + acknowledged)));
            host.Advance(0.05);
            replies.AddRange(peer.Take());
            foreach (Seg reply in replies.Where(static reply => reply.AckNo is not null))
            {
                int now = (int)reply.AckNo!.Value - 2;
                tries = now > acknowledged ? 0 : tries;
                acknowledged = now;
                onReply?.Invoke(now);
            }
        }

        return acknowledged;
    }

    [Test]
    public void HI_SEQ_01_what_is_held_out_of_order_gives_way_first_and_the_largest_holder_before_others()
    {
        Host host = Make(1_000_000);
        (Peer large, Peer small, Peer unread) = (Accept(host), Accept(host), Accept(host));
        SendAhead(large, 300_000);
        SendAhead(small, 100_000);
        Assert.That(SendInOrder(host, unread, 0, 340_000), Is.EqualTo(340_000));
        Assert.That((large.Socket.GetInfo().OutOfOrder, small.Socket.GetInfo().OutOfOrder), Is.EqualTo((300_000L, 100_000L)));
        Assert.That(host.Core.Counters.TcpOutOfOrderPruned, Is.Zero);

        // Three quarters of the limit: one more octet out of order costs the largest holder all of its own.
        Assert.That(SendInOrder(host, unread, 340_000, 360_000), Is.EqualTo(360_000));
        Assert.That(host.Core.Blocks.IsTight, Is.True);
        Peer late = Accept(host);
        SendAhead(late, Piece);
        Assert.That((large.Socket.GetInfo().OutOfOrder, small.Socket.GetInfo().OutOfOrder, late.Socket.GetInfo().OutOfOrder), Is.EqualTo((0L, 100_000L, (long)Piece)));
        Assert.That(host.Core.Counters.TcpOutOfOrderPruned, Is.EqualTo(1));
        Assert.That(large.Ask(Seg.Bytes(Octets(0, 1), 1)).SackBlocks(0), Is.Empty.Or.EqualTo(new[] { (1u, 2u) }), "it is no longer told as received");

        // Nothing is lost by it: the peer keeps what was not acknowledged.
        Assert.That(SendInOrder(host, large, 0, 20_000, _ => { }), Is.EqualTo(20_000));
        Assert.That(Host.Read(large.Socket), Is.EqualTo(Octets(0, 20_000)));
        Assert.That(SendInOrder(host, small, 0, Piece), Is.EqualTo(101_000));
        Assert.That(Host.Read(small.Socket), Is.EqualTo(Octets(0, 101_000)));
        host.Finish();
    }

    [Test]
    public void HI_SEQ_01_small_holders_do_not_take_memory_from_each_other()
    {
        Host host = Make(400_000);
        List<Peer> peers = [];
        for (int i = 0; i < 120; i++)
        {
            peers.Add(Accept(host));
            SendAhead(peers[^1], Piece);
        }

        Assert.That(host.Core.Blocks.InUse, Is.LessThanOrEqualTo(300_000 + BlockPool.SmallSize));
        Assert.That(host.Core.Counters.TcpOutOfOrderPruned, Is.Zero, "each holds one block");
        Assert.That(host.Drops(DropReason.TcpReassemblyLimit), Is.GreaterThan(40));
        host.Finish();
    }

    [Test]
    public void HI_SYS_02_at_the_memory_limit_text_is_dropped_and_each_connection_still_gets_on()
    {
        const int Total = 200_000;
        Host host = Make(400_000);
        Peer[] peers = [.. Enumerable.Range(0, 8).Select(_ => Accept(host))];
        int[] acknowledged = new int[peers.Length];
        for (int i = 0; i < peers.Length; i++)
        {
            acknowledged[i] = SendInOrder(host, peers[i], 0, Total);
        }

        Assert.That(host.Core.Blocks.IsExhausted, Is.True);
        Assert.That(host.Core.Blocks.InUse, Is.LessThanOrEqualTo(400_000 + (16 * 2 * BlockPool.SmallSize)));
        Assert.That(host.Drops(DropReason.TcpMemoryLimit), Is.GreaterThan(0));
        Assert.That(acknowledged, Has.Some.LessThan(Total).And.All.GreaterThanOrEqualTo(BlockPool.SmallSize));

        // A new connection is slow, and not stuck, while the others' applications do not read.
        Peer late = Accept(host);
        int reads = 0;
        int arrived = 0;
        Assert.That(SendInOrder(host, late, 0, 50_000, _ =>
        {
            reads++;
            arrived += Host.Read(late.Socket).Length;
        }), Is.EqualTo(50_000));
        arrived += Host.Read(late.Socket).Length;
        Assert.That((arrived, reads), Is.EqualTo((50_000, reads)));

        // When they read, everything comes.
        for (int i = 0; i < peers.Length; i++)
        {
            List<byte> got = [.. Host.Read(peers[i].Socket)];
            SendInOrder(host, peers[i], acknowledged[i], Total, _ => got.AddRange(Host.Read(peers[i].Socket)));
            Assert.That(got, Is.EqualTo(Octets(0, Total)));
        }

        Assert.That(host.Core.Counters.TcpAbortsOnMemory, Is.Zero, "nobody is reset because his application is slow");
        host.Finish();
    }

    [Test]
    public void HI_HS_10_at_the_memory_limit_those_who_take_nothing_are_reset_the_others_not([Values] bool hasZeroWindow)
    {
        Host host = Make(1_000_000);
        Peer[] takers = [Accept(host), Accept(host)];
        Peer[] misers = [Accept(host), Accept(host), Accept(host)];
        foreach (Peer peer in misers)
        {
            if (hasZeroWindow)
            {
                peer.Send(Seg.Ack() with { Wnd = 0 });
            }

            Assert.That(peer.Socket.Send(new byte[400_000], out _), Is.EqualTo(SocketError.Success));
            peer.Take();
        }

        Assert.That(host.Core.Blocks.IsExhausted, Is.True);
        host.Advance(30);
        Assert.That(takers[0].Socket.Send([1, 2, 3], out _), Is.EqualTo(SocketError.Success));
        takers[0].TakeAndAcknowledge();
        Assert.That(host.Core.Counters.TcpAbortsOnMemory, Is.Zero, "not yet");
        if (hasZeroWindow)
        {
            misers[0].Send(Seg.Ack() with { Wnd = 0 }, int.MaxValue);
        }

        host.Advance(31);
        Assert.That(takers[1].Socket.Send([1, 2, 3], out _), Is.EqualTo(SocketError.Success));
        takers[1].TakeAndAcknowledge();
        Assert.That(host.Core.Blocks.IsTight, Is.False);
        Assert.That(host.Core.Counters.TcpAbortsOnMemory, Is.InRange(1, 3));
        Peer[] reset = [.. misers.Where(static peer => peer.Socket.State == TcpState.Closed)];
        Assert.That(reset, Has.Length.EqualTo(host.Core.Counters.TcpAbortsOnMemory));
        Assert.That(reset[0].Take(), Has.Some.Matches<Seg>(static seg => seg!.IsRst));
        Assert.That(reset[0].Socket.TakeError(), Is.EqualTo(SocketError.NoBufferSpaceAvailable));
        foreach (Peer peer in takers)
        {
            Assert.That(peer.Stream, Is.EqualTo(new byte[] { 1, 2, 3 }));
            Assert.That(peer.Socket.State, Is.EqualTo(TcpState.Established));
        }

        host.Finish();
    }

    [Test]
    public void HI_CLS_04_at_the_memory_limit_orphans_give_way_before_connections_that_are_in_use()
    {
        Host host = Make(1_000_000);
        (Peer orphan, Peer other, Peer used) = (Accept(host), Accept(host), Accept(host));
        foreach (Peer peer in (Peer[])[orphan, other])
        {
            Assert.That(peer.Socket.Send(new byte[450_000], out _), Is.EqualTo(SocketError.Success));
            peer.Take();
        }

        orphan.Socket.Close();
        Assert.That(host.Core.Counters.TcpOrphans, Is.EqualTo(1));
        int got = SendInOrder(host, used, 0, 200_000);
        Assert.That(got, Is.EqualTo(200_000), "there was room after all");
        Assert.That(orphan.Take(), Has.Some.Matches<Seg>(static seg => seg!.IsRst));
        Assert.That((host.Core.Counters.TcpAbortsOnMemory, host.Core.Counters.TcpOrphans), Is.EqualTo((1L, 0L)));
        Assert.That((other.Socket.State, used.Socket.State), Is.EqualTo((TcpState.Established, TcpState.Established)));
        host.Finish();
    }

    [Test]
    public void HI_CLS_04_the_number_of_orphans_is_limited_and_the_oldest_gives_way()
    {
        Host host = Make(1 << 28, static tcp => tcp.OrphanLimit = 2);
        Peer[] peers = [Accept(host), Accept(host), Accept(host)];
        foreach (Peer peer in peers)
        {
            peer.Socket.Send([1], out _);
            peer.Socket.Close();
        }

        Assert.That((host.Core.Counters.TcpOrphans, host.Core.Counters.TcpOrphanOverflows), Is.EqualTo((2L, 1L)));
        Assert.That(peers[0].Take(), Has.Some.Matches<Seg>(static seg => seg!.IsRst));
        foreach (Peer peer in peers[1..])
        {
            Assert.That(peer.Take(), Has.None.Matches<Seg>(static seg => seg!.IsRst));
            peer.Send(Seg.Fin() with { AckNo = 3 });
        }

        Assert.That(host.Core.Counters.TcpOrphans, Is.Zero, "they have closed in order");
        host.Finish();
    }

    [Test]
    public void HI_CLS_04_orphans_whose_peers_have_vanished_are_all_given_up()
    {
        Host host = new();
        host.Listener.Listen(1000);
        for (int i = 0; i < 1000; i++)
        {
            Peer peer = host.Accept();
            if (i % 2 == 0)
            {
                peer.Send(Seg.Fin());
            }

            peer.Socket.Send([1], out _);
            peer.Socket.Close();
        }

        Assert.That(host.Core.Counters.TcpOrphans, Is.EqualTo(1000));
        host.Advance(60);
        Assert.That(host.Core.Counters.TcpOrphans, Is.EqualTo(1000), "they are given time");
        host.Advance(240);
        Assert.That(host.Core.Counters.TcpOrphans, Is.Zero);
        host.TakeAll();
        host.Finish();
    }

    [Test]
    [Spec("9293-MUST-37")]
    public void HI_HS_10_a_closed_window_holds_an_orphan_for_a_while_and_a_connection_in_use_for_ever([Values] bool isClosed)
    {
        Host host = new(static options => options.Tcp.OrphanRetransmissions = 4);
        Peer peer = host.Accept();
        peer.Send(Seg.Ack() with { Wnd = 0 });
        peer.Socket.Send(new byte[1000], out _);
        if (isClosed)
        {
            peer.Socket.Close();
        }

        int answers = 0;
        for (int second = 0; second < 600; second++)
        {
            host.Advance(1);
            foreach (Seg seg in peer.Take())
            {
                if (!seg.IsRst)
                {
                    answers++;
                    peer.Send(Seg.Ack() with { Wnd = 0 });
                }
            }
        }

        Assert.That(host.Core.Tcp.Endpoints.Any(endpoint => endpoint.Tuple.Remote == peer.Remote), Is.EqualTo(!isClosed));
        Assert.That(answers, isClosed ? Is.EqualTo(4) : Is.GreaterThan(9));
        host.Finish();
    }
}
