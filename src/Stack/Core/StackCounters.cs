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
    TcpAcceptDeferred,
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

    /// <summary>Connections that became encrypted, as <see cref="CryptIndex"/> has it.</summary>
    private readonly long[] _encrypted = new long[CryptKinds];

    /// <summary>Connections that became or stayed plain, by the reason.</summary>
    private readonly long[] _plain = new long[(int)TcpcryptOutcome.HandshakeTimedOut + 1];

    /// <summary>Connections that could not be encrypted and were reset or refused, by the reason.</summary>
    private readonly long[] _failed = new long[(int)TcpcryptOutcome.HandshakeTimedOut + 1];

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
    public long TcpCongestionExperienced;
    public long TcpCongestionEchoes;
    public long TcpSynCookiesSent;
    public long TcpSynCookiesAccepted;
    public long TcpSynCookiesRejected;
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
    public long TcpTimeWaitOverflows;
    public long TcpOrphans;
    public long TcpOrphanOverflows;
    public long TcpOutOfOrderPruned;
    public long TcpAbortsOnMemory;
    public long TcpPmtuReductions;
    public long TcpMtuProbesArrived;
    public long TcpMtuProbesLost;
    public long TcpBlackHoles;
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

    /// <summary>Two dialects, three key exchanges, with or without resumption.</summary>
    public static int CryptKinds => 12;

    /// <summary>A place for each kind of encrypted connection, in 0 to <see cref="CryptKinds"/> - 1.</summary>
    public static int CryptIndex(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, bool isResumed)
    {
        int exchange = keyExchange switch
        {
            TcpcryptKeyExchange.EcdheP256 => 0,
            TcpcryptKeyExchange.EcdheP521 => 1,
            _ => 2,
        };
        return (((dialect == TcpcryptDialect.Reference ? 3 : 0) + exchange) * 2) + (isResumed ? 1 : 0);
    }

    public long CryptEncrypted(int index) => Volatile.Read(ref _encrypted[index]);

    public long CryptPlain(TcpcryptOutcome reason) => Volatile.Read(ref _plain[(int)reason]);

    public long CryptFailed(TcpcryptOutcome reason) => Volatile.Read(ref _failed[(int)reason]);

    public void CountCryptEncrypted(TcpcryptDialect dialect, TcpcryptKeyExchange keyExchange, bool isResumed)
    {
        _encrypted[CryptIndex(dialect, keyExchange, isResumed)]++;
        CryptHandshakes += isResumed ? 0 : 1;
        CryptResumptions += isResumed ? 1 : 0;
    }

    public void CountCryptPlain(TcpcryptOutcome reason) => _plain[(int)reason]++;

    public void CountCryptFailed(TcpcryptOutcome reason)
    {
        _failed[(int)reason]++;
        CryptFailures++;
    }
}
