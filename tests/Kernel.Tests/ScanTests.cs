using System.Net;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>What nmap finds out about us.</summary>
public partial class ScanTests : KernelFixture
{
    private static readonly int[] s_open = [22, 80, 443, 8080];

    [TestCase("-sS", "open", "closed", Description = "SYN, answered with RST when it is acknowledged")]
    [TestCase("-sT", "open", "closed", Description = "connect")]
    [TestCase("-sA", "unfiltered", "unfiltered", Description = "ACK: RFC 9293 §3.10.7.2 resets")]
    [TestCase("-sF", "open|filtered", "closed", Description = "FIN: a listener ignores it")]
    [TestCase("-sN", "open|filtered", "closed", Description = "no flags at all")]
    [TestCase("-sX", "open|filtered", "closed", Description = "FIN, PSH, URG")]
    [TestCase("-sM", "closed", "closed", Description = "FIN, ACK: RST from all, as the RFC wants it")]
    public async Task Tcp_scan_finds_the_states_of_the_ports(string kind, string listening, string others)
    {
        Need("nmap");
        await StartAsync();
        foreach (int port in s_open)
        {
            // nmap takes its connections back at once.
            await ServeAsync(port, static connection => Task.WhenAny(connection.ReadsClosed));
        }

        Dictionary<int, string> found = await ScanAsync(kind, "1-100,400-500,8080");
        Assert.That(found, Has.Count.EqualTo(202));
        Assert.That(s_open.Select(port => found[port]), Has.All.EqualTo(listening));
        Assert.That(found.Where(f => !s_open.Contains(f.Key)).Select(f => f.Value), Has.All.EqualTo(others));
        await Poll.UntilAsync(() => Stack.GetConnections().All(c => c.State == System.Net.NetworkInformation.TcpState.TimeWait), "nothing of the scan is left");
    }

    [Test]
    public async Task Udp_scan_finds_the_states_of_the_ports()
    {
        Need("nmap");
        await StartAsync();
        StackUdpSocket talker = Own(await Stack.BindUdpAsync(new IPEndPoint(StackIp, 7)));
        Own(await Stack.BindUdpAsync(new IPEndPoint(StackIp, 8)));
        Task talking = EchoAsync(talker);
        Dictionary<int, string> found = await ScanAsync("-sU", "5-10");
        Assert.That(found, Is.EqualTo(new Dictionary<int, string>
        {
            [5] = "closed",
            [6] = "closed",
            [7] = "open",
            [8] = "open|filtered",
            [9] = "closed",
            [10] = "closed",
        }));
        await talker.DisposeAsync();
        await talking.WaitAsync(Patience);
    }

    [Test]
    public async Task Host_is_found_and_its_neighbours_are_not()
    {
        Need("nmap");
        await StartAsync();
        ShellResult result = await Namespace.Start("nmap", "-n", "-sn", "-PE", "--max-retries", "1", "-oG", "-", "10.99.0.2", "10.99.0.3").WaitAsync(Patience);
        Assert.That(result.Expect(), Does.Contain("Host: 10.99.0.2 ()\tStatus: Up").And.Not.Contain("Host: 10.99.0.3 ()\tStatus: Up"));
    }

    private async Task<Dictionary<int, string>> ScanAsync(string kind, string ports)
    {
        // -d: each port is listed, not "98 closed ports".
        ShellResult result = await Namespace.Start("nmap", "-n", "-Pn", kind, "-d2", "--max-retries", "5", "-p", ports, "-oG", "-", "10.99.0.2").WaitAsync(Patience);
        return PortStates().Matches(result.Expect()).ToDictionary(match => int.Parse(match.Groups[1].Value), match => match.Groups[2].Value);
    }

    private static async Task EchoAsync(StackUdpSocket socket)
    {
        byte[] buffer = new byte[2000];
        try
        {
            while (true)
            {
                UdpReceive received = await socket.ReceiveFromAsync(buffer);
                await socket.SendToAsync("hello"u8.ToArray(), received.Remote);
            }
        }
        catch (ObjectDisposedException)
        {
            // The test is over.
        }
    }

    [GeneratedRegex(@"(\d+)/([a-z|]+)/(?:tcp|udp)/")]
    private static partial Regex PortStates();
}
