using CsCheck;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Tests.Units;

/// <summary>RFC 2018 and RFC 6675's scoreboard, against the plainest model there is: a list of segments that are never joined.</summary>
[Spec("2018-3")]
[Spec("6675-2")]
public sealed class ScoreboardTests
{
    private const int Size = 10;

    private static readonly TimeSpan s_minRtt = TimeSpan.FromMilliseconds(20);

    private sealed class Piece
    {
        public Seq<Local> Start;
        public int Length;
        public TcpInstant SentAt;
        public bool IsSacked;
        public bool IsLost;
        public bool IsInRepeat;
        public bool IsRepeated;

        public Seq<Local> End => Start + Length;

        public SentFlags Flags =>
            (IsSacked ? SentFlags.Sacked : 0) | (IsLost ? SentFlags.Lost : 0) | (IsInRepeat ? SentFlags.InRepeat : 0) | (IsRepeated ? SentFlags.Repeated : 0);
    }

    /// <summary>What an ACK delivers, by the model.</summary>
    private sealed class News
    {
        public long Delivered;
        public bool HasRepeated;
        public bool HasOriginal;
        public (TcpInstant SentAt, Seq<Local> End)? Latest;

        public void Add(Piece piece, TcpInstant now, Seq<Local> recoveryPoint, bool isCumulative)
        {
            Delivered += piece.Length;
            HasRepeated |= isCumulative && piece.IsRepeated;
            HasOriginal |= !piece.IsRepeated && piece.End <= recoveryPoint;
            if (piece.IsRepeated && now - piece.SentAt < s_minRtt)
            {
                return;
            }

            if (Latest is not { } latest || piece.SentAt > latest.SentAt || (piece.SentAt == latest.SentAt && piece.End > latest.End))
            {
                Latest = (piece.SentAt, piece.End);
            }
        }
    }

    private static AckSummary Summary(TcpInstant now, Seq<Local> una, Seq<Local> nxt, Seq<Local> recoveryPoint) => new(now, una, nxt, recoveryPoint, s_minRtt, tsEcr: null);

    [Test]
    public void Behaves_as_a_list_of_segments()
    {
        Gen<(uint Start, (int Kind, int A, int B)[] Operations)> scenarios =
            Gen.Select(Gen.OneOf<uint>(Gen.UInt, Gen.UInt[uint.MaxValue - 400, uint.MaxValue]), Gen.Select(Gen.Int[0, 9], Gen.Int[0, 999], Gen.Int[0, 999]).Array[1, 80]);
        scenarios.Sample(scenario => Run(scenario.Start, scenario.Operations), iter: 4000, seed: "0000KOIPe036");
    }

    [TestCase(34, ExpectedResult = "0+25 25+10", TestName = "Runs that wait to be sent again are joined, whole ones only")]
    [TestCase(35, ExpectedResult = "0+35", TestName = "Runs that wait to be sent again are joined as far as they fit")]
    [TestCase(9, ExpectedResult = "0+10 10+10 20+5 25+10", TestName = "Runs that are larger than what fits stay as they are")]
    public string Joins_what_waits(int most)
    {
        // 10, 10, 5 and 10 octets that wait; one that is in repeat; 10 that wait behind it.
        Scoreboard board = new();
        Seq<Local> una = new(uint.MaxValue - 12);
        Seq<Local> nxt = una;
        foreach (int length in (ReadOnlySpan<int>)[10, 10, 5, 10, 10, 10])
        {
            board.Append(nxt, length, TcpInstant.Zero, length);
            nxt += length;
        }

        for (int i = 0; i < 6; i++)
        {
            board.MarkLost(i);
        }

        board.Retransmit(4, 10, TcpInstant.Zero, 10);
        board.JoinLost(4, 1000);
        board.JoinLost(0, most);
        Assert.That(board.FindInconsistency(una, nxt), Is.Null);
        Assert.That(board.NextLost(), Is.Zero);
        Assert.That(board[board.Count - 1].Length, Is.EqualTo(10), "what is in repeat is between");
        Assert.That(board[board.Count - 2].Is(SentFlags.InRepeat), Is.True);
        board.Retransmit(0, board[0].Length, TcpInstant.Zero, board[0].Length);
        Assert.That(board.NextLost(), Is.EqualTo(board.Count > 3 ? 1 : 2));
        return string.Join(' ', Enumerable.Range(0, board.Count - 2).Select(i => $"{board[i].Start - una}+{board[i].Length}"));
    }

    private static void Run(uint start, (int Kind, int A, int B)[] operations)
    {
        Scoreboard board = new();
        List<Piece> model = [];
        Seq<Local> una = new(start);
        Seq<Local> nxt = una;
        TcpInstant now = TcpInstant.Zero;
        long markedLost = 0;
        foreach ((int kind, int a, int b) in operations)
        {
            now += TimeSpan.FromMilliseconds(b % 15);
            switch (kind)
            {
                case 0 or 1:
                    int length = 1 + (a % (6 * Size));
                    board.Append(nxt, length, now, Size);
                    for (int left = length; left > 0; left -= Size)
                    {
                        Piece piece = new() { Start = nxt, Length = Math.Min(left, Size), SentAt = now };
                        model.Add(piece);
                        nxt = piece.End;
                    }

                    break;
                case 2 when model.Count > 0:
                    Acknowledge(ref board, model, now, ref una, nxt, a % (model.Count + 1));
                    break;
                case 3 or 4 or 5 when model.Count > 0:
                    // Edges anywhere, not only at the segments'.
                    Seq<Local> leftEdge = una + (a % (nxt - una));
                    Sack(ref board, model, now, una, nxt, leftEdge, Seq<Local>.Min(leftEdge + 1 + (b % 60), nxt));
                    break;
                case 6 when model.Count > 0:
                    int index = a % board.Count;
                    if (!board[index].Is(SentFlags.Sacked))
                    {
                        SentSegment run = board[index];
                        board.MarkLost(index);
                        foreach (Piece piece in model.Where(p => p.Start >= run.Start && p.End <= run.End))
                        {
                            markedLost += (piece.IsLost ? 0 : piece.Length) + (piece.IsInRepeat ? piece.Length : 0);
                            piece.IsLost = true;
                            piece.IsInRepeat = false;
                        }
                    }

                    break;
                case 7 when model.Count > 0:
                    int next = board.NextLost();
                    Piece? first = model.Find(p => p.IsLost && !p.IsInRepeat);
                    Assert.That(next >= 0 ? board[next].Start : (Seq<Local>?)null, Is.EqualTo(first?.Start));
                    if (first is not null)
                    {
                        board.Retransmit(next, first.Length, now, Size);
                        first.SentAt = now;
                        first.IsInRepeat = first.IsRepeated = true;
                    }

                    break;
                case 8 when a % 4 == 0:
                    board.UnmarkAllLost();
                    model.ForEach(p => p.IsLost = false);
                    break;
                case 9 when a % 4 == 0:
                    board.ForgetSacks();
                    model.ForEach(p => p.IsSacked = false);
                    break;
                default:
                    break;
            }

            Assert.That(board.MarkedLost, Is.EqualTo(markedLost));
            Compare(board, model);
        }
    }

    private static void Acknowledge(ref Scoreboard board, List<Piece> model, TcpInstant now, ref Seq<Local> una, Seq<Local> nxt, int count)
    {
        Seq<Local> recoveryPoint = una + ((nxt - una) / 2);
        News news = new();
        AckSummary ack = Summary(now, una, nxt, recoveryPoint);
        for (int i = 0; i < count; i++)
        {
            if (!model[i].IsSacked)
            {
                news.Add(model[i], now, recoveryPoint, isCumulative: true);
            }

            una = model[i].End;
        }

        model.RemoveRange(0, count);
        board.Acknowledge(una, ref ack);
        Compare(ack, news);
    }

    private static void Sack(ref Scoreboard board, List<Piece> model, TcpInstant now, Seq<Local> una, Seq<Local> nxt, Seq<Local> left, Seq<Local> right)
    {
        // HasOriginal is asked of whole runs at once: all or nothing.
        News news = new();
        AckSummary ack = Summary(now, una, nxt, nxt);
        foreach (Piece piece in model.Where(p => !p.IsSacked && p.Start >= left && p.End <= right))
        {
            news.Add(piece, now, nxt, isCumulative: false);
            piece.IsSacked = true;
            piece.IsLost = piece.IsInRepeat = false;
        }

        board.Sack(left, right, ref ack);
        Compare(ack, news);
        Assert.That(ack.HasOriginal, Is.EqualTo(news.HasOriginal));
    }

    private static void Compare(in AckSummary ack, News news)
    {
        Assert.That((ack.Delivered, ack.HasRepeated, ack.HasRack), Is.EqualTo((news.Delivered, news.HasRepeated, news.Latest is not null)));
        if (news.Latest is { } latest)
        {
            Assert.That((ack.RackLatest.At, ack.RackLatest.End), Is.EqualTo(latest));
        }
    }

    private static void Compare(in Scoreboard board, List<Piece> model)
    {
        Assert.That(board.Octets, Is.EqualTo(model.Sum(p => p.Length)));
        Assert.That(board.Sacked, Is.EqualTo(model.Where(p => p.IsSacked).Sum(p => p.Length)));
        Assert.That(board.Lost, Is.EqualTo(model.Where(p => p.IsLost).Sum(p => p.Length)));
        Assert.That(board.InRepeat, Is.EqualTo(model.Where(p => p.IsInRepeat).Sum(p => p.Length)));
        Assert.That(board.Pipe, Is.EqualTo(model.Sum(p => (p.IsSacked || p.IsLost ? 0 : p.Length) + (p.IsInRepeat ? p.Length : 0))));
        foreach (Piece piece in model)
        {
            SentSegment run = board[board.Find(piece.Start)];
            Assert.That(run.Start <= piece.Start && piece.End <= run.End, "a segment is in one run");
            Assert.That((run.Flags, run.SentAt), Is.EqualTo((piece.Flags, piece.SentAt)));
            Assert.That(!piece.IsRepeated || piece.End <= board.RepeatEdge);
            Assert.That(!piece.IsSacked || piece.End <= board.HighestSacked);
        }
    }

    [Test]
    [Spec("8985-2")]
    public void What_was_overtaken_is_reordering([Values(1u, uint.MaxValue - 15)] uint start)
    {
        Seq<Local> una = new(start);
        Scoreboard board = new();
        board.Append(una, 4 * Size, TcpInstant.Zero, Size);
        AckSummary ack = Summary(TcpInstant.Zero, una, una + 40, una);
        board.Sack(una + 20, una + 30, ref ack);
        Assert.That(ack.IsReordered, Is.False);
        ack = Summary(TcpInstant.Zero, una, una + 40, una);
        board.Sack(una + 10, una + 20, ref ack);
        Assert.That((ack.IsReordered, ack.ReorderedAt), Is.EqualTo((true, una + 10)));
        board.MarkLost(0);
        board.Retransmit(0, Size, TcpInstant.Zero, Size);
        ack = Summary(TcpInstant.Zero, una, una + 40, una);
        board.Acknowledge(una + 30, ref ack);
        Assert.That((ack.IsReordered, ack.Delivered, ack.HasRepeated), Is.EqualTo((false, 10L, true)), "a repeat says nothing about the order");
    }

    [Test]
    public void A_part_of_a_segment_that_is_acknowledged_leaves_the_rest()
    {
        Scoreboard board = new();
        board.Append(new(1), Size, TcpInstant.Zero, Size);
        AckSummary ack = Summary(TcpInstant.Zero, new(1), new(11), new(1));
        board.Acknowledge(new(5), ref ack);
        Assert.That((board.Count, board.Octets, board[0].Start, ack.Delivered), Is.EqualTo((1, 6L, new Seq<Local>(5), 4L)));
        board.Clear();
        Assert.That((board.Count, board.Octets, board.Pipe), Is.EqualTo((0, 0L, 0L)));
    }
}
