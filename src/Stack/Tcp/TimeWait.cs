using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>A connection in TIME-WAIT: what is needed to answer for 2 MSL.</summary>
internal sealed class TimeWaitRecord : DeadlineItem
{
    public required FourTuple Tuple { get; init; }
    public required Seq<Local> SndNxt { get; init; }
    public required Seq<Remote> RcvNxt { get; init; }

    /// <summary>The window field of its ACKs, as it was announced last.</summary>
    public required ushort Window { get; init; }

    /// <summary>Rcv.Wind.Shift: what the field counts in.</summary>
    public required byte WindowShift { get; init; }
    public required bool HasTimestamps { get; init; }
    public required uint TsRecent { get; set; }
    public required uint TsOffset { get; init; }
    public required byte TypeOfService { get; init; }
    public required byte TimeToLive { get; init; }

    /// <summary>The keys of an encrypted connection: its ACKs go under MAC too ([TD-81]); null for plain TCP.</summary>
    public Crypt.TimeWaitCrypt? Crypt { get; init; }

    /// <summary>The application's view, when it still has one.</summary>
    public TcpEndpoint? Watcher { get; init; }

    internal TcpInstant ExpiresAt;
    internal LinkedListNode<TimeWaitRecord>? Node;
    internal TokenBucket AckBucket = new(10, TimeSpan.FromMilliseconds(100));

    // The table keeps the time for all records: they expire in the order in which they came.
    public override TcpInstant Deadline => TcpInstant.Never;

    public override void OnDeadline(TcpInstant now)
    {
    }
}

/// <summary>TIME-WAIT (RFC 9293 §3.10.7.4; RFC 1337; RFC 6191): bounded, one timer for all.</summary>
internal sealed class TimeWaitTable(TcpLayer tcp) : DeadlineItem
{
    private readonly LinkedList<TimeWaitRecord> _byExpiry = new();
    private readonly StackCore _core = tcp.Core;

    public int Count => _byExpiry.Count;

    public override TcpInstant Deadline => _byExpiry.First is { } first ? first.Value.ExpiresAt : TcpInstant.Never;

    public override void OnDeadline(TcpInstant now)
    {
        while (_byExpiry.First is { } first && first.Value.ExpiresAt <= now)
        {
            Remove(first.Value);
        }

        _core.Deadlines.Update(this);
    }

    /// <summary>Takes the place of a connection that has closed.</summary>
    public void Add(TcpInstant now, TcpEndpoint endpoint, TimeWaitRecord record)
    {
        tcp.Forget(endpoint);
        if (_core.Options.Tcp.TimeWait <= TimeSpan.Zero || _core.Options.Tcp.TimeWaitLimit <= 0)
        {
            record.Crypt?.Dispose();
            record.Watcher?.OnTimeWaitOver();
            return;
        }

        if (_byExpiry.Count >= _core.Options.Tcp.TimeWaitLimit)
        {
            _core.Counters.TcpTimeWaitOverflows++;
            Remove(_byExpiry.First!.Value);
        }

        _core.Counters.TcpTimeWaits++;
        record.ExpiresAt = now + _core.Options.Tcp.TimeWait;
        record.Node = _byExpiry.AddLast(record);
        tcp.Add(record, record.Tuple);
        _core.Deadlines.Update(this);
    }

    public void Remove(TimeWaitRecord record)
    {
        if (record.Node is { } node)
        {
            record.Node = null;
            _byExpiry.Remove(node);
            tcp.Remove(record.Tuple, record);
            record.Crypt?.Dispose();
            record.Watcher?.OnTimeWaitOver();
        }
    }

    /// <summary>RFC 6191 §2: a SYN that cannot be a duplicate from the old connection.</summary>
    public static bool MayReuse(TimeWaitRecord record, scoped in Segment seg)
    {
        bool isAbove = seg.Seq > record.RcvNxt;
        if (!record.HasTimestamps)
        {
            return seg.HasTimestamps || isAbove;
        }

        return seg.HasTimestamps && seg.TsVal != record.TsRecent
            ? Acceptability.IsTimestampOlder(record.TsRecent, seg.TsVal)
            : isAbove;
    }

    public SegmentVerdict OnSegment(TcpInstant now, TimeWaitRecord record, scoped in Segment seg)
    {
        if (seg.IsRst)
        {
            // RFC 1337: an old RST must not cut TIME-WAIT short.
            return DropReason.TcpTimeWait;
        }

        if (seg.IsSyn)
        {
            // A SYN of an old incarnation, or one that RFC 6191 does not let in.
            Acknowledge(now, record);
            return DropReason.TcpTimeWait;
        }

        if (record.Crypt is { } crypt && !crypt.IsAuthentic(record, seg))
        {
            return DropReason.CryptNoMac;
        }

        if (!seg.IsAck && Acceptability.IsInWindow(seg.Seq, record.RcvNxt, (uint)record.Window << record.WindowShift))
        {
            // RFC 9293 §3.10.7.4, fifth: without ACK, no more.
            return DropReason.TcpNoAck;
        }

        bool isOld = record.HasTimestamps && seg.HasTimestamps && Acceptability.IsTimestampOlder(seg.TsVal, record.TsRecent);
        if (!isOld && seg.IsFin && seg.End == record.RcvNxt)
        {
            // The only thing that can arrive is the FIN again: acknowledge, restart 2 MSL.
            if (record.Node is { } node)
            {
                record.ExpiresAt = now + _core.Options.Tcp.TimeWait;
                _byExpiry.Remove(node);
                _byExpiry.AddLast(node);
            }
        }

        if (seg.Len > 0 || isOld || seg.Seq != record.RcvNxt || (seg.IsAck && seg.Ack > record.SndNxt))
        {
            Acknowledge(now, record);
        }

        return DropReason.TcpTimeWait;
    }

    private void Acknowledge(TcpInstant now, TimeWaitRecord record)
    {
        if (record.AckBucket.TryTake(now))
        {
            if (record.Crypt is { } crypt)
            {
                crypt.Acknowledge(now, tcp, record);
                return;
            }

            (uint, uint)? timestamps = record.HasTimestamps ? (unchecked(now.Milliseconds + record.TsOffset), record.TsRecent) : null;
            tcp.SendControl(record.Tuple, record.SndNxt, record.RcvNxt, TcpFlags.Ack, record.Window, timestamps, record.TimeToLive, record.TypeOfService);
        }
    }
}
