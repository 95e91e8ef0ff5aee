using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Scripts.Runner;
using Tcpcrypt.Testing;
using static Tcpcrypt.Scripts.Kit.KitTest;

namespace Tcpcrypt.Scripts.Kit;

/// <summary>What a program sees of the sockets; the scripts show what goes over the wire.</summary>
[TestFixture]
internal sealed class SteppedSocketTests
{
    private static readonly LinkDirection s_wire = new() { Delay = TimeSpan.FromMilliseconds(5) };

    [Test]
    public void A_conversation_from_connect_to_close()
    {
        SteppedLink link = Pair(s_wire);
        (SteppedSocket client, SteppedSocket server, SteppedSocket listener) = Connect(link);
        Assert.Multiple(() =>
        {
            Assert.That(listener.State, Is.EqualTo(TcpState.Listen));
            Assert.That(client.State, Is.EqualTo(TcpState.Established));
            Assert.That(client.RemoteEndPoint, Is.EqualTo(ServerEnd));
            Assert.That(server.RemoteEndPoint, Is.EqualTo(client.LocalEndPoint));
            Assert.That(server.LocalEndPoint, Is.EqualTo(ServerEnd));
        });
        Transfer(link, client, server, 100_000);
        Transfer(link, server, client, 50_000);
        Ok(client.Close());
        Ok(server.Close());
        Ok(listener.Close());
        Assert.That(link.RunUntilIdle(), Is.True);
        Assert.That(link.A.Core.Tcp.Endpoints.Count + link.B.Core.Tcp.Endpoints.Count, Is.Zero, "nothing is left behind");
    }

    [Test]
    public void Refused_when_nobody_listens()
    {
        SteppedLink link = Pair(s_wire);
        SteppedSocket client = link.A.Socket(tcp: true);
        client.Connect(ServerEnd);
        Assert.That(link.Run(() => client.Poll().HasFlag(SteppedPollFlags.Error)), Is.True);
        Assert.Multiple(() =>
        {
            Assert.That(client.TakeError(), Is.EqualTo(SocketError.ConnectionRefused));
            Assert.That(client.TakeError(), Is.EqualTo(SocketError.Success), "taking clears it");
        });
    }

    [Test]
    public void Binding_follows_the_rules_of_reuse_address()
    {
        SteppedStack stack = Stack("10.0.0.1/24", configure: o => o.Addresses.Add(IPPrefixAddress.Parse("10.0.1.1/24")));
        SteppedSocket Socket(bool reuse)
        {
            SteppedSocket socket = stack.Socket(tcp: true);
            Ok(socket.SetOption(SteppedSocketOption.ReuseAddress, reuse ? 1 : 0));
            return socket;
        }

        IPEndPoint any = new(IPAddress.Any, 1000);
        IPEndPoint one = new(IPAddress.Parse("10.0.0.1"), 1000);
        IPEndPoint other = new(IPAddress.Parse("10.0.1.1"), 1000);
        SteppedSocket first = Socket(reuse: true);
        Ok(first.Bind(one));
        Assert.Multiple(() =>
        {
            Assert.That(Socket(reuse: false).Bind(one), Is.EqualTo(SocketError.AddressAlreadyInUse), "both must have it");
            Assert.That(Socket(reuse: false).Bind(any), Is.EqualTo(SocketError.AddressAlreadyInUse), "the wildcard overlaps");
            Assert.That(Socket(reuse: false).Bind(other), Is.EqualTo(SocketError.Success), "another address does not");
            Assert.That(Socket(reuse: true).Bind(one), Is.EqualTo(SocketError.Success), "both have it, nobody listens");
        });
        Ok(first.Listen(1));
        Assert.Multiple(() =>
        {
            Assert.That(Socket(reuse: true).Bind(one), Is.EqualTo(SocketError.AddressAlreadyInUse), "the other one listens");
            Assert.That(Socket(reuse: true).Bind(new IPEndPoint(IPAddress.Parse("10.0.9.9"), 1)), Is.EqualTo(SocketError.AddressNotAvailable));
            Assert.That(Socket(reuse: true).Bind(new IPEndPoint(IPAddress.IPv6Loopback, 1)), Is.EqualTo(SocketError.AddressFamilyNotSupported));
            Assert.That(first.Bind(any), Is.EqualTo(SocketError.InvalidArgument), "bound already");
        });
        Ok(first.Close());
        Assert.That(Socket(reuse: false).Bind(one), Is.EqualTo(SocketError.AddressAlreadyInUse), "the second reuser still has it");
    }

    [Test]
    public void Listening_without_binding_takes_a_free_port()
    {
        SteppedStack stack = Stack("10.0.0.1/24");
        SteppedSocket socket = stack.Socket(tcp: true);
        Ok(socket.Listen(1));
        Assert.That(socket.LocalEndPoint.Port, Is.InRange(32_768, 60_999));
        Ok(socket.Listen(5));
        Assert.That(socket.Accept(out _), Is.EqualTo(SocketError.WouldBlock));
    }

    [Test]
    public void A_connection_to_the_stacks_own_address_is_decided_at_once()
    {
        SteppedStack stack = Stack("10.0.0.2/24");
        SteppedSocket listener = stack.Socket(tcp: true);
        Ok(listener.Bind(ServerEnd));
        Ok(listener.SetOption(SteppedSocketOption.ReceiveBuffer, 200_000));
        Ok(listener.Listen(1));
        SteppedSocket client = stack.Socket(tcp: true);
        Assert.That(client.Connect(ServerEnd), Is.EqualTo(SocketError.Success));
        Ok(listener.Accept(out SteppedSocket? server));
        byte[] data = new byte[200_000];
        Pattern.Fill(data, 0);
        Ok(client.Send(data, out int sent));
        Assert.That(server!.Readable, Is.EqualTo(sent));
        Assert.That(stack.TryTake(out _, out _), Is.False, "nothing leaves the stack");
        SteppedSocket nobody = stack.Socket(tcp: true);
        Assert.That(nobody.Connect(new IPEndPoint(ServerEnd.Address, 81)), Is.EqualTo(SocketError.ConnectionRefused));
    }

    [Test]
    public void Peeking_leaves_the_data()
    {
        SteppedLink link = Pair(s_wire);
        (SteppedSocket client, SteppedSocket server, _) = Connect(link);
        Ok(client.Send([1, 2, 3, 4], out _));
        Assert.That(link.Run(() => server.Readable == 4), Is.True);
        byte[] buffer = new byte[3];
        Ok(server.Receive(buffer, out int count, SocketFlags.Peek));
        Assert.That((count, server.Readable), Is.EqualTo((3, 4)));
        Ok(server.Receive(buffer, out _));
        Assert.That(buffer, Is.EqualTo(new byte[] { 1, 2, 3 }));
        Ok(server.Receive(buffer, out count));
        Assert.That((count, buffer[0]), Is.EqualTo((1, 4)));
    }

    [Test]
    public void Unsent_and_unacknowledged_octets_are_told_apart()
    {
        SteppedLink link = Pair(s_wire, configure: o => o.Tcp.InitialWindowSegments = 2);
        (SteppedSocket client, _, _) = Connect(link);
        Ok(client.Send(new byte[10_000], out int sent));
        int mss = client.GetInfo().SendMss;
        Assert.That((sent, client.Unsent, client.Unacknowledged), Is.EqualTo((10_000, 10_000 - (2 * mss), 10_000)));
    }

    [Test]
    public void A_closed_socket_is_a_bad_descriptor()
    {
        SteppedStack stack = Stack("10.0.0.1/24");
        foreach (bool tcp in new[] { true, false })
        {
            SteppedSocket socket = stack.Socket(tcp);
            Ok(socket.Close());
            Assert.Multiple(() =>
            {
                Assert.That(socket.Close(), Is.EqualTo(SocketError.NotSocket));
                Assert.That(socket.Send([1], out _), Is.EqualTo(SocketError.NotSocket));
                Assert.That(socket.Receive(new byte[1], out _), Is.EqualTo(SocketError.NotSocket));
                Assert.That(socket.Poll(), Is.EqualTo(SteppedPollFlags.Invalid));
                Assert.That(socket.Readable, Is.Zero);
            });
        }
    }

    [Test]
    public void The_error_of_a_timed_out_connect_is_told_once()
    {
        SteppedLink link = Pair(s_wire);
        link.IsUp = false;
        SteppedSocket client = link.A.Socket(tcp: true);
        client.Connect(ServerEnd);
        Assert.That(link.RunUntilIdle(), Is.True);
        Assert.That(client.Connect(ServerEnd), Is.EqualTo(SocketError.TimedOut));
        Assert.That(client.Connect(ServerEnd), Is.EqualTo(SocketError.InProgress), "and it can try again");
    }

    [TestCase(SteppedSocketOption.Error, 0, ExpectedResult = SocketError.ProtocolOption)]
    [TestCase((SteppedSocketOption)9999, 0, ExpectedResult = SocketError.ProtocolOption)]
    [TestCase(SteppedSocketOption.SendBuffer, 0, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.Linger, -2, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.DelayedAck, 500, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.OutOfBandInline, 0, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.CongestionControl, 77, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.TypeOfService, 256, ExpectedResult = SocketError.InvalidArgument)]
    [TestCase(SteppedSocketOption.UserTimeout, 30_000, ExpectedResult = SocketError.Success)]
    public SocketError Setting_options(SteppedSocketOption option, long value) => Stack("10.0.0.1/24").Socket(tcp: true).SetOption(option, value);

    [Test]
    public void Options_read_back_and_are_inherited_by_accepted_connections()
    {
        SteppedLink link = Pair(s_wire);
        SteppedSocket listener = link.B.Socket(tcp: true);
        (SteppedSocketOption Option, long Value)[] options =
        [
            (SteppedSocketOption.Linger, 3), (SteppedSocketOption.SendBuffer, 4321), (SteppedSocketOption.ReceiveBuffer, 54_321), (SteppedSocketOption.KeepAlive, 1),
            (SteppedSocketOption.KeepAliveIdle, 11), (SteppedSocketOption.KeepAliveInterval, 12), (SteppedSocketOption.KeepAliveCount, 13), (SteppedSocketOption.NoDelay, 1),
            (SteppedSocketOption.UserTimeout, 60_000), (SteppedSocketOption.TypeOfService, 0x20), (SteppedSocketOption.TimeToLive, 99), (SteppedSocketOption.DelayedAck, 7),
        ];
        foreach ((SteppedSocketOption option, long value) in options)
        {
            Ok(listener.SetOption(option, value));
        }

        Ok(listener.Bind(ServerEnd));
        Ok(listener.Listen(1));
        link.A.Socket(tcp: true).Connect(ServerEnd);
        SteppedSocket? server = null;
        Assert.That(link.Run(() => listener.Accept(out server) == SocketError.Success), Is.True);
        Assert.Multiple(() =>
        {
            foreach ((SteppedSocketOption option, long value) in options)
            {
                Assert.That((server!.GetOption(option, out long actual), actual), Is.EqualTo((SocketError.Success, value)), option.ToString());
            }
        });
        Ok(server!.GetOption(SteppedSocketOption.CongestionControl, out string name));
        Assert.That(name, Is.EqualTo("cubic"));
    }

    [Test]
    public void Datagrams_between_two_stacks()
    {
        SteppedLink link = Pair(s_wire);
        SteppedSocket server = link.B.Socket(tcp: false);
        Ok(server.Bind(new IPEndPoint(IPAddress.Any, 53)));
        SteppedSocket client = link.A.Socket(tcp: false);
        Assert.That(client.Send([1], out _), Is.EqualTo(SocketError.DestinationAddressRequired));
        byte[] datagram = new byte[5000];
        Pattern.Fill(datagram, 0);
        Ok(client.SendTo(datagram, new IPEndPoint(ServerEnd.Address, 53), out int sent));
        Assert.That(sent, Is.EqualTo(5000));
        Assert.That(client.SendTo(new byte[65_508], new IPEndPoint(ServerEnd.Address, 53), out _), Is.EqualTo(SocketError.MessageSize));
        Assert.That(link.Run(() => server.Poll().HasFlag(SteppedPollFlags.In)), Is.True, "in fragments");
        byte[] buffer = new byte[6000];
        Ok(server.ReceiveFrom(buffer, out int count, out IPEndPoint? from));
        Assert.That(count, Is.EqualTo(5000));
        Assert.That(Pattern.FindDifference(buffer.AsSpan(0, count), 0), Is.EqualTo(-1));
        Assert.That(from, Is.EqualTo(new IPEndPoint(IPAddress.Parse("10.0.0.1"), client.LocalEndPoint.Port)));
        Assert.That(server.Receive(buffer, out _), Is.EqualTo(SocketError.WouldBlock));
        Assert.That(server.Listen(1), Is.EqualTo(SocketError.OperationNotSupported));
        Assert.That(server.SetOption(SteppedSocketOption.NoDelay, 1), Is.EqualTo(SocketError.ProtocolOption));
    }

    [Test]
    public void Nothing_is_readable_below_the_low_water_mark()
    {
        SteppedLink link = Pair(s_wire);
        (SteppedSocket client, SteppedSocket server, _) = Connect(link);
        Ok(server.SetOption(SteppedSocketOption.ReceiveLowWater, 100));
        Ok(client.Send(new byte[99], out _));
        link.RunUntil(link.NowNs + 1_000_000_000);
        Assert.Multiple(() =>
        {
            Assert.That(server.Poll().HasFlag(SteppedPollFlags.In), Is.False);
            Assert.That(server.Readable, Is.EqualTo(99), "there is something, and it can be received");
        });
        Ok(client.Send(new byte[1], out _));
        link.RunUntil(link.NowNs + 1_000_000_000);
        Assert.That(server.Poll().HasFlag(SteppedPollFlags.In), Is.True);
        Ok(server.Receive(new byte[50], out _));
        Assert.That(server.Poll().HasFlag(SteppedPollFlags.In), Is.False);
        Ok(client.Close());
        link.RunUntil(link.NowNs + 1_000_000_000);
        Assert.That(server.Poll().HasFlag(SteppedPollFlags.In), Is.True, "the end of the stream needs no octets");
    }

    [Test]
    public void What_is_received_truncated_is_thrown_away()
    {
        SteppedLink link = Pair(s_wire);
        (SteppedSocket client, SteppedSocket server, _) = Connect(link);
        Ok(client.Send("abcdef"u8, out _));
        link.RunUntil(link.NowNs + 1_000_000_000);
        byte[] buffer = new byte[4];
        Ok(server.Receive(buffer, out int peeked, SocketFlags.Truncated | SocketFlags.Peek));
        Ok(server.Receive(buffer, out int thrown, SocketFlags.Truncated));
        Assert.That((peeked, thrown, buffer), Is.EqualTo((4, 4, new byte[4])), "counted, not copied");
        Ok(server.Receive(buffer, out int received));
        Assert.That(buffer[..received], Is.EqualTo("ef"u8.ToArray()));
    }

    [Test]
    public void Flags_of_a_send_that_there_are_not()
    {
        SteppedLink link = Pair(s_wire);
        (SteppedSocket client, _, _) = Connect(link);
        Assert.That(client.Send("abc"u8, out _, SocketFlags.DontRoute), Is.EqualTo(SocketError.OperationNotSupported));
        Ok(client.Send("abc"u8, out int sent, SteppedSocketFlags.More | SteppedSocketFlags.EndOfRecord));
        Assert.That(sent, Is.EqualTo(3));
    }
}
