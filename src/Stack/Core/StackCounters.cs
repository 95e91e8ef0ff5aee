namespace Tcpcrypt.Core;

/// <summary>Why a packet was dropped. Each reason is a counter; captures carry it as the packet's comment.</summary>
internal enum DropReason
{
    None,

    // IPv4
    IpTooShort,
    IpNotVersion4,
    IpBadHeaderLength,
    IpBadTotalLength,
    IpBadChecksum,
    IpMartianSource,
    IpNotLocalDestination,
    IpBroadcastDestination,
    IpSourceRoute,
    IpBadOptions,
    IpUnknownProtocol,
    IpNoRoute,
    FragmentMalformed,
    FragmentOverlap,
    FragmentTooLarge,
    FragmentLimit,
    FragmentTimeout,
    FragmentTiny,
    FragmentEcnMismatch,

    // ICMP
    IcmpTooShort,
    IcmpBadChecksum,
    IcmpUnknownType,
    IcmpIgnoredType,
    IcmpBadQuote,
    IcmpNoSuchFlow,
    IcmpBroadcastEcho,
    IcmpRateLimited,

    // UDP
    UdpMalformed,
    UdpBadChecksum,
    UdpNoPort,
    UdpQueueFull,
    UdpFlowLimit,

    // TCP
    TcpMalformed,
    TcpBadChecksum,
    TcpBadPort,
    TcpNoConnection,
    TcpListenNotSyn,
    TcpListenBadFlags,
    TcpSynMalformedOptions,
    TcpSynCacheFull,
    TcpAcceptQueueFull,
    TcpForwardLimit,
    TcpSynSentUnacceptable,
    TcpOutsideWindow,
    TcpPaws,
    TcpMissingTimestamp,
    TcpReset,
    TcpResetIgnored,
    TcpResetChallenged,
    TcpSynChallenged,
    TcpAckUnacceptable,
    TcpAckTooOld,
    TcpNoAck,
    TcpAfterClose,
    TcpDuplicateData,
    TcpReceiveQueueFull,
    TcpReassemblyLimit,
    TcpTimeWait,
    TcpMemoryLimit,

    // tcpcrypt
    CryptNoMac,
    CryptBadMac,
    CryptSetup,
    CryptInitRepeated,
    CryptResetIgnored,
    CryptUnknownOpcode,
    CryptRefused,
    CryptQueueFull,

    // Output and host
    OutputQueueFull,
    DeviceFull,
    PacketTooBig,

    Count,
}

/// <summary>Counters of one core; names follow the IP, ICMP, UDP and TCP MIBs (RFC 4293, 4022, 4113). Written under the core's lock, read by anyone.</summary>
internal sealed class StackCounters
{
    private readonly long[] _drops = new long[(int)DropReason.Count];

    public long IpInReceives;
    public long IpInDelivers;
    public long IpOutRequests;
    public long IpInOctets;
    public long IpOutOctets;
    public long IpReasmReqds;
    public long IpReasmOKs;
    public long IpReasmFails;
    public long IpFragOKs;
    public long IpFragCreates;
    public long IcmpInMsgs;
    public long IcmpInErrors;
    public long IcmpInEchos;
    public long IcmpInEchoReps;
    public long IcmpOutMsgs;
    public long IcmpOutErrors;
    public long IcmpOutEchoReps;
    public long IcmpOutRateLimited;
    public long UdpInDatagrams;
    public long UdpNoPorts;
    public long UdpInErrors;
    public long UdpOutDatagrams;
    public long TcpActiveOpens;
    public long TcpPassiveOpens;
    public long TcpAttemptFails;
    public long TcpEstabResets;
    public long TcpCurrEstab;
    public long TcpInSegs;
    public long TcpOutSegs;
    public long TcpRetransSegs;
    public long TcpInErrs;
    public long TcpOutRsts;
    public long TcpTimeouts;
    public long TcpFastRetransmits;
    public long TcpLossProbes;
    public long TcpLossProbeRepairs;
    public long TcpSpuriousRecoveries;
    public long TcpDuplicateSacks;
    public long TcpSackDiscarded;
    public long TcpChallengeAcks;
    public long TcpChallengeAcksSuppressed;
    public long TcpOutOfOrder;
    public long TcpDelayedAcks;
    public long TcpZeroWindowProbes;
    public long TcpKeepAlives;
    public long TcpAcceptQueueOverflows;
    public long TcpSynCacheOverflows;
    public long TcpOverlapConflicts;
    public long TcpTimeWaits;
    public long TcpPmtuReductions;
    public long CryptHandshakes;
    public long CryptResumptions;
    public long CryptFailures;
    public long CryptResetsVerified;
    public long CryptRekeys;
    public long CryptCookiesSent;
    public long CryptStoreFailures;
    public long CryptCookiesAccepted;

    public long this[DropReason reason] => Volatile.Read(ref _drops[(int)reason]);

    public void CountDrop(DropReason reason) => _drops[(int)reason]++;
}
