namespace Tcpcrypt;

/// <summary>Where the code behind an <c>await</c> on a connection, a listener or a socket goes on.</summary>
public enum ContinuationScheduling
{
    /// <summary>On the thread pool. Safe whatever the code does.</summary>
    ThreadPool,

    /// <summary>
    /// On the stack's loop thread, after a batch of packets, one continuation at a time. It saves a thread hop per awakening (about half of the CPU time of a small exchange),
    /// but while a continuation runs, the stack reads no packets and fires no timers: code that blocks stops the stack. For relays and other code that never blocks.
    /// </summary>
    Inline,
}
