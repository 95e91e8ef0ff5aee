using System.Net;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Tcp.Crypt;

namespace Tcpcrypt.Testing;

// CA2208: the argument that is wrong is the property that the caller has set.
#pragma warning disable CA2208

/// <summary>What a <see cref="SteppedStack"/> is made of. Copied when the stack is made: later changes have no effect.</summary>
public sealed class SteppedStackOptions
{
    /// <summary>The stack's own addresses; the first one is the source of new flows. Empty = 192.168.0.1/16.</summary>
    public IList<IPPrefixAddress> Addresses { get; } = [];

    /// <summary>Routes; empty = every destination is reached over the link.</summary>
    public IList<StackRoute> Routes { get; } = [];

    /// <summary>The link's MTU, in octets: 68 to 65,535. No packet taken from the stack is longer.</summary>
    public int Mtu { get; set; } = 1500;

    /// <summary>Where the stack's random values come from (initial sequence numbers, ports, hash keys). The same seed and the same calls give the same packets.</summary>
    public ulong Seed { get; set; } = 1;

    /// <summary>The virtual clock's first reading, in nanoseconds; 0 or more.</summary>
    public long StartNs { get; set; }

    /// <summary>All TCP settings: window scaling, timestamps, SACK, ECN, initial window, congestion control, time-outs. See the shorthands below for the ones tests want most.</summary>
    public TcpStackOptions Tcp { get; set; } = new();

    /// <summary>Answer ICMP echo requests.</summary>
    public bool RespondToEcho { get; set; } = true;

    /// <summary>ICMP messages generated per second at most.</summary>
    public int IcmpPerSecond { get; set; } = 1000;

    /// <summary>Buffer memory of the whole stack, in octets.</summary>
    public long MemoryLimit { get; set; } = 256L * 1024 * 1024;

    /// <summary>The receive window, in octets, exactly and without auto-tuning: what is announced while the application has everything read, as far as the window scale can express it. Null = as <see cref="TcpStackOptions.ReceiveBufferSize"/> says.</summary>
    public int? ReceiveWindow { get; set; }

    /// <summary>How long an ACK may be delayed; <see cref="TimeSpan.Zero"/> = never; any other value holds from the first segment on. Null = as <see cref="TcpStackOptions.DelayedAck"/> and <see cref="TcpStackOptions.QuickAck"/> say.</summary>
    public TimeSpan? DelayedAck { get; set; }

    /// <summary>The stack speaks tcpcrypt, as <see cref="TcpcryptOptions"/> says; false = plain TCP, and CRYPT options are options that it does not know.</summary>
    public bool Tcpcrypt { get; set; }

    /// <summary>tcpcrypt's settings. Public-key work is done at once; session store and key log are not used.</summary>
    public TcpcryptOptions TcpcryptOptions { get; set; } = new();

    internal StackCoreOptions ToCore(TimeProvider time)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Mtu, 68, nameof(Mtu));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Mtu, 65_535, nameof(Mtu));
        ArgumentOutOfRangeException.ThrowIfNegative(StartNs, nameof(StartNs));
        ArgumentNullException.ThrowIfNull(Tcp, nameof(Tcp));
        ArgumentNullException.ThrowIfNull(TcpcryptOptions, nameof(TcpcryptOptions));
        TcpStackOptions tcp = Tcp.Copy();
        if (ReceiveWindow is { } window)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(window, 1, nameof(ReceiveWindow));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(window, 1 << 30, nameof(ReceiveWindow));
            tcp.ReceiveBufferSize = window;
        }

        if (DelayedAck is { } delay)
        {
            if (delay < TimeSpan.Zero || delay >= TimeSpan.FromMilliseconds(500))
            {
                throw new ArgumentOutOfRangeException(nameof(DelayedAck), delay, "An ACK may be delayed by less than 0.5 s (RFC 9293 MUST-40).");
            }

            tcp.DelayedAck = delay;

            // Exactly this delay, from the first segment on.
            tcp.QuickAck = false;
        }

        return new StackCoreOptions
        {
            Addresses = Addresses.Count > 0 ? [.. Addresses] : [new IPPrefixAddress(new IPAddress((byte[])[192, 168, 0, 1]), 16)],
            Routes = [.. Routes],
            Mtu = Mtu,
            Tcp = tcp,
            RespondToEcho = RespondToEcho,
            IcmpPerSecond = IcmpPerSecond,
            MemoryLimit = MemoryLimit,
            Crypt = Tcpcrypt ? ToCrypt(TcpcryptOptions.Copy(), time) : null,
        };
    }

    private static CryptLayerOptions ToCrypt(TcpcryptOptions options, TimeProvider time) => new()
    {
        Settings = CryptSettings.From(options),
        Kinds = new CryptOptionKinds(options.CryptOptionKind, options.MacOptionKind),
        Sessions = options.AllowResumption ? new TcpcryptSessionCache(time, options.SessionCacheSize, options.SessionLifetime) : null,
    };
}
