using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Rekeying;

internal sealed class SyncClockTests
{
    [Test]
    [Spec("TD-87")]
    public void Each_request_has_a_higher_clock_beginning_with_1()
    {
        SyncClock clock = new();
        for (uint expected = 1; expected <= 3; expected++)
        {
            Assert.That(clock.NextRequest, Is.EqualTo(expected));
            Assert.That(clock.NextRequest, Is.EqualTo(expected), "nothing was sent");
            clock.OnRequestSent();
        }
    }

    [Test]
    [Spec("TD-88")]
    public void One_answer_with_the_highest_clock_is_owed_for_several_requests()
    {
        SyncClock clock = new();
        Assert.That(clock.IsOkOwed, Is.False);
        clock.OnRequest(7);
        clock.OnRequest(uint.MaxValue);
        clock.OnRequest(3);
        Assert.That((clock.IsOkOwed, clock.Highest), Is.EqualTo((true, uint.MaxValue)));
        clock.OnOkSent();
        Assert.That(clock.IsOkOwed, Is.False);
        clock.OnRequest(3);
        Assert.That((clock.IsOkOwed, clock.Highest), Is.EqualTo((true, uint.MaxValue)), "each request is answered, a repeated one too");
    }

    [Test]
    [Spec("TD-88")]
    public void An_answer_is_not_answered()
    {
        SyncClock clock = new();
        clock.OnRequestSent();
        clock.OnOk(1);
        Assert.That(clock.IsOkOwed, Is.False);
    }

    [Test]
    [Spec("TD-90")]
    public void Only_an_answer_to_the_last_request_is_a_sign_of_life()
    {
        SyncClock clock = new();
        Assert.That(clock.OnOk(0), Is.False, "nothing was asked");
        clock.OnRequestSent();
        clock.OnRequestSent();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(clock.OnOk(1), Is.False, "may be a replay");
            Assert.That(clock.IsAnswered, Is.False);
            Assert.That(clock.HasAnswered(1));
            Assert.That(clock.OnOk(3), Is.False, "was never asked");
            Assert.That(clock.HasAnswered(2), Is.False);
            Assert.That(clock.OnOk(2));
            Assert.That(clock.IsAnswered);
            Assert.That(clock.HasAnswered(2));
            Assert.That(clock.HasAnswered(0), Is.False, "0 is no request");
        }

        clock.OnRequestSent();
        Assert.That(clock.IsAnswered, Is.False);
    }
}
