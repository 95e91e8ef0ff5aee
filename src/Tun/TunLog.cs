using Microsoft.Extensions.Logging;

namespace Tcpcrypt.Tun;

/// <summary>What the device logs; event ids 1000 to 1999.</summary>
internal static partial class TunLog
{
    [LoggerMessage(1000, LogLevel.Debug, "Opened TUN device {Name}: MTU {Mtu}, {Queues} queue(s), offloads {Offloads}")]
    public static partial void Opened(ILogger logger, string name, int mtu, int queues, PacketOffloads offloads);

    [LoggerMessage(1001, LogLevel.Warning, "TUN device {Name} works with offloads {Offloads} only, the rest is done in software at a cost in CPU: {Reason}")]
    public static partial void OffloadFallback(ILogger logger, string name, PacketOffloads offloads, string reason);

    [LoggerMessage(1002, LogLevel.Debug, "Closed TUN device {Name}; packets dropped: {ReadDrops} on read, {WriteDrops} on write")]
    public static partial void Closed(ILogger logger, string name, long readDrops, long writeDrops);

    [LoggerMessage(1003, LogLevel.Debug, "The kernel would not switch off automatic IPv6 addresses on {Name} ({Reason}); its neighbour discovery packets are ignored")]
    public static partial void Ipv6AddressesRemain(ILogger logger, string name, string reason);
}
