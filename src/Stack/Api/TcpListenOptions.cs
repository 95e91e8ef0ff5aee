namespace Tcpcrypt;

/// <summary>Settings of a listener. Copied on use.</summary>
public sealed class TcpListenOptions
{
    /// <summary>Established connections that may wait to be accepted: 1 to 65,535. When so many wait, the last step of further handshakes is ignored (and repeated by the peer), never refused.</summary>
    public int Backlog { get; set; } = 512;

    /// <summary>Where continuations of the listener and its connections run; null = as <see cref="IpStackOptions.Scheduling"/> says.</summary>
    public ContinuationScheduling? Scheduling { get; set; }

    internal TcpListenOptions Copy()
    {
        TcpListenOptions copy = (TcpListenOptions)MemberwiseClone();
        if (copy.Backlog is < 1 or > 65_535)
        {
            throw new ArgumentOutOfRangeException(nameof(Backlog), copy.Backlog, "TcpListenOptions.Backlog is 1 to 65,535.");
        }

        if (copy.Scheduling is { } scheduling && !Enum.IsDefined(scheduling))
        {
            throw new ArgumentOutOfRangeException(nameof(Scheduling), scheduling, "TcpListenOptions.Scheduling is no ContinuationScheduling.");
        }

        return copy;
    }
}
