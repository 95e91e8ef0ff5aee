using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 3708, RFC 3522: what is needed to know that nothing was lost.</summary>
[Spec("2883-1")]
public sealed class UndoTests
{
    [Test]
    public void Every_repeat_must_be_reported()
    {
        Undo undo = new() { IsPossible = true, Repeats = -1 };
        undo.OnDuplicate(1000);
        Assert.That(undo.Repeats, Is.EqualTo(-1), "nothing was repeated: nothing to take back");
        undo.OnRepeated(1000, 5, new TcpInstant(70));
        undo.OnRepeated(1000, 9, new TcpInstant(90));
        Assert.That((undo.Repeats, undo.RepeatedAt, undo.RepeatedSince), Is.EqualTo((2000L, (uint?)5, new TcpInstant(70))), "the first repeat's time counts");
        undo.OnDuplicate(1000);
        Assert.That(undo.Repeats, Is.EqualTo(1000));
        undo.OnDuplicate(5000);
        Assert.That(undo.Repeats, Is.Zero);
    }

    [Test]
    public void Duplicates_of_no_episode_are_not_counted()
    {
        Undo undo = new() { Repeats = 1000 };
        undo.OnDuplicate(1000);
        Assert.That(undo.Repeats, Is.EqualTo(1000));
    }
}
