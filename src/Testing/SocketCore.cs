using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Tcpcrypt.Core;

namespace Tcpcrypt.Testing;

/// <summary>What a <see cref="SteppedSocket"/> does for one protocol.</summary>
internal abstract class SocketCore(SteppedStack stack)
{
    protected SteppedStack Stack { get; } = stack;

    public abstract Endpoint4 Local { get; }
    public abstract Endpoint4? Remote { get; }
    public abstract TcpState State { get; }
    public abstract int Readable { get; }
    public virtual int Unsent => 0;
    public virtual int Unacknowledged => 0;
    public virtual int? UrgentAhead => null;
    public virtual TcpcryptStatus? Tcpcrypt => null;

    public virtual bool Rekey() => false;

    public virtual void FlushTcpcryptSession()
    {
    }

    public abstract SocketError Bind(IPEndPoint local);

    public virtual SocketError Listen(int backlog) => SocketError.OperationNotSupported;

    public virtual SocketError Accept(out SocketCore? connection)
    {
        connection = null;
        return SocketError.OperationNotSupported;
    }

    public abstract SocketError Connect(IPEndPoint remote);

    public abstract SocketError Send(ReadOnlySpan<byte> data, out int sent, SocketFlags flags);

    public abstract SocketError SendTo(ReadOnlySpan<byte> data, IPEndPoint remote, out int sent);

    public abstract SocketError Receive(Span<byte> into, SocketFlags flags, out int received, out IPEndPoint? remote);

    public abstract SocketError Shutdown(bool read, bool write);

    public abstract void Close();

    public abstract SocketError SetOption(SteppedSocketOption option, long value);

    public abstract SocketError GetOption(SteppedSocketOption option, out long value);

    public abstract SteppedPollFlags Poll();

    public abstract SocketError TakeError();

    public virtual TcpInfo GetInfo() => new();
}
