using System.Diagnostics;

namespace Tcpcrypt.Demo;

/// <summary>This machine's programs.</summary>
internal static class Programs
{
    /// <summary>Runs a program to its end and gives what it said.</summary>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {output}{await errors}");
    }

    public static Process Start(string program, params string[] arguments)
    {
        // By its full path: a name alone is looked for in this program's folder and the current one first.
        string path = Find(program) ?? throw new InvalidOperationException($"{program} is not installed");
        return Process.Start(new ProcessStartInfo(path, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
    }

    public static bool IsThere(string program) => Find(program) is not null;

    /// <summary>Ends a program that runs until it is told to stop.</summary>
    public static async Task StopAsync(Process process)
    {
        if (!process.HasExited)
        {
            process.Kill();
        }

        await process.WaitForExitAsync();
        process.Dispose();
    }

    private static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
}
