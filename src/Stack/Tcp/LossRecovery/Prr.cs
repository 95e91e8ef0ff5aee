namespace Tcpcrypt.Tcp.LossRecovery;

/// <summary>Proportional rate reduction (RFC 6937): during a recovery as much is sent, per octet delivered, as takes the window to ssthresh by its end.</summary>
internal sealed class Prr(long priorCwnd)
{
    /// <summary>RecoverFS, taken as cwnd: what was allowed in the network when the recovery began.</summary>
    private readonly long _priorCwnd = Math.Max(priorCwnd, 1);

    private long _delivered;
    private long _out;

    /// <summary>prr_out.</summary>
    public void OnSent(long octets) => _out += octets;

    /// <summary>sndcnt: octets that may be sent now.</summary>
    public long Reduce(long delivered, long newlyLost, bool isAdvance, long pipe, long ssthresh, int mss)
    {
        _delivered += delivered;
        long count;
        if (pipe > ssthresh)
        {
            // Proportional part. Rounded up to whole segments: nothing less is sent.
            long share = (long)((Int128)ssthresh * _delivered / _priorCwnd);
            count = ((share + mss - 1) / mss * mss) - _out;
        }
        else
        {
            // Slow start reduction bound, and the conservative one when this ACK told of more losses.
            count = Math.Max(_delivered - _out, delivered);
            if (isAdvance && newlyLost == 0)
            {
                count += mss;
            }

            count = Math.Min(ssthresh - pipe, count);
        }

        // The fast retransmit itself always goes.
        return Math.Max(count, _out == 0 ? mss : 0);
    }
}
