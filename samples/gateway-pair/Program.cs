// Two sites with a gateway each. TCP between the sites crosses the uplink encrypted, from one gateway to the other, which have both proved that they have
// the key. The programs at the sites are as they were, and see each other's own addresses. A set-up to try is in README.md beside this file.
using System.Net;
using Tcpcrypt;
using Tcpcrypt.Samples;
using Tcpcrypt.Tun;

const string Usage = """
    gateway-pair KEYFILE PEER NETWORK
      KEYFILE   at least 16 random octets that both gateways have and nobody else
      PEER      the other gateway's --stack, which --tun leads to; both listen there on port 4141
      NETWORK   the other site's network, routed here to a second device, site0
    """;

return await Sample.RunAsync(args, Usage, async (uplink, rest, stop) =>
{
    if (rest.Count != 3) { throw new ArgumentException("KEYFILE, PEER and NETWORK are needed; see --help."); }
    byte[] key = await Authentication.ReadKeyAsync(rest[0], stop), use = "gateway-pair/1"u8.ToArray();
    IPEndPoint peer = new(IPAddress.Parse(rest[1]), 4141);
    IPNetwork network = IPNetwork.Parse(rest[2]);
    TunDeviceOptions tun = new() { Name = "site0", HostAddress = IPPrefixAddress.Parse("192.0.2.1/30"), Routes = { network } };
    await using TunDevice device = TunDevice.Open(tun);
    await using IpStack site = await IpStack.StartAsync(device, new IpStackOptions { Addresses = [IPPrefixAddress.Parse("192.0.2.2/30")] }, stop);

    // Out: a program of this site is answered when the other gateway has connected to its destination, and refused when it could not.
    TcpConnectOptions encrypted = new() { Policy = TcpcryptPolicy.Required };
    using IDisposable outwards = site.MapTcp(network, (request, stop) =>
        Splice.CarryAsync($"{request.Source} to {request.Destination}", uplink.ConnectAsync(peer, encrypted, stop), async tunnel =>
        {
            await Authentication.AuthenticateAsync(tunnel, key, use, stop);
            await Splice.AskAsync(tunnel, request.Source, request.Destination, stop);
            await using TcpConnection program = await request.AcceptAsync(stop);
            await Splice.RunAsync(program, tunnel, stop);
        }));

    // In: on to where a program of the other site wanted to go, from the address that it has.
    await using TcpConnectionListener listener = await uplink.ListenAsync(new(IPAddress.Any, peer.Port), new() { Policy = TcpcryptPolicy.Required }, stop);
    Console.WriteLine($"{network} is behind {peer}");
    await foreach (TcpConnection connection in listener.AcceptAllAsync(stop))
    {
        _ = Splice.CarryAsync($"in from {connection.RemoteEndPoint}", ValueTask.FromResult(connection), async tunnel =>
        {
            await Authentication.AuthenticateAsync(tunnel, key, use, stop);
            (IPEndPoint source, IPEndPoint destination) = await Splice.ReadRequestAsync(tunnel, stop);
            bool isForUs = network.Contains(source.Address) && !network.Contains(destination.Address);
            if (!isForUs) { throw new IOException($"{source} to {destination} is not for this site"); }
            await using TcpConnection program = await site.ConnectAsync(destination, new() { Local = source, Transparent = true }, stop);
            await tunnel.Output.WriteAsync(new byte[1], stop);
            await Splice.RunAsync(program, tunnel, stop);
        });
    }
});
