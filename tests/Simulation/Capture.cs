using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>Writes what was put on the link as pcapng; what became of each packet is its comment.</summary>
internal sealed class Capture(string path) : IDisposable
{
    private readonly FileStream _file = File.Create(path);
    private readonly PcapngWriter _writer = new();
    private bool _isBegun;

    public void Add(LinkPacket packet) => Add(packet.TimeNs, packet.FromA, packet.Packet, packet.Fate.ToString());

    public void Add(long timeNs, bool fromA, ReadOnlyMemory<byte> packet, string fate)
    {
        if (!_isBegun)
        {
            _isBegun = true;
            _file.Write(_writer.WriteHeader("Tcpcrypt simulation", "A", 65_535).Span);
        }

        _file.Write(_writer.WritePacket(timeNs, packet.Span, packet.Length, fromA ? CaptureDirection.Outbound : CaptureDirection.Inbound, fate, 0).Span);
    }

    public void Dispose() => _file.Dispose();
}
