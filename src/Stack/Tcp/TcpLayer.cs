using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

/// <summary>TCP as a whole: demultiplexing, CLOSED and LISTEN (RFC 9293 §3.10.7.1-2), and the tables that connections live in.</summary>
internal sealed partial class TcpLayer
{
    /// <summary>Connections, half-open ones and TIME-WAIT records under one keyed hash: one look-up per segment.</summary>
    private readonly Dictionary<FourTuple, DeadlineItem> _table;
    private readonly Dictionary<Endpoint4, TcpListener> _listeners = [];
    private readonly HashSet<Endpoint4> _bound = [];
    private readonly Dictionary<Ipv4Address, int> _foreignLocals = [];
    private readonly PortAllocator _ports;
    private TcpEndpoint? _readyFirst;
    private TcpEndpoint? _readyLast;
    private long _nextId;
    private int _endpointCount;

    public TcpLayer(StackCore core)
    {
        Core = core;
        Isn = new IsnGenerator(core.Random);
        ChallengeAcks = new ChallengeAckLimiter(core.Random, core.Options.Tcp.ChallengeAcksPerSecond);
        _table = new Dictionary<FourTuple, DeadlineItem>(new FourTupleComparer(core.Random));
        _ports = new PortAllocator(core.Random, core.Options.Tcp.EphemeralPortFirst, core.Options.Tcp.EphemeralPortLast);
        SynCache = new SynCache(this);
        TimeWait = new TimeWaitTable(this);
    }

    public StackCore Core { get; }
    public IsnGenerator Isn { get; }
    public ChallengeAckLimiter ChallengeAcks { get; }
    public SynCache SynCache { get; }
    public TimeWaitTable TimeWait { get; }

    /// <summary>Grows when any path's MTU was lowered: connections look again before they send.</summary>
    public int PathMtuGeneration { get; set; }

    /// <summary>All connections with a TCB.</summary>
    public IReadOnlyCollection<TcpEndpoint> Endpoints => [.. _table.Values.OfType<TcpEndpoint>()];

    /// <summary>Connections in TIME-WAIT, by 4-tuple.</summary>
    public IEnumerable<FourTuple> TimeWaits => _table.Values.OfType<TimeWaitRecord>().Select(record => record.Tuple);

    /// <summary>Half-open connections, by 4-tuple.</summary>
    public IEnumerable<FourTuple> SynReceiveds => _table.Values.OfType<HalfOpen>().Select(half => half.Tuple);

    /// <summary>A segment for a local address arrived; the IP header has been checked, the TCP part has not.</summary>
    public void OnSegment(TcpInstant now, scoped in Ipv4Header ip, PacketSlot packet)
    {
        ReadOnlySpan<byte> octets = ip.Payload;
        if (!TcpHeader.TryParse(octets, out TcpHeader header))
        {
            Core.Counters.TcpInErrs++;
            Core.Drop(now, DropReason.TcpMalformed, ip.Octets);
            return;
        }

        if (packet.Checksum == ChecksumState.Unverified
            && !InternetChecksum.IsValid(octets, InternetChecksum.PseudoHeader(ip.Source, ip.Destination, IpProtocol.Tcp, octets.Length)))
        {
            Core.Counters.TcpInErrs++;
            Core.Drop(now, DropReason.TcpBadChecksum, ip.Octets);
            return;
        }

        if (header.SourcePort == 0 || header.DestinationPort == 0)
        {
            Core.Drop(now, DropReason.TcpBadPort, ip.Octets);
            return;
        }

        FourTuple tuple = new(ip.Destination, header.DestinationPort, ip.Source, header.SourcePort);
        Segment seg = Segment.From(header, octets, ip.Ecn, packet.GsoSize);
        Core.Counters.TcpInSegs += seg.Count;
        SegmentVerdict verdict = _table.TryGetValue(tuple, out DeadlineItem? item)
            ? item switch
            {
                TcpEndpoint endpoint => endpoint.OnSegment(now, seg),
                HalfOpen half => SynCache.OnSegment(now, half, seg),
                TimeWaitRecord record => OnSegmentTimeWait(now, record, seg),
                _ => SegmentVerdict.Processed,
            }
            : OnSegmentWithoutConnection(now, tuple, seg, minimumIsn: null);
        if (verdict.IsDrop)
        {
            Core.Drop(now, verdict.Reason, ip.Octets);
        }
    }

    /// <summary>An ICMP error whose quoted packet is a TCP segment from a local address.</summary>
    public void OnIcmpError(TcpInstant now, scoped in IcmpError error)
    {
        bool known = false;
        if (_table.TryGetValue(error.Tuple, out DeadlineItem? item))
        {
            if (item is TcpEndpoint endpoint)
            {
                known = endpoint.OnIcmpError(now, error);
            }
            else if (item is HalfOpen half && error.Sequence == half.Iss)
            {
                known = true;
                if (error.Type == IcmpType.DestinationUnreachable && error.Code is UnreachableCode.Protocol or UnreachableCode.Port)
                {
                    SynCache.Remove(half);
                }
            }
        }

        if (!known)
        {
            Core.Counters.CountDrop(DropReason.IcmpNoSuchFlow);
        }
    }

    /// <summary>Active OPEN. A null local end or port 0 is chosen (RFC 6056). Success means SYN-SENT; the result is an event.</summary>
    public SocketError Connect(TcpInstant now, Endpoint4? local, Endpoint4 remote, TcpEndpointOptions options, out TcpEndpoint? endpoint)
    {
        endpoint = null;
        if (remote.Port == 0 || !Core.Ip.IsValidRemote(remote.Address))
        {
            // RFC 9293 MUST-46.
            return remote.Address.IsMulticast || Core.Ip.IsBroadcast(remote.Address) ? SocketError.NetworkUnreachable : SocketError.AddressNotAvailable;
        }

        if (!Core.Ip.TryRoute(remote.Address, out Ipv4Route route))
        {
            return SocketError.NetworkUnreachable;
        }

        if (_endpointCount >= Core.Options.Tcp.ConnectionLimit)
        {
            return SocketError.NoBufferSpaceAvailable;
        }

        Endpoint4 from = local ?? default;
        Ipv4Address address = from.Address.IsAny ? route.Source : from.Address;
        if (!options.Transparent && !Core.Ip.IsLocalAddress(address))
        {
            return SocketError.AddressNotAvailable;
        }

        FourTuple tuple = new(address, from.Port, remote.Address, remote.Port);
        if (from.Port == 0)
        {
            if (!_ports.TryAllocate(tuple, IsTupleFree, out ushort port))
            {
                return SocketError.AddressNotAvailable;
            }

            tuple = new FourTuple(address, port, remote.Address, remote.Port);
        }
        else if (_table.TryGetValue(tuple, out DeadlineItem? old))
        {
            if (old is not TimeWaitRecord record || !options.ReuseAddress)
            {
                return SocketError.AddressAlreadyInUse;
            }

            TimeWait.Remove(record);
        }

        Core.Counters.TcpActiveOpens++;
        endpoint = TcpEndpoint.Open(this, now, ++_nextId, tuple, options);
        Add(endpoint, tuple);
        return SocketError.Success;
    }

    /// <summary>Passive OPEN. Port 0 is chosen; the any address listens on every local one. RFC 9293 MUST-41, MUST-42: connections that use the port do not hinder it.</summary>
    public SocketError Listen(Endpoint4 local, TcpEndpointOptions options, int backlog, out TcpListener? listener)
    {
        listener = null;
        if (!local.Address.IsAny && !Core.Ip.IsLocalAddress(local.Address) && !options.Transparent)
        {
            return SocketError.AddressNotAvailable;
        }

        if (local.Port == 0)
        {
            FourTuple wanted = new(local, default);
            if (!_ports.TryAllocate(wanted, tuple => IsLocalFree(tuple.Local), out ushort port))
            {
                return SocketError.AddressAlreadyInUse;
            }

            local = local with { Port = port };
        }
        else if (HasListener(local))
        {
            return SocketError.AddressAlreadyInUse;
        }

        listener = new TcpListener(this, local, options, Math.Max(backlog, 1));
        _listeners.Add(local, listener);
        return SocketError.Success;
    }

    /// <summary>Takes a local end for a socket that neither listens nor is connected yet; port 0 is chosen. Give it back with <see cref="Unbind"/>.</summary>
    public SocketError Bind(Endpoint4 local, bool reuseAddress, out Endpoint4 bound)
    {
        bound = local;
        if (!local.Address.IsAny && !Core.Ip.IsLocalAddress(local.Address))
        {
            return SocketError.AddressNotAvailable;
        }

        if (local.Port == 0)
        {
            if (!_ports.TryAllocate(new FourTuple(local, default), tuple => IsLocalFree(tuple.Local), out ushort port))
            {
                return SocketError.AddressAlreadyInUse;
            }

            bound = local with { Port = port };
        }
        else if (HasListener(local) || (!reuseAddress && !IsLocalFree(local)))
        {
            return SocketError.AddressAlreadyInUse;
        }

        _bound.Add(bound);
        return SocketError.Success;
    }

    public void Unbind(Endpoint4 local) => _bound.Remove(local);

    /// <summary>True when a connection uses this local address although it is not the stack's own (forwarders).</summary>
    public bool IsTransparent(Ipv4Address address) => _foreignLocals.ContainsKey(address);

    internal void Forget(TcpEndpoint endpoint) => Remove(endpoint.Tuple, endpoint);

    internal void Add(DeadlineItem item, in FourTuple tuple)
    {
        _table.Add(tuple, item);
        _endpointCount += item is TcpEndpoint ? 1 : 0;
        if (!Core.Ip.IsLocalAddress(tuple.Local.Address))
        {
            _foreignLocals[tuple.Local.Address] = _foreignLocals.GetValueOrDefault(tuple.Local.Address) + 1;
        }
    }

    internal void Remove(in FourTuple tuple, DeadlineItem item)
    {
        if (!_table.TryGetValue(tuple, out DeadlineItem? found) || found != item)
        {
            return;
        }

        _table.Remove(tuple);
        _endpointCount -= item is TcpEndpoint ? 1 : 0;
        if (_foreignLocals.TryGetValue(tuple.Local.Address, out int count))
        {
            if (count == 1)
            {
                _foreignLocals.Remove(tuple.Local.Address);
            }
            else
            {
                _foreignLocals[tuple.Local.Address] = count - 1;
            }
        }
    }

    internal void Forget(TcpListener listener) => _listeners.Remove(listener.Local);

    internal bool IsKnown(in FourTuple tuple) => _table.ContainsKey(tuple);

    internal long NextId() => ++_nextId;

    internal bool IsFull => _endpointCount >= Core.Options.Tcp.ConnectionLimit;

    /// <summary>Connections with something to send, first come first served: each gets one packet and goes to the end.</summary>
    internal void MarkReady(TcpEndpoint endpoint)
    {
        if (endpoint.IsReady || endpoint.IsClosed)
        {
            return;
        }

        endpoint.IsReady = true;
        endpoint.NextReady = null;
        if (_readyLast is null)
        {
            _readyFirst = endpoint;
        }
        else
        {
            _readyLast.NextReady = endpoint;
        }

        _readyLast = endpoint;
    }

    internal bool TryEmit(TcpInstant now, PacketSlot into)
    {
        while (_readyFirst is { } endpoint)
        {
            _readyFirst = endpoint.NextReady;
            if (_readyFirst is null)
            {
                _readyLast = null;
            }

            endpoint.NextReady = null;
            endpoint.IsReady = false;
            if (endpoint.TryEmit(now, into))
            {
                MarkReady(endpoint);
                return true;
            }
        }

        return false;
    }

    /// <summary>A segment that belongs to no TCB, or to the stack as such: RST, ACK of a half-open or TIME-WAIT connection.</summary>
    internal void SendControl(in FourTuple tuple, Seq<Local> seq, Seq<Remote> ack, TcpFlags flags, ushort window, (uint TsVal, uint TsEcr)? timestamps, byte timeToLive = 64, byte typeOfService = 0)
    {
        if (Core.RentOutput(SegmentWriter.PayloadOffset(12)) is not { } slot)
        {
            return;
        }

        Span<byte> area = stackalloc byte[TcpHeader.MaxOptionsLength];
        TcpOptionWriter options = new(area);
        if (timestamps is var (tsVal, tsEcr))
        {
            options.NoOperation();
            options.NoOperation();
            options.Timestamps(tsVal, tsEcr);
        }

        SegmentWriter.Write(
            slot,
            new SegmentFields
            {
                Tuple = tuple,
                Seq = seq,
                Ack = ack,
                Flags = flags,
                Window = window,
                TimeToLive = timeToLive,
                TypeOfService = (byte)(typeOfService & 0xFC),
                Options = options.Written,
            },
            0);
        Core.Counters.TcpOutSegs++;
        Core.Send(slot);
    }

    /// <summary>
    /// The MSS option: MTU - 40, whatever options are in use (RFC 6691), or what the application wants. By the MTU that is configured for the route, since what comes back takes it too; what
    /// ICMP told holds for one direction only.
    /// </summary>
    internal int AdvertisedMss(TcpEndpointOptions options, Ipv4Address remote)
    {
        int mtu = Core.Ip.TryRoute(remote, out Ipv4Route route) ? Math.Min(route.Mtu, Core.Options.Mtu) : Core.Options.Mtu;
        int mss = mtu - SegmentWriter.PayloadOffset(0);
        return options.MaximumSegmentSize is int limit ? Math.Clamp(limit, 64, mss) : mss;
    }

    /// <summary>The options of a SYN in Linux's order: mss, sackOK, TS, nop, wscale.</summary>
    internal void WriteSynOptions(ref TcpOptionWriter options, int mss, bool sack, bool timestamps, uint tsVal, uint tsEcr, byte? shift)
    {
        options.MaximumSegmentSize(mss);
        if (timestamps)
        {
            if (sack)
            {
                options.SackPermitted();
            }
            else
            {
                options.NoOperation();
                options.NoOperation();
            }

            options.Timestamps(tsVal, tsEcr);
        }
        else if (sack)
        {
            options.NoOperation();
            options.NoOperation();
            options.SackPermitted();
        }

        if (shift is byte value)
        {
            options.NoOperation();
            options.WindowScale(value);
        }
    }

    // RFC 9293 §3.10.7.1 (CLOSED) and §3.10.7.2 (LISTEN).
    private SegmentVerdict OnSegmentWithoutConnection(TcpInstant now, in FourTuple tuple, scoped in Segment seg, Seq<Local>? minimumIsn)
    {
        TcpListener? listener = FindListener(tuple.Local);
        if (seg.IsRst)
        {
            return DropReason.TcpResetIgnored;
        }

        if (listener is null)
        {
            if (seg.IsSyn && !seg.IsAck && !seg.IsFin && TryForward(now, tuple, seg) is { } forwarded)
            {
                return forwarded;
            }

            SendResetFor(tuple, seg);
            return DropReason.TcpNoConnection;
        }

        if (seg.IsAck)
        {
            if (SynCache.OnCookie(now, listener, tuple, seg) is { } verdict)
            {
                return verdict;
            }

            SendResetFor(tuple, seg);
            return DropReason.TcpListenNotSyn;
        }

        if (!seg.IsSyn)
        {
            return DropReason.TcpListenNotSyn;
        }

        return seg.IsFin ? DropReason.TcpListenBadFlags : SynCache.OnSyn(now, listener, tuple, seg, minimumIsn);
    }

    private TcpListener? FindListener(Endpoint4 local)
    {
        if (!_listeners.TryGetValue(local, out TcpListener? listener) && !_listeners.TryGetValue(local with { Address = default }, out listener))
        {
            return null;
        }

        return Core.Ip.IsLocalAddress(local.Address) || listener.Options.Transparent ? listener : null;
    }

    /// <summary>RFC 9293 §3.10.7.1: with ACK the RST takes its number, without it acknowledges the segment.</summary>
    internal void SendResetFor(in FourTuple tuple, scoped in Segment seg)
    {
        if (seg.IsRst)
        {
            return;
        }

        Core.Counters.TcpOutRsts++;
        if (seg.IsAck)
        {
            SendControl(tuple, seg.Ack, default, TcpFlags.Rst, 0, null);
        }
        else
        {
            SendControl(tuple, default, seg.End, TcpFlags.Rst | TcpFlags.Ack, 0, null);
        }
    }

    private SegmentVerdict OnSegmentTimeWait(TcpInstant now, TimeWaitRecord record, scoped in Segment seg)
    {
        if (seg.IsSyn && !seg.IsAck && !seg.IsRst && !seg.IsFin && TimeWaitTable.MayReuse(record, seg) && IsWelcome(record.Tuple.Local, seg))
        {
            // RFC 6191; RFC 9293 MAY-2: the new ISN is above what the old connection used.
            FourTuple tuple = record.Tuple;
            Seq<Local> least = record.SndNxt + 65_536;
            TimeWait.Remove(record);
            return OnSegmentWithoutConnection(now, tuple, seg, least);
        }

        return TimeWait.OnSegment(now, record, seg);
    }

    /// <summary>Somebody would take this SYN: one that leads nowhere must not cut TIME-WAIT short.</summary>
    private bool IsWelcome(Endpoint4 local, scoped in Segment seg) =>
        (FindListener(local) is { } listener ? !listener.IsFull : IsMapped(local.Address)) && !SynOptions.Parse(seg.Options).IsMalformed;

    private bool HasListener(Endpoint4 local) => _listeners.Keys.Any(other => Overlaps(other, local));

    private bool IsTupleFree(FourTuple tuple) => !_table.ContainsKey(tuple) && !HasListener(tuple.Local) && !_bound.Contains(tuple.Local);

    private bool IsLocalFree(Endpoint4 local) => !HasListener(local) && !_bound.Any(other => Overlaps(other, local)) && !_table.Keys.Any(tuple => Overlaps(tuple.Local, local));

    private static bool Overlaps(Endpoint4 left, Endpoint4 right) => left.Port == right.Port && (left.Address == right.Address || left.Address.IsAny || right.Address.IsAny);

    /// <summary>Hashes with a key that a stranger cannot know, so that he cannot aim at one bucket (HI_SYS_05).</summary>
    private sealed class FourTupleComparer(IRandomSource random) : IEqualityComparer<FourTuple>
    {
        private readonly SipHash _hash = new(random);

        public bool Equals(FourTuple x, FourTuple y) => x == y;

        public int GetHashCode(FourTuple tuple) => unchecked((int)_hash.Compute(tuple));
    }
}
