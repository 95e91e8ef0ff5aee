using System.Net;
using System.Net.NetworkInformation;

namespace Tcpcrypt;

/// <summary>How <see cref="IpStack.PingAsync"/> asks.</summary>
public sealed class EchoOptions
{
    /// <summary>Octets of data in the request: 0 to 65,507; 56 at first, which makes a packet of 84.</summary>
    public int DataLength { get; set; } = 56;

    /// <summary>The request's time to live: 1 to 255, 64 at first. A router where it ends answers with <see cref="IPStatus.TtlExpired"/>.</summary>
    public byte Ttl { get; set; } = 64;

    /// <summary>How long to wait for an answer; 4 seconds at first.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(4);

    /// <summary>Forbids fragmentation on the way: a request longer than the path's MTU is answered with <see cref="IPStatus.PacketTooBig"/> and the MTU.</summary>
    public bool DontFragment { get; set; }

    internal EchoOptions Validated()
    {
        EchoOptions copy = (EchoOptions)MemberwiseClone();
        ApiArgument.InRange(copy.DataLength, 0, StackUdpSocket.MaxPayload, nameof(DataLength));
        ApiArgument.InRange(copy.Ttl, 1, 255, nameof(Ttl));
        ApiArgument.Positive(copy.Timeout, nameof(Timeout));
        return copy;
    }
}

/// <summary>What came of an echo request (RFC 792).</summary>
/// <param name="Status">Success, TimedOut, or what an ICMP error said.</param>
/// <param name="From">Who answered: the target, or a router that reported an error; null when nobody did.</param>
/// <param name="RoundTrip">The time from sending to the answer.</param>
/// <param name="Ttl">The answer's time to live on arrival; 0 without one.</param>
/// <param name="PathMtu">The path's MTU in octets when <paramref name="Status"/> is <see cref="IPStatus.PacketTooBig"/>, as far as it is known; else 0.</param>
public readonly record struct EchoReply(IPStatus Status, IPAddress? From, TimeSpan RoundTrip, byte Ttl, int PathMtu);
