using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Tcpcrypt.Testing;
using Tcpcrypt.Tun;

#pragma warning disable CA2000, CS0219, IDE0059   // the documents show one thing at a time

namespace Tcpcrypt.Tidy;

/// <summary>What the documents show, compiled: every line of their C# is in here, in its order. Nothing of it is run.</summary>
internal static class Snippets
{
    public static async Task ReadmeAsync(IpStack stack)
    {
        TcpConnection connection = await stack.ConnectAsync("10.9.1.2", 7, new TcpConnectOptions
        {
            Policy = TcpcryptPolicy.Required,   // the default is Opportunistic: encrypted when the other side can, plain when it cannot
        });
        TcpcryptStatus status = connection.Tcpcrypt; // also Role, KeyExchange, Cipher, IsResumed ...
        Console.WriteLine($"{status.Outcome}, session ID {Convert.ToHexString(status.SessionId.Span)}");
    }

    public static void Tcpcrypt(TcpConnection connection)
    {
        IpStackOptions options = new()
        {
            Addresses = [IPPrefixAddress.Parse("10.9.0.2/24")],
            Tcpcrypt = { Policy = TcpcryptPolicy.Required }, // all of them; the default is Opportunistic
        };
        TcpcryptStatus status = connection.Tcpcrypt;         // of any connection: whether, why not, and with what
    }

    public static void Selector()
    {
        IpStackOptions options = new()
        {
            Addresses = [IPPrefixAddress.Parse("10.9.0.2/24")],
            Tcpcrypt = { PolicySelector = to => IPNetwork.Parse("10.0.0.0/8").Contains(to.Address) ? TcpcryptPolicy.Required : null },
        };
    }

    public static async Task<bool> AuthenticationAsync(TcpConnection connection, byte[] key)
    {
        byte[] context = "example-chat/1"u8.ToArray();
        TcpcryptStatus status = connection.Tcpcrypt;
        byte[] proof = new byte[TcpcryptAuthentication.ProofLength];
        bool isPeerReal = false;
        using CancellationTokenSource timeout = new(TimeSpan.FromSeconds(10));
        await using Stream stream = connection.GetStream(ownsConnection: false);
        try
        {
            await stream.WriteAsync(TcpcryptAuthentication.CreateProof(key, status.Role, status.SessionId.Span, context), timeout.Token);
            await stream.ReadExactlyAsync(proof, timeout.Token);
            isPeerReal = TcpcryptAuthentication.VerifyProof(key, status.Role, status.SessionId.Span, proof, context);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // Not in time, or not at all: as a wrong one.
        }

        if (!isPeerReal)
        {
            connection.FlushTcpcryptSession();
            connection.Abort();
        }

        return isPeerReal;
    }

    public static async Task SignatureAsync(TcpcryptStatus status, Stream stream, byte[] context, ECDsa myKey, ECDsa theirKey)
    {
        await stream.WriteAsync(TcpcryptAuthentication.Sign(myKey, status.Role, status.SessionId.Span, context));
        byte[] signature = new byte[TcpcryptAuthentication.SignatureLength];
        await stream.ReadExactlyAsync(signature);
        bool isPeerReal = TcpcryptAuthentication.VerifySignature(theirKey, status.Role, status.SessionId.Span, signature, context);
    }

    public static void Stepped()
    {
        SteppedStackOptions options = new() { Mtu = 1500, Seed = 1, ReceiveWindow = 65_535, DelayedAck = TimeSpan.FromMilliseconds(40) };
        options.Addresses.Add(IPPrefixAddress.Parse("10.0.0.1/24"));
        options.Tcp.Timestamps = false;
        SteppedStack stack = new(options);

        SteppedSocket socket = stack.Socket(tcp: true);
        SocketError error = socket.Connect(new IPEndPoint(IPAddress.Parse("10.0.0.2"), 80));   // InProgress

        stack.TryTake(out long timeNs, out byte[] syn);      // the SYN, sent at 0
        stack.RunNextTimer();                                // one second later …
        stack.TryTake(out timeNs, out byte[] again);         // … it is repeated: timeNs == 1_000_000_000
    }

    public static void Listener(SteppedStack stack, byte[] buffer)
    {
        SteppedSocket listener = stack.Socket(tcp: true);
        listener.SetOption(SteppedSocketOption.ReuseAddress, 1);
        listener.Bind(new IPEndPoint(IPAddress.Any, 80));
        listener.Listen(16);
        // … a handshake is injected …
        if (listener.Accept(out SteppedSocket? connection) == SocketError.Success)
        {
            connection!.Send("hello"u8, out int sent);
            connection.Receive(buffer, out int received, SocketFlags.Peek);
            connection.Shutdown(SocketShutdown.Send);
        }
    }

    public static void Link(SteppedStack a, SteppedStack b, SteppedSocket server, List<string> trace)
    {
        SteppedLink link = SteppedStack.Join(a, b, LinkOptions.Symmetric(new LinkDirection
        {
            Delay = TimeSpan.FromMilliseconds(20), BitsPerSecond = 10_000_000, QueueLimit = 100, Loss = 0.01, Reorder = 0.01, Duplicate = 0.001, Corrupt = 0.001,
        }), seed: 42);
        link.Tap = packet => trace.Add($"{packet.TimeNs} {packet.Fate}");

        bool done = link.Run(() => server.Readable >= 1000);          // step until it holds
        link.RunUntil(link.NowNs + 1_000_000_000);                    // or for a second
        bool isStill = link.RunUntilIdle(maxSteps: 100_000);          // or until nothing happens any more
    }
}
