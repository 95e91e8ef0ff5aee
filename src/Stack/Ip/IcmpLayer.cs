using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Ip;

/// <summary>ICMP of one stack (RFC 792, RFC 1122 §3.2.2): echo both ways here; errors in IcmpErrorInput.cs and IcmpErrorOutput.cs.</summary>
internal sealed partial class IcmpLayer
{
    /// <summary>Echo requests that may wait for their reply at once.</summary>
    public const int MaxExchanges = 4096;

    private readonly StackCore _core;
    private readonly IcmpRateLimiter _limiter;
    private readonly Dictionary<uint, EchoExchange> _exchanges = [];

    public IcmpLayer(StackCore core)
    {
        _core = core;
        _limiter = new IcmpRateLimiter(core.Options.IcmpPerSecond, core.Random);
    }

    /// <summary>A message for a local, mapped or broadcast address.</summary>
    public void OnMessage(TcpInstant now, scoped in Ipv4Header ip, PacketSlot packet)
    {
        _core.Counters.IcmpInMsgs++;
        if (!IcmpHeader.TryParse(ip.Payload, out IcmpHeader message))
        {
            _core.Counters.IcmpInErrors++;
            _core.Drop(now, DropReason.IcmpTooShort, ip.Octets);
            return;
        }

        if (!InternetChecksum.IsValid(message.Octets))
        {
            _core.Counters.IcmpInErrors++;
            _core.Drop(now, DropReason.IcmpBadChecksum, ip.Octets);
            return;
        }

        DropReason reason = message.Type switch
        {
            IcmpType.Echo => OnEcho(now, ip, message),
            IcmpType.EchoReply => OnEchoReply(now, ip, message),
            IcmpType.DestinationUnreachable or IcmpType.TimeExceeded or IcmpType.ParameterProblem => OnError(now, ip, message),

            // RFC 6633 deprecates source quench; routes are configured, not redirected; and the queries tell strangers what they need not know:
            // router advertisement and solicitation, timestamp, information, address mask.
            IcmpType.SourceQuench or IcmpType.Redirect or 9 or 10 or (>= 13 and <= 18) => DropReason.IcmpIgnoredType,
            _ => DropReason.IcmpUnknownType,
        };
        if (reason != DropReason.None)
        {
            _core.Drop(now, reason, ip.Octets);
        }
    }

    /// <summary>
    /// Sends an echo request of <paramref name="dataLength"/> octets. Success means that it left; the result is the exchange's Closed event.
    /// Fails with NetworkUnreachable, MessageSize, InvalidArgument or NoBufferSpaceAvailable.
    /// </summary>
    public SocketError SendEcho(TcpInstant now, Ipv4Address target, int dataLength, byte timeToLive, bool dontFragment, TimeSpan timeout, out EchoExchange? exchange)
    {
        exchange = null;
        if (dataLength < 0 || timeToLive == 0)
        {
            return SocketError.InvalidArgument;
        }

        if (dataLength > Ipv4Layer.MaxPayloadLength - IcmpHeader.Length)
        {
            return SocketError.MessageSize;
        }

        if (_exchanges.Count >= MaxExchanges)
        {
            return SocketError.NoBufferSpaceAvailable;
        }

        if (!_core.Ip.TryRoute(target, out Ipv4Route route))
        {
            return SocketError.NetworkUnreachable;
        }

        SocketError error = _core.Ip.BeginDatagram(now, target, IcmpHeader.Length + dataLength, dontFragment, out OutgoingDatagram datagram);
        if (error != SocketError.Success)
        {
            return error;
        }

        // Nobody but the target and those on the way can know both numbers: a reply or an error that carries them is believed.
        uint key;
        do
        {
            key = _core.Random.NextUInt32();
        }
        while (_exchanges.ContainsKey(key));

        FillPattern(datagram.Payload[IcmpHeader.Length..]);
        IcmpHeader.Write(datagram.Payload, IcmpType.Echo, 0, key);
        EchoExchange started = new(this, key, target, dataLength, now, timeout);
        _exchanges.Add(key, started);
        _core.Deadlines.Update(started);
        _core.Counters.IcmpOutMsgs++;
        error = _core.Ip.SendDatagram(datagram, IpProtocol.Icmp, route.Source, timeToLive, typeOfService: 0);
        if (error != SocketError.Success)
        {
            Forget(started);
            return error;
        }

        exchange = started;
        return SocketError.Success;
    }

    internal void Forget(EchoExchange exchange)
    {
        if (_exchanges.Remove(exchange.Key))
        {
            _core.Deadlines.Remove(exchange);
        }
    }

    internal void End(TcpInstant now, EchoExchange exchange, IPStatus status, Ipv4Address from, byte timeToLive, int pathMtu)
    {
        if (_exchanges.Remove(exchange.Key))
        {
            exchange.SetResult(now, status, from, timeToLive, pathMtu);
            _core.Deadlines.Remove(exchange);
            _core.Raise(exchange, CoreEvents.Closed);
        }
    }

    /// <summary>RFC 1122 §3.2.2.6: the data comes back whole, from the address that was asked. Broadcasts are not answered (smurf).</summary>
    private DropReason OnEcho(TcpInstant now, scoped in Ipv4Header ip, scoped in IcmpHeader request)
    {
        _core.Counters.IcmpInEchos++;
        if (_core.Ip.IsBroadcast(ip.Destination))
        {
            return DropReason.IcmpBroadcastEcho;
        }

        if (!_core.Ip.IsLocalAddress(ip.Destination))
        {
            // Mapped: whether that host lives is not ours to say.
            return DropReason.IpNotLocalDestination;
        }

        if (!_core.Options.RespondToEcho || request.Code != 0)
        {
            return DropReason.IcmpIgnoredType;
        }

        SocketError error = _core.Ip.BeginDatagram(now, ip.Source, request.Octets.Length, dontFragment: false, out OutgoingDatagram reply);
        if (error != SocketError.Success)
        {
            return error == SocketError.NoBufferSpaceAvailable ? DropReason.None : DropReason.IpNoRoute;
        }

        request.Octets.CopyTo(reply.Payload);
        IcmpHeader.Write(reply.Payload, IcmpType.EchoReply, 0, ((uint)request.Identifier << 16) | request.SequenceNumber);
        _core.Counters.IcmpOutMsgs++;
        _core.Counters.IcmpOutEchoReps++;

        // The service class of the request, but not its ECN field: nothing here reacts to congestion (RFC 3168 §5).
        _core.Ip.SendDatagram(reply, IpProtocol.Icmp, ip.Destination, Ipv4Layer.DefaultTimeToLive, (byte)(ip.TypeOfService & 0xFC));
        return DropReason.None;
    }

    private DropReason OnEchoReply(TcpInstant now, scoped in Ipv4Header ip, scoped in IcmpHeader reply)
    {
        _core.Counters.IcmpInEchoReps++;
        uint key = ((uint)reply.Identifier << 16) | reply.SequenceNumber;
        if (!_exchanges.TryGetValue(key, out EchoExchange? exchange) || exchange.Target != ip.Source
            || reply.Body.Length > exchange.DataLength || !HasPattern(reply.Body))
        {
            return DropReason.IcmpNoSuchFlow;
        }

        // A reply cut short is one all the same: some routers send back only the first octets.
        End(now, exchange, IPStatus.Success, ip.Source, ip.TimeToLive, 0);
        return DropReason.None;
    }

    private static void FillPattern(Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = (byte)i;
        }
    }

    private static bool HasPattern(ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            if (data[i] != (byte)i)
            {
                return false;
            }
        }

        return true;
    }
}
