using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.LossRecovery;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// The peer's SACK blocks (RFC 2018), and D-SACK (RFC 2883) both ways.
internal sealed partial class TcpEndpoint
{
    /// <summary>Takes in the SACK option, which nobody promises to be true: what lies outside of what was sent is passed over.</summary>
    private void ProcessSack(scoped in Segment seg, ref AckSummary ack)
    {
        Span<(Seq<Local> Left, Seq<Local> Right)> blocks = stackalloc (Seq<Local>, Seq<Local>)[4];
        int count = ReadSack(seg.Options, blocks);
        if (count == 0)
        {
            return;
        }

        int first = 0;
        if (IsDuplicateSack(seg.Ack, blocks[..count]))
        {
            OnDuplicateSack(blocks[0].Left, blocks[0].Right, ref ack);
            first = 1;
        }

        // In sequence order: what one ACK tells of is not reordered in itself.
        Span<(Seq<Local> Left, Seq<Local> Right)> news = blocks[first..count];
        for (int i = 1; i < news.Length; i++)
        {
            for (int j = i; j > 0 && news[j].Left < news[j - 1].Left; j--)
            {
                (news[j], news[j - 1]) = (news[j - 1], news[j]);
            }
        }

        long before = ack.Delivered;
        foreach ((Seq<Local> left, Seq<Local> right) in news)
        {
            if (left < right && left >= _snd.Una && right <= _snd.Nxt)
            {
                _sent.Sack(left, right, ref ack);
            }
            else
            {
                _core.Counters.TcpSackDiscarded++;
            }
        }

        ack.HasSacked = ack.Delivered > before;
    }

    private static int ReadSack(scoped ReadOnlySpan<byte> options, scoped Span<(Seq<Local> Left, Seq<Local> Right)> blocks)
    {
        TcpOptionReader reader = new(options);
        while (reader.MoveNext())
        {
            if (reader.Current.Kind == TcpOptionKind.Sack && reader.Current.Content.Length % 8 == 0)
            {
                ReadOnlySpan<byte> content = reader.Current.Content;
                int count = Math.Min(content.Length / 8, blocks.Length);
                for (int i = 0; i < count; i++)
                {
                    blocks[i] = (new(BinaryPrimitives.ReadUInt32BigEndian(content[(8 * i)..])), new(BinaryPrimitives.ReadUInt32BigEndian(content[((8 * i) + 4)..])));
                }

                return count;
            }
        }

        return 0;
    }

    /// <summary>RFC 2883 §4: the first block is below the cumulative ACK, or inside of the second.</summary>
    private static bool IsDuplicateSack(Seq<Local> ack, scoped ReadOnlySpan<(Seq<Local> Left, Seq<Local> Right)> blocks) =>
        blocks[0].Left < ack || (blocks.Length > 1 && blocks[0].Right <= blocks[1].Right && blocks[0].Left >= blocks[1].Left);

    private void OnDuplicateSack(Seq<Local> left, Seq<Local> right, ref AckSummary ack)
    {
        int octets = right - left;

        // No older than a window: it may be a forgery, or from another lap of the numbers.
        if (octets <= 0 || right > _snd.Nxt || _snd.Una - left > Math.Max((long)_snd.MaxWnd, octets))
        {
            _core.Counters.TcpSackDiscarded++;
            return;
        }

        _duplicateSacks++;
        _core.Counters.TcpDuplicateSacks++;
        ack.IsDuplicateSack = true;
        ack.IsProbeDuplicate = _isProbeOut && _isProbeRepeat && right == _probeEnd;
        _undo?.OnDuplicate(octets);
    }

    // ---- Our own blocks ----

    /// <summary>What came a second time, until an ACK has told of it (RFC 2883 §4).</summary>
    private (Seq<Remote> Left, Seq<Remote> Right)? _duplicate;

    /// <summary>Blocks to send when <paramref name="most"/> fit.</summary>
    private int SackBlocks(int most) => _agreed.Sack ? Math.Min((_duplicate is null ? 0 : 1) + (_reassembler?.RangeCount ?? 0), most) : 0;

    /// <summary>The D-SACK first, which needs the block around it behind it to be known as one; then what changed last (RFC 2018 §4, RFC 2883 §4). A place for one only is for what is held.</summary>
    private void WriteSack(ref TcpOptionWriter options, int blocks)
    {
        Span<SackBlock> sack = stackalloc SackBlock[blocks];
        int count = 0;
        if (_duplicate is var (left, right) && (blocks > 1 || _reassembler is not { IsEmpty: false }))
        {
            sack[count++] = new SackBlock(left, right);
        }

        if (_reassembler is { IsEmpty: false })
        {
            Span<(long Start, long End)> ranges = stackalloc (long, long)[blocks - count];
            long next = StreamOffset(_rcv.Nxt);
            foreach ((long start, long end) in ranges[.._reassembler.GetSackRanges(ranges)])
            {
                sack[count++] = new SackBlock(_rcv.Nxt + unchecked((uint)(start - next)), _rcv.Nxt + unchecked((uint)(end - next)));
            }
        }

        options.Sack(sack[..count]);
    }

    /// <summary>Octets that had arrived before. Each segment's are told of by an ACK of its own.</summary>
    private void NoteDuplicate(TcpInstant now, Seq<Remote> left, Seq<Remote> right)
    {
        if (!_agreed.Sack || IsCryptSetup || left >= right)
        {
            return;
        }

        if (_duplicate is not null)
        {
            SendAckNow(now);
            _ackNow = true;
        }

        _duplicate = (left, right);
    }
}
