using System.Runtime.Versioning;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Tcpcrypt.Tun;

/// <summary>
/// A Linux TUN interface: what the kernel routes to it arrives here as IPv4 packets, what is written here the kernel receives from it. With offload (the default where the kernel has it) a packet
/// may be a TCP super-segment of up to 65,535 octets with an unfinished checksum, both ways.
/// </summary>
/// <remarks>
/// Opening needs CAP_NET_ADMIN, unless the interface exists, belongs to this user and is opened with <see cref="TunDeviceOptions.Configure"/> = false.
/// The interface is made in the network namespace of the calling thread. Members are thread-safe; for the queues' threads see <see cref="PacketQueue"/>.
/// </remarks>
public sealed class TunDevice : PacketDevice
{
    private readonly TunQueue[] _queues;
    private readonly ILogger _logger;
    private int _disposed;

    private TunDevice(string name, int mtu, TunOffload offload, IReadOnlyList<SafeFileHandle> handles, ILogger logger)
    {
        Name = name;
        Mtu = mtu;
        Offloads = offload.Offloads;
        _logger = logger;
        TunQueueHandle[] queueHandles = new TunQueueHandle[handles.Count];
        try
        {
            for (int i = 0; i < queueHandles.Length; i++)
            {
                queueHandles[i] = new TunQueueHandle(handles[i]);
            }
        }
        catch (IOException)
        {
            // Out of descriptors: those made so far close; the handles are closed by who owns them.
            foreach (TunQueueHandle? made in queueHandles)
            {
                made?.Dispose();
            }

            throw;
        }

        _queues = Array.ConvertAll(queueHandles, handle => new TunQueue(handle, name, offload.HeaderLength, offload.Offloads));
        if (offload.Reason is { } reason)
        {
            TunLog.OffloadFallback(logger, name, offload.Offloads, reason);
        }

        TunLog.Opened(logger, name, mtu, _queues.Length, offload.Offloads);
    }

    /// <inheritdoc/>
    public override string Name { get; }

    /// <inheritdoc/>
    public override int Mtu { get; }

    /// <inheritdoc/>
    public override PacketOffloads Offloads { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<PacketQueue> Queues => _queues;

    /// <summary>How many packets from the kernel were dropped because they did not fit their slot or made no sense as a super-segment.</summary>
    public long PacketsDroppedOnRead => _queues.Sum(queue => queue.ReadDrops);

    /// <summary>How many written packets the kernel refused: malformed (EINVAL), out of memory (ENOBUFS, ENOMEM), or while the interface was down (EIO).</summary>
    public long PacketsDroppedOnWrite => _queues.Sum(queue => queue.WriteDrops);

    /// <summary>Opens a TUN interface by name: makes it, or attaches to one that exists.</summary>
    /// <param name="options">What to open and how to set it up.</param>
    /// <returns>The device. Disposing removes the interface, unless it is persistent.</returns>
    /// <exception cref="ArgumentException">An option is out of range; <see cref="ArgumentException.ParamName"/> is the property.</exception>
    /// <exception cref="IOException">A system call failed. The message names it, the error and the cure; <see cref="Exception.HResult"/> is the error number.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static TunDevice Open(TunDeviceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        ThrowIfNotLinux();
        ILogger logger = CreateLogger(options);
        List<SafeFileHandle> handles = [];
        try
        {
            string name = options.Name;
            TunOffload offload = default;
            for (int i = 0; i < options.Queues; i++)
            {
                handles.Add(TunSetup.OpenNode());
                (name, bool hasHeader) = TunSetup.Attach(handles[i], name, options.Queues > 1, options.Offload);
                offload = TunSetup.NegotiateOffload(handles[i], name, hasHeader, options.Offload);
            }

            TunSetup.SetOwnership(handles[0], name, options);
            int mtu = options.Configure ? TunSetup.Configure(handles[0], name, options, logger) : TunSetup.FindLink(handles[0], name)?.Mtu ?? options.Mtu;
            if (options.Persistent)
            {
                // Last, so that a failure before leaves nothing behind.
                TunSetup.Persist(handles[0], name);
            }

            return new TunDevice(name, mtu, offload, handles, logger);
        }
        catch
        {
            handles.ForEach(handle => handle.Dispose());
            throw;
        }
    }

    /// <summary>
    /// Uses a descriptor that somebody else opened (a privileged helper, a service manager, a test): one of /dev/net/tun, attached with IFF_TUN | IFF_NO_PI, and IFF_VNET_HDR for offload.
    /// </summary>
    /// <param name="tun">The descriptor. The device takes it over and closes it when it is disposed, or not at all when this method throws. It is made non-blocking.</param>
    /// <param name="options">
    /// How to use it; null leaves the interface as it is, takes the MTU from the kernel, and uses what offload there is. <see cref="TunDeviceOptions.Name"/> does not matter;
    /// <see cref="TunDeviceOptions.Queues"/> must be 1; <see cref="TunDeviceOptions.Configure"/> needs CAP_NET_ADMIN and the interface in the caller's network namespace.
    /// </param>
    /// <returns>The device. Disposing it leaves the interface alone, which the kernel removes with its last descriptor unless it is persistent.</returns>
    /// <exception cref="ArgumentException">An option is out of range, or the descriptor is closed, a TAP device's, or one with packet information in front of packets.</exception>
    /// <exception cref="IOException">A system call failed. The message names it, the error and the cure; <see cref="Exception.HResult"/> is the error number.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static TunDevice FromHandle(SafeFileHandle tun, TunDeviceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(tun);
        options ??= new TunDeviceOptions { Configure = false };
        options.Validate(queuesMax: 1);

        if (tun.IsInvalid || tun.IsClosed)
        {
            throw new ArgumentException("The descriptor is closed.", nameof(tun));
        }

        ThrowIfNotLinux();
        ILogger logger = CreateLogger(options);
        (string name, int flags) = TunSetup.Identify(tun);

        // TUNGETIFF cannot tell about packet information: its bit 0x1000 is IFF_NO_PI by one definition, IFF_NOFILTER by another, and means the latter. rtnetlink knows.
        LinkInfo? link = TunSetup.FindLink(tun, name);
        if ((flags & TunNative.IffTap) != 0 || link is { HasPacketInformation: true })
        {
            throw new ArgumentException($"{name} is opened as a TAP device or with packet information: open it with IFF_TUN | IFF_NO_PI.", nameof(tun));
        }

        int error = TunNative.SetNonBlocking(tun);
        if (error != 0)
        {
            throw TunErrors.Create($"Cannot make TUN device {name} non-blocking", "fcntl(F_SETFL)", error);
        }

        TunOffload offload = TunSetup.NegotiateOffload(tun, name, (flags & TunNative.IffVnetHdr) != 0, options.Offload);
        TunSetup.SetOwnership(tun, name, options);
        int mtu = options.Configure ? TunSetup.Configure(tun, name, options, logger) : link?.Mtu ?? options.Mtu;
        if (options.Persistent)
        {
            TunSetup.Persist(tun, name);
        }

        return new TunDevice(name, mtu, offload, [tun], logger);
    }

    /// <inheritdoc/>
    /// <remarks>The interface goes with it, unless it is persistent or the descriptor was handed in and has copies elsewhere. Waits for calls under way; later ones fail with an <see cref="IOException"/>.</remarks>
    public override async ValueTask DisposeAsync()
    {
        bool first = Interlocked.Exchange(ref _disposed, 1) == 0;
        await Task.WhenAll(Array.ConvertAll(_queues, queue => queue.CloseAsync())).ConfigureAwait(false);
        if (first)
        {
            TunLog.Closed(_logger, Name, PacketsDroppedOnRead, PacketsDroppedOnWrite);
        }
    }

    /// <summary>The name, for logs and debuggers.</summary>
    /// <returns>The interface's name.</returns>
    public override string ToString() => Name;

    private static ILogger CreateLogger(TunDeviceOptions options) => options.LoggerFactory?.CreateLogger<TunDevice>() ?? NullLogger<TunDevice>.Instance;

    [SupportedOSPlatformGuard("linux")]
    private static void ThrowIfNotLinux()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException("TUN devices are a feature of Linux; on other systems use a link in memory.");
        }
    }
}
