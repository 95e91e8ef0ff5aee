namespace Tcpcrypt.Samples.Tests;

/// <summary>Every sample does what it says, against this machine's own kernel.</summary>
public sealed class SampleTests
{
    // All but quickstart, which is the README's example and has no options.
    private static IEnumerable<string> Samples => Directory.GetDirectories(Path.Combine(Shell.Root, "samples")).Select(static folder => Path.GetFileName(folder))
        .Where(static name => File.Exists(Path.Combine(Shell.Root, "samples", name, name + ".csproj")) && name != "quickstart").Order();

    [TestCaseSource(nameof(Samples))]
    public async Task Help_says_how_to_use_it(string sample)
    {
        Assert.That(await Shell.RunAsync($"sample {sample} --help"), Does.Contain($"usage: {sample}").And.Contain("--tun NAME"));
    }

    [Test]
    public async Task Without_privilege_the_message_says_what_to_do()
    {
        string output = await Shell.RunAsync("""
            # A user namespace without a network namespace of its own: no capability for the network that is there.
            unshare -U true 2>/dev/null || { echo SKIP; exit 0; }
            [ -e /dev/net/tun ] || { echo SKIP; exit 0; }
            unshare -U bash -c 'dotnet "$ROOT/samples/ping/bin/$CONFIG/net10.0/ping.dll" --tun tcnone0'
            echo "code $?"
            """);
        if (output.Contains("SKIP", StringComparison.Ordinal))
        {
            Assert.Ignore("user namespaces or /dev/net/tun are not there");
        }

        Assert.That(output, Does.Contain("CAP_NET_ADMIN").And.Contain("code 1").And.Not.Contain("   at "));
    }

    [Test]
    public async Task Quickstart_fetches_and_serves()
    {
        string output = await Shell.RunInNamespaceAsync("""
            mkdir "$work/www"; echo "a page of the kernel's" >"$work/www/page"
            python3 -m http.server --bind 0.0.0.0 --directory "$work/www" 8000 >"$work/python.log" 2>&1 & until_open 127.0.0.1 8000
            start 'a page' quickstart http://10.9.0.1:8000/page
            until_open 10.9.0.2 80
            curl -s -S --max-time 10 http://10.9.0.2/ || fail curl
            cat "$work/quickstart.log"
            """, "curl", "python3");
        Assert.That(output, Does.Contain("Hello from a stack of its own.").And.Contain("a page of the kernel's"));
    }

    [Test]
    public async Task Echo_sends_back_what_it_gets_and_closes_after_the_client()
    {
        string output = await Shell.RunInNamespaceAsync("""
            start 'echo on' echo
            exec 3<>/dev/tcp/10.9.0.2/7 && echo "over there" >&3 && read -r line <&3 && echo "back: $line"
            exec 3>&-
            until_said "$work/echo.log" 'is done: 11 octets'
            """);
        Assert.That(output, Does.Contain("back: over there"));
    }

    [Test]
    public async Task Http_server_shows_the_connection()
    {
        string output = await Shell.RunInNamespaceAsync("""
            start 'http on' http-server
            curl -s -S -i --max-time 10 http://10.9.0.2/some/page || fail curl
            """, "curl");
        Assert.That(output, Does.Contain("200 OK").And.Contain("GET /some/page HTTP/1.1").And.Contain("round trip").And.Contain("10.9.0.1:"));
    }

    [Test]
    public async Task Fetch_gets_a_file_as_it_is()
    {
        string output = await Shell.RunInNamespaceAsync("""
            mkdir "$work/www"; head -c 20000000 /dev/urandom >"$work/www/file"
            python3 -m http.server --bind 0.0.0.0 --directory "$work/www" 8000 >"$work/python.log" 2>&1 & until_open 127.0.0.1 8000
            sample fetch http://10.9.0.1:8000/file "$work/got" || fail fetch
            cmp "$work/www/file" "$work/got" && echo same
            sample fetch http://10.9.0.1:8001/ ; echo "refused: code $?"
            """, "python3");
        Assert.That(output, Does.Contain("same").And.Contain("20000000 octets").And.Contain("refused: code 1").And.Not.Contain("   at "));
    }

    [Test]
    public async Task Udp_answers_and_asks()
    {
        string output = await Shell.RunInNamespaceAsync("""
            start 'udp echo on' udp
            exec 3<>/dev/udp/10.9.0.2/7 && echo "a datagram" >&3 && echo "back: $(timeout 5 dd bs=2048 count=1 <&3 2>/dev/null)"
            kill %1; wait %1 2>/dev/null
            sample udp 10.9.0.1 9 anybody; echo "nobody: code $?"
            """);
        Assert.That(output, Does.Contain("back: a datagram").And.Contain("nobody: code 1").And.Not.Contain("   at "));
    }

    [Test]
    public async Task Ping_is_answered_by_the_kernel()
    {
        Assert.That(await Shell.RunInNamespaceAsync("sample ping 10.9.0.1 3"), Does.Contain("3 of 3 answered"));
    }
}
