using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>Settings of an <see cref="IpStack"/>. Checked and copied by <see cref="IpStack.StartAsync"/>: later changes have no effect.</summary>
public sealed class IpStackOptions
{
    private const long MemoryLimitMin = 1024 * 1024;

    /// <summary>The stack's own addresses (not the kernel's, at the other end of a TUN link); at least one. The first is the source of new flows unless a route says otherwise.</summary>
    public required IList<IPPrefixAddress> Addresses { get; set; }

    /// <summary>What is reached through the device; empty = everything.</summary>
    public IList<StackRoute> Routes { get; set; } = [];

    /// <summary>TCP's settings.</summary>
    public TcpStackOptions Tcp { get; set; } = new();

    /// <summary>tcpcrypt's settings.</summary>
    public TcpcryptOptions Tcpcrypt { get; set; } = new();

    /// <summary>Where continuations run.</summary>
    public ContinuationScheduling Scheduling { get; set; } = ContinuationScheduling.ThreadPool;

    /// <summary>
    /// How long the loop goes on looking for packets and commands before it sleeps, after a turn that had some, in microseconds: 0 to 1000. Zero (the default) = it sleeps at once.
    /// About 20 makes an exchange between two processors that are otherwise idle twice as fast, and costs their time; it has no effect with one processor, and is given up while it seldom pays.
    /// </summary>
    public int SpinMicroseconds { get; set; }

    /// <summary>Answer ICMP echo requests (RFC 1122 §3.2.2.6).</summary>
    public bool RespondToEcho { get; set; } = true;

    /// <summary>
    /// Buffer memory of all connections together, in octets; at least 1 MiB. From three quarters of it on windows open no further than one segment's worth, and what is held out of order gives way, the
    /// largest holder's first. At the limit writers wait; connections that the application has closed, and those whose peers have taken nothing for <see cref="TcpStackOptions.StalledTimeout"/>, are reset; and
    /// text that arrives is dropped, except that each connection may hold one segment's worth.
    /// </summary>
    public long MemoryLimit { get; set; } = 256L * 1024 * 1024;

    /// <summary>The stack's clock.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;

    /// <summary>Where the stack logs; null = nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>Makes the meter "Tcpcrypt.Stack"; null = no metrics.</summary>
    public IMeterFactory? MeterFactory { get; set; }

    /// <summary>Resolves names for <see cref="IpStack.ConnectAsync(string, int, TcpConnectOptions?, CancellationToken)"/>; null = the host's resolver, IPv4 addresses only.</summary>
    public Func<string, CancellationToken, ValueTask<IPAddress[]>>? Resolver { get; set; }

    internal IpStackOptions Copy()
    {
        IpStackOptions copy = (IpStackOptions)MemberwiseClone();
        copy.Addresses = [.. Addresses ?? throw Bad(nameof(Addresses), null, "is needed")];
        copy.Routes = [.. Routes ?? []];
        copy.Tcp = (Tcp ?? throw Bad(nameof(Tcp), null, "is needed")).Copy();
        copy.Tcpcrypt = (Tcpcrypt ?? throw Bad(nameof(Tcpcrypt), null, "is needed")).Copy();
        copy.Validate();
        return copy;
    }

    private void Validate()
    {
        ValidateAddresses();
        foreach (StackRoute route in Routes)
        {
            Check(nameof(Routes), route, route?.Destination.BaseAddress.AddressFamily == AddressFamily.InterNetwork, "has IPv4 destinations only");
            Check(nameof(Routes), route, route!.Source is null || Addresses.Any(address => address.Address.Equals(route.Source)), "has sources that are in Addresses");
            Check(nameof(Routes), route, route.Mtu is null or (>= 68 and <= PacketSlot.MaxPacketLength), "has MTUs of 68 to 65,535 octets");
        }

        Check(nameof(Scheduling), Scheduling, Enum.IsDefined(Scheduling), "is ThreadPool or Inline");
        Check(nameof(SpinMicroseconds), SpinMicroseconds, SpinMicroseconds is >= 0 and <= 1000, "is 0 to 1000 microseconds");
        Check(nameof(MemoryLimit), MemoryLimit, MemoryLimit >= MemoryLimitMin, "is at least 1 MiB");
        Check(nameof(TimeProvider), TimeProvider, TimeProvider is not null, "is needed");
        ValidateTcp();
    }

    private void ValidateAddresses()
    {
        Check(nameof(Addresses), null, Addresses.Count > 0, "needs at least one address, such as 10.0.0.2/24");
        HashSet<IPAddress> seen = [];
        foreach (IPPrefixAddress address in Addresses)
        {
            // default(IPPrefixAddress) has no address.
            Check(nameof(Addresses), address, address.Address is not null && Ipv4Address.TryFrom(address.Address, out Ipv4Address value) && value.IsUnicast, "has unicast IPv4 addresses only");
            Check(nameof(Addresses), address, seen.Add(address.Address!), "names each address once");
        }
    }

    private void ValidateTcp()
    {
        const int BufferSizeMax = 1024 * 1024 * 1024;
        TcpStackOptions tcp = Tcp;
        CheckTcp(nameof(tcp.CongestionControl), tcp.CongestionControl, Enum.IsDefined(tcp.CongestionControl), "is a known congestion control");
        CheckTcp(nameof(tcp.InitialWindowSegments), tcp.InitialWindowSegments, tcp.InitialWindowSegments is >= 1 and <= 100, "is 1 to 100 segments");
        CheckTcp(nameof(tcp.ReceiveBufferSize), tcp.ReceiveBufferSize, tcp.ReceiveBufferSize is null or (>= 1 and <= BufferSizeMax), "is 1 octet to 1 GiB");
        CheckTcp(nameof(tcp.SendBufferSize), tcp.SendBufferSize, tcp.SendBufferSize is null or (>= 1 and <= BufferSizeMax), "is 1 octet to 1 GiB");
        CheckTcp(nameof(tcp.MaxReceiveBufferSize), tcp.MaxReceiveBufferSize, tcp.MaxReceiveBufferSize is >= 1 and <= BufferSizeMax, "is 1 octet to 1 GiB");
        CheckTcp(nameof(tcp.MaxSendBufferSize), tcp.MaxSendBufferSize, tcp.MaxSendBufferSize is >= 1 and <= BufferSizeMax, "is 1 octet to 1 GiB");
        CheckTcp(nameof(tcp.PathMtuProbing), tcp.PathMtuProbing, Enum.IsDefined(tcp.PathMtuProbing), "is Off, OnBlackHole or Always");
        CheckTcp(nameof(tcp.PathMtuProbeBase), tcp.PathMtuProbeBase, tcp.PathMtuProbeBase is >= 512 and <= 65_495, "is 512 to 65,495 octets");
        CheckTcp(nameof(tcp.DelayedAck), tcp.DelayedAck, tcp.DelayedAck >= TimeSpan.Zero && tcp.DelayedAck < TimeSpan.FromSeconds(0.5), "is zero to less than 0.5 s (RFC 9293 MUST-40)");
        CheckTcp(nameof(tcp.MinRto), tcp.MinRto, tcp.MinRto >= TimeSpan.FromMilliseconds(1), "is at least 1 ms");
        CheckTcp(nameof(tcp.MaxRto), tcp.MaxRto, tcp.MaxRto >= tcp.MinRto, "is not less than MinRto");
        CheckTcp(nameof(tcp.InitialRto), tcp.InitialRto, tcp.InitialRto >= tcp.MinRto && tcp.InitialRto <= tcp.MaxRto, "is between MinRto and MaxRto");
        CheckTcp(nameof(tcp.R1Retransmissions), tcp.R1Retransmissions, tcp.R1Retransmissions >= 1, "is at least 1");
        CheckTcp(nameof(tcp.R2Retransmissions), tcp.R2Retransmissions, tcp.R2Retransmissions >= tcp.R1Retransmissions, "is not less than R1Retransmissions");
        CheckTcp(nameof(tcp.SynTimeout), tcp.SynTimeout, tcp.SynTimeout > TimeSpan.Zero, "is positive");
        CheckTcp(nameof(tcp.SynAckRetransmissions), tcp.SynAckRetransmissions, tcp.SynAckRetransmissions is >= 0 and <= 255, "is 0 to 255");
        CheckTcp(nameof(tcp.TimeWait), tcp.TimeWait, tcp.TimeWait >= TimeSpan.Zero, "is not negative");
        CheckTcp(nameof(tcp.FinWait2Timeout), tcp.FinWait2Timeout, tcp.FinWait2Timeout > TimeSpan.Zero, "is positive");
        CheckTcp(nameof(tcp.SynCacheSize), tcp.SynCacheSize, tcp.SynCacheSize >= 1, "is at least 1");
        CheckTcp(nameof(tcp.TimeWaitLimit), tcp.TimeWaitLimit, tcp.TimeWaitLimit >= 0, "is not negative");
        CheckTcp(nameof(tcp.OrphanLimit), tcp.OrphanLimit, tcp.OrphanLimit >= 0, "is not negative");
        CheckTcp(nameof(tcp.OrphanRetransmissions), tcp.OrphanRetransmissions, tcp.OrphanRetransmissions is >= 1 and <= 255, "is 1 to 255");
        CheckTcp(nameof(tcp.StalledTimeout), tcp.StalledTimeout, tcp.StalledTimeout > TimeSpan.Zero, "is positive");
        CheckTcp(nameof(tcp.ConnectionLimit), tcp.ConnectionLimit, tcp.ConnectionLimit >= 1, "is at least 1");
        CheckTcp(nameof(tcp.ChallengeAcksPerSecond), tcp.ChallengeAcksPerSecond, tcp.ChallengeAcksPerSecond >= 1, "is at least 1");
        CheckTcp(nameof(tcp.EphemeralPortFirst), tcp.EphemeralPortFirst, tcp.EphemeralPortFirst is >= 1 and <= 65_535, "is 1 to 65,535");
        CheckTcp(nameof(tcp.EphemeralPortLast), tcp.EphemeralPortLast, tcp.EphemeralPortLast >= tcp.EphemeralPortFirst && tcp.EphemeralPortLast <= 65_535, "is EphemeralPortFirst to 65,535");
    }

    private static void CheckTcp(string property, object? value, bool isGood, string rule) => Check(nameof(Tcp) + "." + property, value, isGood, rule);

    private static void Check(string property, object? value, bool isGood, string rule)
    {
        if (!isGood)
        {
            throw Bad(property, value, rule);
        }
    }

    private static ArgumentException Bad(string property, object? value, string rule) =>
        new($"IpStackOptions.{property} {rule}{(value is null ? "" : $"; it is {value}")}.", property);
}
