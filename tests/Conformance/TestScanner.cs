using System.Text.RegularExpressions;

namespace Tcpcrypt.Conformance;

/// <summary>A test that names a requirement.</summary>
/// <param name="Id">The requirement.</param>
/// <param name="Test">Project, class and method, or the script.</param>
/// <param name="KnownFailure">A script that fails so far, by its own word: it covers nothing.</param>
internal sealed record Coverage(string Id, string Test, bool KnownFailure);

/// <summary>Finds [Spec("id")] in the sources of the tests, and "// Spec:" lines in scripts. The sources, not the assemblies: nothing needs to be loaded, and skipped tests are seen too.</summary>
internal static partial class TestScanner
{
    public static List<Coverage> Scan(string tests)
    {
        List<Coverage> found = [];
        foreach (string file in Directory.EnumerateFiles(tests, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            string path = Path.GetRelativePath(tests, file).Replace('\\', '/');
            if (path.Split('/').Any(part => part is "bin" or "obj" or "Conformance" or "Shared"))
            {
                continue;
            }

            if (path.EndsWith(".pkt", StringComparison.Ordinal))
            {
                string script = File.ReadAllText(file);
                bool isKnownFailure = KnownFailureLine().IsMatch(script);
                found.AddRange(SpecLine().Matches(script)
                    .SelectMany(m => m.Groups[1].Value.Split([' ', ',', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries))
                    .Select(id => new Coverage(id, path, isKnownFailure)));
            }
            else if (path.EndsWith(".cs", StringComparison.Ordinal))
            {
                ScanSource(path.Split('/')[0], File.ReadLines(file), found);
            }
        }

        return found;
    }

    [GeneratedRegex(@"^//\s*Spec:\s*(.+)$", RegexOptions.Multiline)]
    private static partial Regex SpecLine();

    [GeneratedRegex(@"^//\s*Known failure:", RegexOptions.Multiline)]
    private static partial Regex KnownFailureLine();

    [GeneratedRegex(@"\bSpec\(""([^""]+)""\)")]
    private static partial Regex SpecAttribute();

    [GeneratedRegex(@"\b(?:class|struct|record)\s+(\w+)")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex(@"^\s*(?:public|internal|private|protected)\b[^=;(]*?\b(\w+)\s*(?:<[^>]*>)?\(")]
    private static partial Regex MethodDeclaration();

    private static void ScanSource(string project, IEnumerable<string> lines, List<Coverage> found)
    {
        List<string> pending = [];
        string type = "";
        foreach (string line in lines)
        {
            string trimmed = line.TrimStart();
            if (trimmed.StartsWith("//", StringComparison.Ordinal))
            {
                continue;
            }

            pending.AddRange(SpecAttribute().Matches(line).Select(m => m.Groups[1].Value));
            if (TypeDeclaration().Match(line) is { Success: true } declaration)
            {
                type = declaration.Groups[1].Value;
                found.AddRange(pending.Select(id => new Coverage(id, $"{project}/{type}", KnownFailure: false)));
                pending.Clear();
            }
            else if (MethodDeclaration().Match(line) is { Success: true } method)
            {
                found.AddRange(pending.Select(id => new Coverage(id, $"{project}/{type}.{method.Groups[1].Value}", KnownFailure: false)));
                pending.Clear();
            }
        }
    }
}
