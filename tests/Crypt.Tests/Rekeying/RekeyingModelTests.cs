using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Rekeying;

/// <summary>Two hosts, a bad network, from seeds: everything arrives, both have the same keys in the end, and no octet is ever under two generations.</summary>
internal sealed class RekeyingModelTests
{
    private static readonly RekeyLimits s_often = new() { LeastInterval = TimeSpan.FromMilliseconds(20), LeastBytes = 50, AfterBytes = 300, After = TimeSpan.FromSeconds(5) };

    [Test]
    [Spec("TD-93")]
    [Spec("TD-95")]
    [Spec("TD-96")]
    [Spec("TD-97")]
    [Spec("TD-98")]
    public void Everything_arrives_and_generations_meet([Range(0, 39)] int block)
    {
        long generations = 0;
        for (int seed = block * 10; seed < (block + 1) * 10; seed++)
        {
            generations += RunOne(seed);
        }

        Assert.That(generations, Is.GreaterThan(50), "the seeds re-key at all");
    }

    private static long RunOne(int seed)
    {
        Random random = new(seed);
        double loss = random.Next(4) * 0.12;
        RekeyLimits limits = random.Next(3) == 0 ? s_often with { AfterBytes = ulong.MaxValue, After = TimeSpan.MaxValue, LeastInterval = TimeSpan.Zero } : s_often;
        RekeyingModel model = new(seed, limits, start: random.Next(2) == 0 ? 1UL : 0xFFFF_FF00UL)
        {
            Loss = loss,
            Duplication = random.Next(2) * 0.2,
            Jitter = random.Next(3) * 60,
            Replay = random.Next(2) * 0.05,
        };
        bool oneWay = random.Next(3) == 0;
        bool closes = random.Next(3) == 0;
        for (int step = 0; step < 60; step++)
        {
            if (random.Next(2) == 0)
            {
                model.Left.Write(random.Next(1, 60));
            }

            if (!oneWay && random.Next(2) == 0)
            {
                model.Right.Write(random.Next(1, 60));
            }

            if (random.Next(3) == 0)
            {
                model.Left.Rekeying.Request();
            }

            if (random.Next(3) == 0)
            {
                model.Right.Rekeying.Request();
            }

            model.Run(TimeSpan.FromMilliseconds(random.Next(1, 150)));
        }

        if (closes)
        {
            model.Left.Close();
            model.Right.Close();
        }

        long left = model.Left.Rekeying.Request();
        long right = model.Right.Rekeying.Request();
        bool Done() => model.Left.HasAll && model.Right.HasAll && model.Left.IsIdle && model.Right.IsIdle && model.Left.Rekeying.Settled >= left && model.Right.Rekeying.Settled >= right;
        model.Run(TimeSpan.FromMinutes(20), Done);
        Assert.That(Done(), $"seed {seed}: left {Describe(model.Left)}, right {Describe(model.Right)}");
        model.Run(TimeSpan.FromSeconds(30), () => model.Left.Rekeying.Transmit == model.Right.Rekeying.Transmit && !model.Left.Rekeying.IsLabelling && !model.Right.Rekeying.IsLabelling);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(model.Left.Rekeying.Transmit, Is.EqualTo(model.Right.Rekeying.Transmit), $"seed {seed}");
            Assert.That(model.Left.Rekeying.OldestSend, Is.EqualTo(model.Left.Rekeying.Transmit), $"seed {seed}: all send keys but the last are wiped");
            Assert.That(model.Right.Rekeying.OldestSend, Is.EqualTo(model.Right.Rekeying.Transmit), $"seed {seed}");
        }

        if (!closes)
        {
            // On a good network, a few more octets each way end labelling and free the receive keys; the age of a generation may begin another one meanwhile.
            (model.Loss, model.Duplication, model.Jitter, model.Replay) = (0, 0, 0, 0);
            model.Run(TimeSpan.FromSeconds(1));
            int undecryptable = model.Left.Undecryptable + model.Right.Undecryptable;
            bool IsSettled() => !model.Left.Rekeying.IsLabelling && !model.Right.Rekeying.IsLabelling && model.Left.Rekeying.OldestReceive == model.Left.Rekeying.Transmit && model.Right.Rekeying.OldestReceive == model.Right.Rekeying.Transmit;
            for (int exchange = 0; exchange < 8 && (exchange < 2 || !IsSettled()); exchange++)
            {
                model.Left.Write(5);
                model.Right.Write(5);
                model.Run(TimeSpan.FromMilliseconds(300));
            }

            using (Assert.EnterMultipleScope())
            {
                Assert.That(model.Left.HasAll && model.Right.HasAll, $"seed {seed}");
                Assert.That(model.Left.Undecryptable + model.Right.Undecryptable, Is.EqualTo(undecryptable), $"seed {seed}");
                Assert.That(model.Left.Rekeying.IsLabelling || model.Right.Rekeying.IsLabelling, Is.False, $"seed {seed}");
                Assert.That((model.Left.Rekeying.OldestReceive, model.Right.Rekeying.OldestReceive), Is.EqualTo((model.Right.Rekeying.Transmit, model.Left.Rekeying.Transmit)), $"seed {seed}: keys are wiped");
            }
        }

        return model.Left.Rekeying.Transmit;
    }

    [Test]
    [Spec("TD-92")]
    [Spec("TD-94")]
    public void Hundreds_of_generations_while_one_direction_hardly_gets_through()
    {
        // Data of Left is nearly always lost, its ACKs are not: Right could go past what 8 bits tell apart.
        RekeyingModel model = new(1, s_often with { LeastInterval = TimeSpan.Zero, AfterBytes = ulong.MaxValue });
        model.Left.Write(20);
        model.Drop = (to, segment) => to == model.Right && segment.Data > 0;
        for (int step = 0; step < 1000; step++)
        {
            model.Right.Write(1);
            model.Right.Rekeying.Request();
            model.Run(TimeSpan.FromMilliseconds(30));
        }

        Assert.That(model.Right.Rekeying.Transmit, Is.InRange(100, 127), "the peer's oldest octets are still in reach");
        Assert.That(model.Right.HasAll, Is.False);
        model.Drop = null;
        model.Run(TimeSpan.FromMinutes(1), () => model.Right.HasAll && model.Left.HasAll);
        Assert.That(model.Right.HasAll && model.Left.HasAll);
        for (int step = 0; step < 400; step++)
        {
            model.Left.Write(1);
            model.Right.Write(1);
            model.Right.Rekeying.Request();
            model.Run(TimeSpan.FromMilliseconds(60));
        }

        model.Run(TimeSpan.FromSeconds(10));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(model.Right.Rekeying.Transmit, Is.GreaterThan(300), "and goes on");
            Assert.That(model.Right.HasAll && model.Left.HasAll);
        }
    }

    [Test]
    [Spec("TD-91")]
    [Spec("TD-96")]
    public void An_idle_connection_is_rekeyed_by_a_bare_ACK_that_is_repeated_until_it_is_answered()
    {
        RekeyingModel model = new(3, new RekeyLimits());
        int lost = 0;
        model.Drop = (_, _) => ++lost <= 3;
        long target = model.Left.Rekeying.Request();
        model.Run(TimeSpan.FromSeconds(10), () => model.Left.Rekeying.Settled == target);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(model.Left.Rekeying.Settled, Is.EqualTo(1));
            Assert.That(model.Right.Rekeying.Transmit, Is.EqualTo(1));
            Assert.That(model.Log.Where(static segment => segment.Plan.SyncRequest is not null).Select(static segment => segment.Plan.SyncRequest), Is.Unique, "each clock is fresh");
            Assert.That(model.Log, Has.Count.LessThan(12));
            Assert.That(model.Log.All(static segment => segment.Data == 0));
        }
    }

    [Test]
    [Spec("TD-96")]
    public void A_dead_peer_is_not_asked_for_ever()
    {
        RekeyingModel model = new(3, new RekeyLimits()) { Loss = 1 };
        model.Left.Rekeying.Request();
        model.Run(TimeSpan.FromHours(0.5));
        Assert.That(model.Log, Has.Count.InRange(10, 20));
        Assert.That(model.Left.Rekeying.GetDeadline(model.Now), Is.Null);
    }

    private static string Describe(RekeyingModel.Host host) =>
        $"t {host.Rekeying.Transmit} u {host.Rekeying.Receive} settled {host.Rekeying.Settled} label {host.Rekeying.IsLabelling} all {host.HasAll} idle {host.IsIdle} undecryptable {host.Undecryptable}";
}
