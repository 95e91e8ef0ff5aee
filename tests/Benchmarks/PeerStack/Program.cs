// Our stack as a peer of tests/Benchmarks/Peers: attaches to an existing TUN device and serves its four ports until SIGTERM.
//   PeerStack TUN ADDRESS/PREFIX [MODE] [--no-offload] [--scheduling inline|pool] [--no-warm-up]
// All ports are served whatever MODE says.
using System.Runtime.InteropServices;
using Tcpcrypt;
using Tcpcrypt.Benchmarks;
using Tcpcrypt.Tun;

if (args is not [string tun, string address, ..] || !IPPrefixAddress.TryParse(address, null, out IPPrefixAddress local))
{
    Console.Error.WriteLine("usage: PeerStack TUN ADDRESS/PREFIX [MODE] [--no-offload] [--scheduling inline|pool] [--no-warm-up]");
    return 2;
}

ContinuationScheduling scheduling = ContinuationScheduling.ThreadPool;
int option = Array.IndexOf(args, "--scheduling");
if (option >= 0)
{
    scheduling = args.ElementAtOrDefault(option + 1) switch
    {
        "inline" => ContinuationScheduling.Inline,
        "pool" => ContinuationScheduling.ThreadPool,
        _ => throw new ArgumentException("--scheduling takes inline or pool."),
    };
}

TaskCompletionSource stop = new(TaskCreationOptions.RunContinuationsAsynchronously);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
bool offload = !args.Contains("--no-offload");
bool warmUp = !args.Contains("--no-warm-up");
if (warmUp)
{
    await WarmUp.RunInMemoryAsync(scheduling, offload ? PacketOffloads.Checksum | PacketOffloads.Segmentation : PacketOffloads.None);
}

await using TunDevice device = TunDevice.Open(new TunDeviceOptions
{
    Name = tun,
    Configure = false, // run.py made the interface and gave it its address
    Persistent = true, // and removes it
    Offload = offload ? OffloadMode.Required : OffloadMode.Off,
});
await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [local], Scheduling = scheduling });
await Ports.ServeAsync(stack, local.Address);
if (warmUp)
{
    await WarmUp.RunOverDeviceAsync(local.Address);
}

Console.WriteLine("READY");
await Task.WhenAny(stop.Task, stack.Completion);
using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(200));
await stack.StopAsync(soon.Token);
return 0;

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.TrySetResult();
}
