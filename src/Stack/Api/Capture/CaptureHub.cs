using Tcpcrypt.Core;
using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>The core's one tap, for any number of captures. All but <see cref="Lost"/> is called under the core's lock.</summary>
internal sealed class CaptureHub(StackHost host) : IPacketTap
{
    private PacketCapture[] _captures = [];
    private long _lost;

    /// <summary>Packets that captures have lost.</summary>
    public long Lost => Volatile.Read(ref _lost);

    public void Add(PacketCapture capture)
    {
        _captures = [.. _captures, capture];
        host.Core.Tap = this;
    }

    /// <summary>Without captures the core has no tap, and a packet costs nothing.</summary>
    public void Remove(PacketCapture capture)
    {
        _captures = [.. _captures.Where(other => other != capture)];
        if (_captures.Length == 0)
        {
            host.Core.Tap = null;
        }
    }

    public void CountLost() => _lost++;

    public void OnPacket(TcpInstant now, ReadOnlySpan<byte> packet, int gsoSize, bool outbound)
    {
        foreach (PacketCapture capture in _captures)
        {
            capture.OnPacket(now, packet, gsoSize, outbound);
        }
    }

    public void OnDropped(TcpInstant now, ReadOnlySpan<byte> packet, DropReason reason)
    {
        foreach (PacketCapture capture in _captures)
        {
            capture.OnDropped(now, packet, reason);
        }
    }
}
