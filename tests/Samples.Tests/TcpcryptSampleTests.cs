using System.Text.RegularExpressions;

namespace Tcpcrypt.Samples.Tests;

/// <summary>The samples of tcpcrypt: two of our stacks on two TUN devices, the kernel routes between them.</summary>
public sealed partial class TcpcryptSampleTests
{
    // The second stack, at 10.9.1.2.
    private const string Other = "--tun tun1 --host 10.9.1.1/24 --stack 10.9.1.2/24 ";

    [Test]
    public async Task Secure_echo_shows_one_session_id_on_both_sides_and_resumes()
    {
        string output = await Shell.RunInNamespaceAsync($"""
            echo 1 >/proc/sys/net/ipv4/ip_forward
            start 'echo on' secure-echo --required
            for i in 1 2; do sample secure-echo {Other} --required 10.9.0.2 'over there' || fail client; done
            cat "$work/secure-echo.log"
            """);
        string[] ids = [.. SessionId().Matches(output).Select(static match => match.Groups[1].Value)];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(output, Does.Contain("encrypted with Aes128HmacSha256 by EcdheP256").And.Contain("over there"));
            Assert.That(ids, Has.Length.EqualTo(4), output);
            Assert.That(ids.Take(2), Is.EqualTo(ids.Skip(2)).And.Unique, "what the client printed twice is what the server printed");
        }
    }

    [Test]
    public async Task Secure_echo_says_why_a_connection_is_plain_and_refuses_it_where_that_must_not_be()
    {
        string output = await Shell.RunInNamespaceAsync("""
            start 'echo on' secure-echo
            exec 3<>/dev/tcp/10.9.0.2/7 && echo "from the kernel" >&3 && read -r line <&3 && echo "back: $line"
            exec 3>&-
            until_said "$work/secure-echo.log" 'in plain'; cat "$work/secure-echo.log"
            kill %1; wait %1 2>/dev/null
            start 'echo on' secure-echo --required
            (exec 3<>/dev/tcp/10.9.0.2/7) 2>&1; echo "kernel: code $?"
            """);
        Assert.That(output, Does.Contain("back: from the kernel").And.Contain("in plain, PeerDidNotOffer").And.Contain("refused").And.Contain("kernel: code 1"));
    }

    [Test]
    public async Task Authenticated_chat_is_for_those_who_have_the_key()
    {
        string output = await Shell.RunInNamespaceAsync($"""
            echo 1 >/proc/sys/net/ipv4/ip_forward
            head -c 32 /dev/urandom >"$work/key"; head -c 32 /dev/urandom >"$work/wrong"; echo password >"$work/short"
            sample authenticated-chat "$work/short"; echo "short: code $?"
            (until_said "$work/right.log" 'has the key'; echo "an answer") | sample authenticated-chat "$work/key" >"$work/chat.log" 2>&1 &
            until_said "$work/chat.log" 'waiting on'
            echo "from a stranger" | sample authenticated-chat {Other} "$work/wrong" 10.9.0.2; echo "wrong key: code $?"
            (echo "a question"; until_said "$work/right.log" 'an answer') | sample authenticated-chat {Other} "$work/key" 10.9.0.2 >"$work/right.log" 2>&1 || fail client
            wait
            sed 's/^/here: /' "$work/chat.log"; sed 's/^/there: /' "$work/right.log"
            """);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(output, Does.Contain("too short for a key").And.Contain("short: code 1").And.Contain("wrong key: code 1").And.Not.Contain("   at "));
            Assert.That(output, Does.Contain("here: a question").And.Contain("there: an answer").And.Not.Contain("stranger"));
            Assert.That(InSession().Matches(output).Select(static match => match.Groups[1].Value).Distinct().Count(), Is.EqualTo(1), output);
            Assert.That(Proved().Count(output), Is.EqualTo(2), "the stranger and the other side, each of the other");
        }
    }

    [GeneratedRegex("session ID ([0-9a-f]{64})")]
    private static partial Regex SessionId();

    [GeneratedRegex("has the key, in session ([0-9a-f]{64})")]
    private static partial Regex InSession();

    [GeneratedRegex("has not proved that it has the key")]
    private static partial Regex Proved();
}
