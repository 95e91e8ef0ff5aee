namespace Tcpcrypt;

/// <summary>When an idle connection is probed, and when it is given up (RFC 9293 §3.8.4).</summary>
/// <param name="Idle">How long nothing was received before the first probe; positive.</param>
/// <param name="Interval">The time between probes that are not answered; positive.</param>
/// <param name="Count">Unanswered probes after which the connection is closed with <see cref="System.Net.Sockets.SocketError.TimedOut"/>; at least 1.</param>
public sealed record TcpKeepAlive(TimeSpan Idle, TimeSpan Interval, int Count)
{
    /// <summary>The values of RFC 9293 MUST-28 and of most hosts: 2 hours, 75 s, 9 probes.</summary>
    public static TcpKeepAlive Default { get; } = new(TimeSpan.FromHours(2), TimeSpan.FromSeconds(75), 9);

    internal void Validate(string paramName)
    {
        if (Idle <= TimeSpan.Zero || Interval <= TimeSpan.Zero || Count < 1)
        {
            throw new ArgumentOutOfRangeException(paramName, this, "Keepalive needs a positive Idle and Interval and a Count of at least 1; null switches it off.");
        }
    }
}
