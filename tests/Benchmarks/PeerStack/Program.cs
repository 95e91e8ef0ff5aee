// Our stack as a peer of tests/Benchmarks/Peers: attaches to an existing TUN device and serves its four ports until SIGTERM.
//   PeerStack TUN ADDRESS/PREFIX [MODE] [--no-offload] [--scheduling inline|pool] [--no-warm-up] [--addresses N] [--tcpcrypt p256|p521|rsa]
//   PeerStack load ...    the clients of the benchmark "handshakes": Handshakes.cs
//   PeerStack floor       what the primitives of a handshake cost alone: Floors.cs
// All ports are served whatever MODE says; with --addresses on so many addresses, counted up from ADDRESS.
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Tcpcrypt;
using Tcpcrypt.Benchmarks;
using Tcpcrypt.Tun;

if (args is ["load", ..])
{
    return await Handshakes.RunAsync(args[1..]);
}

if (args is ["floor"])
{
    return Floors.Run();
}

if (args is not [string tun, string address, ..] || !IPPrefixAddress.TryParse(address, null, out IPPrefixAddress local))
{
    Console.Error.WriteLine("usage: PeerStack TUN ADDRESS/PREFIX [MODE] [--no-offload] [--scheduling inline|pool] [--no-warm-up] [--addresses N] [--tcpcrypt p256|p521|rsa]");
    return 2;
}

ContinuationScheduling scheduling = Option("--scheduling") switch
{
    "inline" => ContinuationScheduling.Inline,
    null or "pool" => ContinuationScheduling.ThreadPool,
    _ => throw new ArgumentException("--scheduling takes inline or pool."),
};
TcpcryptOptions tcpcrypt = new();
if (Option("--tcpcrypt") is { } keyExchange)
{
    tcpcrypt.KeyExchanges = keyExchange switch
    {
        "p256" => [TcpcryptKeyExchange.EcdheP256],
        "p521" => [TcpcryptKeyExchange.EcdheP521],
        // With a second one a client takes RSA only with a key made ahead.
        "rsa" => [TcpcryptKeyExchange.OaepRsa, TcpcryptKeyExchange.EcdheP256],
        _ => throw new ArgumentException("--tcpcrypt takes p256, p521 or rsa."),
    };
}

IPPrefixAddress[] addresses = new IPPrefixAddress[int.Parse(Option("--addresses") ?? "1", CultureInfo.InvariantCulture)];
for (int i = 0; i < addresses.Length; i++)
{
    byte[] octets = local.Address.GetAddressBytes();
    octets[3] += (byte)i;
    addresses[i] = new IPPrefixAddress(new IPAddress(octets), local.PrefixLength);
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
await using IpStack stack = await IpStack.StartAsync(device, new IpStackOptions { Addresses = addresses, Scheduling = scheduling, Tcpcrypt = tcpcrypt });
foreach (IPPrefixAddress served in addresses)
{
    await Ports.ServeAsync(stack, served.Address);
}

if (warmUp)
{
    await WarmUp.RunOverDeviceAsync(local.Address);
}

Console.WriteLine("READY");
await Task.WhenAny(stop.Task, stack.Completion);
using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(200));
await stack.StopAsync(soon.Token);
return 0;

string? Option(string name) => Array.IndexOf(args, name) is >= 0 and int index ? args.ElementAtOrDefault(index + 1) ?? throw new ArgumentException($"{name} needs a value.") : null;

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stop.TrySetResult();
}
