using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Tcpcrypt.Tidy;

/// <summary>The files of the repository these tests were compiled from.</summary>
internal static class Repository
{
    private static readonly string[] s_built = ["bin", "obj", ".git", "artifacts", "TestResults", "BenchmarkDotNet.Artifacts", "__pycache__"];

    public static string Root { get; } = FindRoot();

    /// <summary>Tracked files, as paths from the root; without git, everything that is not built.</summary>
    public static IReadOnlyList<string> Files { get; } = ListFiles();

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    /// <summary>C# files below <paramref name="folder"/>.</summary>
    public static IEnumerable<string> Sources(string folder) =>
        Files.Where(file => file.StartsWith(folder + "/", StringComparison.Ordinal) && file.EndsWith(".cs", StringComparison.Ordinal));

    private static string FindRoot([CallerFilePath] string thisFile = "")
    {
        // A deterministic build on a build server may rewrite source paths: the output folder is inside of the repository as well.
        foreach (string? start in new[] { Path.GetDirectoryName(thisFile), AppContext.BaseDirectory })
        {
            for (DirectoryInfo? folder = start is null ? null : new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Tcpcrypt.sln")))
                {
                    return folder.FullName;
                }
            }
        }

        throw new InvalidOperationException("Tcpcrypt.sln was not found above these tests.");
    }

    private static List<string> ListFiles()
    {
        try
        {
            using Process git = Process.Start(new ProcessStartInfo("git", ["-C", Root, "ls-files", "-z"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            string output = git.StandardOutput.ReadToEnd();
            git.WaitForExit();
            if (git.ExitCode == 0 && output.Length > 0)
            {
                return [.. output.Split('\0', StringSplitOptions.RemoveEmptyEntries).Where(file => File.Exists(Path.Combine(Root, file)))];
            }
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // No git here, as in a source archive.
        }

        return [.. Directory.EnumerateFiles(Root, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root, file).Replace('\\', '/'))
            .Where(static file => !file.Split('/').Any(s_built.Contains))];
    }
}
