using Tcpcrypt.Conformance;

// The table of requirements and the tests that cover them. Exit code 1 when a test names an id that does not exist, or, with --strict, when a requirement has neither a test nor a reason.
const string Usage = """
    usage: conformance [--uncovered] [--strict] [--only TEXT] [--root DIRECTORY]
      --uncovered   only what no test covers
      --strict      exit 1 when a requirement has neither a test nor a reason in deviations.txt
      --only TEXT   only ids that contain TEXT: --only 9293-MUST
      --root DIR    the repository (default: found upwards from here)
    """;

bool uncoveredOnly = false;
bool isStrict = false;
string filter = "";
string? root = null;
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--uncovered":
            uncoveredOnly = true;
            break;
        case "--strict":
            isStrict = true;
            break;
        case "--only" when i + 1 < args.Length:
            filter = args[++i];
            break;
        case "--root" when i + 1 < args.Length:
            root = args[++i];
            break;
        default:
            Console.Error.WriteLine(Usage);
            return 2;
    }
}

root ??= FindRoot(Directory.GetCurrentDirectory()) ?? FindRoot(AppContext.BaseDirectory);
if (root is null)
{
    Console.Error.WriteLine("No Tcpcrypt.sln here or above: give the repository with --root.");
    return 2;
}

Report report = new(Requirements.Load(Path.Combine(root, "tests/Conformance")), TestScanner.Scan(Path.Combine(root, "tests")));
report.Print(Console.Out, filter, uncoveredOnly);
return report.UnknownIds.Count > 0 || (isStrict && report.Uncovered.Count > 0) ? 1 : 0;

static string? FindRoot(string? directory)
{
    while (directory is not null && !File.Exists(Path.Combine(directory, "Tcpcrypt.sln")))
    {
        directory = Path.GetDirectoryName(directory);
    }

    return directory;
}
