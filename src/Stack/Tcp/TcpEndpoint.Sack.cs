using System.Buffers.Binary;
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

        _core.Counters.TcpDuplicateSacks++;
        ack.IsDuplicateSack = true;
        ack.IsProbeDuplicate = _isProbeOut && _isProbeRepeat && right == _probeEnd;
        _undo.OnDuplicate(octets);
    }
}
