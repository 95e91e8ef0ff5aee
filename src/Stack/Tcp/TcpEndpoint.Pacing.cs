using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

// Data leaves evenly over the round trip instead of in bursts (RFC 9002 §7.7 for QUIC; Linux's tcp_internal_pacing for TCP). ACKs, probes and handshakes are not held back.
internal sealed partial class TcpEndpoint
{
    /// <summary>How far ahead of the pace a connection may be: a burst costs one wake-up, and is too short to fill a queue.</summary>
    private static readonly TimeSpan s_paceQuantum = TimeSpan.FromMilliseconds(1);

    /// <summary>When all that was sent would have left at the pace.</summary>
    private TcpInstant _pacedUntil;

    /// <summary>Payload octets per second; long.MaxValue where nothing bounds it: before the first measurement, and for the initial window (RFC 6928).</summary>
    private long PacingRate
    {
        get
        {
            long most = Options.MaxPacingRate ?? long.MaxValue;
            if (_bytesSent < InitialWindow || !_rtt.HasSample)
            {
                return most;
            }

            // Twice the window in a round trip lets slow start double it; later a fifth more leaves room to grow, and ACKs that come in bunches cost nothing.
            long percent = _congestion.Cwnd < _congestion.Ssthresh / 2 ? 200 : 120;
            long ticks = Math.Max(_rtt.Srtt.Ticks, 1);
            Int128 rate = (Int128)Math.Max(_congestion.Cwnd, FlightSize) * percent * TimeSpan.TicksPerSecond / (100 * ticks);
            return (long)Int128.Min(rate, most);
        }
    }

    private bool IsPaced => Options.Pacing || Options.MaxPacingRate is not null;

    /// <summary>The pace has no room yet for more data.</summary>
    private bool IsHeldByPace(TcpInstant now) => _pacedUntil >= now + s_paceQuantum && IsPaced;

    /// <summary>The most payload octets in one packet: what the pace allows in its quantum, at least two segments.</summary>
    private int PacedPayload(int mss) => (int)Math.Min(Math.Max(PacingRate / (TimeSpan.TicksPerSecond / s_paceQuantum.Ticks), 2L * mss), int.MaxValue);

    private void Pace(TcpInstant now, int octets)
    {
        if (!IsPaced)
        {
            return;
        }

        long rate = PacingRate;
        if (rate == long.MaxValue)
        {
            _pacedUntil = now;
            return;
        }

        Int128 nanoseconds = (Int128)octets * 1_000_000_000 / Math.Max(rate, 1);
        TimeSpan span = TimeSpan.FromTicks((long)Int128.Min(nanoseconds / 100, TimeSpan.MaxValue.Ticks / 4));
        if (_pacedUntil < now)
        {
            // What timers and ACKs were late by is made up for, but not in a burst.
            TimeSpan late = now - _pacedUntil;
            span -= TimeSpan.FromTicks(Math.Min(late.Ticks, span.Ticks / 2));
            _pacedUntil = now;
        }

        _pacedUntil += span;
    }
}
