using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>A passive connection in SYN-RECEIVED: as little as is needed to finish the handshake (RFC 4987 §3.3).</summary>
internal sealed class HalfOpen(SynCache cache) : DeadlineItem
{
    public required FourTuple Tuple { get; init; }
    public TcpListener? Listener { get; init; }
    public required TcpEndpointOptions Options { get; init; }
    public required Seq<Local> Iss { get; set; }
    public required Seq<Remote> Irs { get; init; }
    public required SynAgreement Agreed { get; set; }

    /// <summary>The window of the SYN,ACK; never scaled.</summary>
    public required uint Window { get; init; }

    /// <summary>Our window shift, 0 when scaling is off.</summary>
    public required byte Shift { get; init; }
    public uint TsRecent { get; init; }
    public required TcpInstant ArrivedAt { get; init; }
    public TcpInstant SentAt { get; set; }
    public int Transmissions { get; set; }

    /// <summary>Waits for an answer: one for each SYN,ACK, and those behind which none is sent (TCP_DEFER_ACCEPT).</summary>
    public int Waits { get; set; }

    /// <summary>The handshake's last ACK has come; data is waited for (TCP_DEFER_ACCEPT).</summary>
    public bool IsDeferred { get; set; }

    /// <summary>When the SYN,ACK is repeated, or the entry given up.</summary>
    public TcpInstant RepeatAt { get; set; }

    /// <summary>tcpcrypt's part; null where the stack has none.</summary>
    public Crypt.CryptBlock? Crypt { get; init; }

    internal LinkedListNode<HalfOpen>? Node { get; set; }

    internal TokenBucket AckBucket = new(5, TimeSpan.FromMilliseconds(500));

    public override TcpInstant Deadline => RepeatAt;

    public override void OnDeadline(TcpInstant now) => cache.OnDeadline(now, this);
}
