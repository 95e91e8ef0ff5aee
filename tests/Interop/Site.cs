using System.Net;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Interop;

/// <summary>
/// One end of a <see cref="Wire"/>: a namespace whose kernel forwards between the TUN device that an endpoint has (tun0) and the one that leads to the other site (wire0).
/// </summary>
internal sealed class Site : IAsyncDisposable
{
    /// <summary>The endpoint's device.</summary>
    public const string Device = "tun0";

    private const string WireDevice = "wire0";

    private Site(string address, string router, string others)
    {
        Address = IPAddress.Parse(address);
        Router = IPAddress.Parse(router);
        WireEnd = Namespace.Invoke(() => TunDevice.Open(new TunDeviceOptions { Name = WireDevice, Offload = OffloadMode.Off, Configure = false }));

        // All of it in one call: a site is made for every test.
        using ShellCommand ip = Namespace.Start("ip", "-batch", "-");
        ip.Input.Write($"""
            tuntap add dev {Device} mode tun
            link set dev {Device} up mtu 1500
            link set dev {WireDevice} up mtu 1500
            address add {router}/32 dev {WireDevice}
            route add {address}/32 dev {Device}
            route add {others} dev {WireDevice}

            """);
        ip.Input.Close();
        ip.Wait().Expect();
        Namespace.Invoke(() =>
        {
            File.WriteAllText("/proc/sys/net/ipv4/ip_forward", "1");
            File.WriteAllText("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
        });
    }

    public NetworkNamespace Namespace { get; } = new();

    /// <summary>The endpoint's address.</summary>
    public IPAddress Address { get; }

    /// <summary>The address of the site's kernel on the wire: what the endpoint looks like from outside with <see cref="Masquerade"/>.</summary>
    public IPAddress Router { get; }

    /// <summary>The wire's end here; whoever takes it disposes of it.</summary>
    public TunDevice WireEnd { get; }

    public static Site Left() => new("10.78.1.2", "10.77.1.1", "10.76.0.0/14");

    public static Site Right() => new("10.78.2.2", "10.77.2.1", "10.76.0.0/14");

    /// <summary>Translates the endpoint's address and port to the router's. The test is skipped where the kernel cannot.</summary>
    public void Masquerade()
    {
        ShellResult result = Namespace.TryRun("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", WireDevice, "-j", "MASQUERADE", "--random");
        if (result.ExitCode != 0)
        {
            Assert.Ignore($"The kernel translates no addresses: {result.Error.Trim()}");
        }
    }

    /// <summary>Waits until an endpoint has the device open and waits for packets: what is sent before is lost, or answered late.</summary>
    public async Task UntilReadyAsync(ShellCommand endpoint)
    {
        int waiting = 0;
        for (int i = 0; i < 2000 && !endpoint.HasExited; i++)
        {
            // A key of 4096 bits takes seconds; who makes one does not sleep.
            waiting = IsAttached() && IsSleeping(endpoint.Id) ? waiting + 1 : 0;
            if (waiting == 3)
            {
                return;
            }

            await Task.Delay(15);
        }

        endpoint.Dispose();
        Assert.Fail($"The endpoint did not open its device: {endpoint.Error}");
    }

    public ValueTask DisposeAsync()
    {
        Namespace.Dispose();
        return ValueTask.CompletedTask;
    }

    private bool IsAttached() => Namespace.Run("ip", "-o", "link", "show", "dev", Device).Contains("LOWER_UP", StringComparison.Ordinal);

    // The third field of proc(5)'s stat, behind the name in parentheses.
    private static bool IsSleeping(int process)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{process}/stat");
            return stat[stat.LastIndexOf(')') + 2] == 'S';
        }
        catch (IOException)
        {
            return false; // it has ended
        }
    }
}
