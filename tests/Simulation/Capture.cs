using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>Writes what was put on the link as pcapng; what became of each packet is its comment.</summary>
internal sealed class Capture(string path) : IDisposable
{
    private readonly FileStream _file = File.Create(path);
    private readonly PcapngWriter _writer = new();
    private bool _isBegun;

    public void Add(LinkPacket packet)
    {
        if (!_isBegun)
        {
            _isBegun = true;
            _file.Write(_writer.WriteHeader("Tcpcrypt simulation", "A", 65_535).Span);
        }

        _file.Write(_writer.WritePacket(packet.TimeNs, packet.Packet.Span, packet.Packet.Length, packet.FromA ? CaptureDirection.Outbound : CaptureDirection.Inbound, packet.Fate.ToString(), 0).Span);
    }

    public void Dispose() => _file.Dispose();
}
