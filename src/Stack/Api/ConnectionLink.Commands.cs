using System.Net.Sockets;
using System.Threading.Channels;
using Tcpcrypt.Core;
using Tcpcrypt.Host;
using Tcpcrypt.Tcp;

namespace Tcpcrypt;

// Down: what the application wants done, as flags that coalesce. A connection is in the command queue at most once.
internal sealed partial class ConnectionLink
{
    /// <summary>In the order in which they are done.</summary>
    [Flags]
    private enum Work
    {
        None = 0,
        Options = 1,
        Receive = 2,
        Send = 4,
        SendUrgent = 8,
        CloseReceive = 16,
        CloseSend = 32,
        Close = 64,
        Abort = 128,
        Notice = 256,
        Queued = 512,
    }

    private int _work;

    private void Post(Work work)
    {
        Work before = (Work)Interlocked.Or(ref _work, (int)(work | Work.Queued));
        if ((before & Work.Queued) == 0)
        {
            Host.Enqueue(this);
        }
    }

    public override void Run(StackCore core, TcpInstant now)
    {
        Work work = (Work)Interlocked.Exchange(ref _work, 0);
        if ((work & Work.Options) != 0)
        {
            ApplyOptions(now);
        }

        if (!Endpoint.IsClosed)
        {
            RunUserCalls(work, now);
        }
        else if ((work & Work.CloseReceive) != 0)
        {
            Endpoint.ReceiveQueue.Discard();
        }

        if ((work & Work.Notice) != 0)
        {
            TakeNotice();
        }

        if ((work & (Work.Close | Work.Abort)) != 0)
        {
            // Nobody reads any more. Last: an unread octet makes Close send RST.
            Endpoint.ReceiveQueue.Discard();
            if (Endpoint.IsClosed)
            {
                Endpoint.SendQueue.Discard();
            }
        }
    }

    private void RunUserCalls(Work work, TcpInstant now)
    {
        if ((work & Work.Abort) != 0)
        {
            Endpoint.Abort(now);
            return;
        }

        if ((work & Work.Receive) != 0)
        {
            Endpoint.OnReceive(now);
        }

        if ((work & Work.SendUrgent) != 0)
        {
            Endpoint.OnSendUrgent(now);
        }

        if ((work & Work.Send) != 0)
        {
            Endpoint.OnSend(now);
        }

        if ((work & Work.CloseReceive) != 0)
        {
            Endpoint.CloseReceive(now);
        }

        if ((work & Work.CloseSend) != 0)
        {
            Endpoint.CloseSend(now);
        }

        if ((work & Work.Close) != 0)
        {
            Endpoint.Close(now);
        }
    }

    public override void Cancel(Exception reason) => Interlocked.Exchange(ref _work, 0);

    // ---- Options ----

    private TcpEndpointOptions? _changedOptions;
    private int _receiveBufferSize;
    private int _sendBufferSize;

    /// <summary>Reads a setting: the one asked for last, even when the core has not seen it yet.</summary>
    public T GetOption<T>(Func<TcpEndpointOptions, T> get)
    {
        lock (_lock)
        {
            return get(_changedOptions ?? Endpoint.Options);
        }
    }

    /// <summary>Changes a setting. The core takes it over before anything that is asked for later.</summary>
    public void SetOption<T>(T value, Action<TcpEndpointOptions, T> set)
    {
        ThrowIfDisposed();
        lock (_lock)
        {
            _changedOptions ??= Endpoint.Options.Copy();
            set(_changedOptions, value);
            _receiveBufferSize = _changedOptions.ReceiveBufferSize;
            _sendBufferSize = _changedOptions.SendBufferSize;
        }

        Post(Work.Options);
        SignalWrites();
    }

    private void ApplyOptions(TcpInstant now)
    {
        lock (_lock)
        {
            if (_changedOptions is not { } from)
            {
                return;
            }

            TcpEndpointOptions to = Endpoint.Options;
            to.NoDelay = from.NoDelay;
            to.CongestionControl = from.CongestionControl;
            to.MaxPacingRate = from.MaxPacingRate;
            to.KeepAlive = from.KeepAlive;
            to.KeepAliveIdle = from.KeepAliveIdle;
            to.KeepAliveInterval = from.KeepAliveInterval;
            to.KeepAliveCount = from.KeepAliveCount;
            to.UserTimeout = from.UserTimeout;
            to.Linger = from.Linger;
            to.SendBufferSize = from.SendBufferSize;
            to.ReceiveBufferSize = from.ReceiveBufferSize;
            to.TypeOfService = from.TypeOfService;
            to.TimeToLive = from.TimeToLive;
        }

        if (!Endpoint.IsClosed)
        {
            Endpoint.OnOptionsChanged(now);
        }
    }

    // ---- Notices ----

    private const int NoticeLimit = 32;

    private Channel<TcpNotice>? _notices;

    /// <summary>Made when asked for: most connections are never asked.</summary>
    public ChannelReader<TcpNotice> Notices
    {
        get
        {
            if (Volatile.Read(ref _notices) is not { } notices)
            {
                notices = Channel.CreateBounded<TcpNotice>(new BoundedChannelOptions(NoticeLimit) { FullMode = BoundedChannelFullMode.DropOldest });
                notices = Interlocked.CompareExchange(ref _notices, notices, null) ?? notices;
                if (IsClosed)
                {
                    notices.Writer.TryComplete();
                }
            }

            return notices.Reader;
        }
    }

    private void OnNotices(CoreEvents events)
    {
        if ((events & CoreEvents.Urgent) != 0)
        {
            Volatile.Read(ref _notices)?.Writer.TryWrite(new TcpNotice(TcpNoticeKind.UrgentData, SocketError.Success));
        }

        if ((events & CoreEvents.Notice) != 0)
        {
            // Reading it clears it, so that is a command.
            Post(Work.Notice);
        }
    }

    private bool _isWornReported;

    private void TakeNotice()
    {
        if (Endpoint.IsLegacyCipherWorn && !_isWornReported)
        {
            _isWornReported = true;
            StackLog.LegacyCipherWorn(Stack.Logger, Endpoint.Id);
        }

        SocketError error = Endpoint.TakeSoftError();
        if (error != SocketError.Success)
        {
            // The channel runs no reader here: its continuations are asynchronous.
            TcpNoticeKind kind = error == SocketError.TimedOut ? TcpNoticeKind.RetransmissionThreshold : TcpNoticeKind.SoftError;
            Volatile.Read(ref _notices)?.Writer.TryWrite(new TcpNotice(kind, error));
        }
    }
}
