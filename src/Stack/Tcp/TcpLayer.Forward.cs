using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>A SYN to a mapped destination (<see cref="TcpLayer.Forward"/>) that nobody has answered yet.</summary>
internal sealed class TcpForward : CoreObject
{
    private readonly TcpLayer _tcp;
    private readonly TcpForwardMap _map;
    private readonly HalfOpen _half;
    private readonly byte[] _syn;
    private readonly byte[] _synOptions;
    private bool _isDecided;

    internal TcpForward(TcpLayer tcp, TcpForwardMap map, HalfOpen half, byte[] syn, byte[] synOptions)
    {
        _tcp = tcp;
        _map = map;
        _half = half;
        _syn = syn;
        _synOptions = synOptions;
    }

    /// <summary>Who sent the SYN.</summary>
    public Endpoint4 Source => _half.Tuple.Remote;

    /// <summary>Where it wants to go; becomes the connection's local end.</summary>
    public Endpoint4 Destination => _half.Tuple.Local;

    internal FourTuple Tuple => _half.Tuple;

    public override TcpInstant Deadline => TcpInstant.Never;

    /// <summary>Why <see cref="Accept"/> refused the SYN under policy Required; Pending when it did not.</summary>
    public TcpcryptOutcome Refusal { get; private set; }

    /// <summary>Answers the SYN. The endpoint raises Connected when the handshake completes, Closed when it fails.</summary>
    public SocketError Accept(TcpInstant now, TcpEndpointOptions options, out TcpEndpoint? endpoint)
    {
        endpoint = null;
        if (!Decide())
        {
            return SocketError.OperationAborted;
        }

        if (_tcp.IsFull)
        {
            return SocketError.NoBufferSpaceAvailable;
        }

        options.Transparent = true;
        CryptBlock? crypt = _tcp.SynCache.AnswerCrypt(options, _half.Tuple.Remote.Address, _synOptions, _half.Agreed);
        HalfOpen half = new(_tcp.SynCache)
        {
            Tuple = _half.Tuple,
            Options = options,
            Iss = _half.Iss,
            Irs = _half.Irs,
            Agreed = _half.Agreed with { Ecn = _half.Agreed.Ecn && crypt is not { IsSetup: true } },
            Window = (uint)Math.Min(options.ReceiveBufferSize, 0xFFFF),
            Shift = _half.Agreed.WindowScaling ? SynAgreement.ShiftFor(options.ReceiveBufferSize) : (byte)0,
            TsRecent = _half.TsRecent,
            ArrivedAt = now,
            Crypt = crypt,
        };
        if (half.Crypt is { IsRefused: true })
        {
            Refusal = half.Crypt.Outcome;
            _tcp.Core.Counters.CountDrop(DropReason.CryptRefused);
            half.Crypt.Layer.CountFailed(half.Tuple, Refusal);
            SendReset();
            return SocketError.ConnectionAborted;
        }

        endpoint = TcpEndpoint.FromForward(_tcp, now, _tcp.NextId(), half);
        _tcp.Add(endpoint, half.Tuple);
        _tcp.Core.Counters.TcpPassiveOpens++;
        return SocketError.Success;
    }

    /// <summary>RST.</summary>
    public void Reset(TcpInstant now)
    {
        if (Decide())
        {
            SendReset();
        }
    }

    /// <summary>ICMP destination unreachable with this code.</summary>
    public void Unreachable(TcpInstant now, byte code)
    {
        if (Decide() && Ipv4Header.TryParse(_syn, out Ipv4Header about, verifyChecksum: false) == Ipv4ParseError.None)
        {
            _tcp.Core.Ip.SendUnreachable(now, about, code);
        }
    }

    /// <summary>Forgets the SYN: a repeated one is a new request.</summary>
    public void Drop() => Decide();

    public override void OnDeadline(TcpInstant now)
    {
    }

    private void SendReset()
    {
        _tcp.Core.Counters.TcpOutRsts++;
        _tcp.SendControl(_half.Tuple, default, _half.Irs + 1, TcpFlags.Rst | TcpFlags.Ack, 0, null);
    }

    private bool Decide()
    {
        if (_isDecided)
        {
            return false;
        }

        _isDecided = true;
        _map.Forget(this);
        return true;
    }
}

/// <summary>Destinations whose SYNs a handler decides on, with its limits.</summary>
internal sealed class TcpForwardMap(TcpLayer tcp, Ipv4Address network, int prefixLength, int maxInFlight, int maxInFlightPerSource, Action<TcpForward> handler) : IDisposable
{
    private readonly uint _mask = prefixLength == 0 ? 0 : uint.MaxValue << (32 - prefixLength);
    private readonly Dictionary<FourTuple, TcpForward> _inFlight = [];
    private readonly Dictionary<Ipv4Address, int> _perSource = [];

    public int PrefixLength => prefixLength;

    public bool Contains(Ipv4Address address) => (address.Value & _mask) == (network.Value & _mask);

    public void Dispose() => tcp.Unmap(this);

    public SegmentVerdict OnSyn(TcpInstant now, in FourTuple tuple, scoped in Segment seg)
    {
        if (_inFlight.ContainsKey(tuple))
        {
            return SegmentVerdict.Processed;    // repeated while the handler thinks
        }

        int ofSource = _perSource.GetValueOrDefault(tuple.Remote.Address);
        if (_inFlight.Count >= maxInFlight || ofSource >= maxInFlightPerSource)
        {
            return DropReason.TcpForwardLimit;
        }

        SynOptions options = SynOptions.Parse(seg.Options);
        if (options.IsMalformed)
        {
            return DropReason.TcpSynMalformedOptions;
        }

        // The quote of a later ICMP error: headers, no data.
        byte[] syn = new byte[Ipv4Header.MinLength + TcpHeader.MinLength];
        Ipv4Header.Write(syn, IpProtocol.Tcp, tuple.Remote.Address, tuple.Local.Address, 0);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(syn.AsSpan(20), tuple.Remote.Port);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(syn.AsSpan(22), tuple.Local.Port);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(syn.AsSpan(24), seg.Seq.Value);
        syn[32] = 5 << 4;
        syn[33] = (byte)TcpFlags.Syn;

        HalfOpen half = tcp.SynCache.Create(now, null, TcpEndpointOptions.From(tcp.Core.Options.Tcp), tuple, seg, options, null);
        TcpForward forward = new(tcp, this, half, syn, seg.Options.ToArray());
        _inFlight.Add(tuple, forward);
        _perSource[tuple.Remote.Address] = ofSource + 1;
        handler(forward);
        return SegmentVerdict.Processed;
    }

    public void Forget(TcpForward forward)
    {
        if (_inFlight.Remove(forward.Tuple))
        {
            Ipv4Address source = forward.Source.Address;
            if (--_perSource[source] == 0)
            {
                _perSource.Remove(source);
            }
        }
    }
}

internal sealed partial class TcpLayer
{
    private readonly List<TcpForwardMap> _maps = [];

    /// <summary>True when a destination address is taken by a <see cref="Forward"/> handler: such SYNs count as local.</summary>
    public bool IsMapped(Ipv4Address destination)
    {
        foreach (TcpForwardMap map in _maps)
        {
            if (map.Contains(destination))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Destinations of SYNs (address/prefix length) that <paramref name="handler"/> decides on. It is called inside the core: it queues and returns.</summary>
    public IDisposable Forward(Ipv4Address network, int prefixLength, int maxInFlight, int maxInFlightPerSource, Action<TcpForward> handler)
    {
        TcpForwardMap map = new(this, network, prefixLength, maxInFlight, maxInFlightPerSource, handler);

        // The longest prefix decides.
        int index = _maps.FindIndex(other => other.PrefixLength < prefixLength);
        _maps.Insert(index < 0 ? _maps.Count : index, map);
        return map;
    }

    internal void Unmap(TcpForwardMap map) => _maps.Remove(map);

    private SegmentVerdict? TryForward(TcpInstant now, in FourTuple tuple, scoped in Segment seg)
    {
        foreach (TcpForwardMap map in _maps)
        {
            if (map.Contains(tuple.Local.Address))
            {
                return map.OnSyn(now, tuple, seg);
            }
        }

        return null;
    }
}
