using System.Buffers.Binary;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt;

/// <summary>Turns packets as the core has them into packets as a reader of captures expects them: cut, with complete checksums.</summary>
internal sealed class CapturedPacketFormatter(bool splitSuperSegments)
{
    private readonly PacketSlot _whole = new();
    private readonly PacketSlot _part = new();

    /// <summary>Takes a packet; returns how many it stands for. Only a wholly captured one can be changed.</summary>
    public int Load(ReadOnlySpan<byte> packet, in CaptureRecord record)
    {
        _whole.CopyFrom(packet);
        if (record.Captured < record.Length)
        {
            return 1;
        }

        _whole.GsoSize = record.GsoSize;
        if (record.GsoSize > 0)
        {
            // What its checksum field holds depends on where it comes from; in no case the whole packet's checksum.
            _whole.Checksum = ChecksumState.Partial;
            if (splitSuperSegments)
            {
                return SoftwareOffload.SegmentCount(_whole);
            }

            RepairTotalLength(_whole.Packet);
            SoftwareOffload.CompleteChecksum(_whole);
        }
        else if (record.Reason is not (DropReason.TcpBadChecksum or DropReason.UdpBadChecksum) && IsPartial(_whole.Packet))
        {
            _whole.Checksum = ChecksumState.Partial;
            SoftwareOffload.CompleteChecksum(_whole);
        }

        return 1;
    }

    /// <summary>One of the packets.</summary>
    public ReadOnlySpan<byte> Get(int index, int count)
    {
        if (count == 1 && _whole.GsoSize == 0)
        {
            return _whole.Packet;
        }

        if (!splitSuperSegments)
        {
            return _whole.Packet;
        }

        SoftwareOffload.Segment(_whole, index, _part);
        return _part.Packet;
    }

    /// <summary>True when the transport checksum is left to the device: the field holds the pseudo header's sum, and the packet does not add up.</summary>
    /// <remarks>The tap is not told. A complete checksum can look like the pseudo header's sum, but then the packet adds up; a wrong one does by chance, once in 65,536.</remarks>
    private static bool IsPartial(ReadOnlySpan<byte> packet)
    {
        if (Ipv4Header.TryParse(packet, out Ipv4Header ip, verifyChecksum: false) != Ipv4ParseError.None || ip.IsFragment)
        {
            return false;
        }

        int field = ip.Protocol switch
        {
            IpProtocol.Tcp when ip.Payload.Length >= TcpHeader.MinLength => TcpHeader.ChecksumOffset,
            IpProtocol.Udp when ip.Payload.Length >= UdpHeader.Length => UdpHeader.ChecksumOffset,
            _ => -1,
        };
        if (field < 0)
        {
            return false;
        }

        ulong pseudo = InternetChecksum.PseudoHeader(ip.Source, ip.Destination, ip.Protocol, ip.Payload.Length);
        return BinaryPrimitives.ReadUInt16BigEndian(ip.Payload[field..]) == InternetChecksum.Fold(pseudo) && !InternetChecksum.IsValid(ip.Payload, pseudo);
    }

    private static void RepairTotalLength(Span<byte> packet)
    {
        if (Ipv4Header.TryParse(packet, out Ipv4Header ip, verifyChecksum: false, isSuperSegment: true) == Ipv4ParseError.None
            && BinaryPrimitives.ReadUInt16BigEndian(packet[2..]) != packet.Length)
        {
            Span<byte> header = packet[..ip.HeaderLength];
            BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)packet.Length);
            header[10] = 0;
            header[11] = 0;
            BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Finish(InternetChecksum.Sum(header)));
        }
    }
}
