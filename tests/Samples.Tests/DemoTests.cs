namespace Tcpcrypt.Samples.Tests;

/// <summary>What <c>make run</c> shows, both ways.</summary>
public sealed class DemoTests
{
    private const string Demo = "dotnet \"$ROOT/eng/Demo/bin/$CONFIG/net10.0/Demo.dll\" ";

    [Test]
    public async Task Demonstration_runs_over_the_link_in_memory() => Check(await Shell.RunAsync(Demo + "memory 'a test asks for it'"));

    [Test]
    public async Task Demonstration_runs_on_a_tun_device_and_leaves_nothing_behind()
    {
        string output = await Shell.RunInNamespaceAsync(Demo + "tun 'a test' || fail demo\nip link show tun0 2>&1; true", "curl", "ping").ConfigureAwait(false);
        Check(output);
        Assert.That(output, Does.Contain("does not exist"), "tun0 is gone");
    }

    private static void Check(string output)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(output, Does.Contain("Hello 10.9.0.1").And.Contain("as it was sent").And.Contain("TcpPassiveOpens").And.Contain("done:"));
            Assert.That(output, Does.Contain("the session IDs are the same").And.Contain("the other application reads \"the password is swordfish\"").And.Contain("is nowhere in the"));
            Assert.That(output, Does.Contain("0x0000:  4500").Or.Contain("tcpdump is not installed").Or.Contain("Operation not permitted"), "the octets of a packet");
        }
    }
}
