using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>The search for the largest packet that a path takes (RFC 4821 §7.3, RFC 8899 §5.3): first the largest that is possible, then by halves.</summary>
internal sealed class MtuSearch(int verified, int ceiling)
{
    /// <summary>Less is not worth a probe.</summary>
    private const int Resolution = 8;

    /// <summary>So many probes of one size must be lost: one alone may have been bad luck (RFC 8899 §5.1.2, MAX_PROBES).</summary>
    private const int MaxProbes = 3;

    /// <summary>A path may come to take more: so often the search begins anew (RFC 4821 §7.3, RFC 8899 §5.1.1 PMTU_RAISE_TIMER).</summary>
    private static readonly TimeSpan s_raiseInterval = TimeSpan.FromMinutes(10);

    private int _ceiling = ceiling;
    private int _candidate;
    private int _lost;
    private bool _triesCeiling = true;
    private TcpInstant _raiseAt = TcpInstant.Never;

    /// <summary>The MTU in use: the largest that has arrived, or a size that nearly every path takes.</summary>
    public int Verified { get; private set; } = verified;

    /// <summary>A probe is out, from <see cref="Start"/> to <see cref="End"/>.</summary>
    public bool IsOut { get; private set; }

    public Seq<Local> Start { get; private set; }

    public Seq<Local> End { get; private set; }

    /// <summary>What is known not to arrive is hardly more than <see cref="Verified"/>: there is nothing left to search for.</summary>
    public bool IsComplete => _raiseAt != TcpInstant.Never && _ceiling - Verified < Resolution;

    /// <summary>The MTU to try next, up to <paramref name="limit"/>; 0 when there is none.</summary>
    public int Next(TcpInstant now, int limit)
    {
        if (limit - Verified < Resolution)
        {
            return 0;
        }

        if (_ceiling - Verified < Resolution)
        {
            if (now < _raiseAt)
            {
                return 0;
            }

            Restart(limit);
        }

        int ceiling = Math.Min(_ceiling, limit);
        int next = _triesCeiling ? ceiling : (Verified + ceiling + 1) / 2;
        if (next != _candidate)
        {
            _candidate = next;
            _lost = 0;
        }

        return next;
    }

    public void OnSent(Seq<Local> start, Seq<Local> end)
    {
        IsOut = true;
        Start = start;
        End = end;
    }

    public void OnArrived()
    {
        IsOut = false;
        Verified = _candidate;
    }

    public void OnLost(TcpInstant now)
    {
        IsOut = false;
        if (++_lost == MaxProbes)
        {
            _triesCeiling = false;
            _ceiling = _candidate - 1;
            _raiseAt = now + s_raiseInterval;
        }
    }

    /// <summary>Other segments were lost too: that says nothing about the size (RFC 4821 §7.6.3).</summary>
    public void OnInconclusive() => IsOut = false;

    /// <summary>ICMP told what the path takes: to be tried at once.</summary>
    public void OnTooBig(int mtu)
    {
        Verified = Math.Min(Verified, mtu);
        Restart(mtu);
    }

    /// <summary>Not even what was used arrives any more (RFC 4821 §7.7).</summary>
    public void Fall(int verified, int ceiling)
    {
        Verified = verified;
        Restart(ceiling);
    }

    private void Restart(int ceiling)
    {
        IsOut = false;
        _ceiling = ceiling;
        _candidate = 0;
        _triesCeiling = true;
        _raiseAt = TcpInstant.Never;
    }
}
