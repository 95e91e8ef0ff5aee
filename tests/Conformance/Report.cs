using System.Text.RegularExpressions;

namespace Tcpcrypt.Conformance;

/// <summary>Requirements beside the tests that name them.</summary>
internal sealed partial class Report
{
    private readonly List<Requirement> _requirements;
    private readonly ILookup<string, Coverage> _byId;

    public Report(List<Requirement> requirements, List<Coverage> coverage)
    {
        _requirements = requirements;
        _byId = coverage.ToLookup(c => c.Id);
        HashSet<string> known = [.. requirements.Select(r => r.Id)];

        // Sections of an RFC (9293-3.10.7.4) and catalogue entries (HI_…) say where a rule stands; they are no checklist.
        UnknownIds = [.. coverage.Where(c => !known.Contains(c.Id) && !Reference().IsMatch(c.Id)).OrderBy(c => c.Id, StringComparer.Ordinal)];
        Uncovered = [.. requirements.Where(r => r.Status is null && !Tests(r).Any())];
    }

    /// <summary>Tests whose id is on no list: a slip of the pen.</summary>
    public List<Coverage> UnknownIds { get; }

    /// <summary>Requirements with neither a test nor a reason.</summary>
    public List<Requirement> Uncovered { get; }

    public void Print(TextWriter output, string filter, bool uncoveredOnly)
    {
        string section = "";
        foreach (Requirement requirement in _requirements.Where(r => r.Id.Contains(filter, StringComparison.OrdinalIgnoreCase)))
        {
            List<Coverage> tests = [.. Tests(requirement)];
            if (uncoveredOnly && tests.Count > 0)
            {
                continue;
            }

            if (requirement.Section != section)
            {
                section = requirement.Section;
                output.WriteLine($"\n{section}");
            }

            string mark = tests.Count > 0 ? (requirement.Status == "deviation" ? "deviation" : "tested") : requirement.Status ?? "UNTESTED";
            output.WriteLine($"  {requirement.Id,-13} {mark,-9}  {requirement.Text}");
            if (requirement.Reason is { } reason && mark != "tested")
            {
                output.WriteLine($"  {"",-13} {"",-9}    because: {reason}");
            }

            foreach (string test in tests.Select(t => t.Test).Distinct())
            {
                output.WriteLine($"  {"",-13} {"",-9}    {test}");
            }

            foreach (Coverage failing in _byId[requirement.Id].Where(c => c.KnownFailure))
            {
                output.WriteLine($"  {"",-13} {"",-9}    fails so far: {failing.Test}");
            }
        }

        PrintSummary(output);
    }

    [GeneratedRegex(@"^(\d{3,4}-\d+\.[\d.]+|HI_\w+)$")]
    private static partial Regex Reference();

    private void PrintSummary(TextWriter output)
    {
        output.WriteLine();
        foreach (IGrouping<string, Requirement> group in _requirements.GroupBy(r => r.Id.StartsWith("9293-", StringComparison.Ordinal) ? r.Id[..r.Id.LastIndexOf('-')] : "other RFCs"))
        {
            int tested = group.Count(r => Tests(r).Any());
            int deviating = group.Count(r => r.Status == "deviation" && Tests(r).Any());
            string states = string.Join(", ", new[] { "deviation", "n/a", "planned" }.Select(s => (Status: s, Count: group.Count(r => r.Status == s && !Tests(r).Any()))).Where(s => s.Count > 0).Select(s => $"{s.Count} {s.Status}"));
            int open = group.Count(r => r.Status is null && !Tests(r).Any());
            output.WriteLine($"{group.Key,-11} {group.Count(),3}: {tested} tested{(deviating > 0 ? $" ({deviating} of them deviate)" : "")}{(states.Length > 0 ? ", " + states : "")}{(open > 0 ? $", {open} UNTESTED" : "")}");
        }

        if (Uncovered.Count > 0)
        {
            output.WriteLine($"untested, and no reason given: {string.Join(' ', Uncovered.Select(r => r.Id))}");
        }

        foreach (Coverage unknown in UnknownIds)
        {
            output.WriteLine($"no such requirement: {unknown.Id} ({unknown.Test})");
        }
    }

    private IEnumerable<Coverage> Tests(Requirement requirement) => _byId[requirement.Id].Where(c => !c.KnownFailure);
}
