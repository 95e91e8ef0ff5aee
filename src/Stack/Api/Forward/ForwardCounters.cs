namespace Tcpcrypt;

/// <summary>Why a forwarded connection request came to nothing; the "reason" of the metric tcpcrypt.forward.rejected.</summary>
internal enum ForwardOutcome
{
    Reset,
    HostUnreachable,
    AdministrativelyProhibited,
    Drop,
    DecisionTimeout,
    HandlerFault,
    Count,
}

/// <summary>Counters of one stack's forward mappings. Written from any thread.</summary>
internal sealed class ForwardCounters
{
    private static readonly string[] s_names = ["reset", "host_unreachable", "administratively_prohibited", "drop", "decision_timeout", "handler_fault"];

    private readonly long[] _rejected = new long[(int)ForwardOutcome.Count];
    private long _tcpInFlight;
    private long _tcpAccepted;
    private long _udpFlows;

    /// <summary>TCP requests that nobody has answered yet.</summary>
    public long TcpInFlight => Volatile.Read(ref _tcpInFlight);

    public long TcpAccepted => Volatile.Read(ref _tcpAccepted);

    /// <summary>UDP flows that exist.</summary>
    public long UdpFlows => Volatile.Read(ref _udpFlows);

    public long Rejected(ForwardOutcome outcome) => Volatile.Read(ref _rejected[(int)outcome]);

    public static string Name(ForwardOutcome outcome) => s_names[(int)outcome];

    public void TcpRequested() => Interlocked.Increment(ref _tcpInFlight);

    public void TcpSettled() => Interlocked.Decrement(ref _tcpInFlight);

    public void Accepted() => Interlocked.Increment(ref _tcpAccepted);

    public void Refused(ForwardOutcome outcome) => Interlocked.Increment(ref _rejected[(int)outcome]);

    public void UdpFlowOpened() => Interlocked.Increment(ref _udpFlows);

    public void UdpFlowClosed() => Interlocked.Decrement(ref _udpFlows);
}
