using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Tcpcrypt.Tests;

/// <summary>
/// A network namespace of the test's own: a dedicated thread that called unshare(CLONE_NEWNET). What runs on that thread (<see cref="Invoke{T}"/>) makes its sockets and TUN devices
/// in the namespace, and commands started from it are born there. Nothing is mounted or named, so nothing is left behind however the test process ends.
/// </summary>
/// <remarks>
/// A socket belongs to the namespace that it was made in, whoever uses it later: make it inside, use it anywhere. Sockets that a library makes on a pool thread
/// are in the wrong one (HttpClient: use ConnectCallback, or run curl). Thread-safe; invocations are done one after the other.
/// </remarks>
public sealed class NetworkNamespace : IDisposable
{
    private const int CloneNewNet = 0x4000_0000;
    private static readonly Lazy<string?> s_skipReason = new(FindSkipReason);

    private readonly BlockingCollection<Action> _work = [];
    private readonly ConcurrentQueue<ShellCommand> _commands = [];
    private readonly Thread _thread;
    private bool _disposed;

    /// <summary>Makes a namespace, with its loopback interface up.</summary>
    /// <exception cref="InvalidOperationException">Not permitted; ask <see cref="SkipReason"/> first.</exception>
    public NetworkNamespace()
        : this(bringUpLoopback: true)
    {
    }

    private NetworkNamespace(bool bringUpLoopback)
    {
        TaskCompletionSource<int> entered = new();
        _thread = new Thread(() => Loop(entered)) { IsBackground = true, Name = "network namespace" };
        _thread.Start();
        int error = entered.Task.GetAwaiter().GetResult();
        if (error != 0)
        {
            throw new InvalidOperationException($"unshare(CLONE_NEWNET) failed: {Marshal.GetPInvokeErrorMessage(error)} ({error}). It needs CAP_SYS_ADMIN.");
        }

        Path = Invoke(() => $"/proc/{new FileInfo("/proc/thread-self").LinkTarget}/ns/net");
        if (bringUpLoopback)
        {
            Run("ip", "link", "set", "lo", "up");
        }
    }

    /// <summary>Why tests with namespaces and TUN devices cannot run here; null when they can. Use: <c>if (NetworkNamespace.SkipReason is { } reason) { Assert.Ignore(reason); }</c></summary>
    public static string? SkipReason => s_skipReason.Value;

    /// <summary>The namespace as a file, for <c>nsenter --net=PATH</c> and <c>ip link ... netns PATH</c>. Valid until the namespace is disposed.</summary>
    public string Path { get; }

    /// <summary>Runs a function inside the namespace and waits for its result.</summary>
    public T Invoke<T>(Func<T> function)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Thread.CurrentThread == _thread)
        {
            return function();
        }

        T result = default!;
        ExceptionDispatchInfo? failure = null;
        using ManualResetEventSlim done = new();
        _work.Add(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
            finally
            {
                done.Set();
            }
        });
        done.Wait();
        failure?.Throw();
        return result;
    }

    /// <inheritdoc cref="Invoke{T}"/>
    public void Invoke(Action action) => Invoke(() =>
    {
        action();
        return 0;
    });

    /// <summary>Runs a command inside the namespace to its end.</summary>
    /// <returns>Its standard output.</returns>
    /// <exception cref="InvalidOperationException">It ended with another status than 0.</exception>
    public string Run(string program, params IEnumerable<string> arguments) => TryRun(program, arguments).Expect();

    /// <summary>Runs a command inside the namespace to its end, whatever it is.</summary>
    public ShellResult TryRun(string program, params IEnumerable<string> arguments) => Start(program, arguments).Wait();

    /// <summary>Starts a command inside the namespace. It is killed, if it still runs, when the namespace is disposed.</summary>
    public ShellCommand Start(string program, params IEnumerable<string> arguments)
    {
        // The child is forked from this very thread and so inherits its namespace.
        ShellCommand command = Invoke(() => Shell.Start(program, arguments));
        _commands.Enqueue(command);
        return command;
    }

    /// <summary>Ends the commands that still run and gives the namespace up; the kernel removes it with the last socket or device in it.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        while (_commands.TryDequeue(out ShellCommand? command))
        {
            command.Dispose();
        }

        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }

    private void Loop(TaskCompletionSource<int> entered)
    {
        int error = Unshare(CloneNewNet) == 0 ? 0 : Marshal.GetLastPInvokeError();
        entered.SetResult(error);
        if (error != 0)
        {
            return;
        }

        foreach (Action action in _work.GetConsumingEnumerable())
        {
            action();
        }
    }

    private static string? FindSkipReason()
    {
        if (!OperatingSystem.IsLinux())
        {
            return "Needs Linux: network namespaces and TUN devices.";
        }

        if (!File.Exists("/dev/net/tun"))
        {
            return "Needs /dev/net/tun (modprobe tun; docker run --device /dev/net/tun).";
        }

        try
        {
            using FileStream node = new("/dev/net/tun", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return $"Needs access to /dev/net/tun: {failure.Message}";
        }

        if (!Shell.Has("ip"))
        {
            return "Needs the ip command (apt-get install iproute2).";
        }

        try
        {
            using NetworkNamespace probe = new(bringUpLoopback: false);
            ShellResult loopback = probe.TryRun("ip", "link", "set", "lo", "up");
            return loopback.ExitCode == 0 ? null : $"Needs CAP_NET_ADMIN: {loopback.Error.Trim()}";
        }
        catch (InvalidOperationException failure)
        {
            return $"Needs to make network namespaces (run the tests as root): {failure.Message}";
        }
    }

    [DllImport("libc.so.6", EntryPoint = "unshare", SetLastError = true)]
    private static extern int Unshare(int flags);
}
