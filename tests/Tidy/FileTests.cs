using System.Runtime.Versioning;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Tidy;

/// <summary>Rules for files as such.</summary>
public sealed partial class FileTests
{
    private const int ScreenLines = 60;
    private const int ScreenColumns = 160;

    [Test]
    public void Samples_fit_on_a_screen()
    {
        IEnumerable<string> tooLong = Repository.Sources("samples").Where(static file => !file.StartsWith("samples/common/", StringComparison.Ordinal))
            .Select(static file => (file, lines: Repository.Read(file).TrimEnd().Split('\n')))
            .Where(static sample => sample.lines.Length > ScreenLines || sample.lines.Any(static line => line.Length > ScreenColumns))
            .Select(static sample => $"{sample.file}: {sample.lines.Length} lines, longest {sample.lines.Max(static line => line.Length)}");
        Assert.That(tooLong, Is.Empty);
    }

    [Test]
    public void No_file_names_a_path_of_a_machine()
    {
        List<string> offenders = [];
        foreach (string file in Repository.Files.Where(IsText))
        {
            string[] lines = Repository.Read(file).Split('\n');
            offenders.AddRange(lines.Select((line, index) => (line, index)).Where(static numbered => MachinePath().IsMatch(numbered.line))
                .Select(numbered => $"{file}:{numbered.index + 1}: {numbered.line.Trim()}"));
        }

        Assert.That(offenders, Is.Empty);
    }

    [Test]
    public void Text_files_end_with_a_newline_and_use_line_feeds()
    {
        IEnumerable<string> offenders = Repository.Files.Where(IsText).Where(static file => !file.EndsWith(".sln", StringComparison.Ordinal)).Where(static file =>
        {
            string text = Repository.Read(file);
            return text.Contains('\r', StringComparison.Ordinal) || (text.Length > 0 && text[^1] != '\n');
        });
        Assert.That(offenders, Is.Empty);
    }

    [Test]
    [UnsupportedOSPlatform("windows")]
    [Platform(Exclude = "Win", Reason = "Windows has no executable bit.")]
    public void Scripts_are_executable()
    {
        IEnumerable<string> offenders = Repository.Files
            .Where(static file => Path.GetExtension(file) is ".sh" or "" or ".py" && Repository.Read(file).StartsWith("#!", StringComparison.Ordinal))
            .Where(static file => (File.GetUnixFileMode(Path.Combine(Repository.Root, file)) & UnixFileMode.UserExecute) == 0);
        Assert.That(offenders, Is.Empty);
    }

    [Test]
    public void Package_versions_are_central()
    {
        IEnumerable<string> offenders = Repository.Files.Where(static file => file.EndsWith(".csproj", StringComparison.Ordinal))
            .Where(static file => Repository.Read(file).Contains(" Version=", StringComparison.Ordinal));
        Assert.That(offenders, Is.Empty, "versions belong into Directory.Packages.props");
    }

    /// <summary>HI_ENC_16: how long a comparison of tags, cookies, proofs and identifiers takes says nothing about where they differ. The self test compares with what everybody knows.</summary>
    [Test]
    public void Encryption_compares_in_constant_time()
    {
        string[] folders = ["src/Crypt/", "src/Stack/Tcp/Crypt/"];
        IEnumerable<string> offenders = Repository.Files
            .Where(file => folders.Any(folder => file.StartsWith(folder, StringComparison.Ordinal)) && file.EndsWith(".cs", StringComparison.Ordinal))
            .Where(static file => Path.GetFileName(file) != "ProviderSelfTest.cs" && Repository.Read(file).Contains("SequenceEqual", StringComparison.Ordinal));
        Assert.That(offenders, Is.Empty, "CryptographicOperations.FixedTimeEquals");
    }

    private static bool IsText(string file) => Path.GetExtension(file) is ".cs" or ".md" or ".csproj" or ".props" or ".targets" or ".sln" or ".json" or ".sh" or ".py" or ".c" or ".h" or ".go"
        or ".pkt" or ".txt" or ".editorconfig" or ".gitignore" or "" && !file.StartsWith("tests/Fuzz/corpus/", StringComparison.Ordinal);

    // Somebody's home or workspace. What a program looks for on any Linux (/dev/net/tun, /proc, /tmp, /usr/sbin) is no such path.
    [GeneratedRegex(@"(?<![\w./~-])/(?:home|Users|work|workspace|mnt|opt|srv|root)/[\w.-]+|(?<![\w:])[A-Z]:\\\\?[A-Za-z]|[/]shared/|[.]{2}/[s]hared")]
    private static partial Regex MachinePath();
}
