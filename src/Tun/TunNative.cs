using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>What Tmds.LibC lacks: the numbers and structures of linux/if_tun.h, and poll(2) with its error number kept.</summary>
internal static unsafe partial class TunNative
{
    public const string Node = "/dev/net/tun";

    // linux/if_tun.h: flags of TUNSETIFF
    public const int IffTun = 0x0001;
    public const int IffTap = 0x0002;
    public const int IffMultiQueue = 0x0100;
    public const int IffNoPi = 0x1000;
    public const int IffVnetHdr = 0x4000;

    // linux/if_tun.h: ioctl requests (the encoding of x86, arm, riscv)
    public const uint TunSetIff = 0x4004_54CA;
    public const uint TunSetPersist = 0x4004_54CB;
    public const uint TunSetOwner = 0x4004_54CC;
    public const uint TunSetGroup = 0x4004_54CE;
    public const uint TunSetOffload = 0x4004_54D0;
    public const uint TunGetIff = 0x8004_54D2;
    public const uint TunSetVnetHdrSz = 0x4004_54D8;
    public const uint TunGetDevNetNs = 0x0000_54E3;

    // linux/if_tun.h: features of TUNSETOFFLOAD
    public const int OffloadChecksum = 0x01;
    public const int OffloadTso4 = 0x02;
    public const int OffloadTsoEcn = 0x08;

    /// <summary>struct ifreq with flags. 40 octets on 64-bit machines; what is longer than needed on others does no harm.</summary>
    [InlineArray(40)]
    public struct InterfaceRequest
    {
        private byte _first;

        public string Name
        {
            get
            {
                ReadOnlySpan<byte> octets = this[..16];
                int end = octets.IndexOf((byte)0);
                return Encoding.UTF8.GetString(end < 0 ? octets : octets[..end]);
            }

            set => Encoding.UTF8.GetBytes(value, this[..15]);
        }

        public int Flags
        {
            get => MemoryMarshal.Read<ushort>(this[16..]);
            set => MemoryMarshal.Write(this[16..], (ushort)value);
        }
    }

    /// <summary>struct timespec, in its "long" form.</summary>
    public struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }

    // Tmds.LibC has both, but does not keep errno for them.
    [LibraryImport("libc.so.6", EntryPoint = "poll", SetLastError = true)]
    private static partial int PollNative(pollfd* fds, nuint count, int milliseconds);

    [LibraryImport("libc.so.6", EntryPoint = "ppoll", SetLastError = true)]
    private static partial int PpollNative(pollfd* fds, nuint count, TimeSpec* timeout, void* signals);

    /// <summary>
    /// poll(2) with a <see cref="TimeSpan"/>. Never ends before its time: poll's milliseconds are rounded up. Short waits (pacing) go to the exact ppoll,
    /// which costs some 0.5 us more; retransmission timers do not need it.
    /// </summary>
    public static int Poll(Span<pollfd> fds, TimeSpan timeout)
    {
        fixed (pollfd* first = fds)
        {
            if (timeout == Timeout.InfiniteTimeSpan)
            {
                return PollNative(first, (nuint)fds.Length, -1);
            }

            if (timeout > TimeSpan.Zero && timeout < TimeSpan.FromMilliseconds(10))
            {
                TimeSpec exact = new() { Nanoseconds = (nint)(timeout.Ticks * 100) };
                return PpollNative(first, (nuint)fds.Length, &exact, null);
            }

            long milliseconds = (timeout.Ticks + TimeSpan.TicksPerMillisecond - 1) / TimeSpan.TicksPerMillisecond;
            return PollNative(first, (nuint)fds.Length, (int)Math.Min(milliseconds, int.MaxValue));
        }
    }

    /// <summary>open(2) of the TUN node, non-blocking. The handle is invalid when it fails; <see cref="errno"/> says why.</summary>
    public static SafeFileHandle OpenNode()
    {
        fixed (byte* path = "/dev/net/tun\0"u8)
        {
            return new SafeFileHandle(open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0), ownsHandle: true);
        }
    }

    /// <summary>ioctl(2) with a structure. Returns 0 or the error number.</summary>
    public static int Control<T>(SafeFileHandle handle, uint request, ref T argument)
        where T : unmanaged
    {
        fixed (T* pointer = &argument)
        {
            return Call(handle, request, (nint)pointer) < 0 ? errno : 0;
        }
    }

    /// <summary>ioctl(2) with a number. Returns 0 or the error number.</summary>
    public static int Control(SafeFileHandle handle, uint request, nint argument) => Call(handle, request, argument) < 0 ? errno : 0;

    /// <summary>The name of the network namespace that the interface lives in (net:[inode]), or null when the kernel does not tell (no CAP_NET_ADMIN there).</summary>
    public static string? NetworkNamespaceOf(SafeFileHandle tun)
    {
        int descriptor = Call(tun, TunGetDevNetNs, 0);
        if (descriptor < 0)
        {
            return null;
        }

        using SafeFileHandle descriptorHandle = new(descriptor, ownsHandle: true);
        return new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget;
    }

    /// <summary>The name of the calling thread's network namespace.</summary>
    public static string? CurrentNetworkNamespace => new FileInfo("/proc/thread-self/ns/net").LinkTarget;

    /// <summary>Makes reads and writes non-blocking. Returns 0 or the error number.</summary>
    public static int SetNonBlocking(SafeFileHandle handle)
    {
        bool taken = false;
        try
        {
            handle.DangerousAddRef(ref taken);
            int descriptor = (int)handle.DangerousGetHandle();
            int flags = fcntl(descriptor, F_GETFL);
            return flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ? errno : 0;
        }
        finally
        {
            if (taken)
            {
                handle.DangerousRelease();
            }
        }
    }

    private static int Call(SafeFileHandle handle, uint request, nint argument)
    {
        bool taken = false;
        try
        {
            handle.DangerousAddRef(ref taken);
            return ioctl((int)handle.DangerousGetHandle(), unchecked((int)request), (void*)argument);
        }
        finally
        {
            if (taken)
            {
                handle.DangerousRelease();
            }
        }
    }
}
