using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Tcpcrypt.Tun;

/// <summary>How a <see cref="TunDevice"/> is opened and how its interface is set up. Read once by <see cref="TunDevice.Open"/>: later changes have no effect.</summary>
public sealed class TunDeviceOptions
{
    /// <summary>The longest name of a Linux interface, in octets (IFNAMSIZ less the final zero).</summary>
    internal const int NameLengthMax = 15;

    /// <summary>MAX_TAP_QUEUES in the kernel.</summary>
    internal const int QueuesMax = 256;

    /// <summary>
    /// The interface's name: at most 15 octets, without '/', ':' and white space. One "%d" stands for the first free number ("tun%d", the default: tun0, tun1, ...).
    /// When a TUN interface of that name exists already, it is attached to.
    /// </summary>
    public string Name { get; set; } = "tun%d";

    /// <summary>
    /// The kernel's own address on the link, with the link's prefix length; null for none. It is <b>not</b> the stack's address: a TUN link has two ends, the kernel's
    /// (this one) and the stack's (<c>IpStackOptions.Addresses</c>, usually within this prefix). The two must differ; the stack, which knows both, refuses equal ones.
    /// </summary>
    public IPPrefixAddress? HostAddress { get; set; }

    /// <summary>
    /// The interface's MTU, in octets: 68 to 65,535; 1500 by default. With <see cref="Configure"/> = false the kernel's figure is used instead
    /// (and this one only where the kernel's cannot be seen: a handle from another network namespace).
    /// </summary>
    public int Mtu { get; set; } = 1500;

    /// <summary>IPv4 destinations that the kernel shall route to the interface, besides the prefix of <see cref="HostAddress"/>. A route that exists already through another interface is an error, never replaced.</summary>
    public IList<IPNetwork> Routes { get; } = [];

    /// <summary>
    /// True (the default): set address, MTU, queue length and routes by rtnetlink and bring the interface up. False: the interface was set up by someone else
    /// and is left alone; <see cref="HostAddress"/>, <see cref="Routes"/> and <see cref="TxQueueLength"/> must not be given then.
    /// </summary>
    public bool Configure { get; set; } = true;

    /// <summary>True to keep the interface when the device is disposed or the process ends (TUNSETPERSIST). False leaves an interface that is persistent already as it is. Default false.</summary>
    public bool Persistent { get; set; }

    /// <summary>The user id that may attach to the (persistent) interface without CAP_NET_ADMIN; null leaves it unchanged.</summary>
    public uint? Owner { get; set; }

    /// <summary>The group id that may attach to the (persistent) interface without CAP_NET_ADMIN; null leaves it unchanged.</summary>
    public uint? Group { get; set; }

    /// <summary>How many queues to open: 1 (the default) to 256. The kernel spreads flows over them; each is driven by one loop thread.</summary>
    public int Queues { get; set; } = 1;

    /// <summary>
    /// How many packets the kernel queues towards the stack before it drops, per queue (txqueuelen): at least 1; null leaves the kernel's default (500).
    /// The sum of the windows that the stack advertises should fit.
    /// </summary>
    public int? TxQueueLength { get; set; }

    /// <summary>Whether checksum and segmentation offload are used. Default <see cref="OffloadMode.Auto"/>.</summary>
    public OffloadMode Offload { get; set; } = OffloadMode.Auto;

    /// <summary>Where the device logs (category <c>Tcpcrypt.Tun.TunDevice</c>); null for nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>Checks every property.</summary>
    /// <exception cref="ArgumentException">A property is out of range; <see cref="ArgumentException.ParamName"/> names it.</exception>
    internal void Validate(int queuesMax = QueuesMax)
    {
        ValidateName(Name);
        Require(Mtu is >= 68 and <= 65_535, nameof(Mtu), $"The MTU must be 68 to 65535 octets, not {Mtu}.");
        Require(Queues >= 1 && Queues <= queuesMax, nameof(Queues), queuesMax == 1 ? "A handed-in descriptor is one queue." : $"A TUN device has 1 to {queuesMax} queues, not {Queues}.");
        Require(TxQueueLength is null or >= 1, nameof(TxQueueLength), $"The transmit queue must hold at least 1 packet, not {TxQueueLength}.");
        Require(Owner != uint.MaxValue, nameof(Owner), "4294967295 is not a user id.");
        Require(Group != uint.MaxValue, nameof(Group), "4294967295 is not a group id.");
        Require(Enum.IsDefined(Offload), nameof(Offload), $"{Offload} is not an offload mode.");
        if (HostAddress is { } host)
        {
            Require(host.Address is not null, nameof(HostAddress), "The host address is empty (default): give an address, or null for none.");
            byte firstOctet = host.Address!.GetAddressBytes()[0];
            Require(firstOctet is not 0 and < 224, nameof(HostAddress), $"{host} is not a unicast address.");
        }

        foreach (IPNetwork route in Routes)
        {
            Require(route.BaseAddress.AddressFamily == AddressFamily.InterNetwork, nameof(Routes), $"{route} is not an IPv4 network.");
        }

        if (!Configure)
        {
            Require(HostAddress is null, nameof(HostAddress), "A host address cannot be set with Configure = false.");
            Require(Routes.Count == 0, nameof(Routes), "Routes cannot be set with Configure = false.");
            Require(TxQueueLength is null, nameof(TxQueueLength), "The transmit queue length cannot be set with Configure = false.");
        }
    }

    // dev_valid_name() and dev_alloc_name() in the kernel, so that a mistake is named here and not as EINVAL there.
    private static void ValidateName(string name)
    {
        Require(!string.IsNullOrEmpty(name), nameof(Name), "The interface needs a name.");
        Require(Encoding.UTF8.GetByteCount(name) <= NameLengthMax, nameof(Name), $"The interface name \"{name}\" is longer than {NameLengthMax} octets.");
        Require(name is not ("." or ".."), nameof(Name), $"\"{name}\" is not an interface name.");
        foreach (char c in name)
        {
            Require(c is not ('/' or ':') && !char.IsWhiteSpace(c) && !char.IsControl(c), nameof(Name), $"The interface name \"{name}\" contains '/', ':', white space or a control character.");
        }

        int percent = name.IndexOf('%', StringComparison.Ordinal);
        Require(
            percent < 0 || (name.AsSpan(percent).StartsWith("%d") && name.IndexOf('%', percent + 1) < 0),
            nameof(Name),
            $"The interface name \"{name}\" may contain '%' only once, as \"%d\".");
    }

    private static void Require(bool condition, string property, string message)
    {
        if (!condition)
        {
            throw new ArgumentException(message, property);
        }
    }
}
