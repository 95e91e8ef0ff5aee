[assembly: LevelOfParallelism(3)] // most of a test is waiting; the rest is two Pythons' start

namespace Tcpcrypt.Interop;

/// <summary>Two sites and the wire between them, for every test.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[Parallelizable(ParallelScope.All)]
public abstract class InteropFixture
{
    private readonly Stack<IAsyncDisposable> _owned = new();
    private Site? _left;
    private Site? _right;
    private Wire? _wire;

    internal Site Left => _left!;

    internal Site Right => _right!;

    internal Wire Wire => _wire!;

    [SetUp]
    public void MakePath()
    {
        if ((NetworkNamespace.SkipReason ?? Peer.SkipReason) is { } reason)
        {
            Assert.Ignore(reason);
        }

        _left = Own(Site.Left());
        _right = Own(Site.Right());
        _wire = Own(new Wire(_left.WireEnd, _right.WireEnd));
    }

    [TearDown]
    public async Task LeaveNothing()
    {
        if (_wire is not null && TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Failed)
        {
            foreach (WirePacket packet in Wire.Log)
            {
                TestContext.Out.WriteLine(packet);
            }
        }

        while (_owned.TryPop(out IAsyncDisposable? owned))
        {
            await owned.DisposeAsync();
        }
    }

    /// <summary>Disposes of something after the test, before what was owned earlier.</summary>
    internal T Own<T>(T owned)
        where T : IAsyncDisposable
    {
        _owned.Push(owned);
        return owned;
    }

    /// <summary>Puts an address translator between the left site and the wire.</summary>
    internal void TranslateLeft()
    {
        if (!Shell.Has("iptables"))
        {
            Assert.Ignore("iptables is not installed");
        }

        Left.Masquerade();
    }

    /// <summary>Waits for something that has no event to wait for.</summary>

    /// <summary>What the applications said to each other is nowhere on the wire.</summary>
    internal void AssertNoPlaintext()
    {
        byte[][] secrets = ["helloworld"u8.ToArray(), "hello"u8.ToArray(), "world\n"u8.ToArray(), [.. Enumerable.Range(0, 24).Select(i => (byte)(i * 7))]];
        foreach (WirePacket packet in Wire.Log)
        {
            foreach (byte[] secret in secrets)
            {
                Assert.That(packet.Payload.IndexOf(secret), Is.Negative, $"plaintext on the wire: {packet}");
            }
        }
    }
}
