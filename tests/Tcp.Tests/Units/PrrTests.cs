using Tcpcrypt.Tcp.LossRecovery;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 6937.</summary>
[Spec("6937-1")]
public sealed class PrrTests
{
    private const int Smss = 1000;

    /// <summary>One ACK for one segment; sends what is allowed and returns it, in segments.</summary>
    private static long Ack(ref Prr prr, ref long pipe, long ssthresh, long lost = 0, bool isAdvance = false)
    {
        pipe -= Smss;
        long allowed = prr.Reduce(Smss, lost, isAdvance, pipe, ssthresh, Smss) / Smss * Smss;
        prr.OnSent(allowed);
        pipe += allowed;
        return allowed / Smss;
    }

    [Test]
    public void Halving_sends_on_every_second_ack_and_then_holds_ssthresh()
    {
        // §4: RecoverFS = 20, ssthresh = 10; one is lost, so 19 are delivered.
        Prr prr = new(20 * Smss);
        long pipe = 19 * Smss;
        long[] sent = new long[19];
        for (int i = 0; i < sent.Length; i++)
        {
            sent[i] = Ack(ref prr, ref pipe, 10 * Smss);
        }

        Assert.That(sent, Is.EqualTo(new long[] { 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1 }));
        Assert.That(pipe, Is.EqualTo(10 * Smss), "and ends at ssthresh");
    }

    [Test]
    public void Seven_of_ten_for_cubic()
    {
        Prr prr = new(100 * Smss);
        long pipe = 100 * Smss;
        long sum = 0;
        for (int i = 0; i < 100; i++)
        {
            sum += Ack(ref prr, ref pipe, 70 * Smss);
            Assert.That(pipe, Is.GreaterThanOrEqualTo(70 * Smss), "never below ssthresh by itself");
        }

        Assert.That(sum, Is.EqualTo(70));
    }

    [Test]
    public void Below_ssthresh_without_progress_one_for_one()
    {
        Prr prr = new(20 * Smss);
        long pipe = 4 * Smss;
        for (int i = 0; i < 3; i++)
        {
            Assert.That(Ack(ref prr, ref pipe, 10 * Smss), Is.EqualTo(1));
        }

        Assert.That(Ack(ref prr, ref pipe, 10 * Smss, lost: Smss, isAdvance: true), Is.EqualTo(1), "progress that shows another loss counts no more");
    }

    [Test]
    public void Below_ssthresh_with_progress_as_slow_start()
    {
        Prr prr = new(20 * Smss);
        long pipe = 4 * Smss;
        Assert.That(Ack(ref prr, ref pipe, 10 * Smss, isAdvance: true), Is.EqualTo(2));
        Assert.That(Ack(ref prr, ref pipe, 10 * Smss, isAdvance: true), Is.EqualTo(2));
        Assert.That(pipe, Is.EqualTo(6 * Smss));
        pipe = 10 * Smss;
        Assert.That(Ack(ref prr, ref pipe, 10 * Smss, isAdvance: true), Is.EqualTo(1), "no farther than ssthresh");
    }

    [Test]
    public void The_first_repeat_goes_in_any_case()
    {
        Prr prr = new(20 * Smss);
        Assert.That(prr.Reduce(0, 0, isAdvance: false, 25 * Smss, 10 * Smss, Smss), Is.EqualTo(Smss));
        prr.OnSent(Smss);
        Assert.That(prr.Reduce(0, 0, isAdvance: false, 25 * Smss, 10 * Smss, Smss), Is.Zero);
    }

    [Test]
    public void Large_windows_do_not_overflow()
    {
        Prr prr = new(1L << 40);
        Assert.That(prr.Reduce(1L << 39, 0, isAdvance: false, 1L << 39, 1L << 38, Smss), Is.EqualTo(((1L << 37) + Smss - 1) / Smss * Smss));
    }
}
