namespace Tcpcrypt.Core;

/// <summary>What happened to a core object since its owner was last told. Flags, so that a batch of packets gives one event.</summary>
[Flags]
internal enum CoreEvents
{
    None = 0,

    /// <summary>A connect succeeded (the connection reached ESTABLISHED).</summary>
    Connected = 1,

    /// <summary>The receive queue grew; a datagram or an echo reply came; a listener has a connection to accept.</summary>
    Readable = 2,

    /// <summary>Room in the send queue: acknowledged octets were released.</summary>
    Writable = 4,

    /// <summary>The peer's FIN was reached: no more data will come.</summary>
    ReadClosed = 8,

    /// <summary>Our FIN was acknowledged: the peer's stack has everything.</summary>
    WriteClosed = 16,

    /// <summary>The object is finished (CLOSED, reset, timed out): see its error.</summary>
    Closed = 32,

    /// <summary>The urgent pointer advanced (RFC 9293 MUST-32).</summary>
    Urgent = 64,

    /// <summary>A soft error was recorded: ICMP (MUST-47) or R1 (SHLD-9).</summary>
    Notice = 128,

    /// <summary>The peer has our new keys ([TD-96]).</summary>
    Rekeyed = 256,

    /// <summary>The cipher of dialect Reference has done what it may: nothing more is taken from the application (reference spec 13).</summary>
    CipherSpent = 512,

    /// <summary>As <see cref="CipherSpent"/>, by what the peer has sent: nothing more is taken from it either.</summary>
    ReadSpent = 1024,
}

/// <summary>Takes events of core objects. Called with the core's lock released, never from inside a core call.</summary>
internal interface ICoreEventSink
{
    void OnCoreEvents(CoreEvents events);
}

/// <summary>A core object with an owner outside: a connection, a listener, a UDP endpoint, a ping, a forward request.</summary>
internal abstract class CoreObject : DeadlineItem
{
    /// <summary>Events not yet taken by the host; see <see cref="StackCore.TryTakeEvent"/>.</summary>
    internal CoreEvents PendingEvents;

    internal bool IsEventQueued;

    /// <summary>Who is told of events; null while nobody is interested (an accepted connection before AcceptAsync).</summary>
    public ICoreEventSink? Owner { get; set; }
}
