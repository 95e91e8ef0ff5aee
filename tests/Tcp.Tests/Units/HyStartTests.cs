using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Congestion;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 9406.</summary>
[Spec("9406-1")]
[TestFixture(1u)]
[TestFixture(uint.MaxValue - 25_000)]
public sealed class HyStartTests(uint start)
{
    private const int Acked = 1000;

    /// <summary>Once in the middle of the numbers, once across their end.</summary>
    private sealed class Sender(uint start)
    {
        private HyStart _hyStart = new();
        private Seq<Local> _una = new(start);

        public bool IsConservative => _hyStart.IsConservative;
        public bool IsOver => _hyStart.IsOver;

        /// <summary>A round of ACKs: those of what was sent in the round before. Returns the growth that the last allows.</summary>
        public long Round(double rtt, int acks = 10)
        {
            Seq<Local> nxt = _una + (acks * Acked);
            long growth = 0;
            for (int i = 0; i < acks; i++)
            {
                _una += Acked;
                growth = _hyStart.OnAck(new AckSample { Acked = Acked, Rtt = TimeSpan.FromMilliseconds(rtt), Una = _una, Nxt = nxt });
            }

            return growth;
        }
    }

    private Sender New() => new(start);

    [Test]
    public void A_steady_round_trip_is_slow_start()
    {
        Sender sender = New();
        for (int i = 0; i < 20; i++)
        {
            Assert.That(sender.Round(100), Is.EqualTo(Acked));
        }

        Assert.That((sender.IsConservative, sender.IsOver), Is.EqualTo((false, false)));
    }

    [Test]
    public void The_window_grows_before_the_round_trip_is_looked_at()
    {
        Sender sender = New();
        sender.Round(100);
        Assert.That((sender.Round(113, acks: 8), sender.IsConservative), Is.EqualTo(((long)Acked, true)), "the ACK that tells");
        Assert.That(sender.Round(113, acks: 1), Is.EqualTo(Acked / 4), "the next");
    }

    [TestCase(100, 112, false)]
    [TestCase(100, 112.5, true)]
    [TestCase(10, 13.9, false)]
    [TestCase(10, 14, true)]
    [TestCase(400, 415.9, false)]
    [TestCase(400, 416, true)]
    public void An_eighth_more_is_too_much_within_4_to_16_ms(double before, double after, bool isConservative)
    {
        Sender sender = New();
        sender.Round(before);
        sender.Round(before);
        long growth = sender.Round(after);
        Assert.That((sender.IsConservative, growth), Is.EqualTo((isConservative, isConservative ? Acked / 4L : Acked)));
    }

    [Test]
    public void Fewer_than_eight_samples_decide_nothing()
    {
        Sender sender = New();
        sender.Round(100, 20);
        sender.Round(100, 7);
        sender.Round(200, 7);
        Assert.That(sender.IsConservative, Is.False);
    }

    [Test]
    public void A_faster_round_goes_back_to_slow_start()
    {
        Sender sender = New();
        sender.Round(100);
        sender.Round(100);
        sender.Round(150);
        Assert.That(sender.IsConservative, Is.True);
        sender.Round(100);
        Assert.That(sender.IsConservative, Is.False);
        Assert.That(sender.Round(100), Is.EqualTo(Acked));
    }

    [Test]
    public void Five_conservative_rounds_end_it()
    {
        Sender sender = New();
        sender.Round(100);
        sender.Round(100);
        int rounds = 0;
        while (!sender.IsOver && rounds < 20)
        {
            sender.Round(150);
            rounds++;
        }

        // The round in which it began counts as one; the end shows with the first ACK of the next.
        Assert.That(rounds, Is.EqualTo(6));
    }

    [Test]
    public void Cubic_takes_the_window_as_ssthresh()
    {
        Cubic cubic = new() { Smss = Acked, Cwnd = 10 * Acked };
        Seq<Local> una = new(start);
        int rounds = 0;
        for (; cubic.Ssthresh == long.MaxValue && rounds < 20; rounds++)
        {
            // Ten samples a round, however many octets they are for.
            long each = cubic.Cwnd / 10;
            Seq<Local> nxt = una + (int)cubic.Cwnd;
            for (int i = 0; i < 10; i++)
            {
                una += (int)each;
                cubic.OnAck(new AckSample
                {
                    Now = TcpInstant.Zero + TimeSpan.FromMilliseconds(rounds * 100),
                    Acked = each,
                    Rtt = TimeSpan.FromMilliseconds(rounds < 3 ? 100 : 150),
                    Srtt = TimeSpan.FromMilliseconds(100),
                    Una = una,
                    Nxt = nxt,
                });
            }
        }

        Assert.That(rounds, Is.LessThan(20));
        Assert.That(cubic.Cwnd, Is.InRange(cubic.Ssthresh, cubic.Ssthresh + (2 * Acked)));
    }
}
