using System.Net.Sockets;
using System.Runtime.InteropServices;
using Tcpcrypt.Tun;

namespace Tcpcrypt.Samples;

/// <summary>What the samples share: options, tun0 with our stack on it, an end in order with Ctrl+C or SIGTERM, and errors as one line. See quickstart for a program without it.</summary>
internal static class Sample
{
    private const string Options = """
          --tun NAME             the interface to make (default tun0)
          --host ADDRESS/PREFIX  the kernel's end of the link (default 10.9.0.1/24)
          --stack ADDRESS/PREFIX our stack's end (default 10.9.0.2/24)
          --attach               the interface exists and is set up already: only attach to it
        """;

    public static async Task<int> RunAsync(
        string[] args, string usage, Func<IpStack, List<string>, CancellationToken, Task> run, Action<TunDeviceOptions, List<string>>? configure = null)
    {
        List<string> rest = [.. args];
        if (rest.Remove("--help") || rest.Remove("-h"))
        {
            Console.WriteLine($"usage: {usage}\n{Options}");
            return 0;
        }

        using CancellationTokenSource stop = new();
        Console.CancelKeyPress += (_, e) => { e.Cancel = true; stop.Cancel(); };
        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => { signal.Cancel = true; stop.Cancel(); });
        try
        {
            TunDeviceOptions tun = new()
            {
                Name = Take(rest, "--tun") ?? "tun0",
                HostAddress = IPPrefixAddress.Parse(Take(rest, "--host") ?? "10.9.0.1/24"),
                Configure = !rest.Remove("--attach"),
            };
            IPPrefixAddress address = IPPrefixAddress.Parse(Take(rest, "--stack") ?? "10.9.0.2/24");
            configure?.Invoke(tun, rest);
            await using TunDevice device = TunDevice.Open(tun);
            await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [address] }, stop.Token);
            await run(stack, rest, stop.Token);
            return 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0;
        }
        catch (Exception e) when (e is IOException or SocketException or HttpRequestException or FormatException or ArgumentException
            or PlatformNotSupportedException)
        {
            Console.Error.WriteLine(e.Message); // the device's messages say what to do about it
            return 1;
        }
    }

    /// <summary>Takes <c>NAME VALUE</c> out of the arguments.</summary>
    public static string? Take(List<string> args, string name)
    {
        int index = args.IndexOf(name);
        if (index < 0) { return null; }
        string value = args.ElementAtOrDefault(index + 1) ?? throw new ArgumentException($"{name} needs a value.");
        args.RemoveRange(index, 2);
        return value;
    }
}
