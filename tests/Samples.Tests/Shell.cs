using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Tcpcrypt.Samples.Tests;

/// <summary>Runs shell scripts, in a network namespace of their own where they ask for it; everything that a script starts ends with it.</summary>
internal static class Shell
{
    private static readonly Lazy<string[]?> s_isolation = new(FindIsolation);

    private const string Prelude = """
        set -u
        work=$(mktemp -d)
        trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
        fail() { echo "FAILED: $*"; cat "$work"/*.log; exit 1; }
        # sample NAME ARG...: one of the programs under samples
        sample() { dotnet "$ROOT/samples/$1/bin/$CONFIG/net10.0/$1.dll" "${@:2}"; }
        # start PATTERN NAME ARG...: a sample in the background, up when it has said PATTERN
        start() { (exec dotnet "$ROOT/samples/$2/bin/$CONFIG/net10.0/$2.dll" "${@:3}") >"$work/$2.log" 2>&1 & until_said "$work/$2.log" "$1"; }
        until_said() { for _ in $(seq 200); do grep -qs -- "$2" "$1" && return 0; sleep 0.1; done; fail "nothing was said like: $2"; }
        until_open() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return 0; sleep 0.1; done; fail "$1 port $2 does not open"; }

        """;

    public static string Root { get; } = FindRoot();

    /// <summary>Runs a script alone with its own loopback, interfaces and routes; the test is reported as skipped where this cannot be had.</summary>
    public static Task<string> RunInNamespaceAsync(string script, params string[] programs)
    {
        foreach (string program in programs)
        {
            if (!IsThere(program))
            {
                Assert.Ignore($"{program} is not installed");
            }
        }

        if (s_isolation.Value is not { } isolation)
        {
            Assert.Ignore("a network namespace with a TUN device cannot be made here (no root, no user namespaces, or no /dev/net/tun)");
            return Task.FromResult("");
        }

        return RunAsync(isolation, "ip link set lo up\n" + script);
    }

    /// <summary>Runs a script as it is.</summary>
    public static Task<string> RunAsync(string script) => RunAsync([], script);

    private static async Task<string> RunAsync(string[] wrapper, string script)
    {
        string[] command = [.. wrapper, "timeout", "-k", "5", "120", "bash", "-c", Prelude + script];
        using Process process = Start(command);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        StringBuilder output = new(await process.StandardOutput.ReadToEndAsync());
        output.Append(await errors);
        await process.WaitForExitAsync();
        Assert.That(process.ExitCode, Is.Zero, $"the script ended with {process.ExitCode} and said:\n{output}");
        return output.ToString();
    }

    private static Process Start(string[] command)
    {
        ProcessStartInfo start = new(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["ROOT"] = Root;
        start.Environment["CONFIG"] = Configuration();
        start.Environment["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin";
        return Process.Start(start)!;
    }

    private static string[]? FindIsolation()
    {
        foreach (string[] wrapper in new[] { new[] { "unshare", "-n" }, ["unshare", "-Urn"] })
        {
            try
            {
                using Process process = Start([.. wrapper, "ip", "tuntap", "add", "dev", "probe0", "mode", "tun"]);
                process.WaitForExit();
                if (process.ExitCode == 0)
                {
                    return wrapper;
                }
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // No unshare here.
            }
        }

        return null;
    }

    private static bool IsThere(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/local/sbin:/usr/sbin:/sbin".Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    private static string Configuration() => Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Tcpcrypt.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("Tcpcrypt.sln was not found above these tests.");
    }
}
