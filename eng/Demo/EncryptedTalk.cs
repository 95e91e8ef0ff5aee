using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Tcpcrypt.Demo;

/// <summary>Two stacks of ours say something to each other; nobody asks for encryption.</summary>
internal static partial class EncryptedTalk
{
    private const int Port = 7777;
    private const string Secret = "the password is swordfish";

    public static async Task ShowAsync(Scene scene)
    {
        IpStack other = await scene.OpenOtherAsync();
        string sides = "";
        byte[] capture = await scene.CaptureAsync(Port, async () => sides = await TalkAsync(scene.Stack, other));
        Show.Block(sides);
        Show.Line("   and what tcpdump sees of it on the wire:");
        try
        {
            Show.Block(await DescribeAsync(capture));
        }
        catch (InvalidOperationException e)
        {
            // Not installed, or not allowed to be itself here.
            Show.Block(e.Message);
        }

        Show.Block(capture.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Secret)) < 0
            ? $"\"{Secret}\" is nowhere in the {capture.Length} octets of the capture"
            : throw new InvalidOperationException("the secret was on the wire"));
    }

    private static async Task<string> TalkAsync(IpStack stack, IpStack other)
    {
        await using TcpConnectionListener listener = await stack.ListenAsync(new IPEndPoint(IPAddress.Any, Port));
        await using TcpConnection client = await other.ConnectAsync(IPEndPoint.Parse($"{Scene.StackAddress}:{Port}"));
        await using TcpConnection server = await listener.AcceptAsync();
        await client.GetStream(ownsConnection: false).WriteAsync(Encoding.ASCII.GetBytes(Secret));
        client.CompleteWrites();
        using StreamReader reader = new(server.GetStream(ownsConnection: false));
        string read = await reader.ReadToEndAsync();
        server.CompleteWrites();
        await client.ReadsClosed;
        return $"""
            {Describe(client)}
            {Describe(server)}
            the session IDs are {(client.Tcpcrypt.SessionId.Span.SequenceEqual(server.Tcpcrypt.SessionId.Span) ? "the same" : "DIFFERENT")}
            the application writes "{Secret}", the other application reads "{read}"
            """;
    }

    private static string Describe(TcpConnection connection)
    {
        TcpcryptStatus status = connection.Tcpcrypt;
        return string.Create(CultureInfo.InvariantCulture,
            $"{connection.LocalEndPoint,-15} is {status.Role}: {status.Outcome}, {status.KeyExchange}{(status.IsResumed ? " (resumed)" : "")}, {status.Cipher}, session ID {Convert.ToHexStringLower(status.SessionId.Span)}");
    }

    /// <summary>The handshake's packets as a line each, and what is in the one with the secret.</summary>
    private static async Task<string> DescribeAsync(byte[] capture)
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, capture);
            string text = await Programs.RunAsync("tcpdump", "-n", "-t", "-X", "-r", file);
            string[] packets = PacketStart().Split(text.Trim());
            string data = packets.First(packet => packet.Split('\n')[0].EndsWith($"length {Secret.Length}", StringComparison.Ordinal));
            return string.Join('\n', packets.TakeWhile(packet => packet != data).Select(static packet => packet.Split('\n')[0]).Append(data));
        }
        finally
        {
            File.Delete(file);
        }
    }

    // The lines of a packet's octets are indented.
    [GeneratedRegex(@"\n(?=\S)")]
    private static partial Regex PacketStart();
}
