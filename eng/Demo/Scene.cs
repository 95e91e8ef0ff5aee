namespace Tcpcrypt.Demo;

/// <summary>Our stack at 10.9.0.2, and at 10.9.0.1 somebody who talks to it: this machine's kernel, or a second stack of ours.</summary>
internal abstract class Scene : IAsyncDisposable
{
    public const string StackAddress = "10.9.0.2";
    public const string MachineAddress = "10.9.0.1";

    /// <summary>Who is on the other side, for the text.</summary>
    public abstract string Machine { get; }

    public abstract IpStack Stack { get; }

    /// <summary>The other side pings our stack.</summary>
    public abstract Task<string> PingAsync();

    /// <summary>The other side gets the page of our web server.</summary>
    public abstract Task<string> GetPageAsync();

    /// <summary>The other side serves a file.</summary>
    public abstract Task<Uri> ServeFileAsync(byte[] content);

    /// <summary>A second stack of ours that reaches the first one.</summary>
    public abstract Task<IpStack> OpenOtherAsync();

    /// <summary>What is on the wire to and from one of our ports meanwhile, as a file for tcpdump.</summary>
    public virtual async Task<byte[]> CaptureAsync(int port, Func<Task> meanwhile)
    {
        using MemoryStream pcapng = new();
        await using (Stack.StartCapture(pcapng))
        {
            await meanwhile();
        }

        return pcapng.ToArray();
    }

    /// <summary>Some of the packets that were on the link, a line each.</summary>
    public abstract Task<string> PacketsAsync();

    public abstract ValueTask DisposeAsync();

    /// <summary>The start of each conversation rather than the first screen of all packets.</summary>
    protected static string Excerpt(IReadOnlyList<string> lines)
    {
        string[] interesting = [.. lines.Where(static line => line.Contains("ICMP", StringComparison.Ordinal)).Take(2), .. Of(".80:", ".80 >"), .. Of(".8000:", ".8000 >")];
        return string.Join('\n', interesting) + $"\n... {lines.Count} packets in all";

        IEnumerable<string> Of(string to, string from) =>
            lines.Where(line => line.Contains(to, StringComparison.Ordinal) || line.Contains(from, StringComparison.Ordinal)).Take(6);
    }
}
