using Tcpcrypt.Tcp.LossRecovery;

namespace Tcpcrypt.Tcp;

// It was not lost after all: a reduction of the window is taken back (RFC 4015), by timestamps (RFC 3522), D-SACK (RFC 3708), or since nothing was repeated.
internal sealed partial class TcpEndpoint
{
    private Undo BeginUndo(bool isOvertaken)
    {
        Undo undo = _undo ??= new Undo();
        undo.IsPossible = true;
        undo.IsOvertaken = isOvertaken;
        undo.Repeats = _sent.InRepeat > 0 ? _sent.InRepeat : -1;
        return undo;
    }

    /// <summary>What it will be again if the reduction to come is taken back.</summary>
    private void RememberWindow()
    {
        Undo undo = _undo ??= new Undo();
        undo.PriorSsthresh = CurrentSsthresh;
        undo.PriorCwnd = _congestion.Cwnd;
    }

    /// <summary>
    /// Nothing was repeated in the episode, or the echo is older than the first repeat: an original is answered (RFC 3522 §3.2). No MAC covers the echo ([TD-78]), so under one it says nothing;
    /// there our own clock does: what comes sooner after the first repeat than the path allows is no answer to it (as RFC 8985 §6.2 step 2 has it of a single segment). Half of the least round trip, for a path may become shorter.
    /// </summary>
    private bool IsOriginalAnswered(Undo undo, in AckSummary ack) =>
        undo.RepeatedAt is not uint at
        || (IsProtected ? ack.Now - undo.RepeatedSince < _rtt.MinRtt / 2 : ack.TsEcr is uint echo && echo != 0 && Acceptability.IsTimestampOlder(echo, at));

    private bool MayUndo(in AckSummary ack) => _undo is { IsPossible: true } undo && (undo.Repeats == 0 || IsOriginalAnswered(undo, ack));

    /// <summary>The whole episode is over, and was for nothing. True when the state is held: without SACK duplicates of the repeats may still come (RFC 6582 §4).</summary>
    private bool TryUndoRecovery(in AckSummary ack)
    {
        if (MayUndo(ack))
        {
            UndoReduction(isAllThere: false);
        }
        else
        {
            _rack.OnRecoveryOver();
        }

        if (_snd.Una == _recover && !_agreed.Sack)
        {
            if (_sent.InRepeat == 0)
            {
                _undo?.RepeatedAt = null;
            }

            return true;
        }

        _lossState = LossState.Open;
        return false;
    }

    /// <summary>A partial ACK of originals: the path reorders.</summary>
    private bool TryUndoPartial(in AckSummary ack)
    {
        if (_undo is not { IsPossible: true } undo || !IsOriginalAnswered(undo, ack))
        {
            return false;
        }

        _rack.OnReordering(_sent.HighestSacked - ack.PriorUna, _congestion.Smss);
        if (_sent.InRepeat > 0)
        {
            // The ACKs of the repeats will tell more.
            return true;
        }

        UndoReduction(isAllThere: true);
        TryOpen();
        return true;
    }

    /// <summary>Every repeat was reported as a duplicate (RFC 3708).</summary>
    private bool TryUndoByDuplicateSack()
    {
        if (_undo is not { IsPossible: true, Repeats: 0 } undo)
        {
            return false;
        }

        _rack.OnSpurious();
        if (undo.IsOvertaken && IsProtected)
        {
            // Without an echo to believe, nothing else tells that what was repeated had only been overtaken, and a reordering window is used by who has seen reordering (RFC 8985 §6.2 step 4).
            _rack.OnReordering(1, _congestion.Smss);
        }

        UndoReduction(isAllThere: false);
        if (_lossState == LossState.Recovery)
        {
            _lossState = LossState.Disorder;
        }

        return true;
    }

    private bool TryUndoLoss(in AckSummary ack, bool isProven)
    {
        if (!isProven && !MayUndo(ack))
        {
            return false;
        }

        UndoReduction(isAllThere: true);
        _frto = Frto.Off;
        _retries = 0;
        if (isProven || _agreed.Sack)
        {
            _lossState = LossState.Open;
        }

        return true;
    }

    private void UndoReduction(bool isAllThere)
    {
        if (isAllThere)
        {
            _sent.UnmarkAllLost();
        }

        if (_undo is { PriorSsthresh: > 0 } undo)
        {
            _congestion.OnUndo(undo.PriorCwnd, undo.PriorSsthresh);
            _isCwrDue = false;
        }

        _core.Counters.TcpSpuriousRecoveries++;
        _undo?.IsPossible = false;
        _rack.IsAdvanced = true;
    }
}
