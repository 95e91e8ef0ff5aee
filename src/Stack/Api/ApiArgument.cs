using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>Checks of callers' arguments, with messages that say what to do.</summary>
internal static class ApiArgument
{
    public static Ipv4Address Address(IPAddress address, [CallerArgumentExpression(nameof(address))] string? name = null)
    {
        ArgumentNullException.ThrowIfNull(address, name);
        return Ipv4Address.TryFrom(address, out Ipv4Address result)
            ? result
            : throw new ArgumentException($"{address} is not an IPv4 address; the stack speaks IPv4 only.", name);
    }

    /// <summary>A local end; port 0 lets the stack choose.</summary>
    public static Endpoint4 Local(IPEndPoint local, [CallerArgumentExpression(nameof(local))] string? name = null)
    {
        ArgumentNullException.ThrowIfNull(local, name);
        return new Endpoint4(Address(local.Address, name), (ushort)local.Port);
    }

    /// <summary>A peer: an address and a port.</summary>
    public static Endpoint4 Remote(IPEndPoint remote, [CallerArgumentExpression(nameof(remote))] string? name = null)
    {
        ArgumentNullException.ThrowIfNull(remote, name);
        Endpoint4 result = new(Address(remote.Address, name), (ushort)remote.Port);
        return result.Port != 0 && !result.Address.IsAny
            ? result
            : throw new ArgumentException($"{remote} is no peer: give an address other than 0.0.0.0 and a port from 1 to 65535.", name);
    }

    /// <summary>An IPv4 network.</summary>
    public static (Ipv4Address Network, int PrefixLength) Network(IPNetwork network, [CallerArgumentExpression(nameof(network))] string? name = null) =>
        network.BaseAddress.AddressFamily == AddressFamily.InterNetwork
            ? (Address(network.BaseAddress, name), network.PrefixLength)
            : throw new ArgumentException($"{network} is not an IPv4 network, such as 0.0.0.0/0.", name);

    /// <summary>A time above zero; <see cref="Timeout.InfiniteTimeSpan"/> where that makes sense.</summary>
    public static void Positive(TimeSpan value, string property, bool mayBeInfinite = false)
    {
        if (value <= TimeSpan.Zero && !(mayBeInfinite && value == Timeout.InfiniteTimeSpan))
        {
            throw new ArgumentOutOfRangeException(property, value, $"{property} is a time above zero{(mayBeInfinite ? " or Timeout.InfiniteTimeSpan" : "")}.");
        }
    }

    public static void InRange(long value, long least, long most, string property)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(property, value, $"{property} is a number from {least} to {most}.");
        }
    }

    public static void KeepAlive(TcpKeepAlive? value, string property)
    {
        if (value is not null)
        {
            Positive(value.Idle, property + "." + nameof(value.Idle));
            Positive(value.Interval, property + "." + nameof(value.Interval));
            InRange(value.Count, 1, 255, property + "." + nameof(value.Count));
        }
    }
}
