using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

/// <summary>Appends a line per encrypted connection to a file (docs/key-log.md) that no other stack may write to. The core hands lines over; one task writes them.</summary>
internal sealed class KeyLog : IAsyncDisposable
{
    /// <summary>Lines that may wait for the disk. One that does not fit is lost: the log must not stop the stack.</summary>
    private const int Capacity = 4096;

    private readonly Channel<string> _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(Capacity) { SingleReader = true });
    private readonly FileStream _file;
    private readonly ILogger _logger;
    private readonly Task _writing;

    /// <exception cref="IOException">The file cannot be opened, or another stack writes to it.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written to.</exception>
    public KeyLog(string path, ILogger logger)
    {
        _logger = logger;
        FileStreamOptions options = new() { Mode = FileMode.Append, Access = FileAccess.Write, Share = FileShare.Read };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        _file = new FileStream(path, options);
        _writing = WriteAsync();
    }

    /// <summary>Called inside the core.</summary>
    public void Add(TcpEndpoint endpoint, TcpcryptSession session) => _lines.Writer.TryWrite(Line(endpoint, session));

    public async ValueTask DisposeAsync()
    {
        _lines.Writer.TryComplete();
        await _writing.ConfigureAwait(false);
        try
        {
            await _file.DisposeAsync().ConfigureAwait(false);
        }
        catch (IOException)
        {
            // It failed before, and was logged: what it still has in its buffer fails again.
        }
    }

    private static string Line(TcpEndpoint endpoint, TcpcryptSession session)
    {
        Endpoint4 local = endpoint.Tuple.Local;
        Endpoint4 remote = endpoint.Tuple.Remote;
        (Endpoint4 c, Endpoint4 s) = session.Role == TcpcryptRole.C ? (local, remote) : (remote, local);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"TCPCRYPT_SS {session.Dialect} {(int)session.Agreement.Cipher:x8} {session.Agreement.ApplicationBits:x2} {c} {s} {Convert.ToHexStringLower(session.SessionId.Span)} {Convert.ToHexStringLower(session.Secret)}\n");
    }

    private async Task WriteAsync()
    {
        // Not under the lock of whoever makes the log.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            await foreach (string line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                await _file.WriteAsync(Encoding.ASCII.GetBytes(line)).ConfigureAwait(false);
                if (_lines.Reader.Count == 0)
                {
                    await _file.FlushAsync().ConfigureAwait(false);
                }
            }
        }
        catch (IOException error)
        {
            // A full disk is no reason for the stack to end. Nothing is gathered any more: lines hold secrets.
            StackLog.KeyLogFailed(_logger, _file.Name, error);
            _lines.Writer.TryComplete();
            while (_lines.Reader.TryRead(out _))
            {
            }
        }
    }
}
