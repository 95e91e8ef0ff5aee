using System.Net.NetworkInformation;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// What must hold between any two events. The simulator looks after each of them; nothing else calls it.
internal sealed partial class TcpEndpoint
{
    internal SendVariables Snd => _snd;

    internal ReceiveVariables Rcv => _rcv;

    /// <summary>The first thing that does not hold, or null.</summary>
    internal string? FindInconsistency()
    {
        if (IsClosed)
        {
            return _timers.Next.IsNever && _sent.Count == 0 ? null : "a closed connection has a timer or something in flight";
        }

        return _sent.FindInconsistency(_snd.Una, _snd.Nxt) ?? FindInconsistentWindow() ?? FindMissingTimer();
    }

    private string? FindInconsistentWindow()
    {
        bool isSynchronized = State is not (TcpState.SynSent or TcpState.SynReceived);
        if (_dupAcked < 0 || Pipe < 0)
        {
            return $"pipe {Pipe}: {_sent.Octets} octets, {_sent.Sacked} sacked, {_sent.Lost} lost, {_sent.InRepeat} in repeat, {_dupAcked} by duplicates";
        }

        if (isSynchronized && (_congestion.Cwnd < _congestion.Smss || _congestion.Ssthresh < _congestion.Smss || _congestion.Smss <= 0))
        {
            return $"cwnd {_congestion.Cwnd}, ssthresh {_congestion.Ssthresh} with segments of {_congestion.Smss}, {_lossState}";
        }

        if (isSynchronized && _sent.Octets != FlightSize)
        {
            return $"{_sent.Octets} octets on the scoreboard, {FlightSize} in flight";
        }

        if (_lossState == LossState.Open && (_sent.Sacked > 0 || _sent.Lost > 0))
        {
            return $"all is well, but {_sent.Sacked} octets are sacked and {_sent.Lost} lost";
        }

        if (_lossState >= LossState.Recovery && _recover > _snd.Nxt)
        {
            return $"recovery to {_recover}, SND.NXT is {_snd.Nxt}";
        }

        if (isSynchronized && (int)_rcv.Wnd < 0)
        {
            return $"RCV.ADV {_rcv.Adv} lies before RCV.NXT {_rcv.Nxt}";
        }

        return _rtt.Rto <= TimeSpan.Zero ? $"RTO {_rtt.Rto}" : null;
    }

    private string? FindMissingTimer()
    {
        // A listener's half of tcpcrypt's handshake waits for the opener, and has its own limit.
        bool isLimited = State == TcpState.SynReceived && IsCryptSetup && _timers.IsSet(TcpTimer.Crypt);
        if (FlightSize > 0 && !IsTransmitTimerSet && !isLimited)
        {
            return $"{FlightSize} octets in flight, and no timer runs ({State}, {_lossState})";
        }

        return FlightSize == 0 && Unsent > 0 && !IsHandshaking && !IsStreamHeld && !_timers.IsSet(TcpTimer.Persist) && !_timers.IsSet(TcpTimer.Cork) && !_timers.IsSet(TcpTimer.Pacing)
            ? $"{Unsent} octets to send, nothing in flight, window {_snd.Wnd}, cwnd {_congestion.Cwnd}, and no timer runs ({State}, {_lossState})"
            : null;
    }
}
