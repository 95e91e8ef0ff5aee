namespace Tcpcrypt.Tcp.Tests;

/// <summary>INV-6: every case with state runs with initial sequence numbers at the edges of the number space, on both sides.</summary>
[TestFixture(0xFFFF_FFF0u)]
[TestFixture(0x7FFF_FFF0u)]
[TestFixture(0u)]
[TestFixture(0xFFFF_FFFFu)]
public abstract class IsnFixture(uint isn)
{
    protected uint Isn { get; } = isn;

    private protected static byte[] Pattern(int count, int seed = 1)
    {
        byte[] data = new byte[count];
        new Random(seed).NextBytes(data);
        return data;
    }

    /// <summary>A host and an accepted connection whose numbers start at <see cref="Isn"/>.</summary>
    private protected (Host Host, Peer Peer) Established(Action<Testing.SteppedStackOptions>? configure = null, bool timestamps = false, params byte[] options)
    {
        Host host = new(configure, Isn);
        Peer peer = host.Accept(Host.FirstRemote, Isn, timestamps, options);
        Assert.That(peer.Iss, Is.EqualTo(Isn), "the stack's own ISS");
        return (host, peer);
    }

    /// <summary>A host and a connection in SYN-SENT whose numbers start at <see cref="Isn"/>.</summary>
    private protected (Host Host, Peer Peer) SynSent(Action<Testing.SteppedStackOptions>? configure = null)
    {
        Host host = new(configure, Isn, isActive: true);
        Peer peer = host.Connecting(Isn);
        Assert.That(peer.Iss, Is.EqualTo(Isn), "the stack's own ISS");
        return (host, peer);
    }
}
