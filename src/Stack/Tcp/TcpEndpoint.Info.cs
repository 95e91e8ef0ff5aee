using System.Net.NetworkInformation;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tcp;

// What a connection tells about itself, and what is counted for nothing else.
internal sealed partial class TcpEndpoint
{
    private enum Sending : byte
    {
        Nothing,
        Busy,

        /// <summary>More could be sent if the peer's window were larger.</summary>
        WindowLimited,
    }

    private Sending _sending;

    /// <summary>The last decision met the edge of the peer's window.</summary>
    private bool _isWindowLimited;
    private TcpInstant _sendingSince;
    private TimeSpan _busyTime;
    private TimeSpan _windowLimitedTime;
    private uint _duplicateSacks;
    private uint _outOfOrderSegments;

    public TcpInfo GetInfo(TcpInstant now) => new()
    {
        State = State,
        SmoothedRtt = _rtt.Srtt,
        RttVariation = _rtt.RttVar,
        MinRtt = _rtt.MinRtt,
        RetransmissionTimeout = _rtt.Rto,
        SendMss = EffectiveMss,
        PeerMss = _agreed.PeerMss,
        AdvertisedMss = AdvertisedMss,
        PathMtu = Math.Min(_pathMtu, _search?.Verified ?? int.MaxValue),
        CongestionWindow = _congestion.Cwnd,
        SlowStartThreshold = _congestion.Ssthresh,
        PeerWindow = _snd.Wnd,
        ReceiveWindow = _rcv.Wnd,
        WindowScaling = _agreed.WindowScaling,
        PeerWindowScale = _snd.Shift,
        ReceiveWindowScale = _rcv.Shift,
        ReceiveMss = ReceiveMss,
        Timestamps = _ts.IsOn,
        SelectiveAcknowledgments = _agreed.Sack,
        ExplicitCongestionNotification = _agreed.Ecn,
        BytesSent = _bytesSent,
        BytesAcknowledged = SendQueue.Head,
        BytesReceived = _bytesReceived,
        BytesRetransmitted = _bytesRetransmitted,
        SegmentsSent = _segmentsSent,
        SegmentsReceived = _segmentsReceived,
        Retransmissions = _retransmissions,
        Timeouts = _timeouts,
        Backoff = _timers.IsSet(TcpTimer.Persist) ? _persistBackoff : _rtt.Backoff,
        Probes = _unansweredProbes + _keepAliveProbes,
        Unacknowledged = FlightSize,
        Unsent = Unsent,
        Readable = ReceiveQueue.Length,
        OutOfOrder = _reassembler?.Length ?? 0,
        CongestionControl = _congestion.Name,
        PacingRate = IsPaced && PacingRate is < long.MaxValue and long rate ? rate : null,
        Lost = _sent.Lost,
        Sacked = _sent.Sacked,
        Repeated = _sent.InRepeat,
        Reordering = _rack.ReorderingSegments,
        ReorderingsSeen = _rack.ReorderingsSeen,
        DuplicateSacks = _duplicateSacks,
        OutOfOrderSegments = _outOfOrderSegments,
        SinceDataSent = Since(now, _lastSentAt),
        SinceDataReceived = Since(now, _lastTextAt),
        SinceAckReceived = Since(now, _lastReceivedAt),
        BusyTime = _busyTime + (_sending != Sending.Nothing ? now - _sendingSince : TimeSpan.Zero),
        WindowLimitedTime = _windowLimitedTime + (_sending == Sending.WindowLimited ? now - _sendingSince : TimeSpan.Zero),
        RecoveryState = _lossState switch { LossState.Disorder => "disorder", LossState.Reduced => "cwr", LossState.Recovery => "recovery", LossState.Loss => "loss", _ => "open" },
    };

    /// <summary>Time counts as the last decision left it.</summary>
    private void AccountSending(TcpInstant now)
    {
        Sending sending = FlightSize == 0 && Unsent == 0 ? Sending.Nothing : _isWindowLimited ? Sending.WindowLimited : Sending.Busy;
        if (sending == _sending)
        {
            return;
        }

        if (_sending != Sending.Nothing)
        {
            _busyTime += now - _sendingSince;
            _windowLimitedTime += _sending == Sending.WindowLimited ? now - _sendingSince : TimeSpan.Zero;
        }

        _sending = sending;
        _sendingSince = now;
    }

    /// <summary>Where nothing happened yet, since the connection is there.</summary>
    private TimeSpan Since(TcpInstant now, TcpInstant last) => !WasEstablished ? TimeSpan.Zero : now - (last > EstablishedAt ? last : EstablishedAt);
}
