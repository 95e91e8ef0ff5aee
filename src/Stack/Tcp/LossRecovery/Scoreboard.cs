using System.Buffers;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.LossRecovery;

/// <summary>
/// What is sent and not acknowledged, in sequence order, with what is known about each run (RFC 6675 §3's scoreboard with RFC 8985's times). The sums are
/// octets of sequence space; <see cref="Pipe"/> follows from them. It holds no memory while nothing is in flight.
/// </summary>
internal struct Scoreboard
{
    private SentSegment[]? _ring;
    private int _head;

    public Scoreboard()
    {
    }

    /// <summary>Runs on the board.</summary>
    public int Count { get; private set; }

    /// <summary>Octets of all runs: FlightSize.</summary>
    public int Octets { get; private set; }

    /// <summary>Octets that the peer holds out of order.</summary>
    public int Sacked { get; private set; }

    /// <summary>Octets taken for lost.</summary>
    public int Lost { get; private set; }

    /// <summary>Octets sent again and still in the network.</summary>
    public int InRepeat { get; private set; }

    /// <summary>Octets in the network (RFC 6675 §4, SetPipe).</summary>
    public readonly long Pipe => Octets - Sacked - Lost + InRepeat;

    /// <summary>The highest number that a block has told of (RFC 6675's HighData of the receiver; FACK).</summary>
    public Seq<Local> HighestSacked { get; private set; }

    /// <summary>Nothing behind this number was sent more than once.</summary>
    public Seq<Local> RepeatEdge { get; private set; }

    /// <summary>All octets ever taken for lost.</summary>
    public long MarkedLost { get; private set; }

    /// <summary>Counts the ACKs: what is sent behind one is not sent before anything that was there already, even at the same time.</summary>
    public ushort Round { get; private set; }

    /// <summary>No run before this one waits to be sent again.</summary>
    private int _nextLost;

    public readonly ref SentSegment this[int index] => ref _ring![(_head + index) & (_ring.Length - 1)];

    public void BeginRound() => Round++;

    public void Append(Seq<Local> start, int length, TcpInstant now, int segmentSize)
    {
        Reserve();
        if (Count == 0)
        {
            HighestSacked = RepeatEdge = start;
            _nextLost = 0;
        }

        Count++;
        Octets += length;
        this[Count - 1] = new SentSegment { Start = start, End = start + length, SentAt = now, Round = Round, SegmentSize = (ushort)Math.Clamp(segmentSize, 1, ushort.MaxValue) };
    }

    /// <summary>Everything before <paramref name="una"/> is acknowledged.</summary>
    public void Acknowledge(Seq<Local> una, ref AckSummary ack)
    {
        while (Count > 0)
        {
            ref SentSegment first = ref this[0];
            if (una <= first.Start)
            {
                break;
            }

            bool isWhole = una >= first.End;
            int octets = isWhole ? first.Length : una - first.Start;
            Note(ref ack, first, octets, isCumulative: true);
            Octets -= octets;
            Sacked -= first.Is(SentFlags.Sacked) ? octets : 0;
            Lost -= first.Is(SentFlags.Lost) ? octets : 0;
            InRepeat -= first.Is(SentFlags.InRepeat) ? octets : 0;
            if (!isWhole)
            {
                first.Start = una;
                break;
            }

            _head = (_head + 1) & (_ring!.Length - 1);
            Count--;
            _nextLost = Math.Max(_nextLost - 1, 0);
        }

        HighestSacked = Seq<Local>.Max(HighestSacked, una);
        RepeatEdge = Seq<Local>.Max(RepeatEdge, una);
        if (Count == 0)
        {
            Release();
        }
    }

    /// <summary>The peer holds [left, right). Runs are divided at their segments' boundaries; a part of a segment is not counted.</summary>
    public void Sack(Seq<Local> left, Seq<Local> right, ref AckSummary ack)
    {
        for (int i = Find(left); i < Count; i++)
        {
            ref SentSegment run = ref this[i];
            if (run.Start >= right)
            {
                break;
            }

            if (run.Is(SentFlags.Sacked))
            {
                continue;
            }

            if (run.Start < left)
            {
                int head = left - run.Start;
                head += (run.SegmentSize - (head % run.SegmentSize)) % run.SegmentSize;
                if (head >= run.Length)
                {
                    continue;
                }

                Split(i, head);
                continue;
            }

            if (run.End > right)
            {
                int covered = right - run.Start;
                covered -= covered % run.SegmentSize;
                if (covered == 0)
                {
                    break;
                }

                Split(i, covered);
                run = ref this[i];
            }

            MarkSacked(ref run, ref ack);
        }
    }

    /// <summary>Taken for lost: out of the network, and to be sent again. A repeat that is lost too is sent once more.</summary>
    public void MarkLost(int index)
    {
        ref SentSegment run = ref this[index];
        if (!run.Is(SentFlags.Lost))
        {
            run.Flags |= SentFlags.Lost;
            Lost += run.Length;
            MarkedLost += run.Length;
        }

        if (run.Is(SentFlags.InRepeat))
        {
            run.Flags &= ~SentFlags.InRepeat;
            InRepeat -= run.Length;
            MarkedLost += run.Length;
        }

        _nextLost = Math.Min(_nextLost, index);
    }

    /// <summary>It was not lost after all.</summary>
    public void UnmarkAllLost()
    {
        for (int i = 0; i < Count; i++)
        {
            this[i].Flags &= ~SentFlags.Lost;
        }

        Lost = 0;
    }

    /// <summary>The peer has thrown away what it had told of (RFC 2018 §8).</summary>
    public void ForgetSacks()
    {
        for (int i = 0; i < Count; i++)
        {
            this[i].Flags &= ~SentFlags.Sacked;
        }

        Sacked = 0;
        HighestSacked = Count > 0 ? this[0].Start : HighestSacked;
    }

    /// <summary>The first run that is lost and not sent again; -1 without one.</summary>
    public int NextLost()
    {
        if (Lost == 0)
        {
            return -1;
        }

        for (int i = _nextLost; i < Count; i++)
        {
            if ((this[i].Flags & (SentFlags.Lost | SentFlags.InRepeat)) == SentFlags.Lost)
            {
                _nextLost = i;
                return i;
            }
        }

        _nextLost = Count;
        return -1;
    }

    /// <summary>A run that waits to be sent again takes in those behind it that do too, up to <paramref name="most"/> octets in all.</summary>
    public void JoinLost(int index, int most)
    {
        ref SentSegment run = ref this[index];
        if ((run.Flags & (SentFlags.Lost | SentFlags.InRepeat)) != SentFlags.Lost)
        {
            return;
        }

        int last = index;
        while (last + 1 < Count && (this[last + 1].Flags & (SentFlags.Lost | SentFlags.InRepeat)) == SentFlags.Lost && this[last + 1].End - run.Start <= most)
        {
            SentSegment next = this[++last];
            run.End = next.End;
            run.Flags |= next.Flags;
            run.SegmentSize = Math.Min(run.SegmentSize, next.SegmentSize);
            (run.SentAt, run.Round) = next.SentAt > run.SentAt ? (next.SentAt, next.Round) : (run.SentAt, run.Round);
        }

        int joined = last - index;
        if (joined > 0)
        {
            // The shorter side moves: what is repeated is near the head, and thousands may be behind it.
            if (index < Count - last)
            {
                for (int i = index; i >= 0; i--)
                {
                    this[i + joined] = this[i];
                }

                _head = (_head + joined) & (_ring!.Length - 1);
            }
            else
            {
                for (int i = last + 1; i < Count; i++)
                {
                    this[i - joined] = this[i];
                }
            }

            Count -= joined;
            _nextLost = _nextLost > last ? _nextLost - joined : Math.Min(_nextLost, index);
        }
    }

    /// <summary>The first <paramref name="length"/> octets of a run are transmitted again; the rest becomes a run of its own.</summary>
    public void Retransmit(int index, int length, TcpInstant now, int segmentSize)
    {
        if (length < this[index].Length)
        {
            Split(index, length);
        }

        ref SentSegment run = ref this[index];
        run.SentAt = now;
        run.Round = Round;
        run.SegmentSize = (ushort)Math.Clamp(segmentSize, 1, ushort.MaxValue);
        if (!run.Is(SentFlags.InRepeat))
        {
            InRepeat += run.Length;
        }

        run.Flags |= SentFlags.InRepeat | SentFlags.Repeated;
        RepeatEdge = Seq<Local>.Max(RepeatEdge, run.End);
    }

    /// <summary>The run that holds a sequence number, or the one behind it; <see cref="Count"/> when there is none.</summary>
    public readonly int Find(Seq<Local> seq)
    {
        int low = 0;
        int high = Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (this[middle].End <= seq)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    public void Clear()
    {
        Count = 0;
        Octets = 0;
        Release();
    }

    /// <summary>Divides a run; both parts are what it was.</summary>
    public void Split(int index, int length)
    {
        Reserve();
        Count++;
        for (int i = Count - 1; i > index + 1; i--)
        {
            this[i] = this[i - 1];
        }

        ref SentSegment first = ref this[index];
        ref SentSegment rest = ref this[index + 1];
        rest = first;
        first.End = rest.Start = first.Start + length;
        if (_nextLost > index)
        {
            _nextLost++;
        }
    }

    /// <summary>For the simulator: the sums against a recount, and the runs against SND.UNA and SND.NXT. Null when all is as it should be.</summary>
    public readonly string? FindInconsistency(Seq<Local> una, Seq<Local> nxt)
    {
        (long octets, long sacked, long lost, long inRepeat) = (0, 0, 0, 0);
        for (int i = 0; i < Count; i++)
        {
            SentSegment run = this[i];
            if (run.Length <= 0 || run.SegmentSize == 0 || (i > 0 && run.Start != this[i - 1].End))
            {
                return $"run {i} of {Count} is [{run.Start}, {run.End}), segments of {run.SegmentSize}";
            }

            if (run.Is(SentFlags.Sacked) && run.Is(SentFlags.Lost | SentFlags.InRepeat))
            {
                return $"run {i} is {run.Flags}";
            }

            if ((run.Is(SentFlags.InRepeat) && !run.Is(SentFlags.Repeated)) || (run.Is(SentFlags.Repeated) && run.End > RepeatEdge) || (run.Is(SentFlags.Sacked) && run.End > HighestSacked))
            {
                return $"run {i} [{run.Start}, {run.End}) is {run.Flags}, repeats end at {RepeatEdge}, SACKs at {HighestSacked}";
            }

            if (i < _nextLost && (run.Flags & (SentFlags.Lost | SentFlags.InRepeat)) == SentFlags.Lost)
            {
                return $"run {i} waits to be sent again, and the search begins at {_nextLost}";
            }

            octets += run.Length;
            sacked += run.Is(SentFlags.Sacked) ? run.Length : 0;
            lost += run.Is(SentFlags.Lost) ? run.Length : 0;
            inRepeat += run.Is(SentFlags.InRepeat) ? run.Length : 0;
        }

        if (Count > 0 && (this[0].Start != una || this[Count - 1].End != nxt))
        {
            return $"the scoreboard holds [{this[0].Start}, {this[Count - 1].End}), SND.UNA is {una} and SND.NXT {nxt}";
        }

        return (octets, sacked, lost, inRepeat) == (Octets, Sacked, Lost, InRepeat)
            ? null
            : $"sums {(Octets, Sacked, Lost, InRepeat)}, recounted {(octets, sacked, lost, inRepeat)} (octets, sacked, lost, in repeat)";
    }

    private void MarkSacked(ref SentSegment run, ref AckSummary ack)
    {
        Note(ref ack, run, run.Length, isCumulative: false);
        Lost -= run.Is(SentFlags.Lost) ? run.Length : 0;
        InRepeat -= run.Is(SentFlags.InRepeat) ? run.Length : 0;
        Sacked += run.Length;
        run.Flags = (run.Flags & SentFlags.Repeated) | SentFlags.Sacked;
        HighestSacked = Seq<Local>.Max(HighestSacked, run.End);
    }

    /// <summary>What a delivery tells: how much, when it was sent, and whether the path reorders.</summary>
    private readonly void Note(ref AckSummary ack, in SentSegment run, int octets, bool isCumulative)
    {
        if (run.Is(SentFlags.Sacked))
        {
            // Its delivery was told before.
            return;
        }

        ack.Delivered += octets;
        if (run.Is(SentFlags.Repeated))
        {
            ack.HasRepeated |= isCumulative;
        }
        else
        {
            ack.OnOriginal(run, isCumulative);
            if (run.Start < HighestSacked && run.Start < ack.ReorderedAt)
            {
                // Behind what was delivered earlier, and never sent again: it was overtaken (RFC 8985 §6.2 step 3).
                ack.ReorderedAt = run.Start;
                ack.IsReordered = true;
            }
        }

        ack.OnDelivered(run, run.Start + octets, isCumulative);
    }

    private void Reserve()
    {
        int length = _ring?.Length ?? 0;
        if (Count < length)
        {
            return;
        }

        SentSegment[] larger = ArrayPool<SentSegment>.Shared.Rent(Math.Max(16, 2 * length));
        for (int i = 0; i < Count; i++)
        {
            larger[i] = this[i];
        }

        if (_ring is not null)
        {
            ArrayPool<SentSegment>.Shared.Return(_ring);
        }

        _ring = larger;
        _head = 0;
    }

    private void Release()
    {
        Sacked = Lost = InRepeat = 0;
        _nextLost = 0;
        _head = 0;
        if (_ring is not null)
        {
            ArrayPool<SentSegment>.Shared.Return(_ring);
            _ring = null;
        }
    }
}
