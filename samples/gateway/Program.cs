// Everything that is routed to tun0 is terminated by our stack and relayed through kernel sockets, half-close, resets and time-outs included.
// Try it with: python3 -m http.server 8000, and then curl http://198.18.0.1:8000/
using System.Net;
using Tcpcrypt;
using Tcpcrypt.Samples;

const string Usage = """
    gateway [NETWORK...] [--to ADDRESS|destination] [--device NAME] [--mark N]
      NETWORK        what to route to tun0 (default 198.18.0.0/15)
      --to           where to relay to, same port (default 127.0.0.1); "destination" is where the client wanted to go: then the kernel's
                     sockets must not be routed to tun0 again, by one of the following or because tun0 is in another namespace than this program
      --device NAME  the kernel's sockets leave by this interface
      --mark N       the kernel's sockets carry this firewall mark, for "ip rule add fwmark N lookup main"
    """;

IPAddress[] links = [];
return await Sample.RunAsync(args, Usage, async (stack, rest, stop) =>
{
    Relay relay = new(new RelayOptions
    {
        BindToDevice = Sample.Take(rest, "--device"),
        Mark = Sample.Take(rest, "--mark") is { } mark ? int.Parse(mark) : null,
        Target = Sample.Take(rest, "--to") switch
        {
            "destination" => null,
            var address => destination => new IPEndPoint(IPAddress.Parse(address ?? "127.0.0.1"), destination.Port),
        },
        LinkAddresses = links, // a dial that would come back to us is refused
    });
    foreach (IPNetwork network in Networks(rest))
    {
        stack.MapTcp(network, relay.ForwardAsync);
        stack.MapUdp(network, relay.ForwardAsync);
        Console.WriteLine($"relaying {network}");
    }

    while (true)
    {
        await Task.Delay(TimeSpan.FromSeconds(10), stop);
        IpStackStatistics statistics = stack.GetStatistics();
        Console.WriteLine($"{relay.Active} active; {statistics.ForwardAccepted} connections so far, {statistics.ForwardRejected} refused");
    }
}, (tun, rest) =>
{
    links = [tun.HostAddress!.Value.Address];
    Networks(rest).ToList().ForEach(tun.Routes.Add);
});

static IEnumerable<IPNetwork> Networks(List<string> rest) =>
    rest.Where(static arg => IPNetwork.TryParse(arg, out _)).DefaultIfEmpty("198.18.0.0/15").Select(static arg => IPNetwork.Parse(arg));
