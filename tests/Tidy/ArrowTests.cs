using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Tcpcrypt.Tidy;

/// <summary>The arrows of ARCHITECTURE.md: Tun to Stack to Crypt, and inside of Stack inwards only.</summary>
public sealed partial class ArrowTests
{
    private static readonly string[] s_fromStack = ["Tcpcrypt.Crypt"];
    private static readonly string[] s_fromTun = ["Tcpcrypt.Stack"];

    [TestCase("Crypt", new string[0], TestName = "Crypt references no other project")]
    [TestCase("Stack", new[] { "Crypt" }, TestName = "Stack references Crypt only")]
    [TestCase("Tun", new[] { "Stack" }, TestName = "Tun references Stack only")]
    [TestCase("Testing", new[] { "Stack" }, TestName = "Testing references Stack only")]
    public void Projects_reference_inwards(string project, string[] allowed)
    {
        string file = Repository.Files.Single(file => file.StartsWith($"src/{project}/", StringComparison.Ordinal) && file.EndsWith(".csproj", StringComparison.Ordinal));
        IEnumerable<string> references = XDocument.Parse(Repository.Read(file)).Descendants("ProjectReference")
            .Select(static reference => reference.Attribute("Include")!.Value.Replace('\\', '/').Split('/')[^2]);
        Assert.That(references, Is.SubsetOf(allowed));
    }

    [Test]
    public void Compiled_assemblies_keep_the_arrows()
    {
        Assembly tun = Assembly.Load("Tcpcrypt.Tun");
        Assembly stack = typeof(PacketDevice).Assembly;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Ours(stack), Is.SubsetOf(s_fromStack));
            Assert.That(Ours(tun), Is.SubsetOf(s_fromTun));
            Assert.That(Names(stack), Has.None.EqualTo("Tmds.LibC"), "Stack knows no operating system");
        }

        static IEnumerable<string> Names(Assembly assembly) => assembly.GetReferencedAssemblies().Select(static name => name.Name!);
        static IEnumerable<string> Ours(Assembly assembly) => Names(assembly).Where(static name => name.StartsWith("Tcpcrypt.", StringComparison.Ordinal));
    }

    [Test]
    public void Only_Tun_uses_the_C_library()
    {
        IEnumerable<string> users = Repository.Files.Where(static file => file.StartsWith("src/", StringComparison.Ordinal) && file.EndsWith(".csproj", StringComparison.Ordinal))
            .Where(static file => Repository.Read(file).Contains("Tmds.LibC", StringComparison.Ordinal));
        Assert.That(users, Is.EqualTo(new[] { "src/Tun/Tcpcrypt.Tun.csproj" }));
    }

    [Test]
    public void Unsafe_code_is_where_native_code_is_called_only()
    {
        IEnumerable<string> users = Repository.Files.Where(static file => file.StartsWith("src/", StringComparison.Ordinal) && file.EndsWith(".csproj", StringComparison.Ordinal))
            .Where(static file => Repository.Read(file).Contains("AllowUnsafeBlocks", StringComparison.Ordinal));
        Assert.That(users, Is.SubsetOf(new[] { "src/Tun/Tcpcrypt.Tun.csproj", "src/Crypt/Tcpcrypt.Crypt.csproj" }));
    }

    /// <summary>What the layers of Stack may not use: the layers outside of them, threads, clocks and awaiting.</summary>
    [TestCase("Wire", @"\b(Tcpcrypt\.(Host|Tcp|Ip|Udp))\b|\bStackCore\b|\bIpStack\b")]
    [TestCase("Core", @"\busing Tcpcrypt\.Host\b|\bStackHost\b|\bIpStack\b(?!Options)|\bTcpConnection\b")]
    [TestCase("Ip", @"\busing Tcpcrypt\.Host\b|\bStackHost\b|\bIpStack\b(?!Options)|\bTcpConnection\b")]
    [TestCase("Tcp", @"\busing Tcpcrypt\.Host\b|\bStackHost\b|\bIpStack\b(?!Options)|\bTcpConnection\b")]
    [TestCase("Udp", @"\busing Tcpcrypt\.Host\b|\bStackHost\b|\bIpStack\b(?!Options)|\bStackUdpSocket\b")]
    public void Core_layers_do_not_know_the_shells(string layer, string forbidden)
    {
        Assert.That(Offenders(layer, new Regex(forbidden)), Is.Empty);
    }

    [TestCase("Wire")]
    [TestCase("Core")]
    [TestCase("Ip")]
    [TestCase("Tcp")]
    [TestCase("Udp")]
    public void Core_layers_start_no_thread_wait_for_nothing_and_read_no_clock(string layer)
    {
        Assert.That(Offenders(layer, Shells()), Is.Empty);
    }

    [Test]
    public void Core_layers_cannot_switch_the_banned_list_off()
    {
        IEnumerable<string> offenders = Repository.Sources("src/Stack").Concat(Repository.Sources("src/Crypt"))
            .Where(static file => !file.StartsWith("src/Stack/Host/", StringComparison.Ordinal) && !file.StartsWith("src/Stack/Api/", StringComparison.Ordinal))
            .Where(static file => Repository.Read(file).Contains("RS0030", StringComparison.Ordinal));
        Assert.That(offenders, Is.Empty);
    }

    private static List<string> Offenders(string layer, Regex forbidden) =>
        [.. Repository.Sources("src/Stack/" + layer).SelectMany(file => WithoutComments(Repository.Read(file))
            .Select((line, index) => (line, index))
            .Where(numbered => forbidden.IsMatch(numbered.line))
            .Select(numbered => $"{file}:{numbered.index + 1}: {numbered.line.Trim()}"))];

    // Comments speak of threads and hosts freely; strings are rare enough here to be taken for code.
    private static IEnumerable<string> WithoutComments(string source) =>
        source.Split('\n').Select(static line => line.IndexOf("//", StringComparison.Ordinal) is >= 0 and int at ? line[..at] : line);

    [GeneratedRegex(@"\b(Thread|ThreadPool|Task|ValueTask|Timer|Stopwatch|TimeProvider|SemaphoreSlim|ManualResetEvent\w*|AutoResetEvent|Monitor\.Wait)\b(?!\w)|\bawait\b|\basync\b")]
    private static partial Regex Shells();
}
