using Tcpcrypt.Core;
using Tcpcrypt.Tcp;

namespace Tcpcrypt.Testing;

/// <summary>Which TCP ports are taken, for bind: by sockets, by connections whose socket is closed, by TIME-WAIT. The rule is that of Linux: two uses of a port conflict when their addresses overlap, unless both have reuse-address and the other one does not listen.</summary>
internal sealed class PortTable(SteppedStack stack)
{
    private readonly List<TcpSocketCore> _sockets = [];

    /// <summary>Closed connections that had reuse-address, for as long as they linger in TIME-WAIT.</summary>
    private readonly HashSet<FourTuple> _reusable = [];

    public void Add(TcpSocketCore socket) => _sockets.Add(socket);

    public void Remove(TcpSocketCore socket) => _sockets.Remove(socket);

    public void OnClose(TcpEndpoint endpoint)
    {
        _reusable.IntersectWith(stack.Core.Tcp.TimeWaits.Concat(stack.Core.Tcp.Endpoints.Select(e => e.Tuple)));
        if (endpoint.Options.ReuseAddress)
        {
            _reusable.Add(endpoint.Tuple);
        }
    }

    public bool IsFree(TcpSocketCore asker, Endpoint4 end)
    {
        bool reuse = asker.Options.ReuseAddress;
        foreach (TcpSocketCore other in _sockets)
        {
            if (other != asker && other.Reserved is { } reserved && Overlaps(end, reserved) && !(reuse && other.Options.ReuseAddress && !other.IsListening))
            {
                return false;
            }
        }

        foreach (TcpEndpoint endpoint in stack.Core.Tcp.Endpoints)
        {
            if (Overlaps(end, endpoint.Tuple.Local) && !(reuse && endpoint.Options.ReuseAddress))
            {
                return false;
            }
        }

        foreach (FourTuple old in stack.Core.Tcp.TimeWaits)
        {
            if (Overlaps(end, old.Local) && !(reuse && _reusable.Contains(old)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A free ephemeral port, from a random start (RFC 6056 §3.3.1); null when all are taken.</summary>
    public ushort? TryChoose(TcpSocketCore asker, Ipv4Address address)
    {
        int first = stack.Core.Options.Tcp.EphemeralPortFirst;
        int count = stack.Core.Options.Tcp.EphemeralPortLast - first + 1;
        int start = (int)stack.Random.NextBelow(count);
        for (int i = 0; i < count; i++)
        {
            ushort port = (ushort)(first + ((start + i) % count));
            if (IsFree(asker, new Endpoint4(address, port)))
            {
                return port;
            }
        }

        return null;
    }

    private static bool Overlaps(Endpoint4 left, Endpoint4 right) =>
        left.Port == right.Port && (left.Address == right.Address || left.Address.IsAny || right.Address.IsAny);
}
