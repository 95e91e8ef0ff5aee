using System.Net.NetworkInformation;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

[CancelAfter(30_000)]
public class PingTests
{
    [TestCase(0)]
    [TestCase(56)]
    [TestCase(65_507)]
    public async Task Stack_answers(int dataLength)
    {
        await using StackPair pair = await StackPair.StartAsync();
        EchoReply reply = await pair.First.PingAsync(SecondAddress, new EchoOptions { DataLength = dataLength });
        Assert.That(reply.Status, Is.EqualTo(IPStatus.Success));
        Assert.That(reply.From, Is.EqualTo(SecondAddress));
        Assert.That(reply.RoundTrip, Is.GreaterThan(TimeSpan.Zero));
        Assert.That(reply.Ttl, Is.EqualTo(64));
    }

    [Test]
    public async Task Nobody_there_is_a_time_out_and_no_exception()
    {
        await using StackPair pair = await StackPair.StartAsync(static options => options.RespondToEcho = false);
        EchoReply reply = await pair.First.PingAsync(SecondAddress, new EchoOptions { Timeout = TimeSpan.FromMilliseconds(50) });
        Assert.That(reply, Is.EqualTo(new EchoReply(IPStatus.TimedOut, null, reply.RoundTrip, 0, 0)));
    }

    [Test]
    public async Task Cancelled_ping_throws_and_the_next_one_works()
    {
        await using StackPair pair = await StackPair.StartAsync(static options => options.RespondToEcho = false);
        using CancellationTokenSource cancellation = new();
        ValueTask<EchoReply> waiting = pair.First.PingAsync(SecondAddress, null, cancellation.Token);
        await cancellation.CancelAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<OperationCanceledException>());
        Assert.That((await pair.Second.PingAsync(FirstAddress)).Status, Is.EqualTo(IPStatus.Success));
    }

    [Test]
    public async Task Stop_ends_a_waiting_ping()
    {
        await using StackPair pair = await StackPair.StartAsync(static options => options.RespondToEcho = false);
        ValueTask<EchoReply> waiting = pair.First.PingAsync(SecondAddress);
        await pair.First.StopAsync();
        Assert.That(async () => await waiting, Throws.InstanceOf<ObjectDisposedException>());
    }

    [Test]
    public async Task Many_pings_at_once_get_their_own_answers()
    {
        await using StackPair pair = await StackPair.StartAsync();
        EchoReply[] replies = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => pair.First.PingAsync(SecondAddress).AsTask()));
        Assert.That(replies.Select(static reply => reply.Status), Is.All.EqualTo(IPStatus.Success));
    }
}
