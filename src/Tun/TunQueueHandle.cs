using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>
/// The two descriptors of a queue, device and eventfd, with one count of uses. Disposing while a call is under way closes them when that call has returned,
/// so a descriptor number is never reused under a thread that still polls it.
/// </summary>
internal sealed class TunQueueHandle : SafeHandle
{
    private readonly SafeFileHandle _tun;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TunQueueHandle(SafeFileHandle tun)
        : base(-1, ownsHandle: true)
    {
        _tun = tun;
        int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (descriptor < 0)
        {
            int error = errno;
            throw TunErrors.Create("Cannot make the queue's wake-up descriptor", "eventfd", error, error == EMFILE ? "Raise the limit of open files (ulimit -n)." : null);
        }

        SetHandle(descriptor);
    }

    public override bool IsInvalid => handle < 0;

    public int Tun => (int)_tun.DangerousGetHandle();

    public int Event => (int)handle;

    /// <summary>Ends when both descriptors are closed.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Makes the eventfd readable.</summary>
    public unsafe void Signal()
    {
        ulong one = 1;
        while (write(Event, &one, sizeof(ulong)) < 0 && errno == EINTR)
        {
        }
    }

    /// <summary>Makes the eventfd unreadable again.</summary>
    public unsafe void Drain()
    {
        ulong count;
        while (read(Event, &count, sizeof(ulong)) < 0 && errno == EINTR)
        {
        }
    }

    protected override bool ReleaseHandle()
    {
        _tun.Dispose();
        bool closed = close((int)handle) == 0;
        _closed.TrySetResult();
        return closed;
    }
}
