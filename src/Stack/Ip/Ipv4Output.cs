using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

/// <summary>A datagram under construction: the transport's part is written into <see cref="Payload"/>, then <see cref="Ipv4Layer.SendDatagram"/> adds IP.</summary>
internal readonly ref struct OutgoingDatagram
{
    /// <summary>The packet itself when one is enough; null when the datagram will be fragmented.</summary>
    public required PacketSlot? Slot { get; init; }

    /// <summary>Room for exactly the transport header and data.</summary>
    public required Span<byte> Payload { get; init; }

    public required Ipv4Address Destination { get; init; }

    public required int Mtu { get; init; }

    public required bool DontFragment { get; init; }
}

internal sealed partial class Ipv4Layer
{
    /// <summary>The longest IP payload: 65,535 less the header.</summary>
    public const int MaxPayloadLength = PacketSlot.MaxPacketLength - Ipv4Header.MinLength;

    public const byte DefaultTimeToLive = 64;

    private byte[]? _fragmentation;

    /// <summary>Starts a datagram of UDP or ICMP. Fails with NetworkUnreachable, MessageSize (too long, or too long not to be fragmented) or NoBufferSpaceAvailable.</summary>
    public SocketError BeginDatagram(TcpInstant now, Ipv4Address destination, int payloadLength, bool dontFragment, out OutgoingDatagram datagram)
    {
        datagram = default;
        if (!TryRoute(destination, out _))
        {
            _core.Counters.CountDrop(DropReason.IpNoRoute);
            return SocketError.NetworkUnreachable;
        }

        int mtu = PathMtu(now, destination);
        int length = Ipv4Header.MinLength + payloadLength;
        PacketSlot? slot = null;
        Span<byte> payload;
        if (length <= mtu)
        {
            slot = _core.RentOutput(length);
            if (slot is null)
            {
                return SocketError.NoBufferSpaceAvailable;
            }

            slot.Length = length;
            payload = slot.Packet[Ipv4Header.MinLength..];
        }
        else if (dontFragment || payloadLength > MaxPayloadLength)
        {
            return SocketError.MessageSize;
        }
        else
        {
            _fragmentation ??= new byte[MaxPayloadLength];
            payload = _fragmentation.AsSpan(0, payloadLength);
        }

        datagram = new OutgoingDatagram { Slot = slot, Payload = payload, Destination = destination, Mtu = mtu, DontFragment = dontFragment };
        return SocketError.Success;
    }

    /// <summary>Adds the IP header and hands the datagram to the core, in fragments where it is longer than the path's MTU.</summary>
    public SocketError SendDatagram(scoped in OutgoingDatagram datagram, byte protocol, Ipv4Address source, byte timeToLive, byte typeOfService)
    {
        ushort identification = NextIdentification(source, datagram.Destination, protocol);
        if (datagram.Slot is { } slot)
        {
            ushort flags = datagram.DontFragment ? Ipv4Header.DontFragment : (ushort)0;
            Ipv4Header.Write(slot.Packet, protocol, source, datagram.Destination, identification, timeToLive, typeOfService, flags);
            _core.Send(slot);
            return SocketError.Success;
        }

        // Sending may loop back and start another datagram: this one keeps its buffer meanwhile.
        byte[]? buffer = _fragmentation;
        _fragmentation = null;
        SocketError result = SendFragments(datagram, protocol, source, identification, timeToLive, typeOfService);
        _fragmentation = buffer;
        return result;
    }

    /// <summary>RFC 791 §3.2: every fragment but the last carries a multiple of 8 octets.</summary>
    private SocketError SendFragments(scoped in OutgoingDatagram datagram, byte protocol, Ipv4Address source, ushort identification, byte timeToLive, byte typeOfService)
    {
        int perFragment = (datagram.Mtu - Ipv4Header.MinLength) & ~7;
        ReadOnlySpan<byte> rest = datagram.Payload;
        int offset = 0;
        while (!rest.IsEmpty)
        {
            int count = Math.Min(perFragment, rest.Length);
            PacketSlot? slot = _core.RentOutput(Ipv4Header.MinLength + count);
            if (slot is null)
            {
                // What was sent already is of no use to anybody, and times out at the receiver.
                return SocketError.NoBufferSpaceAvailable;
            }

            slot.Length = Ipv4Header.MinLength + count;
            rest[..count].CopyTo(slot.Packet[Ipv4Header.MinLength..]);
            rest = rest[count..];
            ushort flagsAndOffset = (ushort)((offset / 8) | (rest.IsEmpty ? 0 : Ipv4Header.MoreFragments));
            Ipv4Header.Write(slot.Packet, protocol, source, datagram.Destination, identification, timeToLive, typeOfService, flagsAndOffset);
            _core.Send(slot);
            _core.Counters.IpFragCreates++;
            offset += count;
        }

        _core.Counters.IpFragOKs++;
        return SocketError.Success;
    }
}
