using System.Net;
using Tcpcrypt.Core;
using Tcpcrypt.Ip;
using Tcpcrypt.Tcp;
using Tcpcrypt.Testing;
using Tcpcrypt.Udp;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Fuzz;

// What is not for the stack's own address, and what the stack asks by itself.
internal sealed partial class Machine
{
    private static readonly Ipv4Address s_mapped = Ipv4Address.Parse("203.0.113.0");

    private readonly Queue<TcpForward> _forwards = new();
    private readonly List<UdpFlowEndpoint> _flows = [];
    private readonly List<EchoExchange> _echoes = [];
    private readonly IDisposable[] _mappings;

    /// <summary>A SYN or a datagram to a mapped address: which, options, address.</summary>
    private void Forward(ReadOnlySpan<byte> operands)
    {
        Ipv4Address destination = new(s_mapped.Value + 1u + (operands[2] & 7u));
        if ((operands[0] & 1) != 0)
        {
            byte[] datagram = new byte[8 + operands[1]];
            (datagram[1], datagram[3], datagram[5]) = ((byte)(5 + (operands[3] & 3)), 53, (byte)Math.Min(datagram.Length, 255));
            byte[] packet = Packets.Ip(IpProtocol.Udp, datagram, null, destination);
            Packets.FixChecksums(packet);
            Inject(packet);
        }
        else if (Add((ushort)(8000 + _peers.Count), ListenPort, destination) is { } peer)
        {
            Inject(peer.Segment(TcpFlags.Syn, 0, 0, default, [.. SynOptions(operands[1]), .. _isEncrypted && (operands[1] & 16) == 0 ? (byte[])[69, 2] : []]));
        }
    }

    /// <summary>What the handler does with the first SYN that waits, or with a flow of datagrams.</summary>
    private void Decide(ReadOnlySpan<byte> operands)
    {
        if ((operands[0] & 1) != 0)
        {
            if (_flows.Count > 0)
            {
                UdpFlowEndpoint flow = _flows[operands[1] % _flows.Count];
                _ = flow.TryReceive(_buffer, out _);
                _ = (operands[2] & 3) == 0 ? flow.Reply(_stack.Now, _buffer.AsSpan(0, operands[3])) : default;
                if ((operands[2] & 3) == 1)
                {
                    flow.Close(_stack.Now);
                }
            }
        }
        else if (_forwards.TryDequeue(out TcpForward? forward))
        {
            Endpoint4 source = forward.Source;
            RemotePeer? peer = _peers.Find(peer => peer.Remote == source);
            switch (operands[1] & 3)
            {
                case 0:
                    if (forward.Accept(_stack.Now, TcpEndpointOptions.From(_stack.Core.Options.Tcp), out TcpEndpoint? endpoint) == System.Net.Sockets.SocketError.Success)
                    {
                        SteppedSocket socket = new(new TcpSocketCore(_stack, endpoint!));
                        _sockets.Add(socket);
                        _ = peer?.Socket = socket;
                    }

                    break;
                case 1:
                    forward.Reset(_stack.Now);
                    break;
                case 2:
                    forward.Unreachable(_stack.Now, operands[2]);
                    break;
                default:
                    forward.Drop();
                    break;
            }
        }

        _stack.Flush();
        Hear();
    }

    /// <summary>The stack's own questions: a ping, a datagram that needs fragments, a connected UDP socket.</summary>
    private void Host(ReadOnlySpan<byte> operands)
    {
        switch (operands[0] & 3)
        {
            case 0:
                if (_stack.Core.Icmp.SendEcho(_stack.Now, Packets.Them, operands[1] * 32, 64, (operands[2] & 1) != 0, TimeSpan.FromSeconds(5), out EchoExchange? echo) == System.Net.Sockets.SocketError.Success)
                {
                    _echoes.Add(echo!);
                }

                break;
            case 1:
                _datagrams.SendTo(_buffer.AsSpan(0, operands[1] * 100), new IPEndPoint(Packets.Them.ToIPAddress(), 9), out _);
                break;
            case 2:
                // The answer to a ping, or what looks like it.
                Inject(Answer(operands));
                break;
            default:
                SteppedSocket socket = Open(tcp: false);
                socket.Connect(new IPEndPoint(Packets.Them.ToIPAddress(), 9));
                socket.Send(_buffer.AsSpan(0, operands[1]), out _);
                break;
        }

        _stack.Flush();
        Hear();
    }

    private byte[] Answer(ReadOnlySpan<byte> operands)
    {
        byte[] request = [.. _lastEcho];
        if (request.Length >= 28)
        {
            (request[20], request[28 % request.Length]) = (operands[1], (byte)(request[28 % request.Length] ^ operands[2]));
            Packets.Them.Write(request.AsSpan(12));
            Packets.Us.Write(request.AsSpan(16));
            Packets.FixChecksums(request);
        }

        return request;
    }

    private void EndForwarding()
    {
        while (_forwards.TryDequeue(out TcpForward? forward))
        {
            forward.Drop();
        }

        foreach (IDisposable mapping in _mappings)
        {
            mapping.Dispose();
        }

        foreach (EchoExchange echo in _echoes)
        {
            echo.Cancel();
        }

        _stack.Flush();
        Expect(_stack.Core.Udp.FlowCount == 0, "no flow outlives its mapping");
    }
}
