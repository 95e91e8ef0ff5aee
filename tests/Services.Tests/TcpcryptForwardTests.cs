using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using static Tcpcrypt.Tests.StackPair;

namespace Tcpcrypt.Tests;

/// <summary>tcpcrypt on connections that a forwarder accepts.</summary>
[CancelAfter(60_000)]
public class TcpcryptForwardTests
{
    private static readonly IPEndPoint s_destination = new(Foreign, 80);

    [TestCase(null, TcpcryptOutcome.Encrypted)]
    [TestCase(TcpcryptPolicy.Required, TcpcryptOutcome.Encrypted)]
    [TestCase(TcpcryptPolicy.Opportunistic, TcpcryptOutcome.Encrypted)]
    [TestCase(TcpcryptPolicy.Disabled, TcpcryptOutcome.PeerDeclined)]
    public async Task Policy_of_a_forwarder_decides(TcpcryptPolicy? policy, TcpcryptOutcome outcome)
    {
        await using StackPair pair = await StackPair.StartAsync();
        TaskCompletionSource<TcpcryptStatus> status = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, async (request, ct) => status.SetResult((await request.AcceptAsync(ct)).Tcpcrypt), new TcpForwardOptions { Policy = policy });
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That(client.Tcpcrypt.Outcome, Is.EqualTo(outcome));
        Assert.That((await status.Task).SessionId.ToArray(), Is.EqualTo(client.Tcpcrypt.SessionId.ToArray()));
    }

    [Test]
    public async Task Policy_of_one_request_comes_before_the_forwarders()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(
            Everything,
            (request, ct) => request.AcceptAsync(request.Destination.Port == 80 ? TcpcryptPolicy.Required : TcpcryptPolicy.Disabled, ct).AsTask(),
            new TcpForwardOptions { Policy = TcpcryptPolicy.Disabled });
        await using TcpConnection encrypted = await pair.First.ConnectAsync(s_destination);
        await using TcpConnection plain = await pair.First.ConnectAsync(new IPEndPoint(Foreign, 81));
        Assert.That((encrypted.Tcpcrypt.Outcome, plain.Tcpcrypt.Outcome), Is.EqualTo((TcpcryptOutcome.Encrypted, TcpcryptOutcome.PeerDeclined)));
    }

    [Test]
    public async Task Awareness_and_role_of_a_forwarder_are_said()
    {
        await using StackPair pair = await StackPair.StartAsync();
        using IDisposable mapping = pair.Second.MapTcp(Everything, (request, ct) => request.AcceptAsync(ct).AsTask(), new TcpForwardOptions { ApplicationAware = TcpcryptAwareness.Yes, CMode = TcpcryptCMode.Always });
        await using TcpConnection client = await pair.First.ConnectAsync(s_destination);
        Assert.That((client.Tcpcrypt.RemoteApplicationAware, client.Tcpcrypt.Role), Is.EqualTo((true, TcpcryptRole.S)));
    }

    [Test]
    [Spec("TD-117")]
    public async Task Required_refuses_a_client_that_does_not_offer()
    {
        await using StackPair pair = await StackPair.StartAsync();
        TaskCompletionSource<Exception?> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, async (request, ct) => answer.SetResult(await Assert.CatchAsync(() => request.AcceptAsync(ct).AsTask())), new TcpForwardOptions { Policy = TcpcryptPolicy.Required });
        Exception? refused = await Assert.CatchAsync(async () => await pair.First.ConnectAsync(s_destination, new TcpConnectOptions { Policy = TcpcryptPolicy.Disabled }));
        TcpcryptException? error = await answer.Task as TcpcryptException;

        using (Assert.EnterMultipleScope())
        {
            Assert.That(ErrorOf(refused), Is.EqualTo(SocketError.ConnectionRefused));
            Assert.That(error!.Outcome, Is.EqualTo(TcpcryptOutcome.PeerDidNotOffer));
            Assert.That(error.Message, Does.Contain(FirstAddress.ToString()), "who it was");
            Assert.That(pair.Second.GetStatistics().CryptFailureReasons, Is.EqualTo(new Dictionary<TcpcryptOutcome, long> { [TcpcryptOutcome.PeerDidNotOffer] = 1 }));
            Assert.That(pair.Second.GetStatistics(), Has.Property("CryptFailures").EqualTo(1).And.Property("ForwardAccepted").EqualTo(0));
        }
    }

    [TestCase(TcpcryptPolicy.Required)]
    [TestCase(TcpcryptPolicy.Opportunistic)]
    public async Task Broken_handshake_is_told_as_such(TcpcryptPolicy policy)
    {
        await using StackPair pair = await StackPair.StartAsync();
        HeldWorkers workers = new();
        pair.Second.Host.Core.Crypt!.Workers = workers;
        TaskCompletionSource<Exception?> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, async (request, ct) => answer.SetResult(await Assert.CatchAsync(() => request.AcceptAsync(policy, ct).AsTask())));
        using CancellationTokenSource cancellation = new();
        Task connecting = pair.First.ConnectAsync(s_destination, null, cancellation.Token).AsTask();
        await Poll.UntilAsync(() => workers.Count == 1, "INIT1 is there");
        await cancellation.CancelAsync();
        Assert.That(async () => await connecting, Throws.InstanceOf<OperationCanceledException>());

        // The client's RST.
        TcpcryptException? error = await answer.Task as TcpcryptException;
        Assert.That(error?.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeFailed));
        Assert.That(ErrorOf(error), Is.EqualTo(SocketError.ConnectionReset));
        Assert.That(pair.Second.GetStatistics(), Has.Property("CryptFailures").EqualTo(1).And.Property("CryptHandshakes").EqualTo(0).And.Property("CryptPlain").EqualTo(0));
        Assert.That(pair.First.GetStatistics(), Has.Property("CryptFailures").EqualTo(0), "who gives up has not failed");
    }

    [Test]
    public async Task Log_says_what_a_listener_did_not_hand_out()
    {
        RecordingLoggerFactory log = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.LoggerFactory = log);
        await using TcpConnectionListener listener = await pair.Second.ListenAsync(new IPEndPoint(SecondAddress, 80), new TcpListenOptions { Policy = TcpcryptPolicy.Required });
        Assert.That(async () => await pair.First.ConnectAsync(listener.LocalEndPoint, new TcpConnectOptions { Policy = TcpcryptPolicy.Disabled }), Throws.InstanceOf<SocketException>());
        await Poll.UntilAsync(() => log.Entries.Any(static entry => entry.Id == 4005), "it is logged");
        (LogLevel level, _, string text) = log.Entries.Single(static entry => entry.Id == 4005);
        Assert.That(level, Is.EqualTo(LogLevel.Debug));
        Assert.That(text, Does.Contain("10.0.0.2:80 and 10.0.0.1:").And.Contain("PeerDidNotOffer"));
    }

    [Test]
    public async Task Handshake_without_an_answer_times_out_on_both_sides()
    {
        FakeTimeProvider time = new();
        await using StackPair pair = await StackPair.StartAsync(options => options.TimeProvider = time);
        HeldWorkers workers = new();
        pair.Second.Host.Core.Crypt!.Workers = workers;
        TaskCompletionSource<Exception?> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable mapping = pair.Second.MapTcp(Everything, async (request, ct) => answer.SetResult(await Assert.CatchAsync(() => request.AcceptAsync(ct).AsTask())));
        Task connecting = pair.First.ConnectAsync(s_destination).AsTask();
        await Poll.UntilAsync(() => workers.Count == 1, "INIT1 is there");
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.That((await answer.Task as TcpcryptException)?.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeTimedOut));
        Assert.That((await Assert.CatchAsync(() => connecting) as TcpcryptException)?.Outcome, Is.EqualTo(TcpcryptOutcome.HandshakeFailed).Or.EqualTo(TcpcryptOutcome.HandshakeTimedOut));
        time.Advance(TimeSpan.FromSeconds(30));     // for the stop's own time-outs
    }

    [Test]
    public void Options_are_checked()
    {
        Assert.That(() => new TcpForwardOptions { Policy = (TcpcryptPolicy)9 }.Validated(), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contain("Policy"));
        Assert.That(() => new TcpForwardOptions { ApplicationAware = (TcpcryptAwareness)9 }.Validated(), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contain("ApplicationAware"));
        Assert.That(() => new TcpForwardOptions { CMode = (TcpcryptCMode)9 }.Validated(), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contain("CMode"));
    }
}
