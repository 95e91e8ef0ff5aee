using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Crypt;

/// <summary>What TIME-WAIT keeps of an encrypted connection: the keys, since the repeated FIN and the ACK that answers it are under MAC ([TD-81]).</summary>
internal sealed class TimeWaitCrypt(SegmentProtection protection, CryptOptionKinds kinds, ulong sendOffset, ulong receiveOffset, long generation) : IDisposable
{
    /// <summary>True when the segment has a valid MAC. Anything else has no effect.</summary>
    public bool IsAuthentic(TimeWaitRecord record, scoped in Segment seg)
    {
        CryptOptions options = CryptOptions.Parse(seg.Options, kinds, isOpeningSyn: false);
        if (options.TagOffset < 0)
        {
            return false;
        }

        ulong sequence = unchecked(receiveOffset + (ulong)(long)(seg.Seq - record.RcvNxt));
        ulong acknowledgment = seg.IsAck ? unchecked(sendOffset + (ulong)(long)(seg.Ack - record.SndNxt)) : 0;
        return protection.TryOpen(seg.Octets, TcpHeader.MinLength + options.TagOffset, sequence, acknowledgment, generation);
    }

    public void Acknowledge(TcpInstant now, TcpLayer tcp, TimeWaitRecord record)
    {
        if (tcp.Core.RentOutput(SegmentWriter.PayloadOffset(TcpHeader.MaxOptionsLength)) is not { } slot)
        {
            return;
        }

        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        if (record.HasTimestamps)
        {
            options.Timestamps(unchecked(now.Milliseconds + record.TsOffset), record.TsRecent);
        }

        int tagOffset = TcpHeader.MinLength + options.Length + 2;
        options.Option(kinds.Mac, stackalloc byte[16]);
        options.Pad();
        SegmentWriter.Write(
            slot,
            new SegmentFields
            {
                Tuple = record.Tuple,
                Seq = record.SndNxt,
                Ack = record.RcvNxt,
                Flags = TcpFlags.Ack,
                Window = record.Window,
                TimeToLive = record.TimeToLive,
                TypeOfService = (byte)(record.TypeOfService & 0xFC),
                Options = options.Written,
            },
            0);
        protection.Seal(slot.Packet[Ipv4Header.MinLength..], tagOffset, sendOffset, receiveOffset, generation);
        tcp.Core.Counters.TcpOutSegs++;
        tcp.Core.Send(slot);
    }

    public void Dispose() => protection.Dispose();
}
