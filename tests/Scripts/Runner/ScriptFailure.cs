using System.Text;

namespace Tcpcrypt.Scripts.Runner;

/// <summary>The stack did something else than the script says.</summary>
internal sealed class ScriptFailure(string script, int line, string what, string expected, string actual, IEnumerable<string> trace)
    : Exception(Format(script, line, what, expected, actual, trace))
{
    public int Line { get; } = line;

    private static string Format(string script, int line, string what, string expected, string actual, IEnumerable<string> trace)
    {
        StringBuilder text = new();
        text.Append(script).Append(':').Append(line).Append(": ").AppendLine(what);
        text.Append("  expected: ").AppendLine(expected);
        text.Append("  actual:   ").AppendLine(actual);
        text.AppendLine("  so far:");
        foreach (string entry in trace)
        {
            text.Append("    ").AppendLine(entry);
        }

        return text.ToString();
    }
}
