using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp.Congestion;

/// <summary>Slow start and congestion avoidance of RFC 5681.</summary>
internal sealed class NewReno : CongestionController
{
    private long _ackedInAvoidance;

    public override string Name => "reno";

    public override CongestionControl Kind => CongestionControl.NewReno;

    public override void OnAck(in AckSample ack)
    {
        long acked = ack.Acked;
        if (Cwnd < Ssthresh)
        {
            acked = SlowStart(acked);
            if (acked <= 0)
            {
                return;
            }
        }

        // RFC 5681 §3.1, the recommended way: one SMSS when cwnd octets were acknowledged.
        _ackedInAvoidance += acked;
        if (_ackedInAvoidance >= Cwnd)
        {
            _ackedInAvoidance -= Cwnd;
            Cwnd += Smss;
        }
    }

    public override void OnCongestion(TcpInstant now, long flightSize)
    {
        // No more than was allowed: limited transmit goes beyond it.
        Ssthresh = Math.Max(Math.Min(flightSize, Cwnd) / 2, 2L * Smss);
        _ackedInAvoidance = 0;
    }
}
