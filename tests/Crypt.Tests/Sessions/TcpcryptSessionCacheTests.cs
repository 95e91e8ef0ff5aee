using System.Net;
using NUnit.Framework;
using Tcpcrypt.Crypt;
using static Tcpcrypt.Tests.Sessions.TestSessions;

namespace Tcpcrypt.Tests.Sessions;

internal sealed class TcpcryptSessionCacheTests
{
    private readonly ManualTime _time = new();

    [Test]
    [Spec("TD-101")]
    [Spec("TD-102")]
    public void An_opener_takes_the_lowest_index_that_was_not_used()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Assert.That(cache.TakeForPeer(OtherPeer, TcpcryptRole.None), Is.Null);
        TcpcryptSession? first = cache.TakeForPeer(Peer, TcpcryptRole.None);
        TcpcryptSession? second = cache.TakeForPeer(Peer, TcpcryptRole.None);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(first?.Index, Is.EqualTo(1));
            Assert.That(first!.Secret.ToArray(), Is.EqualTo(At(1, 1).Secret.ToArray()));
            Assert.That(second?.Index, Is.EqualTo(2), "a parallel connection, or the attempt after one without an answer");
            Assert.That(second!.Secret.ToArray(), Is.EqualTo(At(1, 2).Secret.ToArray()));
        }
    }

    [Test]
    [Spec("TD-102")]
    [Spec("TD-103")]
    public void An_opener_goes_no_further_ahead_than_a_listener_recognises()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Assert.That(Opened(cache, 4), Is.EqualTo(new long?[] { 1, 2, 3, null }));

        // The connection with index 2 is encrypting: the peer is at 3 now.
        cache.Add(Peer, At(1, 3));
        Assert.That(Opened(cache, 3), Is.EqualTo(new long?[] { 4, 5, null }), "it does not go backwards");

        // The one with index 1 as well; that changes nothing.
        cache.Add(Peer, At(1, 2));
        Assert.That(Opened(cache, 1), Is.EqualTo(new long?[] { null }));
    }

    [Test]
    [Spec("TD-102")]
    public void A_newer_chain_is_used_when_an_old_one_is_too_far_ahead()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Opened(cache, 4);
        cache.Add(Peer, At(2, 1));
        TcpcryptSession? session = cache.TakeForPeer(Peer, TcpcryptRole.None);
        Assert.That(session?.Chain.ToArray(), Is.EqualTo(At(2, 0).SessionId.ToArray()));
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [Spec("TD-103")]
    public void A_listener_recognises_the_expected_index_and_the_next_two(int index)
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Assert.That(cache.Take(Identifier(1, 4), TcpcryptRole.None), Is.Null);
        TcpcryptSession? session = cache.Take(Identifier(1, index), TcpcryptRole.None);
        Assert.That(session?.Index, Is.EqualTo(index));
        Assert.That(session!.Secret.ToArray(), Is.EqualTo(At(1, index).Secret.ToArray()));

        for (int dead = 1; dead <= index; dead++)
        {
            Assert.That(cache.Take(Identifier(1, dead), TcpcryptRole.None), Is.Null, "used, or overtaken");
        }

        Assert.That(cache.Take(Identifier(1, index + 3), TcpcryptRole.None)?.Index, Is.EqualTo(index + 3), "the look-ahead moved along");
    }

    [Test]
    [Spec("TD-102")]
    [Spec("TD-103")]
    public void What_was_sent_is_never_recognised_and_what_was_recognised_is_never_sent()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Assert.That(Opened(cache, 1), Is.EqualTo(new long?[] { 1 }));
        Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.None), Is.Null, "crossing SYNs with the same SID ([TD-104])");
        Assert.That(cache.Take(Identifier(1, 2), TcpcryptRole.None)?.Index, Is.EqualTo(2));
        Assert.That(Opened(cache, 1), Is.EqualTo(new long?[] { 3 }), "either host may open");
    }

    [TestCase(TcpcryptDialect.Draft, 0.6)]
    [TestCase(TcpcryptDialect.Reference, 0.2)]
    [Spec("TD-103")]
    public void Two_hosts_stay_together_through_lost_overtaking_and_parallel_SYNs(TcpcryptDialect dialect, double least)
    {
        using TcpcryptSessionCache left = new(_time);
        using TcpcryptSessionCache right = new(_time);
        Random random = new(1);
        int hits = 0;
        int handshakes = 0;
        for (int round = 0; round < 500; round++)
        {
            // Up to three connections at once by one of the hosts; a SYN in ten is lost for good, some overtake each other.
            bool reverse = random.Next(4) == 0;
            (TcpcryptSessionCache opener, TcpcryptSessionCache listener) = reverse ? (right, left) : (left, right);
            List<TcpcryptSession?> syns = [];
            for (int parallel = random.Next(1, 4); parallel > 0; parallel--)
            {
                syns.Add(opener.TakeForPeer(Peer, TcpcryptRole.None));
            }

            if (random.Next(5) == 0)
            {
                syns.Reverse();
            }

            foreach (TcpcryptSession? sent in syns.Where(_ => random.Next(10) != 0))
            {
                TcpcryptSession mine;
                TcpcryptSession theirs;
                if (sent is not null && listener.Take(sent.Identifier, TcpcryptRole.None) is { } hit)
                {
                    hits++;
                    (mine, theirs) = (sent, hit);
                }
                else
                {
                    handshakes++;
                    if (sent is not null)
                    {
                        opener.Drop(sent);
                    }

                    (mine, theirs) = (Create(round + 1000, TcpcryptRole.C, dialect), Create(round + 1000, TcpcryptRole.S, dialect));
                }

                Assert.That(theirs.Secret.ToArray(), Is.EqualTo(mine.Secret.ToArray()));
                opener.Add(Peer, mine.Next(openedHere: true));
                listener.Add(Peer, theirs.Next(openedHere: false));
            }
        }

        Assert.That((double)hits / (hits + handshakes), Is.GreaterThan(least), $"{hits} resumed, {handshakes} not");
    }

    [Test]
    [Spec("TD-103")]
    [Spec("TD-104")]
    [Spec("HI_ENC_10")]
    public void No_index_is_given_out_twice_whatever_happens()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            Random random = new(seed);
            using TcpcryptSessionCache cache = new(_time, capacity: 2);
            Dictionary<int, TcpcryptSession> first = [];
            HashSet<string> given = [];
            List<TcpcryptSession> connections = [];
            for (int step = 0; step < 200; step++)
            {
                switch (random.Next(6))
                {
                    case 0:
                        TcpcryptSession begun = Create(1000 + step);
                        cache.Add(Peer, begun.Next(openedHere: true));
                        break;
                    case 1 or 2:
                        Given(cache.TakeForPeer(Peer, TcpcryptRole.None));
                        break;
                    case 3 when connections.Count > 0:
                        TcpcryptSession any = connections[random.Next(connections.Count)];
                        Given(cache.Take(any.GetIdentifiers()[random.Next(3)].Span, TcpcryptRole.None));
                        break;
                    case 4 when connections.Count > 0:
                        cache.Add(Peer, connections[random.Next(connections.Count)].Next());
                        break;
                    default:
                        if (random.Next(4) == 0 && connections.Count > 0)
                        {
                            cache.Drop(connections[random.Next(connections.Count)]);
                        }

                        break;
                }
            }

            Assert.That(connections, Is.Not.Empty, $"seed {seed}");

            void Given(TcpcryptSession? session)
            {
                if (session is not null)
                {
                    Assert.That(given.Add(Convert.ToHexString(session.SessionId.Span)), $"seed {seed}: index {session.Index} twice");
                    connections.Add(session);
                }
            }
        }
    }

    [Test]
    [Spec("TD-105")]
    public void A_flushed_chain_does_not_come_back_with_a_connection_that_was_on_its_way()
    {
        using TcpcryptSessionCache cache = new(_time);
        TcpcryptSession first = Create(1);
        cache.Add(Peer, first.Next(openedHere: true));
        TcpcryptSession resumed = cache.TakeForPeer(Peer, TcpcryptRole.None)!;
        first.Dispose();
        cache.Drop(first);
        Assert.That(cache.Count, Is.Zero);
        cache.Add(Peer, resumed.Next(openedHere: true));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(cache.Count, Is.Zero);
            Assert.That(cache.Take(Identifier(1, 2), TcpcryptRole.None), Is.Null);
        }
    }

    [Test]
    [Spec("TD-105")]
    public void A_chain_flushed_during_its_first_connection_is_never_kept()
    {
        using TcpcryptSessionCache cache = new(_time);
        TcpcryptSession first = Create(1);
        TcpcryptSession next = first.Next(openedHere: true);
        cache.Drop(first);
        cache.Add(Peer, next);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(cache.Count, Is.Zero);
            Assert.That(IsWiped(next));
        }
    }

    [Test]
    [Spec("TD-105")]
    public void Flushing_a_host_drops_its_chains_only()
    {
        using TcpcryptSessionCache cache = new(_time);
        TcpcryptSession first = At(1, 1);
        TcpcryptSession second = At(2, 1);
        cache.Add(Peer, first);
        cache.Add(Peer, second);
        cache.Add(OtherPeer, At(3, 1));
        cache.RemovePeer(Peer);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(IsWiped(first) && IsWiped(second));
            Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.None), Is.Null);
            Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.None), Is.Null);
            Assert.That(cache.TakeForPeer(OtherPeer, TcpcryptRole.None), Is.Not.Null);
        }
    }

    [Test]
    [Spec("TD-13")]
    public void Roles_that_are_refused_are_not_offered_and_a_NEXTK1_for_them_is_a_miss()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1, TcpcryptRole.S));
        Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.C), Is.Null);
        Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.C), Is.Null);
        Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.S), Is.Null, "it was in a NEXTK1 before");

        cache.Add(Peer, At(2, 1, TcpcryptRole.S));
        cache.Add(Peer, At(3, 1, TcpcryptRole.C));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.S)?.Role, Is.EqualTo(TcpcryptRole.S));
            Assert.That(cache.Take(Identifier(3, 1), TcpcryptRole.C)?.Role, Is.EqualTo(TcpcryptRole.C));
        }
    }

    [Test]
    [Spec("REF-8")]
    public void Reference_sessions_are_taken_out_and_resume_in_the_same_direction_only()
    {
        using TcpcryptSessionCache cache = new(_time);
        TcpcryptSession opened = Create(1, dialect: TcpcryptDialect.Reference).Next(openedHere: true);
        TcpcryptSession accepted = Create(2, dialect: TcpcryptDialect.Reference).Next(openedHere: false);
        byte[] openedIdentifier = opened.Identifier.ToArray();
        byte[] acceptedIdentifier = accepted.Identifier.ToArray();
        byte[] ahead = accepted.Next().Identifier.ToArray();
        cache.Add(Peer, opened);
        cache.Add(Peer, accepted);
        Assert.That(cache.Take(openedIdentifier, TcpcryptRole.None), Is.Null, "opened here");
        TcpcryptSession taken = cache.TakeForPeer(Peer, TcpcryptRole.None)!;
        Assert.That(taken.Identifier.ToArray(), Is.EqualTo(openedIdentifier));
        Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.None), Is.Null, "accepted here, or in use");
        Assert.That(cache.Take(ahead, TcpcryptRole.None), Is.Null, "no look-ahead");
        Assert.That(cache.Take(acceptedIdentifier, TcpcryptRole.None)?.Identifier.ToArray(), Is.EqualTo(acceptedIdentifier));
        Assert.That(cache.Take(acceptedIdentifier, TcpcryptRole.None), Is.Null);
        Assert.That(cache.Count, Is.Zero);

        cache.Add(Peer, taken.Next(openedHere: true));
        Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.None)?.Index, Is.EqualTo(2), "the connection was encrypting");
    }

    [Test]
    [Spec("TD-101")]
    [Spec("HI_ENC_10"), Spec("HI_ENC_15")]
    public void A_full_cache_wipes_the_chain_that_was_not_renewed_for_longest()
    {
        using TcpcryptSessionCache cache = new(_time, capacity: 3);
        TcpcryptSession[] sessions = [At(1, 1), At(2, 1), At(3, 1), At(4, 1)];
        cache.Add(Peer, sessions[0]);
        cache.Add(Peer, sessions[1]);
        cache.Add(OtherPeer, sessions[2]);
        cache.Take(Identifier(1, 1), TcpcryptRole.None);
        cache.Add(OtherPeer, sessions[3]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(cache.Count, Is.EqualTo(3));
            Assert.That(IsWiped(sessions[1]));
            Assert.That(cache.Take(Identifier(2, 1), TcpcryptRole.None), Is.Null);
            Assert.That(cache.Take(Identifier(1, 2), TcpcryptRole.None), Is.Not.Null);
            Assert.That(cache.Take(Identifier(3, 1), TcpcryptRole.None), Is.Not.Null);
        }
    }

    [Test]
    [Spec("TD-101")]
    public void Sessions_expire_and_are_wiped()
    {
        using TcpcryptSessionCache cache = new(_time, lifetime: TimeSpan.FromMinutes(10));
        TcpcryptSession first = At(1, 1);
        cache.Add(Peer, first);
        _time.Advance(TimeSpan.FromMinutes(4));
        cache.Add(Peer, At(2, 1));
        Assert.That(cache.RemoveExpired(), Is.EqualTo(TimeSpan.FromMinutes(6)));
        _time.Advance(TimeSpan.FromMinutes(6));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(cache.RemoveExpired(), Is.EqualTo(TimeSpan.FromMinutes(4)));
            Assert.That(IsWiped(first));
            Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.None), Is.Null);
            Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.None), Is.Not.Null);
        }

        _time.Advance(TimeSpan.FromMinutes(4));
        Assert.That(cache.RemoveExpired(), Is.Null);
    }

    [Test]
    [Spec("TD-101")]
    [Spec("HI_ENC_15")]
    public void Everything_is_wiped_at_the_end()
    {
        TcpcryptSessionCache cache = new(_time);
        TcpcryptSession session = At(1, 1);
        cache.Add(Peer, session);
        cache.Dispose();
        Assert.That(IsWiped(session));
        Assert.That(cache.Count, Is.Zero);
    }

    [Test]
    public void A_cache_without_room_keeps_nothing()
    {
        using TcpcryptSessionCache cache = new(_time, capacity: 0);
        TcpcryptSession session = At(1, 1);
        cache.Add(Peer, session);
        Assert.That(IsWiped(session));
        Assert.That(cache.TakeForPeer(Peer, TcpcryptRole.None), Is.Null);
    }

    [TestCase(0)]
    [TestCase(8)]
    [TestCase(10)]
    public void An_identifier_of_another_length_is_a_miss(int length)
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Assert.That(cache.Take(new byte[length], TcpcryptRole.None), Is.Null);
    }

    [Test]
    [Spec("TD-103")]
    public void HI_ENC_10_a_hundred_thousand_guesses_find_nothing_and_use_nothing_up()
    {
        using TcpcryptSessionCache cache = new(_time);
        cache.Add(Peer, At(1, 1));
        Random random = new(1);
        byte[] guess = new byte[9];
        for (int i = 0; i < 100_000; i++)
        {
            if (i % 2 == 0)
            {
                random.NextBytes(guess);
            }
            else
            {
                Identifier(1, 1 + random.Next(3)).CopyTo(guess);
                guess[random.Next(9)] ^= (byte)(1 << random.Next(8));
            }

            Assert.That(cache.Take(guess, TcpcryptRole.None), Is.Null);
        }

        Assert.That(cache.Take(Identifier(1, 1), TcpcryptRole.None)?.Index, Is.EqualTo(1));
    }

    [Test]
    [Spec("TD-103")]
    [Spec("HI_ENC_10")]
    public void Of_many_threads_one_gets_the_session()
    {
        using TcpcryptSessionCache cache = new(_time);
        for (int round = 0; round < 200; round++)
        {
            cache.Add(Peer, At(round, 1));
            byte[] identifier = Identifier(round, 1);
            int taken = 0;
            Parallel.For(0, 8, _ =>
            {
                if (cache.Take(identifier, TcpcryptRole.None) is not null)
                {
                    Interlocked.Increment(ref taken);
                }
            });
            Assert.That(taken, Is.EqualTo(1));
        }
    }

    private static List<long?> Opened(TcpcryptSessionCache cache, int connections) =>
        [.. Enumerable.Range(0, connections).Select(_ => cache.TakeForPeer(Peer, TcpcryptRole.None)?.Index)];
}
