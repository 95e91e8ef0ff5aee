using System.Net;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Interop;

/// <summary>One encrypted connection as the peer saw it.</summary>
internal sealed record PeerSession(bool IsDraft, char Role, string SessionId);

/// <summary>What the peer printed, taken apart.</summary>
internal sealed partial record PeerReport(string Output)
{
    /// <summary>The encrypted connections, in order.</summary>
    public IReadOnlyList<PeerSession> Sessions { get; } =
        [.. Session().Matches(Output).Select(match => new PeerSession(match.Groups[1].Value == "DRAFT", match.Groups[2].Value[0], match.Groups[3].Value))];

    /// <summary>How the connections ended, encrypted or not, in order.</summary>
    public IReadOnlyList<(bool Fin, int BadMac, int NoMac, int Generation)> Ends { get; } =
        [.. End().Matches(Output).Select(match => (match.Groups[1].Value == "True", Number(match, 2), Number(match, 3), Number(match, 4)))];

    /// <summary>Connections in which all that was expected arrived, encrypted, at the client.</summary>
    public int Complete { get; } = CompleteAnswer().Count(Output);

    public bool Said(string text) => Output.Contains(text, StringComparison.Ordinal);

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].Value, System.Globalization.CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(DRAFT|REFERENCE) role ([cs]) SID ([0-9A-F]{64})$", RegexOptions.Multiline)]
    private static partial Regex Session();

    [GeneratedRegex(@"^end fin (True|False) badmac (\d+) nomac (\d+) generation (\d+)$", RegexOptions.Multiline)]
    private static partial Regex End();

    [GeneratedRegex(@"^got \d+ .* complete$", RegexOptions.Multiline)]
    private static partial Regex CompleteAnswer();
}

/// <summary>Runs peer/tuntc.py, an independent TCP endpoint that speaks both dialects, on a site's device.</summary>
internal sealed class Peer : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(90);
    private static readonly Lazy<string?> s_python = new(FindPython);
    private readonly ShellCommand _command;

    private Peer(ShellCommand command) => _command = command;

    /// <summary>Why no peer can run here; null when it can.</summary>
    public static string? SkipReason => s_python.Value is null ? "Needs python3 with the package cryptography (apt-get install python3-cryptography)." : null;

    /// <summary>What it printed so far.</summary>
    public PeerReport Report => new(_command.Output);

    /// <summary>What it wrote to its standard error so far.</summary>
    public string Error => _command.Error;

    /// <summary>Starts a peer, which opens connections to the other end as a client or waits for them as a server; README.md has the options.</summary>
    /// <param name="site">Where it is.</param>
    /// <param name="other">The other end's address as it is seen from here.</param>
    /// <param name="client">Whether it opens the first connection.</param>
    /// <param name="port">The port, its own as a server and the other's as a client.</param>
    /// <param name="options">The rest of the command line.</param>
    public static async Task<Peer> StartAsync(Site site, IPAddress other, bool client, int port, string options)
    {
        string[] arguments =
        [
            $"TUN={Site.Device}", $"ME={site.Address}", $"PEER={other}", s_python.Value!, "-u", Path.Combine(AppContext.BaseDirectory, "peer", "tuntc.py"), client ? "client" : "server", $"{port}",
            .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries),
        ];
        ShellCommand command = site.Namespace.Start("env", arguments);
        if (!client)
        {
            await site.UntilReadyAsync(command);
        }

        return new Peer(command);
    }

    /// <summary>Waits for its end.</summary>
    /// <exception cref="InvalidOperationException">It failed: nothing that arrives may make it do so.</exception>
    public async Task<PeerReport> EndAsync()
    {
        ShellResult result = await _command.WaitAsync(s_patience);
        result.Expect();
        return new PeerReport(result.Output);
    }

    public void Dispose() => _command.Dispose();

    private static string? FindPython() => Array.Find(["python3", "/usr/bin/python3"], static python => Shell.Has(python) && Shell.Run(python, "-c", "import cryptography").ExitCode == 0);
}
