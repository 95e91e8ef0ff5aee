namespace Tcpcrypt.Conformance;

/// <summary>One requirement of requirements.txt, and what deviations.txt says about it.</summary>
internal sealed record Requirement(string Section, string Id, string Text, string? Status, string? Reason);

/// <summary>Reads the two lists.</summary>
internal static class Requirements
{
    private static readonly string[] s_statuses = ["deviation", "n/a", "planned"];

    public static List<Requirement> Load(string directory)
    {
        Dictionary<string, (string Status, string Reason)> deviations = [];
        foreach ((int line, string text) in Lines(Path.Combine(directory, "deviations.txt")))
        {
            if (text.StartsWith('#'))
            {
                continue;
            }

            if (text.Split(' ', 3) is not [var id, var status, var reason] || !s_statuses.Contains(status) || !deviations.TryAdd(id, (status, reason)))
            {
                throw new FormatException($"deviations.txt:{line}: not \"id status reason\" with a status of {string.Join(", ", s_statuses)}, or the id a second time: {text}");
            }
        }

        List<Requirement> requirements = [];
        HashSet<string> ids = [];
        string section = "";
        foreach ((int line, string text) in Lines(Path.Combine(directory, "requirements.txt")))
        {
            if (text.StartsWith('#'))
            {
                section = text[1..].Trim();
                continue;
            }

            if (text.Split(' ', 2) is not [var id, var what] || !ids.Add(id))
            {
                throw new FormatException($"requirements.txt:{line}: not \"id text\", or the id a second time: {text}");
            }

            bool deviates = deviations.Remove(id, out (string Status, string Reason) deviation);
            requirements.Add(new Requirement(section, id, what, deviates ? deviation.Status : null, deviates ? deviation.Reason : null));
        }

        return deviations.Count == 0
            ? requirements
            : throw new FormatException($"deviations.txt names ids that requirements.txt does not have: {string.Join(", ", deviations.Keys)}");
    }

    private static IEnumerable<(int Line, string Text)> Lines(string path) =>
        File.ReadLines(path).Select((text, index) => (index + 1, text.Trim())).Where(line => line.Item2.Length > 0);
}
