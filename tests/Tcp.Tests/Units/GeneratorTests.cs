using Tcpcrypt.Core;
using Tcpcrypt.Testing;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>What must be unpredictable: ISNs (RFC 6528), ports (RFC 6056), and the budgets of challenge ACKs.</summary>
public sealed class GeneratorTests
{
    private static readonly Ipv4Address s_here = Ipv4Address.Parse("192.168.0.1");
    private static readonly Ipv4Address s_there = Ipv4Address.Parse("10.0.0.1");

    private static FourTuple Tuple(int remotePort = 80, uint remoteAddress = 0) => new(s_here, 1000, remoteAddress == 0 ? s_there : new Ipv4Address(remoteAddress), (ushort)remotePort);

    [Test]
    [Spec("9293-MUST-8")]
    public void Isn_ticks_every_four_microseconds()
    {
        IsnGenerator isn = new(new SeededRandom(1));
        uint first = isn.Next(new TcpInstant(0), Tuple()).Value;
        Assert.That(isn.Next(new TcpInstant(3999), Tuple()).Value, Is.EqualTo(first));
        Assert.That(isn.Next(new TcpInstant(4000), Tuple()).Value, Is.EqualTo(unchecked(first + 1)));
        Assert.That(isn.Next(new TcpInstant(1_000_000_000), Tuple()).Value, Is.EqualTo(unchecked(first + 250_000)));
        Assert.That(isn.Next(new TcpInstant(4000L << 32), Tuple()).Value, Is.EqualTo(first), "the clock wraps every 4.77 hours");
    }

    [Test]
    [Spec("9293-MUST-9")]
    public void Isn_depends_on_every_part_of_the_tuple_and_on_the_secret()
    {
        IsnGenerator isn = new(new SeededRandom(1));
        FourTuple[] tuples =
        [
            new(s_here, 1000, s_there, 80), new(s_here, 1001, s_there, 80), new(s_here, 1000, s_there, 81),
            new(new Ipv4Address(s_here.Value + 1), 1000, s_there, 80), new(s_here, 1000, new Ipv4Address(s_there.Value + 1), 80), new(s_there, 80, s_here, 1000),
        ];
        Assert.That(tuples.Select(tuple => isn.Next(TcpInstant.Zero, tuple)).Distinct().Count(), Is.EqualTo(tuples.Length));
        Assert.That(new IsnGenerator(new SeededRandom(2)).Next(TcpInstant.Zero, tuples[0]), Is.Not.EqualTo(isn.Next(TcpInstant.Zero, tuples[0])));
    }

    [Test]
    [Spec("7323-6")]
    public void Timestamp_offsets_are_one_per_pair_of_addresses()
    {
        IsnGenerator isn = new(new SeededRandom(1));
        Assert.That(isn.TimestampOffset(Tuple(80)), Is.EqualTo(isn.TimestampOffset(Tuple(81))));
        Assert.That(isn.TimestampOffset(Tuple(80)), Is.Not.EqualTo(isn.TimestampOffset(Tuple(80, s_there.Value + 1))));
    }

    [Test]
    [Spec("6056-1")]
    public void Ports_stay_in_their_range_and_are_all_found()
    {
        PortAllocator ports = new(new SeededRandom(1), 1000, 1009);
        HashSet<ushort> used = [];
        for (int i = 0; i < 10; i++)
        {
            Assert.That(ports.TryAllocate(Tuple(), tuple => !used.Contains(tuple.Local.Port), out ushort port), Is.True);
            Assert.That(port, Is.InRange(1000, 1009));
            Assert.That(used.Add(port), Is.True);
        }

        Assert.That(ports.TryAllocate(Tuple(), tuple => !used.Contains(tuple.Local.Port), out _), Is.False, "all taken");
        Assert.That(ports.TryAllocate(Tuple(81), _ => true, out _), Is.True, "not for another destination");
    }

    [Test]
    [Spec("6056-1")]
    public void Ports_of_one_destination_tell_nothing_about_another()
    {
        PortAllocator ports = new(new SeededRandom(1), 32_768, 60_999);
        List<int> steps = [];
        int last = 0;
        for (uint i = 0; i < 200; i++)
        {
            ports.TryAllocate(Tuple(80, 0x0A00_0001 + i), _ => true, out ushort port);
            steps.Add(port - last);
            last = port;
        }

        Assert.That(steps.Count(step => Math.Abs(step) < 10), Is.LessThan(10));
    }

    [Test]
    [Spec("5961-4")]
    public void The_stacks_challenge_budget_is_drawn_anew_each_second()
    {
        ChallengeAckLimiter limiter = new(new SeededRandom(1), 100);
        List<int> budgets = [];
        for (int second = 0; second < 50; second++)
        {
            int taken = 0;
            while (limiter.TryTake(new TcpInstant(second * 1_000_000_000L)))
            {
                taken++;
                Assert.That(taken, Is.LessThan(1000));
            }

            budgets.Add(taken);
        }

        Assert.That(budgets, Has.All.InRange(50, 150));
        Assert.That(budgets.Distinct().Count(), Is.GreaterThan(20), "an observer cannot subtract what he spent");
    }

    [Test]
    public void A_token_bucket_gives_its_burst_and_then_one_per_interval()
    {
        TokenBucket bucket = new(3, TimeSpan.FromMilliseconds(500));
        Assert.That(Drain(ref bucket, 0), Is.EqualTo(3));
        Assert.That(Drain(ref bucket, 499), Is.Zero);
        Assert.That(Drain(ref bucket, 500), Is.EqualTo(1));
        Assert.That(Drain(ref bucket, 1600), Is.EqualTo(2));
        Assert.That(Drain(ref bucket, 1_000_000), Is.EqualTo(3), "never more than the burst");

        static int Drain(ref TokenBucket bucket, long milliseconds)
        {
            int taken = 0;
            while (taken < 100 && bucket.TryTake(new TcpInstant(milliseconds * 1_000_000)))
            {
                taken++;
            }

            return taken;
        }
    }
}
