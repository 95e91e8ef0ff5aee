using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>Sends packets into the stack's device that no host has made: any source, any numbers, checksums right. At a pace that leaves the device's queue to others as well.</summary>
internal sealed class RawSender(Socket socket, IPAddress target)
{
    private const int Burst = 200;
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(4);

    private readonly byte[] _packet = new byte[1500];

    public long Sent { get; private set; }

    /// <summary>Fills in everything around <paramref name="transport"/> octets, which <paramref name="write"/> writes behind the IP header, and sends it.</summary>
    public void Send(IPAddress source, byte protocol, int transport, Action<Span<byte>> write, ushort identification = 0, ushort fragment = 0)
    {
        Span<byte> packet = _packet.AsSpan(0, 20 + transport);
        packet.Clear();
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)packet.Length);
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], identification);
        BinaryPrimitives.WriteUInt16BigEndian(packet[6..], fragment);
        packet[8] = 64;
        packet[9] = protocol;
        source.TryWriteBytes(packet[12..], out _);
        target.TryWriteBytes(packet[16..], out _);
        write(packet[20..]);
        if (fragment == 0)
        {
            int at = protocol == 6 ? 16 : 2;
            uint pseudo = protocol == 6 ? Sum(packet[12..20], (uint)(protocol + transport)) : 0u;
            BinaryPrimitives.WriteUInt16BigEndian(packet[(20 + at)..], (ushort)~Sum(packet[20..], pseudo));
        }

        try
        {
            socket.SendTo(packet, new IPEndPoint(target, 0));
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.NoBufferSpaceAvailable)
        {
            // The device's queue is full: the attacker's loss.
        }

        if (++Sent % Burst == 0)
        {
            Thread.Sleep(s_pause);
        }
    }

    /// <summary>A TCP segment.</summary>
    public void SendTcp(IPEndPoint source, int port, uint seq, uint ack, byte flags, byte[] options, int data = 0, ushort window = 60_000) =>
        Send(source.Address, 6, 20 + options.Length + data, tcp =>
        {
            BinaryPrimitives.WriteUInt16BigEndian(tcp, (ushort)source.Port);
            BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], (ushort)port);
            BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], seq);
            BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], ack);
            tcp[12] = (byte)((20 + options.Length) / 4 << 4);
            tcp[13] = flags;
            BinaryPrimitives.WriteUInt16BigEndian(tcp[14..], window);
            options.CopyTo(tcp[20..]);
            tcp[(20 + options.Length)..].Fill(0xEE);
        });

    /// <summary>An ICMP error about a TCP segment from <paramref name="local"/> to <paramref name="remote"/> with a sequence number that is a guess.</summary>
    public void SendIcmp(byte type, byte code, uint rest, IPEndPoint local, IPEndPoint remote, uint seq) =>
        Send(remote.Address, 1, 8 + 28, icmp =>
        {
            icmp[0] = type;
            icmp[1] = code;
            BinaryPrimitives.WriteUInt32BigEndian(icmp[4..], rest);
            Span<byte> quote = icmp[8..];
            quote[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(quote[2..], 1500);
            quote[8] = 60;
            quote[9] = 6;
            local.Address.TryWriteBytes(quote[12..], out _);
            remote.Address.TryWriteBytes(quote[16..], out _);
            BinaryPrimitives.WriteUInt16BigEndian(quote[20..], (ushort)local.Port);
            BinaryPrimitives.WriteUInt16BigEndian(quote[22..], (ushort)remote.Port);
            BinaryPrimitives.WriteUInt32BigEndian(quote[24..], seq);
        });

    private static ushort Sum(ReadOnlySpan<byte> octets, uint sum)
    {
        for (int i = 0; i < octets.Length; i += 2)
        {
            sum += i + 1 < octets.Length ? BinaryPrimitives.ReadUInt16BigEndian(octets[i..]) : (uint)(octets[i] << 8);
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        return (ushort)((sum & 0xFFFF) + (sum >> 16));
    }
}
