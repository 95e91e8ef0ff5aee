using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// What ICMP says about the connection, believed no more than it deserves (RFC 5927), and the path MTU (RFC 1191).
internal sealed partial class TcpEndpoint
{
    /// <summary>ICMP about this connection (RFC 5927 §4: the quoted number must be in flight).</summary>
    public bool OnIcmpError(TcpInstant now, scoped in Ip.IcmpError error)
    {
        if (IsClosed || error.Sequence < _snd.Una || error.Sequence >= _snd.Nxt)
        {
            return false;
        }

        if (error.IsFragmentationNeeded)
        {
            OnPacketTooBig(now, error.NextHopMtu);
        }
        else if (State is TcpState.SynSent or TcpState.SynReceived && IsHardError(error))
        {
            // RFC 9293 SHLD-26, in the non-synchronized states only (RFC 5927 §5.2).
            Finish(error.SocketError);
        }
        else
        {
            // MUST-56: soft errors never abort; SHLD-25: they are reported.
            _softError = error.SocketError;
            _core.Raise(this, CoreEvents.Notice);
        }

        UpdateDeadline();
        return true;
    }

    /// <summary>Unreachable 2, 3 (protocol, port) are hard; 9, 10, 13 (prohibited) as hard in SYN-SENT [1122-13].</summary>
    private static bool IsHardError(scoped in Ip.IcmpError error) => error.Type == IcmpType.DestinationUnreachable && error.Code is 2 or 3 or 9 or 10 or 13;

    private void OnPacketTooBig(TcpInstant now, int mtu)
    {
        // RFC 5927 §7.2: a claim above what was sent is a lie; one below what has been acknowledged waits for a time-out to confirm it.
        if (mtu >= _pathMtu)
        {
            return;
        }

        if (mtu < _largestAcked)
        {
            _pendingMtu = mtu;
            return;
        }

        ApplyPathMtu(now, mtu);
    }

    private void ApplyPathMtu(TcpInstant now, int mtu)
    {
        _core.Ip.OnPathMtu(now, Tuple.Remote.Address, mtu);
        _core.Counters.TcpPmtuReductions++;
        _pendingMtu = 0;
        _search?.OnTooBig(mtu);
        RefreshPathMtu(now);

        // What is in flight and too big is lost: resend at once, with no congestion response (RFC 1191 §6.5).
        if (State != TcpState.SynSent && MarkTooBig())
        {
            RepeatWithoutResponse();
        }
    }

    /// <summary>What is marked lost goes out again, and the congestion window stays what it is: the size was at fault.</summary>
    private void RepeatWithoutResponse()
    {
        if (_lossState != LossState.Loss)
        {
            _recover = _snd.Nxt;
            _congestion.Ssthresh = CurrentSsthresh;
            _undo?.IsPossible = false;
            _undo?.PriorSsthresh = 0;
            _lossState = LossState.Loss;
        }

        _frto = Frto.Off;
        MarkReady();
    }

    private bool MarkTooBig()
    {
        bool any = false;
        int mss = EffectiveMss;
        for (int i = 0; i < _sent.Count; i++)
        {
            if (!_sent[i].Is(SentFlags.Sacked) && Math.Min((int)_sent[i].SegmentSize, _sent[i].Length) > mss)
            {
                _sent.MarkLost(i);
                any = true;
            }
        }

        return any;
    }
}
