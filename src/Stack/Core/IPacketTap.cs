namespace Tcpcrypt.Core;

/// <summary>Sees packets as they pass the core's border, for captures. Called inside the core: it copies and returns.</summary>
internal interface IPacketTap
{
    /// <summary>A packet came in or went out (super-segments whole).</summary>
    void OnPacket(TcpInstant now, ReadOnlySpan<byte> packet, int gsoSize, bool outbound);

    /// <summary>A received packet was dropped.</summary>
    void OnDropped(TcpInstant now, ReadOnlySpan<byte> packet, DropReason reason);
}
