using System.Net;

namespace Tcpcrypt;

/// <summary>A datagram that was received.</summary>
/// <param name="Count">Octets put into the buffer.</param>
/// <param name="Remote">Who sent it.</param>
/// <param name="LocalAddress">The address that it was sent to.</param>
/// <param name="Truncated">True when the datagram was longer than the buffer; the rest is lost.</param>
public readonly record struct UdpReceive(int Count, IPEndPoint Remote, IPAddress LocalAddress, bool Truncated);
