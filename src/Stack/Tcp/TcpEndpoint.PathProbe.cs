using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Packetization layer path MTU discovery (RFC 4821, RFC 8899): data segments that are larger than those known to arrive, and smaller ones where nothing arrives.
internal sealed partial class TcpEndpoint
{
    /// <summary>Behind the probe there must be enough that its loss is noticed by what arrives, not by a time-out (RFC 4821 §7.4).</summary>
    private const int SegmentsBehindProbe = 4;

    private const int LeastProbeWindow = 11;

    /// <summary>Time-outs from the first fall to the second.</summary>
    private const int PatienceBelowBase = 2;

    private MtuSearch? _search;

    /// <summary>The packet size of full segments.</summary>
    private int SegmentMtu => EffectiveMss + FixedOptionsLength + SegmentWriter.PayloadOffset(0);

    /// <summary>The most that the link, ICMP, the peer and the application allow.</summary>
    private int MtuLimit => Math.Min(_pathMtu, Math.Min(_agreed.PeerMss, Options.MaximumSegmentSize ?? int.MaxValue) + SegmentWriter.PayloadOffset(0));

    /// <summary>What nearly every path takes.</summary>
    private int BaseMtu => _core.Options.Tcp.PathMtuProbeBase + SegmentWriter.PayloadOffset(0);

    private void StartPathSearch()
    {
        if (_core.Options.Tcp.PathMtuProbing == PathMtuProbing.Always && !_mayFragment && MtuLimit > BaseMtu)
        {
            _search = new MtuSearch(BaseMtu, MtuLimit);
        }
    }

    /// <summary>RFC 4821 §7.4: only in good times, and only with enough data, window and congestion window behind it. True when this decides, if only to wait for room.</summary>
    private bool DecidePathProbe(TcpInstant now, int fullSize, long available, long allowed, out SendDecision decision)
    {
        decision = default;
        if (_search!.IsOut || _lossState != LossState.Open || _snd.HasUrgent || _mayFragment || _congestion.Cwnd < (long)LeastProbeWindow * EffectiveMss)
        {
            return false;
        }

        int size = _search.Next(now, MtuLimit);
        int payload = fullSize + size - SegmentMtu;
        if (size == 0 || available < payload + (IsMoreComing ? 0 : (long)SegmentsBehindProbe * fullSize))
        {
            return false;
        }

        if (allowed >= payload)
        {
            decision = new SendDecision(SendKind.Data, _snd.Nxt, payload, IsPathProbe: true);
            return true;
        }

        // The ACKs of what is out make room.
        return FlightSize > payload;
    }

    /// <summary>The send buffer is what holds the application back, and no more can wait there than is on its way.</summary>
    private bool IsMoreComing => SendQueue.Tail - SendQueue.Head + EffectiveMss > SendBufferSize;

    /// <summary>Octets were acknowledged.</summary>
    private void CheckPathProbe(TcpInstant now)
    {
        if (_search is { IsOut: true } search && _snd.Una >= search.End)
        {
            search.OnArrived();
            _core.Counters.TcpMtuProbesArrived++;
            ShareFoundMtu(now, search);
            _congestion.Smss = EffectiveMss;
        }
    }

    /// <summary>The probe, and nothing else, was lost: no sign of congestion (RFC 4821 §7.6.2).</summary>
    private bool IsPathProbeLost(TcpInstant now)
    {
        if (_search is not { IsOut: true } search || _sent.NextLost() is not (>= 0 and int index))
        {
            return false;
        }

        SentSegment run = _sent[index];
        if (run.Start != search.Start || run.End != search.End || _sent.Lost != run.Length)
        {
            search.OnInconclusive();
            return false;
        }

        OnPathProbeLost(now, search);
        RepeatWithoutResponse();
        return true;
    }

    private void OnPathProbeLost(TcpInstant now, MtuSearch search)
    {
        _core.Counters.TcpMtuProbesLost++;
        search.OnLost(now);
        ShareFoundMtu(now, search);
    }

    /// <summary>What this connection has found out need not be found out again by the next one to that address (RFC 4821 §5.2).</summary>
    private void ShareFoundMtu(TcpInstant now, MtuSearch search)
    {
        if (search.IsComplete)
        {
            _core.Ip.OnPathMtu(now, Tuple.Remote.Address, search.Verified);
        }
    }

    /// <summary>A time-out. After R1 of them (RFC 4821 §7.7) the path may swallow segments of that size without a word (RFC 2923 §2.1).</summary>
    private void CheckBlackHole(TcpInstant now)
    {
        if (_search is { IsOut: true } search)
        {
            OnPathProbeLost(now, search);
        }

        if (_core.Options.Tcp.PathMtuProbing == PathMtuProbing.Off || _mayFragment || _sent.Count == 0)
        {
            return;
        }

        int mtu = SegmentMtu;
        bool isAboveBase = mtu > BaseMtu;
        int fallback = Math.Min(isAboveBase ? BaseMtu : PathMtuCache.Floor, mtu);
        int patience = _core.Options.Tcp.R1Retransmissions + (isAboveBase ? 0 : PatienceBelowBase);
        SentSegment head = _sent[0];
        if (_retries >= patience && Math.Min((int)head.SegmentSize, head.Length) > EffectiveMss - (mtu - fallback))
        {
            // What ICMP has told stays the limit; the search goes up to it again when something arrives.
            _core.Counters.TcpBlackHoles++;
            _search ??= new MtuSearch(fallback, MtuLimit);
            _search.Fall(fallback, MtuLimit);
            _congestion.Smss = EffectiveMss;
        }
    }
}
