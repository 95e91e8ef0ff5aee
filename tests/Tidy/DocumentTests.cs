using System.Text.RegularExpressions;

namespace Tcpcrypt.Tidy;

/// <summary>What the documents promise is there.</summary>
public sealed partial class DocumentTests
{
    private static readonly string[] s_promised = ["run", "test", "bench", "simulate", "fuzz", "conformance", "pack", "clean", "help"];

    [Test]
    public void Makefile_has_the_promised_targets() => Assert.That(Targets(), Is.SupersetOf(s_promised));

    [TestCase("README.md")]
    [TestCase("ARCHITECTURE.md")]
    [TestCase("docs/development.md")]
    public void Make_commands_in_documents_exist(string document)
    {
        IEnumerable<string> used = MakeCommand().Matches(Repository.Read(document)).Select(static match => match.Groups[1].Value).Distinct();
        Assert.That(used, Is.SubsetOf(Targets()));
    }

    [Test]
    public void Links_in_documents_lead_somewhere()
    {
        List<string> broken = [];
        foreach (string document in Repository.Files.Where(static file => file.EndsWith(".md", StringComparison.Ordinal)))
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, document))!;
            foreach (Match match in RelativeLink().Matches(Repository.Read(document)))
            {
                string target = Path.GetFullPath(Path.Combine(folder, match.Groups[1].Value));
                if (!Path.Exists(target))
                {
                    broken.Add($"{document}: {match.Groups[1].Value}");
                }
            }
        }

        Assert.That(broken, Is.Empty);
    }

    [TestCase("ARCHITECTURE.md")]
    [TestCase("README.md")]
    public void Paths_named_in_documents_exist(string document)
    {
        // `src/Stack/Tcp/Tcb.cs`, `tests/Scripts`: in code quotes, from the root.
        IEnumerable<string> missing = QuotedPath().Matches(Repository.Read(document)).Select(static match => match.Groups[1].Value.TrimEnd('/'))
            .Where(static path => !Path.Exists(Path.Combine(Repository.Root, path)));
        Assert.That(missing, Is.Empty);
    }

    [Test]
    public void Example_of_the_readme_is_the_sample_that_is_compiled()
    {
        string example = CodeBlock().Match(Repository.Read("README.md")).Groups[1].Value;
        string sample = Repository.Read("samples/quickstart/Program.cs");
        Assert.That(sample, Does.Contain(example.Trim()), "samples/quickstart/Program.cs and the README's example differ");
    }

    [Test]
    public void Code_in_documents_is_compiled()
    {
        string[] compiled = ["tests/Tidy/Snippets.cs", "samples/quickstart/Program.cs"];
        string[] sources = [.. compiled.Select(static file => Lines(Repository.Read(file)))];
        List<string> missing = [];
        foreach (string document in Repository.Files.Where(static file => file.EndsWith(".md", StringComparison.Ordinal)))
        {
            foreach (Match block in CodeBlock().Matches(Repository.Read(document)))
            {
                string code = Lines(block.Groups[1].Value);
                if (!sources.Any(source => source.Contains(code, StringComparison.Ordinal)))
                {
                    missing.Add($"{document}: {code}");
                }
            }
        }

        Assert.That(missing, Is.Empty, $"not in {string.Join(" or ", compiled)}");

        // Indentation and what is imported do not count.
        static string Lines(string code) => string.Join('\n', code.Split('\n').Select(static line => line.Trim()).Where(static line => line.Length > 0 && !UsingLine().IsMatch(line)));
    }

    private static IEnumerable<string> Targets() => Target().Matches(Repository.Read("Makefile")).Select(static match => match.Groups[1].Value);

    [GeneratedRegex(@"^([a-z]+):(?!=)", RegexOptions.Multiline)]
    private static partial Regex Target();

    // In a code block or in code quotes: "make" as a verb in a sentence is no command.
    [GeneratedRegex(@"(?:^ {4}|^|`)(?:sudo )?make ([a-z]+)", RegexOptions.Multiline)]
    private static partial Regex MakeCommand();

    [GeneratedRegex(@"\]\((?![a-z]+:|#)([^)#\s]+)(?:#[^)]*)?\)")]
    private static partial Regex RelativeLink();

    [GeneratedRegex(@"`((?:src|tests|samples|docs|eng|\.ci)/[\w./-]+)`")]
    private static partial Regex QuotedPath();

    [GeneratedRegex(@"^using [\w.]+;$")]
    private static partial Regex UsingLine();

    [GeneratedRegex(@"```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();
}
