using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// Explicit congestion notification (RFC 3168 §6.1): routers mark instead of dropping, the receiver echoes by ECE until CWR says that the sender has heard.
internal sealed partial class TcpEndpoint
{
    /// <summary>A SYN of ours asked for ECN. The answer to it may come after a later SYN has not asked any more.</summary>
    private bool _hasAskedEcn;

    /// <summary>Congestion was experienced on the way to us: ECE on every segment until CWR arrives (RFC 3168 §6.1.3).</summary>
    private bool _isEchoingCongestion;

    /// <summary>The window was reduced: CWR goes on the next new data (RFC 3168 §6.1.2).</summary>
    private bool _isCwrDue;

    /// <summary>
    /// The first SYN asks, those after it do not: something on the path may drop what it does not know (RFC 3168 §6.1.1.1). One that offers CRYPT never asks, since tcpcryptd takes a SYN
    /// with other flags for no opener.
    /// </summary>
    private bool IsAskingForEcn => _core.Options.Tcp.ExplicitCongestionNotification is true && _synTransmissions == 0 && _crypt is not { IsSetup: true };

    /// <summary>ECN-setup SYN: both flags, and not ECN-capable itself, which no sender may be before both have agreed (RFC 3168 §6.1.1).</summary>
    internal static bool IsEcnSetupSyn(scoped in Segment seg) => (seg.Flags & (TcpFlags.Ece | TcpFlags.Cwr)) == (TcpFlags.Ece | TcpFlags.Cwr) && seg.Ecn == Ecn.NotEct;

    /// <summary>The peer's SYN or SYN,ACK answers ours. ECE and CWR together in a SYN,ACK are an echo of reserved bits, not an answer (RFC 3168 §6.1.1).</summary>
    private bool AgreesToEcn(scoped in Segment seg) =>
        _hasAskedEcn && (seg.IsAck ? (seg.Flags & (TcpFlags.Ece | TcpFlags.Cwr)) == TcpFlags.Ece : IsEcnSetupSyn(seg));

    /// <summary>The flags of a segment that leaves, and whether its packet is ECN-capable: new data is, nothing else (RFC 3168 §6.1.4-6.1.6).</summary>
    private TcpFlags MarkEcn(TcpFlags flags, bool isNewData, out Ecn codepoint)
    {
        codepoint = Ecn.NotEct;
        if (!_agreed.Ecn || (flags & TcpFlags.Rst) != 0)
        {
            return flags;
        }

        if (_isEchoingCongestion)
        {
            flags |= TcpFlags.Ece;
        }

        if (isNewData)
        {
            codepoint = Ecn.Ect0;
            if (_isCwrDue)
            {
                _isCwrDue = false;
                flags |= TcpFlags.Cwr;
            }
        }

        return flags;
    }

    /// <summary>A segment within the window has arrived. CWR on any ends the echo (RFC 3168 §6.1.3: a packet with CWR); marks on anything but text are not believed (§6.1.5).</summary>
    private void OnMarked(scoped in Segment seg)
    {
        if (!_agreed.Ecn)
        {
            return;
        }

        bool hasText = seg.Payload.Length > 0;
        if ((seg.Flags & TcpFlags.Cwr) != 0)
        {
            // The sender's window may be a single segment now: it is not kept waiting. An ACK alone is never answered.
            _isEchoingCongestion = false;
            _ackNow |= hasText;
        }

        if (hasText && seg.Ecn == Ecn.Ce)
        {
            if (!_isEchoingCongestion)
            {
                _core.Counters.TcpCongestionExperienced++;
                _ackNow = true;
            }

            _isEchoingCongestion = true;
        }
    }
}
