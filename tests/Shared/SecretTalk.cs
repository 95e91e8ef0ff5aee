using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tests;

/// <summary>Two stacks with tcpcrypt on a <see cref="HostilePath"/>, and one connection whose streams are made of known blocks, so that plaintext on the wire is found and every octet is compared.</summary>
internal sealed class SecretTalk
{
    private static readonly byte[] s_magic = [.. "plaintext!!!"u8];
    private static readonly IPEndPoint s_server = new(IPAddress.Parse("10.0.0.2"), 80);
    private readonly SteppedSocket _listener;

    public SecretTalk(int seed, Attacks attacks, Action<SteppedStackOptions>? client = null, Action<SteppedStackOptions>? server = null)
    {
        Path = new HostilePath(Make("10.0.0.1", (ulong)seed * 2, client), Make("10.0.0.2", ((ulong)seed * 2) + 1, server), seed, attacks);
        _listener = Path.B.Socket(tcp: true);
        Assert.That(_listener.Bind(s_server), Is.EqualTo(SocketError.Success));
        Assert.That(_listener.Listen(64), Is.EqualTo(SocketError.Success));
        Path.IsActive = () => IsEncrypted;
        Path.IsSecret = () => IsEncrypted;
        Path.Secret = s_magic[..8];
    }

    public HostilePath Path { get; }

    public SteppedSocket Client { get; private set; } = null!;

    public SteppedSocket? Server { get; private set; }

    public Flow Forth { get; private set; } = null!;

    public Flow Back { get; private set; } = null!;

    public bool IsEncrypted => Client?.Tcpcrypt is { IsEncrypted: true } && Server?.Tcpcrypt is { IsEncrypted: true };

    /// <summary>Opens; false when it does not come to a connection at both ends.</summary>
    public bool Connect(double seconds = 300)
    {
        Client = Path.A.Socket(tcp: true);
        Server = null;
        Assert.That(Client.Connect(s_server), Is.EqualTo(SocketError.InProgress));
        return Path.Run(
            () =>
            {
                if (Server is null && _listener.Accept(out SteppedSocket? accepted) == SocketError.Success)
                {
                    Server = accepted;
                }

                return (Server is not null && Client.Poll().HasFlag(SteppedPollFlags.Out)) || Client.Poll().HasFlag(SteppedPollFlags.Hup);
            },
            seconds) && Server is not null && Client.Poll().HasFlag(SteppedPollFlags.Out);
    }

    /// <summary>Sends octets both ways; true when all of them and both ends of the streams have arrived.</summary>
    public bool Transfer(int octets, double seconds = 3600, Action? meanwhile = null)
    {
        Forth = new Flow(Client, Server!, octets, 1);
        Back = new Flow(Server!, Client, octets, 2);
        return Path.Run(
            () =>
            {
                Forth.Pump();
                Back.Pump();
                meanwhile?.Invoke();
                return (Forth.IsDone && Back.IsDone) || Forth.Error != SocketError.Success || Back.Error != SocketError.Success;
            },
            seconds) && Forth.IsDone && Back.IsDone;
    }

    public override string ToString() =>
        $"{Path.Genuine} genuine and {Path.Injected} other packets in {Path.NowNs / 1e9:F1} s; forth {Forth?.Received} {Forth?.Error}, back {Back?.Received} {Back?.Error}; client {Client.State} {Client.Tcpcrypt?.Outcome}, server {Server?.State} {Server?.Tcpcrypt?.Outcome}; "
        + $"drops at A {Describe(Path.A)}, at B {Describe(Path.B)}";

    private static string Describe(SteppedStack stack) => string.Join(",", stack.Drops.Select(static drop => $"{drop.Key}={drop.Value}"));

    private static SteppedStack Make(string address, ulong seed, Action<SteppedStackOptions>? configure)
    {
        SteppedStackOptions options = new() { Seed = seed, Tcpcrypt = true };
        options.Addresses.Add(IPPrefixAddress.Parse(address + "/24"));
        configure?.Invoke(options);
        return new SteppedStack(options);
    }

    /// <summary>One direction: blocks of the magic words and their number.</summary>
    public sealed class Flow(SteppedSocket from, SteppedSocket to, int octets, int number)
    {
        private readonly byte[] _expected = Content(octets, number);
        private readonly byte[] _buffer = new byte[16_384];
        private int _sent;
        private bool _isShut;

        public int Received { get; private set; }

        public bool IsDone { get; private set; }

        public SocketError Error { get; private set; }

        public void Pump()
        {
            while (_sent < octets && Error == SocketError.Success)
            {
                SocketError error = from.Send(_expected.AsSpan(_sent, Math.Min(octets - _sent, 5_000)), out int sent);
                if (error == SocketError.WouldBlock)
                {
                    break;
                }

                Error = error;
                _sent += sent;
            }

            if (_sent == octets && !_isShut && Error == SocketError.Success)
            {
                _isShut = true;
                from.Shutdown(SocketShutdown.Send);
            }

            while (!IsDone)
            {
                SocketError error = to.Receive(_buffer, out int count);
                if (error == SocketError.WouldBlock)
                {
                    break;
                }

                if (error != SocketError.Success)
                {
                    Error = error;
                    break;
                }

                bool isRight = Received + count <= octets && _buffer.AsSpan(0, count).SequenceEqual(_expected.AsSpan(Received, count));
                if (!isRight)
                {
                    Assert.Fail($"the {count} octets at {Received} are not what was sent");
                }

                Received += count;
                if (count == 0)
                {
                    // An end that nobody said would be wrong data too.
                    Assert.That(Received, Is.EqualTo(octets), "the stream ended early");
                    IsDone = true;
                }
            }
        }

        private static byte[] Content(int octets, int number)
        {
            byte[] content = new byte[octets];
            byte[] block = [.. s_magic, 0, 0, 0, 0];
            for (int at = 0; at < octets; at += 16)
            {
                BinaryPrimitives.WriteInt32BigEndian(block.AsSpan(12), at ^ (number << 28));
                block.AsSpan(0, Math.Min(16, octets - at)).CopyTo(content.AsSpan(at));
            }

            return content;
        }
    }
}
