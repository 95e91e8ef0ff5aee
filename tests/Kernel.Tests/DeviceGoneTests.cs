using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Somebody deletes or closes the device under the stack.</summary>
public class DeviceGoneTests : KernelFixture
{
    [TestCase(true)]
    [TestCase(false)]
    [Spec("HI_SYS_03")]
    public async Task All_that_was_under_way_fails_with_an_IOException_that_says_so(bool deleted)
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await using TcpConnectionListener listener = await Stack.ListenAsync(new IPEndPoint(StackIp, 80));
        await using StackUdpSocket udp = await Stack.BindUdpAsync(new IPEndPoint(StackIp, 5353));
        await using Stream stream = ours.GetStream(ownsConnection: false);
        Dictionary<string, Task> pending = new()
        {
            ["read"] = stream.ReadAsync(new byte[10]).AsTask(),
            ["write"] = stream.WriteAsync(new byte[50_000_000]).AsTask(),
            ["accept"] = listener.AcceptAsync().AsTask(),
            ["connect"] = Stack.ConnectAsync(new IPEndPoint(IPAddress.Parse("10.99.0.66"), 80)).AsTask(),
            ["receive"] = udp.ReceiveFromAsync(new byte[10]).AsTask(),
            ["ping"] = Stack.PingAsync(IPAddress.Parse("10.99.0.67"), new EchoOptions { Timeout = Patience }).AsTask(),
            ["reads closed"] = ours.ReadsClosed,
            ["writes closed"] = ours.WritesClosed,
            ["completion"] = Stack.Completion,
        };
        await Poll.UntilAsync(() => ours.GetInfo().PeerWindow == 0, "the kernel's window is closed");
        Assert.That(pending.Where(call => call.Value.IsCompleted).Select(call => call.Key), Is.Empty);

        if (deleted)
        {
            Namespace.Run("ip", "link", "delete", "tun0");
        }
        else
        {
            await Device.DisposeAsync();
        }

        string? first = null;
        foreach ((string call, Task task) in pending)
        {
            Exception? error = await Assert.CatchAsync(() => task.WaitAsync(Patience), call);
            Assert.That(error, Is.TypeOf<IOException>(), call);
            Assert.That(error!.Message, Does.Contain("tun0").And.EqualTo(first ??= error.Message), call);
        }

        // And what is asked for later.
        await AssertGoneAsync(() => stream.ReadAsync(new byte[1]).AsTask());
        await AssertGoneAsync(() => Stack.ConnectAsync(new IPEndPoint(KernelIp, 80)).AsTask());
        await AssertGoneAsync(() => Stack.ListenAsync(new IPEndPoint(StackIp, 81)).AsTask());
        await AssertGoneAsync(() => Stack.BindUdpAsync(new IPEndPoint(StackIp, 81)).AsTask());
        await AssertGoneAsync(() => Stack.PingAsync(KernelIp).AsTask());
        await Stack.DisposeAsync().AsTask().WaitAsync(Patience);
    }

    [Test]
    [Spec("HI_SYS_03")]
    public async Task Link_that_is_down_for_a_while_only_loses_packets()
    {
        await StartAsync();
        (TcpConnection ours, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        Namespace.Run("ip", "link", "set", "tun0", "down");
        await using Stream stream = ours.GetStream(ownsConnection: false);
        byte[] data = Pattern(100_000);
        await stream.WriteAsync(data).AsTask().WaitAsync(Patience);
        await Poll.UntilAsync(() => ours.GetInfo().Timeouts > 0, "a retransmission timed out");
        Assert.That(Stack.Completion.IsCompleted, Is.False);
        Namespace.Run("ip", "link", "set", "tun0", "up");
        ours.CompleteWrites();
        Assert.That(Hash(await ReadAllAsync(kernels)), Is.EqualTo(Hash(data)));
    }

    [Test]
    public async Task Stack_leaves_nothing_behind_in_the_kernel()
    {
        await StartAsync();
        (TcpConnection _, Socket kernels) = await ConnectAsync(kernelIsClient: true);
        await Stack.DisposeAsync().AsTask().WaitAsync(Patience);
        Assert.That(await ReadAllAsync(kernels), Is.Empty);
        await Device.DisposeAsync();
        Assert.That(Namespace.TryRun("ip", "link", "show", "dev", "tun0").ExitCode, Is.Not.Zero);
    }

    private static async Task AssertGoneAsync(Func<Task> call) => Assert.That(await Assert.CatchAsync(() => call().WaitAsync(Patience)), Is.TypeOf<IOException>());
}
