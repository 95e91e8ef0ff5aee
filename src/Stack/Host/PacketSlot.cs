namespace Tcpcrypt;

/// <summary>What is known about a packet's transport checksum (the virtio-net notion).</summary>
public enum ChecksumState
{
    /// <summary>Nothing is known: a receiver verifies the checksum; a sent packet carries a complete one.</summary>
    Unverified,

    /// <summary>The device vouches for the checksum (VIRTIO_NET_HDR_F_DATA_VALID).</summary>
    Verified,

    /// <summary>The field holds only the pseudo-header sum (VIRTIO_NET_HDR_F_NEEDS_CSUM). Received: the data never left this machine and is good. Sent: the device completes it.</summary>
    Partial,
}

/// <summary>
/// One IPv4 packet in a buffer that is reused: its octets, and what the link knows about it. A packet may be a super-segment of up to 65,535 octets
/// (TSO/GRO): one header, and a payload to be cut into <see cref="GsoSize"/>-octet segments.
/// </summary>
/// <remarks>A slot has one owner at a time. Not thread-safe.</remarks>
public sealed class PacketSlot
{
    /// <summary>Room kept in front of the packet for a device's own header (virtio-net: 10 or 12 octets), in octets.</summary>
    public const int Headroom = 16;

    /// <summary>The capacity that holds any IPv4 packet, in octets.</summary>
    public const int MaxPacketLength = 65_535;

    private readonly byte[] _buffer;

    /// <summary>Makes a slot on the pinned object heap.</summary>
    /// <param name="capacity">The longest packet that it can hold, in octets: 20 to 65,535.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="capacity"/> is out of range.</exception>
    public PacketSlot(int capacity = MaxPacketLength)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 20);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, MaxPacketLength);
        Capacity = capacity;
        _buffer = GC.AllocateUninitializedArray<byte>(Headroom + capacity, pinned: true);
    }

    /// <summary>The longest packet that fits, in octets.</summary>
    public int Capacity { get; }

    /// <summary>The packet's length, in octets; 0 when the slot is empty.</summary>
    public int Length { get; set; }

    /// <summary>Payload octets per segment of a super-segment; 0 for an ordinary packet.</summary>
    public int GsoSize { get; set; }

    /// <summary>The length of the IP and transport headers, in octets; 0 when not known. Set whenever <see cref="GsoSize"/> or <see cref="ChecksumState.Partial"/> is.</summary>
    public int HeaderLength { get; set; }

    /// <summary>What is known about the transport checksum.</summary>
    public ChecksumState Checksum { get; set; }

    /// <summary>The packet's octets.</summary>
    public Span<byte> Packet => _buffer.AsSpan(Headroom, Length);

    /// <summary>The whole room for a packet, whatever <see cref="Length"/> says: what a device reads into.</summary>
    public Memory<byte> Room => _buffer.AsMemory(Headroom, Capacity);

    /// <summary>The headroom followed by the room: for devices that put their own header in front. The packet starts at index <see cref="Headroom"/>.</summary>
    public Memory<byte> RoomWithHeadroom => _buffer;

    /// <summary>Makes the slot empty.</summary>
    public void Clear()
    {
        Length = 0;
        GsoSize = 0;
        HeaderLength = 0;
        Checksum = ChecksumState.Unverified;
    }

    /// <summary>Makes this slot a copy of <paramref name="source"/>.</summary>
    /// <param name="source">The packet to copy.</param>
    /// <exception cref="ArgumentException">The packet does not fit.</exception>
    public void CopyFrom(PacketSlot source)
    {
        ArgumentNullException.ThrowIfNull(source);
        CopyFrom(source.Packet);
        GsoSize = source.GsoSize;
        HeaderLength = source.HeaderLength;
        Checksum = source.Checksum;
    }

    /// <summary>Puts an ordinary packet with an unverified checksum into the slot.</summary>
    /// <param name="packet">The packet's octets.</param>
    /// <exception cref="ArgumentException">The packet does not fit.</exception>
    public void CopyFrom(ReadOnlySpan<byte> packet)
    {
        if (packet.Length > Capacity)
        {
            throw new ArgumentException($"A packet of {packet.Length} octets does not fit a slot of {Capacity}.", nameof(packet));
        }

        Clear();
        packet.CopyTo(_buffer.AsSpan(Headroom));
        Length = packet.Length;
    }
}
