using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Tcpcrypt.Tun;

/// <summary>What the kernel says about an interface.</summary>
/// <param name="Index">The number that other requests name it by.</param>
/// <param name="Mtu">In octets.</param>
/// <param name="HasPacketInformation">A TUN interface that puts four octets in front of each packet (no IFF_NO_PI).</param>
internal readonly record struct LinkInfo(int Index, int Mtu, bool HasPacketInformation);

/// <summary>
/// The little of rtnetlink(7) that a TUN interface needs: look up, set up, address, route. One request, one acknowledgement. Acts in the network namespace of the thread that made it.
/// </summary>
internal sealed unsafe class Netlink : IDisposable
{
    // linux/netlink.h
    private const int NetlinkRoute = 0;
    private const int OptionExtendedAck = 11;
    private const int OptionCapAck = 10;
    private const ushort MessageError = 2;
    private const ushort FlagRequest = 0x01;
    private const ushort FlagAck = 0x04;
    private const ushort FlagReplace = 0x100;
    private const ushort FlagExclusive = 0x200;
    private const ushort FlagCreate = 0x400;
    private const ushort FlagAckTlvs = 0x200;
    private const int AckMessageText = 1;

    // linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
    private const ushort NewLink = 16;
    private const ushort GetLink = 18;
    private const ushort NewAddress = 20;
    private const ushort NewRoute = 24;
    private const ushort LinkName = 3;
    private const ushort LinkMtu = 4;
    private const ushort LinkTxQueueLength = 13;
    private const ushort LinkLinkInfo = 18;
    private const ushort LinkInfoKind = 1;
    private const ushort LinkInfoData = 2;
    private const ushort TunPacketInformation = 4;
    private const ushort LinkAfSpec = 26;
    private const ushort Inet6AddressGenerationMode = 8;
    private const byte AddressGenerationNone = 1;
    private const ushort AddressAddress = 1;
    private const ushort AddressLocal = 2;
    private const ushort RouteDestination = 1;
    private const ushort RouteOutputInterface = 4;
    private const byte RouteTableMain = 254;
    private const byte RouteProtocolBoot = 3;
    private const byte RouteScopeLink = 253;
    private const byte RouteTypeUnicast = 1;
    private const uint InterfaceUp = 1;
    private const byte FamilyInet = 2;
    private const byte FamilyInet6 = 10;

    private const int MessageHeaderLength = 16;
    private const int LinkHeaderLength = 16;

    private readonly SafeFileHandle _socket;
    private readonly byte[] _answer = new byte[32 * 1024];
    private uint _sequence;

    public Netlink()
    {
        _socket = new SafeFileHandle(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NetlinkRoute), ownsHandle: true);
        if (_socket.IsInvalid)
        {
            throw TunErrors.Create("Cannot talk to the kernel's routing", "socket(AF_NETLINK)", errno);
        }

        // The kernel's own words about what is wrong, and no echo of the request. Old kernels know neither; no matter.
        int on = 1;
        _ = setsockopt(Descriptor, SOL_NETLINK, OptionExtendedAck, &on, sizeof(int));
        _ = setsockopt(Descriptor, SOL_NETLINK, OptionCapAck, &on, sizeof(int));
    }

    private int Descriptor => (int)_socket.DangerousGetHandle();

    public void Dispose() => _socket.Dispose();

    /// <summary>The interface of that name; null when there is none.</summary>
    public LinkInfo? FindLink(string name)
    {
        Message message = new(stackalloc byte[256], GetLink, FlagRequest);
        message.Append(stackalloc byte[LinkHeaderLength]);
        message.Attribute(LinkName, Encoding.UTF8.GetBytes(name + '\0'));
        Result result = Exchange(message);
        if (result.Error == ENODEV)
        {
            return null;
        }

        ThrowIfFailed(result, $"Cannot look up interface {name}", "RTM_GETLINK");
        ReadOnlySpan<byte> link = _answer.AsSpan(MessageHeaderLength, result.Length - MessageHeaderLength);
        int index = MemoryMarshal.Read<int>(link[4..]);
        ReadOnlySpan<byte> attributes = link[LinkHeaderLength..];
        int mtu = TryGetAttribute(attributes, LinkMtu, out ReadOnlySpan<byte> value) ? MemoryMarshal.Read<int>(value) : 0;
        bool hasPacketInformation = TryGetAttribute(attributes, LinkLinkInfo, out value) && TryGetAttribute(value, LinkInfoKind, out ReadOnlySpan<byte> kind)
            && kind.TrimEnd((byte)0).SequenceEqual("tun"u8) && TryGetAttribute(value, LinkInfoData, out value) && TryGetAttribute(value, TunPacketInformation, out value) && value[0] != 0;
        return new LinkInfo(index, mtu, hasPacketInformation);
    }

    /// <summary>Sets MTU and queue length.</summary>
    public void SetLink(LinkInfo link, string name, int mtu, int? txQueueLength)
    {
        Message message = StartLink(stackalloc byte[256], link, up: false);
        message.Attribute(LinkMtu, mtu);
        if (txQueueLength is { } length)
        {
            message.Attribute(LinkTxQueueLength, length);
        }

        ThrowIfFailed(Exchange(message), $"Cannot set MTU {mtu}{(txQueueLength is null ? "" : $" and queue length {txQueueLength}")} of {name}", "RTM_NEWLINK");
    }

    /// <summary>Brings the interface up.</summary>
    public void BringUp(LinkInfo link, string name) =>
        ThrowIfFailed(Exchange(StartLink(stackalloc byte[256], link, up: true)), $"Cannot bring {name} up", "RTM_NEWLINK");

    /// <summary>Asks the kernel not to give the interface a link-local IPv6 address, which would make it send router solicitations into a stack that is IPv4 only.</summary>
    /// <returns>0, or the error number.</returns>
    public int DisableAutomaticIpv6(LinkInfo link)
    {
        Message message = StartLink(stackalloc byte[256], link, up: false);
        int afSpec = message.Open(LinkAfSpec);
        int inet6 = message.Open(FamilyInet6);
        message.Attribute(Inet6AddressGenerationMode, [AddressGenerationNone]);
        message.Close(inet6);
        message.Close(afSpec);
        return Exchange(message).Error;
    }

    /// <summary>Gives the interface an address; giving it the same one again is no error.</summary>
    public void AddAddress(LinkInfo link, string name, IPPrefixAddress address)
    {
        Message message = new(stackalloc byte[256], NewAddress, FlagRequest | FlagAck | FlagCreate | FlagReplace);
        Span<byte> header = stackalloc byte[8];
        header[0] = FamilyInet;
        header[1] = (byte)address.PrefixLength;
        MemoryMarshal.Write(header[4..], link.Index);
        message.Append(header);
        byte[] octets = address.Address.GetAddressBytes();
        message.Attribute(AddressLocal, octets);
        message.Attribute(AddressAddress, octets);
        ThrowIfFailed(Exchange(message), $"Cannot give {name} the address {address}", "RTM_NEWADDR");
    }

    /// <summary>Routes a network to the interface. The same route there already is no error; one through another interface is, and is left as it is.</summary>
    public void AddRoute(LinkInfo link, string name, IPNetwork network)
    {
        Result result = SendRoute(link, network, FlagRequest | FlagAck | FlagCreate | FlagExclusive);

        // EEXIST says only that there is a route to this network. Asked to change an existing one, without REPLACE, the kernel answers EEXIST for the very same route and ENOENT for another.
        if (result.Error == EEXIST && SendRoute(link, network, FlagRequest | FlagAck).Error == EEXIST)
        {
            return;
        }

        string? cure = result.Error == EEXIST ? $"There is a route to {network} through another interface: delete it first (ip route del {network}), or route something else here." : null;
        ThrowIfFailed(result, $"Cannot route {network} to {name}", "RTM_NEWROUTE", cure);
    }

    private Result SendRoute(LinkInfo link, IPNetwork network, ushort flags)
    {
        Message message = new(stackalloc byte[256], NewRoute, flags);
        message.Append([FamilyInet, (byte)network.PrefixLength, 0, 0, RouteTableMain, RouteProtocolBoot, RouteScopeLink, RouteTypeUnicast, 0, 0, 0, 0]);
        message.Attribute(RouteDestination, network.BaseAddress.GetAddressBytes());
        message.Attribute(RouteOutputInterface, link.Index);
        return Exchange(message);
    }

    private static Message StartLink(Span<byte> buffer, LinkInfo link, bool up)
    {
        Message message = new(buffer, NewLink, FlagRequest | FlagAck);
        Span<byte> header = stackalloc byte[LinkHeaderLength];
        MemoryMarshal.Write(header[4..], link.Index);
        if (up)
        {
            MemoryMarshal.Write(header[8..], InterfaceUp);
            MemoryMarshal.Write(header[12..], InterfaceUp);
        }

        message.Append(header);
        return message;
    }

    // Sends a request and takes its answer: an acknowledgement or, for RTM_GETLINK, the message itself (left in _answer).
    private Result Exchange(Message message)
    {
        ReadOnlySpan<byte> request = message.Finish(++_sequence);
        fixed (byte* octets = request)
        {
            while ((long)send(Descriptor, octets, (uint)request.Length, 0) < 0)
            {
                if (errno != EINTR)
                {
                    return new Result(errno, 0, null);
                }
            }
        }

        while (true)
        {
            int length;
            fixed (byte* room = _answer)
            {
                length = (int)(long)recv(Descriptor, room, (uint)_answer.Length, 0);
            }

            if (length < 0 && errno != EINTR)
            {
                return new Result(errno, 0, null);
            }

            // Anything that is not the answer to this request is a straggler.
            if (length >= MessageHeaderLength && MemoryMarshal.Read<uint>(_answer.AsSpan(8)) == _sequence)
            {
                return ReadAnswer(Math.Min(length, MemoryMarshal.Read<int>(_answer)));
            }
        }
    }

    private Result ReadAnswer(int length)
    {
        if (MemoryMarshal.Read<ushort>(_answer.AsSpan(4)) != MessageError)
        {
            return new Result(0, length, null);
        }

        // nlmsgerr: the error number, negated, and the request's header; then, where announced, attributes with the kernel's message.
        const int attributes = MessageHeaderLength + 4 + MessageHeaderLength;
        string? text = null;
        bool hasAttributes = (MemoryMarshal.Read<ushort>(_answer.AsSpan(6)) & FlagAckTlvs) != 0;
        if (hasAttributes && length > attributes && TryGetAttribute(_answer.AsSpan(attributes, length - attributes), AckMessageText, out ReadOnlySpan<byte> value))
        {
            text = Encoding.UTF8.GetString(value.TrimEnd((byte)0));
        }

        return new Result(-MemoryMarshal.Read<int>(_answer.AsSpan(MessageHeaderLength)), length, text);
    }

    private static void ThrowIfFailed(Result result, string what, string call, string? cure = null)
    {
        if (result.Error != 0)
        {
            cure ??= result.Error == EPERM ? TunErrors.NeedsCapability : result.Text is null ? null : $"The kernel says: {result.Text}.";
            throw TunErrors.Create(what, $"rtnetlink {call}", result.Error, cure);
        }
    }

    private static bool TryGetAttribute(ReadOnlySpan<byte> attributes, int type, out ReadOnlySpan<byte> value)
    {
        while (attributes.Length >= 4)
        {
            int length = MemoryMarshal.Read<ushort>(attributes);
            if (length < 4 || length > attributes.Length)
            {
                break;
            }

            if ((MemoryMarshal.Read<ushort>(attributes[2..]) & 0x3FFF) == type)
            {
                value = attributes[4..length];
                return true;
            }

            attributes = attributes[Math.Min(Align(length), attributes.Length)..];
        }

        value = default;
        return false;
    }

    private static int Align(int length) => (length + 3) & ~3;

    private readonly record struct Result(int Error, int Length, string? Text);

    /// <summary>A request under construction: nlmsghdr, family header, attributes; all in the machine's byte order except addresses.</summary>
    private ref struct Message
    {
        private readonly Span<byte> _buffer;
        private int _length;

        public Message(Span<byte> buffer, ushort type, ushort flags)
        {
            buffer.Clear();
            _buffer = buffer;
            _length = MessageHeaderLength;
            MemoryMarshal.Write(_buffer[4..], type);
            MemoryMarshal.Write(_buffer[6..], flags);
        }

        public void Append(scoped ReadOnlySpan<byte> octets)
        {
            octets.CopyTo(_buffer[_length..]);
            _length += Align(octets.Length);
        }

        public void Attribute(ushort type, scoped ReadOnlySpan<byte> value)
        {
            int start = Open(type);
            value.CopyTo(_buffer[_length..]);
            _length += value.Length;
            Close(start);
        }

        public void Attribute(ushort type, int value)
        {
            Span<byte> octets = stackalloc byte[4];
            MemoryMarshal.Write(octets, value);
            Attribute(type, octets);
        }

        public int Open(ushort type)
        {
            int start = _length;
            MemoryMarshal.Write(_buffer[(start + 2)..], type);
            _length += 4;
            return start;
        }

        public void Close(int start)
        {
            MemoryMarshal.Write(_buffer[start..], (ushort)(_length - start));
            _length = Align(_length);
        }

        public readonly ReadOnlySpan<byte> Finish(uint sequence)
        {
            MemoryMarshal.Write(_buffer, _length);
            MemoryMarshal.Write(_buffer[8..], sequence);
            return _buffer[.._length];
        }
    }
}
