using NUnit.Framework;
using Tcpcrypt.Scripts.Language;
using Tcpcrypt.Scripts.Runner;

namespace Tcpcrypt.Scripts;

/// <summary>Every script below this project is a test case: topic/case.pkt. Its "// Spec:" line names the requirements that it covers.</summary>
[TestFixture]
internal sealed class ScriptTests
{
    private static string Root => AppContext.BaseDirectory;

    [TestCaseSource(nameof(Cases))]
    public void Script(string path)
    {
        Script script = ScriptParser.Parse(path, File.ReadAllText(Path.Combine(Root, path)));
        ScriptRunner runner;
        try
        {
            runner = ScriptRunner.Run(script);
        }
        catch (ScriptFailure failure)
        {
            if (script.KnownFailure is { } reason)
            {
                Assert.Ignore($"known failure: {reason}\n{failure.Message}");
            }

            Assert.Fail(failure.Message);
            return;
        }

        Assert.That(script.KnownFailure, Is.Null, "The script succeeds: take the comment \"Known failure\" out of it.");

        foreach (string note in runner.Notes)
        {
            TestContext.Out.WriteLine("note: " + note);
        }

        Assert.That(script.Specs, Is.Not.Empty, "The script names no requirement: // Spec: ids");
    }

    private static IEnumerable<TestCaseData> Cases()
    {
        foreach (string file in Directory.EnumerateFiles(Root, "*.pkt", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            string path = Path.GetRelativePath(Root, file).Replace('\\', '/');
            TestCaseData data = new TestCaseData(path).SetName(path[..^".pkt".Length].Replace('/', '.')).SetCategory(path.Split('/')[0]);
            foreach (string id in SpecsOf(path, file))
            {
                data.SetProperty("Spec", id);
            }

            yield return data;
        }
    }

    /// <summary>A script that cannot be read is a test that fails, not a suite that does not start.</summary>
    private static IReadOnlyList<string> SpecsOf(string path, string file)
    {
        try
        {
            return ScriptParser.Parse(path, File.ReadAllText(file)).Specs;
        }
        catch (ScriptSyntaxException)
        {
            return [];
        }
    }
}
