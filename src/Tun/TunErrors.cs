using System.Runtime.InteropServices;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>Exceptions that name the system call, the error and the cure.</summary>
internal static class TunErrors
{
    public const string NeedsCapability =
        "This needs the capability CAP_NET_ADMIN in the network namespace's user namespace: run as root, give the program the capability (setcap cap_net_admin+ep), " +
        "or let an administrator make a persistent interface for this user (ip tuntap add dev NAME mode tun user USER) and open that with Configure = false.";

    /// <summary>An <see cref="IOException"/> for a failed system call; its HResult is the error number.</summary>
    public static IOException Create(string what, string call, int errno, string? cure = null) =>
        new($"{what}: {call} failed with {Name(errno)} ({errno}, {Marshal.GetPInvokeErrorMessage(errno)}).{(cure is null ? "" : " " + cure)}", errno);

    /// <summary>The symbolic name of an error number.</summary>
    public static string Name(int errno) => errno switch
    {
        _ when errno == EPERM => "EPERM",
        _ when errno == ENOENT => "ENOENT",
        _ when errno == ESRCH => "ESRCH",
        _ when errno == EINTR => "EINTR",
        _ when errno == EIO => "EIO",
        _ when errno == ENXIO => "ENXIO",
        _ when errno == E2BIG => "E2BIG",
        _ when errno == EBADF => "EBADF",
        _ when errno == EAGAIN => "EAGAIN",
        _ when errno == ENOMEM => "ENOMEM",
        _ when errno == EACCES => "EACCES",
        _ when errno == EFAULT => "EFAULT",
        _ when errno == EBUSY => "EBUSY",
        _ when errno == EEXIST => "EEXIST",
        _ when errno == ENODEV => "ENODEV",
        _ when errno == EINVAL => "EINVAL",
        _ when errno == ENFILE => "ENFILE",
        _ when errno == EMFILE => "EMFILE",
        _ when errno == ENOTTY => "ENOTTY",
        _ when errno == ERANGE => "ERANGE",
        _ when errno == EBADFD => "EBADFD",
        _ when errno == EMSGSIZE => "EMSGSIZE",
        _ when errno == EOPNOTSUPP => "EOPNOTSUPP",
        _ when errno == EAFNOSUPPORT => "EAFNOSUPPORT",
        _ when errno == EADDRNOTAVAIL => "EADDRNOTAVAIL",
        _ when errno == ENETDOWN => "ENETDOWN",
        _ when errno == ENETUNREACH => "ENETUNREACH",
        _ when errno == ENOBUFS => "ENOBUFS",
        _ when errno == EHOSTUNREACH => "EHOSTUNREACH",
        _ => $"error {errno}",
    };
}
