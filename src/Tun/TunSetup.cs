using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using static Tcpcrypt.Tun.TunNative;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>What was agreed with the kernel about a device's packets.</summary>
/// <param name="HeaderLength">The virtio-net header in front of each packet, in octets; 0 for none.</param>
/// <param name="Offloads">What may be written.</param>
/// <param name="Reason">Why something is missing; null when it is not, or was not asked for.</param>
internal readonly record struct TunOffload(int HeaderLength, PacketOffloads Offloads, string? Reason);

/// <summary>The steps of opening a TUN device, each with its errors explained.</summary>
internal static class TunSetup
{
    /// <summary>Opens /dev/net/tun.</summary>
    public static SafeFileHandle OpenNode()
    {
        SafeFileHandle handle = TunNative.OpenNode();
        if (!handle.IsInvalid)
        {
            return handle;
        }

        int error = errno;
        handle.Dispose();
        throw TunErrors.Create("Cannot open the TUN driver", $"open({Node})", error, error switch
        {
            _ when error == ENOENT || error == ENOTDIR => "There is no device node: load the driver (modprobe tun) and, in a container, pass the node in (docker run --device /dev/net/tun) or make it (mkdir -p /dev/net; mknod /dev/net/tun c 10 200).",
            _ when error == ENODEV || error == ENXIO => "The kernel has no TUN driver: load it (modprobe tun).",
            _ when error == EACCES => "The device node's permissions forbid it: run as root, or let an administrator allow it (chmod 0666 /dev/net/tun, as most distributions do; the node alone gives no rights over interfaces).",
            _ when error == EPERM => "The device node is forbidden to this container or service: allow character device 10:200 (docker run --device /dev/net/tun; systemd DeviceAllow=/dev/net/tun rw).",
            _ when error == EMFILE => "Raise the limit of open files (ulimit -n).",
            _ => null,
        });
    }

    /// <summary>Attaches an open handle to the interface, which is made if there is none of that name.</summary>
    /// <returns>The interface's name, and whether packets have a virtio-net header.</returns>
    public static (string Name, bool HasHeader) Attach(SafeFileHandle handle, string name, bool multiQueue, OffloadMode offload)
    {
        bool header = offload != OffloadMode.Off;
        int flags = IffTun | IffNoPi | (multiQueue ? IffMultiQueue : 0);
        int error = SetInterface(handle, name, flags | (header ? IffVnetHdr : 0), out string attached);
        if (error == EINVAL && !multiQueue)
        {
            // An interface that was made with several queues may be attached to by its one-queue user too, but has to be asked for as what it is.
            error = SetInterface(handle, name, flags | IffMultiQueue | (header ? IffVnetHdr : 0), out attached);
        }

        if (error == EINVAL && header)
        {
            // Before Linux 2.6.27 there is no virtio-net header.
            header = false;
            error = SetInterface(handle, name, flags, out attached);
        }

        return error == 0 ? (attached, header) : throw AttachFailed(name, multiQueue, error);
    }

    /// <summary>Sets header length and offloads of an attached device, as far as wanted and possible.</summary>
    /// <exception cref="IOException">Less than required.</exception>
    public static TunOffload NegotiateOffload(SafeFileHandle handle, string name, bool hasHeader, OffloadMode mode)
    {
        TunOffload offload = NegotiateOffload(handle, hasHeader, mode);
        return mode == OffloadMode.Required && offload.Reason is { } reason
            ? throw new IOException($"TUN device {name} has no checksum and TCP segmentation offload, which Offload = Required asks for: {reason}. Use OffloadMode.Auto to do without.")
            : offload;
    }

    /// <summary>Sets who may attach later.</summary>
    public static void SetOwnership(SafeFileHandle handle, string name, TunDeviceOptions options)
    {
        if (options.Owner is { } owner)
        {
            int error = Control(handle, TunSetOwner, (nint)owner);
            ThrowIfFailed(error, $"Cannot set the owner of {name} to user {owner}", "ioctl(TUNSETOWNER)", UnknownId(error));
        }

        if (options.Group is { } group)
        {
            int error = Control(handle, TunSetGroup, (nint)group);
            ThrowIfFailed(error, $"Cannot set the group of {name} to group {group}", "ioctl(TUNSETGROUP)", UnknownId(error));
        }
    }

    /// <summary>Makes the interface outlive its descriptors.</summary>
    public static void Persist(SafeFileHandle handle, string name) =>
        ThrowIfFailed(Control(handle, TunSetPersist, 1), $"Cannot make {name} persistent", "ioctl(TUNSETPERSIST)");

    /// <summary>Sets up the interface by rtnetlink.</summary>
    /// <returns>Its MTU in octets.</returns>
    public static int Configure(SafeFileHandle handle, string name, TunDeviceOptions options, ILogger logger)
    {
        LinkInfo link = FindLink(handle, name) ?? throw new IOException(
            $"Cannot configure TUN device {name}: there is no such interface in this network namespace. Configure it where it lives, and set Configure = false here.", ENODEV);
        using Netlink netlink = new();
        netlink.SetLink(link, name, options.Mtu, options.TxQueueLength);
        if (netlink.DisableAutomaticIpv6(link) is not 0 and int error)
        {
            TunLog.Ipv6AddressesRemain(logger, name, TunErrors.Name(error));
        }

        if (options.HostAddress is { } address)
        {
            netlink.AddAddress(link, name, address);
        }

        netlink.BringUp(link, name);
        foreach (IPNetwork route in options.Routes)
        {
            netlink.AddRoute(link, name, route);
        }

        return options.Mtu;
    }

    /// <summary>The interface that a descriptor is attached to; null when it is not to be seen from this network namespace.</summary>
    public static LinkInfo? FindLink(SafeFileHandle handle, string name)
    {
        // Another namespace may have an interface of the same name. When the kernel does not tell where ours lives, it is taken to be here.
        if (NetworkNamespaceOf(handle) is { } home && home != CurrentNetworkNamespace)
        {
            return null;
        }

        using Netlink netlink = new();
        return netlink.FindLink(name);
    }

    /// <summary>The name and flags of the interface that a handed-in descriptor is attached to.</summary>
    public static (string Name, int Flags) Identify(SafeFileHandle handle)
    {
        InterfaceRequest request = default;
        int error = Control(handle, TunGetIff, ref request);
        ThrowIfFailed(error, "Cannot use the handed-in descriptor as a TUN device", "ioctl(TUNGETIFF)", error switch
        {
            _ when error == EBADFD => "It is not attached to an interface: whoever opens it must also do ioctl(TUNSETIFF) with IFF_TUN | IFF_NO_PI.",
            _ => "It is not a descriptor of /dev/net/tun.",
        });
        return (request.Name, request.Flags);
    }

    private static string? UnknownId(int error) => error == EINVAL ? "The id is not mapped in this user namespace (/proc/self/uid_map, gid_map)." : null;

    private static int SetInterface(SafeFileHandle handle, string name, int flags, out string attached)
    {
        InterfaceRequest request = default;
        request.Name = name;
        request.Flags = flags;
        int error = Control(handle, TunSetIff, ref request);
        attached = request.Name;
        return error;
    }

    private static TunOffload NegotiateOffload(SafeFileHandle handle, bool hasHeader, OffloadMode mode)
    {
        if (!hasHeader || mode == OffloadMode.Off)
        {
            // A persistent interface keeps what its last user asked for; without the header, super-segments could not be told from garbage.
            _ = Control(handle, TunSetOffload, 0);
            string? reason = mode == OffloadMode.Off ? null : "the descriptor has no virtio-net header (IFF_VNET_HDR)";

            // A handed-in descriptor may have the header although it is not wanted; then it is filled with zeros.
            return new TunOffload(hasHeader ? SetHeaderLength(handle) : 0, PacketOffloads.None, reason);
        }

        int headerLength = SetHeaderLength(handle);
        int error = Control(handle, TunSetOffload, OffloadChecksum | OffloadTso4 | OffloadTsoEcn);
        if (error == EINVAL)
        {
            error = Control(handle, TunSetOffload, OffloadChecksum | OffloadTso4);
        }

        if (error == 0)
        {
            return new TunOffload(headerLength, PacketOffloads.Checksum | PacketOffloads.Segmentation, null);
        }

        string refused = $"ioctl(TUNSETOFFLOAD) failed with {TunErrors.Name(error)} ({error})";
        return Control(handle, TunSetOffload, OffloadChecksum) == 0
            ? new TunOffload(headerLength, PacketOffloads.Checksum, refused)
            : new TunOffload(headerLength, PacketOffloads.None, refused);
    }

    // A persistent interface keeps the length that its last user chose.
    private static int SetHeaderLength(SafeFileHandle handle)
    {
        int length = VirtioNetHeader.Length;
        ThrowIfFailed(Control(handle, TunSetVnetHdrSz, ref length), "Cannot set the length of the virtio-net header", "ioctl(TUNSETVNETHDRSZ)");
        return length;
    }

    private static IOException AttachFailed(string name, bool multiQueue, int error)
    {
        string? cure = null;
        if (error == EPERM)
        {
            cure = TunErrors.NeedsCapability;
        }
        else if (error == EBUSY)
        {
            cure = $"The name is busy: another process is attached to {name}. Stop it (fuser -v {Node} shows who), or choose another name (\"tun%d\" takes a free one).";
        }
        else if (error == E2BIG)
        {
            cure = $"The interface {name} has as many queues as it can: open fewer.";
        }
        else if (error == EINVAL)
        {
            using Netlink netlink = new();
            cure = netlink.FindLink(name) is null ? "The kernel does not take the name or the flags."
                : multiQueue ? $"An interface {name} exists that is not a TUN device with several queues: open it with Queues = 1, delete it (ip link del {name}), or choose another name."
                : $"The name is busy: an interface {name} exists that is not a TUN device. Choose another name (\"tun%d\" takes a free one).";
        }

        return TunErrors.Create($"Cannot open TUN device {name}", "ioctl(TUNSETIFF)", error, cure);
    }

    private static void ThrowIfFailed(int error, string what, string call, string? cure = null)
    {
        if (error != 0)
        {
            throw TunErrors.Create(what, call, error, error == EPERM ? TunErrors.NeedsCapability : cure);
        }
    }
}
