using System.Collections.Frozen;
using System.Collections.ObjectModel;
using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>
/// A stack's counters at one instant. Names are those of the management information bases of IP and ICMP (RFC 4293), UDP (RFC 4113) and TCP (RFC 4022), or in their spirit;
/// all count from the stack's start unless said otherwise.
/// </summary>
public sealed record IpStackStatistics
{
    /// <summary>Packets received, errors included.</summary>
    public long IpInReceives { get; init; }

    /// <summary>Octets of <see cref="IpInReceives"/>.</summary>
    public long IpInOctets { get; init; }

    /// <summary>Packets dropped for errors in their IP header: version, lengths, checksum, options.</summary>
    public long IpInHdrErrors { get; init; }

    /// <summary>Packets dropped for addresses that are not for this host or cannot be a source.</summary>
    public long IpInAddrErrors { get; init; }

    /// <summary>Packets of a protocol that the stack does not speak.</summary>
    public long IpInUnknownProtos { get; init; }

    /// <summary>Packets handed to ICMP, UDP or TCP.</summary>
    public long IpInDelivers { get; init; }

    /// <summary>Packets sent.</summary>
    public long IpOutRequests { get; init; }

    /// <summary>Octets of <see cref="IpOutRequests"/>.</summary>
    public long IpOutOctets { get; init; }

    /// <summary>Packets that could not be sent for want of room in a queue or the device.</summary>
    public long IpOutDiscards { get; init; }

    /// <summary>Packets that had no route.</summary>
    public long IpOutNoRoutes { get; init; }

    /// <summary>Fragments received.</summary>
    public long IpReasmReqds { get; init; }

    /// <summary>Packets put together from fragments.</summary>
    public long IpReasmOKs { get; init; }

    /// <summary>Reassemblies given up: time-out, overlap, limits.</summary>
    public long IpReasmFails { get; init; }

    /// <summary>Packets cut into fragments.</summary>
    public long IpFragOKs { get; init; }

    /// <summary>Fragments made.</summary>
    public long IpFragCreates { get; init; }

    /// <summary>ICMP messages received.</summary>
    public long IcmpInMsgs { get; init; }

    /// <summary>ICMP messages received with errors.</summary>
    public long IcmpInErrors { get; init; }

    /// <summary>Echo requests received.</summary>
    public long IcmpInEchos { get; init; }

    /// <summary>Echo replies received.</summary>
    public long IcmpInEchoReps { get; init; }

    /// <summary>ICMP messages sent.</summary>
    public long IcmpOutMsgs { get; init; }

    /// <summary>ICMP messages that could not be sent.</summary>
    public long IcmpOutErrors { get; init; }

    /// <summary>Echo replies sent.</summary>
    public long IcmpOutEchoReps { get; init; }

    /// <summary>ICMP messages not sent because of the rate limit (RFC 1812 §4.3.2.8).</summary>
    public long IcmpOutRateLimited { get; init; }

    /// <summary>Datagrams delivered to sockets and flows.</summary>
    public long UdpInDatagrams { get; init; }

    /// <summary>Datagrams for a port that nobody has bound.</summary>
    public long UdpNoPorts { get; init; }

    /// <summary>Datagrams not delivered for other reasons: checksum, length, full queue.</summary>
    public long UdpInErrors { get; init; }

    /// <summary>Datagrams sent.</summary>
    public long UdpOutDatagrams { get; init; }

    /// <summary>The least retransmission time-out, in milliseconds. Not a counter.</summary>
    public long TcpRtoMin { get; init; }

    /// <summary>The greatest retransmission time-out, in milliseconds. Not a counter.</summary>
    public long TcpRtoMax { get; init; }

    /// <summary>Connections that may exist at once. Not a counter.</summary>
    public long TcpMaxConn { get; init; }

    /// <summary>Connections opened by this host (CLOSED to SYN-SENT).</summary>
    public long TcpActiveOpens { get; init; }

    /// <summary>Connections opened by peers (LISTEN to SYN-RECEIVED).</summary>
    public long TcpPassiveOpens { get; init; }

    /// <summary>Connections that failed while being opened.</summary>
    public long TcpAttemptFails { get; init; }

    /// <summary>Established connections that ended by a reset, in either direction.</summary>
    public long TcpEstabResets { get; init; }

    /// <summary>Connections in ESTABLISHED or CLOSE-WAIT now. Not a counter.</summary>
    public long TcpCurrEstab { get; init; }

    /// <summary>Segments received, errors included.</summary>
    public long TcpInSegs { get; init; }

    /// <summary>Segments sent, retransmissions excluded.</summary>
    public long TcpOutSegs { get; init; }

    /// <summary>Segments sent again.</summary>
    public long TcpRetransSegs { get; init; }

    /// <summary>Segments received with errors.</summary>
    public long TcpInErrs { get; init; }

    /// <summary>Segments sent with RST.</summary>
    public long TcpOutRsts { get; init; }

    /// <summary>Retransmission time-outs.</summary>
    public long TcpTimeouts { get; init; }

    /// <summary>Fast retransmits.</summary>
    public long TcpFastRetransmits { get; init; }

    /// <summary>Tail loss probes sent (RFC 8985 §7).</summary>
    public long TcpLossProbes { get; init; }

    /// <summary>Tail loss probes that repaired a loss.</summary>
    public long TcpLossProbeRepairs { get; init; }

    /// <summary>Recoveries and time-outs that turned out to be for nothing, and were undone.</summary>
    public long TcpSpuriousRecoveries { get; init; }

    /// <summary>D-SACK blocks received (RFC 2883).</summary>
    public long TcpDuplicateSacks { get; init; }

    /// <summary>SACK blocks that told of nothing in flight.</summary>
    public long TcpSackDiscarded { get; init; }

    /// <summary>Segments marked by a router that met no echo yet: each begins to be echoed (RFC 3168 §6.1.3).</summary>
    public long TcpCongestionExperienced { get; init; }

    /// <summary>ACKs that told of congestion (ECE, RFC 3168 §6.1.2).</summary>
    public long TcpCongestionEchoes { get; init; }

    /// <summary>SYN,ACKs whose sequence number is all that is kept of the SYN (RFC 4987 §3.6).</summary>
    public long TcpSynCookiesSent { get; init; }

    /// <summary>Connections made from such a number that came back.</summary>
    public long TcpSynCookiesAccepted { get; init; }

    /// <summary>ACKs for no connection whose number is no cookie, or too old, while cookies are out.</summary>
    public long TcpSynCookiesRejected { get; init; }

    /// <summary>Challenge ACKs sent (RFC 5961).</summary>
    public long TcpChallengeAcks { get; init; }

    /// <summary>Challenge ACKs not sent because of the limit (RFC 5961 §7).</summary>
    public long TcpChallengeAcksSuppressed { get; init; }

    /// <summary>Segments received out of order.</summary>
    public long TcpOutOfOrder { get; init; }

    /// <summary>ACKs that were delayed.</summary>
    public long TcpDelayedAcks { get; init; }

    /// <summary>Probes of a closed window.</summary>
    public long TcpZeroWindowProbes { get; init; }

    /// <summary>Keep-alive probes.</summary>
    public long TcpKeepAlives { get; init; }

    /// <summary>Handshakes not finished because an accept queue was full.</summary>
    public long TcpAcceptQueueOverflows { get; init; }

    /// <summary>SYNs that found the SYN cache full.</summary>
    public long TcpSynCacheOverflows { get; init; }

    /// <summary>Segments whose data differed from what had been received already.</summary>
    public long TcpOverlapConflicts { get; init; }

    /// <summary>Connections that went to TIME-WAIT.</summary>
    public long TcpTimeWaits { get; init; }

    /// <summary>Connections that left TIME-WAIT early because of <see cref="TcpStackOptions.TimeWaitLimit"/>.</summary>
    public long TcpTimeWaitOverflows { get; init; }

    /// <summary>Connections, now, that the application has closed and that are not finished.</summary>
    public long TcpOrphans { get; init; }

    /// <summary>Such connections reset because of <see cref="TcpStackOptions.OrphanLimit"/>.</summary>
    public long TcpOrphanOverflows { get; init; }

    /// <summary>Times that a connection gave up what it held out of order, for want of memory.</summary>
    public long TcpOutOfOrderPruned { get; init; }

    /// <summary>Connections reset because the memory limit was reached.</summary>
    public long TcpAbortsOnMemory { get; init; }

    /// <summary>Reductions of a connection's path MTU.</summary>
    public long TcpPmtuReductions { get; init; }

    /// <summary>Segments larger than those known to arrive that arrived (<see cref="TcpStackOptions.PathMtuProbing"/>).</summary>
    public long TcpMtuProbesArrived { get; init; }

    /// <summary>Such segments that were lost.</summary>
    public long TcpMtuProbesLost { get; init; }

    /// <summary>Times that a connection made its segments smaller because none arrived (RFC 4821 §7.7).</summary>
    public long TcpBlackHoles { get; init; }

    /// <summary>tcpcrypt handshakes with a key exchange that succeeded.</summary>
    public long CryptHandshakes { get; init; }

    /// <summary>Connections that resumed a session, without public-key cryptography.</summary>
    public long CryptResumptions { get; init; }

    /// <summary>Connections reset or refused because tcpcrypt was required, or reset because its handshake broke; <see cref="CryptFailureReasons"/> has them by reason.</summary>
    public long CryptFailures { get; init; }

    /// <summary>Connections that are not encrypted, by policy or because the other side cannot; <see cref="CryptPlainReasons"/> has them by reason.</summary>
    public long CryptPlain { get; init; }

    /// <summary>Times that this side replaced its sending keys.</summary>
    public long CryptRekeys { get; init; }

    /// <summary>Encrypted connections closed after a RST without MAC because the peer did not answer any more.</summary>
    public long CryptResetsVerified { get; init; }

    /// <summary>SYN,ACKs with SYNCOOKIE, sent while the table of half-open connections was full.</summary>
    public long CryptCookiesSent { get; init; }

    /// <summary>Connections made from an ACKCOOKIE.</summary>
    public long CryptCookiesAccepted { get; init; }

    /// <summary>Calls of an application's own session store that threw; the connections did without it.</summary>
    public long CryptStoreFailures { get; init; }

    /// <summary>Segments of encrypted connections dropped because their MAC was missing or wrong.</summary>
    public long CryptAuthenticationFailures { get; init; }

    /// <summary>Forwarded connection requests that wait for an answer now. Not a counter.</summary>
    public long ForwardInFlight { get; init; }

    /// <summary>Forwarded connections accepted.</summary>
    public long ForwardAccepted { get; init; }

    /// <summary>Forwarded connection requests refused, by <see cref="ForwardReject"/>, time-out or a handler's exception.</summary>
    public long ForwardRejected { get; init; }

    /// <summary>Forwarded UDP flows that exist now. Not a counter.</summary>
    public long ForwardUdpFlows { get; init; }

    /// <summary>Packets captured but lost because a capture's writer was too slow, over all captures.</summary>
    public long CaptureLost { get; init; }

    /// <summary>Buffer memory in use now, in octets. Not a counter.</summary>
    public long MemoryInUse { get; init; }

    /// <summary><see cref="CryptFailures"/> by the reason: those that have occurred.</summary>
    public IReadOnlyDictionary<TcpcryptOutcome, long> CryptFailureReasons { get; init; } = FrozenDictionary<TcpcryptOutcome, long>.Empty;

    /// <summary><see cref="CryptPlain"/> by the reason: those that have occurred.</summary>
    public IReadOnlyDictionary<TcpcryptOutcome, long> CryptPlainReasons { get; init; } = FrozenDictionary<TcpcryptOutcome, long>.Empty;

    /// <summary>Packets dropped, by reason: every reason is there, most with 0. Captures name the same reasons.</summary>
    public IReadOnlyDictionary<string, long> Drops { get; init; } = FrozenDictionary<string, long>.Empty;

    /// <summary>All values under their names, in the order of the groups IP, ICMP, UDP, TCP, Crypt, Forward, Capture: for tables such as <c>netstat -s</c>. Without what is by reason.</summary>
    /// <returns>Name and value of each.</returns>
    public IEnumerable<KeyValuePair<string, long>> Enumerate()
    {
        foreach (StatisticsField field in StatisticsField.All)
        {
            yield return new(field.Name, field.Read(this));
        }
    }

    internal static IpStackStatistics From(StackCore core, ForwardCounters forward, long captureLost)
    {
        StackCounters c = core.Counters;
        TcpStackOptions tcp = core.Options.Tcp;
        IReadOnlyDictionary<TcpcryptOutcome, long> plain = Reasons(c.CryptPlain);
        long rejected = 0;
        for (ForwardOutcome outcome = 0; outcome < ForwardOutcome.Count; outcome++)
        {
            rejected += forward.Rejected(outcome);
        }

        return new IpStackStatistics
        {
            IpInReceives = Volatile.Read(ref c.IpInReceives),
            IpInOctets = Volatile.Read(ref c.IpInOctets),
            IpInHdrErrors = c[DropReason.IpTooShort] + c[DropReason.IpNotVersion4] + c[DropReason.IpBadHeaderLength] + c[DropReason.IpBadTotalLength]
                + c[DropReason.IpBadChecksum] + c[DropReason.IpSourceRoute] + c[DropReason.IpBadOptions],
            IpInAddrErrors = c[DropReason.IpMartianSource] + c[DropReason.IpNotLocalDestination] + c[DropReason.IpBroadcastDestination],
            IpInUnknownProtos = c[DropReason.IpUnknownProtocol],
            IpInDelivers = Volatile.Read(ref c.IpInDelivers),
            IpOutRequests = Volatile.Read(ref c.IpOutRequests),
            IpOutOctets = Volatile.Read(ref c.IpOutOctets),
            IpOutDiscards = c[DropReason.OutputQueueFull] + c[DropReason.DeviceFull] + c[DropReason.PacketTooBig],
            IpOutNoRoutes = c[DropReason.IpNoRoute],
            IpReasmReqds = Volatile.Read(ref c.IpReasmReqds),
            IpReasmOKs = Volatile.Read(ref c.IpReasmOKs),
            IpReasmFails = Volatile.Read(ref c.IpReasmFails),
            IpFragOKs = Volatile.Read(ref c.IpFragOKs),
            IpFragCreates = Volatile.Read(ref c.IpFragCreates),
            IcmpInMsgs = Volatile.Read(ref c.IcmpInMsgs),
            IcmpInErrors = Volatile.Read(ref c.IcmpInErrors),
            IcmpInEchos = Volatile.Read(ref c.IcmpInEchos),
            IcmpInEchoReps = Volatile.Read(ref c.IcmpInEchoReps),
            IcmpOutMsgs = Volatile.Read(ref c.IcmpOutMsgs),
            IcmpOutErrors = Volatile.Read(ref c.IcmpOutErrors),
            IcmpOutEchoReps = Volatile.Read(ref c.IcmpOutEchoReps),
            IcmpOutRateLimited = Volatile.Read(ref c.IcmpOutRateLimited),
            UdpInDatagrams = Volatile.Read(ref c.UdpInDatagrams),
            UdpNoPorts = Volatile.Read(ref c.UdpNoPorts),
            UdpInErrors = Volatile.Read(ref c.UdpInErrors),
            UdpOutDatagrams = Volatile.Read(ref c.UdpOutDatagrams),
            TcpRtoMin = (long)tcp.MinRto.TotalMilliseconds,
            TcpRtoMax = (long)tcp.MaxRto.TotalMilliseconds,
            TcpMaxConn = tcp.ConnectionLimit,
            TcpActiveOpens = Volatile.Read(ref c.TcpActiveOpens),
            TcpPassiveOpens = Volatile.Read(ref c.TcpPassiveOpens),
            TcpAttemptFails = Volatile.Read(ref c.TcpAttemptFails),
            TcpEstabResets = Volatile.Read(ref c.TcpEstabResets),
            TcpCurrEstab = Volatile.Read(ref c.TcpCurrEstab),
            TcpInSegs = Volatile.Read(ref c.TcpInSegs),
            TcpOutSegs = Volatile.Read(ref c.TcpOutSegs),
            TcpRetransSegs = Volatile.Read(ref c.TcpRetransSegs),
            TcpInErrs = Volatile.Read(ref c.TcpInErrs),
            TcpOutRsts = Volatile.Read(ref c.TcpOutRsts),
            TcpTimeouts = Volatile.Read(ref c.TcpTimeouts),
            TcpFastRetransmits = Volatile.Read(ref c.TcpFastRetransmits),
            TcpLossProbes = Volatile.Read(ref c.TcpLossProbes),
            TcpLossProbeRepairs = Volatile.Read(ref c.TcpLossProbeRepairs),
            TcpSpuriousRecoveries = Volatile.Read(ref c.TcpSpuriousRecoveries),
            TcpDuplicateSacks = Volatile.Read(ref c.TcpDuplicateSacks),
            TcpSackDiscarded = Volatile.Read(ref c.TcpSackDiscarded),
            TcpCongestionExperienced = Volatile.Read(ref c.TcpCongestionExperienced),
            TcpCongestionEchoes = Volatile.Read(ref c.TcpCongestionEchoes),
            TcpSynCookiesSent = Volatile.Read(ref c.TcpSynCookiesSent),
            TcpSynCookiesAccepted = Volatile.Read(ref c.TcpSynCookiesAccepted),
            TcpSynCookiesRejected = Volatile.Read(ref c.TcpSynCookiesRejected),
            TcpChallengeAcks = Volatile.Read(ref c.TcpChallengeAcks),
            TcpChallengeAcksSuppressed = Volatile.Read(ref c.TcpChallengeAcksSuppressed),
            TcpOutOfOrder = Volatile.Read(ref c.TcpOutOfOrder),
            TcpDelayedAcks = Volatile.Read(ref c.TcpDelayedAcks),
            TcpZeroWindowProbes = Volatile.Read(ref c.TcpZeroWindowProbes),
            TcpKeepAlives = Volatile.Read(ref c.TcpKeepAlives),
            TcpAcceptQueueOverflows = Volatile.Read(ref c.TcpAcceptQueueOverflows),
            TcpSynCacheOverflows = Volatile.Read(ref c.TcpSynCacheOverflows),
            TcpOverlapConflicts = Volatile.Read(ref c.TcpOverlapConflicts),
            TcpTimeWaits = Volatile.Read(ref c.TcpTimeWaits),
            TcpTimeWaitOverflows = Volatile.Read(ref c.TcpTimeWaitOverflows),
            TcpOrphans = Volatile.Read(ref c.TcpOrphans),
            TcpOrphanOverflows = Volatile.Read(ref c.TcpOrphanOverflows),
            TcpOutOfOrderPruned = Volatile.Read(ref c.TcpOutOfOrderPruned),
            TcpAbortsOnMemory = Volatile.Read(ref c.TcpAbortsOnMemory),
            TcpPmtuReductions = Volatile.Read(ref c.TcpPmtuReductions),
            TcpMtuProbesArrived = Volatile.Read(ref c.TcpMtuProbesArrived),
            TcpMtuProbesLost = Volatile.Read(ref c.TcpMtuProbesLost),
            TcpBlackHoles = Volatile.Read(ref c.TcpBlackHoles),
            CryptHandshakes = Volatile.Read(ref c.CryptHandshakes),
            CryptResumptions = Volatile.Read(ref c.CryptResumptions),
            CryptFailures = Volatile.Read(ref c.CryptFailures),
            CryptPlain = plain.Values.Sum(),
            CryptRekeys = Volatile.Read(ref c.CryptRekeys),
            CryptResetsVerified = Volatile.Read(ref c.CryptResetsVerified),
            CryptCookiesSent = Volatile.Read(ref c.CryptCookiesSent),
            CryptCookiesAccepted = Volatile.Read(ref c.CryptCookiesAccepted),
            CryptStoreFailures = Volatile.Read(ref c.CryptStoreFailures),
            CryptAuthenticationFailures = c[DropReason.CryptNoMac] + c[DropReason.CryptBadMac],
            ForwardInFlight = forward.TcpInFlight,
            ForwardAccepted = forward.TcpAccepted,
            ForwardRejected = rejected,
            ForwardUdpFlows = forward.UdpFlows,
            CaptureLost = captureLost,
            MemoryInUse = core.Blocks.InUse,
            CryptFailureReasons = Reasons(c.CryptFailed),
            CryptPlainReasons = plain,
            Drops = DropNames.Read(c),
        };
    }

    private static ReadOnlyDictionary<TcpcryptOutcome, long> Reasons(Func<TcpcryptOutcome, long> count)
    {
        Dictionary<TcpcryptOutcome, long> reasons = [];
        for (TcpcryptOutcome reason = 0; reason <= TcpcryptOutcome.HandshakeTimedOut; reason++)
        {
            if (count(reason) is > 0 and long times)
            {
                reasons.Add(reason, times);
            }
        }

        return reasons.AsReadOnly();
    }
}
