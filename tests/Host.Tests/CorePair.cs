using System.Net;
using System.Net.Sockets;
using Tcpcrypt.Core;
using Tcpcrypt.Tcp;

namespace Tcpcrypt.Host.Tests;

/// <summary>Two cores without hosts, for what depends on which packets come in one batch.</summary>
internal sealed class CorePair
{
    private sealed class SeededRandom(int seed) : IRandomSource
    {
        private readonly Random _random = new(seed);

        public void Fill(Span<byte> destination) => _random.NextBytes(destination);
    }

    public StackCore First { get; } = NewCore("10.0.0.1", 1);

    public StackCore Second { get; } = NewCore("10.0.0.2", 2);

    public TcpInstant Now { get; set; } = new(1_000_000_000);

    public (TcpEndpoint First, TcpEndpoint Second) Connect()
    {
        Tcp.TcpListener listener = Check(Second.Tcp.Listen(new Endpoint4(Ipv4Address.Any, 80), TcpEndpointOptions.From(Second.Options.Tcp), 10, out Tcp.TcpListener? listening), listening);
        TcpEndpoint first = Check(First.Tcp.Connect(Now, null, new Endpoint4(Ipv4Address.Parse("10.0.0.2"), 80), TcpEndpointOptions.From(First.Options.Tcp), out TcpEndpoint? opened), opened);
        for (int i = 0; i < 4; i++)
        {
            Deliver(First, Second);
            Deliver(Second, First);
        }

        if (!listener.TryAccept(out TcpEndpoint second))
        {
            throw new InvalidOperationException("The handshake did not end.");
        }

        return (first, second);
    }

    /// <summary>Takes what one core emits, without delivering it.</summary>
    public void Pump(StackCore from, StackCore to, out PacketSlot[] packets)
    {
        List<PacketSlot> taken = [];
        PacketSlot slot = new();
        while (from.TryEmit(Now, slot))
        {
            taken.Add(slot);
            slot = new PacketSlot();
        }

        packets = [.. taken];
    }

    private void Deliver(StackCore from, StackCore to)
    {
        Pump(from, to, out PacketSlot[] packets);
        foreach (PacketSlot packet in packets)
        {
            to.OnPacket(Now, packet);
        }
    }

    private static T Check<T>(SocketError error, T? value)
        where T : class => error == SocketError.Success ? value! : throw new SocketException((int)error);

    private static StackCore NewCore(string address, int seed) =>
        new(new StackCoreOptions { Addresses = [new IPPrefixAddress(IPAddress.Parse(address), 24)] }, new SeededRandom(seed));
}
